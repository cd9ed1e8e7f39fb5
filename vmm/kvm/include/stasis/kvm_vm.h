/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VM of KVM: its descriptor, its memory slots and its interrupt lines. What is of one
 * architecture (interrupt controllers, timers) is made by arch/arch.h.
 */
#ifndef STASIS_KVM_VM_H
#define STASIS_KVM_VM_H

#include "stasis/kvm.h"
#include "stasis/kvm_memory.h"

STASIS_BEGIN_DECLS

struct stasis_vm {
    int fd;
    const struct stasis_kvm *kvm;
    const struct stasis_memory *memory; /* what backs the slots */
};

/* KVM_CREATE_VM. `kvm` and `memory` belong to the caller and must outlive the VM. On failure vm->fd
 * is -1. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_create(struct stasis_vm *vm,
                                                     const struct stasis_kvm *kvm,
                                                     const struct stasis_memory *memory,
                                                     struct stasis_error *err);
/* Closes the descriptor; the VM itself ends with the last vCPU's. May be called twice. */
STASIS_EXPORT void stasis_vm_fini(struct stasis_vm *vm);

/* Gives the guest its RAM: one slot a region. STASIS_ERR_UNAVAILABLE names the region. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_add_memory(struct stasis_vm *vm,
                                                         struct stasis_error *err);

/* Drives one line of the interrupt controllers (KVM_IRQ_LINE). STASIS_GSI_NONE is no line. Any
 * thread. */
#define STASIS_GSI_NONE UINT32_MAX
STASIS_EXPORT void stasis_vm_set_irq(const struct stasis_vm *vm, uint32_t gsi, bool level);

STASIS_END_DECLS

#endif
