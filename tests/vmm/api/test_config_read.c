/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/vmm_config.h"

#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void whole_configuration_is_read(void **state)
{
    static const char text[] =
        "{\"kernel\": {\"path\": \"vm\", \"cmdline\": \"\", \"load_addr\": 16777216},\n"
        " \"initrd\": {\"path\": \"rd\"}, \"memory\": {\"size_mib\": 512}, \"vcpu\": {\"num\": "
        "4},\n"
        " \"cpu\": {\"model\": \"x86-64-v2\"}, \"board\": {\"release\": \"0.2.0\"},\n"
        " \"balloon\": {\"id\": \"b\", \"reporting\": \"off\"},\n"
        " \"demo\": false, \"paused\": true, \"ready_fd\": {\"fd\": 7},\n"
        " \"serial\": {\"out\": \"ring:a,b\", \"size\": 4096, \"rate\": 100},\n"
        " \"snapshot\": {\"path\": \"s\", \"on_output\": \"x\", \"after_ms\": 0, \"then\": "
        "\"resume\",\n"
        "   \"compress\": \"zlib:6\", \"sync\": \"none\", \"target\": \"0.2.0\", \"drop\": "
        "\"allow\",\n"
        "   \"notes\": [\"a=1\", \"b=\"]},\n"
        " \"guest_errors\": {\"action\": \"stop\", \"of\": \"devices\"},\n"
        " \"log\": {\"level\": \"warn\", \"fd\": 8, \"time\": \"off\"},\n"
        " \"metrics\": {\"path\": \"m\", \"format\": \"openmetrics\", \"every_ms\": 10}}";
    struct stasis_vmm_config config;
    struct stasis_error err;

    (void)state;
    if (stasis_vmm_config_read(text, sizeof(text) - 1, &config, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(config.kernel.path, "vm");
    assert_string_equal(config.kernel.cmdline, "");
    assert_int_equal(config.kernel.load_addr, 0x1000000);
    assert_string_equal(config.initrd_path, "rd");
    assert_int_equal(config.memory_mib, 512);
    assert_int_equal(config.vcpus, 4);
    assert_int_equal(config.cpu, STASIS_VMM_CPU_V2);
    assert_string_equal(config.board_release, "0.2.0");
    assert_string_equal(config.balloon.id, "b");
    assert_int_equal(config.balloon.reporting, STASIS_VMM_REPORTING_OFF);
    assert_true(config.paused && !config.demo);
    assert_int_equal(config.ready_fd, 7);
    assert_int_equal(config.serial.kind, STASIS_VMM_SERIAL_RING);
    assert_string_equal(config.serial.path, "a,b");
    assert_int_equal(config.serial.size, 4096);
    assert_int_equal(config.serial.rate, 100);
    assert_string_equal(config.snapshot.path, "s");
    assert_string_equal(config.snapshot.on_output, "x");
    assert_true(config.snapshot.timed);
    assert_int_equal(config.snapshot.then, STASIS_VMM_THEN_RESUME);
    assert_int_equal(config.snapshot.save.zlib_level, 6);
    assert_int_equal(config.snapshot.save.sync, STASIS_VMM_SYNC_NONE);
    assert_string_equal(config.snapshot.save.target, "0.2.0");
    assert_int_equal(config.snapshot.save.drop, STASIS_VMM_DROP_ALLOW);
    assert_string_equal(stasis_notes_get(config.snapshot.save.notes, "b"), "");
    assert_int_equal(config.guest_errors.action, STASIS_VMM_GUEST_ERROR_STOP);
    assert_int_equal(config.guest_errors.of, STASIS_VMM_GUEST_ERRORS_OF_DEVICES);
    assert_int_equal(config.log.level, STASIS_VMM_LOG_WARN);
    assert_int_equal(config.log.fd, 8);
    assert_int_equal(config.log.time, STASIS_VMM_LOG_TIME_OFF);
    assert_string_equal(config.metrics_path, "m");
    assert_int_equal(config.metrics_format, STASIS_VMM_METRICS_OPENMETRICS);
    assert_int_equal(config.metrics_every_ms, 10);
    stasis_vmm_config_fini(&config);
}

static void thaw_is_read(void **state)
{
    static const char text[] = "{\"restore\": {\"path\": \"s\", \"clock\": \"advance\", \"memory\":"
                               "\"map\", \"prefetch\": \"off\", \"ignore_tsc_rate\": true}}";
    struct stasis_vmm_config config;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_vmm_config_read(text, sizeof(text) - 1, &config, &err), 0);
    assert_string_equal(config.restore.path, "s");
    assert_int_equal(config.restore.clock, STASIS_VMM_CLOCK_ADVANCE);
    assert_int_equal(config.restore.memory, STASIS_RAM_MAP);
    assert_int_equal(config.restore.prefetch, STASIS_VMM_PREFETCH_OFF);
    assert_true(config.restore.ignore_tsc_rate);
    stasis_vmm_config_fini(&config);
}

/* Refused with a message that begins so, and nothing is filled. */
static void refuse(const char *text, size_t len, const char *message)
{
    struct stasis_vmm_config config;
    struct stasis_error err = {.msg = ""};

    memset(&config, 0x5a, sizeof(config));
    assert_int_equal(stasis_vmm_config_read(text, len, &config, &err), STASIS_ERR_ARG);
    assert_int_equal(err.code, STASIS_ERR_ARG);
    assert_int_equal(*(unsigned char *)&config, 0x5a);
    if (strncmp(err.msg, message, strlen(message)) != 0)
        fail_msg("%s: \"%s\" does not begin with \"%s\"", text, err.msg, message);
}

static void wrong_configurations_name_the_key(void **state)
{
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "not JSON: line 1, column 0: '[' or '{' expected near end of file"},
        {"hello", "not JSON: line 1, column "},
        {"{\"demo\": true,\n \"paused\" true}",
         "not JSON: line 2, column 14: ':' expected near 'true'"},
        {"{\"demo\": true} x", "not JSON: line 1, column 16: end of file expected"},
        {"{\"demo\": true,}", "not JSON: line 1, column 15: string or '}' expected"},
        {"{\"demo\": \"\xff\"}", "not JSON: line 1, column "},
        {"{\"demo\": 1e999}", "not JSON: line 1, column "},
        {"{\"memory\": {\"size_mib\": 99999999999999999999}}", "not JSON: line 1, column "},
        {"{\"kernel\": {\"path\": \"a\\u0000b\"}}", "not JSON: line 1, column "},
        {"{\"demo\": true,\n \"demo\": true}", "line 2: demo is given twice; give it once"},
        {"{\"serial\": {\"rate\": 1, \"out\": \"none\",\n\n\"rate\": 1}}",
         "line 3: serial.rate is given twice; give it once"},
        {"[]", "the configuration is a list; give an object"},
        {"{}", "the configuration has no guest; set one of kernel.path, demo and restore.path"},
        {"{\"Demo\": true}",
         "Demo is no key of a configuration; known: kernel, demo, restore, initrd, memory, vcpu, "
         "cpu, board, rtc, balloon, block, allow, net, vsock, paused, ready_fd, kvm, on_reset, "
         "on_crash, "
         "serial, "
         "snapshot, "
         "guest_errors, log, "
         "metrics"},
        {"{\"ignore\": {\"what\": \"tsc-rate\"}}", "ignore is no key of a configuration"},
        {"{\"control\": {}}", "control is no key of a configuration"},
        {"{\"demo\": true, \"serial\": {\"speed\": 1}}",
         "serial.speed is no key of a configuration; serial has out, limit, size, rate"},
        {"{\"restore\": {\"what\": 1}}",
         "restore.what is no key of a configuration; restore has path, clock, memory, prefetch, "
         "uffd_fd, root, layers, track, ignore_tsc_rate"},
        {"{\"demo\": 1}", "demo is a number; give true or false"},
        {"{\"demo\": {}}", "demo is an object; give true or false"},
        {"{\"serial\": \"none\"}", "serial is a string; give an object"},
        {"{\"kernel\": {\"path\": null}}", "kernel.path is null; give a string, or leave it out"},
        {"{\"kernel\": {\"path\": true}}", "kernel.path is true or false; give a string"},
        {"{\"kernel\": {\"path\": \"\"}}", "kernel.path: : give the name of a file"},
        {"{\"memory\": {\"size_mib\": \"512\"}}",
         "memory.size_mib is a string; give a whole number, without quotes"},
        {"{\"memory\": {\"size_mib\": 1.5}}", "memory.size_mib is a number with a fraction; give"},
        {"{\"memory\": {\"size_mib\": 0}}", "memory.size_mib: 0: give a number from 1 to 4194304"},
        {"{\"memory\": {\"size_mib\": -1}}", "memory.size_mib: -1: give a number from 1"},
        {"{\"vcpu\": {\"num\": 255}}", "vcpu.num: 255: give a number from 1 to 254"},
        {"{\"log\": {\"fd\": 2}}", "log.fd: 2: give an open descriptor above 2"},
        {"{\"log\": {\"fd\": 4294967299}}", "log.fd: 4294967299: give an open descriptor"},
        {"{\"cpu\": {\"model\": \"fast\"}}",
         "cpu.model: fast: give host, baseline, x86-64-v2 or x86-64-v3"},
        {"{\"serial\": {\"out\": \"file\"}}", "serial.out: file: give stdio, none, file:PATH"},
        {"{\"snapshot\": {\"compress\": \"zlib:13\"}}", "snapshot.compress: zlib:13: give none"},
        {"{\"restore\": {\"ignore_tsc_rate\": \"yes\"}}",
         "restore.ignore_tsc_rate is a string; give true or false"},
        {"{\"snapshot\": {\"notes\": \"a=1\"}}",
         "snapshot.notes is a string; give a list of strings"},
        {"{\"snapshot\": {\"notes\": [\"a=1\", \"b\"]}}",
         "snapshot.notes[1]: b: give KEY=VALUE, for example image=debian-12"},
        {"{\"snapshot\": {\"notes\": [\"a=1\", \"a=1\"]}}",
         "snapshot.notes[1]: a=1: the note a is given twice; give it once"},
        {"{\"snapshot\": {\"notes\": [1]}}", "snapshot.notes[0] is a number; give a string"},
        {"{\"block\": {\"path\": \"a\"}}", "block is an object; give a list of objects"},
        {"{\"block\": [\"a\"]}", "block[0] is a string; give an object"},
        {"{\"block\": [{\"path\": \"a\"}, {\"id\": \"b\"}]}",
         "block[1].path is missing; give a raw file or a block device"},
        {"{\"block\": [{\"path\": \"a\"}, {\"path\": \"b\", \"root\": 1}]}",
         "block[1].root is a number; give a string"},
        {"{\"block\": [{\"path\": \"a\", \"size\": 1}]}",
         "block.size is no key of a configuration; block has path, id, readonly, root, cache, "
         "block_size, iops, bandwidth, overlay"},
        {"{\"block\": [{\"path\": \"0\"}, {\"path\": \"1\"}, {\"path\": \"2\"}, "
         "{\"path\": \"3\"}, {\"path\": \"4\"}, {\"path\": \"5\"}, {\"path\": \"6\"}, "
         "{\"path\": \"7\"}, {\"path\": \"8\"}]}",
         "block[8] is one too many; give at most 8"},
        {"{\"allow\": {\"disk_shared\": [\"a\", \"\"]}}",
         "allow.disk_shared[1]: : give 1 to 20 of a-z"},
        {"{\"allow\": {\"disk_shared\": \"a\"}}",
         "allow.disk_shared is a string; give a list of strings"},
        /* what does not go together */
        {"{\"demo\": true, \"kernel\": {\"path\": \"k\"}}",
         "kernel.path and demo exclude each other; leave out one"},
        {"{\"demo\": true, \"kernel\": {\"cmdline\": \"k\"}}",
         "kernel.path is missing; give the name of a file"},
        {"{\"demo\": true, \"snapshot\": {\"then\": \"exit\"}}", "snapshot.path is missing; give"},
        {"{\"demo\": true, \"serial\": {\"rate\": 5}}", "serial.out is missing; give stdio, none"},
        {"{\"demo\": true, \"serial\": {\"out\": \"none\", \"limit\": 5}}",
         "serial.limit is for serial.out=file:PATH; leave it out"},
        {"{\"demo\": true, \"serial\": {\"out\": \"file:x\", \"size\": 5}}",
         "serial.size is for serial.out=ring:PATH; leave it out"},
        {"{\"demo\": true, \"restore\": {\"clock\": \"advance\"}}", "restore.path is missing"},
        {"{\"demo\": true, \"restore\": {\"ignore_tsc_rate\": true}}",
         "restore.ignore_tsc_rate is for thawing; give restore.path, or leave out restore.ignore"},
        {"{\"restore\": {\"path\": \"x\"}, \"cpu\": {\"model\": \"host\"}}",
         "cpu.model does not go with restore.path: a thawed guest brings its own; leave out "
         "cpu.model"},
        {"{\"restore\": {\"path\": \"-\"}}",
         "restore.path - needs standard input for itself; set serial.out to none"},
        {"{\"demo\": true, \"board\": {\"release\": \"9\"}}",
         "board.release: 9 is not an earlier release"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        refuse(cases[i].text, strlen(cases[i].text), cases[i].message);
}

static void bytes_behind_the_text_are_not_read(void **state)
{
    static const char text[] = "{\"demo\": true}garbage";
    struct stasis_vmm_config config;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_vmm_config_read(text, 14, &config, &err), 0);
    assert_true(config.demo);
    stasis_vmm_config_fini(&config);
    refuse("{\"demo\": true}\0", 15, "not JSON: line 1, column ");
}

static void depth_and_length_are_bounded(void **state)
{
    static const char demo[] = "{\"demo\":true}";
    const size_t size = STASIS_VMM_CONFIG_BYTES_MAX + 1;
    char *text = malloc(size);
    struct stasis_vmm_config config;

    (void)state;
    memset(text, '[', 10000);
    refuse(text, 10000, "the configuration is nested more than 16 deep; see vmm(1)");
    memset(text, ' ', size);
    for (size_t i = 0; i < sizeof(demo) - 1; i++)
        text[i] = demo[i];
    assert_int_equal(stasis_vmm_config_read(text, size - 1, &config, NULL), 0);
    stasis_vmm_config_fini(&config);
    refuse(text, size, "the configuration is longer than 1048576 bytes; shorten it");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_configuration_is_read),
        cmocka_unit_test(thaw_is_read),
        cmocka_unit_test(wrong_configurations_name_the_key),
        cmocka_unit_test(bytes_behind_the_text_are_not_read),
        cmocka_unit_test(depth_and_length_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
