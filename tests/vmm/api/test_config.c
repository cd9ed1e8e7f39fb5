/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/config.h"

#include "support/cmocka_all.h"

#include <string.h>

static void board_has_what_is_configured(void **state)
{
    struct stasis_vmm_config config = {
        .memory_mib = 64, .vcpus = 1, .cpu = STASIS_VMM_CPU_BASELINE, .board_release = "0.1.0"};
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_int_equal(board.ram[0].size, 64 << 20);
    assert_int_equal(board.vcpus, 1);
    assert_string_equal(board.cpu_model, "baseline");
    config.board_release = NULL;
    config.cpu = STASIS_VMM_CPU_HOST;
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_string_equal(board.cpu_model, "host");
    config.cpu = STASIS_VMM_CPU_V2;
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_string_equal(board.cpu_model, "x86-64-v2");
    config.cpu = STASIS_VMM_CPU_V3;
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    assert_string_equal(board.cpu_model, "x86-64-v3");
    config.board_release = "9.9";
    assert_true(stasis_config_board(&config, &board, &err) < 0);
    assert_non_null(strstr(err.msg, "9.9"));
}

static void boot_and_thaw_options(void **state)
{
    char kernel[] = "vmlinuz", initrd[] = "rd", cmdline[] = "quiet";
    const struct stasis_vmm_config config = {.kernel.path = kernel,
                                             .initrd_path = initrd,
                                             .kernel.cmdline = cmdline,
                                             .kernel.load_addr = 0x200000,
                                             .restore.clock = STASIS_VMM_CLOCK_ADVANCE,
                                             .restore.memory = STASIS_RAM_MAP,
                                             .restore.prefetch = STASIS_VMM_PREFETCH_OFF,
                                             .restore.ignore_tsc_rate = true};
    struct stasis_boot_options boot = stasis_config_boot(&config);
    struct stasis_thaw_options thaw = stasis_config_thaw(&config);

    (void)state;
    assert_ptr_equal(boot.kernel_path, kernel);
    assert_ptr_equal(boot.initrd_path, initrd);
    assert_ptr_equal(boot.cmdline, cmdline);
    assert_int_equal(boot.load_addr, 0x200000);
    assert_int_equal(thaw.clock, STASIS_CLOCK_ADVANCE);
    assert_int_equal(thaw.memory, STASIS_RAM_MAP);
    assert_true(thaw.no_prefetch && thaw.ignore_tsc_rate);
    thaw = stasis_config_thaw(&(struct stasis_vmm_config){.restore.track = STASIS_VMM_TRACK_ON});
    assert_true(thaw.tracks_changes);
    thaw = stasis_config_thaw(&(struct stasis_vmm_config){.snapshot.save.parent = "auto"});
    assert_true(thaw.tracks_changes);
    thaw = stasis_config_thaw(&(struct stasis_vmm_config){0});
    assert_false(thaw.tracks_changes);
    assert_int_equal(thaw.clock, STASIS_CLOCK_CONTINUE);
    assert_false(thaw.no_prefetch || thaw.ignore_tsc_rate);
}

static void streams(void **state)
{
    char dash[] = "-", file[] = "-x";

    (void)state;
    assert_false(stasis_config_freezes_to_stream(&(struct stasis_vmm_config){0}));
    assert_false(
        stasis_config_thaws_from_stream(&(struct stasis_vmm_config){.restore.path = file}));
    assert_true(
        stasis_config_freezes_to_stream(&(struct stasis_vmm_config){.snapshot.path = dash}));
    assert_true(stasis_config_thaws_from_stream(&(struct stasis_vmm_config){.restore.path = dash}));
}

static void refuse(const struct stasis_vmm_config *config, const char *words)
{
    struct stasis_vmm *vmm = NULL;
    struct stasis_error err;

    assert_int_equal(stasis_vmm_new(config, NULL, &vmm, &err), STASIS_ERR_ARG);
    assert_null(vmm);
    if (!strstr(err.msg, words))
        fail_msg("\"%s\" lacks \"%s\"", err.msg, words);
}

