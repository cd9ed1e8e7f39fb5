/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "vmm/api/metrics_format.h"

static void add_times(struct stasis_freeze_times *sum, const struct stasis_freeze_times *times)
{
    sum->stop_us += times->stop_us;
    sum->collect_us += times->collect_us;
    sum->write_us += times->write_us;
    sum->sync_us += times->sync_us;
}

void stasis_metrics_count_freeze(struct stasis_metrics *metrics,
                                 const struct stasis_save_stats *saved,
                                 const struct stasis_freeze_times *times, uint64_t pause_us)
{
    metrics->freezes++;
    metrics->saved = *saved;
    metrics->written_bytes += saved->file_bytes;
    metrics->times = *times;
    metrics->times.sync_us = saved->publish_us;
    metrics->times.write_us -= saved->publish_us;
    add_times(&metrics->spent, &metrics->times);
    metrics->pause_us = pause_us;
}

static int no_memory(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the metrics");
}

int stasis_metrics_text(const struct stasis_metrics_source *source,
                        enum stasis_vmm_metrics_format format, char **ret_text, size_t *ret_len,
                        struct stasis_error *err)
{
    struct stasis_metrics_report report;
    char *text = NULL;
    size_t len = 0;
    FILE *out;
    bool bad;
    int rc = stasis_metrics_collect(source, &report, err);

    if (rc)
        return rc;
    out = open_memstream(&text, &len);
    bad =
        !out || (format == STASIS_VMM_METRICS_JSON ? stasis_metrics_put_json(&report, out)
                                                   : stasis_metrics_put_openmetrics(&report, out));
    bad |= out && fclose(out) != 0;
    stasis_metrics_report_free(&report);
    if (bad) {
        free(text);
        return no_memory(err);
    }
    *ret_text = text;
    *ret_len = len;
    return 0;
}
