/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a snapshot that was opened keeps when it is saved again: its RAM and the sections that this
 * release does not know, as the bytes that are stored; but the chunks of a layer are put together
 * out of all files, and stored in full: what is written lies on nothing. All of it is verified on
 * its way, as stasis_snap_verify() does: a damaged file must not become one that counts as whole.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "chunk.h"
#include "compress.h"
#include "write.h"

int stasis_writer_check_opened(const struct stasis_writer *w, struct stasis_error *err)
{
    const struct stasis_snap_info *info = &w->snap->opened;

    if (w->opts.zlib_level && !info->layer)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "RAM of an opened snapshot is kept as it is stored; leave zlib_level 0");
    if (info->compatible)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "it has compatible feature bit %d, which would be lost; use a newer "
                           "release of %s",
                           __builtin_ctzll(info->compatible), info->producer);
    return stasis_snap_check_ram(w->snap, err);
}

void stasis_writer_take_chunks(struct stasis_writer *w)
{
    const struct stasis_index *from = &w->snap->index;
    uint64_t count = from->chunk_count;

    for (uint64_t i = stasis_index_zero_end(from, 0, count); i < count;
         i = stasis_index_zero_end(from, i + 1, count)) {
        struct stasis_snap_chunk chunk = stasis_index_get(from, i);

        if (chunk.kind == STASIS_CHUNK_EXTENTS) {
            chunk.kind = STASIS_CHUNK_RAW;
            chunk.stored_len = chunk.size;
        }
        stasis_index_own(&w->index, i);
        stasis_index_put(&w->index, i, &chunk);
    }
    w->shares_done += STASIS_SHARE_SCAN; /* nothing was looked for */
}

int stasis_writer_read_flat(const struct stasis_writer *w, uint64_t i, uint8_t *host,
                            struct stasis_error *err)
{
    int rc = stasis_snap_read_chunks(w->snap, i, i + 1, host, err);

    return rc ? rc : stasis_snap_check_page_mask(w->snap, i, host, err);
}

static int copy_layered(struct stasis_writer *w, uint64_t i, uint8_t *bytes,
                        struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_index_get(&w->index, i);
    int rc = stasis_writer_read_flat(w, i, bytes, err);

    if (rc)
        return rc;
    chunk.crc = stasis_crc32(bytes, chunk.size);
    stasis_index_put(&w->index, i, &chunk);
    stasis_writer_digest(w, i, bytes, chunk.size);
    return stasis_writer_put(w->target, bytes, chunk.size, chunk.offset, err);
}

/* `bytes` is room for what is stored and for what it unpacks to. */
static int copy_chunk(struct stasis_writer *w, uint64_t i, uint8_t bytes[2 * STASIS_CHUNK_SIZE],
                      struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_index_get(&w->index, i);
    uint8_t *unpacked = bytes;
    int rc = stasis_snap_read_stored(w->snap, i, bytes, err);

    if (!rc && chunk.kind == STASIS_CHUNK_ZLIB) {
        unpacked = bytes + STASIS_CHUNK_SIZE;
        rc = stasis_snap_unpack(w->snap, i, bytes, unpacked, err);
    }
    if (!rc)
        rc = stasis_snap_check_page_mask(w->snap, i, unpacked, err);
    if (rc)
        return rc;
    stasis_writer_digest(w, i, bytes, chunk.stored_len);
    return stasis_writer_put(w->target, bytes, chunk.stored_len, chunk.offset, err);
}

int stasis_writer_copy_chunks(struct stasis_writer *w, const struct stasis_range *range,
                              struct stasis_error *err)
{
    uint8_t *bytes = malloc(2 * STASIS_CHUNK_SIZE);
    uint64_t start = 0;
    uint64_t end = 0;
    int rc = bytes ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to copy RAM");

    for (uint64_t i = range->first; i < range->end && !rc; i++) {
        struct stasis_snap_chunk chunk = stasis_index_get(&w->index, i);

        if (chunk.kind == STASIS_CHUNK_ZERO)
            continue;
        rc = stasis_writer_check(w, err);
        if (!rc)
            rc = w->snap->index.runs.layered ? copy_layered(w, i, bytes, err)
                                             : copy_chunk(w, i, bytes, err);
        start = end ? start : chunk.offset;
        end = chunk.offset + chunk.stored_len;
    }
    free(bytes);
    return rc ? rc : stasis_writer_push(w, start, end, err);
}

/* ---- sections ---- */

int stasis_writer_keep_sections(struct stasis_writer *w, uint32_t room, struct stasis_error *err)
{
    uint32_t count = stasis_snap_unknown_count(w->snap);
    const struct stasis_section *section = w->snap->header.sections;

    if (count > room)
        return stasis_fail(err, STASIS_ERR_FULL, "more than %u sections", STASIS_SECTIONS_MAX);
    for (; w->kept_count < count; section++)
        if (stasis_section_is_unknown(section))
            w->kept[w->kept_count++] = (struct stasis_kept_section){section, *section};
    return 0;
}

uint64_t stasis_writer_place_kept(struct stasis_writer *w, uint64_t pos)
{
    for (uint32_t i = 0; i < w->kept_count; i++) {
        struct stasis_section *section = &w->kept[i].section;

        section->offset = stasis_round_up(pos, 8);
        pos = section->offset + section->length;
    }
    return pos;
}

struct copying {
    struct stasis_writer *w;
    const struct stasis_section *to;
};

static int copy_piece(void *ctx, const uint8_t *bytes, size_t len, uint64_t at,
                      struct stasis_error *err)
{
    const struct copying *copying = ctx;
    int rc = stasis_writer_tell(copying->w, err);

    return rc ? rc
              : stasis_writer_put(copying->w->target, bytes, len, copying->to->offset + at, err);
}

int stasis_writer_copy_kept(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; i < w->kept_count && !rc; i++) {
        struct copying copying = {w, &w->kept[i].section};

        rc = stasis_snap_walk_section(w->snap, w->kept[i].from, copy_piece, &copying, err);
    }
    return rc;
}
