/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "index_runs.h"

#include <stdlib.h>
#include <string.h>

#include "le.h"

static const uint8_t *entry_at(const struct stasis_index *index, uint32_t e)
{
    return index->runs.entries + (size_t)e * STASIS_RUNS_ENTRY_LEN;
}

static const uint8_t *extent_at(const struct stasis_index *index, uint64_t extent)
{
    return index->runs.extents + (size_t)extent * STASIS_RUNS_EXTENT_LEN;
}

struct stasis_run stasis_run_at(const struct stasis_index *index, uint32_t e)
{
    const uint8_t *p = entry_at(index, e);

    return (struct stasis_run){
        .first = stasis_le32_get(p),
        .end = e + 1 < index->runs.entry_count ? stasis_le32_get(entry_at(index, e + 1))
                                               : index->chunk_count,
        .first_extent = stasis_le32_get(p + 4),
        .kind = p[8],
        .each = p[9],
        .reserved = stasis_le16_get(p + 10),
    };
}

/* As many hints as entries at most: a short index of much RAM takes little memory, and there may be
 * one of each file of a chain. */
static unsigned hint_shift(const struct stasis_index *index)
{
    unsigned shift = STASIS_RUNS_HINT_SHIFT;

    while (index->chunk_count >> shift > index->runs.entry_count)
        shift++;
    return shift;
}

bool stasis_runs_make_hints(struct stasis_index *index)
{
    unsigned shift = hint_shift(index);
    uint32_t *hints = malloc(((index->chunk_count >> shift) + 1) * sizeof(*hints));
    uint64_t n = 0;

    if (!hints)
        return false;
    index->runs.hints = hints;
    index->runs.hint_shift = shift;
    for (uint32_t e = 0; e < index->runs.entry_count; e++)
        for (uint64_t end = stasis_run_at(index, e).end; n << shift < end; n++)
            hints[n] = e;
    return true;
}

/* Between two hints there may be any number of entries. */
static struct stasis_run run_of(const struct stasis_index *index, uint64_t i)
{
    const struct stasis_index_runs *runs = &index->runs;
    uint64_t next = (i >> runs->hint_shift) + 1;
    uint32_t low = runs->hints[next - 1];
    uint32_t high =
        next << runs->hint_shift < index->chunk_count ? runs->hints[next] : runs->entry_count - 1;

    while (low < high) {
        uint32_t middle = high - (high - low) / 2;

        if (stasis_le32_get(entry_at(index, middle)) <= i)
            low = middle;
        else
            high = middle - 1;
    }
    return stasis_run_at(index, low);
}

const uint8_t *stasis_index_name(const struct stasis_index *index, uint32_t n)
{
    return index->runs.names + (size_t)(n - 1) * STASIS_RUNS_NAME_LEN;
}

struct stasis_snap_extent stasis_extent_at(const uint8_t bytes[STASIS_RUNS_EXTENT_LEN])
{
    return (struct stasis_snap_extent){
        .offset = stasis_le64_get(bytes),
        .stored_len = stasis_le32_get(bytes + 8),
        .crc = stasis_le32_get(bytes + 12),
        .stored_pages = stasis_le16_get(bytes + 16),
        .taken_pages = stasis_le16_get(bytes + 18),
        .file = stasis_le16_get(bytes + 20),
        .encoding = (enum stasis_chunk_kind)bytes[22],
    };
}

struct stasis_snap_extent stasis_runs_extent(const struct stasis_index *index, uint64_t number)
{
    return stasis_extent_at(extent_at(index, number));
}

void stasis_extent_decode(const uint8_t extent[STASIS_RUNS_EXTENT_LEN],
                          struct stasis_snap_chunk *chunk)
{
    chunk->kind = (enum stasis_chunk_kind)extent[22];
    chunk->offset = stasis_le64_get(extent);
    chunk->stored_len = stasis_le32_get(extent + 8);
    chunk->crc = stasis_le32_get(extent + 12);
    chunk->page_mask = stasis_le16_get(extent + 18);
}

