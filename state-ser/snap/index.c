/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "le.h"

/* Blocks that are written at a time; copies of the zero block stay in a core's cache. */
#define SPAN_BLOCKS     (STASIS_INDEX_SPAN_MAX / STASIS_INDEX_BLOCK_LEN)
#define ZERO_COPIES_MAX 32u

int stasis_index_add(struct stasis_index *index, uint64_t gpa, uint64_t size,
                     struct stasis_error *err)
{
    struct stasis_snap_region region = {gpa, size, index->chunk_count};
    const struct stasis_snap_region *last;

    if (index->region_count == STASIS_RAM_REGION_MAX)
        return stasis_fail(err, STASIS_ERR_FULL, "more than %u ranges of RAM",
                           STASIS_RAM_REGION_MAX);
    if (!size || gpa % STASIS_PAGE_SIZE || size % STASIS_PAGE_SIZE || gpa > STASIS_GPA_MAX ||
        size > STASIS_GPA_MAX - gpa || size > STASIS_RAM_MAX - index->ram_bytes)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "RAM at 0x%" PRIx64 " of 0x%" PRIx64
                           " bytes: not whole pages, or more than the format holds",
                           gpa, size);
    last = index->region_count ? &index->regions[index->region_count - 1] : NULL;
    if (last && gpa + size <= last->gpa)
        return stasis_fail(err, STASIS_ERR_ARG, "RAM at 0x%" PRIx64 " is not in ascending order",
                           gpa);
    if (last && gpa < last->gpa + last->size)
        return stasis_fail(err, STASIS_ERR_EXISTS,
                           "RAM at 0x%" PRIx64 " overlaps RAM at 0x%" PRIx64, gpa, last->gpa);
    index->regions[index->region_count++] = region;
    index->chunk_count += stasis_region_chunks(&region);
    index->ram_bytes += size;
    return 0;
}

uint64_t stasis_index_size(const struct stasis_index *index)
{
    return stasis_index_head_len(index->region_count) + index->chunk_count * STASIS_INDEX_CHUNK_LEN;
}

uint64_t stasis_index_size_max(uint64_t ram_bytes)
{
    /* Each region may have a short chunk. */
    return stasis_index_head_len(STASIS_RAM_REGION_MAX) +
           (ram_bytes / STASIS_CHUNK_SIZE + STASIS_RAM_REGION_MAX) * STASIS_INDEX_CHUNK_LEN;
}

uint64_t stasis_file_len_max(uint64_t ram_bytes)
{
    return 3 * ram_bytes + stasis_index_size_max(ram_bytes) + STASIS_FILE_SLACK;
}

int stasis_file_check_len(uint64_t len, uint64_t ram_bytes, enum stasis_err code,
                          struct stasis_error *err)
{
    uint64_t most = stasis_file_len_max(ram_bytes);

    if (len <= most)
        return 0;
    return stasis_fail(err, code,
                       "longer than its header allows: more than %" PRIu64 " bytes for %" PRIu64
                       " bytes of RAM",
                       most, ram_bytes);
}

bool stasis_index_alloc(struct stasis_index *index, uint64_t len)
{
    index->bytes = calloc(1, len);
    index->blocks = calloc(len / STASIS_INDEX_BLOCK_LEN + 1, sizeof(*index->blocks));
    index->len = len;
    if (index->bytes && index->blocks)
        return true;
    stasis_index_fini(index);
    return false;
}

void stasis_index_fini(struct stasis_index *index)
{
    free(index->bytes);
    free(index->blocks);
    index->bytes = NULL;
    index->blocks = NULL;
}

static size_t block_count(const struct stasis_index *index)
{
    return (size_t)((index->chunk_count + STASIS_INDEX_BLOCK - 1) / STASIS_INDEX_BLOCK);
}

static void make_zero(uint8_t *entries, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        entries[i * STASIS_INDEX_CHUNK_LEN] = STASIS_CHUNK_ZERO;
}

/* The section is as long as all RAM needs; pages of it that are never touched cost nothing. Behind
 * it lie copies of the block that stands for zero ones. */
int stasis_index_make(struct stasis_index *index, struct stasis_error *err)
{
    uint64_t len = stasis_index_size(index);
    size_t blocks = block_count(index);

    index->zero_copies = blocks < ZERO_COPIES_MAX ? blocks : ZERO_COPIES_MAX;
    if (!stasis_index_alloc(index, len + index->zero_copies * STASIS_INDEX_BLOCK_LEN))
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for an index of %" PRIu64 " bytes",
                           len);
    index->len = len;
    index->zero = index->bytes + len;
    make_zero(index->zero, (uint64_t)index->zero_copies * STASIS_INDEX_BLOCK);
    for (size_t i = 0; i < blocks; i++)
        index->blocks[i] = index->zero;
    stasis_le32_put(index->bytes, index->region_count);
    for (uint32_t i = 0; i < index->region_count; i++) {
        uint8_t *p = index->bytes + stasis_index_head_len(i);

        stasis_le64_put(p, index->regions[i].gpa);
        stasis_le64_put(p + 8, index->regions[i].size);
    }
    return 0;
}

