/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * CPU features: what they are called, and which of those that a guest was promised a host lacks.
 */
#ifndef STASIS_VMM_X86_CPUID_FEATURES_H
#define STASIS_VMM_X86_CPUID_FEATURES_H

#include "vmm/arch/x86/x86.h"

struct stasis_x86_feature {
    uint32_t function, index; /* the CPUID leaf, */
    enum stasis_x86_reg reg;  /* its register and bit */
    unsigned bit;
    const char *name; /* as in /proc/cpuinfo; NULL when Linux 6.12 shows none */
};

/* The feature that a bit stands for. */
struct stasis_x86_feature stasis_x86_feature_at(uint32_t function, uint32_t index,
                                                enum stasis_x86_reg reg, unsigned bit);

/* Calls `missing` for every feature that `promised` has and `host` lacks, in the order of leaf,
 * register and bit. Bits that KVM provides whatever it reports, or that follow other state, do not
 * count. */
void stasis_x86_features_missing(
    const struct stasis_x86_cpuid_state *host, const struct stasis_x86_cpuid_state *promised,
    void (*missing)(void *opaque, const struct stasis_x86_feature *feature), void *opaque);

/* STASIS_ERR_HOST names the missing features, the first of them when there are many. `model` is
 * that of a new guest; NULL: they were promised to a thawed one. */
STASIS_MUST_CHECK int stasis_x86_features_check(const struct stasis_x86_cpuid_state *host,
                                                const struct stasis_x86_cpuid_state *promised,
                                                const char *model, struct stasis_error *err);

#endif
