/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is checked of an index before any of it counts: regions, entries, and that what is stored
 * lies in the data section, in order.
 */
#include <inttypes.h>

#include "index_runs.h"
#include "le.h"

static int add_regions(struct stasis_index *index, const uint8_t *bytes, uint32_t count,
                       struct stasis_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = bytes + (size_t)i * STASIS_INDEX_REGION_LEN;
        int rc = stasis_index_add(index, stasis_le64_get(p), stasis_le64_get(p + 8), err);

        if (rc) {
            stasis_wrap(err, rc, "the index's region %" PRIu32, i);
            if (rc != STASIS_ERR_NOMEM && err)
                err->code = STASIS_ERR_CORRUPT;
            return rc == STASIS_ERR_NOMEM ? rc : STASIS_ERR_CORRUPT;
        }
    }
    return 0;
}

static int bad_chunk(uint64_t i, const char *what, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "chunk %" PRIu64 " of the index %s", i, what);
}

/* Where the stored bytes of chunks may lie. */
struct places {
    uint64_t pos; /* first byte that a later chunk may be stored at */
    uint64_t end;
    uint64_t stored; /* sum of what is stored */
};

/* Of a chunk that is not zero. */
static int check_stored(const struct stasis_index *index, const struct stasis_snap_chunk *chunk,
                        uint64_t i, struct places *places, struct stasis_error *err)
{
    bool raw = chunk->kind == STASIS_CHUNK_RAW;

    if (!raw && !(chunk->kind == STASIS_CHUNK_ZLIB && index->may_be_packed))
        return bad_chunk(i, "is of an unknown kind", err);
    if (raw && chunk->stored_len != chunk->size)
        return bad_chunk(i, "is raw, but its length is not that of the chunk", err);
    if (!raw && (!chunk->stored_len || chunk->stored_len >= chunk->size))
        return bad_chunk(i, "is compressed, but not smaller", err);
    if (!chunk->page_mask || chunk->page_mask >> (chunk->size / STASIS_PAGE_SIZE))
        return bad_chunk(i, "has an impossible page mask", err);
    if (chunk->offset < places->pos || chunk->offset > places->end ||
        chunk->stored_len > places->end - chunk->offset)
        return bad_chunk(i, "lies outside the data section or over another chunk", err);
    if (raw && chunk->offset % STASIS_PAGE_SIZE)
        return bad_chunk(i, "is raw and not on a page boundary", err);
    places->pos = chunk->offset + chunk->stored_len;
    places->stored += chunk->stored_len;
    return 0;
}

static int check_sums(const struct stasis_snap_info *info, const struct stasis_section *data,
                      const struct places *places, struct stasis_error *err)
{
    if (places->stored != info->stored_bytes)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "the index stores %" PRIu64 " bytes of RAM, the header says %" PRIu64,
                           places->stored, info->stored_bytes);
    if (places->stored ? places->pos != places->end : data->length)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the last chunk does not end the data section");
    return 0;
}

/* ---- version 1 ---- */

static int parse_regions(struct stasis_index *index, struct stasis_error *err)
{
    uint32_t count = stasis_le32_get(index->bytes);

    if (count > STASIS_INDEX1_REGION_MAX || stasis_le32_get(index->bytes + 4) ||
        index->len < stasis_index_head_len(count))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the index cannot hold %" PRIu32 " regions",
                           count);
    return add_regions(index, index->bytes + STASIS_INDEX_PREFIX_LEN, count, err);
}

static int check_entry(const struct stasis_index *index, const struct stasis_snap_region *region,
                       uint64_t i, struct places *places, struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_index_get_in(index, region, i);
    const uint8_t *p = stasis_index_entry(index, i);

    if (p[1] || stasis_le32_get(p + 20))
        return bad_chunk(i, "has reserved bytes that are not zero", err);
    if (p[0] == STASIS_CHUNK_ABSENT)
        return bad_chunk(i, "is absent, and the snapshot has no parent", err);
    if (p[0] == STASIS_CHUNK_ZERO)
        return chunk.page_mask || chunk.crc || chunk.offset || chunk.stored_len
                   ? bad_chunk(i, "is zero and yet stored", err)
                   : 0;
    return check_stored(index, &chunk, i, places, err);
}

