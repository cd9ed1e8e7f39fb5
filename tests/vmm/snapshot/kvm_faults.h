/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The program in a child made by fork alone, with an ioctl(2) that fails on demand: the linker
 * turns the program's into ours (--wrap).
 */
#ifndef STASIS_TESTS_VMM_KVM_FAULTS_H
#define STASIS_TESTS_VMM_KVM_FAULTS_H

#include "vmm/session_rig.h"

/* Shared with the child. What a thread asks counts until it runs a vCPU: the main thread thaws, a
 * thread of its own freezes. */
struct kvm_faults {
    _Atomic unsigned left;        /* calls up to the one that fails, which is the last; 0: none */
    _Atomic unsigned long failed; /* the request that did */
    _Atomic bool until_run;       /* the first KVM_RUN ends it */
    _Atomic bool interrupt_each;  /* instead: each call is interrupted once, and then made */
    _Atomic unsigned interrupted;
    _Atomic bool drops_tsc; /* the offset of a guest's TSC is taken, and not set: as PVM does */
    _Atomic unsigned cpuid_asked; /* KVM_GET_SUPPORTED_CPUID */
    _Atomic bool has_run;         /* KVM_RUN */
    _Atomic unsigned told_new;    /* KVM_KVMCLOCK_CTRL before that, and after */
    _Atomic unsigned told_later;
    _Atomic bool has_chips;
    _Atomic unsigned early_slots, late_slots; /* before there were chips, and after */
};

extern struct kvm_faults *kvm_faults;
bool kvm_faults_init(void);

/* Does what main() does with these arguments. When it has returned and left a descriptor open, its
 * status is none of the program's own; memory is for a leak checker to see. */
void kvm_faults_start(struct session *session, int argc, const char *const *argv);

#endif
