/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest's TSC and kvmclock over a freeze and a thaw that are held up between any two steps. The
 * linker turns ioctl(2) into ours (--wrap), which does that, and takes from KVM what some lack.
 */
#include "vmm/kvm_pvclock.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/base/clock.h"
#include "vmm/kvm_pattern.h"

/* ---- KVM ---- */

#define DELAY_US 50000

static struct {
    unsigned delay_each; /* holds up every n-th call, before and after it; 0: none */
    bool hides_host_tsc; /* as where the host's clock is not its TSC, or before Linux 5.16 */
    bool has_no_offset;  /* before Linux 5.16 */
    bool drops_tsc;      /* as PVM does */
    unsigned calls;
} kvm;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static bool is_refused(unsigned long request)
{
    return kvm.has_no_offset && request == KVM_HAS_DEVICE_ATTR;
}

static bool is_dropped(unsigned long request)
{
    return kvm.drops_tsc && request == KVM_SET_DEVICE_ATTR;
}

static int call(int fd, unsigned long request, void *arg)
{
    int rc;

    if (is_dropped(request))
        return 0;
    if (is_refused(request)) {
        errno = ENXIO;
        return -1;
    }
    rc = __real_ioctl(fd, request, arg);
    if (request == KVM_GET_CLOCK && kvm.hides_host_tsc)
        ((struct kvm_clock_data *)arg)->flags = 0;
    if (request == KVM_CHECK_EXTENSION && arg == (void *)KVM_CAP_ADJUST_CLOCK && kvm.hides_host_tsc)
        return KVM_CLOCK_TSC_STABLE;
    return rc;
}

static bool is_held_up(unsigned long request)
{
    return _IOC_TYPE(request) == KVMIO && kvm.delay_each && ++kvm.calls % kvm.delay_each == 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;
    bool held_up;
    int rc, error;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    held_up = is_held_up(request);
    if (held_up)
        kvm_sleep_us(DELAY_US);
    rc = call(fd, request, arg);
    error = errno;
    if (held_up)
        kvm_sleep_us(DELAY_US);
    errno = error;
    return rc;
}

/* ---- a guest that is frozen and thawed ---- */

static struct kvm_guest guest;
static struct kvm_probe before, after;

#define MINUTE_NS UINT64_C(60000000000)

static bool frozen_a_minute_ago(void *ctx, const struct stasis_schema *schema, const char *instance,
                                void *state)
{
    (void)ctx;
    (void)instance;
    if (schema == &stasis_machine_schema)
        ((struct stasis_machine_state *)state)->frozen_realtime_ns -= MINUTE_NS;
    if (schema == &stasis_x86_clock_schema)
        ((struct stasis_x86_clock_state *)state)->realtime_ns -= MINUTE_NS;
    return true;
}

static const struct kvm_tamper a_minute_ago = {.record = frozen_a_minute_ago};

/* Frozen and thawed with `delay_each`; the guest's page and TSC are read without. */
static void freeze_and_thaw(unsigned delay_each, const struct kvm_tamper *tamper,
                            enum stasis_clock_policy policy)
{
    struct stasis_snap *snap;

    kvm.delay_each = delay_each;
    snap = kvm_freeze(&guest, tamper);
    kvm_guest_fini(&guest);
    kvm_thaw(&guest, snap, policy);
    kvm.delay_each = 0;
    stasis_snap_free(snap);
}

static int64_t ticks_to_ns(uint64_t ticks, uint32_t khz)
{
    return (int64_t)(ticks / khz * 1000000 + ticks % khz * 1000000 / khz);
}

static uint32_t rate(void)
{
    struct stasis_x86_tsc_state tsc;
    struct stasis_error err;

    kvm_ok(stasis_x86_tsc_part.get(&guest.machine.vcpus[0], &tsc, &err), &err);
    return tsc.khz;
}

/* By how much the TSC, as time, has moved against kvmclock. */
static int64_t torn_ns(struct kvm_pair first, struct kvm_pair second)
{
    return ticks_to_ns(second.tsc - first.tsc, rate()) -
           (int64_t)(second.clock_ns - first.clock_ns);
}

