/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A machine with a different value in every register that a guest can load, so that none can take
 * another's place unseen; and the comparison of two snapshots of it.
 */
#ifndef STASIS_TESTS_VMM_KVM_PATTERN_H
#define STASIS_TESTS_VMM_KVM_PATTERN_H

#include "vmm/kvm_guest.h"

/* Fills every register file of a machine that kvm_guest_real() or kvm_guest_smp_real() has set up,
 * those of each vCPU with other values. The vCPUs then spin where they are, with interrupts off and
 * their timers far away. */
void kvm_pattern_load(struct kvm_guest *guest);

/* That the snapshot holds the patterns, so that equal is not equally wrong. */
void kvm_pattern_check(struct stasis_snap *snap);

/* Fails unless all records of both are equal, but for what moves on its own, each within the bound
 * that stands beside it in kvm_compare.c. `elapsed_ns` is real time from before the first freeze
 * to after the second. */
void kvm_assert_same(struct stasis_snap *first, struct stasis_snap *second, uint64_t elapsed_ns);

/* Whether a snapshot's clocks can be held to it here: some KVMs show guests the host's TSC. */
bool kvm_tsc_is_settable(void);

#endif
