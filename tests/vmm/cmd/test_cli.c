/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "stasis_options.h"
#include "vmm/cmd/cli.h"
#include "vmm/host/match.h"

#define ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define ARG_MAX_COUNT 16

/* Parses a command line given as words between '|', so that words can hold blanks. */
static int parse(const char *line, struct stasis_options *ret_options, struct stasis_error *err)
{
    char name[] = "vmm";
    char *copy = strdup(line);
    char *next = *line ? copy : NULL;
    char *argv[ARG_MAX_COUNT + 1] = {name};
    int argc = 1;
    int rc;

    while (next) {
        assert_true(argc < ARG_MAX_COUNT);
        argv[argc++] = strsep(&next, "|");
    }
    rc = stasis_cli_parse(argc, argv, ret_options, err);
    free(copy);
    return rc;
}

static struct stasis_options good(const char *line)
{
    struct stasis_options options;
    struct stasis_error err;

    if (parse(line, &options, &err))
        fail_msg("%s: %s", line, err.msg);
    return options;
}

static void has_defaults(void **state)
{
    struct stasis_options options = good("--demo");

    (void)state;
    assert_true(options.config.demo);
    assert_null(options.config.kernel.path);
    assert_null(options.config.restore.path);
    assert_null(options.config.snapshot.path);
    assert_false(options.config.snapshot.timed);
    assert_int_equal(options.config.memory_mib, 0); /* the default */
    assert_int_equal(options.config.vcpus, 0);
    assert_null(options.config_path);
    assert_int_equal(options.config.cpu, STASIS_VMM_CPU_HOST);
    assert_int_equal(options.config.serial.kind, STASIS_VMM_SERIAL_STDIO);
    assert_false(options.config.restore.ignore_tsc_rate);
    assert_null(options.config.snapshot.save.notes);
    stasis_cli_fini(&options);
}

static void takes_a_whole_boot(void **state)
{
    struct stasis_options options =
        good("--kernel|path=vm,cmdline=\"console=ttyS0,115200 quiet\",kernel_load_addr=0x1000000|"
             "--initrd=path=rd|--memory|size_mib=512|--vcpu=num=1|--cpu|baseline|--serial|"
             "out=file:\"x\",limit=8K,rate=1M|--snapshot-out|path='a,b',on_output=login:,"
             "after_ms=0,then=resume,compress=zlib:6,digest=none,sync=none,target=0.1.0,drop=allow,"
             "note=z=,"
             "note=image=debian=12,note='a=1,2'|--board|0.1.0");

    (void)state;
    assert_string_equal(options.config.kernel.path, "vm");
    assert_string_equal(options.config.kernel.cmdline, "console=ttyS0,115200 quiet");
    assert_int_equal(options.config.kernel.load_addr, 0x1000000);
    assert_string_equal(options.config.initrd_path, "rd");
    assert_int_equal(options.config.memory_mib, 512);
    assert_int_equal(options.config.cpu, STASIS_VMM_CPU_BASELINE);
    assert_int_equal(options.config.serial.kind, STASIS_VMM_SERIAL_FILE);
    assert_string_equal(options.config.serial.path, "\"x\""); /* a quote within a value is itself */
    assert_int_equal(options.config.serial.limit, 8192);
    assert_int_equal(options.config.serial.rate, 1 << 20);
    assert_string_equal(options.config.snapshot.path, "a,b");
    assert_string_equal(options.config.snapshot.on_output, "login:");
    assert_true(options.config.snapshot.timed);
    assert_int_equal(options.config.snapshot.after_ms, 0);
    assert_int_equal(options.config.snapshot.then, STASIS_VMM_THEN_RESUME);
    assert_int_equal(options.config.snapshot.save.zlib_level, 6);
    assert_int_equal(options.config.snapshot.save.sync, STASIS_VMM_SYNC_NONE);
    assert_string_equal(options.config.snapshot.save.target, "0.1.0");
    assert_int_equal(options.config.snapshot.save.drop, STASIS_VMM_DROP_ALLOW);
    assert_string_equal(options.config.board_release, "0.1.0");
    assert_int_equal(stasis_notes_count(options.config.snapshot.save.notes), 3);
    assert_string_equal(stasis_notes_get(options.config.snapshot.save.notes, "a"), "1,2");
    assert_string_equal(stasis_notes_get(options.config.snapshot.save.notes, "image"), "debian=12");
    assert_string_equal(stasis_notes_get(options.config.snapshot.save.notes, "z"), "");
    stasis_cli_fini(&options);
}

