/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A thaw on trial says what the thaw would: a golden snapshot, and a KVM that runs nothing.
 */
#include "support/cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/fake_kvm.h"
#include "vmm/snapshot/thaw.h"

static struct stasis_snap *snap;
static struct stasis_reasons reasons;
static struct stasis_thaw_result result;
static bool ignore_tsc_rate;

/* ---- a host for devices, which nothing is to be asked of ---- */

static size_t take(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx, (void)bytes;
    return len;
}

static void be_ready(void *ctx, const struct stasis_device *from)
{
    (void)ctx, (void)from;
}

static uint64_t now_ns(void *ctx)
{
    (void)ctx;
    return UINT64_C(1700000000) * 1000000000;
}

static void arm(void *ctx, const struct stasis_device *from, bool on, uint64_t deadline_ns)
{
    (void)ctx, (void)from, (void)on, (void)deadline_ns;
}

static void wait_until(void *ctx, const struct stasis_device *from, uint64_t deadline_ns)
{
    (void)ctx, (void)from, (void)deadline_ns;
}

static bool no_random(void *ctx, uint8_t *bytes, size_t len)
{
    (void)ctx, (void)bytes, (void)len;
    return false;
}

static const struct stasis_device_host host = {.serial_out = {take, NULL},
                                               .serial_rx_ready = be_ready,
                                               .rtc_now_ns = now_ns,
                                               .rtc_arm = arm,
                                               .timer_arm = wait_until,
                                               .random = no_random};

/* ---- both ways ---- */

static struct stasis_thaw_options options(void)
{
    return (struct stasis_thaw_options){.ignore_tsc_rate = ignore_tsc_rate,
                                        .memory = STASIS_RAM_COPY};
}

static int thaw(struct stasis_error *err)
{
    static struct stasis_machine machine;
    const struct stasis_thaw_options opts = options();
    int rc = stasis_thaw(&machine, snap, &opts, &host, &result, err);

    if (!rc)
        stasis_machine_fini(&machine);
    return rc;
}

/* The code of the first reason, which stay. */
static int try(void)
{
    const struct stasis_thaw_options opts = options();
    struct stasis_error err;

    stasis_reasons_fini(&reasons);
    if (stasis_thaw_try(snap, &opts, &host, &reasons, &result, &err))
        fail_msg("%s", err.msg);
    return reasons.count ? (int)reasons.list[0].code : 0;
}

static size_t count_kind(const char *kind)
{
    size_t count = 0;

    for (size_t i = 0; i < reasons.count; i++)
        count += !strcmp(reasons.list[i].kind, kind);
    return count;
}

static void open_snapshot(const char *path)
{
    struct stasis_error err;

    if (stasis_snap_open(path, NULL, &snap, &err))
        fail_msg("%s", err.msg);
}

static int setup(void **state)
{
    (void)state;
    ignore_tsc_rate = true;
    fake_kvm = (struct fake_kvm){0};
    open_snapshot(STASIS_GOLDEN_DIR "/0.1.0/demo.snap");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stasis_snap_free(snap);
    stasis_reasons_fini(&reasons);
    return 0;
}

/* Whichever call of KVM fails: until then the two ask for the same. */
static void each_failure_is_the_first_reason(void **state)
{
    size_t calls, refused = 0;

    (void)state;
    assert_int_equal(try(), 0);
    calls = fake_kvm.count;
    for (size_t n = 1; n <= calls; n++) {
        const int number = n % 2 ? EINVAL : EIO;
        struct stasis_error err;
        int want, got;

        fake_kvm = (struct fake_kvm){.fail_at = (unsigned)n, .fail_errno = number};
        want = thaw(&err);
        fake_kvm = (struct fake_kvm){.fail_at = (unsigned)n, .fail_errno = number};
        got = try();
        if (got != want)
            fail_msg("call %zu, errno %d: thawed %d, on trial %d", n, number, want, got);
        if (want && !strstr(err.msg, reasons.list[0].what))
            fail_msg("call %zu: \"%s\" is not in \"%s\"", n, reasons.list[0].what, err.msg);
        refused += want != 0;
    }
    assert_true(refused > 20);
}

static void what_a_host_lacks_is_the_first_reason(void **state)
{
    static const unsigned flaws[] = {
        FAKE_KVM_FEW_FEATURES,   FAKE_KVM_REFUSES_MSRS,
        FAKE_KVM_LARGE_XSAVE,    FAKE_KVM_LACKS_A_CAP,
        FAKE_KVM_OTHER_API,      FAKE_KVM_NO_DEVICE,
        FAKE_KVM_NO_TSC_CONTROL, FAKE_KVM_NO_TSC_CONTROL | FAKE_KVM_OTHER_TSC_RATE,
    };
    size_t refused = 0;

    (void)state;
    ignore_tsc_rate = false;
    for (size_t i = 0; i < sizeof(flaws) / sizeof(flaws[0]); i++) {
        struct stasis_error err;
        int want;

        fake_kvm = (struct fake_kvm){.flaws = flaws[i]};
        want = thaw(&err);
        fake_kvm = (struct fake_kvm){.flaws = flaws[i]};
        assert_int_equal(try(), want);
        refused += want != 0;
    }
    assert_true(refused > 5);
}

