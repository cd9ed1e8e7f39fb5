/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest that reads its TSC and its kvmclock as one pair, again and again.
 */
#ifndef STASIS_TESTS_VMM_KVM_PVCLOCK_H
#define STASIS_TESTS_VMM_KVM_PVCLOCK_H

#include "vmm/kvm_guest.h"

/* Loads the guest, which is in 64-bit mode; and has it read the next pair, stepping it by hand. */
void kvm_pvclock_load(struct kvm_guest *guest);

struct kvm_pair {
    uint64_t tsc;
    uint64_t clock_ns; /* kvmclock at that TSC, by the guest's own page */
};

struct kvm_pair kvm_pvclock_read(struct kvm_guest *guest, struct kvm_probe *probe);

#endif
