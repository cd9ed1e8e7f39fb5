/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "stasis/json.h"

static void put_u64(struct stasis_json *json, const char *key, uint64_t value)
{
    stasis_json_key(json, key);
    stasis_json_u64(json, value);
}

/* A moment that has not come is left out: no number stands for it. */
static void put_moment(struct stasis_json *json, const char *key,
                       const struct stasis_metrics *metrics, uint64_t us)
{
    if (us)
        put_u64(json, key, us - metrics->start_us);
}

static void put_ram(struct stasis_json *json, const struct stasis_metrics *metrics,
                    const struct stasis_ram *ram)
{
    struct stasis_ram_metrics now;

    stasis_ram_get_metrics(ram, &now);
    stasis_json_key(json, "memory");
    stasis_json_object_begin(json);
    stasis_json_key(json, "mode");
    stasis_json_str(json, stasis_ram_mode_name(stasis_ram_mode(ram)));
    put_u64(json, "stored_bytes", now.stored_bytes);
    put_u64(json, "populated_bytes", now.populated_bytes);
    put_u64(json, "verified_bytes", now.verified_bytes);
    put_u64(json, "faults", now.faults);
    put_moment(json, "populated_us", metrics, now.complete_ns / 1000);
    stasis_json_object_end(json);
}

static void put_freezes(struct stasis_json *json, const struct stasis_metrics *metrics)
{
    stasis_json_key(json, "freezes");
    stasis_json_object_begin(json);
    put_u64(json, "saved", metrics->freezes);
    put_u64(json, "failed", metrics->freezes_failed);
    put_u64(json, "largest_guest_gap_us", metrics->largest_gap_us);
    if (metrics->freezes) {
        stasis_json_key(json, "last");
        stasis_json_object_begin(json);
        put_u64(json, "pause_us", metrics->pause_us);
        put_u64(json, "file_bytes", metrics->saved.file_bytes);
        put_u64(json, "stored_bytes", metrics->saved.stored_bytes);
        put_u64(json, "compressed_bytes", metrics->saved.compressed_bytes);
        put_u64(json, "zero_bytes", metrics->saved.zero_bytes);
        stasis_json_object_end(json);
    }
    stasis_json_object_end(json);
}

static int put_all(FILE *out, const struct stasis_metrics *metrics, const struct stasis_ram *ram)
{
    struct stasis_json json;

    stasis_json_init(&json, out);
    stasis_json_object_begin(&json);
    put_moment(&json, "loaded_us", metrics, metrics->loaded_us);
    put_moment(&json, "first_run_us", metrics, metrics->first_run_us);
    if (metrics->first_run_us) {
        stasis_json_key(&json, "kvmclock_is_stable");
        stasis_json_bool(&json, metrics->clock_is_stable);
    }
    if (metrics->thawed) {
        stasis_json_key(&json, "tsc_is_set");
        stasis_json_bool(&json, metrics->tsc_is_set);
    }
    if (ram)
        put_ram(&json, metrics, ram);
    put_freezes(&json, metrics);
    stasis_json_object_end(&json);
    return stasis_json_finish(&json);
}

int stasis_metrics_write(const struct stasis_metrics *metrics, const struct stasis_ram *ram,
                         struct stasis_output *output, struct stasis_error *err)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    bool bad;
    int rc;

    if (!out)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the metrics");
    bad = put_all(out, metrics, ram) != 0;
    bad |= fclose(out) != 0;
    rc = bad ? stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the metrics")
             : stasis_output_set(output, text, len, err);
    free(text);
    return rc ? stasis_wrap(err, rc, "--metrics %s", stasis_output_path(output)) : 0;
}
