/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What --dry-run prints and finds, beside a KVM that runs nothing.
 */
#include "vmm/cmd/dry_run.h"

#include "support/cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/fake_kvm.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/cmd/cli.h"

/* ---- userfaultfd that is not permitted ---- */

struct stasis_uffd;
int __real_stasis_uffd_open(int device, struct stasis_uffd *uffd);
int __wrap_stasis_uffd_open(int device, struct stasis_uffd *uffd);

static bool is_permitted;

int __wrap_stasis_uffd_open(int device, struct stasis_uffd *uffd)
{
    if (is_permitted)
        return __real_stasis_uffd_open(device, uffd);
    errno = EPERM;
    return -1;
}

/* ---- the CPU, where there is no KVM ---- */

static bool cpu_is_poor; /* it has no feature at all; else all that it is asked for */

struct stasis_x86_cpuid_leaf_state __wrap_stasis_x86_cpuid_read(uint32_t function, uint32_t index);

struct stasis_x86_cpuid_leaf_state __wrap_stasis_x86_cpuid_read(uint32_t function, uint32_t index)
{
    const uint32_t bits = cpu_is_poor ? 0 : UINT32_MAX;

    return (struct stasis_x86_cpuid_leaf_state){function, index, 0, bits, bits, bits, bits};
}

/* ---- the output ---- */

static struct stasis_options options;
static struct stasis_preflight preflight;
static char *text;

/* argv[1] up to NULL. */
static void parse(const char *path, const char *option, const char *format)
{
    char *argv[] = {strdup("vmm"),      strdup("--restore"), strdup(path),  strdup("--ignore"),
                    strdup("tsc-rate"), strdup(option),      strdup(format)};
    struct stasis_error err;
    int argc = *format ? 7 : 6;

    if (stasis_cli_parse(argc, argv, &options, &err))
        fail_msg("%s", err.msg);
    assert_true(options.dry_run);
    for (size_t i = 0; i < 7; i++)
        free(argv[i]);
}

static void print(void)
{
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    stasis_dry_run_print(&options, &preflight, to);
    fclose(to);
}

static void run(void)
{
    struct stasis_error err;

    if (stasis_preflight_run(&options.config, &preflight, &err))
        fail_msg("%s", err.msg);
    print();
}

static int setup(void **state)
{
    (void)state;
    is_permitted = false;
    cpu_is_poor = false;
    fake_kvm = (struct fake_kvm){0};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stasis_preflight_fini(&preflight);
    stasis_cli_fini(&options);
    free(text);
    text = NULL;
    return 0;
}

#define GOLDEN STASIS_GOLDEN_DIR "/0.1.0/demo.snap"

static void add(struct stasis_reasons *reasons, struct stasis_reason reason)
{
    stasis_reasons_add(reasons, &reason);
}

static void make_up(void)
{
    const struct stasis_reason feature = {.code = STASIS_ERR_HOST,
                                          .kind = "cpu-feature",
                                          .is_listed = true,
                                          .object = "avx2",
                                          .asks = "bit 5",
                                          .has = "clear",
                                          .what = "this host lacks:",
                                          .remedy = "be modest"};
    struct stasis_reason second = feature;

    second.object[3] = '3';
    add(&preflight.reasons, feature);
    add(&preflight.reasons, second);
    add(&preflight.reasons,
        (struct stasis_reason){
            .code = STASIS_ERR_KVM, .kind = "state", .object = "x", .what = "a\033b \"quoted\""});
    preflight.reasons.more = 2;
    add(&preflight.warnings,
        (struct stasis_reason){.kind = "clock", .object = "TSC", .what = "will jump"});
}

static void text_is_for_people(void **state)
{
    (void)state;
    parse("a.snap", "--dry-run", "");
    make_up();
    print();
    assert_string_equal(text, "vmm: a.snap: cannot be thawed here: 5 reasons\n"
                              "  reason: cpu-feature avx2: the guest needs bit 5, this host has: "
                              "clear\n"
                              "  reason: cpu-feature avx3: the guest needs bit 5, this host has: "
                              "clear\n"
                              "  remedy: be modest\n"
                              "  reason: state x: a\\x1bb \"quoted\"\n"
                              "  reason: 2 more\n"
                              "  warning: clock TSC: will jump\n");
}

