/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VM of the KVM library for tests, and nothing of the VMM: RAM at 0, and a vCPU by bare ioctls
 * that runs a few bytes in real mode. Without an interrupt controller HLT is an exit.
 */
#ifndef STASIS_TESTS_VMM_KVM_RIG_H
#define STASIS_TESTS_VMM_KVM_RIG_H

#include "vmm/kvm_guest.h"

#include "stasis/kvm_slots.h"

#define RIG_CODE 0x1000 /* where the guest's code is and begins */
#define RIG_RAM  0x10000

struct rig {
    struct stasis_kvm kvm;
    struct stasis_vm vm;
    struct stasis_slots slots;
    struct stasis_memory memory;
    int vcpu_fd;
    struct kvm_run *run;
};

/* A VM with RIG_RAM bytes of RAM in slot 0, or none without `has_ram`. */
void rig_init(struct rig *rig, const struct stasis_vm_config *config, bool has_ram, uint32_t flags);
void rig_fini(struct rig *rig);

void rig_create_vcpu(struct rig *rig);
/* Puts the code at RIG_CODE, and the vCPU, which is created if there is none, to its start. */
void rig_load(struct rig *rig, const void *code, size_t len);
/* KVM_RUN until an exit that is no interruption: its reason. */
uint32_t rig_run(struct rig *rig);
struct kvm_regs rig_regs(const struct rig *rig);
uint8_t *rig_ram(struct rig *rig, uint64_t gpa);

/* errno of a bare ioctl, 0 if it succeeds. */
int rig_errno(int fd, unsigned long request, void *arg);

#endif
