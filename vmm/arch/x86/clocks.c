/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * kvmclock and the time stamp counters (TSC).
 *
 * A guest can read both within a few nanoseconds, so both must be saved of one moment and set for
 * one moment, however long this thread stands still between two calls (KVM vcpu.rst, 4.1). The
 * moment is named by the host's TSC, which KVM_GET_CLOCK gives with the clock.
 */
#include <inttypes.h>
#include <x86intrin.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/base/clock.h"

/* Of several readings that can be interrupted, one is quick. */
#define READINGS 16
#define QUICK_NS 100000

/* KVM before Linux 5.16 takes a TSC that is within a second of its own for an attempt to
 * synchronize vCPUs, and keeps its own. */
#define FAR_AWAY (UINT64_C(1) << 42)

/* ---- readings of KVM between two of the host's TSC ---- */

struct bracket {
    uint64_t host_tsc;
    uint64_t width;
};

/* Not before what comes before it in the program, nor after what comes after it. */
static uint64_t read_host_tsc(void)
{
    uint64_t tsc;

    _mm_lfence();
    tsc = __rdtsc();
    _mm_lfence();
    return tsc;
}

/* Takes the bracket from `before` to now if it is narrower than *best. */
static bool narrows(struct bracket *best, uint64_t before)
{
    uint64_t width = read_host_tsc() - before;

    if (width >= best->width)
        return false;
    *best = (struct bracket){before + width / 2, width};
    return true;
}

/* ---- kvmclock ---- */

/* KVM says which host TSC belongs to its clock where the host's own clock is the TSC (Linux 5.16).
 * Elsewhere it is the middle of the narrowest bracket. */
int stasis_x86_clock_get(struct stasis_vm *vm, uint32_t chip, void *ret_state,
                         struct stasis_error *err)
{
    struct stasis_x86_clock_state *to = ret_state;
    struct bracket best = {.width = UINT64_MAX};

    (void)chip;
    for (unsigned i = 0; i < READINGS; i++) {
        struct kvm_clock_data clock = {.flags = 0};
        uint64_t before = read_host_tsc();
        int rc = STASIS_KVM(vm->fd, KVM_GET_CLOCK, &clock, err);
        uint64_t time_of_day = stasis_realtime_ns();
        bool exact = clock.flags & KVM_CLOCK_HOST_TSC;

        if (rc)
            return rc;
        if (!exact && !narrows(&best, before))
            continue;
        to->clock_ns = clock.clock;
        to->realtime_ns = clock.flags & KVM_CLOCK_REALTIME ? clock.realtime : time_of_day;
        to->host_tsc = exact ? clock.host_tsc : best.host_tsc;
        if (exact)
            break;
    }
    return 0;
}

/* Without KVM_CLOCK_REALTIME: what time has passed is the clock policy's business
 * (snapshot/thaw.h), for this clock and all the others alike. */
int stasis_x86_clock_set(struct stasis_vm *vm, uint32_t chip, const void *state,
                         struct stasis_error *err)
{
    const struct stasis_x86_clock_state *from = state;
    struct kvm_clock_data clock = {.clock = from->clock_ns};

    (void)chip;
    return STASIS_KVM(vm->fd, KVM_SET_CLOCK, &clock, err);
}

/* Before Linux 5.16, which takes the time of day with the clock: the two are as far apart as the
 * call takes, unless it is held up every time. */
static int set_by_time_of_day(struct stasis_vm *vm, uint64_t clock_ns, uint64_t then_ns,
                              struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < READINGS; i++) {
        uint64_t now = stasis_realtime_ns();
        struct kvm_clock_data clock = {.clock = clock_ns + (now > then_ns ? now - then_ns : 0)};

        rc = STASIS_KVM(vm->fd, KVM_SET_CLOCK, &clock, err);
        if (stasis_realtime_ns() - now < QUICK_NS)
            break;
    }
    return rc;
}

/* Counted from the time of day that was read with the clock to the one at which it is set: no delay
 * on the way is lost to the guest. */
