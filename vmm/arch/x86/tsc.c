/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The time stamp counters (TSC) of vCPUs: their rate, and their value at a moment of the host's.
 */
#include <inttypes.h>
#include <stdio.h>

#include "vmm/arch/x86/tsc.h"

/* KVM before Linux 5.16 takes a TSC that is within a second of its own for an attempt to
 * synchronize vCPUs, and keeps its own. */
#define FAR_AWAY (UINT64_C(1) << 42)

/* ---- rate of the TSC ---- */

/* KVM changes it only where it is told to. */
static int tsc_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_tsc_state *to = ret_state;
    uint32_t *known = &stasis_x86_of(vcpu)->tsc_khz;
    int rc = *known ? 0 : stasis_vcpu_get_tsc_khz(vcpu, known, err);

    if (!rc)
        to->khz = *known;
    return rc;
}

bool stasis_x86_tsc_close(uint32_t khz, uint32_t other_khz)
{
    uint64_t apart = khz > other_khz ? khz - other_khz : other_khz - khz;

    return apart * 1000000 <= (uint64_t)other_khz * 250;
}

static int refuse_rate(struct stasis_vcpu *vcpu, uint32_t khz, uint32_t host_khz,
                       struct stasis_error *err)
{
    struct stasis_reason reason = {.code = STASIS_ERR_HOST,
                                   .kind = "tsc-rate",
                                   .object = "TSC rate",
                                   .remedy = "thaw it all the same, with clocks that are off by "
                                             "that factor, by restore.ignore_tsc_rate"};
    struct stasis_reasons reasons = {.list = &reason, .count = 1};

    snprintf(reason.asks, sizeof(reason.asks), "%" PRIu32 " kHz", khz);
    snprintf(reason.has, sizeof(reason.has), "%" PRIu32 " kHz, not scalable", host_khz);
    snprintf(reason.what, sizeof(reason.what),
             "the guest's TSC runs at %" PRIu32 " kHz, this host's at %" PRIu32
             " kHz and cannot be scaled",
             khz, host_khz);
    return stasis_x86_refuse(vcpu, &reasons, err);
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
    if (vcpu->vm->kvm->has_tsc_control && !stasis_vcpu_set_tsc_khz(vcpu, from->khz, NULL)) {
        stasis_x86_of(vcpu)->scaled_from_khz = host.khz;
        stasis_x86_of(vcpu)->tsc_khz = 0;
        return 0;
    }
    if (stasis_x86_of(vcpu)->ignore_tsc_rate ||
        !stasis_x86_cpuid_needs_tsc_rate(&stasis_x86_of(vcpu)->cpuid))
        return 0;
    return refuse_rate(vcpu, from->khz, host.khz, err);
}

const struct stasis_arch_vcpu_record stasis_x86_tsc_part = {
    .schema = &stasis_x86_tsc_schema, .get = tsc_get, .set = tsc_set};

/* ---- value of the TSC at a moment of the host ---- */

/* Ticks at one rate for ticks at another. In two steps, since the product can be wider than 64
 * bits; what a hostile file gives may wrap. */
int64_t stasis_x86_tsc_scale(int64_t ticks, uint32_t khz, uint32_t from_khz)
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
        *ret_ticks = rate.khz ? stasis_x86_tsc_scale(host_ticks, rate.khz,
                                                     stasis_x86_of(vcpu)->scaled_from_khz)
                              : host_ticks;
    return rc;
}

/* KVM adds the offset to the scaled host's TSC, with a scale of more bits than a rate in kHz has:
 * where it scales, the guest's TSC is read near the moment and counted from there. */
int stasis_x86_tsc_at(struct stasis_vcpu *vcpu, uint64_t host_tsc, uint64_t *ret_tsc,
                      struct stasis_error *err)
{
    struct stasis_x86_bracket best = {.width = UINT64_MAX};
    uint64_t value = 0, tsc = 0;
    int64_t since = 0, offset = 0;
    int rc = 0;

