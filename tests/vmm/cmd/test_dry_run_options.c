/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What --dry-run finds of what the options name: disks, sockets, outputs, snapshots to come.
 */
#include "dry_run_rig.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Behind what stands in the way first. */
static void every_disk_that_is_wrong_is_listed(void **state)
{
    (void)state;
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_set_option("block", "/dev/null/none,id=data");
    dry_run_set_option("block", "/,id=root,readonly=on");
    dry_run_run();
    assert_non_null(strstr(text, "cannot be thawed here: 4 reasons\n"
                                 "  reason: disk data: --block=/dev/null/none: cannot open it; "));
    assert_non_null(strstr(text, "  reason: disk root: --block=/: it is a folder; name a raw "));
    assert_non_null(strstr(text, "  reason: disk data: the guest has no disk data; leave out "
                                 "--block, or set --block id to the name of a disk"));
    assert_non_null(strstr(text, "  reason: disk root: the guest has no disk root; leave out"));
    dry_run_teardown(state);
    dry_run_parse(GOLDEN, "--dry-run", "json");
    dry_run_set_option("block", "/,id=root,readonly=on");
    dry_run_run();
    assert_non_null(strstr(text, "\"kind\": \"disk\",\n      \"object\": \"root\",\n"
                                 "      \"message\": \"--block=/: it is a folder; name a raw "));
}

/* Whether or not the guest can have it. */
static void what_options_bind_is_listed(void **state)
{
    (void)state;
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_run();
    assert_null(strstr(text, "binds"));
    dry_run_teardown(state);
    dry_run_parse("/nowhere/x.snap", "--dry-run", "");
    dry_run_set_option("block", "d.img,id=data,readonly=on");
    dry_run_set_option("block", "e.img,overlay=e.ovl");
    dry_run_set_option("net", "passt=/run/p\033,id=lan");
    dry_run_set_option("vsock", "/run/s,id=talk");
    dry_run_set_option("serial", "file:/tmp/out");
    dry_run_run();
    assert_non_null(strstr(text, "\n  binds: disk data: d.img, read-only\n"
                                 "  binds: disk disk1: e.img, beneath e.ovl\n"
                                 "  binds: network lan: passt at /run/p\\x1b\n"
                                 "  binds: sockets talk: /run/s\n"
                                 "  binds: serial output: /tmp/out\n"));
    dry_run_teardown(state);
    dry_run_parse("/nowhere/x.snap", "--dry-run", "json");
    dry_run_set_option("net", "fd=77");
    dry_run_set_option("serial", "none");
    dry_run_run();
    assert_non_null(strstr(text, "\"binds\": [\n    {\n      \"kind\": \"network\",\n"
                                 "      \"object\": \"net0\",\n"
                                 "      \"message\": \"descriptor 77\"\n"));
    assert_non_null(strstr(text, "\"message\": \"nothing\"\n"));
    dry_run_teardown(state);
    dry_run_parse("/nowhere/x.snap", "--dry-run", "");
    dry_run_set_option("net", "tap=tap7");
    dry_run_run();
    assert_non_null(strstr(text, "  binds: network net0: tap device tap7\n"));
}

static void sockets_are_looked_at_and_not_made(void **state)
{
    (void)state;
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_set_option("vsock", "/nowhere/s,id=talk");
    dry_run_run();
    assert_non_null(strstr(text, "  reason: sockets talk: --vsock=/nowhere/s: cannot open its "));
    assert_non_null(strstr(text, "  reason: sockets talk: the guest has no sockets talk; leave out "
                                 "--vsock, or set --vsock id to the name of sockets that it has"));
    dry_run_teardown(state);
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_set_option("vsock", "/tmp/test_dry_run.sock");
    dry_run_run();
    assert_int_equal(preflight.reasons.count, 1); /* that of the board */
    assert_int_equal(access("/tmp/test_dry_run.sock", F_OK), -1);
}

