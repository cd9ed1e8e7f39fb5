/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * --metrics FILE: what a run took, as JSON, with boundaries that can be named. Times are
 * microseconds of CLOCK_MONOTONIC since main() began; what the kernel and the dynamic linker did
 * before is not in them.
 */
#ifndef STASIS_VMM_METRICS_H
#define STASIS_VMM_METRICS_H

#include <stdbool.h>

#include "stasis/output.h"
#include "stasis/ram.h"

struct stasis_metrics {
    uint64_t start_us;  /* main() began */
    uint64_t loaded_us; /* the machine holds all its state; RAM as far as the mode reads it first */
    uint64_t first_run_us; /* the first vCPU entered KVM_RUN */
    bool clock_is_stable;  /* at the end of a guest that ran: kvmclock is the same on all vCPUs */
    bool thawed;
    bool tsc_is_set; /* by the thaw, to go on with kvmclock; else it is the host's */
    uint64_t freezes;
    uint64_t freezes_failed;
    /* Of the last freeze that was saved. */
    struct stasis_save_stats saved;
    uint64_t pause_us; /* from the wish to pause until the guest runs on, or the file is there */
    /* The longest time that a vCPU stood still, in any freeze the guest ran on from. */
    uint64_t largest_gap_us;
};

/* Writes *metrics to `output` (STASIS_OUTPUT_ANY), once; `ram` is NULL for a guest that was not
 * thawed. STASIS_ERR_WRITE. */
STASIS_MUST_CHECK int stasis_metrics_write(const struct stasis_metrics *metrics,
                                           const struct stasis_ram *ram,
                                           struct stasis_output *output, struct stasis_error *err);

#endif