/* Entries of a block that stands for zero were compared with a good one, byte by byte. */
static int check_region(const struct stasis_index *index, const struct stasis_snap_region *region,
                        struct places *places, struct stasis_error *err)
{
    uint64_t stop = region->first_chunk + stasis_region_chunks(region);
    uint64_t i = region->first_chunk;
    int rc = 0;

    while (!rc && i < stop) {
        uint64_t next = stasis_index_skip_zero_block(index, i);

        if (next == i)
            rc = check_entry(index, region, next++, places, err);
        i = next;
    }
    return rc;
}

static int check_ram(const struct stasis_index *index, const struct stasis_snap_info *info,
                     struct stasis_error *err)
{
    if (index->ram_bytes == info->ram_bytes)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "the index has %" PRIu64 " bytes of RAM, the header says %" PRIu64,
                       index->ram_bytes, info->ram_bytes);
}

static int check_length(const struct stasis_index *index, uint64_t len, struct stasis_error *err)
{
    if (index->len == len)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "the index has %zu bytes, its regions need %" PRIu64, index->len, len);
}

static int parse_blocks(struct stasis_index *index, const struct stasis_snap_info *info,
                        struct places *places, struct stasis_error *err)
{
    int rc = parse_regions(index, err);

    if (!rc)
        rc = check_ram(index, info, err);
    if (!rc)
        rc = check_length(index, stasis_index_size(index), err);
    for (uint32_t r = 0; r < index->region_count && !rc; r++)
        rc = check_region(index, &index->regions[r], places, err);
    return rc;
}

/* ---- version 2 ---- */

/* Regions, and where entries, extents and digests are. */
static int parse_counts(struct stasis_index *index, const struct stasis_snap_info *info,
                        struct stasis_error *err)
{
    struct stasis_index_runs *runs = &index->runs;
    uint32_t regions = stasis_le32_get(index->bytes);
    size_t head = STASIS_RUNS_PREFIX_LEN + (size_t)regions * STASIS_INDEX_REGION_LEN;
    size_t entries_len, extents_len, digests_len;
    int rc;

    if (regions > STASIS_RAM_REGION_MAX || stasis_le32_get(index->bytes + 4) || index->len < head)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the index cannot hold %" PRIu32 " regions",
                           regions);
    rc = add_regions(index, index->bytes + STASIS_RUNS_PREFIX_LEN, regions, err);
    if (!rc)
        rc = check_ram(index, info, err);
    if (rc)
        return rc;
    runs->entry_count = stasis_le32_get(index->bytes + 8);
    runs->extent_count = stasis_le32_get(index->bytes + 12);
    entries_len = (size_t)runs->entry_count * STASIS_RUNS_ENTRY_LEN;
    extents_len = (size_t)runs->extent_count * STASIS_RUNS_EXTENT_LEN;
    digests_len = info->digests ? (size_t)runs->extent_count * STASIS_DIGEST_SIZE : 0;
    rc = check_length(index, head + entries_len + extents_len + digests_len, err);
    if (rc)
        return rc;
    runs->entries = index->bytes + head;
    runs->extents = runs->entries + entries_len;
    runs->digests = info->digests ? runs->extents + extents_len : NULL;
    return 0;
}

static int bad_entry(uint32_t e, const char *what, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "entry %" PRIu32 " of the index %s", e, what);
}

/* *extents is the number of the next one, and what entry e adds to it is added. */
static int check_run(const struct stasis_index *index, uint32_t e, uint64_t *extents,
                     struct stasis_error *err)
{
    struct stasis_run run = stasis_run_at(index, e);