int stasis_x86_clock_set_advanced(struct stasis_vm *vm, uint32_t chip, const void *state,
                                  uint64_t then_ns, struct stasis_error *err)
{
    const struct stasis_x86_clock_state *from = state;
    struct kvm_clock_data clock = {.clock = from->clock_ns,
                                   .flags = KVM_CLOCK_REALTIME,
                                   .realtime = from->realtime_ns ? from->realtime_ns : then_ns};

    (void)chip;
    if (stasis_kvm_cap(vm->fd, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME)
        return STASIS_KVM(vm->fd, KVM_SET_CLOCK, &clock, err);
    return set_by_time_of_day(vm, clock.clock, clock.realtime, err);
}

/* ---- rate of the TSC ---- */

static int tsc_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_tsc_state *to = ret_state;
    int khz = stasis_kvm_ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL);

    if (khz <= 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_TSC_KHZ");
    to->khz = (uint32_t)khz;
    return 0;
}

bool stasis_x86_tsc_close(uint32_t khz, uint32_t other_khz)
{
    uint64_t apart = khz > other_khz ? khz - other_khz : other_khz - khz;

    return apart * 1000000 <= (uint64_t)other_khz * 250;
}

/* Equal, or scaled by KVM. Else left alone, where nothing that the guest was shown depends on it,
 * or when the user allows a clock that is off. */
static int tsc_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_tsc_state *from = state;
    struct stasis_x86_tsc_state host = {.khz = 0};
    int rc = tsc_get(vcpu, &host, err);

    stasis_x86_of(vcpu)->ticks.khz = from->khz;
    if (rc || stasis_x86_tsc_close(host.khz, from->khz))
        return rc;
    if (vcpu->vm->kvm->has_tsc_control &&
        stasis_kvm_ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)from->khz) == 0) {
        stasis_x86_of(vcpu)->scaled_from_khz = host.khz;
        return 0;
    }
    if (stasis_x86_of(vcpu)->ignore_tsc_rate ||
        !stasis_x86_cpuid_needs_tsc_rate(&stasis_x86_of(vcpu)->cpuid))
        return 0;
    return stasis_fail(
        err, STASIS_ERR_HOST,
        "the guest's TSC runs at %" PRIu32 " kHz, this host's at %" PRIu32
        " kHz and cannot be scaled; --ignore tsc-rate thaws it all the same, with clocks "
        "that are off by that factor",
        from->khz, host.khz);
}

const struct stasis_arch_vcpu_record stasis_x86_tsc_part = {
    .schema = &stasis_x86_tsc_schema, .get = tsc_get, .set = tsc_set};

/* ---- value of the TSC at a moment of the host ---- */

/* Ticks at one rate for ticks at another. In two steps, since the product can be wider than 64
 * bits; what a hostile file gives may wrap. */
static int64_t scale(int64_t ticks, uint32_t khz, uint32_t from_khz)
{
    uint64_t n = ticks < 0 ? -(uint64_t)ticks : (uint64_t)ticks;

    n = n / from_khz * khz + n % from_khz * khz / from_khz;
    return (int64_t)(ticks < 0 ? -n : n);
}

/* Ticks of the guest's TSC in so many of the host's. */
static int guest_ticks(struct stasis_vcpu *vcpu, int64_t host_ticks, int64_t *ret_ticks,
                       struct stasis_error *err)
{
    struct stasis_x86_tsc_state rate = {.khz = 0};
    int rc = 0;

    if (stasis_x86_of(vcpu)->scaled_from_khz)
        rc = tsc_get(vcpu, &rate, err);
    if (!rc)
        *ret_ticks = rate.khz ? scale(host_ticks, rate.khz, stasis_x86_of(vcpu)->scaled_from_khz)
                              : host_ticks;
    return rc;
}

static int tsc_offset(struct stasis_vcpu *vcpu, unsigned long request, const char *name,
                      uint64_t *offset, struct stasis_error *err)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)offset};

    return stasis_kvm_call(vcpu->fd, request, name, &attr, err);
}
#define TSC_OFFSET(vcpu, request, offset, err) tsc_offset(vcpu, request, #request, offset, err)