static void configurations_that_cannot_be(void **state)
{
    (void)state;
    refuse(&(struct stasis_vmm_config){0}, "the configuration has no guest");
    refuse(&(struct stasis_vmm_config){.demo = true, .kernel.path = "k"},
           "kernel.path and demo exclude each other");
    refuse(&(struct stasis_vmm_config){.demo = true, .memory_mib = UINT64_MAX}, "memory_mib");
    refuse(&(struct stasis_vmm_config){.demo = true, .vcpus = UINT64_C(1) << 32}, "vcpus");
    refuse(&(struct stasis_vmm_config){.demo = true, .cpu = (enum stasis_vmm_cpu)99}, "cpu");
    refuse(&(struct stasis_vmm_config){.demo = true, .on_reset = (enum stasis_vmm_on_reset)2},
           "on_reset");
    refuse(&(struct stasis_vmm_config){.demo = true, .kick_signal = 10}, "kick_signal");
    refuse(&(struct stasis_vmm_config){.demo = true,
                                       .ready_fd = 7,
                                       .log = {.level = STASIS_VMM_LOG_INFO, .fd = 7}},
           "ready_fd.fd is also log.fd");
}

/* As stasis/error.h promises. */
static void nobody_need_ask_why(void **state)
{
    static const struct stasis_vmm_config cases[] = {
        {.demo = false},
        {.demo = true, .metrics_path = "/nodir/x"},
        {.demo = true, .serial = {.kind = STASIS_VMM_SERIAL_FILE, .path = "/nodir/x"}},
        {.demo = true, .snapshot.path = "/nodir/x"},
        {.demo = true, .board_release = "9"},
    };
    struct stasis_vmm *vmm = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(stasis_vmm_new(&cases[i], NULL, &vmm, NULL), STASIS_ERR_ARG);
    assert_null(vmm);
}

#define DEMO(...)                                                                                  \
    {                                                                                              \
        .demo = true, __VA_ARGS__                                                                  \
    }

