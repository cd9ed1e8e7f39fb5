/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a thaw returns when a call of KVM fails: a golden snapshot, and a KVM that runs nothing.
 */
#include "support/cmocka_all.h"

#include <errno.h>

#include "support/fake_kvm.h"
#include "vmm/snapshot/thaw.h"

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

static int thaw(struct stasis_snap *snap, struct stasis_error *err)
{
    static const struct stasis_device_host host = {.serial_out = {take, NULL},
                                                   .serial_rx_ready = be_ready,
                                                   .rtc_now_ns = now_ns,
                                                   .rtc_arm = arm,
                                                   .timer_arm = wait_until,
                                                   .random = no_random};
    static const struct stasis_thaw_options options = {.ignore_tsc_rate = true,
                                                       .memory = STASIS_RAM_COPY};
    static struct stasis_machine machine;
    struct stasis_thaw_result result;
    int rc = stasis_thaw(&machine, snap, &options, &host, &result, err);

    if (!rc)
        stasis_machine_fini(&machine);
    return rc;
}

static void fail_call(size_t n, int number)
{
    fake_kvm = (struct fake_kvm){.fail_at = (unsigned)n, .fail_errno = number};
}

/* How many of the calls that fail so give this code. Each gives the same to a caller who does not
 * want to know more. */
static size_t count_code(struct stasis_snap *snap, size_t calls, int number, int code)
{
    size_t count = 0;

    for (size_t n = 1; n <= calls; n++) {
        struct stasis_error err;
        int with, without;

        fail_call(n, number);
        with = thaw(snap, &err);
        fail_call(n, number);
        without = thaw(snap, NULL);
        if (with != without)
            fail_msg("call %zu, errno %d: %d with struct stasis_error, %d without it", n, number,
                     with, without);
        count += with == code;
    }
    return count;
}

static void refusal_is_told_from_failure_without_an_error_object(void **state)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    size_t calls;

    (void)state;
    if (stasis_snap_open(STASIS_GOLDEN_DIR "/0.1.0/demo.snap", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    fail_call(0, 0);
    if (thaw(snap, &err))
        fail_msg("%s", err.msg);
    calls = fake_kvm.count;
    assert_true(count_code(snap, calls, EINVAL, STASIS_ERR_HOST) > 10);
    assert_true(count_code(snap, calls, EIO, STASIS_ERR_KVM) > 10);
    assert_int_equal(count_code(snap, calls, EIO, STASIS_ERR_HOST), 0);
    stasis_snap_free(snap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusal_is_told_from_failure_without_an_error_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
