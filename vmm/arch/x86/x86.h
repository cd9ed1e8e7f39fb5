/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the files of this folder share: KVM's state of a vCPU and a VM, to and from our own state
 * types, and what is known of CPUID. KVM is touched only through the library stasis-kvm. Errors as
 * in arch.h.
 */
#ifndef STASIS_VMM_X86_H
#define STASIS_VMM_X86_H

#include "common/x86_features.h"
#include "stasis/cpu_models.h"
#include "stasis/kvm_msrs.h"
#include "stasis/kvm_vcpu_state.h"
#include "vmm/arch/arch.h"

#define STASIS_MSR_TSC          UINT32_C(0x10)
#define STASIS_MSR_TSC_ADJUST   UINT32_C(0x3b)
#define STASIS_MSR_TSC_DEADLINE UINT32_C(0x6e0)

/* A vCPU's TSC at the moment of the freeze, and what is counted in it. */
struct stasis_x86_ticks {
    bool has_tsc, has_deadline;
    uint64_t tsc;
    uint64_t adjust;   /* by how much the guest has moved it; 0 where it cannot say */
    uint64_t deadline; /* 0: not armed */
    uint32_t khz;
};

/* Indices of MSRs, ascending. */
#define STASIS_X86_MSR_MAX 512u
struct stasis_x86_msr_set {
    uint32_t index[STASIS_X86_MSR_MAX];
    uint32_t count;
};

/* The XSAVE area as KVM has it. */
#define STASIS_X86_COMPONENTS 9
struct stasis_x86_xsave_area {
    /* Where this host keeps each component (xsave.c): 0 if it has none of the kind. */
    uint32_t offset[STASIS_X86_COMPONENTS];
    size_t size; /* bytes that KVM wants for the whole */
    uint8_t *bytes;
};

/* vcpu->arch. */
struct stasis_x86_vcpu {
    struct stasis_x86_cpuid_state cpuid; /* as it was set: what the guest was promised */
    bool has_tsc_offset;                 /* KVM_VCPU_TSC_CTRL, kernel 5.16 */
    bool ignore_tsc_rate;                /* a TSC of another rate may be restored */
    struct stasis_reasons *reasons;      /* of stasis_arch_vcpu_report(), or NULL */
    uint32_t tsc_khz;                    /* the rate of its TSC; 0: not known */
    uint32_t scaled_from_khz;      /* the host's rate, where KVM scales the guest's TSC; else 0 */
    struct stasis_x86_ticks ticks; /* kept by a restore for its last step, clocks.c */
    /* What KVM has of all that is saved of this guest: found out at the first save, since each
     * register that it lacks costs a call. None: not known; CPUID decides it. */
    struct stasis_x86_msr_set readable;
    struct stasis_x86_xsave_area xsave; /* what it was last read or set with */
    /* Between stasis_arch_vcpu_read_begin() and _end(): registers of one call (regs.c). */
    bool is_reading, is_synced;
    struct kvm_sync_regs synced;
};

static inline struct stasis_x86_vcpu *stasis_x86_of(const struct stasis_vcpu *vcpu)
{
    return vcpu->arch;
}

/* Copies a field from *from to *to. Lists that name their fields as KVM does copy themselves; a
 * width that differs does not compile. */
