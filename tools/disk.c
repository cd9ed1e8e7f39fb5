/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Overlays of disks: opened, verified, and as JSON.
 */
#include "tools/disk.h"

#include <inttypes.h>

#include "common/progress.h"
#include "tools/text.h"

int stasis_disk_open(const struct stasis_inspect_args *args, const char *file, bool alone,
                     struct stasis_overlay **ret_overlay, struct stasis_error *err)
{
    const struct stasis_overlay_look look = {
        .size = sizeof(look), .layers = args->layers, .alone = alone};

    return stasis_overlay_open_to_read(file, args->outputs, &look, ret_overlay, err);
}

/* ---- verify ---- */

static void report(FILE *out, const char *file, const struct stasis_overlay *overlay,
                   uint64_t stray)
{
    const struct stasis_overlay_about about = stasis_overlay_about(overlay);
    uint64_t pages = 0, zeros = 0;

    for (uint32_t n = 0; n < about.files; n++) {
        struct stasis_overlay_file one = stasis_overlay_file_at(overlay, n);

        pages += one.pages;
        zeros += one.zeros;
    }
    stasis_text_put(out, file);
    fprintf(out,
            ": whole; checked headers, records, indexes and roots down to a whole index, and all "
            "pages of the disk that are not the image's (stored %" PRIu64 ", zero %" PRIu64
            "), files %" PRIu32 "\n",
            pages, zeros, about.files);
    if (about.was_cut_off)
        fputs("its sealing was cut off; vmm --block overlay= ends it\n", out);
    if (stray)
        fprintf(out,
                "bytes that it does not use, from offset 0x%" PRIx64
                " on, are not zero: its sealing was cut off at the end, or they were written\n",
                stray);
}

int stasis_disk_verify(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_progress progress;
    uint64_t stray = 0;
    int rc = stasis_disk_open(args, args->operands[0], false, &overlay, err);

    if (rc)
        return rc;
    stasis_progress_init(&progress, "verifying");
    rc = stasis_overlay_verify(overlay, stasis_progress_show, &progress, &stray, err);
    stasis_progress_clear(&progress);
    if (!rc)
        report(out, args->operands[0], overlay, stray);
    stasis_overlay_free(overlay);
    return rc;
}

/* ---- json ---- */

static void put_u64(struct stasis_json *json, const char *key, uint64_t value)
{
    stasis_json_key(json, key);
    stasis_json_u64(json, value);
}

static void put_bool(struct stasis_json *json, const char *key, bool value)
{
    stasis_json_key(json, key);
    stasis_json_bool(json, value);
}

static void put_image(struct stasis_json *json, const struct stasis_overlay_about *about)
{
    char samples[STASIS_TEXT_MAX];

    put_u64(json, "image_inode", about->inode);
    put_u64(json, "image_mtime_ns", about->mtime_ns);
    if (about->has_samples) {
        stasis_text_root(about->samples, samples);
        stasis_json_key(json, "image_samples");
        stasis_json_str(json, samples);
    }
}

static void put_disk(struct stasis_json *json, const struct stasis_overlay *overlay)
{
    const struct stasis_overlay_about about = stasis_overlay_about(overlay);
    const struct stasis_overlay_file own = stasis_overlay_file_at(overlay, 0);

    stasis_json_key(json, "disk");
    stasis_json_object_begin(json);
    put_u64(json, "bytes", about.disk_bytes);
    put_bool(json, "sealed", about.is_sealed);
    put_bool(json, "ended", about.has_ended);
    put_bool(json, "sealing_cut_off", about.was_cut_off);
    put_bool(json, "whole_index", own.info->whole);
    put_u64(json, "pages_stored", own.pages);
    put_u64(json, "pages_zero", own.zeros);
    put_u64(json, "file_bytes", own.info->file_len);
    if (about.lies_on_image)
        put_image(json, &about);
    stasis_json_object_end(json);
}

int stasis_disk_json(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_json json;
    int rc = stasis_disk_open(args, args->operands[0], true, &overlay, err);

    if (rc)
        return rc;
    stasis_json_init(&json, out);
    stasis_json_object_begin(&json);
    stasis_inspect_json_header(&json, stasis_overlay_file_at(overlay, 0).info);
    put_disk(&json, overlay);
    stasis_json_object_end(&json);
    if (stasis_json_finish(&json))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output");
    stasis_overlay_free(overlay);
    return rc;
}