    if (run.first >= run.end || run.end > index->chunk_count || (!e && run.first))
        return bad_entry(e, "does not begin where the one before it can end", err);
    if (run.kind != STASIS_RUN_ZERO && run.kind != STASIS_RUN_STORED)
        return bad_entry(e, "is of an unknown kind", err);
    if (run.each != (run.kind == STASIS_RUN_STORED) || run.reserved)
        return bad_entry(e, "has another number of extents than its kind, or reserved bytes", err);
    if (e && run.kind == stasis_run_at(index, e - 1).kind)
        return bad_entry(e, "is of the kind of the one before it", err);
    if (run.first_extent != *extents)
        return bad_entry(e, "begins with another extent than the one before it ends", err);
    *extents += run.each * (run.end - run.first);
    return 0;
}

static int check_runs(const struct stasis_index *index, struct stasis_error *err)
{
    uint64_t extents = 0;
    int rc = 0;

    if (!index->runs.entry_count != !index->chunk_count)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the index has %" PRIu32 " entries for its RAM",
                           index->runs.entry_count);
    for (uint32_t e = 0; e < index->runs.entry_count && !rc; e++)
        rc = check_run(index, e, &extents, err);
    if (!rc && extents != index->runs.extent_count)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                         "the index has %" PRIu32 " extents, its entries need %" PRIu64,
                         index->runs.extent_count, extents);
    return rc;
}

/* Fields of an extent that say the same in every file without layers. */
static int check_extent(const struct stasis_snap_chunk *chunk, const uint8_t *extent, uint64_t i,
                        struct stasis_error *err)
{
    uint32_t all = (1u << (chunk->size / STASIS_PAGE_SIZE)) - 1;

    if (stasis_le16_get(extent + 16) != all)
        return bad_chunk(i, "is not stored in full", err);
    if (stasis_le16_get(extent + 20) || extent[23])
        return bad_chunk(i, "is in another file, or has a reserved byte that is not zero", err);
    return 0;
}

static int check_extents(const struct stasis_index *index, const struct stasis_run *run,
                         struct places *places, struct stasis_error *err)
{
    uint32_t r = stasis_index_region_of(index, run->first);
    const uint8_t *extent =
        index->runs.extents + (size_t)run->first_extent * STASIS_RUNS_EXTENT_LEN;
    int rc = 0;

    for (uint64_t i = run->first; i < run->end && !rc; i++, extent += STASIS_RUNS_EXTENT_LEN) {
        struct stasis_snap_chunk chunk = {0};

        while (i >= index->regions[r].first_chunk + stasis_region_chunks(&index->regions[r]))
            r++;
        chunk.size = stasis_region_chunk_size(&index->regions[r], i);
        stasis_extent_decode(extent, &chunk);
        rc = check_extent(&chunk, extent, i, err);
        if (!rc)
            rc = check_stored(index, &chunk, i, places, err);
    }
    return rc;
}

static int parse_runs(struct stasis_index *index, const struct stasis_snap_info *info,
                      struct places *places, struct stasis_error *err)
{
    int rc = parse_counts(index, info, err);

    if (!rc)
        rc = check_runs(index, err);
    if (!rc && !stasis_runs_make_hints(index))
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the index section");
    for (uint32_t e = 0; e < index->runs.entry_count && !rc; e++) {
        struct stasis_run run = stasis_run_at(index, e);

        if (run.kind == STASIS_RUN_STORED)
            rc = check_extents(index, &run, places, err);
    }
    return rc;
}

int stasis_index_parse(struct stasis_index *index, const struct stasis_header *header,
                       struct stasis_error *err)
{
    const struct stasis_section *data = stasis_header_section(header, STASIS_SECTION_DATA);
    struct places places = {.pos = data->offset, .end = data->offset + data->length};
    const struct stasis_snap_info *info = &header->info;
    int rc;

    index->may_be_packed = info->incompatible & STASIS_FEATURE_ZLIB;
    rc = info->format_version == 1 ? parse_blocks(index, info, &places, err)
                                   : parse_runs(index, info, &places, err);
    return rc ? rc : check_sums(info, data, &places, err);
}