static void json_is_for_programs(void **state)
{
    (void)state;
    parse("a.snap", "--dry-run", "json");
    make_up();
    print();
    assert_string_equal(text, "{\n"
                              "  \"file\": \"a.snap\",\n"
                              "  \"thaws\": false,\n"
                              "  \"status\": 4,\n"
                              "  \"reasons\": [\n"
                              "    {\n"
                              "      \"kind\": \"cpu-feature\",\n"
                              "      \"object\": \"avx2\",\n"
                              "      \"asks\": \"bit 5\",\n"
                              "      \"has\": \"clear\",\n"
                              "      \"message\": \"this host lacks: avx2; be modest\",\n"
                              "      \"remedy\": \"be modest\",\n"
                              "      \"status\": 4\n"
                              "    },\n"
                              "    {\n"
                              "      \"kind\": \"cpu-feature\",\n"
                              "      \"object\": \"avx3\",\n"
                              "      \"asks\": \"bit 5\",\n"
                              "      \"has\": \"clear\",\n"
                              "      \"message\": \"this host lacks: avx3; be modest\",\n"
                              "      \"remedy\": \"be modest\",\n"
                              "      \"status\": 4\n"
                              "    },\n"
                              "    {\n"
                              "      \"kind\": \"state\",\n"
                              "      \"object\": \"x\",\n"
                              "      \"message\": \"a\\u001bb \\\"quoted\\\"\",\n"
                              "      \"status\": 1\n"
                              "    }\n"
                              "  ],\n"
                              "  \"more_reasons\": 2,\n"
                              "  \"warnings\": [\n"
                              "    {\n"
                              "      \"kind\": \"clock\",\n"
                              "      \"object\": \"TSC\",\n"
                              "      \"message\": \"will jump\"\n"
                              "    }\n"
                              "  ],\n"
                              "  \"binds\": []\n"
                              "}\n");
}

static void a_host_that_can_says_so(void **state)
{
    (void)state;
    is_permitted = true;
    parse(GOLDEN ",memory=copy", "--dry-run", "");
    run();
    assert_int_equal(strncmp(text, "vmm: " GOLDEN ": can be thawed here\n",
                             strlen("vmm: " GOLDEN ": can be thawed here\n")),
                     0);
    assert_null(strstr(text, "userfaultfd"));
}

/* PVM's KVM, and a process without rights. */
static void what_would_be_otherwise_is_a_warning(void **state)
{
    (void)state;
    fake_kvm.flaws = FAKE_KVM_DROPS_TSC_OFFSET;
    parse(GOLDEN, "--dry-run=text", "");
    run();
    assert_int_equal(preflight.reasons.count, 0);
    assert_non_null(strstr(text, ": can be thawed here\n"));
    assert_non_null(strstr(text, "  warning: userfaultfd memory=lazy: userfaultfd is not permitted "
                                 "(Operation not permitted): let this user open "
                                 "/dev/userfaultfd, or pass a descriptor of it as uffd_fd; "
                                 "memory=copy will be used instead of lazy\n"));
    assert_non_null(strstr(text, "  warning: clock TSC: this host's KVM cannot set"));
}

static void a_file_that_is_none_is_a_reason(void **state)
{
    (void)state;
    parse("/nowhere/x.snap", "--dry-run=json", "");
    run();
    assert_int_equal(preflight.reasons.list[0].code, STASIS_ERR_NOT_FOUND);
    assert_non_null(strstr(text, "\"message\": \"/nowhere/x.snap: No such file or directory\""));
    stasis_preflight_fini(&preflight);
    stasis_cli_fini(&options);
    free(text);
    parse("/dev/null", "--dry-run", "");
    run();
    assert_int_equal(preflight.reasons.list[0].code, STASIS_ERR_CORRUPT);
}