static void assert_torn_at_most(struct kvm_pair first, struct kvm_pair second, int64_t most_ns)
{
    int64_t torn = torn_ns(first, second);

    print_message("  kvmclock went on by %lld ns, the TSC against it by %lld ns\n",
                  (long long)(second.clock_ns - first.clock_ns), (long long)torn);
    assert_true(guest.tsc_is_set);
    assert_true(torn >= -most_ns && torn <= most_ns);
}

/* The host's time of day when a pair was read: not before, not after. */
struct moment {
    uint64_t first_ns, last_ns;
};
static struct moment read_before, read_after;

static struct kvm_pair read_pair(struct kvm_probe *probe, struct moment *ret_moment)
{
    struct kvm_pair pair;

    ret_moment->first_ns = stasis_realtime_ns();
    pair = kvm_pvclock_read(&guest, probe);
    ret_moment->last_ns = stasis_realtime_ns();
    return pair;
}

/* kvmclock has gone on by what the host's time of day has, and ahead_ns more; but for what the
 * rates of the host's clocks differ by. */
static void assert_in_step(struct kvm_pair first, struct kvm_pair second, uint64_t ahead_ns)
{
    const int64_t off_ns = 20000000;
    int64_t moved = (int64_t)(second.clock_ns - first.clock_ns - ahead_ns);

    print_message("  kvmclock lags the host by %lld ns\n",
                  (long long)((int64_t)(read_after.first_ns - read_before.last_ns) - moved));
    assert_true(moved >= (int64_t)(read_after.first_ns - read_before.last_ns) - off_ns);
    assert_true(moved <= (int64_t)(read_after.last_ns - read_before.first_ns) + off_ns);
}

/* The guest's own pairs, of before and after. */
static void read_pairs(unsigned delay_each, const struct kvm_tamper *tamper,
                       enum stasis_clock_policy policy, struct kvm_pair *first,
                       struct kvm_pair *second)
{
    kvm_guest_init(&guest, NULL);
    kvm_probe_attach(&before, &guest.machine.pio, KVM_PORT, 1);
    kvm_pvclock_load(&guest);
    *first = read_pair(&before, &read_before);
    freeze_and_thaw(delay_each, tamper, policy);
    kvm_probe_attach(&after, &guest.machine.pio, KVM_PORT, 1);
    *second = read_pair(&after, &read_after);
    assert_true(second->clock_ns >= first->clock_ns);
}

/* Ends a case whose guest is gone; `settable` is of before it. */
static void end_of_case(bool settable)
{
    if (!settable)
        kvm_case_skip("the TSC, which need not go on with kvmclock: this KVM does not set it");
}

static void held_up_at_each_step(void)
{
    bool settable = kvm_tsc_is_settable();
    struct kvm_pair first, second;

    read_pairs(1, NULL, STASIS_CLOCK_CONTINUE, &first, &second);
    if (settable)
        assert_torn_at_most(first, second, 10000);
    else
        assert_false(guest.tsc_is_set);
    kvm_guest_fini(&guest);
    end_of_case(settable);
}

static void held_up_and_advanced_by_a_minute(void)
{
    bool settable = kvm_tsc_is_settable();
    struct kvm_pair first, second;

    read_pairs(1, &a_minute_ago, STASIS_CLOCK_ADVANCE, &first, &second);
    assert_in_step(first, second, MINUTE_NS);
    if (settable)
        assert_torn_at_most(first, second, 10000);
    kvm_guest_fini(&guest);
    end_of_case(settable);
}

/* Here the narrowest of several readings counts, and no call is exact: how far it can be off is
 * what a call takes, but far less than what some are held up by. */
#define OFF_NS 200000

static void without_the_host_tsc_of_the_clock(void)
{
    bool settable = kvm_tsc_is_settable();
    struct kvm_pair first, second;

    kvm.hides_host_tsc = true;
    read_pairs(7, NULL, STASIS_CLOCK_CONTINUE, &first, &second);
    if (settable)
        assert_torn_at_most(first, second, OFF_NS);
    kvm_guest_fini(&guest);
    end_of_case(settable);
}

