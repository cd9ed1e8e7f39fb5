/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What CPUID promises to a guest: CPU features with their names, and which of those that a guest
 * was promised a host lacks. For the VMM and for tools on any machine. All functions are pure.
 */
#ifndef STASIS_COMMON_X86_FEATURES_H
#define STASIS_COMMON_X86_FEATURES_H

#include "stasis/state.h"

enum stasis_x86_reg { STASIS_X86_EAX, STASIS_X86_EBX, STASIS_X86_ECX, STASIS_X86_EDX };

struct stasis_x86_feature {
    uint32_t function, index; /* the CPUID leaf, */
    enum stasis_x86_reg reg;  /* its register and bit */
    unsigned bit;
    const char *name; /* as in /proc/cpuinfo; NULL when Linux 6.12 shows none */
};

/* The feature that a bit stands for. */
struct stasis_x86_feature stasis_x86_feature_at(uint32_t function, uint32_t index,
                                                enum stasis_x86_reg reg, unsigned bit);

/* "CPUID 7.0 EBX bit 5". */
#define STASIS_X86_PLACE_MAX 48
void stasis_x86_feature_place(const struct stasis_x86_feature *feature,
                              char ret_place[STASIS_X86_PLACE_MAX]);

/* The XSAVE state component of this number (SDM 1, 13.1), or NULL. */
const char *stasis_x86_component_name(unsigned bit);

/* Calls `missing` for every feature that `promised` has and `host` lacks (NULL: a host without
 * any), in the order of leaf, register and bit. Bits that KVM provides whatever it reports, or that
 * follow other state, do not count. */
void stasis_x86_features_missing(
    const struct stasis_x86_cpuid_state *host, const struct stasis_x86_cpuid_state *promised,
    void (*missing)(void *opaque, const struct stasis_x86_feature *feature), void *opaque);

#endif