static void all_reasons_are_listed(void **state)
{
    (void)state;
    ignore_tsc_rate = false;
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_FEW_FEATURES | FAKE_KVM_NO_TSC_CONTROL |
                                          FAKE_KVM_OTHER_TSC_RATE | FAKE_KVM_REFUSES_MSRS};
    assert_int_equal(try(), STASIS_ERR_HOST);
    assert_string_equal(reasons.list[0].kind, "cpu-feature");
    assert_true(count_kind("cpu-feature") > 10);
    assert_int_equal(count_kind("tsc-rate"), 1);
    assert_true(count_kind("msr") > 0);
    ignore_tsc_rate = true;
    assert_int_equal(try(), STASIS_ERR_HOST);
    assert_int_equal(count_kind("tsc-rate"), 0);
}

/* Where no VM can be made, what the file asks for is compared all the same. */
static void a_kvm_that_is_too_old_is_compared(void **state)
{
    (void)state;
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_FEW_FEATURES | FAKE_KVM_LACKS_A_CAP};
    assert_int_equal(try(), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(count_kind("kvm-capability"), 1);
    assert_true(count_kind("cpu-feature") > 10);
    assert_int_equal(fake_kvm_first(KVM_CREATE_VM), SIZE_MAX);
}

/* As far as the file can be read. */
static void a_host_is_compared_beside_an_error_of_the_file(void **state)
{
    struct stasis_records *records = stasis_snap_records(snap);

    (void)state;
    stasis_records_remove(records, stasis_records_find(records, "x86.msrs", "cpu0"));
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_FEW_FEATURES};
    assert_int_equal(try(), STASIS_ERR_CORRUPT);
    assert_string_equal(reasons.list[0].kind, "file");
    assert_true(count_kind("cpu-feature") > 10);
    assert_int_equal(result.compared, STASIS_THAW_COMPARED_HOST);
    assert_int_equal(fake_kvm_first(KVM_CREATE_VM), SIZE_MAX);
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_NO_DEVICE};
    assert_int_equal(try(), STASIS_ERR_CORRUPT);
    assert_string_equal(reasons.list[1].kind, "host");
    assert_int_equal(result.compared, STASIS_THAW_COMPARED_CPU);
}

static void devices_in_one_place_are_an_error_of_the_file(void **state)
{
    struct stasis_records *records = stasis_snap_records(snap);
    struct stasis_board_state board;
    struct stasis_error err;

    (void)state;
    assert_int_equal(stasis_records_get(records, &stasis_board_schema, "vm", &board, &err), 0);
    board.devices[1].base = board.devices[0].base + board.devices[0].size - 1;
    assert_int_equal(stasis_records_replace(records, &stasis_board_schema, "vm", &board, &err), 0);
    assert_int_equal(try(), STASIS_ERR_CORRUPT);
    assert_int_equal(reasons.count, 1);
    assert_string_equal(reasons.list[0].kind, "file");
    assert_non_null(strstr(reasons.list[0].what, "kbd and com1 overlap at 0x3ff"));
}

static void copy_with_bad_memory(const char *to)
{
    struct stasis_snap_chunk chunk = {0};
    char *text = NULL;
    uint8_t byte;
    int fd;

    for (uint64_t i = 0; !chunk.stored_len; i++)
        chunk = stasis_snap_chunk_at(snap, i);
    assert_true(asprintf(&text, "cp %s/0.1.0/demo.snap %s", STASIS_GOLDEN_DIR, to) > 0);
    assert_int_equal(system(text), 0); /* NOLINT(cert-env33-c) */
    free(text);
    fd = open(to, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)chunk.offset), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)chunk.offset), 1);
    close(fd);
}

static void memory_is_not_read(void **state)
{
    char path[] = "/tmp/test-thaw-try-XXXXXX";
    struct stasis_error err;
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    copy_with_bad_memory(path);
    stasis_snap_free(snap);
    open_snapshot(path);
    unlink(path);
    assert_int_equal(try(), 0);
    assert_int_equal(thaw(&err), STASIS_ERR_CORRUPT);
}

static unsigned open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void nothing_is_left_open(void **state)
{
    unsigned before = open_fds();

    (void)state;
    assert_int_equal(try(), 0);
    fake_kvm = (struct fake_kvm){.flaws = FAKE_KVM_LACKS_A_CAP};
    assert_int_equal(try(), STASIS_ERR_UNAVAILABLE);
    fake_kvm = (struct fake_kvm){.fail_at = 40};
    (void)try();
    assert_int_equal(open_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_failure_is_the_first_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(what_a_host_lacks_is_the_first_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(all_reasons_are_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_kvm_that_is_too_old_is_compared, setup, teardown),
        cmocka_unit_test_setup_teardown(a_host_is_compared_beside_an_error_of_the_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(devices_in_one_place_are_an_error_of_the_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(memory_is_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_left_open, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
