/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdlib.h>

#include "stasis/json.h"
#include "vmm/api/metrics_format.h"

static void put_names(struct stasis_json *json, const struct stasis_metrics_set *set)
{
    for (size_t i = 0; i < 2 && set->names[i].key; i++) {
        stasis_json_key(json, set->names[i].key);
        if (set->names[i].is_number)
            stasis_json_u64(json, strtoull(set->names[i].value, NULL, 10));
        else
            stasis_json_str(json, set->names[i].value);
    }
}

static void put_value(struct stasis_json *json, const struct stasis_metric_family *family,
                      const char *key, uint64_t value)
{
    if (value == STASIS_METRIC_ABSENT)
        return;
    stasis_json_key(json, key);
    if (family->unit == STASIS_METRIC_BOOL)
        stasis_json_bool(json, value);
    else
        stasis_json_u64(json, value);
}

/* The labels of a family are the keys of an object. */
static void put_values(struct stasis_json *json, const struct stasis_metrics_set *set)
{
    int open = -1; /* family whose object is open */

    for (int i = 0; i < STASIS_METRIC_COUNT; i++) {
        const struct stasis_metric_row *row = &stasis_metric_rows[i];
        const struct stasis_metric_family *family = &stasis_metric_families[row->family];

        if (open >= 0 && open != (int)row->family) {
            stasis_json_object_end(json);
            open = -1;
        }
        if (family->scope != set->scope)
            continue;
        if (*family->key && open < 0) {
            stasis_json_key(json, family->name);
            stasis_json_object_begin(json);
            open = (int)row->family;
        }
        put_value(json, family, *row->label ? row->label : family->name, set->values[i]);
    }
    if (open >= 0)
        stasis_json_object_end(json);
}

static void put_inside(struct stasis_json *json, const struct stasis_metrics_report *report,
                       enum stasis_metrics_scope scope);

static void put_set(struct stasis_json *json, const struct stasis_metrics_report *report,
                    const struct stasis_metrics_set *set)
{
    stasis_json_object_begin(json);
    put_names(json, set);
    put_values(json, set);
    put_inside(json, report, set->scope);
    stasis_json_object_end(json);
}

static void put_scope(struct stasis_json *json, const struct stasis_metrics_report *report,
                      enum stasis_metrics_scope scope)
{
    const struct stasis_metrics_scope_row *row = &stasis_metrics_scopes[scope];

    if (row->is_list) {
        stasis_json_key(json, row->key);
        stasis_json_array_begin(json);
    }
    for (size_t i = 0; i < report->count; i++) {
        if (report->sets[i].scope != scope)
            continue;
        if (!row->is_list)
            stasis_json_key(json, row->key);
        put_set(json, report, &report->sets[i]);
    }
    if (row->is_list)
        stasis_json_array_end(json);
}

/* Scopes inside others: as deep as the table. */
static void put_inside(struct stasis_json *json, const struct stasis_metrics_report *report,
                       enum stasis_metrics_scope scope)
{
    for (int i = 1; i < STASIS_METRICS_SCOPE_COUNT; i++) {
        if (stasis_metrics_scopes[i].parent == scope)
            put_scope(json, report, (enum stasis_metrics_scope)i);
    }
}

int stasis_metrics_put_json(const struct stasis_metrics_report *report, FILE *out)
{
    struct stasis_json json;

    stasis_json_init(&json, out);
    put_set(&json, report, &report->sets[0]);
    return stasis_json_finish(&json);
}
