/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * kvmclock and the time stamp counters (TSC).
 *
 * A guest can read both within a few nanoseconds, so both must be saved of one moment and set for
 * one moment, however long this thread stands still between two calls (KVM vcpu.rst, 4.1). The
 * moment is named by the host's TSC, which KVM_GET_CLOCK gives with the clock.
 */
#include "stasis/kvm_x86.h"
#include "vmm/arch/x86/tsc.h"
#include "vmm/base/clock.h"

#define QUICK_NS 100000

/* ---- kvmclock ---- */

/* KVM says which host TSC belongs to its clock where the host's own clock is the TSC (Linux 5.16).
 * Elsewhere it is the middle of the narrowest bracket. */
int stasis_x86_clock_get(struct stasis_vm *vm, uint32_t chip, void *ret_state,
                         struct stasis_error *err)
{
    struct stasis_x86_clock_state *to = ret_state;
    struct stasis_x86_bracket best = {.width = UINT64_MAX};

    (void)chip;
    for (unsigned i = 0; i < STASIS_X86_READINGS; i++) {
        struct kvm_clock_data clock = {.flags = 0};
        uint64_t before = stasis_x86_host_tsc();
        int rc = stasis_vm_get_clock(vm, &clock, err);
        uint64_t time_of_day = stasis_realtime_ns();
        bool exact = clock.flags & KVM_CLOCK_HOST_TSC;

        if (rc)
            return rc;
        if (!exact && !stasis_x86_narrows(&best, before))
            continue;
        to->clock_ns = clock.clock;
        to->realtime_ns = clock.flags & KVM_CLOCK_REALTIME ? clock.realtime : time_of_day;
        to->host_tsc = exact ? clock.host_tsc : best.host_tsc;
        if (exact)
            break;
    }
    return 0;
}

bool stasis_arch_clock_is_stable(const struct stasis_vm *vm)
{
    struct kvm_clock_data clock = {.flags = 0};

    return !stasis_vm_get_clock(vm, &clock, NULL) && clock.flags & KVM_CLOCK_TSC_STABLE;
}

/* Without KVM_CLOCK_REALTIME: what time has passed is the clock policy's business
 * (snapshot/thaw.h), for this clock and all the others alike. */
int stasis_x86_clock_set(struct stasis_vm *vm, uint32_t chip, const void *state,
                         struct stasis_error *err)
{
    const struct stasis_x86_clock_state *from = state;
    struct kvm_clock_data clock = {.clock = from->clock_ns};

    (void)chip;
    return stasis_vm_set_clock(vm, &clock, err);
}

/* Before Linux 5.16, which takes the time of day with the clock: the two are as far apart as the
 * call takes, unless it is held up every time. */
static int set_by_time_of_day(struct stasis_vm *vm, uint64_t clock_ns, uint64_t then_ns,
                              struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < STASIS_X86_READINGS; i++) {
        uint64_t now = stasis_realtime_ns();
        struct kvm_clock_data clock = {.clock = clock_ns + (now > then_ns ? now - then_ns : 0)};

        rc = stasis_vm_set_clock(vm, &clock, err);
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
    if (stasis_vm_cap(vm, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME)
        return stasis_vm_set_clock(vm, &clock, err);
    return set_by_time_of_day(vm, clock.clock, clock.realtime, err);
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
    uint32_t khz = 0;
    int rc = stasis_vcpu_get_tsc_khz(vcpu, &khz, err);

    if (rc)
        return rc;
    left = left > 0 && ticks->khz ? stasis_x86_tsc_scale(left, khz, ticks->khz) : 0;
    *ret_deadline = tsc + (uint64_t)ahead + (uint64_t)left;
    *ret_deadline += !*ret_deadline;
    return 0;
}

/* The TSC before its deadline (Firecracker #4099, #4666): KVM compares the two when the deadline is
 * written, and arms the timer. */
static int restore_ticks(struct stasis_vcpu *vcpu, struct stasis_vcpu *first,
                         const struct stasis_x86_clock_state *now, int64_t passed_ns,
                         bool *tsc_is_set, struct stasis_error *err)
{
    const struct stasis_x86_ticks *ticks = &stasis_x86_of(vcpu)->ticks;
    uint64_t tsc = ticks->tsc + (uint64_t)stasis_x86_tsc_scale(passed_ns, ticks->khz, 1000000);
    uint64_t deadline = ticks->deadline;
    int64_t ahead = 0;
    int rc = 0;

    if (ticks->has_tsc)
        rc = stasis_x86_tsc_set(vcpu, first, now->host_tsc, tsc, &ahead, err);
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
        rc = restore_ticks(&vcpus[i], &vcpus[0], &now, (int64_t)(now.clock_ns - frozen->clock_ns),
                           &tsc_is_set, err);
    if (!rc)
        *ret_tsc_is_set = tsc_is_set;
    return rc;
}
