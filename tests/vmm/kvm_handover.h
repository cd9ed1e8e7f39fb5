/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest whose vCPUs hand a token on, in a circle, and see whether their clocks go back.
 */
#ifndef STASIS_TESTS_VMM_KVM_HANDOVER_H
#define STASIS_TESTS_VMM_KVM_HANDOVER_H

#include "vmm/kvm_guest.h"

/* The page that the vCPUs share. Whoever has the token writes. */
struct kvm_handover {
    uint32_t turn, pad;
    uint64_t tsc, clock_ns;        /* last read */
    uint64_t tsc_back, clock_back; /* how often one was less than its predecessor's */
    uint64_t count;                /* hand-overs so far */
};

/* A vCPU's page of kvmclock (KVM msr.rst, MSR_KVM_SYSTEM_TIME_NEW). */
struct kvm_handover_clock {
    uint32_t version, pad;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags, pad2[2];
};
#define KVM_HANDOVER_STABLE 1 /* of flags: the pages of all vCPUs are one clock */

/* Loads a guest of several vCPUs, each of which is to take the token so many times. */
void kvm_handover_load(struct kvm_guest *guest, uint64_t times);

const volatile struct kvm_handover *kvm_handover_at(struct kvm_guest *guest);
struct kvm_handover_clock kvm_handover_clock(struct kvm_guest *guest, uint32_t id);

/* False where KVM does not call the clock stable; if it does, the pages of all vCPUs must be equal.
 */
bool kvm_handover_is_one_clock(struct kvm_guest *guest);

/* Whether the TSCs of this host's CPUs are one, by what its Linux says. */
bool kvm_host_has_one_tsc(void);

#endif
