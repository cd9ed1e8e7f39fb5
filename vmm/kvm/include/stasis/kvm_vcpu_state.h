/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The state of a vCPU, in KVM's own structs. kvm_msrs.h has its MSRs and its TSC.
 *
 * Threads: of the thread that runs the vCPU, or of any while it does not run; an I/O that its last
 * exit asked for is completed first (stasis_vcpu_complete_io()). In which order a state is read and
 * written matters: docs/kvm.md.
 *
 * Errors: STASIS_ERR_KVM names the ioctl, os_errno is EINVAL where KVM refuses a value. What cannot
 * be read is not touched.
 */
#ifndef STASIS_KVM_VCPU_STATE_H
#define STASIS_KVM_VCPU_STATE_H

#include "stasis/kvm_vcpu.h"

STASIS_BEGIN_DECLS

/* States of fixed size: X(name, struct, ioctl that reads, ioctl that writes). Each is a pair
 *
 *   int stasis_vcpu_get_regs(struct stasis_vcpu *vcpu, struct kvm_regs *ret_state,
 *                            struct stasis_error *err);
 *   int stasis_vcpu_set_regs(struct stasis_vcpu *vcpu, const struct kvm_regs *state,
 *                            struct stasis_error *err);
 *
 * and so on: stasis_vcpu_get_sregs(), stasis_vcpu_set_sregs(), stasis_vcpu_get_sregs2(),
 * stasis_vcpu_set_sregs2(), stasis_vcpu_get_fpu(), stasis_vcpu_set_fpu(), stasis_vcpu_get_xcrs(),
 * stasis_vcpu_set_xcrs(), stasis_vcpu_get_debugregs(), stasis_vcpu_set_debugregs(),
 * stasis_vcpu_get_mp_state(), stasis_vcpu_set_mp_state(), stasis_vcpu_get_events(),
 * stasis_vcpu_set_events(), stasis_vcpu_get_lapic(), stasis_vcpu_set_lapic().
 *
 * sregs2 (KVM_CAP_SREGS2) has the page directory pointers of a PAE guest, which sregs reads again
 * from memory. mp_state takes a waiting INIT or SIPI, which changes registers: read it first. Of
 * events, the flags say which parts are set. lapic, and an mp_state other than runnable, need an
 * interrupt controller in KVM. */
#define STASIS_VCPU_STATES(X)                                                                      \
    X(regs, kvm_regs, KVM_GET_REGS, KVM_SET_REGS)                                                  \
    X(sregs, kvm_sregs, KVM_GET_SREGS, KVM_SET_SREGS)                                              \
    X(sregs2, kvm_sregs2, KVM_GET_SREGS2, KVM_SET_SREGS2)                                          \
    X(fpu, kvm_fpu, KVM_GET_FPU, KVM_SET_FPU)                                                      \
    X(xcrs, kvm_xcrs, KVM_GET_XCRS, KVM_SET_XCRS)                                                  \
    X(debugregs, kvm_debugregs, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS)                              \
    X(mp_state, kvm_mp_state, KVM_GET_MP_STATE, KVM_SET_MP_STATE)                                  \
    X(events, kvm_vcpu_events, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS)                           \
    X(lapic, kvm_lapic_state, KVM_GET_LAPIC, KVM_SET_LAPIC)

#define STASIS_VCPU_STATE_DECLARE(name, type, get, set)                                            \
    STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_get_##name(                                    \
        struct stasis_vcpu *vcpu, struct type *ret_state, struct stasis_error *err);               \
    STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_##name(                                    \
        struct stasis_vcpu *vcpu, const struct type *state, struct stasis_error *err);
STASIS_VCPU_STATES(STASIS_VCPU_STATE_DECLARE)
#undef STASIS_VCPU_STATE_DECLARE

/* regs, sregs and events by one KVM_RUN that runs no guest code (KVM_CAP_SYNC_REGS), instead of
 * three ioctls; it completes an I/O as stasis_vcpu_complete_io() does, and clears immediate_exit at
 * the end. To be called by the thread that ran the vCPU last: a KVM_RUN of another one waits for
 * all processors (milliseconds), and does so again when the guest continues.
 * STASIS_ERR_UNAVAILABLE: this KVM cannot; STASIS_ERR_GUEST: the guest ended. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_get_sync_regs(struct stasis_vcpu *vcpu,
                                                              struct kvm_sync_regs *ret_regs,
                                                              struct stasis_error *err);

/* ---- LAPIC registers ---- */

/* The page has one register of 32 bits in every 16 bytes: index 2 is the id, at 0x20. */
#define STASIS_LAPIC_REGS 64
STASIS_EXPORT uint32_t stasis_lapic_reg(const struct kvm_lapic_state *lapic, unsigned index);
STASIS_EXPORT void stasis_lapic_set_reg(struct kvm_lapic_state *lapic, unsigned index,
                                        uint32_t value);

/* ---- XSAVE ---- */

/* Bytes of the XSAVE area of this VM's vCPUs: KVM_CAP_XSAVE2 of the VM, and at least that of struct
 * kvm_xsave, 4096 (KVM api.rst, 4.42). It depends on what the process has asked for by
 * arch_prctl(ARCH_REQ_XCOMP_GUEST_PERM) before the first vCPU. STASIS_ERR_KVM: more than any CPU
 * has. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vm_xsave_size(const struct stasis_vm *vm, size_t *ret_size, struct stasis_error *err);

/* STASIS_ERR_ARG, os_errno EINVAL: `size` is not stasis_vm_xsave_size(). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_get_xsave(struct stasis_vcpu *vcpu, void *ret_area,
                                                          size_t size, struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_xsave(struct stasis_vcpu *vcpu,
                                                          const void *area, size_t size,
                                                          struct stasis_error *err);

/* ---- CPUID ---- */

/* What the guest is shown; *ret_cpuid is freed by the caller with free(). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_get_cpuid(struct stasis_vcpu *vcpu,
                                                          struct kvm_cpuid2 **ret_cpuid,
                                                          struct stasis_error *err);
/* Before the first KVM_RUN that reaches the guest. After it a different table is EINVAL from Linux
 * 5.16 on; some KVMs refuse the same one, too. Other states are checked against it, so it is the
 * first that is set. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_cpuid(struct stasis_vcpu *vcpu,
                                                          const struct kvm_cpuid2 *cpuid,
                                                          struct stasis_error *err);
/* The leaves of Hyper-V that KVM can show this vCPU; freed by the caller with free().
 * STASIS_ERR_KVM with EINVAL or ENOTTY where KVM has none. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_hyperv_cpuid(struct stasis_vcpu *vcpu,
                                                             struct kvm_cpuid2 **ret_cpuid,
                                                             struct stasis_error *err);

/* ---- nested virtualization ---- */

/* What a guest hypervisor has in KVM, in a block whose `size` says how long it is; freed by the
 * caller with free(). STASIS_ERR_UNAVAILABLE: this KVM cannot nest. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_get_nested(struct stasis_vcpu *vcpu,
                                                           struct kvm_nested_state **ret_state,
                                                           struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_nested(struct stasis_vcpu *vcpu,
                                                           const struct kvm_nested_state *state,
                                                           struct stasis_error *err);

STASIS_END_DECLS

#endif