void stasis_index_own(struct stasis_index *index, uint64_t i)
{
    size_t block = (size_t)(i / STASIS_INDEX_BLOCK);
    uint64_t left = index->chunk_count - (uint64_t)block * STASIS_INDEX_BLOCK;

    if (index->blocks[block] != index->zero)
        return;
    index->blocks[block] =
        index->bytes + stasis_index_head_len(index->region_count) + block * STASIS_INDEX_BLOCK_LEN;
    make_zero(index->blocks[block], left < STASIS_INDEX_BLOCK ? left : STASIS_INDEX_BLOCK);
}

size_t stasis_index_span(const struct stasis_index *index, size_t pos, const uint8_t **ret_bytes)
{
    size_t head = stasis_index_head_len(index->region_count);
    size_t block = pos < head ? 0 : (pos - head) / STASIS_INDEX_BLOCK_LEN;
    size_t end = block;
    bool zero;

    if (pos < head || pos == index->len) {
        *ret_bytes = index->bytes + pos;
        return pos < head ? head - pos : 0;
    }
    zero = index->blocks[block] == index->zero;
    while (end < block_count(index) && (index->blocks[end] == index->zero) == zero &&
           end - block < (zero ? index->zero_copies : SPAN_BLOCKS))
        end++;
    *ret_bytes = index->blocks[block];
    end = head + end * STASIS_INDEX_BLOCK_LEN;
    return (end < index->len ? end : index->len) - pos;
}

static uint8_t *entry_at(const struct stasis_index *index, uint64_t i)
{
    return index->blocks[i / STASIS_INDEX_BLOCK] + i % STASIS_INDEX_BLOCK * STASIS_INDEX_CHUNK_LEN;
}

uint32_t stasis_index_region_of(const struct stasis_index *index, uint64_t i)
{
    uint32_t r = 0;

    while (r + 1 < index->region_count && index->regions[r + 1].first_chunk <= i)
        r++;
    return r;
}

uint64_t stasis_index_region_end(const struct stasis_index *index, uint64_t i)
{
    const struct stasis_snap_region *region = &index->regions[stasis_index_region_of(index, i)];

    return region->first_chunk + stasis_region_chunks(region);
}

static inline struct stasis_snap_chunk get_in(const struct stasis_index *index,
                                              const struct stasis_snap_region *region, uint64_t i)
{
    uint64_t in_region = (i - region->first_chunk) * STASIS_CHUNK_SIZE;
    uint64_t left = region->size - in_region;
    const uint8_t *p = entry_at(index, i);

    return (struct stasis_snap_chunk){
        .kind = (enum stasis_chunk_kind)p[0],
        .page_mask = stasis_le16_get(p + 2),
        .crc = stasis_le32_get(p + 4),
        .offset = stasis_le64_get(p + 8),
        .stored_len = stasis_le32_get(p + 16),
        .gpa = region->gpa + in_region,
        .size = left < STASIS_CHUNK_SIZE ? (uint32_t)left : STASIS_CHUNK_SIZE,
    };
}

struct stasis_snap_chunk stasis_index_get(const struct stasis_index *index, uint64_t i)
{
    return get_in(index, &index->regions[stasis_index_region_of(index, i)], i);
}

/* The chunk behind the block that chunk i is in, if all chunks of that are zero; else i. */
static inline uint64_t skip_zero_block(const struct stasis_index *index, uint64_t i)
{
    uint64_t block = i / STASIS_INDEX_BLOCK;

    return index->blocks[block] == index->zero ? (block + 1) * STASIS_INDEX_BLOCK : i;
}

uint64_t stasis_index_zero_end(const struct stasis_index *index, uint64_t i, uint64_t end)
{
    while (i < end) {
        uint64_t next = skip_zero_block(index, i);

        if (next == i && entry_at(index, i)[0] != STASIS_CHUNK_ZERO)
            break;
        i = next == i ? i + 1 : next;
    }
    return i < end ? i : end;
}

void stasis_index_put(struct stasis_index *index, uint64_t i, const struct stasis_snap_chunk *chunk)
{
    uint8_t *p = entry_at(index, i);

    p[0] = (uint8_t)chunk->kind;
    stasis_le16_put(p + 2, chunk->page_mask);
    stasis_le32_put(p + 4, chunk->crc);
    stasis_le64_put(p + 8, chunk->offset);
    stasis_le32_put(p + 16, chunk->stored_len);
}

uint64_t stasis_index_run(const struct stasis_index *index, uint64_t i, uint64_t end)
{
    uint64_t region_end = stasis_index_region_end(index, i);
    struct stasis_snap_chunk prev = stasis_index_get(index, i);

    if (end > region_end)
        end = region_end; /* what follows lies elsewhere in the host's memory */
    while (++i < end && prev.kind == STASIS_CHUNK_RAW) {
        struct stasis_snap_chunk next = stasis_index_get(index, i);

        if (next.kind != STASIS_CHUNK_RAW || next.offset != prev.offset + prev.stored_len)
            break;
        prev = next;
    }
    return i;
}

