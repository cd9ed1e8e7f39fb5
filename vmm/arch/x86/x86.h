/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * KVM's state of a vCPU and a VM, to and from our own state types. Each row of the tables is one
 * record; freeze.c and thaw.c walk them in an order that matters and is explained there.
 *
 * A get or a set touches KVM only through stasis_kvm_ioctl(), and needs the vCPU paused. Errors:
 * STASIS_ERR_KVM names the ioctl; STASIS_ERR_HOST: this host cannot hold the value, and the message
 * names it; STASIS_ERR_RANGE: KVM's value has no place in our type.
 */
#ifndef STASIS_VMM_X86_STATE_H
#define STASIS_VMM_X86_STATE_H

#include "stasis/state.h"
#include "vmm/machine/machine.h"

/* One piece of a vCPU's state. */
struct stasis_x86_vcpu_part {
    const struct stasis_schema *schema;
    int (*get)(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err);
    int (*set)(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err);
};

extern const struct stasis_x86_vcpu_part stasis_x86_cpuid_part;
extern const struct stasis_x86_vcpu_part stasis_x86_debugregs_part;
extern const struct stasis_x86_vcpu_part stasis_x86_events_part;
extern const struct stasis_x86_vcpu_part stasis_x86_lapic_part;
extern const struct stasis_x86_vcpu_part stasis_x86_mp_state_part;
extern const struct stasis_x86_vcpu_part stasis_x86_msrs_part;
extern const struct stasis_x86_vcpu_part stasis_x86_regs_part;
extern const struct stasis_x86_vcpu_part stasis_x86_sregs_part;
extern const struct stasis_x86_vcpu_part stasis_x86_tsc_part;
extern const struct stasis_x86_vcpu_part stasis_x86_xcrs_part;
extern const struct stasis_x86_vcpu_part stasis_x86_xsave_part;

/* The parts in the order in which they are read, and the one in which they are written. Both end
 * with a NULL. Each step's reason stands beside it in x86_order.c. */
extern const struct stasis_x86_vcpu_part *const stasis_x86_save_order[];
extern const struct stasis_x86_vcpu_part *const stasis_x86_restore_order[];

/* One piece of the VM's state: a chip, or the clock. */
struct stasis_x86_vm_part {
    const struct stasis_schema *schema;
    const char *instance;
    uint32_t chip; /* KVM_IRQCHIP_*, where there are several */
    int (*get)(struct stasis_machine *machine, uint32_t chip, void *ret_state,
               struct stasis_error *err);
    int (*set)(struct stasis_machine *machine, uint32_t chip, const void *state,
               struct stasis_error *err);
};

/* In the order in which they are read and written; ends with a row without schema. */
extern const struct stasis_x86_vm_part stasis_x86_vm_parts[];

#define STASIS_MSR_TSC          UINT32_C(0x10)
#define STASIS_MSR_TSC_DEADLINE UINT32_C(0x6e0)

/* The CPUID table of a new guest: what KVM supports less what a snapshot cannot hold ("host"), or
 * a fixed minimum ("baseline"); per-vCPU fields are filled in by stasis_x86_cpuid_for_vcpu(). */
STASIS_MUST_CHECK int stasis_x86_cpuid_default(const struct stasis_kvm *kvm, const char *model,
                                               struct stasis_x86_cpuid_state *ret_cpuid,
                                               struct stasis_error *err);
void stasis_x86_cpuid_for_vcpu(struct stasis_x86_cpuid_state *cpuid, uint32_t id, uint32_t count);

/* Whether the guest was promised a feature: a bit of a register of leaf `function`, index 0. */
enum stasis_x86_reg { STASIS_X86_EAX, STASIS_X86_EBX, STASIS_X86_ECX, STASIS_X86_EDX };
bool stasis_x86_cpuid_has(const struct stasis_x86_cpuid_state *cpuid, uint32_t function,
                          enum stasis_x86_reg reg, unsigned bit);

/* Whether this host can show the guest every feature that `cpuid` promises. STASIS_ERR_HOST names
 * the first leaf and the bits that are missing. */
STASIS_MUST_CHECK int stasis_x86_cpuid_check(const struct stasis_kvm *kvm,
                                             const struct stasis_x86_cpuid_state *cpuid,
                                             struct stasis_error *err);

/* Whether this host can hold these registers: vector components and MSRs. */
STASIS_MUST_CHECK int stasis_x86_xsave_check(const struct stasis_kvm *kvm,
                                             const struct stasis_x86_xsave_state *xsave,
                                             struct stasis_error *err);

/* Whether TSC rates agree within what clocks can differ anyway (250 ppm, as other VMMs do). */
bool stasis_x86_tsc_close(uint32_t khz, uint32_t other_khz);

/* Shows the guest its CPUID and starts its first vCPU as boot.c says: registers, LAPIC, and the
 * MSRs that firmware would set. */
STASIS_MUST_CHECK int stasis_x86_boot_vcpu(struct stasis_vcpu *vcpu,
                                           const struct stasis_boot_cpu *cpu,
                                           struct stasis_error *err);

#endif