/* What all extents of a chunk have in common. */
static void sum_up(const struct stasis_run *run, const uint8_t *extents,
                   struct stasis_snap_chunk *chunk)
{
    chunk->kind = STASIS_CHUNK_EXTENTS;
    for (unsigned k = 0; k < run->each; k++) {
        struct stasis_snap_extent extent = stasis_extent_at(extents + k * STASIS_RUNS_EXTENT_LEN);

        chunk->stored_len += extent.stored_len;
        if (extent.encoding != STASIS_CHUNK_ZERO)
            chunk->page_mask |= extent.taken_pages;
    }
}

void stasis_runs_get(const struct stasis_index *index, uint64_t i, struct stasis_snap_chunk *chunk)
{
    struct stasis_run run = run_of(index, i);
    const uint8_t *extents = extent_at(index, stasis_run_extent(&run, i));

    if (run.kind == STASIS_RUN_ZERO)
        chunk->kind = STASIS_CHUNK_ZERO;
    else if (run.kind == STASIS_RUN_BELOW)
        chunk->kind = STASIS_CHUNK_ABSENT;
    else if (index->runs.layered)
        sum_up(&run, extents, chunk);
    else
        stasis_extent_decode(extents, chunk);
}

/* Of an index with blocks. */
static void get_extent(const struct stasis_index *index, uint64_t i,
                       struct stasis_index_extents *extents)
{
    struct stasis_snap_chunk chunk = stasis_index_get(index, i);
    bool zero = chunk.kind == STASIS_CHUNK_ZERO;

    extents->kind = zero ? STASIS_RUN_ZERO : STASIS_RUN_STORED;
    extents->count = !zero;
    extents->list[0] = (struct stasis_snap_extent){
        .stored_pages = (uint16_t)stasis_pages_of(chunk.size),
        .taken_pages = chunk.page_mask,
        .encoding = chunk.kind,
        .stored_len = chunk.stored_len,
        .crc = chunk.crc,
        .offset = chunk.offset,
    };
}

void stasis_index_get_extents(const struct stasis_index *index, uint64_t i,
                              struct stasis_index_extents *ret_extents)
{
    struct stasis_run run;
    uint64_t first;

    ret_extents->digests = NULL;
    if (!index->runs.entries) {
        get_extent(index, i, ret_extents);
        return;
    }
    run = run_of(index, i);
    first = stasis_run_extent(&run, i);
    ret_extents->kind = run.kind;
    ret_extents->count = run.each;
    for (unsigned k = 0; k < run.each; k++)
        ret_extents->list[k] = stasis_extent_at(extent_at(index, first + k));
    if (index->runs.digests)
        ret_extents->digests = index->runs.digests + first * STASIS_DIGEST_SIZE;
}

uint64_t stasis_runs_zero_end(const struct stasis_index *index, uint64_t i, uint64_t end)
{
    struct stasis_run run;

    if (i >= end)
        return end;
    run = run_of(index, i); /* the run behind it is of another kind */
    if (run.kind != STASIS_RUN_ZERO)
        return i;
    return run.end < end ? run.end : end;
}

uint64_t stasis_runs_run_end(const struct stasis_index *index, uint64_t i, uint64_t end)
{
    struct stasis_run run = run_of(index, i);

    if (run.kind != STASIS_RUN_ZERO && run.kind != STASIS_RUN_BELOW)
        return i + 1;
    return run.end < end ? run.end : end;
}

const uint8_t *stasis_runs_digest(const struct stasis_index *index, uint64_t i)
{
    struct stasis_run run;

    if (!index->runs.digests)
        return NULL;
    run = run_of(index, i);
    if (run.kind != STASIS_RUN_STORED)
        return NULL;
    return index->runs.digests + (run.first_extent + (i - run.first)) * STASIS_DIGEST_SIZE;
}