static void takes_every_form_of_compression(void **state)
{
    static const struct {
        const char *line;
        uint64_t level;
    } cases[] = {
        {"--demo|--snapshot-out|f", 0},
        {"--demo|--snapshot-out|f,compress=none", 0},
        {"--demo|--snapshot-out|f,compress=zlib", 1},
        {"--demo|--snapshot-out|f,compress=zlib:12", 12},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stasis_options options = good(cases[i].line);

        assert_int_equal(options.config.snapshot.save.zlib_level, cases[i].level);
        stasis_cli_fini(&options);
    }
}

static void takes_a_whole_thaw(void **state)
{
    struct stasis_options options =
        good("--restore|path=s,clock=advance,memory=map,prefetch=off|--ignore|tsc-rate|--serial|"
             "\"ring:a,b\",size=4096|--snapshot-out|s");

    (void)state;
    assert_string_equal(options.config.restore.path, "s");
    assert_int_equal(options.config.restore.clock, STASIS_VMM_CLOCK_ADVANCE);
    assert_int_equal(options.config.restore.memory, STASIS_RAM_MAP);
    assert_int_equal(options.config.restore.prefetch, STASIS_VMM_PREFETCH_OFF);
    assert_true(options.config.restore.ignore_tsc_rate);
    assert_int_equal(options.config.serial.kind, STASIS_VMM_SERIAL_RING);
    assert_string_equal(options.config.serial.path, "a,b");
    assert_int_equal(options.config.serial.size, 4096);
    assert_string_equal(options.config.snapshot.path, "s");
    assert_int_equal(options.config.snapshot.then, STASIS_VMM_THEN_EXIT);
    stasis_cli_fini(&options);
}

static void takes_an_empty_kernel_command_line(void **state)
{
    struct stasis_options options = good("--kernel=k,cmdline=");

    (void)state;
    assert_string_equal(options.config.kernel.cmdline, "");
    stasis_cli_fini(&options);
}

static void takes_the_start(void **state)
{
    struct stasis_options options = good("--demo|--paused|--ready-fd|7");

    (void)state;
    assert_true(options.config.paused);
    assert_int_equal(options.config.ready_fd, 7);
    stasis_cli_fini(&options);
}

static void takes_streams_beside_another_serial_port(void **state)
{
    struct stasis_options options = good("--restore|-|--snapshot-out|-|--serial|pipe:/tmp/p");

    (void)state;
    assert_string_equal(options.config.restore.path, STASIS_VMM_STREAM);
    assert_string_equal(options.config.snapshot.path, STASIS_VMM_STREAM);
    stasis_cli_fini(&options);
}

static void help_and_version_win_over_everything(void **state)
{
    struct stasis_options options = good("--nonsense|--help");

    (void)state;
    assert_true(options.help);
    stasis_cli_fini(&options);
    options = good("--version");
    assert_true(options.version);
    stasis_cli_fini(&options);
}