/* KVM adds the offset to the scaled host's TSC, with a scale of more bits than a rate in kHz has:
 * where it scales, the guest's TSC is read near the moment and counted from there. */
int stasis_x86_tsc_at(struct stasis_vcpu *vcpu, uint64_t host_tsc, uint64_t *ret_tsc,
                      struct stasis_error *err)
{
    struct bracket best = {.width = UINT64_MAX};
    uint64_t value = 0, tsc = 0;
    int64_t since = 0;
    int rc = 0;

    if (stasis_x86_of(vcpu)->has_tsc_offset && !stasis_x86_of(vcpu)->scaled_from_khz) {
        rc = TSC_OFFSET(vcpu, KVM_GET_DEVICE_ATTR, &value, err);
        if (!rc)
            *ret_tsc = host_tsc + value;
        return rc;
    }
    for (unsigned i = 0; !rc && i < READINGS; i++) {
        uint64_t before = read_host_tsc();

        rc = stasis_x86_msr_read(vcpu, STASIS_MSR_TSC, &value, err);
        if (!rc && narrows(&best, before))
            tsc = value;
    }
    if (!rc)
        rc = guest_ticks(vcpu, (int64_t)(host_tsc - best.host_tsc), &since, err);
    if (!rc)
        *ret_tsc = tsc + (uint64_t)since;
    return rc;
}

static bool is_within(int64_t ticks, int64_t limit)
{
    return ticks >= -limit && ticks <= limit;
}

/* How far the TSC is ahead of what it should be. */
static int read_ahead(struct stasis_vcpu *vcpu, uint64_t host_tsc, uint64_t wanted,
                      int64_t *ret_ahead, struct stasis_error *err)
{
    uint64_t now;
    int rc = stasis_x86_tsc_at(vcpu, host_tsc, &now, err);

    if (!rc)
        *ret_ahead = (int64_t)(now - wanted);
    return rc;
}

/* By the register. KVM counts from the moment at which it takes the value: what is read back shows
 * by how much that was late, and the next try makes up for it. */
static int write_tsc(struct stasis_vcpu *vcpu, uint64_t host_tsc, uint64_t wanted,
                     struct stasis_error *err)
{
    struct stasis_x86_tsc_state rate = {.khz = 0};
    int64_t since, ahead = 0;
    uint64_t lead = 0;
    int rc = tsc_get(vcpu, &rate, err);

    for (unsigned i = 0; !rc && i < READINGS; i++) {
        lead -= (uint64_t)ahead;
        rc = stasis_x86_msr_write(vcpu, STASIS_MSR_TSC, wanted + FAR_AWAY, err);
        if (!rc)
            rc = guest_ticks(vcpu, (int64_t)(read_host_tsc() - host_tsc), &since, err);
        if (!rc)
            rc = stasis_x86_msr_write(vcpu, STASIS_MSR_TSC, wanted + (uint64_t)since + lead, err);
        if (!rc)
            rc = read_ahead(vcpu, host_tsc, wanted, &ahead, err);
        if (is_within(ahead, rate.khz / 500)) /* 2 us */
            break;
    }
    return rc;
}

/* By the offset, which is exact. */
static int move_tsc(struct stasis_vcpu *vcpu, uint64_t host_tsc, uint64_t wanted,
                    struct stasis_error *err)
{
    uint64_t offset = 0;
    int64_t ahead = 0;
    int rc = TSC_OFFSET(vcpu, KVM_GET_DEVICE_ATTR, &offset, err);

    if (!rc)
        rc = read_ahead(vcpu, host_tsc, wanted, &ahead, err);
    offset -= (uint64_t)ahead;
    return rc ? rc : TSC_OFFSET(vcpu, KVM_SET_DEVICE_ATTR, &offset, err);
}

/* Has the TSC show `wanted` when the host's shows host_tsc. A KVM without hardware virtualization
 * gives guests the host's TSC and answers success all the same: only reading back tells. *ret_ahead
 * is by how much the TSC is ahead then, and 0 where it was set. */
