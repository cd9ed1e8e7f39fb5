/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A machine without KVM of which every number is set, each to another value, and one to which
 * nothing has happened.
 */
#ifndef STASIS_TESTS_METRICS_RIG_H
#define STASIS_TESTS_METRICS_RIG_H

#include "vmm/api/metrics.h"

struct metrics_rig {
    struct stasis_machine machine;
    struct stasis_metrics metrics;
    struct stasis_serial_sink_stats serial;
    struct stasis_metrics_source source;
    uint64_t last; /* value that was given last */
};

/* Both with one vCPU for each of `vcpus`, and a device that has an awkward name. */
void metrics_rig_full(struct metrics_rig *rig, uint32_t vcpus);
void metrics_rig_fresh(struct metrics_rig *rig, uint32_t vcpus);
void metrics_rig_fini(struct metrics_rig *rig);

#endif