#define ROOT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void snapshots_that_can_never_be_made_are_reasons(void **state)
{
    (void)state;
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_set_option("snapshot-out", "/nowhere/x,parent=" ROOT);
    dry_run_run();
    assert_non_null(strstr(text, "  reason: option parent: --snapshot-out "
                                 "parent=0011223344556677...: no snapshot can be a layer on that "
                                 "one: there is no earlier one"));
    dry_run_teardown(state);
    dry_run_parse(STASIS_GOLDEN_DIR "/0.2.0/demo.snap", "--dry-run", "");
    dry_run_set_option("snapshot-out", "/nowhere/x,target=0.1.0");
    dry_run_run();
    assert_non_null(strstr(text, "  reason: option target: --snapshot-out target=0.1.0: the guest "
                                 "has rtc, pm, vmgenid, rng, pvpanic, which release 0.1.0 lacks; "
                                 "start a guest with --board 0.1.0, leave out the target"));
    dry_run_teardown(state);
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_set_option("snapshot-out", "/nowhere/x,target=0.1.0");
    dry_run_run();
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
        dry_run_teardown(NULL);
        dry_run_parse(GOLDEN, "--dry-run", "");
        dry_run_set_option(cases[i].option, cases[i].value);
        dry_run_run();
        snprintf(expected, sizeof(expected), "  reason: output %s", cases[i].reason);
        if (preflight.reasons.count != 1 || !strstr(text, expected))
            fail_msg("expected %s\n%s", expected, text);
        assert_int_equal(preflight.reasons.list[0].code, STASIS_ERR_ARG);
    }
    dry_run_teardown(NULL);
    dry_run_parse(GOLDEN, "--dry-run", "");
    dry_run_set_option("serial", "file:/tmp/test_dry_run.out");
    dry_run_set_option("snapshot-out", "/tmp/test_dry_run.snap");
    dry_run_run();
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
    dry_run_parse(GOLDEN, "--dry-run", "");
    snprintf(value, sizeof(value), "%s,overlay=/nowhere/x", image);
    dry_run_set_option("block", value);
    dry_run_run();
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
    dry_run_parse(GOLDEN, "--dry-run", "");
    options.control.path = "/nowhere/sock";
    options.config.log.level = STASIS_VMM_LOG_INFO;
    options.config.log.fd = 999;
    options.config.ready_fd = 998;
    assert_int_equal(stasis_dry_run(&options, to), 2);
    fclose(to);
    options.config.log.fd = options.config.ready_fd = 0;
    options.control.path = NULL;
    assert_non_null(strstr(printed, "  reason: output control: --control: /nowhere/sock: cannot "));
    assert_non_null(
        strstr(printed, "  reason: output ready-fd: --ready-fd=998: descriptor 998 is"));
    assert_non_null(
        strstr(printed, "  reason: output log: --log fd=999: the log cannot be written: "));
    free(printed);
}

/* As a program that has this library may ask; the command line does not get there. */
static void a_standard_descriptor_is_not_told_that_the_guest_runs(void **state)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&printed, &size);

    (void)state;
    dry_run_parse(GOLDEN, "--dry-run", "");
    options.config.ready_fd = 2;
    assert_int_equal(stasis_dry_run(&options, to), 2);
    fclose(to);
    options.config.ready_fd = 0;
    assert_non_null(strstr(printed, "--ready-fd=2: it is a standard"));
    free(printed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_disk_that_is_wrong_is_listed),
        CASE(what_options_bind_is_listed),
        CASE(sockets_are_looked_at_and_not_made),
        CASE(snapshots_that_can_never_be_made_are_reasons),
        CASE(outputs_are_looked_at_and_not_made),
        CASE(the_folder_of_an_overlay_has_to_be_there),
        CASE(descriptors_and_the_control_socket_are_looked_at),
        CASE(a_standard_descriptor_is_not_told_that_the_guest_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
