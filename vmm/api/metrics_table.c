/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/metrics_table.h"

const struct stasis_metrics_scope_row stasis_metrics_scopes[STASIS_METRICS_SCOPE_COUNT] = {
#define STASIS_METRICS_SCOPE(scope, parent, key, prefix, is_list)                                  \
    [STASIS_METRICS_##scope] = {key, prefix, STASIS_METRICS_##parent, is_list},
#include "vmm/api/metrics_scopes.def"
#undef STASIS_METRICS_SCOPE
};

#define FAMILY(scope, name, key, kind, unit, text)                                                 \
    [STASIS_METRIC_FAMILY_##scope##_##name] = {                                                    \
        STASIS_METRICS_##scope, #name, key, STASIS_METRIC_##kind, STASIS_METRIC_##unit, text},

const struct stasis_metric_family stasis_metric_families[STASIS_METRIC_FAMILY_COUNT] = {
#define STASIS_METRIC(scope, name, kind, unit, text) FAMILY(scope, name, "", kind, unit, text)
#define STASIS_METRIC_FAMILY(scope, name, key, kind, unit, text)                                   \
    FAMILY(scope, name, key, kind, unit, text)
#define STASIS_METRIC_LABEL(scope, name, label, text)
#include "vmm/api/metrics.def"
#undef STASIS_METRIC
#undef STASIS_METRIC_FAMILY
#undef STASIS_METRIC_LABEL
};

const struct stasis_metric_row stasis_metric_rows[STASIS_METRIC_COUNT] = {
#define STASIS_METRIC(scope, name, kind, unit, text)                                               \
    [STASIS_METRIC_##scope##_##name] = {STASIS_METRIC_FAMILY_##scope##_##name, "", ""},
#define STASIS_METRIC_FAMILY(scope, name, key, kind, unit, text)
#define STASIS_METRIC_LABEL(scope, name, label, text)                                              \
    [STASIS_METRIC_##scope##_##name##_##                                                           \
        label] = {STASIS_METRIC_FAMILY_##scope##_##name, #label, text},
#include "vmm/api/metrics.def"
#undef STASIS_METRIC
#undef STASIS_METRIC_FAMILY
#undef STASIS_METRIC_LABEL
};
