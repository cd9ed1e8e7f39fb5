/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A VM of KVM. Its memory is in kvm_slots.h, its interrupts in kvm_irq.h and kvm_ioevent.h, what
 * only x86 has in kvm_x86.h.
 *
 * Threads: a handle is not changed after it has been made; any thread may use it. KVM wants all
 * ioctls of a VM to come from the process that made it: after fork() the child gets EIO.
 */
#ifndef STASIS_KVM_VM_H
#define STASIS_KVM_VM_H

#include "stasis/kvm.h"
#include "stasis/kvm_memory.h"

STASIS_BEGIN_DECLS

/* How KVM tells which pages the guest has written. It is chosen when the VM is made, since KVM
 * enables a ring before the first vCPU only, and gives no log where there is a ring. */
enum stasis_dirty_mode {
    STASIS_DIRTY_NONE, /* not at all */
    STASIS_DIRTY_LOG,  /* a bitmap for each slot */
    STASIS_DIRTY_RING, /* a list for each vCPU */
};

/* All zero is the default. */
struct stasis_vm_config {
    unsigned long type; /* stasis_kvm_vm_types(); 0 is the default type */
    enum stasis_dirty_mode dirty;
    /* STASIS_DIRTY_LOG: reading a log leaves it as it is, stasis_dirty_clear() clears it in parts
     * (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, Linux 5.2). */
    bool dirty_manual;
    /* STASIS_DIRTY_RING: bytes for each vCPU, a power of two, 16 for each page; 0: 64 KiB.
     * Every KVM with rings takes 16 KiB, some less. */
    uint32_t dirty_ring_size;
};

struct stasis_vm {
    int fd;
    const struct stasis_kvm *kvm;
    const struct stasis_memory *memory; /* what stasis_slots_add_memory() was given, or NULL */
    enum stasis_dirty_mode dirty;
    bool dirty_manual;
    uint32_t dirty_ring_size; /* 0 unless there are rings */
};

/* KVM_CREATE_VM. NULL is the default config. `kvm` belongs to the caller and must outlive the VM.
 * On failure vm->fd is -1. STASIS_ERR_UNAVAILABLE names the type or the dirty tracking that this
 * KVM lacks; STASIS_ERR_ARG: the size of the ring is not a power of two, or less than a page;
 * STASIS_ERR_RANGE: it is too large (E2BIG), or too small (EINVAL), for this KVM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_create(struct stasis_vm *vm,
                                                     const struct stasis_kvm *kvm,
                                                     const struct stasis_vm_config *config,
                                                     struct stasis_error *err);

/* A second handle of the same VM, which uses the same stasis_kvm and the same memory. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vm_dup(const struct stasis_vm *vm, struct stasis_vm *ret_vm, struct stasis_error *err);

/* Closes the descriptor; the VM itself ends with the last handle's, vCPU's and device's. May be
 * called twice. */
STASIS_EXPORT void stasis_vm_fini(struct stasis_vm *vm);

/* A capability of this VM: its value, 0 if absent. */
STASIS_EXPORT int stasis_vm_cap(const struct stasis_vm *vm, unsigned cap);

/* Enables it. `args` are four; NULL: all zero. STASIS_ERR_UNAVAILABLE if the VM does not have it.
 */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_enable_cap(const struct stasis_vm *vm, unsigned cap,
                                                         const uint64_t *args,
                                                         struct stasis_error *err);

/* Which vCPU starts first (KVM_SET_BOOT_CPU_ID); 0 if it is not set. STASIS_ERR_EXISTS, EBUSY:
 * there is a vCPU already. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_set_boot_cpu(const struct stasis_vm *vm, uint32_t id,
                                                           struct stasis_error *err);

STASIS_END_DECLS

#endif
