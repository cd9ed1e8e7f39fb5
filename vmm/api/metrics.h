/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a VM has counted and measured, at any time: for --metrics and for the control socket.
 * metrics.def is the list. Times are of CLOCK_MONOTONIC, and reported from the start of main();
 * what the kernel and the dynamic linker did before is not in them.
 */
#ifndef STASIS_VMM_METRICS_H
#define STASIS_VMM_METRICS_H

#include <stdbool.h>

#include "stasis/output.h"
#include "stasis/ram.h"
#include "stasis/vmm.h"
#include "vmm/api/metrics_table.h"
#include "vmm/host/log.h"
#include "vmm/host/serial_sink.h"
#include "vmm/machine/machine.h"

/* The phases of a freeze. */
struct stasis_freeze_times {
    uint64_t stop_us;    /* until all vCPUs had stopped */
    uint64_t collect_us; /* reading the state of vCPUs and devices */
    uint64_t write_us;   /* writing state and memory */
    uint64_t sync_us;    /* until the file was on the disk and had its name */
};

/* What nobody else remembers. */
struct stasis_metrics {
    uint64_t start_us;  /* main() began */
    uint64_t loaded_us; /* the machine holds all its state; RAM as far as the mode reads it first */
    bool thawed;
    bool tsc_is_set; /* by the thaw, to go on with kvmclock; else it is the host's */
    uint64_t freezes;
    uint64_t freezes_failed;
    uint64_t written_bytes;           /* by all freezes that were saved */
    struct stasis_freeze_times spent; /* by them */
    /* Of the last freeze that was saved. */
    struct stasis_save_stats saved;
    struct stasis_freeze_times times;
    uint64_t pause_us; /* from the request to pause until the guest runs on, or the file is there */
    /* Invalid accesses of the guest that were told, and that would have been too many. Added to
     * under the machine's lock (base/counter.h). */
    uint64_t guest_errors_told, guest_errors_suppressed;
    /* The longest time that a vCPU stood still, in any freeze the guest ran on from. */
    uint64_t largest_gap_us;
};

/* A freeze was saved. `times` but for sync_us, which `saved` knows and write_us still has in it. */
void stasis_metrics_count_freeze(struct stasis_metrics *metrics,
                                 const struct stasis_save_stats *saved,
                                 const struct stasis_freeze_times *times, uint64_t pause_us);

/* Where the values come from. The machine may run: its counters are read as they are. */
struct stasis_metrics_source {
    const struct stasis_metrics *metrics;
    const struct stasis_machine *machine;
    const struct stasis_ram *ram; /* NULL: the guest was not thawed */
    const struct stasis_serial_sink_stats *serial;
    struct stasis_log_stats log;
    uint64_t now_us;
};

/* *ret_report is freed with stasis_metrics_report_free(). STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_metrics_collect(const struct stasis_metrics_source *source,
                                             struct stasis_metrics_report *ret_report,
                                             struct stasis_error *err);
void stasis_metrics_report_free(struct stasis_metrics_report *report);

/* The values as text of *ret_len bytes, with a NUL behind them, to be freed with free(). JSON is
 * one object. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_metrics_text(const struct stasis_metrics_source *source,
                                          enum stasis_vmm_metrics_format format, char **ret_text,
                                          size_t *ret_len, struct stasis_error *err);

#endif
