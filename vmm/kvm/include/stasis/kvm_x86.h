/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What only VMs of x86 have: the state of their chips, their clock, KVM's own pages, MSRs that are
 * passed to this process.
 *
 * Threads: any; the state of a chip is read and set while no vCPU runs.
 */
#ifndef STASIS_KVM_X86_H
#define STASIS_KVM_X86_H

#include "stasis/kvm_vm.h"

STASIS_BEGIN_DECLS

/* ---- chips; STASIS_ERR_KVM with ENXIO: the VM has none ---- */

/* `chip` is KVM_IRQCHIP_PIC_MASTER or KVM_IRQCHIP_PIC_SLAVE, else STASIS_ERR_RANGE (EINVAL). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_get_pic(const struct stasis_vm *vm, uint32_t chip,
                                                      struct kvm_pic_state *ret_state,
                                                      struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_set_pic(const struct stasis_vm *vm, uint32_t chip,
                                                      const struct kvm_pic_state *state,
                                                      struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_get_ioapic(const struct stasis_vm *vm,
                                                         struct kvm_ioapic_state *ret_state,
                                                         struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_set_ioapic(const struct stasis_vm *vm,
                                                         const struct kvm_ioapic_state *state,
                                                         struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_get_pit(const struct stasis_vm *vm,
                                                      struct kvm_pit_state2 *ret_state,
                                                      struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_set_pit(const struct stasis_vm *vm,
                                                      const struct kvm_pit_state2 *state,
                                                      struct stasis_error *err);

/* Pins of the I/O APIC in the kernel: 24, or up to 120 where a kernel says so (ChromeOS). */
STASIS_EXPORT uint32_t stasis_vm_ioapic_pins(const struct stasis_vm *vm);

/* ---- time ---- */

/* kvmclock, with what KVM knows beside it (flags: KVM_CLOCK_...). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_get_clock(const struct stasis_vm *vm,
                                                        struct kvm_clock_data *ret_clock,
                                                        struct stasis_error *err);
/* What stasis_vm_get_clock() gave can be set as it is: of its flags only KVM_CLOCK_REALTIME is
 * passed on, and only to a KVM that knows it (Linux 5.16). With it KVM advances the clock by the
 * time of day that has passed since. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_set_clock(const struct stasis_vm *vm,
                                                        const struct kvm_clock_data *clock,
                                                        struct stasis_error *err);

/* TSC rate of vCPUs that are made afterwards (KVM_CAP_VM_TSC_CONTROL, Linux 5.18).
 * STASIS_ERR_UNAVAILABLE: this KVM has no rate of a VM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_set_tsc_khz(const struct stasis_vm *vm, uint32_t khz,
                                                          struct stasis_error *err);

/* ---- KVM's own pages in the guest's address space: below 4 GiB, where nothing else is ---- */

/* Three pages, which CPUs of Intel need. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vm_set_tss_addr(const struct stasis_vm *vm, uint64_t address, struct stasis_error *err);
/* One page, before the first vCPU (EINVAL). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_set_identity_map_addr(const struct stasis_vm *vm,
                                                                    uint64_t address,
                                                                    struct stasis_error *err);

/* ---- MSRs ---- */

/* Which MSR accesses become exits: a mask of KVM_MSR_EXIT_REASON_... (KVM_CAP_X86_USER_SPACE_MSR);
 * 0: none, the guest gets #GP. STASIS_ERR_UNAVAILABLE. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vm_exit_on_msrs(const struct stasis_vm *vm, uint32_t reasons, struct stasis_error *err);

/* MSRs whose reads, or writes, KVM does not handle by itself. What becomes of such an access says
 * stasis_vm_exit_on_msrs() with KVM_MSR_EXIT_REASON_FILTER. */
struct stasis_msr_filter {
    const uint32_t *reads; /* in any order */
    size_t read_count;
    const uint32_t *writes;
    size_t write_count;
};

/* Replaces the filter of the VM; all others are allowed, and an empty filter allows all.
 * STASIS_ERR_UNAVAILABLE: this KVM filters none. STASIS_ERR_FULL (E2BIG): the MSRs are too far
 * apart, KVM has 16 ranges of 12,288. STASIS_ERR_ARG (EINVAL): one of the x2APIC (0x800 to 0x8ff),
 * which KVM never filters. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vm_filter_msrs(const struct stasis_vm *vm,
                                                          const struct stasis_msr_filter *filter,
                                                          struct stasis_error *err);

/* Whether the guest may read MSR_PLATFORM_INFO (KVM_CAP_MSR_PLATFORM_INFO); it may by default. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vm_allow_platform_info(const struct stasis_vm *vm, bool allow, struct stasis_error *err);

STASIS_END_DECLS

#endif