/* Both what the file lacks and what the host lacks, in the order of a thaw. */
static void a_host_without_kvm_is_a_reason_beside_the_file(void **state)
{
    static const char *const files[] = {"/dev/null", STASIS_GOLDEN_DIR "/0.1.0/edge.snap"};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        teardown(NULL);
        fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_OTHER_API};
        parse(files[i], "--dry-run", "");
        run();
        assert_int_equal(preflight.reasons.count, 2);
        assert_string_equal(preflight.reasons.list[0].kind, "file");
        assert_string_equal(preflight.reasons.list[1].kind, "host");
    }
    teardown(NULL);
    parse(GOLDEN, "--dry-run", "");
    run();
    assert_int_equal(preflight.reasons.count, 1); /* told once */
}

static size_t count_kind(const char *kind)
{
    size_t count = 0;

    for (size_t i = 0; i < preflight.reasons.count; i++)
        count += !strcmp(preflight.reasons.list[i].kind, kind);
    return count;
}

static void set_option(const char *option, const char *value)
{
    struct stasis_error err;

    if (stasis_vmm_config_set(&options.config, option, value, &err))
        fail_msg("%s", err.msg);
}

/* Behind what stands in the way first. */
static void every_disk_that_is_wrong_is_listed(void **state)
{
    (void)state;
    parse(GOLDEN, "--dry-run", "");
    set_option("block", "/dev/null/none,id=data");
    set_option("block", "/,id=root,readonly=on");
    run();
    assert_non_null(strstr(text, "cannot be thawed here: 4 reasons\n"
                                 "  reason: disk data: --block=/dev/null/none: cannot open it; "));
    assert_non_null(strstr(text, "  reason: disk root: --block=/: it is a folder; name a raw "));
    assert_non_null(strstr(text, "  reason: disk data: the guest has no disk data; leave out "
                                 "--block, or set --block id to the name of a disk"));
    assert_non_null(strstr(text, "  reason: disk root: the guest has no disk root; leave out"));
    teardown(state);
    parse(GOLDEN, "--dry-run", "json");
    set_option("block", "/,id=root,readonly=on");
    run();
    assert_non_null(strstr(text, "\"kind\": \"disk\",\n      \"object\": \"root\",\n"
                                 "      \"message\": \"--block=/: it is a folder; name a raw "));
}

/* Whether or not the guest can have it. */
static void what_options_bind_is_listed(void **state)
{
    (void)state;
    parse(GOLDEN, "--dry-run", "");
    run();
    assert_null(strstr(text, "binds"));
    teardown(state);
    parse("/nowhere/x.snap", "--dry-run", "");
    set_option("block", "d.img,id=data,readonly=on");
    set_option("block", "e.img,overlay=e.ovl");
    set_option("net", "passt=/run/p\033,id=lan");
    set_option("vsock", "/run/s,id=talk");
    set_option("serial", "file:/tmp/out");
    run();
    assert_non_null(strstr(text, "\n  binds: disk data: d.img, read-only\n"
                                 "  binds: disk disk1: e.img, beneath e.ovl\n"
                                 "  binds: network lan: passt at /run/p\\x1b\n"
                                 "  binds: sockets talk: /run/s\n"
                                 "  binds: serial output: /tmp/out\n"));
    teardown(state);
    parse("/nowhere/x.snap", "--dry-run", "json");
    set_option("net", "fd=77");
    set_option("serial", "none");
    run();
    assert_non_null(strstr(text, "\"binds\": [\n    {\n      \"kind\": \"network\",\n"
                                 "      \"object\": \"net0\",\n"
                                 "      \"message\": \"descriptor 77\"\n"));
    assert_non_null(strstr(text, "\"message\": \"nothing\"\n"));
    teardown(state);
    parse("/nowhere/x.snap", "--dry-run", "");
    set_option("net", "tap=tap7");
    run();
    assert_non_null(strstr(text, "  binds: network net0: tap device tap7\n"));
}