void stasis_root_begin(struct stasis_sha256 *sum, const struct stasis_snap_info *info,
                       const uint8_t state_digest[STASIS_DIGEST_SIZE])
{
    static const char tag[16] = "stasis root 2";
    uint8_t bytes[8] = {0};

    stasis_le32_put(bytes, info->arch);
    stasis_sha256_begin(sum);
    stasis_sha256_add(sum, tag, sizeof(tag));
    stasis_sha256_add(sum, bytes, sizeof(bytes));
    stasis_sha256_add(sum, state_digest, STASIS_DIGEST_SIZE);
    stasis_sha256_add(sum, info->parent_root, STASIS_DIGEST_SIZE); /* or zeros */
}

void stasis_root_add_extent(struct stasis_sha256 *sum, const uint8_t extent[STASIS_RUNS_EXTENT_LEN])
{
    uint8_t bytes[STASIS_RUNS_EXTENT_LEN] = {0};

    memcpy(bytes + 8, extent + 8, sizeof(bytes) - 8);
    stasis_sha256_add(sum, bytes, sizeof(bytes));
}

void stasis_runs_root(const struct stasis_index *index, const struct stasis_snap_info *info,
                      const uint8_t state_digest[STASIS_DIGEST_SIZE],
                      uint8_t ret_root[STASIS_DIGEST_SIZE])
{
    const uint8_t *extents_end = extent_at(index, index->runs.extent_count);
    struct stasis_sha256 sum;

    stasis_root_begin(&sum, info, state_digest);
    stasis_sha256_add(&sum, index->bytes, (size_t)(index->runs.extents - index->bytes));
    for (uint32_t x = 0; x < index->runs.extent_count; x++)
        stasis_root_add_extent(&sum, extent_at(index, x));
    stasis_sha256_add(&sum, extents_end, (size_t)(index->bytes + index->len - extents_end));
    stasis_sha256_end(&sum, ret_root);
}

struct stasis_run stasis_run_from(const struct stasis_index *index, uint64_t i)
{
    uint64_t count = index->chunk_count;
    uint64_t end = stasis_index_zero_end(index, i, count);

    if (end > i)
        return (struct stasis_run){.first = i, .end = end, .kind = STASIS_RUN_ZERO};
    while (end < count && stasis_index_entry(index, end)[0] != STASIS_CHUNK_ZERO)
        end++;
    return (struct stasis_run){.first = i, .end = end, .kind = STASIS_RUN_STORED, .each = 1};
}

void stasis_runs_count(const struct stasis_index *index, uint32_t *ret_entries,
                       uint32_t *ret_extents)
{
    struct stasis_run run = {0};

    *ret_entries = 0;
    *ret_extents = 0;
    for (uint64_t i = 0; i < index->chunk_count; i = run.end) {
        run = stasis_run_from(index, i);
        ++*ret_entries;
        *ret_extents += run.each * (uint32_t)(run.end - run.first);
    }
}

void stasis_run_encode(const struct stasis_run *run, uint8_t ret_bytes[STASIS_RUNS_ENTRY_LEN])
{
    stasis_le32_put(ret_bytes, (uint32_t)run->first);
    stasis_le32_put(ret_bytes + 4, run->first_extent);
    ret_bytes[8] = run->kind;
    ret_bytes[9] = run->each;
    stasis_le16_put(ret_bytes + 10, run->reserved);
}

void stasis_extent_encode(const struct stasis_snap_chunk *chunk,
                          uint8_t ret_bytes[STASIS_RUNS_EXTENT_LEN])
{
    stasis_le64_put(ret_bytes, chunk->offset);
    stasis_le32_put(ret_bytes + 8, chunk->stored_len);
    stasis_le32_put(ret_bytes + 12, chunk->crc);
    stasis_le16_put(ret_bytes + 16, (uint16_t)stasis_pages_of(chunk->size));
    stasis_le16_put(ret_bytes + 18, chunk->page_mask);
    stasis_le16_put(ret_bytes + 20, 0);
    ret_bytes[22] = (uint8_t)chunk->kind;
    ret_bytes[23] = 0;
}