static int parse_regions(struct stasis_index *index, struct stasis_error *err)
{
    uint32_t count = stasis_le32_get(index->bytes);

    if (count > STASIS_RAM_REGION_MAX || stasis_le32_get(index->bytes + 4) ||
        index->len < stasis_index_head_len(count))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the index cannot hold %" PRIu32 " regions",
                           count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *p = index->bytes + stasis_index_head_len(i);
        int rc = stasis_index_add(index, stasis_le64_get(p), stasis_le64_get(p + 8), err);

        if (rc) {
            stasis_wrap(err, rc, "the index's region %" PRIu32, i);
            if (err)
                err->code = STASIS_ERR_CORRUPT;
            return STASIS_ERR_CORRUPT;
        }
    }
    return 0;
}

static int bad_chunk(uint64_t i, const char *what, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "chunk %" PRIu64 " of the index %s", i, what);
}

/* *pos is the first byte that a later chunk may be stored at; *stored sums their bytes. */
static int check_entry(const struct stasis_index *index, const struct stasis_snap_region *region,
                       uint64_t i, uint64_t *pos, uint64_t end, uint64_t *stored,
                       struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = get_in(index, region, i);
    const uint8_t *p = entry_at(index, i);

    if (p[1] || stasis_le32_get(p + 20))
        return bad_chunk(i, "has reserved bytes that are not zero", err);
    if (p[0] == STASIS_CHUNK_ABSENT)
        return bad_chunk(i, "is absent, and the snapshot has no parent", err);
    if (p[0] == STASIS_CHUNK_ZERO)
        return chunk.page_mask || chunk.crc || chunk.offset || chunk.stored_len
                   ? bad_chunk(i, "is zero and yet stored", err)
                   : 0;
    if (p[0] != STASIS_CHUNK_RAW && !(p[0] == STASIS_CHUNK_ZLIB && index->may_be_packed))
        return bad_chunk(i, "is of an unknown kind", err);
    if (p[0] == STASIS_CHUNK_RAW && chunk.stored_len != chunk.size)
        return bad_chunk(i, "is raw, but its length is not that of the chunk", err);
    if (p[0] == STASIS_CHUNK_ZLIB && (!chunk.stored_len || chunk.stored_len >= chunk.size))
        return bad_chunk(i, "is compressed, but not smaller", err);
    if (!chunk.page_mask || chunk.page_mask >> (chunk.size / STASIS_PAGE_SIZE))
        return bad_chunk(i, "has an impossible page mask", err);
    if (chunk.offset < *pos || chunk.offset > end || chunk.stored_len > end - chunk.offset)
        return bad_chunk(i, "lies outside the data section or over another chunk", err);
    if (p[0] == STASIS_CHUNK_RAW && chunk.offset % STASIS_PAGE_SIZE)
        return bad_chunk(i, "is raw and not on a page boundary", err);
    *pos = chunk.offset + chunk.stored_len;
    *stored += chunk.stored_len;
    return 0;
}

/* Entries of a block that stands for zero were compared with a good one, byte by byte. */
static int check_region(const struct stasis_index *index, const struct stasis_snap_region *region,
                        uint64_t *pos, uint64_t end, uint64_t *stored, struct stasis_error *err)
{
    uint64_t stop = region->first_chunk + stasis_region_chunks(region);
    uint64_t i = region->first_chunk;
    int rc = 0;

    while (!rc && i < stop) {
        uint64_t next = skip_zero_block(index, i);

        if (next == i)
            rc = check_entry(index, region, next++, pos, end, stored, err);
        i = next;
    }
    return rc;
}

static int check_entries(const struct stasis_index *index, const struct stasis_snap_info *info,
                         uint64_t pos, uint64_t end, struct stasis_error *err)
{
    uint64_t stored = 0;
    uint64_t start = pos;

    for (uint32_t r = 0; r < index->region_count; r++) {
        int rc = check_region(index, &index->regions[r], &pos, end, &stored, err);

        if (rc)
            return rc;
    }
    if (stored != info->stored_bytes)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "the index stores %" PRIu64 " bytes of RAM, the header says %" PRIu64,
                           stored, info->stored_bytes);
    if (stored ? pos != end : start != end)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the last chunk does not end the data section");
    return 0;
}

int stasis_index_parse(struct stasis_index *index, const struct stasis_header *header,
                       struct stasis_error *err)
{
    const struct stasis_section *data = stasis_header_section(header, STASIS_SECTION_DATA);
    int rc;

    index->may_be_packed = header->info.incompatible & STASIS_FEATURE_ZLIB;
    rc = parse_regions(index, err);
    if (rc)
        return rc;
    if (index->ram_bytes != header->info.ram_bytes)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "the index has %" PRIu64 " bytes of RAM, the header says %" PRIu64,
                           index->ram_bytes, header->info.ram_bytes);
    if (index->len != stasis_index_size(index))
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "the index has %zu bytes, its regions need %" PRIu64, index->len,
                           stasis_index_size(index));
    return check_entries(index, &header->info, data->offset, data->offset + data->length, err);
}
