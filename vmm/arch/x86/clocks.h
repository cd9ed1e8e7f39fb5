/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What arch.h offers of clocks on x86: kvmclock, the TSCs and their deadlines are saved and
 * restored as of one moment (docs/architecture.md, "Time"). Included by arch.h only.
 */
#ifndef STASIS_VMM_X86_CLOCKS_H
#define STASIS_VMM_X86_CLOCKS_H

#include "stasis/state.h"
#include "vmm/kvm/vcpu.h"

#define STASIS_MSR_TSC          UINT32_C(0x10)
#define STASIS_MSR_TSC_DEADLINE UINT32_C(0x6e0)

/* The value of a register among those saved; false: it is not among them. */
bool stasis_x86_msr_find(const struct stasis_x86_msrs_state *msrs, uint32_t index,
                         uint64_t *ret_value);

/* Changes the TSCs in msrs[], one for each vCPU, to what they showed when `clock` was read. */
STASIS_MUST_CHECK int stasis_arch_clocks_save(struct stasis_vcpu *vcpus, uint32_t count,
                                              const struct stasis_x86_clock_state *clock,
                                              struct stasis_x86_msrs_state *msrs,
                                              struct stasis_error *err);

/* A vCPU's TSC at the moment of the freeze, and what is counted in it. */
struct stasis_arch_ticks {
    bool has_tsc, has_deadline;
    uint64_t tsc;
    uint64_t deadline; /* 0: not armed */
    uint32_t khz;
};

/* Sets the TSCs to ticks[], one for each vCPU, plus what kvmclock has gone on by since `frozen`;
 * then their deadlines. After everything else of the vCPUs, and after kvmclock, which may have been
 * set ahead: the TSCs follow. *ret_tsc_is_set is false where KVM shows guests the host's TSC
 * whatever it is told: there the deadlines move along, so that timers fire when they should. */
STASIS_MUST_CHECK int stasis_arch_clocks_restore(struct stasis_vcpu *vcpus, uint32_t count,
                                                 const struct stasis_x86_clock_state *frozen,
                                                 const struct stasis_arch_ticks *ticks,
                                                 bool *ret_tsc_is_set, struct stasis_error *err);

#endif
