/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A snapshot and its parent; and what of the listed chunks a layer has to hold.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "chunk.h"
#include "io.h"
#include "write_layer.h"

void stasis_layer_fini(struct stasis_layer *layer)
{
    free(layer->chunks);
    free(layer->digests);
    stasis_index_fini(&layer->index);
}

/* ---- the snapshot and its parent ---- */

static bool same_ram(const struct stasis_index *a, const struct stasis_index *b)
{
    bool same = a->region_count == b->region_count;

    for (uint32_t r = 0; r < a->region_count && same; r++)
        same = a->regions[r].gpa == b->regions[r].gpa && a->regions[r].size == b->regions[r].size;
    return same;
}

static int check_parent(const struct stasis_snap *snap, const struct stasis_snap *parent,
                        struct stasis_error *err)
{
    if (stasis_input_is_open(&snap->input))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s is a file already; a snapshot that is being built gets a parent",
                           stasis_snap_name(snap));
    if (!stasis_input_is_open(&parent->input))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the parent is no file; save it and open it before");
    if (parent->opened.format_version == 1)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s has format version 1, and no root; save it with this release, and "
                           "use that as the parent",
                           parent->name);
    if (parent->has_no_parents)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s was opened without what it lies on; open it with that",
                           parent->name);
    if (parent->opened.arch != snap->header.info.arch || !same_ram(&snap->index, &parent->index))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s is of another guest: a parent has the same architecture and the "
                           "same ranges of RAM",
                           parent->name);
    return 0;
}

int stasis_snap_set_parent(struct stasis_snap *snap, struct stasis_snap *parent,
                           struct stasis_error *err)
{
    int rc = parent ? check_parent(snap, parent, err) : 0;

    if (rc)
        return rc;
    if (parent)
        stasis_snap_share(parent);
    stasis_snap_free(snap->lies_on);
    snap->lies_on = parent;
    return 0;
}

static bool has_no_name(const struct stasis_input *input)
{
    struct stat st;

    return input->fd >= 0 && !input->is_copy && !stasis_io_stat(input->fd, &st) && !st.st_nlink;
}

bool stasis_snap_is_removed(const struct stasis_snap *snap)
{
    for (uint32_t n = 0; n < snap->file_count; n++)
        if (has_no_name(&snap->files[n]->input))
            return true;
    return false;
}

/* It needs no more than are open now. */
bool stasis_snap_is_full(const struct stasis_snap *snap)
{
    return snap->file_count > STASIS_LAYER_NAMES_MAX;
}

int stasis_snap_set_dirty(struct stasis_snap *snap, uint32_t region, const uint64_t *bits,
                          struct stasis_error *err)
{
    if (region >= snap->index.region_count)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "RAM has %" PRIu32 " ranges, and none of number %" PRIu32,
                           snap->index.region_count, region);
    if (!snap->dirty)
        snap->dirty = calloc(STASIS_RAM_REGION_MAX, sizeof(*snap->dirty));
    if (!snap->dirty)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the list of dirty pages");
    snap->dirty[region] = bits;
    return 0;
}

/* A UUID is that of one file of a chain. */
static bool is_in_chain(const uint8_t *uuid, const struct stasis_snap *parent)
{
    for (uint32_t n = 0; uuid && n < parent->file_count; n++)
        if (!memcmp(parent->files[n]->header.info.uuid, uuid, STASIS_UUID_SIZE))
            return true;
    return false;
}

int stasis_layer_check(const struct stasis_writer *w, struct stasis_error *err)
{
    const struct stasis_snap *parent = w->snap->lies_on;

    if (w->opts.format_version == 1)
        return stasis_fail(
            err, STASIS_ERR_ARG,
            "format version 1 has no layers; save without a parent, or in version 2");
    if (w->opts.digests && !parent->opened.digests)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s has no digests, so a layer on it has none; leave them out, or save "
                           "without a parent",
                           parent->name);
    if (is_in_chain(w->opts.uuid, parent))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s, or a file that it lies on, has the UUID that the layer is to have; "
                           "give another one",
                           parent->name);
    return check_parent(w->snap, parent, err);
}