#if STASIS_WITH_SANDBOX
static void sandbox_is_on_unless_told_otherwise(void **state)
{
    static const struct {
        const char *line;
        enum stasis_confine_mode mode;
    } cases[] = {
        {"--demo", STASIS_CONFINE_ON},
        {"--demo|--sandbox|on", STASIS_CONFINE_ON},
        {"--demo|--sandbox|off", STASIS_CONFINE_OFF},
        {"--demo|--sandbox|mode=require", STASIS_CONFINE_REQUIRE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stasis_options options = good(cases[i].line);

        assert_int_equal(options.sandbox, cases[i].mode);
        stasis_cli_fini(&options);
    }
}
#endif

/* Each line is refused with a message that holds all of `words`, given between '|'. */
static void observation_is_configured(void **state)
{
    struct stasis_options options = good("--demo|--metrics|m");

    (void)state;
    assert_int_equal(options.config.metrics_format, STASIS_VMM_METRICS_JSON);
    assert_int_equal(options.config.guest_errors.action, STASIS_VMM_GUEST_ERROR_COUNT);
    assert_int_equal(options.config.log.level, STASIS_VMM_LOG_NONE);
    stasis_cli_fini(&options);
    options = good("--demo|--metrics|path=m,format=openmetrics,every_ms=15000|--on-guest-error|"
                   "stop,of=devices|"
                   "--log|warn,fd=7,time=off");
    assert_string_equal(options.config.metrics_path, "m");
    assert_int_equal(options.config.metrics_format, STASIS_VMM_METRICS_OPENMETRICS);
    assert_int_equal(options.config.metrics_every_ms, 15000);
    assert_int_equal(options.config.guest_errors.action, STASIS_VMM_GUEST_ERROR_STOP);
    assert_int_equal(options.config.guest_errors.of, STASIS_VMM_GUEST_ERRORS_OF_DEVICES);
    assert_int_equal(options.config.log.level, STASIS_VMM_LOG_WARN);
    assert_int_equal(options.config.log.fd, 7);
    assert_int_equal(options.config.log.time, STASIS_VMM_LOG_TIME_OFF);
    stasis_cli_fini(&options);
}

static void refuses_with_option_and_remedy(void **state)
{
    static const struct {
        const char *line;
        const char *words;
    } cases[] = {
        {"", "nothing to run|--kernel FILE|--demo|--restore FILE"},
        {"--memory|512", "nothing to run"},
        {"kernel", "kernel is not an option|give --restore FILE|--kernel FILE"},
        {"--memry|1", "--memry|did you mean --memory?"},
        {"--snapshot|x", "did you mean --snapshot-out?"},
        {"--zzz", "see --help"},
        {"-h", "see --help"},
        {"--", "see --help"},
        {"--demo=1", "--demo takes no value"},
        {"--demo|--demo", "--demo is given twice"},
        {"--kernel", "--kernel needs a value|path=FILE"},
        {"--kernel|--demo", "--kernel needs a value"},
        {"--kernel=", "--kernel: path=FILE is missing"},
        {"--kernel|", "--kernel: path=FILE is missing"},
        {"--kernel|path=", "--kernel: path=: give the name of a file"},
        {"--kernel|cmdline=x", "path=FILE is missing"},
        {"--kernel|path=a,path=b", "path is given twice"},
        {"--kernel|a,path=b", "path is given twice"},
        {"--kernel|a,b", "b is not key=value|quotes"},
        {"--kernel|a,cmdline", "--kernel: cmdline needs a value: cmdline=TEXT"},
        {"--demo|--allow|disk-changed", "disk-changed needs a value: disk-changed=NAME"},
        {"--kernel|path=a,foo=b", "unknown key foo|known: path, cmdline, kernel_load_addr"},
        {"--kernel|a,kernel_load_addr=0", "give a guest address"},
        {"--kernel|a,kernel_load_addr=0x800000000000", "give a guest address"},
        {"--kernel|path=\"a", "--kernel|quote"},
        {"--kernel|a,", "comma too many"},
        {"--demo|--memory|0", "--memory: size_mib=0: give MiB from 1"},
        {"--demo|--memory|size_mib=x", "--memory|size_mib=x|give MiB"},
        {"--demo|--memory|4194305", "give MiB from 1 to 4194304 (4 TiB, the most that a snapshot"},
        {"--demo|--memory|99999999999999999999", "give MiB"},
        {"--demo|--memory|1G", "give MiB"},
        {"--demo|--memory|-1", "give MiB"},
        {"--demo|--vcpu|0", "--vcpu: num=0: give 1 to 254"},
        {"--demo|--vcpu|255", "--vcpu: num=255: give 1 to 254"},
        {"--demo|--vcpu|two", "--vcpu: num=two: give 1 to 254"},
        {"--demo|--vcpu|-1", "give 1 to 254"},
        {"--demo|--vcpu|4294967297", "give 1 to 254"},
        {"--demo|--cpu|fast", "--cpu: model=fast: give host, baseline, x86-64-v2 or x86-64-v3"},
        {"--demo|--ready-fd|2", "fd=2: give an open descriptor above 2"},
        {"--demo|--ready-fd|x", "give an open descriptor"},
        {"--demo|--metrics|m,format=xml", "--metrics: format=xml: give json or openmetrics"},
        {"--demo|--metrics|m,every_ms=9", "every_ms=9: give milliseconds from 10 to 86400000"},
        {"--demo|--metrics|m,every_ms=86400001", "give milliseconds from 10 to 86400000"},
        {"--demo|--metrics|every_ms=1000", "path=FILE is missing"},
        {"--demo|--on-guest-error|panic", "action=panic: give count, event or stop"},
        {"--demo|--on-guest-error|stop,of=ram", "of=ram: give all or devices"},
#if STASIS_WITH_SANDBOX
        {"--demo|--sandbox|yes", "mode=yes: give on, off or require"},
#endif
        {"--demo|--on-guest-error|of=all", "action=count|event|stop is missing"},
        {"--demo|--log|loud", "--log: level=loud: give none, error, warn, info or debug"},
        {"--demo|--log|info,fd=2", "fd=2: give an open descriptor above 2"},
        {"--demo|--log|info,time=utc", "time=utc: give on or off"},
        {"--demo|--ready-fd|7|--log|info,fd=7", "--ready-fd is also --log fd, and is closed when"},
        {"--demo|--paused=1", "--paused takes no value"},
        {"--demo|--serial|com1", "out=com1: give stdio, none, file:PATH"},
        {"--demo|--serial|out=", "give stdio"},
        {"--demo|--serial|file", "file:PATH"},
        {"--demo|--serial|file:", "file:PATH"},
        {"--demo|--serial|none:x", "give stdio"},
        {"--demo|--serial|rate=1", "out=stdio|is missing"},
        {"--demo|--serial|stdio,rate=0", "rate=0: give bytes per second"},
        {"--demo|--serial|stdio,rate=2G", "bytes per second"},
        {"--demo|--serial|file:x,limit=0", "give bytes"},
        {"--demo|--serial|file:x,limit=1025G", "give bytes"},
        {"--demo|--serial|ring:x,limit=1",
         "--serial limit is for --serial=file:PATH; leave it out"},
        {"--demo|--serial|file:x,size=1", "--serial size is for --serial=ring:PATH"},
        {"--demo|--snapshot-out|on_output=x", "--snapshot-out: path=FILE is missing"},
        {"--demo|--snapshot-out|x,on_output=", "on_output=: give 1 to 255"},
        {"--demo|--snapshot-out|x,after_ms=1000000000001", "give milliseconds"},
        {"--demo|--snapshot-out|x,then=stop", "give exit or resume"},
        {"--demo|--snapshot-out|-", "--snapshot-out - needs standard output|set --serial to none"},
        {"--demo|--snapshot-out|f,compress=lz4", "compress=lz4|give none, zlib, or zlib:1"},
        {"--demo|--snapshot-out|f,compress=none:1", "compress=none:1"},
        {"--demo|--snapshot-out|f,compress=zlib:0", "compress=zlib:0"},
        {"--demo|--snapshot-out|f,compress=zlib:13", "compress=zlib:13"},
        {"--demo|--snapshot-out|f,compress=zlib:", "compress=zlib:"},
        {"--demo|--snapshot-out|f,sync=maybe", "give full or none"},
        {"--demo|--serial|none|--snapshot-out|-,then=resume",
         "one snapshot|leave out --snapshot-out then"},
        {"--restore|-", "--restore - needs standard input|set --serial to none"},
        {"--restore|x,clock=stop", "--restore: clock=stop: give continue or advance"},
        {"--restore|x,memory=disk", "--restore: memory=disk: give auto, lazy, copy or map"},
        {"--restore|x|--kernel|y", "--kernel and --restore exclude each other; leave out one"},
        {"--restore|x|--demo", "--demo and --restore exclude each other"},
        {"--restore|x|--on-reset|reboot",
         "--on-reset reboot does not go with --restore|leave out --on-reset"},
        {"--demo|--on-crash|snapshot=-", "--on-crash snapshot cannot be standard output"},
        {"--demo|--on-crash|exit,snapshot=x", "--on-crash|exclude each other"},
        {"--demo|--on-crash|panic_text=on", "--on-crash|give exit, or snapshot=FILE"},
        {"--demo|--rtc|sun", "--rtc: model=sun: give cmos or pl031"},
        {"--restore|x|--rtc|pl031", "leave out --rtc"},
        {"--demo|--on-reset|halt", "--on-reset: action=halt: give exit or reboot"},
        {"--restore|x|--initrd|y", "leave out --initrd"},
        {"--restore|x|--memory|1", "--memory does not go with --restore|leave out --memory"},
        {"--restore|x|--vcpu|1", "leave out --vcpu"},
        {"--restore|x|--cpu|host", "leave out --cpu"},
        {"--restore|x|--board|0.1.0", "leave out --board"},
        {"--demo|--board|9.9.9", "--board: 9.9.9 is not an earlier release|give 0.1.0"},
        {"--demo|--snapshot-out|x,target=9",
         "--snapshot-out target: 9 is not an earlier release|give 0.1.0"},
        {"--demo|--snapshot-out|x,drop=allow",
         "--snapshot-out drop=allow goes with --snapshot-out target"},
        {"--demo|--snapshot-out|x,target=0.1.0,drop=some", "give refuse or allow"},
        {"--demo|--snapshot-out|x,note=image",
         "--snapshot-out: note=image: give KEY=VALUE, for example image=debian-12"},
        {"--demo|--snapshot-out|x,note=", "give KEY=VALUE"},
        {"--demo|--snapshot-out|x,note==v", "\"\" cannot be the key of a note: give 1 to 32"},
        {"--demo|--snapshot-out|x,note=Image=v", "\"Image\" cannot be the key of a note"},
        {"--demo|--snapshot-out|x,note=a=1,note=a=2", "the note a is given twice; give it once"},
        {"--demo|--snapshot-out|x,note=a=1,then=exit,then=exit", "then is given twice"},
        {"--kernel|x|--demo", "--kernel and --demo exclude each other"},
        {"--demo|--ignore|tsc-rate", "--ignore tsc-rate is for thawing; give --restore"},
        {"--demo|--dry-run", "--dry-run is for thawing|--restore FILE|leave out --dry-run"},
        {"--demo|--dry-run|json", "--dry-run is for thawing"},
        {"--restore|x|--dry-run|yaml", "--dry-run: format=yaml: give text or json"},
        {"--restore|x|--dry-run=", "--dry-run: format=text|json is missing"},
        {"--restore|x|--ignore|all", "--ignore: what=all: give tsc-rate"},
        {"--kernel|a,x\n\033y=1", "unknown key x\n\033y|--kernel"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stasis_options options;
        struct stasis_error err = {.msg = ""};
        char *words = strdup(cases[i].words);
        char *next = words;

        memset(&options, 0x5a, sizeof(options));
        assert_int_equal(parse(cases[i].line, &options, &err), STASIS_ERR_ARG);
        assert_int_equal(err.code, STASIS_ERR_ARG);
        assert_int_equal(*(unsigned char *)&options, 0x5a); /* untouched */
        while (next) {
            const char *word = strsep(&next, "|");

            if (!strstr(err.msg, word))
                fail_msg("%s: no \"%s\" in: %s", cases[i].line, word, err.msg);
        }
        free(words);
    }
}

static void bounds_the_text_to_wait_for(void **state)
{
    char line[400] = "--demo|--snapshot-out|x,on_output=";
    size_t used = strlen(line);
    struct stasis_options options;

    (void)state;
    memset(line + used, 'x', STASIS_MATCH_MAX);
    options = good(line);
    assert_int_equal(strlen(options.config.snapshot.on_output), STASIS_MATCH_MAX);
    stasis_cli_fini(&options);
    line[used + STASIS_MATCH_MAX] = 'x';
    assert_int_equal(parse(line, &options, NULL), STASIS_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults),
        cmocka_unit_test(takes_a_whole_boot),
        cmocka_unit_test(takes_a_whole_thaw),
        cmocka_unit_test(takes_every_form_of_compression),
        cmocka_unit_test(takes_an_empty_kernel_command_line),
        cmocka_unit_test(takes_the_start),
        cmocka_unit_test(takes_streams_beside_another_serial_port),
        cmocka_unit_test(help_and_version_win_over_everything),
        cmocka_unit_test(observation_is_configured),
#if STASIS_WITH_SANDBOX
        cmocka_unit_test(sandbox_is_on_unless_told_otherwise),
#endif
        cmocka_unit_test(refuses_with_option_and_remedy),
        cmocka_unit_test(bounds_the_text_to_wait_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
