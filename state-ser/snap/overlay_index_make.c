/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The INDEX section of a sealed overlay, as it is made: of what the overlay has itself, or, now and
 * then, a whole one, that says of each page in which of the files below it is, so that who opens
 * the overlay need not read their indexes. It is due once the ones that are not whole, with this
 * one, are longer than it. docs/snapshot-format.md, "Sealed overlay".
 */
#include <stdlib.h>
#include <string.h>

#include "index_runs.h"
#include "le.h"
#include "overlay_index.h"
#include "sha256.h"

struct making {
    const struct stasis_overlay *overlay;
    bool whole;
    const struct stasis_overlay_digests *own; /* of the pages of the overlay itself; NULL: none */
    uint32_t own_used;                        /* of them */
    uint8_t *entries, *extents, *digests;     /* where the next ones go; NULL: they are counted */
    uint32_t entry_count, extent_count;
};

/* What is stored of one chunk. */
struct chunk {
    uint16_t all;    /* its pages */
    uint16_t stored; /* of the overlay (or, in a whole index, of any file), with a place */
    uint16_t zero;   /* the same, zero */
};

static struct chunk chunk_at(const struct making *m, uint32_t first)
{
    const struct stasis_overlay_map *map = &m->overlay->map;
    struct chunk chunk = {0};

    for (uint32_t i = 0; i < CHUNK && first + i < map->pages; i++) {
        struct stasis_overlay_entry entry = stasis_overlay_map_get(map, first + i);
        uint16_t bit = (uint16_t)(1u << i);

        chunk.all |= bit;
        if (entry.file && !m->whole)
            continue;
        if (entry.place == STASIS_PLACE_ZERO)
            chunk.zero |= bit;
        else if (entry.place != STASIS_PLACE_BELOW)
            chunk.stored |= bit;
    }
    return chunk;
}

static uint8_t kind_of(const struct chunk *chunk)
{
    if (!chunk->stored && !chunk->zero)
        return STASIS_RUN_BELOW;
    if (chunk->zero == chunk->all)
        return STASIS_RUN_ZERO;
    return (chunk->stored | chunk->zero) == chunk->all ? STASIS_RUN_STORED : STASIS_RUN_PARTLY;
}

static uint8_t extents_of(const struct chunk *chunk)
{
    uint8_t kind = kind_of(chunk);
    int stored = __builtin_popcount(chunk->stored);

    if (kind == STASIS_RUN_BELOW || kind == STASIS_RUN_ZERO)
        return 0;
    return (uint8_t)(stored + (kind == STASIS_RUN_PARTLY && chunk->zero));
}

static void put_extent(uint8_t *p, uint64_t offset, uint32_t crc, uint16_t pages, uint16_t file,
                       uint8_t encoding)
{
    stasis_le64_put(p, offset);
    stasis_le32_put(p + 8, encoding == RAW ? PAGE : 0);
    stasis_le32_put(p + 12, crc);
    stasis_le16_put(p + 16, pages);
    stasis_le16_put(p + 18, pages);
    stasis_le16_put(p + FILE_NUMBER, file);
    p[ENCODING] = encoding;
}

/* By how many files it is below what is sealed now. */
static uint16_t depth_of(const struct making *m, uint16_t file)
{
    return file ? (uint16_t)(m->overlay->below_count + 1 - file) : 0;
}

/* Of a page that is stored; of zeros, which are no page, that of no bytes. */
static void put_digest(struct making *m, uint32_t page, uint16_t file, bool is_raw)
{
    if (!m->own)
        return;
    if (!is_raw)
        stasis_sha256(NULL, 0, m->digests);
    else if (file)
        memcpy(m->digests,
               stasis_overlay_digests_find(stasis_overlay_digests_of(m->overlay, file), page),
               STASIS_DIGEST_SIZE);
    else
        memcpy(m->digests, m->own->list[m->own_used++].sum, STASIS_DIGEST_SIZE);
    m->digests += STASIS_DIGEST_SIZE;
}