static void sockets_are_looked_at_and_not_made(void **state)
{
    (void)state;
    parse(GOLDEN, "--dry-run", "");
    set_option("vsock", "/nowhere/s,id=talk");
    run();
    assert_non_null(strstr(text, "  reason: sockets talk: --vsock=/nowhere/s: cannot open its "));
    assert_non_null(strstr(text, "  reason: sockets talk: the guest has no sockets talk; leave out "
                                 "--vsock, or set --vsock id to the name of sockets that it has"));
    teardown(state);
    parse(GOLDEN, "--dry-run", "");
    set_option("vsock", "/tmp/test_dry_run.sock");
    run();
    assert_int_equal(preflight.reasons.count, 1); /* that of the board */
    assert_int_equal(access("/tmp/test_dry_run.sock", F_OK), -1);
}

#define ROOT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void snapshots_that_can_never_be_made_are_reasons(void **state)
{
    (void)state;
    parse(GOLDEN, "--dry-run", "");
    set_option("snapshot-out", "/nowhere/x,parent=" ROOT);
    run();
    assert_non_null(strstr(text, "  reason: option parent: --snapshot-out "
                                 "parent=0011223344556677...: no snapshot can be a layer on that "
                                 "one: there is no earlier one"));
    teardown(state);
    parse(STASIS_GOLDEN_DIR "/0.2.0/demo.snap", "--dry-run", "");
    set_option("snapshot-out", "/nowhere/x,target=0.1.0");
    run();
    assert_non_null(strstr(text, "  reason: option target: --snapshot-out target=0.1.0: the guest "
                                 "has rtc, pm, vmgenid, rng, pvpanic, which release 0.1.0 lacks; "
                                 "start a guest with --board 0.1.0, leave out the target"));
    teardown(state);
    parse(GOLDEN, "--dry-run", "");
    set_option("snapshot-out", "/nowhere/x,target=0.1.0");
    run();
    assert_null(strstr(text, "reason: option"));
}

/* Each by a restore, too, in the same words. */
static void outputs_are_looked_at_and_not_made(void **state)
{
    static const struct {
        const char *option, *value, *reason;
    } cases[] = {
        {"snapshot-out", "/nowhere/x", "snapshot-out: --snapshot-out=/nowhere/x: opening its fo"},
        {"on-crash", "snapshot=/nowhere/x", "on-crash: --on-crash snapshot=/nowhere/x: opening"},
        {"metrics", "/nowhere/x", "metrics: --metrics=/nowhere/x: opening its folder: No such "},
        {"metrics", "/nowhere/x,every_ms=99", "metrics: --metrics=/nowhere/x: opening its fold"},
        {"serial", "file:/nowhere/x", "serial: --serial=/nowhere/x: opening its folder: No suc"},
        {"serial", "pipe:/dev", "serial: --serial=/dev: it is a folder; name a file"},
        {"snapshot-out", GOLDEN "/", "snapshot-out: --snapshot-out=" GOLDEN "/: it names a fold"},
    };
    char expected[512];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        teardown(NULL);
        parse(GOLDEN, "--dry-run", "");
        set_option(cases[i].option, cases[i].value);
        run();
        snprintf(expected, sizeof(expected), "  reason: output %s", cases[i].reason);
        if (preflight.reasons.count != 1 || !strstr(text, expected))
            fail_msg("expected %s\n%s", expected, text);
        assert_int_equal(preflight.reasons.list[0].code, STASIS_ERR_ARG);
    }
    teardown(NULL);
    parse(GOLDEN, "--dry-run", "");
    set_option("serial", "file:/tmp/test_dry_run.out");
    set_option("snapshot-out", "/tmp/test_dry_run.snap");
    run();
    assert_int_equal(preflight.reasons.count, 0);
    assert_int_equal(access("/tmp/test_dry_run.out", F_OK), -1);
    assert_int_equal(access("/tmp/test_dry_run.snap", F_OK), -1);
}

