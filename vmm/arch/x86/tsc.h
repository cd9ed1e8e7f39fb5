/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What clocks.c and tsc.c share: the time stamp counters (TSC) of the host and of vCPUs, and
 * readings of KVM between two of the host's.
 */
#ifndef STASIS_VMM_X86_TSC_H
#define STASIS_VMM_X86_TSC_H

#include <x86intrin.h>

#include "vmm/arch/x86/x86.h"

/* Of several readings that can be interrupted, one is quick. */
#define STASIS_X86_READINGS 16

struct stasis_x86_bracket {
    uint64_t host_tsc;
    uint64_t width;
};

/* Not before what comes before it in the program, nor after what comes after it. */
static inline uint64_t stasis_x86_host_tsc(void)
{
    uint64_t tsc;

    _mm_lfence();
    tsc = __rdtsc();
    _mm_lfence();
    return tsc;
}

/* Takes the bracket from `before` to now if it is narrower than *best. */
static inline bool stasis_x86_narrows(struct stasis_x86_bracket *best, uint64_t before)
{
    uint64_t width = stasis_x86_host_tsc() - before;

    if (width >= best->width)
        return false;
    *best = (struct stasis_x86_bracket){before + width / 2, width};
    return true;
}

/* Ticks at one rate for ticks at another. */
int64_t stasis_x86_tsc_scale(int64_t ticks, uint32_t khz, uint32_t from_khz);

/* Has a vCPU's TSC show `wanted` when the host's shows host_tsc; that of another vCPU than `first`,
 * which has been set, is where it was against the first one's. A KVM without hardware
 * virtualization gives guests the host's TSC and answers success all the same: only reading back
 * tells. *ret_ahead is by how much the TSC is ahead then, and 0 where it was set. */
STASIS_MUST_CHECK int stasis_x86_tsc_set(struct stasis_vcpu *vcpu, struct stasis_vcpu *first,
                                         uint64_t host_tsc, uint64_t wanted, int64_t *ret_ahead,
                                         struct stasis_error *err);

#endif
