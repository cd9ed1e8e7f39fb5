/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * OpenMetrics 1.0 text. Only counters and gauges, whose lines the older format of Prometheus has,
 * too: node exporter reads that one. Base units, as Prometheus wants them: seconds, not
 * microseconds.
 */
#include <inttypes.h>
#include <string.h>

#include "vmm/api/metrics_format.h"

static size_t ends_with(const char *name, const char *end)
{
    size_t len = strlen(name);
    size_t end_len = strlen(end);

    return len > end_len && !strcmp(name + len - end_len, end) ? end_len : 0;
}

/* "stasis_vcpu_paused_seconds" */
void stasis_metrics_put_name(FILE *out, const struct stasis_metric_family *family)
{
    size_t len = strlen(family->name);
    bool is_time = family->unit == STASIS_METRIC_US;

    if (is_time)
        len -= ends_with(family->name, "_us");
    fprintf(out, "stasis_%s%.*s%s", stasis_metrics_scopes[family->scope].prefix, (int)len,
            family->name, is_time ? "_seconds" : "");
}

static void put_head(FILE *out, const struct stasis_metric_family *family)
{
    static const char *const units[] = {[STASIS_METRIC_BYTES] = "bytes",
                                        [STASIS_METRIC_US] = "seconds",
                                        [STASIS_METRIC_BOOL] = NULL};

    fputs("# TYPE ", out);
    stasis_metrics_put_name(out, family);
    fputs(family->kind == STASIS_METRIC_COUNTER ? " counter\n" : " gauge\n", out);
    if (units[family->unit]) {
        fputs("# UNIT ", out);
        stasis_metrics_put_name(out, family);
        fprintf(out, " %s\n", units[family->unit]);
    }
    fputs("# HELP ", out);
    stasis_metrics_put_name(out, family);
    fprintf(out, " %s\n", family->text);
}

static void put_label(FILE *out, const char *key, const char *value, bool first)
{
    fprintf(out, "%s%s=\"", first ? "{" : ",", key);
    for (; *value; value++) {
        if (*value == '\n')
            fputs("\\n", out);
        else if (*value == '"' || *value == '\\')
            fprintf(out, "\\%c", *value);
        else
            fputc(*value, out);
    }
    fputc('"', out);
}

static void put_labels(FILE *out, const struct stasis_metrics_set *set,
                       const struct stasis_metric_family *family,
                       const struct stasis_metric_row *row)
{
    bool first = true;

    for (size_t i = 0; i < 2 && set->names[i].key; i++, first = false)
        put_label(out, set->names[i].key, set->names[i].value, first);
    if (*family->key) {
        put_label(out, family->key, row->label, first);
        first = false;
    }
    if (!first)
        fputc('}', out);
}

static void put_sample(FILE *out, const struct stasis_metrics_set *set,
                       const struct stasis_metric_family *family, int metric)
{
    uint64_t value = set->values[metric];

    stasis_metrics_put_name(out, family);
    if (family->kind == STASIS_METRIC_COUNTER)
        fputs("_total", out);
    put_labels(out, set, family, &stasis_metric_rows[metric]);
    if (family->unit == STASIS_METRIC_US)
        fprintf(out, " %" PRIu64 ".%06" PRIu64 "\n", value / 1000000, value % 1000000);
    else
        fprintf(out, " %" PRIu64 "\n", value);
}

/* The samples of a family stand together, behind its head. */
static void put_family(FILE *out, const struct stasis_metrics_report *report, int id)
{
    const struct stasis_metric_family *family = &stasis_metric_families[id];
    bool has_head = false;

    for (size_t i = 0; i < report->count; i++) {
        const struct stasis_metrics_set *set = &report->sets[i];

        for (int metric = 0; metric < STASIS_METRIC_COUNT && set->scope == family->scope;
             metric++) {
            if ((int)stasis_metric_rows[metric].family != id ||
                set->values[metric] == STASIS_METRIC_ABSENT)
                continue;
            if (!has_head)
                put_head(out, family);
            has_head = true;
            put_sample(out, set, family, metric);
        }
    }
}

int stasis_metrics_put_openmetrics(const struct stasis_metrics_report *report, FILE *out)
{
    for (int id = 0; id < STASIS_METRIC_FAMILY_COUNT; id++)
        put_family(out, report, id);
    fputs("# EOF\n", out);
    return fflush(out) || ferror(out) ? -1 : 0;
}
