/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a layer has of RAM itself, what it lies on, and what of that is not there.
 */
#include "tools/cmd_info.h"

#include <inttypes.h>

#include "tools/text.h"

static void label(FILE *out, const char *name)
{
    fprintf(out, "  %-12s", name);
}

void stasis_inspect_info_parent(FILE *out, const struct stasis_snap_info *info)
{
    char uuid[STASIS_TEXT_MAX], root[STASIS_TEXT_MAX];

    stasis_text_uuid(info->parent_uuid, uuid);
    stasis_text_root(info->parent_root, root);
    label(out, "parent");
    fprintf(out, "%s\n", uuid);
    label(out, "");
    fprintf(out, "root %s\n", root);
}

/* Of the layer's own index. */
struct tally {
    uint64_t own; /* bytes of pages that are stored here */
    uint64_t others;
    uint64_t zero;
};

static void count_extents(const struct stasis_snap *snap, uint64_t i, struct tally *tally)
{
    uint32_t count = stasis_snap_extent_count(snap, i);

    for (uint32_t k = 0; k < count; k++) {
        struct stasis_snap_extent extent = stasis_snap_extent_at(snap, i, k);
        uint64_t bytes = (uint64_t)__builtin_popcount(extent.taken_pages) * STASIS_PAGE_SIZE;

        if (extent.encoding == STASIS_CHUNK_ZERO)
            tally->zero += bytes;
        else if (extent.file)
            tally->others += bytes;
        else
            tally->own += bytes;
    }
}

/* Chunks of one region that are alike; the last one of the region may be short. */
static void count_run(const struct stasis_snap *snap, uint64_t first, uint64_t end,
                      struct tally *tally)
{
    struct stasis_snap_chunk last = stasis_snap_chunk_at(snap, end - 1);

    count_extents(snap, first, tally);
    if (last.kind == STASIS_CHUNK_ZERO)
        tally->zero += (end - 1 - first) * STASIS_CHUNK_SIZE + last.size;
}

static void count_region(const struct stasis_snap *snap, uint32_t r, struct tally *tally)
{
    uint64_t next, end = r + 1 < stasis_snap_region_count(snap)
                             ? stasis_snap_region_at(snap, r + 1).first_chunk
                             : stasis_snap_chunk_count(snap);

    for (uint64_t i = stasis_snap_region_at(snap, r).first_chunk; i < end; i = next) {
        next = stasis_snap_run_end(snap, i, end);
        count_run(snap, i, next, tally);
    }
}

static void put_size(FILE *out, const char *before, uint64_t bytes, const char *after)
{
    char text[STASIS_TEXT_MAX];

    stasis_text_size(bytes, text);
    fprintf(out, "%s%s%s", before, text, after);
}

void stasis_inspect_info_layer_sizes(FILE *out, const struct stasis_snap *snap)
{
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    uint32_t regions = stasis_snap_region_count(snap);
    struct tally tally = {0};

    for (uint32_t r = 0; r < regions; r++)
        count_region(snap, r, &tally);
    label(out, "memory");
    put_size(out, "", info->ram_bytes, " in ");
    fprintf(out, "%" PRIu32 " region%s: ", regions, regions == 1 ? "" : "s");
    put_size(out, "", tally.own, " in this file, ");
    if (info->whole)
        put_size(out, "", tally.others, " in others, the rest zero\n");
    else
        put_size(out, "", tally.zero, " became zero, the rest as in the parent\n");
}

/* The files that were opened with it. */
static void put_files(FILE *out, const struct stasis_snap *snap)
{
    for (uint32_t n = 1; n < stasis_snap_file_count(snap); n++) {
        struct stasis_snap_file file = stasis_snap_file_at(snap, n);

        label(out, n == 1 ? "lies on" : "");
        stasis_text_put(out, file.name);
        put_size(out, ", ", file.file_len, "\n");
    }
}

void stasis_inspect_info_below(FILE *out, const struct stasis_inspect_args *args)
{
    struct stasis_snap *snap;
    struct stasis_error err;

    if (!stasis_inspect_opens_twice(args->operands[0]))
        return; /* it has been read */
    if (stasis_inspect_open_tolerant(args, args->operands[0], &snap, &err)) {
        label(out, "incomplete");
        stasis_text_put(out, err.msg);
        fputc('\n', out);
        return;
    }
    put_files(out, snap);
    stasis_snap_free(snap);
}