/* In the order of their lowest pages: one for each stored page, one for all that are zero. */
static void put_extents(struct making *m, uint32_t first, const struct chunk *chunk)
{
    uint16_t zero = kind_of(chunk) == STASIS_RUN_PARTLY ? chunk->zero : 0;

    for (uint32_t i = 0; extents_of(chunk) && i < CHUNK; i++) {
        struct stasis_overlay_entry entry = stasis_overlay_map_get(&m->overlay->map, first + i);
        bool is_raw = chunk->stored >> i & 1;

        if (is_raw)
            put_extent(m->extents, (uint64_t)entry.place * PAGE, entry.crc, (uint16_t)(1u << i),
                       depth_of(m, entry.file), RAW);
        else if (zero && i == (uint32_t)__builtin_ctz(zero))
            put_extent(m->extents, 0, 0, zero, 0, ZEROES);
        else
            continue;
        m->extents += STASIS_RUNS_EXTENT_LEN;
        put_digest(m, first + i, entry.file, is_raw);
    }
}

static void add_entry(struct making *m, const struct stasis_run *run)
{
    if (m->entries) {
        stasis_run_encode(run, m->entries);
        m->entries += STASIS_RUNS_ENTRY_LEN;
    }
    m->entry_count++;
}

/* Behind one of a leaf that is not there, which has chunks that are all alike, the next leaf's. */
static uint32_t next_chunk(const struct stasis_overlay_map *map, uint32_t first)
{
    uint32_t leaf = first / STASIS_LEAF_PAGES;

    return map->leaves[leaf] ? first + CHUNK : (leaf + 1) * STASIS_LEAF_PAGES;
}

/* Counts entries and extents, and writes them if there is where to. */
static void walk(struct making *m)
{
    const struct stasis_overlay_map *map = &m->overlay->map;
    struct stasis_run last = {.kind = UINT8_MAX};

    m->entry_count = m->extent_count = 0;
    for (uint32_t first = 0; first < map->pages; first = next_chunk(map, first)) {
        struct chunk chunk = chunk_at(m, first);
        struct stasis_run run = {first / CHUNK,      0, m->extent_count, kind_of(&chunk),
                                 extents_of(&chunk), 0};

        if (run.kind != last.kind || run.each != last.each) {
            add_entry(m, &run);
            last = run;
        }
        if (m->extents)
            put_extents(m, first, &chunk);
        m->extent_count += run.each;
    }
}

static size_t len_of(const struct making *m, bool has_digests)
{
    return stasis_overlay_index_head(m->overlay->use.header.info.layer) +
           (size_t)m->entry_count * STASIS_RUNS_ENTRY_LEN +
           m->extent_count * stasis_overlay_index_each(has_digests);
}

uint8_t *stasis_overlay_index_make(const struct stasis_overlay *overlay,
                                   const struct stasis_overlay_digests *digests, bool whole,
                                   size_t *ret_len)
{
    const struct stasis_snap_info *info = &overlay->use.header.info;
    struct making m = {.overlay = overlay, .whole = whole, .own = digests};
    uint8_t *p;

    walk(&m);
    *ret_len = len_of(&m, digests);
    p = calloc(1, *ret_len);
    if (!p)
        return NULL;
    stasis_le32_put(p, 1);
    stasis_le32_put(p + 4, info->layer);
    stasis_le32_put(p + 8, m.entry_count);
    stasis_le32_put(p + 12, m.extent_count);
    stasis_le64_put(p + STASIS_RUNS_PREFIX_LEN + 8, info->ram_bytes);
    if (info->layer) {
        uint8_t *name = p + STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN;

        memcpy(name, info->parent_uuid, STASIS_UUID_SIZE);
        memcpy(name + STASIS_UUID_SIZE, info->parent_root, STASIS_DIGEST_SIZE);
    }
    m.entries = p + stasis_overlay_index_head(info->layer);
    m.extents = m.entries + (size_t)m.entry_count * STASIS_RUNS_ENTRY_LEN;
    m.digests = m.extents + (size_t)m.extent_count * STASIS_RUNS_EXTENT_LEN;
    walk(&m);
    return p;
}

/* ---- whether it is whole ---- */

bool stasis_overlay_index_can_be_whole(const struct stasis_overlay *overlay, bool has_digests)
{
    unsigned lowest = overlay->whole ? overlay->whole - 1u : 0;

    for (unsigned i = lowest; i < overlay->below_count; i++)
        if (overlay->below[i].info.digests != has_digests)
            return false;
    return overlay->use.header.info.layer;
}

bool stasis_overlay_index_is_due(const struct stasis_overlay *overlay, bool has_digests)
{
    struct making own = {.overlay = overlay}, whole = {.overlay = overlay, .whole = true};

    if (!stasis_overlay_index_can_be_whole(overlay, has_digests))
        return false;
    walk(&own);
    walk(&whole);
    return overlay->partial_len + len_of(&own, has_digests) > len_of(&whole, has_digests);
}
