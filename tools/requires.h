/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the records of a snapshot ask of a host, gathered over all vCPUs.
 */
#ifndef STASIS_TOOLS_REQUIRES_H
#define STASIS_TOOLS_REQUIRES_H

#include <stdio.h>

#include "common/x86_features.h"
#include "stasis/snap.h"

struct stasis_requires {
    struct stasis_board_state board;     /* if has_board */
    struct stasis_x86_cpuid_state cpuid; /* every bit that some vCPU was promised */
    uint64_t xcr0, xstate_bv;            /* XSAVE components that are enabled, that are in use */
    uint32_t tsc_khz;                    /* 0: not known */
    uint32_t *msrs;                      /* indices, ascending */
    size_t msr_count;
    size_t vcpus;   /* that have CPUID */
    size_t unknown; /* records that this release cannot read */
    bool has_board;
};

/* The caller's to stasis_requires_free(). STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_requires_gather(const struct stasis_records *records,
                                             struct stasis_requires **ret_requires,
                                             struct stasis_error *err);
void stasis_requires_free(struct stasis_requires *needs);

/* Whether the guest can run at another TSC rate than the file's. */
bool stasis_requires_tsc_rate(const struct stasis_requires *needs);

/* The vendor that the host's CPU must have, or NULL: any. */
const char *stasis_requires_vendor(const struct stasis_requires *needs, char ret_vendor[13]);

/* Calls fn for every bit. Vendors have bits of their own for some features: a name may come twice.
 */
void stasis_requires_features(const struct stasis_requires *needs,
                              void (*fn)(void *opaque, const struct stasis_x86_feature *feature),
                              void *opaque);

/* Bytes of an XSAVE area with all components that the guest may enable; 0: it has no XSAVE. */
uint32_t stasis_requires_xsave_size(const struct stasis_requires *needs);

/* requires_json.c. */
void stasis_requires_put_json(FILE *out, const struct stasis_snap *snap,
                              const struct stasis_requires *needs);

#endif