/* Nor does KVM take the time of day with the clock. */
static void advanced_without_the_time_of_day_of_the_clock(void)
{
    struct kvm_pair first, second;

    kvm.hides_host_tsc = true;
    read_pairs(7, &a_minute_ago, STASIS_CLOCK_ADVANCE, &first, &second);
    assert_in_step(first, second, MINUTE_NS);
    kvm_guest_fini(&guest);
}

static void without_an_offset_to_set(void)
{
    bool settable = kvm_tsc_is_settable();
    struct kvm_pair first, second;

    kvm.has_no_offset = true;
    read_pairs(7, NULL, STASIS_CLOCK_CONTINUE, &first, &second);
    if (settable)
        assert_torn_at_most(first, second, OFF_NS);
    kvm_guest_fini(&guest);
    end_of_case(settable);
}

/* ---- a KVM that does not take the TSC ---- */

#define HOUR_NS UINT64_C(3600000000000)

/* In TSC-deadline mode, an hour ahead. */
static void arm_deadline(void)
{
    enum { DEADLINE_MODE = 0x40040 };
    struct stasis_vcpu *vcpu = &guest.machine.vcpus[0];
    struct stasis_x86_lapic_state lapic;
    struct stasis_error err;
    uint64_t tsc;

    kvm_ok(stasis_x86_lapic_part.get(vcpu, &lapic, &err), &err);
    lapic.svr = 0x1ff;
    lapic.lvt_timer = DEADLINE_MODE;
    kvm_ok(stasis_x86_lapic_part.set(vcpu, &lapic, &err), &err);
    kvm_ok(stasis_x86_msr_read(vcpu, STASIS_MSR_TSC, &tsc, &err), &err);
    kvm_ok(
        stasis_x86_msr_write(vcpu, STASIS_MSR_TSC_DEADLINE, tsc + HOUR_NS / 1000000 * rate(), &err),
        &err);
}

/* What kvmclock will show when the deadline is reached. */
static int64_t due_ns(void)
{
    struct stasis_snap *snap = kvm_freeze(&guest, NULL);
    struct stasis_x86_clock_state clock;
    uint64_t deadline = kvm_record_msr(snap, STASIS_MSR_TSC_DEADLINE);
    uint64_t tsc = kvm_record_msr(snap, STASIS_MSR_TSC);

    kvm_record(snap, &stasis_x86_clock_schema, "kvmclock", &clock);
    stasis_snap_free(snap);
    assert_true(deadline > tsc);
    return (int64_t)clock.clock_ns + ticks_to_ns(deadline - tsc, rate());
}

/* The deadline is neither lost nor early; kvmclock goes on from where it was. */
static void deadline_where_the_tsc_cannot_be_set(void)
{
    int64_t due, moved;

    kvm.drops_tsc = true;
    kvm_guest_init(&guest, NULL);
    if (!guest.machine.kvm.has_tsc_deadline) {
        kvm_guest_fini(&guest);
        kvm_case_skip("this KVM has no TSC-deadline timer");
    }
    kvm_probe_attach(&before, &guest.machine.pio, KVM_PORT, 1);
    kvm_pvclock_load(&guest);
    (void)kvm_pvclock_read(&guest, &before); /* KVM's clock is exact once a vCPU has run */
    arm_deadline();
    due = due_ns();
    freeze_and_thaw(1, NULL, STASIS_CLOCK_CONTINUE);
    assert_false(guest.tsc_is_set);
    moved = due_ns() - due;
    print_message("  due %lld ns later by kvmclock\n", (long long)moved);
    assert_true(moved >= -10000 && moved <= 10000);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(held_up_at_each_step),
        KVM_CASE(held_up_and_advanced_by_a_minute),
        KVM_CASE(without_the_host_tsc_of_the_clock),
        KVM_CASE(advanced_without_the_time_of_day_of_the_clock),
        KVM_CASE(without_an_offset_to_set),
        KVM_CASE(deadline_where_the_tsc_cannot_be_set),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