    if (stasis_x86_of(vcpu)->has_tsc_offset && !stasis_x86_of(vcpu)->scaled_from_khz) {
        rc = stasis_vcpu_get_tsc_offset(vcpu, &offset, err);
        if (!rc)
            *ret_tsc = host_tsc + (uint64_t)offset;
        return rc;
    }
    for (unsigned i = 0; !rc && i < STASIS_X86_READINGS; i++) {
        uint64_t before = stasis_x86_host_tsc();

        rc = stasis_x86_msr_read(vcpu, STASIS_MSR_TSC, &value, err);
        if (!rc && stasis_x86_narrows(&best, before))
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
 * by how much that was late, and the next try makes up for it; unless the host held up the try,
 * which says nothing of the next one. A slow host never meets the narrow limit of the first tries.
 */
static int write_tsc(struct stasis_vcpu *vcpu, uint64_t host_tsc, uint64_t wanted,
                     struct stasis_error *err)
{
    struct stasis_x86_tsc_state rate = {.khz = 0};
    int64_t since, ahead = 0;
    uint64_t lead = 0;
    int rc = tsc_get(vcpu, &rate, err);

    for (unsigned i = 0; !rc && i < STASIS_X86_READINGS; i++) {
        if (is_within(ahead, rate.khz)) /* a millisecond */
            lead -= (uint64_t)ahead;
        rc = stasis_x86_msr_write(vcpu, STASIS_MSR_TSC, wanted + FAR_AWAY, err);
        if (!rc)
            rc = guest_ticks(vcpu, (int64_t)(stasis_x86_host_tsc() - host_tsc), &since, err);
        if (!rc)
            rc = stasis_x86_msr_write(vcpu, STASIS_MSR_TSC, wanted + (uint64_t)since + lead, err);
        if (!rc)
            rc = read_ahead(vcpu, host_tsc, wanted, &ahead, err);
        if (is_within(ahead, i < STASIS_X86_READINGS / 2 ? rate.khz / 500 /* 2 us */ : rate.khz))
            break;
    }
    return rc;
}

/* A KVM that takes it without effect is told by the TSC that is read in the end. */
static int set_offset(struct stasis_vcpu *vcpu, uint64_t offset, struct stasis_error *err)
{
    struct stasis_error why = {.os_errno = 0};
    int rc = stasis_vcpu_set_tsc_offset(vcpu, (int64_t)offset, &why);

    if (rc == STASIS_ERR_UNAVAILABLE && !why.os_errno)
        return 0;
    if (rc && err)
        *err = why;
    return rc;
}

/* By the offset, which is exact. */
static int move_tsc(struct stasis_vcpu *vcpu, uint64_t host_tsc, uint64_t wanted,
                    struct stasis_error *err)
{
    int64_t offset = 0, ahead = 0;
    int rc = stasis_vcpu_get_tsc_offset(vcpu, &offset, err);

    if (!rc)
        rc = read_ahead(vcpu, host_tsc, wanted, &ahead, err);
    return rc ? rc : set_offset(vcpu, (uint64_t)offset - (uint64_t)ahead, err);
}

/* ---- several vCPUs ---- */

/* How far a TSC is ahead of the first vCPU's. Where the guest has moved neither, they are one, and
 * what else the file shows is how long it took to read them. */
static int64_t apart(const struct stasis_x86_ticks *ticks, const struct stasis_x86_ticks *first)
{
    int64_t by = (int64_t)(ticks->tsc - first->tsc);
    int64_t noise = first->khz / 50; /* 20 us */

    return ticks->adjust == first->adjust && is_within(by, noise) ? 0 : by;
}

/* Before Linux 5.16. KVM takes a TSC that is within a second of the last one that it was given for
 * an attempt to synchronize the two, and gives both one offset; unless it gets it too late. */
static int join_tsc(struct stasis_vcpu *vcpu, struct stasis_vcpu *first, uint64_t host_tsc,
                    uint64_t wanted, struct stasis_error *err)
{
    struct stasis_x86_tsc_state rate = {.khz = 0};
    int64_t ahead = 0;
    uint64_t now;
    int rc = tsc_get(vcpu, &rate, err);

    for (unsigned i = 0; !rc && i < STASIS_X86_READINGS; i++) {
        rc = stasis_x86_tsc_at(first, stasis_x86_host_tsc(), &now, err);
        if (!rc)
            rc = stasis_x86_msr_write(vcpu, STASIS_MSR_TSC, now, err);
        if (!rc)
            rc = read_ahead(vcpu, host_tsc, wanted, &ahead, err);
        if (is_within(ahead, rate.khz)) /* a millisecond */
            break;
    }
    return rc;
}

/* As far from the first vCPU's, which is set, as it was. One offset for all: KVM's master clock,
 * and with it the guest's trust in both clocks, needs that (Firecracker #6200). */
static int follow_tsc(struct stasis_vcpu *vcpu, struct stasis_vcpu *first, uint64_t host_tsc,
                      uint64_t wanted, struct stasis_error *err)
{
    int64_t by = apart(&stasis_x86_of(vcpu)->ticks, &stasis_x86_of(first)->ticks);
    int64_t offset = 0;
    int rc;

    if (!stasis_x86_of(vcpu)->has_tsc_offset)
        return by ? write_tsc(vcpu, host_tsc, wanted, err)
                  : join_tsc(vcpu, first, host_tsc, wanted, err);
    rc = stasis_vcpu_get_tsc_offset(first, &offset, err);
    return rc ? rc : set_offset(vcpu, (uint64_t)offset + (uint64_t)by, err);
}

static int place_tsc(struct stasis_vcpu *vcpu, struct stasis_vcpu *first, uint64_t host_tsc,
                     uint64_t wanted, struct stasis_error *err)
{
    if (vcpu != first)
        return follow_tsc(vcpu, first, host_tsc, wanted, err);
    return stasis_x86_of(vcpu)->has_tsc_offset ? move_tsc(vcpu, host_tsc, wanted, err)
                                               : write_tsc(vcpu, host_tsc, wanted, err);
}

int stasis_x86_tsc_set(struct stasis_vcpu *vcpu, struct stasis_vcpu *first, uint64_t host_tsc,
                       uint64_t wanted, int64_t *ret_ahead, struct stasis_error *err)
{
    struct stasis_x86_tsc_state rate = {.khz = 0};
    int64_t ahead = 0;
    int rc = place_tsc(vcpu, first, host_tsc, wanted, err);

    if (!rc)
        rc = read_ahead(vcpu, host_tsc, wanted, &ahead, err);
    if (!rc)
        rc = tsc_get(vcpu, &rate, err);
    if (!rc)
        *ret_ahead = is_within(ahead, rate.khz) ? 0 : ahead; /* a millisecond */
    return rc;
}
