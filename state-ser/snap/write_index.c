/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The index section of a file that is written, in either version; and the root.
 */
#include <string.h>

#include "chunk.h"
#include "index_runs.h"
#include "le.h"
#include "write_layer.h"

#define PUSH_STEP (1u << 20)
#define PIECE_LEN (16u << 10)

void stasis_writer_digest(struct stasis_writer *w, uint64_t i, const void *bytes, size_t len)
{
    if (w->digests)
        stasis_sha256(bytes, len, w->digests + i * STASIS_DIGEST_SIZE);
}

static bool has_runs(const struct stasis_writer *w)
{
    return w->header.info.format_version > 1;
}

uint64_t stasis_writer_index_len(const struct stasis_writer *w)
{
    uint64_t extent_len = STASIS_RUNS_EXTENT_LEN + (w->digests ? STASIS_DIGEST_SIZE : 0);
    uint32_t entries, extents;

    if (stasis_writer_is_layer(w))
        return w->layer.index.len;
    if (!has_runs(w))
        return w->index.len;
    stasis_runs_count(&w->index, &entries, &extents);
    return STASIS_RUNS_PREFIX_LEN + w->index.region_count * STASIS_INDEX_REGION_LEN +
           (uint64_t)entries * STASIS_RUNS_ENTRY_LEN + extents * extent_len;
}

/* ---- putting the section out, piece by piece ---- */

struct section_out {
    struct stasis_writer *w;
    struct stasis_section *section;
    uint64_t pos;    /* in the section: what is put already */
    uint64_t pushed; /* of it */
    struct stasis_sha256 root;
    size_t used; /* of `piece` */
    uint8_t piece[PIECE_LEN];
};

static int put_piece(struct section_out *out, const void *bytes, size_t len,
                     struct stasis_error *err)
{
    uint64_t start = out->section->offset;
    int rc;

    out->section->crc = stasis_crc32_more(out->section->crc, bytes, len);
    rc = stasis_writer_put(out->w->target, bytes, len, start + out->pos, err);
    out->pos += len;
    if (!rc && out->pos - out->pushed >= PUSH_STEP) {
        rc = stasis_writer_push(out->w, start + out->pushed, start + out->pos, err);
        out->pushed = out->pos;
    }
    return rc ? rc : stasis_writer_tell(out->w, err);
}

static int flush(struct section_out *out, struct stasis_error *err)
{
    size_t len = out->used;

    out->used = 0;
    return len ? put_piece(out, out->piece, len, err) : 0;
}

/* No more than a piece. */
static int put(struct section_out *out, const void *bytes, size_t len, struct stasis_error *err)
{
    int rc = out->used + len > PIECE_LEN ? flush(out, err) : 0;

    memcpy(out->piece + out->used, bytes, len);
    out->used += len;
    return rc;
}

/* What goes into the root as it is. */
static int put_plain(struct section_out *out, const void *bytes, size_t len,
                     struct stasis_error *err)
{
    stasis_sha256_add(&out->root, bytes, len);
    return put(out, bytes, len, err);
}

/* ---- version 2 ---- */

static int put_head(struct section_out *out, struct stasis_error *err)
{
    const struct stasis_index *index = &out->w->index;
    uint8_t bytes[STASIS_RUNS_PREFIX_LEN] = {0};
    uint32_t entries, extents;
    int rc;

    stasis_runs_count(index, &entries, &extents);
    stasis_le32_put(bytes, index->region_count);
    stasis_le32_put(bytes + 8, entries);
    stasis_le32_put(bytes + 12, extents);
    rc = put_plain(out, bytes, sizeof(bytes), err);
    for (uint32_t r = 0; r < index->region_count && !rc; r++) {
        stasis_le64_put(bytes, index->regions[r].gpa);
        stasis_le64_put(bytes + 8, index->regions[r].size);
        rc = put_plain(out, bytes, STASIS_INDEX_REGION_LEN, err);
    }
    return rc;
}

static int put_entries(struct section_out *out, struct stasis_error *err)
{
    const struct stasis_index *index = &out->w->index;
    uint8_t bytes[STASIS_RUNS_ENTRY_LEN];
    uint32_t extent = 0;
    uint64_t i = 0;
    int rc = 0;

    while (i < index->chunk_count && !rc) {
        struct stasis_run run = stasis_run_from(index, i);

        run.first_extent = extent;
        extent += run.each * (uint32_t)(run.end - run.first);
        i = run.end;
        stasis_run_encode(&run, bytes);
        rc = put_plain(out, bytes, sizeof(bytes), err);
    }
    return rc;
}

static int put_extents(struct section_out *out, struct stasis_error *err)
{
    const struct stasis_index *index = &out->w->index;
    uint8_t bytes[STASIS_RUNS_EXTENT_LEN];
    int rc = 0;

    for (uint64_t i = stasis_writer_stored(index, 0); i < index->chunk_count && !rc;
         i = stasis_writer_stored(index, i + 1)) {
        struct stasis_snap_chunk chunk = stasis_index_get(index, i);

        stasis_extent_encode(&chunk, bytes);
        stasis_root_add_extent(&out->root, bytes);
        rc = put(out, bytes, sizeof(bytes), err);
    }
    return rc;
}

static int put_digests(struct section_out *out, struct stasis_error *err)
{
    const struct stasis_index *index = &out->w->index;
    const uint8_t *digests = out->w->digests;
    int rc = 0;

    if (!digests)
        return 0;
    for (uint64_t i = stasis_writer_stored(index, 0); i < index->chunk_count && !rc;
         i = stasis_writer_stored(index, i + 1))
        rc = put_plain(out, digests + i * STASIS_DIGEST_SIZE, STASIS_DIGEST_SIZE, err);
    return rc;
}

static int put_runs(struct section_out *out, struct stasis_error *err)
{
    struct stasis_writer *w = out->w;
    int rc;

    stasis_root_begin(&out->root, &w->header.info, w->state_digest);
    rc = put_head(out, err);
    if (!rc)
        rc = put_entries(out, err);
    if (!rc)
        rc = put_extents(out, err);
    if (!rc)
        rc = put_digests(out, err);
    if (!rc)
        rc = flush(out, err);
    stasis_sha256_end(&out->root, w->header.info.root);
    return rc;
}

/* ---- version 1 ---- */

/* Most of it stands for RAM that is zero, and is one block over and over. */
static int put_blocks(struct section_out *out, struct stasis_error *err)
{
    const uint8_t *bytes;
    size_t len;
    int rc = 0;

    while (!rc && (len = stasis_index_span(&out->w->index, (size_t)out->pos, &bytes)))
        rc = put_piece(out, bytes, len, err);
    return rc;
}

/* ---- of a layer ---- */

static int put_layer(struct section_out *out, struct stasis_error *err)
{
    const struct stasis_index *index = &out->w->layer.index;
    struct stasis_snap_info *info = &out->w->header.info;
    int rc = 0;

    stasis_layer_finish_index(out->w);
    stasis_runs_root(index, info, out->w->state_digest, info->root);
    while (!rc && out->pos < index->len) {
        uint64_t left = index->len - out->pos;

        rc = put_piece(out, index->bytes + out->pos, left < PUSH_STEP ? (size_t)left : PUSH_STEP,
                       err);
    }
    return rc;
}

int stasis_writer_put_index(struct stasis_writer *w, struct stasis_error *err)
{
    struct section_out out = {.w = w, .section = &w->parts[1]};

    out.section->crc = 0;
    if (stasis_writer_is_layer(w))
        return put_layer(&out, err);
    return has_runs(w) ? put_runs(&out, err) : put_blocks(&out, err);
}