static int set_tsc(struct stasis_vcpu *vcpu, uint64_t host_tsc, uint64_t wanted, int64_t *ret_ahead,
                   struct stasis_error *err)
{
    struct stasis_x86_tsc_state rate = {.khz = 0};
    int64_t ahead = 0;
    int rc = stasis_x86_of(vcpu)->has_tsc_offset ? move_tsc(vcpu, host_tsc, wanted, err)
                                                 : write_tsc(vcpu, host_tsc, wanted, err);

    if (!rc)
        rc = read_ahead(vcpu, host_tsc, wanted, &ahead, err);
    if (!rc)
        rc = tsc_get(vcpu, &rate, err);
    if (!rc)
        *ret_ahead = is_within(ahead, rate.khz) ? 0 : ahead; /* a millisecond */
    return rc;
}

/* ---- all of them ---- */

int stasis_x86_msrs_at_clock(struct stasis_vcpu *vcpu, const void *clock, void *state,
                             struct stasis_error *err)
{
    const struct stasis_x86_clock_state *moment = clock;
    struct stasis_x86_msrs_state *msrs = state;
    int rc = 0;

    for (uint32_t i = 0; !rc && i < msrs->msrs_count; i++) {
        if (msrs->msrs[i].index == STASIS_MSR_TSC)
            rc = stasis_x86_tsc_at(vcpu, moment->host_tsc, &msrs->msrs[i].value, err);
    }
    return rc;
}

/* The deadline for a TSC that is ahead of what it should be: the guest sleeps as long as it was to,
 * at the rate that the TSC has now. 0 would disarm the timer. */
static int move_deadline(struct stasis_vcpu *vcpu, const struct stasis_x86_ticks *ticks,
                         uint64_t tsc, int64_t ahead, uint64_t *ret_deadline,
                         struct stasis_error *err)
{
    int64_t left = (int64_t)(ticks->deadline - tsc);
    struct stasis_x86_tsc_state rate = {.khz = 0};
    int rc = tsc_get(vcpu, &rate, err);

    if (rc)
        return rc;
    left = left > 0 && ticks->khz ? scale(left, rate.khz, ticks->khz) : 0;
    *ret_deadline = tsc + (uint64_t)ahead + (uint64_t)left;
    *ret_deadline += !*ret_deadline;
    return 0;
}

/* The TSC before its deadline (Firecracker #4099, #4666): KVM compares the two when the deadline is
 * written, and arms the timer. */
static int restore_ticks(struct stasis_vcpu *vcpu, const struct stasis_x86_clock_state *now,
                         int64_t passed_ns, bool *tsc_is_set, struct stasis_error *err)
{
    const struct stasis_x86_ticks *ticks = &stasis_x86_of(vcpu)->ticks;
    uint64_t tsc = ticks->tsc + (uint64_t)scale(passed_ns, ticks->khz, 1000000);
    uint64_t deadline = ticks->deadline;
    int64_t ahead = 0;
    int rc = 0;

    if (ticks->has_tsc)
        rc = set_tsc(vcpu, now->host_tsc, tsc, &ahead, err);
    if (!rc && ahead) {
        *tsc_is_set = false;
        if (deadline)
            rc = move_deadline(vcpu, ticks, tsc, ahead, &deadline, err);
    }
    if (!rc && ticks->has_deadline)
        rc = stasis_x86_msr_write(vcpu, STASIS_MSR_TSC_DEADLINE, deadline, err);
    return rc;
}

int stasis_arch_clocks_restore(struct stasis_vcpu *vcpus, uint32_t count, const void *frozen_clock,
                               bool *ret_tsc_is_set, struct stasis_error *err)
{
    const struct stasis_x86_clock_state *frozen = frozen_clock;
    struct stasis_x86_clock_state now;
    bool tsc_is_set = true;
    int rc = stasis_x86_clock_get(vcpus[0].vm, 0, &now, err);

    for (uint32_t i = 0; !rc && i < count; i++)
        rc = restore_ticks(&vcpus[i], &now, (int64_t)(now.clock_ns - frozen->clock_ns), &tsc_is_set,
                           err);
    if (!rc)
        *ret_tsc_is_set = tsc_is_set;
    return rc;
}
