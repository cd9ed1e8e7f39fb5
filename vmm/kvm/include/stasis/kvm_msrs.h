/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The MSRs of a vCPU, and its TSC.
 *
 * KVM_GET_MSRS and KVM_SET_MSRS stop at the first register that they refuse, and answer how many
 * were done: here no such answer is lost. Lists can have any length.
 *
 * Threads and order as in kvm_vcpu_state.h.
 */
#ifndef STASIS_KVM_MSRS_H
#define STASIS_KVM_MSRS_H

#include "stasis/kvm_vcpu.h"

STASIS_BEGIN_DECLS

/* ---- lists ---- */

/* Fills in the data of all entries. STASIS_ERR_KVM, os_errno EPERM: the message names the register
 * that KVM refuses, and no entry has changed. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_get_msrs(struct stasis_vcpu *vcpu,
                                                         struct kvm_msr_entry *entries,
                                                         uint32_t count, struct stasis_error *err);

/* The same without those that KVM refuses: the others stay in their order, and *count becomes their
 * number. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_get_msrs_present(struct stasis_vcpu *vcpu,
                                                                 struct kvm_msr_entry *entries,
                                                                 uint32_t *count,
                                                                 struct stasis_error *err);

/* Sets one after the other. STASIS_ERR_KVM, os_errno EPERM: the message names the register whose
 * value KVM refuses. Those before it are set, it and those behind it are not. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_msrs(struct stasis_vcpu *vcpu,
                                                         const struct kvm_msr_entry *entries,
                                                         uint32_t count, struct stasis_error *err);

/* The same, but `refused` is asked about each that KVM refuses: 0 to continue with the next one, or
 * the code, described in *err, with which to end. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_msrs_each(
    struct stasis_vcpu *vcpu, const struct kvm_msr_entry *entries, uint32_t count,
    int (*refused)(void *ctx, struct stasis_vcpu *vcpu, const struct kvm_msr_entry *entry,
                   struct stasis_error *err),
    void *ctx, struct stasis_error *err);

/* ---- TSC ---- */

/* What the guest's TSC shows. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_get_tsc(struct stasis_vcpu *vcpu, uint64_t *ret_tsc,
                                                        struct stasis_error *err);

/* Sets it by its MSR, and reads it back. KVM sets a value that is within a second of another vCPU's
 * TSC equal to that TSC: the guest's TSC may differ from the value by so much. KVM also reads a 0
 * as a request to be equal to the other vCPUs: write 1 to begin anew. STASIS_ERR_UNAVAILABLE: KVM
 * answers success, and the TSC does not show it; seen where KVM works without hardware
 * virtualization. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_tsc(struct stasis_vcpu *vcpu, uint64_t tsc,
                                                        struct stasis_error *err);

/* KVM_VCPU_TSC_OFFSET (Linux 5.16): what KVM adds to the host's TSC. Exact, and the same for all
 * vCPUs whose TSCs are equal. STASIS_ERR_UNAVAILABLE: this KVM has it not; or set, answers success
 * and keeps the old one. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vcpu_get_tsc_offset(struct stasis_vcpu *vcpu, int64_t *ret_offset, struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vcpu_set_tsc_offset(struct stasis_vcpu *vcpu, int64_t offset, struct stasis_error *err);

/* The rate, in kHz. A set one is read back; os_errno EINVAL: KVM cannot scale
 * (KVM_CAP_TSC_CONTROL), though one that is higher than the host's may be taken all the same. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vcpu_get_tsc_khz(struct stasis_vcpu *vcpu, uint32_t *ret_khz, struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_tsc_khz(struct stasis_vcpu *vcpu, uint32_t khz,
                                                            struct stasis_error *err);

STASIS_END_DECLS

#endif