static void the_folder_of_an_overlay_has_to_be_there(void **state)
{
    char image[] = "/tmp/test_dry_run.XXXXXX", value[96];
    int fd = mkstemp(image);

    (void)state;
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    close(fd);
    parse(GOLDEN, "--dry-run", "");
    snprintf(value, sizeof(value), "%s,overlay=/nowhere/x", image);
    set_option("block", value);
    run();
    unlink(image);
    assert_non_null(
        strstr(text, "  reason: disk overlay: --block overlay=/nowhere/x: opening its"));
    assert_int_equal(preflight.reasons.list[0].code, STASIS_ERR_WRITE);
}

static void descriptors_and_the_control_socket_are_looked_at(void **state)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&printed, &size);

    (void)state;
    parse(GOLDEN, "--dry-run", "");
    options.control.path = "/nowhere/sock";
    options.config.log.level = STASIS_VMM_LOG_INFO;
    options.config.log.fd = 999;
    options.config.ready_fd = 998;
    assert_int_equal(stasis_dry_run(&options, to), 2);
    fclose(to);
    options.config.log.fd = options.config.ready_fd = 0;
    options.control.path = NULL;
    assert_non_null(strstr(printed, "  reason: output control: --control: /nowhere/sock: cannot "));
    assert_non_null(strstr(printed, "  reason: output ready-fd: descriptor 998, which is to be"));
    assert_non_null(strstr(printed, "  reason: output log: the log cannot be written: descriptor"));
    free(printed);
}

static void features_are_compared_without_kvm(void **state)
{
    (void)state;
    cpu_is_poor = true;
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_NO_DEVICE};
    parse(GOLDEN, "--dry-run", "");
    run();
    assert_string_equal(preflight.reasons.list[0].kind, "host");
    assert_true(count_kind("cpu-feature") > 10);
    assert_non_null(strstr(text, "  reason: cpu-feature cx16: the guest needs CPUID 1.0 ECX bit 13,"
                                 " this host has: clear\n"));
    assert_null(strstr(text, "tsc_adjust")); /* which KVM gives to any guest */
    assert_non_null(strstr(text, "  warning: host comparison: without KVM only this CPU's"));
}

static void how_far_the_host_was_compared_is_told(void **state)
{
    (void)state;
    parse(STASIS_GOLDEN_DIR "/0.1.0/edge.snap", "--dry-run", "");
    run();
    assert_non_null(strstr(text, "  warning: host comparison: this host was not compared with"));
    teardown(NULL);
    fake_kvm.flaws = FAKE_KVM_LACKS_A_CAP;
    parse(GOLDEN, "--dry-run", "");
    run();
    assert_non_null(strstr(text, "  warning: host comparison: KVM was asked for CPU features"));
    teardown(NULL);
    fake_kvm.flaws = FAKE_KVM_REFUSES_MSRS;
    parse(GOLDEN, "--dry-run", "");
    run();
    assert_null(strstr(text, "comparison"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_is_for_people, setup, teardown),
        cmocka_unit_test_setup_teardown(json_is_for_programs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_that_can_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(what_would_be_otherwise_is_a_warning, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_none_is_a_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_without_kvm_is_a_reason_beside_the_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(every_disk_that_is_wrong_is_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_options_bind_is_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(sockets_are_looked_at_and_not_made, setup, teardown),
        cmocka_unit_test_setup_teardown(snapshots_that_can_never_be_made_are_reasons, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(outputs_are_looked_at_and_not_made, setup, teardown),
        cmocka_unit_test_setup_teardown(the_folder_of_an_overlay_has_to_be_there, setup, teardown),
        cmocka_unit_test_setup_teardown(descriptors_and_the_control_socket_are_looked_at, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(features_are_compared_without_kvm, setup, teardown),
        cmocka_unit_test_setup_teardown(how_far_the_host_was_compared_is_told, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
