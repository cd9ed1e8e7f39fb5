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

/* Whether the guest was promised a feature: a bit of a register of leaf `function`, index 0. */
bool stasis_x86_cpuid_has(const struct stasis_x86_cpuid_state *cpuid, uint32_t function,
                          enum stasis_x86_reg reg, unsigned bit);

/* Whether the guest was shown something whose speed is the TSC's: the TSC-deadline timer, an
 * invariant TSC, or a rate; or no kvmclock, so that the TSC may be its only clock. */
bool stasis_x86_cpuid_needs_tsc_rate(const struct stasis_x86_cpuid_state *cpuid);

/* The 12 characters of leaf 0, whatever they are; false: there is none. */
bool stasis_x86_cpuid_vendor(const struct stasis_x86_cpuid_state *cpuid, char ret_vendor[13]);

/* How many features the next can find: the registers that are promises have 32 bits each. */
#define STASIS_X86_FEATURES_MAX (14u * 32u)

/* Calls `missing` for every feature that `promised` has and `host` lacks (NULL: a host without
 * any), in the order of leaf, register and bit. Bits that KVM provides whatever it reports, or that
 * follow other state, do not count. */
void stasis_x86_features_missing(
    const struct stasis_x86_cpuid_state *host, const struct stasis_x86_cpuid_state *promised,
    void (*missing)(void *opaque, const struct stasis_x86_feature *feature), void *opaque);

#endif