/* ---- which pages of listed chunks hold something ---- */

static void settle(struct stasis_layer_chunk *chunk, uint16_t all)
{
    if (!chunk->dirty)
        chunk->kind = STASIS_RUN_BELOW;
    else if (chunk->dirty != all)
        chunk->kind = STASIS_RUN_PARTLY;
    else
        chunk->kind = chunk->stored ? STASIS_RUN_STORED : STASIS_RUN_ZERO;
    chunk->zero = chunk->kind == STASIS_RUN_PARTLY ? chunk->dirty & ~chunk->stored : 0;
    chunk->encoding = STASIS_CHUNK_RAW;
    chunk->stored_len = (uint32_t)__builtin_popcount(chunk->stored) * STASIS_PAGE_SIZE;
}

/* Pages that are as in the parent are not dirty. */
static void leave_out(const struct stasis_writer *w, struct stasis_layer_chunk *chunk,
                      uint8_t *room)
{
    uint16_t same = stasis_layer_same_pages(w, chunk, room);

    chunk->dirty &= (uint16_t)~same;
    chunk->stored &= (uint16_t)~same;
}

static int look(struct stasis_writer *w, const struct stasis_range *range, struct stasis_error *err)
{
    uint8_t *room = w->layer.compares ? malloc(STASIS_CHUNK_SIZE) : NULL;
    int rc = 0;

    for (uint64_t n = range->first; n < range->end && !rc; n++) {
        struct stasis_layer_chunk *chunk = &w->layer.chunks[n];

        rc = stasis_writer_check(w, err);
        if (rc)
            break;
        chunk->stored =
            stasis_chunk_page_mask_among(stasis_writer_chunk(w, chunk->number), chunk->stored);
        if (room) /* without memory all are stored */
            leave_out(w, chunk, room);
        settle(chunk, stasis_layer_all(&w->index, chunk->number));
    }
    free(room);
    return rc;
}

struct stasis_list stasis_layer_list(const struct stasis_writer *w)
{
    const uint64_t most = STASIS_BATCH_CHUNKS * STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE;
    uint64_t pages = 1;

    for (size_t n = 0; n < w->layer.count; n++)
        pages += (uint64_t)__builtin_popcount(w->layer.chunks[n].stored);
    return (struct stasis_list){w->layer.count,
                                pages < w->layer.count ? most : most * w->layer.count / pages + 1};
}

int stasis_layer_plan(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = stasis_layer_list_chunks(w, err);
    const struct stasis_list list = stasis_layer_list(w);

    if (rc)
        return rc;
    w->layer.compares = stasis_layer_has_same(w);
    return stasis_writer_run_list(w, &list, w->opts.threads, STASIS_SHARE_SCAN, look, err);
}

void stasis_layer_count(const struct stasis_writer *w, struct stasis_save_stats *stats)
{
    for (uint32_t r = 0; r < w->index.region_count; r++)
        stats->below_bytes += stasis_layer_bits(w, r) ? w->index.regions[r].size : 0;
    stats->below_bytes -= w->layer.zero_bytes;
    for (size_t n = 0; n < w->layer.count; n++) {
        const struct stasis_layer_chunk *chunk = &w->layer.chunks[n];
        uint32_t r = stasis_index_region_of(&w->index, chunk->number);

        if (stasis_layer_bits(w, r))
            stats->below_bytes -= (uint64_t)__builtin_popcount(chunk->dirty) * STASIS_PAGE_SIZE;
        stats->zero_bytes -= (uint64_t)__builtin_popcount(chunk->stored) * STASIS_PAGE_SIZE;
        stats->compressed_bytes += chunk->encoding == STASIS_CHUNK_ZLIB ? chunk->stored_len : 0;
    }
    stats->zero_bytes -= stats->below_bytes;
    stats->whole_index = w->layer.whole;
}