#define STASIS_X86_COPY(name)                                                                      \
    do {                                                                                           \
        _Static_assert(sizeof(to->name) == sizeof(from->name), #name " differs in width");         \
        to->name = from->name;                                                                     \
    } while (0);

extern const struct stasis_arch_vcpu_record stasis_x86_cpuid_part;
extern const struct stasis_arch_vcpu_record stasis_x86_debugregs_part;
extern const struct stasis_arch_vcpu_record stasis_x86_events_part;
extern const struct stasis_arch_vcpu_record stasis_x86_lapic_part;
extern const struct stasis_arch_vcpu_record stasis_x86_mp_state_part;
extern const struct stasis_arch_vcpu_record stasis_x86_msrs_part;
extern const struct stasis_arch_vcpu_record stasis_x86_regs_part;
extern const struct stasis_arch_vcpu_record stasis_x86_sregs_part;
extern const struct stasis_arch_vcpu_record stasis_x86_tsc_part;
extern const struct stasis_arch_vcpu_record stasis_x86_xcrs_part;
extern const struct stasis_arch_vcpu_record stasis_x86_xsave_part;

/* One register. Read: one that this host does not have is 0. Written: STASIS_ERR_HOST names one
 * that refuses the value and does not hold it. */
STASIS_MUST_CHECK int stasis_x86_msr_read(struct stasis_vcpu *vcpu, uint32_t index,
                                          uint64_t *ret_value, struct stasis_error *err);
STASIS_MUST_CHECK int stasis_x86_msr_write(struct stasis_vcpu *vcpu, uint32_t index, uint64_t value,
                                           struct stasis_error *err);

/* 0 if there are no reasons. Else they are added to those of stasis_arch_vcpu_report(), too, and
 * are the error. */
STASIS_MUST_CHECK int stasis_x86_refuse(struct stasis_vcpu *vcpu,
                                        const struct stasis_reasons *reasons,
                                        struct stasis_error *err);

/* What one call has read of a vCPU that is_reading; NULL: each state is read by itself. */
const struct kvm_sync_regs *stasis_x86_synced(const struct stasis_vcpu *vcpu);

/* The value of a register among those saved; false: it is not among them. */
bool stasis_x86_msr_find(const struct stasis_x86_msrs_state *msrs, uint32_t index,
                         uint64_t *ret_value);

/* ---- clocks.c ---- */

/* at_clock of the MSRs' record: the TSC as it was when `clock` was read. */
STASIS_MUST_CHECK int stasis_x86_msrs_at_clock(struct stasis_vcpu *vcpu, const void *clock,
                                               void *state, struct stasis_error *err);

/* Of the kvmclock's row. get always gives the host's TSC and time of day of the same moment. */
STASIS_MUST_CHECK int stasis_x86_clock_get(struct stasis_vm *vm, uint32_t chip, void *ret_state,
                                           struct stasis_error *err);
STASIS_MUST_CHECK int stasis_x86_clock_set(struct stasis_vm *vm, uint32_t chip, const void *state,
                                           struct stasis_error *err);

STASIS_MUST_CHECK int stasis_x86_clock_set_advanced(struct stasis_vm *vm, uint32_t chip,
                                                    const void *state, uint64_t then_ns,
                                                    struct stasis_error *err);

/* What a vCPU's TSC shows when the host's shows host_tsc, a moment that is near. */
STASIS_MUST_CHECK int stasis_x86_tsc_at(struct stasis_vcpu *vcpu, uint64_t host_tsc,
                                        uint64_t *ret_tsc, struct stasis_error *err);

/* The CPUID table of a new guest, by the board's CPU model: what KVM supports less what a snapshot
 * cannot hold ("host"), or a fixed model of the board's release (cpuid_models.c); per-vCPU fields
 * are filled in by stasis_x86_cpuid_for_vcpu(). */
STASIS_MUST_CHECK int stasis_x86_cpuid_default(const struct stasis_kvm *kvm,
                                               const struct stasis_board_state *board,
                                               struct stasis_x86_cpuid_state *ret_cpuid,
                                               struct stasis_error *err);

/* ---- cpuid_models.c ---- */

/* The table of a model that does not depend on the host, for a board of `release`. false: it is no
 * such model. */
bool stasis_x86_cpuid_fixed(const char *model, const char *release,
                            struct stasis_x86_cpuid_state *ret_cpuid);

/* ---- cpuid_topology.c ---- */

/* Makes the table that of vCPU `id` of the board: its APIC id, and one socket with a core of one
 * thread for each vCPU. STASIS_ERR_RANGE: the table has no room. */
STASIS_MUST_CHECK int stasis_x86_cpuid_for_vcpu(struct stasis_x86_cpuid_state *cpuid,
                                                const struct stasis_board_state *board, uint32_t id,
                                                struct stasis_error *err);

/* ---- tables ---- */

#define STASIS_X86_LEAVES_MAX 256u

/* NULL: there is no such leaf. */
struct stasis_x86_cpuid_leaf_state *stasis_x86_cpuid_find(struct stasis_x86_cpuid_state *cpuid,
                                                          uint32_t function, uint32_t index);

uint32_t *stasis_x86_cpuid_reg(struct stasis_x86_cpuid_leaf_state *leaf, enum stasis_x86_reg reg);

/* By function and index, as records hold them. */
void stasis_x86_cpuid_sort(struct stasis_x86_cpuid_state *cpuid);

/* check_id of the CPUID record: the leaves that every release sets. */
STASIS_MUST_CHECK int stasis_x86_cpuid_check_id(const void *state, uint32_t id,
                                                struct stasis_error *err);

/* KVM's table as ours. STASIS_ERR_RANGE: it has too many leaves. */
STASIS_MUST_CHECK int stasis_x86_cpuid_from_kvm(struct stasis_x86_cpuid_state *to,
                                                const struct kvm_cpuid2 *from,
                                                struct stasis_error *err);

/* ---- checks of this host ---- */

/* Adds each feature that `wanted` promises and `host` lacks. `model` is that of a new guest; NULL:
 * they were promised to a thawed one. */
void stasis_x86_features_check(const struct stasis_x86_cpuid_state *host,
                               const struct stasis_x86_cpuid_state *wanted, const char *model,
                               struct stasis_reasons *reasons);

/* check of the CPUID record: adds what this host cannot show of all that the guest was promised. */
STASIS_MUST_CHECK int stasis_x86_cpuid_check(const struct stasis_kvm *kvm,
                                             const struct stasis_board_state *board,
                                             const void *cpuid, struct stasis_reasons *reasons,
                                             struct stasis_error *err);

/* The same by this CPU alone, without KVM, which may lack more. */
STASIS_MUST_CHECK int stasis_x86_cpuid_check_cpu(const struct stasis_board_state *board,
                                                 const void *cpuid, struct stasis_reasons *reasons,
                                                 struct stasis_error *err);

/* Adds what `host` cannot show of all that `wanted` promises the board's guest. */
void stasis_x86_cpuid_compare(struct stasis_x86_cpuid_state *host,
                              const struct stasis_board_state *board,
                              const struct stasis_x86_cpuid_state *wanted,
                              struct stasis_reasons *reasons);

/* cpuid_read.c: the instruction; zeros where the CPU has no such leaf. */
struct stasis_x86_cpuid_leaf_state stasis_x86_cpuid_read(uint32_t function, uint32_t index);

/* The area of one vCPU. Finishing one that is all zero is fine. */
STASIS_MUST_CHECK int stasis_x86_xsave_area_init(const struct stasis_vm *vm,
                                                 struct stasis_x86_xsave_area *ret_area,
                                                 struct stasis_error *err);
void stasis_x86_xsave_area_fini(struct stasis_x86_xsave_area *area);

/* check of the XSAVE record: adds each vector component in use that this host has no place for. */
STASIS_MUST_CHECK int stasis_x86_xsave_check(const struct stasis_kvm *kvm,
                                             const struct stasis_board_state *board,
                                             const void *xsave, struct stasis_reasons *reasons,
                                             struct stasis_error *err);

/* Whether TSC rates agree within what clocks can differ anyway (250 ppm, as other VMMs do). */
bool stasis_x86_tsc_close(uint32_t khz, uint32_t other_khz);

#endif
