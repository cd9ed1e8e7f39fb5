/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The tables made from metrics.def and metrics_scopes.def, and values for them.
 */
#ifndef STASIS_VMM_METRICS_TABLE_H
#define STASIS_VMM_METRICS_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum stasis_metrics_scope {
#define STASIS_METRICS_SCOPE(scope, parent, key, prefix, is_list) STASIS_METRICS_##scope,
#include "vmm/api/metrics_scopes.def"
#undef STASIS_METRICS_SCOPE
    STASIS_METRICS_SCOPE_COUNT,
};

enum stasis_metric_kind { STASIS_METRIC_COUNTER, STASIS_METRIC_GAUGE };
enum stasis_metric_unit {
    STASIS_METRIC_ONE,
    STASIS_METRIC_BYTES,
    STASIS_METRIC_US,
    STASIS_METRIC_BOOL,
};

/* STASIS_METRIC_FAMILY_RUN_uptime_us, ... */
enum stasis_metric_family_id {
#define STASIS_METRIC(scope, name, kind, unit, text) STASIS_METRIC_FAMILY_##scope##_##name,
#define STASIS_METRIC_FAMILY(scope, name, key, kind, unit, text)                                   \
    STASIS_METRIC_FAMILY_##scope##_##name,
#define STASIS_METRIC_LABEL(scope, name, label, text)
#include "vmm/api/metrics.def"
    STASIS_METRIC_FAMILY_COUNT,
#undef STASIS_METRIC
#undef STASIS_METRIC_FAMILY
#undef STASIS_METRIC_LABEL
};

/* One for each number: STASIS_METRIC_RUN_uptime_us, STASIS_METRIC_VCPU_exits_io, ... */
enum stasis_metric {
#define STASIS_METRIC(scope, name, kind, unit, text) STASIS_METRIC_##scope##_##name,
#define STASIS_METRIC_FAMILY(scope, name, key, kind, unit, text)
#define STASIS_METRIC_LABEL(scope, name, label, text) STASIS_METRIC_##scope##_##name##_##label,
#include "vmm/api/metrics.def"
    STASIS_METRIC_COUNT,
#undef STASIS_METRIC
#undef STASIS_METRIC_FAMILY
#undef STASIS_METRIC_LABEL
};

struct stasis_metrics_scope_row {
    const char *key, *prefix;
    enum stasis_metrics_scope parent; /* of the first scope: itself */
    bool is_list;
};

struct stasis_metric_family {
    enum stasis_metrics_scope scope;
    const char *name, *key; /* key "": it has no labels */
    enum stasis_metric_kind kind;
    enum stasis_metric_unit unit;
    const char *text;
};

struct stasis_metric_row {
    enum stasis_metric_family_id family;
    const char *label, *text; /* "" for a family without labels */
};

extern const struct stasis_metrics_scope_row stasis_metrics_scopes[STASIS_METRICS_SCOPE_COUNT];
extern const struct stasis_metric_family stasis_metric_families[STASIS_METRIC_FAMILY_COUNT];
extern const struct stasis_metric_row stasis_metric_rows[STASIS_METRIC_COUNT];

/* ---- values ---- */

/* Of what has not happened, and does not exist: left out of both formats. */
#define STASIS_METRIC_ABSENT UINT64_MAX

#define STASIS_METRICS_NAME_MAX 64

/* All values of one thing, such as a vCPU; those of other scopes are not used. */
struct stasis_metrics_set {
    enum stasis_metrics_scope scope;
    /* Which thing it is: label keys and values, in JSON members. Key NULL: none. */
    struct {
        const char *key;
        bool is_number;
        char value[STASIS_METRICS_NAME_MAX];
    } names[2];
    uint64_t values[STASIS_METRIC_COUNT];
};

/* One set for each scope that is not a list, at most, and the first is RUN's. */
struct stasis_metrics_report {
    struct stasis_metrics_set *sets;
    size_t count;
};

#endif
