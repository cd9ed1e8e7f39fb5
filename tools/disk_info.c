/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * `info` of the overlay of a disk: what it lies on, and what of the disk it has itself.
 */
#include <inttypes.h>

#include "tools/cmd_info.h"
#include "tools/disk.h"
#include "tools/text.h"

static void label(FILE *out, const char *name)
{
    fprintf(out, "  %-12s", name);
}

static void put_size(FILE *out, const char *before, uint64_t bytes, const char *after)
{
    char text[STASIS_TEXT_MAX];

    stasis_text_size(bytes, text);
    fprintf(out, "%s%s%s", before, text, after);
}

static void print_identity(FILE *out, const struct stasis_snap_info *info, bool is_sealed)
{
    char text[STASIS_TEXT_MAX];

    label(out, "producer");
    stasis_text_put(out, info->producer);
    fprintf(out, ", format %" PRIu32 "\n", info->format_version);
    stasis_text_time(info->created_ns, text);
    label(out, "made");
    fprintf(out, "%s\n", text);
    stasis_text_uuid(info->uuid, text);
    label(out, "UUID");
    fprintf(out, "%s\n", text);
    if (is_sealed) {
        stasis_text_root(info->root, text);
        label(out, "root");
        fprintf(out, "%s, %s\n", text, info->digests ? "SHA-256" : "of checksums");
    }
    if (info->layer)
        stasis_inspect_info_parent(out, info);
}

/* What is known of the raw image, whose path is in no file. */
static void print_image(FILE *out, const struct stasis_overlay_about *about)
{
    char text[STASIS_TEXT_MAX];

    label(out, "image");
    if (about->inode) {
        stasis_text_time(about->mtime_ns, text);
        fprintf(out, "inode %" PRIu64 ", last written to %s\n", about->inode, text);
    } else {
        fputs("unknown\n", out);
    }
}

static void print_use(FILE *out, const struct stasis_overlay_about *about)
{
    if (about->is_sealed)
        return;
    label(out, "use");
    if (about->was_cut_off)
        fputs("cut off while it was being sealed\n", out);
    else
        fputs(about->has_ended ? "ended\n" : "cut off; the disk is as it was flushed last\n", out);
}

/* Those that were opened with it, or why they were not. */
static void print_below(FILE *out, const struct stasis_inspect_args *args)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_error err;

    if (stasis_disk_open(args, args->operands[0], false, &overlay, &err)) {
        label(out, "incomplete");
        stasis_text_put(out, err.msg);
        fputc('\n', out);
        return;
    }
    for (uint32_t n = 1; n < stasis_overlay_about(overlay).files; n++) {
        struct stasis_overlay_file file = stasis_overlay_file_at(overlay, n);

        label(out, n == 1 ? "lies on" : "");
        stasis_text_put(out, file.name);
        put_size(out, ", ", file.info->file_len, "\n");
    }
    stasis_overlay_free(overlay);
}

static void print_all(FILE *out, const struct stasis_inspect_args *args,
                      const struct stasis_overlay *overlay)
{
    const struct stasis_overlay_about about = stasis_overlay_about(overlay);
    const struct stasis_overlay_file own = stasis_overlay_file_at(overlay, 0);

    stasis_text_put(out, args->operands[0]);
    fprintf(out, ": an overlay of a disk, %s\n", about.is_sealed ? "sealed" : "not sealed");
    print_identity(out, own.info, about.is_sealed);
    if (about.lies_on_image)
        print_image(out, &about);
    label(out, "disk");
    put_size(out, "", about.disk_bytes, ": ");
    put_size(out, "", own.pages * STASIS_PAGE_SIZE, " in this file, ");
    put_size(out, "", own.zeros * STASIS_PAGE_SIZE, " zero, the rest ");
    fprintf(out, "%s\n",
            own.info->whole   ? "in others or as in the image; whole index"
            : own.info->layer ? "as in the parent"
                              : "as in the image");
    print_use(out, &about);
    label(out, "file");
    put_size(out, "", own.info->file_len, "\n");
}

int stasis_disk_print(const struct stasis_inspect_args *args, FILE *out, struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    bool is_layer;
    int rc = stasis_disk_open(args, args->operands[0], true, &overlay, err);

    if (rc)
        return rc;
    print_all(out, args, overlay);
    is_layer = stasis_overlay_file_at(overlay, 0).info->layer;
    stasis_overlay_free(overlay);
    if (is_layer)
        print_below(out, args);
    return 0;
}

/* "overlay of a disk of 10 GiB, sealed, made 2026-01-31 12:34:56 UTC, 40 MiB stored, by ..." */
int stasis_disk_print_line(const struct stasis_inspect_args *args, FILE *out,
                           struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    struct stasis_overlay_about about;
    struct stasis_overlay_file own;
    char when[STASIS_TEXT_MAX];
    int rc = stasis_disk_open(args, args->operands[0], true, &overlay, err);

    if (rc)
        return rc;
    about = stasis_overlay_about(overlay);
    own = stasis_overlay_file_at(overlay, 0);
    stasis_text_time(own.info->created_ns, when);
    stasis_text_put(out, args->operands[0]);
    put_size(out, ": overlay of a disk of ", about.disk_bytes, "");
    fprintf(out, ", %s, made %s", about.is_sealed ? "sealed" : "not sealed", when);
    put_size(out, ", ", own.pages * STASIS_PAGE_SIZE, " stored, by ");
    stasis_text_put(out, own.info->producer);
    fputc('\n', out);
    stasis_overlay_free(overlay);
    return 0;
}
