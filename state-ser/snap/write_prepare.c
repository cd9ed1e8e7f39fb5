/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a save does before the first byte: all that is encoded, and which RAM is to be written.
 */
#include <stdlib.h>
#include <string.h>

#include "stasis/schema_set.h"
#include "write_layer.h"

/* All files of a chain have digests, or none has. */
static void lay_on(struct stasis_snap_info *info, const struct stasis_snap_info *parent)
{
    info->layer = true;
    info->incompatible |= STASIS_FEATURE_LAYER | (parent->incompatible & STASIS_FEATURE_DIGESTS);
    memcpy(info->parent_uuid, parent->uuid, sizeof(info->parent_uuid));
    memcpy(info->parent_root, parent->root, sizeof(info->parent_root));
}

/* What the header says before anything is known of the content. */
static int start_header(struct stasis_writer *w, struct stasis_error *err)
{
    struct stasis_snap_info *info = &w->header.info;
    uint64_t kept = STASIS_FEATURE_ZLIB;

    info->format_version = w->opts.format_version ? w->opts.format_version : STASIS_FORMAT_VERSION;
    if (w->snap->index.runs.layered) /* its chunks are stored anew */
        kept = 0;
    kept |= info->format_version > 1 ? STASIS_FEATURE_DIGESTS : 0;
    info->incompatible = (w->target->streamed ? STASIS_FEATURE_TRAILER : 0) |
                         (w->opts.zlib_level ? STASIS_FEATURE_ZLIB : 0) |
                         (w->opts.digests ? STASIS_FEATURE_DIGESTS : 0) |
                         (w->snap->opened.incompatible & kept);
    if (stasis_writer_is_layer(w))
        lay_on(info, &w->snap->lies_on->opened);
    info->digests = info->incompatible & STASIS_FEATURE_DIGESTS;
    info->streamed = w->target->streamed;
    info->arch = w->snap->header.info.arch;
    info->ram_bytes = w->snap->index.ram_bytes;
    return stasis_identity_set(&w->opts, info, err);
}

/* Room for a digest of each chunk. Pages of it that belong to chunks without are never touched. */
static int make_digests(const struct stasis_writer *w, uint64_t count, uint8_t **ret_digests,
                        struct stasis_error *err)
{
    if (!w->header.info.digests)
        return 0;
    *ret_digests = calloc(count + 1, STASIS_DIGEST_SIZE);
    return *ret_digests ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for digests");
}

static int prepare_index(struct stasis_writer *w, struct stasis_error *err)
{
    bool first = w->header.info.format_version == 1;
    int rc;

    if (first && w->snap->index.region_count > STASIS_INDEX1_REGION_MAX)
        return stasis_fail(err, STASIS_ERR_FULL, "more than %u ranges of RAM in format version 1",
                           STASIS_INDEX1_REGION_MAX);
    if (!stasis_index_copy_regions(&w->index, &w->snap->index))
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the ranges of RAM");
    if (stasis_writer_is_layer(w)) /* its chunks are in a list */
        return 0;
    rc = make_digests(w, w->index.chunk_count, &w->digests, err);
    return rc ? rc : stasis_index_make(&w->index, err);
}

/* What is encoded, and what is known of RAM before it is looked at. */
static int prepare_parts(struct stasis_writer *w, struct stasis_error *err)
{
    const struct stasis_snap *snap = w->snap;
    int rc = stasis_records_encode(snap->records, &w->state, &w->state_len, err);

    if (!rc)
        rc = stasis_schema_set_encode(snap->records, &w->schema, &w->schema_len, err);
    if (!rc && stasis_notes_count(snap->notes))
        rc = stasis_notes_encode(snap->notes, &w->notes, &w->notes_len, err);
    if (!rc && stasis_writer_is_opened(w))
        rc = stasis_writer_keep_sections(w, STASIS_SECTIONS_MAX - STASIS_WRITER_PARTS + !w->notes,
                                         err);
    if (rc)
        return rc;
    stasis_sha256(w->state, w->state_len, w->state_digest);
    return prepare_index(w, err);
}

/* Which chunks are stored. */
static int prepare_chunks(struct stasis_writer *w, struct stasis_error *err)
{
    int rc;

    if (stasis_writer_is_opened(w)) {
        stasis_writer_take_chunks(w);
        return 0;
    }
    if (!stasis_writer_is_layer(w))
        return stasis_writer_scan(w, err);
    rc = stasis_layer_plan(w, err);
    if (!rc)
        rc = make_digests(w, w->layer.count, &w->layer.digests, err);
    return rc ? rc : stasis_layer_make_index(w, err);
}

int stasis_writer_prepare(struct stasis_writer *w, struct stasis_error *err)
{
    int rc = 0;

    if (stasis_writer_is_opened(w))
        rc = stasis_writer_check_opened(w, err);
    else if (stasis_writer_is_layer(w))
        rc = stasis_layer_check(w, err);
    if (!rc)
        rc = start_header(w, err);
    if (!rc)
        rc = prepare_parts(w, err);
    if (!rc)
        rc = prepare_chunks(w, err);
    if (!rc)
        stasis_writer_lay_out_front(w);
    return rc;
}
