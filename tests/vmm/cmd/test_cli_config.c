/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The file of --config, and the command line over it.
 */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/cmd/cli.h"

#define ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define ARG_MAX_COUNT 16

static char folder[] = "/tmp/stasis-config-XXXXXX";

static int enter_folder(void **state)
{
    (void)state;
    return !mkdtemp(folder) || chdir(folder);
}

static int leave_folder(void **state)
{
    (void)state;
    (void)unlink("f");
    (void)unlink("g");
    (void)unlink("fifo");
    return chdir("/") || rmdir(folder);
}

static void write_file(const char *name, const char *text, size_t len)
{
    FILE *file = fopen(name, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

/* Words between '|', as in test_cli.c; the file f holds `json`. */
static int parse(const char *json, const char *line, struct stasis_options *ret_options,
                 struct stasis_error *err)
{
    char name[] = "vmm";
    char *copy = strdup(line);
    char *next = copy;
    char *argv[ARG_MAX_COUNT + 1] = {name};
    int argc = 1;
    int rc;

    write_file("f", json, strlen(json));
    while (next) {
        assert_true(argc < ARG_MAX_COUNT);
        argv[argc++] = strsep(&next, "|");
    }
    rc = stasis_cli_parse(argc, argv, ret_options, err);
    free(copy);
    return rc;
}

static struct stasis_options good(const char *json, const char *line)
{
    struct stasis_options options;
    struct stasis_error err;

    if (parse(json, line, &options, &err))
        fail_msg("%s: %s", line, err.msg);
    return options;
}

#define DEMO                                                                                       \
    "{\"demo\": true, \"memory\": {\"size_mib\": 64}, \"serial\": {\"out\": \"file:x\", "          \
    "\"limit\": 9, \"rate\": 7}, \"snapshot\": {\"path\": \"s\", \"on_output\": \"x\", "           \
    "\"notes\": [\"a=1\", \"b=2\"]}}"
#define THAW                                                                                       \
    "{\"restore\": {\"path\": \"s\", \"clock\": \"advance\", \"ignore_tsc_rate\": true}, "         \
    "\"paused\": true}"

static void file_alone_is_enough(void **state)
{
    struct stasis_options options = good(DEMO, "--config|f");

    (void)state;
    assert_true(options.config.demo);
    assert_int_equal(options.config.memory_mib, 64);
    assert_string_equal(options.config.serial.path, "x");
    assert_int_equal(options.config.serial.limit, 9);
    assert_int_equal(stasis_notes_count(options.config.snapshot.save.notes), 2);
    stasis_cli_fini(&options);
}

static void command_line_wins_key_by_key(void **state)
{
    struct stasis_options options =
        good(DEMO, "--memory|32|--config=path=f|--snapshot-out|then=resume,note=c=3|--paused|"
                   "--serial|rate=8");

    (void)state;
    assert_true(options.config.demo && options.config.paused);
    assert_int_equal(options.config.memory_mib, 32);
    assert_string_equal(options.config.snapshot.path, "s");
    assert_string_equal(options.config.snapshot.on_output, "x");
    assert_int_equal(options.config.snapshot.then, STASIS_VMM_THEN_RESUME);
    assert_int_equal(stasis_notes_count(options.config.snapshot.save.notes), 1);
    assert_string_equal(options.config.serial.path, "x");
    assert_int_equal(options.config.serial.limit, 9);
    assert_int_equal(options.config.serial.rate, 8);
    stasis_cli_fini(&options);
}

/* Messages name a key of the file, or the option that has won over it. */
static void keys_of_the_command_line_are_not_those_of_the_file(void **state)
{
    struct stasis_options options =
        good(DEMO, "--config|f|--memory|32|--snapshot-out|then=resume|--serial|rate=8");
    const uint32_t *keys = options.by_file.keys;

    (void)state;
    assert_int_equal(keys[STASIS_CONFIG_DEMO], 1);
    assert_int_equal(keys[STASIS_CONFIG_MEMORY], 0);
    assert_int_equal(keys[STASIS_CONFIG_SNAPSHOT] & 1, 1);
    assert_int_equal(keys[STASIS_CONFIG_SERIAL], 1 | STASIS_OPTION_BIT(1));
    stasis_cli_fini(&options);
}

static void another_output_has_no_old_bounds(void **state)
{
    struct stasis_options options = good(DEMO, "--config|f|--serial|ring:y,size=4096");

    (void)state;
    assert_string_equal(options.config.serial.path, "y");
    assert_int_equal(options.config.serial.limit, 0);
    assert_int_equal(options.config.serial.size, 4096);
    assert_int_equal(options.config.serial.rate, 7);
    stasis_cli_fini(&options);
}

static void a_guest_replaces_that_of_the_file(void **state)
{
    struct stasis_options options = good(DEMO, "--config|f|--restore|snap");

    (void)state;
    assert_false(options.config.demo);
    assert_string_equal(options.config.restore.path, "snap");
    assert_int_equal(options.config.memory_mib, 0); /* a thawed guest brings its own */
    assert_string_equal(options.config.snapshot.path, "s");
    stasis_cli_fini(&options);
    options = good(THAW, "--config|f|--demo");
    assert_true(options.config.demo && options.config.paused);
    assert_null(options.config.restore.path);
    assert_int_equal(options.config.restore.clock, STASIS_VMM_CLOCK_CONTINUE);
    assert_false(options.config.restore.ignore_tsc_rate);
    stasis_cli_fini(&options);
    options = good(THAW, "--config|f|--restore|other");
    assert_string_equal(options.config.restore.path, "other");
    assert_int_equal(options.config.restore.clock, STASIS_VMM_CLOCK_ADVANCE);
    assert_true(options.config.restore.ignore_tsc_rate);
    stasis_cli_fini(&options);
}

#define DISKS                                                                                      \
    "{\"restore\": {\"path\": \"s\"}, \"block\": [{\"path\": \"a\", \"id\": \"x\"}, "              \
    "{\"path\": \"b\"}], \"allow\": {\"disk_changed\": [\"x\"], \"disk_shared\": [\"disk1\"]}}"

static void a_list_replaces_that_of_the_file(void **state)
{
    struct stasis_options options = good(DISKS, "--config|f|--allow|disk-changed=disk1");

    (void)state;
    assert_string_equal(options.config.block[0].path, "a");
    assert_string_equal(options.config.block[1].path, "b");
    assert_string_equal(options.config.allow.disk_changed[0], "disk1");
    assert_null(options.config.allow.disk_changed[1]);
    assert_string_equal(options.config.allow.disk_shared[0], "disk1");
    stasis_cli_fini(&options);
    options = good(DISKS, "--block|c,id=x|--config|f|--block|d|--block|e");
    assert_string_equal(options.config.block[0].path, "c");
    assert_string_equal(options.config.block[1].path, "d");
    assert_string_equal(options.config.block[2].path, "e");
    assert_null(options.config.block[3].path);
    assert_int_equal(options.by_file.keys[STASIS_CONFIG_BLOCK], 0);
    stasis_cli_fini(&options);
    options = good(DISKS, "--config|f|--demo");
    assert_null(options.config.allow.disk_changed[0]);
    assert_string_equal(options.config.block[1].path, "b");
    stasis_cli_fini(&options);
}

static void program_has_options_of_its_own(void **state)
{
    struct stasis_options options = good(THAW, "--config|f|--dry-run|json|--print-config");

    (void)state;
    assert_true(options.dry_run && options.print_config);
    assert_int_equal(options.dry_run_format, STASIS_CLI_DRY_RUN_JSON);
    stasis_cli_fini(&options);
}

static void refuse(const char *json, const char *line, enum stasis_err code, const char *message)
{
    struct stasis_options options;
    struct stasis_error err = {.msg = ""};

    assert_int_equal(parse(json, line, &options, &err), code);
    if (strncmp(err.msg, message, strlen(message)) != 0)
        fail_msg("%s: \"%s\" does not begin with \"%s\"", line, err.msg, message);
}

static void wrong_files_are_named(void **state)
{
    (void)state;
    refuse("{\"demo\": 1}", "--config|f", STASIS_ERR_ARG, "f: demo is a number; give true or");
    refuse("{\"demo\":\n", "--config|f", STASIS_ERR_ARG,
           "f: not JSON: line 2, column 0: unexpected token");
    refuse("", "--config|f", STASIS_ERR_ARG, "f: not JSON: line 1, column 0: ");
    refuse("", "--config|none", STASIS_ERR_ARG,
           "--config: cannot open none, give a readable file: No such file or directory");
    refuse("", "--config|.", STASIS_ERR_ARG, "--config: . is a directory; give a regular file");
    refuse("", "--config|/dev/null", STASIS_ERR_ARG,
           "--config: /dev/null is not a regular file; give a regular file");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    refuse("", "--config|fifo", STASIS_ERR_ARG, "--config: fifo is not a regular file; give");
    refuse("", "--config|/proc/self/mem", STASIS_ERR_READ,
           "--config: /proc/self/mem cannot be read (check its disk or network): ");
    refuse("", "--config", STASIS_ERR_ARG, "--config needs a value: --config path=FILE");
    refuse("", "--config|f|--config|f", STASIS_ERR_ARG, "--config is given twice");
}

static void a_file_that_is_too_long_is_refused(void **state)
{
    const size_t size = STASIS_VMM_CONFIG_BYTES_MAX + 1;
    char *text = calloc(1, size);
    struct stasis_options options;
    struct stasis_error err;
    char name[] = "vmm", config[] = "--config=g";
    char *argv[] = {name, config, NULL};

    (void)state;
    write_file("g", text, size);
    free(text);
    assert_int_equal(stasis_cli_parse(2, argv, &options, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "g: the configuration is longer than 1048576 bytes; shorten it");
}

static void contradictions_name_what_gave_them(void **state)
{
    (void)state;
    refuse("{\"paused\": true}", "--config|f", STASIS_ERR_ARG, "nothing to run; give --kernel");
    refuse(DEMO, "--config|f|--dry-run", STASIS_ERR_ARG, "--dry-run is for thawing");
    refuse("{\"demo\": true}", "--config|f|--serial|rate=1", STASIS_ERR_ARG,
           "--serial: out=stdio|none|file:PATH|ring:PATH|pipe:PATH is missing");
    refuse("{\"demo\": true, \"snapshot\": {\"path\": \"s\", \"then\": \"resume\"}}",
           "--config|f|--serial|none|--snapshot-out|-", STASIS_ERR_ARG,
           "--snapshot-out is a stream, which takes one snapshot; leave out snapshot.then");
    refuse("{\"snapshot\": {\"then\": \"resume\"}}",
           "--demo|--config|f|--serial|none|--snapshot-out|-", STASIS_ERR_ARG,
           "--snapshot-out is a stream, which takes one snapshot; leave out snapshot.then");
    refuse("{\"serial\": {\"rate\": 5}}", "--demo|--config|f", STASIS_ERR_ARG,
           "--serial is missing; give stdio");
    refuse(THAW, "--config|f|--memory|5", STASIS_ERR_ARG,
           "--memory does not go with restore.path: a thawed guest brings its own; leave out "
           "--memory");
}

static void a_choice_replaces_that_of_the_file(void **state)
{
    static const char net[] = "{\"demo\": true, \"net\": {\"tap\": \"t\", \"mtu\": 1400}}";
    struct stasis_options options = good(net, "--config|f|--net|passt=p,id=lan");

    (void)state;
    assert_null(options.config.net.tap);
    assert_string_equal(options.config.net.passt, "p");
    assert_int_equal(options.config.net.mtu, 1400);
    stasis_cli_fini(&options);
    refuse(net, "--config|f|--net|passt=p,fd=9", STASIS_ERR_ARG,
           "--net tap, --net passt and --net fd exclude each other");
    refuse("{\"demo\": true, \"net\": {\"mtu\": 1400}}", "--config|f", STASIS_ERR_ARG,
           "--net tap is missing; give a network: tap=NAME, passt=SOCKET or fd=N");
}

static void disks_are_named_by_what_gave_them(void **state)
{
    (void)state;
    refuse(DISKS, "--config|f|--block|c,id=y|--block|d,id=y", STASIS_ERR_ARG,
           "--block id=y: another disk has that name; give each its own");
    refuse("{\"demo\": true, \"block\": [{\"path\": \"c\"}, {\"path\": \"d\", \"id\": \"disk0\"}]}",
           "--config|f", STASIS_ERR_ARG, "block[1].id=disk0: another disk has that name");
    refuse(DISKS, "--config|f|--block|c", STASIS_ERR_ARG,
           "allow.disk_changed=x: no disk has that name");
    refuse(DISKS, "--config|f|--block|id=c", STASIS_ERR_ARG, "--block: path=FILE is missing");
    refuse(DISKS, "--config|f|--block|c|--allow|disk-shared=q,disk-changed=disk0", STASIS_ERR_ARG,
           "--allow disk-shared=q: no disk has that name");
    refuse(DISKS, "--config|f|--allow", STASIS_ERR_ARG, "--allow needs a value: --allow ");
    refuse("{\"demo\": true}", "--config|f|--block|c|--allow|disk-changed=disk0", STASIS_ERR_ARG,
           "--allow disk-changed is for thawing; give --restore");
}

static void outputs_spare_the_file(void **state)
{
    (void)state;
    refuse(DEMO, "--config|f|--snapshot-out|./f", STASIS_ERR_ARG,
           "./f is also the file of --config f; name another file");
    refuse(DEMO, "--config|f|--serial|ring:f", STASIS_ERR_ARG, "f is also the file of --config");
    refuse(DEMO, "--config|f|--metrics|f", STASIS_ERR_ARG, "f is also the file of --config");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(file_alone_is_enough),
        cmocka_unit_test(command_line_wins_key_by_key),
        cmocka_unit_test(keys_of_the_command_line_are_not_those_of_the_file),
        cmocka_unit_test(another_output_has_no_old_bounds),
        cmocka_unit_test(a_guest_replaces_that_of_the_file),
        cmocka_unit_test(a_list_replaces_that_of_the_file),
        cmocka_unit_test(a_choice_replaces_that_of_the_file),
        cmocka_unit_test(program_has_options_of_its_own),
        cmocka_unit_test(wrong_files_are_named),
        cmocka_unit_test(a_file_that_is_too_long_is_refused),
        cmocka_unit_test(contradictions_name_what_gave_them),
        cmocka_unit_test(disks_are_named_by_what_gave_them),
        cmocka_unit_test(outputs_spare_the_file),
    };

    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
