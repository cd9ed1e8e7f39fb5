/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/vmm_config.h"

#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "stasis/cpu_models.h"
#include "vmm/api/config_table.h"

static void set(struct stasis_vmm_config *config, const char *option, const char *text)
{
    struct stasis_error err;

    if (stasis_vmm_config_set(config, option, text, &err))
        fail_msg("%s %s: %s", option, text ? text : "", err.msg);
}

static void refuse(const char *option, const char *text, const char *message)
{
    struct stasis_vmm_config config = {.demo = false};
    struct stasis_error err;

    assert_int_equal(stasis_vmm_config_set(&config, option, text, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, message);
    stasis_vmm_config_fini(&config);
}

static void options_fill_a_configuration(void **state)
{
    struct stasis_vmm_config config = {.demo = false};

    (void)state;
    set(&config, "demo", NULL);
    set(&config, "memory", "512");
    set(&config, "serial", "file:\"console\",limit=64K");
    set(&config, "snapshot-out", "path='a,b',after_ms=0,note=image=debian-12");
    assert_true(config.demo);
    assert_int_equal(config.memory_mib, 512);
    assert_int_equal(config.serial.kind, STASIS_VMM_SERIAL_FILE);
    assert_string_equal(config.serial.path, "\"console\"");
    assert_int_equal(config.serial.limit, 65536);
    assert_string_equal(config.snapshot.path, "a,b");
    assert_true(config.snapshot.timed);
    assert_string_equal(stasis_notes_get(config.snapshot.save.notes, "image"), "debian-12");
    stasis_vmm_config_fini(&config);
    assert_null(config.serial.path);
}

static void what_is_not_in_the_text_stays(void **state)
{
    struct stasis_vmm_config config = {.demo = false};

    (void)state;
    set(&config, "snapshot-out", "a,on_output=x,note=a=1,note=b=2");
    set(&config, "snapshot-out", "then=resume");
    assert_string_equal(config.snapshot.path, "a");
    assert_string_equal(config.snapshot.on_output, "x");
    assert_int_equal(config.snapshot.then, STASIS_VMM_THEN_RESUME);
    assert_int_equal(stasis_notes_count(config.snapshot.save.notes), 2);
    set(&config, "snapshot-out", "b,note=c=3");
    assert_string_equal(config.snapshot.path, "b");
    assert_int_equal(stasis_notes_count(config.snapshot.save.notes), 1);
    set(&config, "serial", "pipe:x");
    set(&config, "serial", "none");
    assert_null(config.serial.path);
    stasis_vmm_config_fini(&config);
}

static void wrong_text_is_named(void **state)
{
    (void)state;
    refuse("memroy", "1", "there is no option memroy; see vmm(1)");
    refuse("config", "x", "there is no option config; see vmm(1)");
    refuse("demo", "1", "demo: it takes no value; leave out 1");
    refuse("memory", NULL, "memory: it needs a value; give size_mib=N");
    refuse("memory", "0",
           "memory: size_mib=0: give MiB from 1 to 4194304 (4 TiB, the most that a snapshot "
           "holds)");
    refuse("snapshot-out", "then=resume", "snapshot-out: path=FILE is missing");
    refuse("serial", "none,foo=1", "serial: unknown key foo; known: out, limit, size, rate");
    refuse("allow", "root", "allow: unknown key root; known: disk-changed, disk-shared");
    refuse("allow", "", "allow: it is empty; give disk-changed=NAME");
    refuse("serial", "none,rate=1,rate=2", "serial: rate is given twice; give it once");
}

/* The table of options writes them out. */
static void help_names_all_cpu_models(void **state)
{
    char names[STASIS_CPU_MODEL_NAMES_SIZE], remedy[sizeof(names) + 5];
    const struct stasis_option *option = &stasis_config_options[STASIS_CONFIG_CPU];

    (void)state;
    stasis_cpu_model_names(NULL, names, sizeof(names));
    snprintf(remedy, sizeof(remedy), "give %s", names);
    assert_string_equal(option->keys[0].remedy, remedy);
    for (size_t i = 0; i < STASIS_CPU_MODEL_COUNT; i++) {
        assert_non_null(strstr(option->keys[0].arg, option->keys[0].words[i]));
        assert_non_null(strstr(option->help, option->keys[0].words[i]));
    }
}

static void lists_grow(void **state)
{
    struct stasis_vmm_config config = {.demo = false};
    struct stasis_error err;

    (void)state;
    set(&config, "block", "a");
    set(&config, "block", "b,id=data,readonly=on,cache=none");
    assert_string_equal(config.block[0].path, "a");
    assert_null(config.block[0].id);
    assert_string_equal(config.block[1].path, "b");
    assert_string_equal(config.block[1].id, "data");
    assert_int_equal(config.block[1].readonly, STASIS_VMM_BLOCK_READONLY_ON);
    assert_int_equal(config.block[1].cache, STASIS_VMM_BLOCK_CACHE_NONE);
    assert_int_equal(config.block[0].cache, STASIS_VMM_BLOCK_CACHE_WRITEBACK);
    assert_int_equal(stasis_vmm_config_set(&config, "block", "id=c,root=x", &err), STASIS_ERR_ARG);
    assert_null(config.block[2].id);
    assert_int_equal(stasis_vmm_config_set(&config, "block", "id=c", &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "block: path=FILE is missing");
    for (unsigned i = 2; i < STASIS_VMM_BLOCKS_MAX; i++)
        set(&config, "block", "c");
    assert_int_equal(stasis_vmm_config_set(&config, "block", "d", &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "block: it is given more than 8 times; leave out d");
    set(&config, "allow", "disk-shared=a,disk-shared=b");
    set(&config, "allow", "disk-shared=c");
    assert_string_equal(config.allow.disk_shared[2], "c");
    assert_int_equal(stasis_vmm_config_set(&config, "allow", "disk-shared=b", &err),
                     STASIS_ERR_ARG);
    assert_string_equal(err.msg, "allow: disk-shared=b: it is given twice; give it once");
    for (char id[] = "d"; *id <= 'h'; (*id)++) {
        char text[] = "disk-shared=?";

        text[sizeof(text) - 2] = *id;
        set(&config, "allow", text);
    }
    assert_int_equal(stasis_vmm_config_set(&config, "allow", "disk-shared=i", &err),
                     STASIS_ERR_ARG);
    assert_string_equal(err.msg, "allow: disk-shared=i: there are more than 8; leave it out");
    stasis_vmm_config_fini(&config);
    assert_null(config.block[1].id);
    assert_null(config.allow.disk_shared[2]);
}

/* One of the choices is needed, and may have been given before. */
static void a_network_is_one_of_three(void **state)
{
    struct stasis_vmm_config config = {.demo = false};
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_vmm_config_set(&config, "net", "id=lan", &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "net: give a network: tap=NAME, passt=SOCKET or fd=N");
    set(&config, "net", "fd=9");
    set(&config, "net", "id=lan,mtu=9000");
    assert_int_equal(config.net.fd, 9);
    assert_string_equal(config.net.id, "lan");
    assert_int_equal(config.net.mtu, 9000);
    assert_int_equal(stasis_vmm_config_set(&config, "net", "mtu=67", &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "net: mtu=67: give 68 to 65535");
    stasis_vmm_config_fini(&config);
    set(&config, "net", "tap0,bandwidth=1M");
    assert_string_equal(config.net.tap, "tap0");
    assert_int_equal(config.net.bandwidth, 1 << 20);
    stasis_vmm_config_fini(&config);
}

static void a_failure_keeps_what_was_there(void **state)
{
    struct stasis_vmm_config config = {.demo = false};

    (void)state;
    set(&config, "serial", "file:x");
    assert_int_equal(stasis_vmm_config_set(&config, "serial", "ring:", NULL), STASIS_ERR_ARG);
    assert_int_equal(config.serial.kind, STASIS_VMM_SERIAL_FILE);
    assert_string_equal(config.serial.path, "x");
    stasis_vmm_config_fini(&config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_fill_a_configuration),
        cmocka_unit_test(what_is_not_in_the_text_stays),
        cmocka_unit_test(wrong_text_is_named),
        cmocka_unit_test(help_names_all_cpu_models),
        cmocka_unit_test(lists_grow),
        cmocka_unit_test(a_network_is_one_of_three),
        cmocka_unit_test(a_failure_keeps_what_was_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
