/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is checked of an index before any of it counts: regions, entries, and that what is stored
 * lies in the data section, in order.
 */
#include <inttypes.h>

#include "index_check.h"
#include "le.h"

int stasis_index_add_regions(struct stasis_index *index, const uint8_t *bytes, uint32_t count,
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

int stasis_index_bad_chunk(uint64_t i, const char *what, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "chunk %" PRIu64 " of the index %s", i, what);
}

int stasis_index_place(struct stasis_index_places *places, uint64_t i, uint64_t offset,
                       uint64_t len, struct stasis_error *err)
{
    if (offset < places->pos || offset > places->end || len > places->end - offset)
        return stasis_index_bad_chunk(i, "lies outside the data section or over another chunk",
                                      err);
    places->pos = offset + len;
    places->stored += len;
    return 0;
}

int stasis_index_check_stored(const struct stasis_index *index,
                              const struct stasis_snap_chunk *chunk, uint64_t i,
                              struct stasis_index_places *places, struct stasis_error *err)
{
    bool raw = chunk->kind == STASIS_CHUNK_RAW;

    if (!raw && !(chunk->kind == STASIS_CHUNK_ZLIB && index->may_be_packed))
        return stasis_index_bad_chunk(i, "is of an unknown kind", err);
    if (raw && chunk->stored_len != chunk->size)
        return stasis_index_bad_chunk(i, "is raw, but its length is not that of the chunk", err);
    if (!raw && (!chunk->stored_len || chunk->stored_len >= chunk->size))
        return stasis_index_bad_chunk(i, "is compressed, but not smaller", err);
    if (!chunk->page_mask || chunk->page_mask >> (chunk->size / STASIS_PAGE_SIZE))
        return stasis_index_bad_chunk(i, "has an impossible page mask", err);
    if (stasis_index_place(places, i, chunk->offset, chunk->stored_len, err))
        return STASIS_ERR_CORRUPT;
    if (raw && chunk->offset % STASIS_PAGE_SIZE)
        return stasis_index_bad_chunk(i, "is raw and not on a page boundary", err);
    return 0;
}

static int check_sums(const struct stasis_snap_info *info, const struct stasis_section *data,
                      const struct stasis_index_places *places, struct stasis_error *err)
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
    return stasis_index_add_regions(index, index->bytes + STASIS_INDEX_PREFIX_LEN, count, err);
}

static int check_entry(const struct stasis_index *index, const struct stasis_snap_region *region,
                       uint64_t i, struct stasis_index_places *places, struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_index_get_in(index, region, i);
    const uint8_t *p = stasis_index_entry(index, i);

    if (p[1] || stasis_le32_get(p + 20))
        return stasis_index_bad_chunk(i, "has reserved bytes that are not zero", err);
    if (p[0] == STASIS_CHUNK_ABSENT)
        return stasis_index_bad_chunk(i, "is absent, and the snapshot has no parent", err);
    if (p[0] == STASIS_CHUNK_ZERO)
        return chunk.page_mask || chunk.crc || chunk.offset || chunk.stored_len
                   ? stasis_index_bad_chunk(i, "is zero and yet stored", err)
                   : 0;
    return stasis_index_check_stored(index, &chunk, i, places, err);
}

/* Entries of a block that stands for zero were compared with a good one, byte by byte. */
static int check_region(const struct stasis_index *index, const struct stasis_snap_region *region,
                        struct stasis_index_places *places, struct stasis_error *err)
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

int stasis_index_check_ram(const struct stasis_index *index, const struct stasis_snap_info *info,
                           struct stasis_error *err)
{
    if (index->ram_bytes == info->ram_bytes)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "the index has %" PRIu64 " bytes of RAM, the header says %" PRIu64,
                       index->ram_bytes, info->ram_bytes);
}

int stasis_index_check_length(const struct stasis_index *index, uint64_t len,
                              struct stasis_error *err)
{
    if (index->len == len)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "the index has %zu bytes, its regions need %" PRIu64, index->len, len);
}

static int parse_blocks(struct stasis_index *index, const struct stasis_snap_info *info,
                        struct stasis_index_places *places, struct stasis_error *err)
{
    int rc = parse_regions(index, err);

    if (!rc)
        rc = stasis_index_check_ram(index, info, err);
    if (!rc)
        rc = stasis_index_check_length(index, stasis_index_size(index), err);
    for (uint32_t r = 0; r < index->region_count && !rc; r++)
        rc = check_region(index, &index->regions[r], places, err);
    return rc;
}

int stasis_index_parse(struct stasis_index *index, const struct stasis_header *header,
                       struct stasis_error *err)
{
    const struct stasis_section *data = stasis_header_section(header, STASIS_SECTION_DATA);
    struct stasis_index_places places = {.pos = data->offset, .end = data->offset + data->length};
    const struct stasis_snap_info *info = &header->info;
    int rc;

    index->may_be_packed = info->incompatible & STASIS_FEATURE_ZLIB;
    rc = info->format_version == 1 ? parse_blocks(index, info, &places, err)
                                   : stasis_index_parse_runs(index, info, &places, err);
    return rc ? rc : check_sums(info, data, &places, err);
}
