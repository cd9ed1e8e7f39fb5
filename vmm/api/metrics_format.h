/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A report in its two formats. 0, or -1 when writing to `out` failed.
 */
#ifndef STASIS_VMM_METRICS_FORMAT_H
#define STASIS_VMM_METRICS_FORMAT_H

#include <stdio.h>

#include "stasis/compiler.h"
#include "vmm/api/metrics_table.h"

STASIS_MUST_CHECK int stasis_metrics_put_json(const struct stasis_metrics_report *report,
                                              FILE *out);
STASIS_MUST_CHECK int stasis_metrics_put_openmetrics(const struct stasis_metrics_report *report,
                                                     FILE *out);

/* The name of a family in OpenMetrics; counters' samples have "_total" behind it. */
void stasis_metrics_put_name(FILE *out, const struct stasis_metric_family *family);

#endif
