/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Prints metrics for test_metrics_formats.py: make_metrics full|fresh json|openmetrics, or
 * make_metrics table for that of docs/metrics.md.
 */
#include "vmm/api/metrics_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/metrics_format.h"

static const struct stasis_metric_family *family_of(int metric)
{
    return &stasis_metric_families[stasis_metric_rows[metric].family];
}

/* "freezes.last.", "vcpus[]." */
static void print_path(enum stasis_metrics_scope scope)
{
    const struct stasis_metrics_scope_row *row = &stasis_metrics_scopes[scope];

    if (!*row->key)
        return;
    print_path(row->parent);
    printf("%s%s.", row->key, row->is_list ? "[]" : "");
}

static void print_family(const struct stasis_metric_family *family)
{
    static const char *const units[] = {"", "bytes", "µs, s", "0 or 1"};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (!out)
        exit(1);
    stasis_metrics_put_name(out, family);
    fclose(out);
    printf("| `");
    print_path(family->scope);
    printf("%s%s` | `%s%s` | %s | %s | %s |\n", family->name, *family->key ? ".*" : "", text,
           family->kind == STASIS_METRIC_COUNTER ? "_total" : "",
           family->kind == STASIS_METRIC_COUNTER ? "counter" : "gauge", units[family->unit],
           family->text);
    free(text);
}

static void print_table(void)
{
    int last = -1;

    puts("| JSON | OpenMetrics | kind | unit | |\n|---|---|---|---|---|");
    for (int i = 0; i < STASIS_METRIC_COUNT; i++) {
        const struct stasis_metric_row *row = &stasis_metric_rows[i];

        if ((int)row->family != last)
            print_family(family_of(i));
        last = (int)row->family;
        if (*row->label)
            printf("| `…%s` | `%s=\"%s\"` | | | %s |\n", row->label, family_of(i)->key, row->label,
                   row->text);
    }
}

int main(int argc, char **argv)
{
    struct metrics_rig rig;
    char *text;
    size_t len;

    if (argc == 2 && !strcmp(argv[1], "table")) {
        print_table();
        return 0;
    }
    if (argc != 3)
        return 2;
    if (!strcmp(argv[1], "full"))
        metrics_rig_full(&rig, 3);
    else
        metrics_rig_fresh(&rig, 3);
    if (stasis_metrics_text(&rig.source,
                            strcmp(argv[2], "json") != 0 ? STASIS_VMM_METRICS_OPENMETRICS
                                                         : STASIS_VMM_METRICS_JSON,
                            &text, &len, NULL))
        return 1;
    fwrite(text, 1, len, stdout);
    free(text);
    metrics_rig_fini(&rig);
    return 0;
}