static void choices_that_there_are_not(void **state)
{
    static const struct {
        struct stasis_vmm_config config;
        const char *member;
    } cases[] = {
        {DEMO(.restore.clock = (enum stasis_vmm_clock)9), "restore.clock"},
        {DEMO(.restore.memory = (enum stasis_ram_mode)9), "restore.memory"},
        {DEMO(.restore.track = (enum stasis_vmm_track)9), "restore.track"},
        {DEMO(.restore.prefetch = (enum stasis_vmm_prefetch)9), "restore.prefetch"},
        {DEMO(.serial.kind = (enum stasis_vmm_serial_kind)9), "serial.kind"},
        {DEMO(.snapshot.then = (enum stasis_vmm_then)9), "snapshot.then"},
        {DEMO(.snapshot.save.digest = (enum stasis_vmm_digest)9), "save.digest"},
        {DEMO(.snapshot.save.sync = (enum stasis_vmm_sync)9), "save.sync"},
        {DEMO(.snapshot.save.drop = (enum stasis_vmm_drop)9), "save.drop"},
        {DEMO(.guest_errors.action = (enum stasis_vmm_on_guest_error)9000), "guest_errors.action"},
        {DEMO(.guest_errors.of = (enum stasis_vmm_guest_errors_of)9), "guest_errors.of"},
        {DEMO(.log.level = (enum stasis_vmm_log_level)9), "log.level"},
        {DEMO(.log.time = (enum stasis_vmm_log_time)9), "log.time"},
        {DEMO(.metrics_format = (enum stasis_vmm_metrics_format)9), "metrics_format"},
        {DEMO(.metrics_path = "m", .metrics_every_ms = 9), "metrics_every_ms"},
        {DEMO(.metrics_path = "m", .metrics_every_ms = 86400001), "metrics_every_ms"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(&cases[i].config, cases[i].member);
}

#define GOOD_ROOT "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define BAD_ROOT  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg"

static void a_root_is_32_bytes(void **state)
{
    struct stasis_vmm_config config = {.restore = {.path = "x"}};
    uint8_t root[32];

    (void)state;
    assert_null(stasis_config_root(&config, root));
    config.restore.root = GOOD_ROOT;
    assert_ptr_equal(stasis_config_root(&config, root), root);
    assert_memory_equal(root, "\x00\x11\x22\x33", 4);
    assert_memory_equal(root + 28, "\xcc\xdd\xee\xff", 4);
}

static void members_that_contradict_each_other(void **state)
{
    static const struct {
        struct stasis_vmm_config config;
        const char *words;
    } cases[] = {
        {DEMO(.metrics_every_ms = 10), "there is no metrics.path; set it"},
        {DEMO(.serial.kind = STASIS_VMM_SERIAL_FILE), "serial.path is missing"},
        {DEMO(.serial.kind = STASIS_VMM_SERIAL_RING), "serial.path is missing"},
        {DEMO(.serial.kind = STASIS_VMM_SERIAL_PIPE), "serial.path is missing"},
        {DEMO(.snapshot.on_output = "x"), "no snapshot.path"},
        {DEMO(.snapshot.timed = true), "snapshot.after_ms asks for"},
        {DEMO(.snapshot.save.zlib_level = 13), "zlib_level"},
        {DEMO(.snapshot.save.target = "9.9"), "snapshot.target: 9.9"},
        {DEMO(.snapshot.save = {.target = "0.1.0", .digest = STASIS_VMM_DIGEST_SHA256}),
         "snapshot.target: a file for release 0.1.0 has no digests; leave them out"},
        {DEMO(.snapshot.save.parent = "base.snap"),
         "snapshot.parent is neither auto, none nor a root"},
        {DEMO(.snapshot.save.parent = BAD_ROOT),
         "snapshot.parent is neither auto, none nor a root"},
        {DEMO(.snapshot.save = {.target = "0.1.0", .parent = "auto"}),
         "a file for release 0.1.0 is no layer; leave out snapshot.parent"},
        {DEMO(.restore.layers = "x"), "restore.layers is for a snapshot, but there is no restore"},
        {{.restore = {.path = "x", .root = "12"}}, "restore.root is no root; give the 64"},
        {{.restore = {.path = "x", .root = BAD_ROOT}}, "restore.root is no root; give the 64"},
        {DEMO(.restore.root = GOOD_ROOT), "there is no restore.path; set it"},
        {DEMO(.board_release = "9.9"), "board.release: 9.9"},
        {{.restore.path = "x", .kernel.path = "y"}, "kernel.path and restore.path exclude"},
        {DEMO(.snapshot.save.drop = STASIS_VMM_DROP_ALLOW),
         "snapshot.drop=allow goes with snapshot.target"},
        {DEMO(.snapshot.path = "-"), "snapshot.path - needs standard output"},
        {{.restore.path = "-"}, "restore.path - needs standard input"},
        {DEMO(.snapshot = {.path = "-", .then = STASIS_VMM_THEN_RESUME}), "one snapshot"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(&cases[i].config, cases[i].words);
}

static void networks_that_cannot_be(void **state)
{
    static const struct {
        struct stasis_vmm_config config;
        const char *words;
    } cases[] = {
        {DEMO(.net = {.tap = "t", .passt = "p"}),
         "net.tap, net.passt and net.fd exclude each other; give one of them"},
        {DEMO(.net = {.passt = "p", .fd = 7}), "exclude each other"},
        {DEMO(.net = {.id = "lan"}),
         "the network is not connected to anything; set net.tap, net.passt or net.fd"},
        {DEMO(.net = {.mtu = 1500}), "the network is not connected to anything"},
        {DEMO(.net = {.tap = "t", .id = "a b"}), "net.id=a b: give 1 to 20 of a-z"},
        {DEMO(.net = {.tap = "t", .mac = "03:00:00:00:00:01"}),
         "net.mac=03:00:00:00:00:01: give the address of one station"},
        {DEMO(.net = {.tap = "t", .mtu = 67}), "net.mtu is out of range"},
        {DEMO(.net = {.tap = "t", .mtu = 65536}), "net.mtu is out of range"},
        {DEMO(.net = {.tap = "t", .bandwidth = 131071}), "net.bandwidth is out of range"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(&cases[i].config, cases[i].words);
}

static void sockets_that_cannot_be(void **state)
{
    static const struct {
        struct stasis_vmm_config config;
        const char *words;
    } cases[] = {
        {DEMO(.vsock = {.cid = 7}), "vsock.path is missing; give the path of a socket to be made"},
        {DEMO(.vsock = {.id = "talk"}), "vsock.path is missing"},
        {DEMO(.vsock = {"p", 1}), "vsock.cid=1 is reserved; give 3 to 4294967294"},
        {DEMO(.vsock = {"p", 2}), "vsock.cid=2 is reserved"},
        {DEMO(.vsock = {"p", UINT32_MAX}), "vsock.cid=4294967295 is reserved"},
        {DEMO(.vsock = {"p", UINT64_MAX}), "is reserved"},
        {DEMO(.vsock = {"p", 7, "a b"}), "vsock.id=a b: give 1 to 20 of a-z"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(&cases[i].config, cases[i].words);
}

static void a_board_has_sockets_last(void **state)
{
    struct stasis_vmm_config config = DEMO(.net = {.passt = "p"}, .vsock = {"p", UINT32_MAX - 1});
    struct stasis_board_state board;
    const struct stasis_board_device_state *last = board.devices;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_config_check(&config, NULL, &err), 0);
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    last += board.devices_count - 1;
    assert_string_equal(last->type, "stasis.virtio_vsock");
    assert_string_equal(last->instance, "vsock0");
    assert_int_equal(last->base, 0xd0003000);
    config.board_release = "0.1.0";
    assert_int_equal(stasis_config_board(&config, &board, &err), STASIS_ERR_ARG);
}

static void a_board_has_the_network_behind_the_disks(void **state)
{
    struct stasis_vmm_config config = DEMO(.block = {{"d"}}, .net = {.passt = "p", .id = "lan"});
    struct stasis_board_state board;
    struct stasis_error err;
    const struct stasis_board_device_state *last = board.devices;

    (void)state;
    assert_int_equal(stasis_config_check(&config, NULL, &err), 0);
    assert_int_equal(stasis_config_board(&config, &board, &err), 0);
    last += board.devices_count - 1;
    assert_string_equal(last->type, "stasis.virtio_net");
    assert_string_equal(last->instance, "lan");
    assert_int_equal(last->base, 0xd0003000);
    config.net.id = "disk0";
    assert_int_equal(stasis_config_board(&config, &board, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "two devices have the name disk0"));
}

static void disks_that_cannot_be(void **state)
{
    static const struct {
        struct stasis_vmm_config config;
        const char *words;
    } cases[] = {
        {DEMO(.block[1].readonly = (enum stasis_vmm_block_readonly)9), "block[1].readonly"},
        {DEMO(.block[1].cache = (enum stasis_vmm_block_cache)9), "block[1].cache"},
        {DEMO(.block[7].root = (enum stasis_vmm_block_root)9), "block[7].root"},
        {DEMO(.block[2].iops = (UINT64_C(1) << 30) + 1), "block[2].iops"},
        {DEMO(.block[3].bandwidth = UINT64_MAX), "block[3].bandwidth"},
        {DEMO(.block[0].block_size = 1024), "block[0].block_size=1024: give 512 or 4096"},
        {DEMO(.block[0].id = "x"), "block[0].path is missing; give a raw file or a block device"},
        {DEMO(.block[1].path = "x"), "block[0].path is missing"},
        {DEMO(.block[0].overlay = "x"), "block[0].path is missing"},
        {DEMO(.block = {{.path = "d", .id = ""}}), "block[0].id=: give 1 to 20 of a-z"},
        {DEMO(.block = {{"d"}, {"e", "a b"}}), "block[1].id=a b: give 1 to 20 of a-z"},
        {DEMO(.block = {{"d", "Root"}}), "block[0].id=Root: give 1 to 20 of a-z"},
        {DEMO(.block = {{"d", "123456789012345678901"}}), "give 1 to 20 of a-z"},
        {DEMO(.block = {{"d"}, {"e", "disk0"}}), "block[1].id=disk0: another disk has that name"},
        {DEMO(.block = {{"d", "disk1"}, {"e"}}), "block[1].id=disk1: another disk has that name"},
        {DEMO(.block = {{"d"}}, .allow.disk_changed = {"disk0"}),
         "allow.disk_changed is for thawing; give restore.path"},
        {{.restore.path = "x", .block = {{"d"}}, .allow.disk_changed = {"disk0", "disk1"}},
         "allow.disk_changed=disk1: no disk has that name; leave it out"},
        {DEMO(.allow.disk_shared = {"disk0"}), "allow.disk_shared=disk0: no disk has that name"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(&cases[i].config, cases[i].words);
}

static void snapshots_that_can_never_be_made(void **state)
{
    static const struct {
        struct stasis_vmm_config config;
        const char *words;
    } cases[] = {
        {DEMO(.snapshot.save.target = "0.1.0"),
         "snapshot.target=0.1.0: the guest has rtc, pm, vmgenid, rng, pvpanic, timer, which "
         "release 0.1.0 "
         "lacks; start a guest with board.release 0.1.0, leave out the target, or have them left "
         "out (drop=allow)"},
        {DEMO(.snapshot.save.target = "0.2.0"),
         "snapshot.target=0.2.0: the guest has timer, which release 0.2.0 lacks; start a guest "
         "with board.release 0.2.0"},
        {DEMO(.block = {{"d", "data"}}, .net.tap = "t", .vsock.path = "v", .balloon.id = "b",
              .snapshot.save.target = "0.1.0"),
         "pvpanic, timer, data, net0, vsock0, b, which"},
        {DEMO(.vcpus = 2, .snapshot.save = {.target = "0.1.0", .drop = STASIS_VMM_DROP_ALLOW}),
         "snapshot.target=0.1.0: the board has 2 vCPUs, release 0.1.0 runs at most 1; use a later"},
        {DEMO(.cpu = STASIS_VMM_CPU_V2,
              .snapshot.save = {.target = "0.1.0", .drop = STASIS_VMM_DROP_ALLOW}),
         "snapshot.target=0.1.0: the board has the CPU model x86-64-v2"},
        {DEMO(.vcpus = 2, .board_release = "0.1.0", .snapshot.save.target = "0.1.0"),
         "change vcpu.num"},
        {DEMO(.snapshot.save.parent = GOOD_ROOT),
         "snapshot.parent is a root, but a new guest has no snapshot that could have it; give auto "
         "or none"},
    };
    const struct stasis_vmm_config good[] = {
        DEMO(.board_release = "0.1.0", .snapshot.save.target = "0.1.0"),
        DEMO(.snapshot.save = {.target = "0.1.0", .drop = STASIS_VMM_DROP_ALLOW}),
        DEMO(.vcpus = 2, .board_release = "0.2.0", .block = {{"d"}},
             .snapshot.save.target = "0.2.0"),
        {.restore.path = "x", .snapshot.save.target = "0.1.0"}, /* what is in x is not known yet */
        {.restore.path = "x", .snapshot.save.parent = GOOD_ROOT},
    };
    struct stasis_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse(&cases[i].config, cases[i].words);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(stasis_config_check(&good[i], NULL, &err), 0);
}

static void a_guest_that_writes_may_not_run_on(void **state)
{
    struct stasis_vmm_config config = DEMO(.block = {{"d"}, {"e"}});
    struct stasis_error err;

    (void)state;
    config.block[1].readonly = STASIS_VMM_BLOCK_READONLY_ON;
    assert_int_equal(stasis_config_check_resume(&config, &err), STASIS_ERR_ARG);
    config.snapshot.path = "s";
    config.snapshot.then = STASIS_VMM_THEN_RESUME;
    refuse(&config, "snapshot.then=resume: the guest would run on and write to disk disk0");
    config.allow.disk_shared[0] = "disk0";
    assert_int_equal(stasis_config_check_resume(&config, &err), 0);
    config.block[1].readonly = STASIS_VMM_BLOCK_READONLY_OFF;
    refuse(&config, "write to disk disk1");
    config.allow.disk_shared[1] = "disk1";
    assert_int_equal(stasis_config_check(&config, NULL, &err), 0);
}

static void the_first_disk_that_may_is_the_root(void **state)
{
    struct stasis_vmm_config config = DEMO(.block = {{"d"}, {"e"}});
    struct stasis_board_state board;

    (void)state;
    assert_int_equal(stasis_config_boot(&config).root_disk, 1);
    config.block[0].root = STASIS_VMM_BLOCK_ROOT_OFF;
    assert_int_equal(stasis_config_boot(&config).root_disk, 2);
    config.block[1].root = STASIS_VMM_BLOCK_ROOT_OFF;
    assert_int_equal(stasis_config_boot(&config).root_disk, 0);
    config.block[1].id = "data";
    assert_int_equal(stasis_config_board(&config, &board, NULL), 0);
    assert_string_equal(board.devices[board.devices_count - 2].instance, "disk0");
    assert_string_equal(board.devices[board.devices_count - 1].instance, "data");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(board_has_what_is_configured),
        cmocka_unit_test(disks_that_cannot_be),
        cmocka_unit_test(networks_that_cannot_be),
        cmocka_unit_test(sockets_that_cannot_be),
        cmocka_unit_test(a_board_has_sockets_last),
        cmocka_unit_test(a_board_has_the_network_behind_the_disks),
        cmocka_unit_test(snapshots_that_can_never_be_made),
        cmocka_unit_test(a_guest_that_writes_may_not_run_on),
        cmocka_unit_test(the_first_disk_that_may_is_the_root),
        cmocka_unit_test(boot_and_thaw_options),
        cmocka_unit_test(streams),
        cmocka_unit_test(configurations_that_cannot_be),
        cmocka_unit_test(nobody_need_ask_why),
        cmocka_unit_test(choices_that_there_are_not),
        cmocka_unit_test(a_root_is_32_bytes),
        cmocka_unit_test(members_that_contradict_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
