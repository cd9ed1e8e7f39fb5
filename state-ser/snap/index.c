/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index_runs.h"
#include "le.h"

/* Blocks that are written at a time; copies of the zero block stay in a core's cache. */
#define SPAN_BLOCKS     (STASIS_INDEX_SPAN_MAX / STASIS_INDEX_BLOCK_LEN)
#define ZERO_COPIES_MAX 32u

int stasis_index_add(struct stasis_index *index, uint64_t gpa, uint64_t size,
                     struct stasis_error *err)
{
    struct stasis_snap_region region = {gpa, size, index->chunk_count};
    const struct stasis_snap_region *last;
    struct stasis_snap_region *regions;

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
    regions = realloc(index->regions, (index->region_count + 1) * sizeof(*regions));
    if (!regions)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a range of RAM");
    index->regions = regions;
    regions[index->region_count++] = region;
    index->chunk_count += stasis_region_chunks(&region);
    index->ram_bytes += size;
    return 0;
}

uint64_t stasis_index_size(const struct stasis_index *index)
{
    return stasis_index_head_len(index->region_count) + index->chunk_count * STASIS_INDEX_CHUNK_LEN;
}

/* Each region may have a short chunk; with runs, each chunk may have one of its own. */
uint64_t stasis_index_size_max(uint64_t ram_bytes, struct stasis_index_form form)
{
    uint64_t chunks = ram_bytes / STASIS_CHUNK_SIZE;
    uint64_t extents = form.layer ? STASIS_EXTENTS_MAX : 1;

    if (form.version == 1)
        return stasis_index_head_len(STASIS_INDEX1_REGION_MAX) +
               (chunks + STASIS_INDEX1_REGION_MAX) * STASIS_INDEX_CHUNK_LEN;
    return STASIS_RUNS_PREFIX_LEN + STASIS_RAM_REGION_MAX * STASIS_INDEX_REGION_LEN +
           (form.layer ? STASIS_LAYER_NAMES_MAX * STASIS_RUNS_NAME_LEN : 0) +
           (chunks + STASIS_RAM_REGION_MAX) *
               (STASIS_RUNS_ENTRY_LEN + extents * (STASIS_RUNS_EXTENT_LEN + STASIS_DIGEST_SIZE));
}

uint64_t stasis_file_len_max(uint64_t ram_bytes, struct stasis_index_form form)
{
    return 3 * ram_bytes + stasis_index_size_max(ram_bytes, form) + STASIS_FILE_SLACK;
}

int stasis_file_check_len(uint64_t len, uint64_t ram_bytes, struct stasis_index_form form,
                          enum stasis_err code, struct stasis_error *err)
{
    uint64_t most = stasis_file_len_max(ram_bytes, form);

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
    return index->bytes && index->blocks;
}

bool stasis_index_copy_regions(struct stasis_index *index, const struct stasis_index *from)
{
    size_t len = from->region_count * sizeof(*from->regions);

    *index = (struct stasis_index){.region_count = from->region_count,
                                   .chunk_count = from->chunk_count,
                                   .ram_bytes = from->ram_bytes};
    index->regions = malloc(len + 1);
    if (!index->regions)
        return false;
    if (len)
        memcpy(index->regions, from->regions, len);
    return true;
}

void stasis_index_fini(struct stasis_index *index)
{
    free(index->regions);
    free(index->bytes);
    free(index->blocks);
    free(index->runs.hints);
    *index = (struct stasis_index){0};
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
    uint32_t low = 0;
    uint32_t high = index->region_count;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (index->regions[middle].first_chunk <= i)
            low = middle;
        else
            high = middle;
    }
    return low;
}

uint64_t stasis_index_region_end(const struct stasis_index *index, uint64_t i)
{
    const struct stasis_snap_region *region = &index->regions[stasis_index_region_of(index, i)];

    return region->first_chunk + stasis_region_chunks(region);
}

const uint8_t *stasis_index_entry(const struct stasis_index *index, uint64_t i)
{
    return entry_at(index, i);
}

struct stasis_snap_chunk stasis_index_get_in(const struct stasis_index *index,
                                             const struct stasis_snap_region *region, uint64_t i)
{
    struct stasis_snap_chunk chunk = {
        .gpa = region->gpa + (i - region->first_chunk) * STASIS_CHUNK_SIZE,
        .size = stasis_region_chunk_size(region, i),
    };
    const uint8_t *p;

    if (index->runs.entries) {
        stasis_runs_get(index, i, &chunk);
        return chunk;
    }
    p = entry_at(index, i);
    chunk.kind = (enum stasis_chunk_kind)p[0];
    chunk.page_mask = stasis_le16_get(p + 2);
    chunk.crc = stasis_le32_get(p + 4);
    chunk.offset = stasis_le64_get(p + 8);
    chunk.stored_len = stasis_le32_get(p + 16);
    return chunk;
}

struct stasis_snap_chunk stasis_index_get(const struct stasis_index *index, uint64_t i)
{
    return stasis_index_get_in(index, &index->regions[stasis_index_region_of(index, i)], i);
}

uint64_t stasis_index_skip_zero_block(const struct stasis_index *index, uint64_t i)
{
    uint64_t block = i / STASIS_INDEX_BLOCK;

    return index->blocks[block] == index->zero ? (block + 1) * STASIS_INDEX_BLOCK : i;
}

uint64_t stasis_index_zero_end(const struct stasis_index *index, uint64_t i, uint64_t end)
{
    if (index->runs.entries)
        return stasis_runs_zero_end(index, i, end);
    while (i < end) {
        uint64_t next = stasis_index_skip_zero_block(index, i);

        if (next == i && entry_at(index, i)[0] != STASIS_CHUNK_ZERO)
            break;
        i = next == i ? i + 1 : next;
    }
    return i < end ? i : end;
}

uint64_t stasis_index_run_end(const struct stasis_index *index, uint64_t i, uint64_t end)
{
    uint64_t zero_end;

    if (index->runs.entries)
        return stasis_runs_run_end(index, i, end);
    zero_end = stasis_index_zero_end(index, i, end);
    return zero_end > i ? zero_end : i + 1;
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
