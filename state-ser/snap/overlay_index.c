/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The INDEX section of a sealed overlay, made and read. It is that of a layer, but for this: each
 * stored extent is of one page, so that a page can be verified alone, and in any order.
 * docs/snapshot-format.md, "Sealed overlay".
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index_runs.h"
#include "le.h"
#include "overlay.h"
#include "sha256.h"

#define PAGE   STASIS_OVERLAY_PAGE
#define CHUNK  (STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE) /* pages */
#define RAW    2u
#define ZEROES 1u

enum { ENCODING = 22 }; /* of an extent */

/* ---- making it ---- */

/* What is stored of one chunk. */
struct chunk {
    uint16_t all;    /* its pages */
    uint16_t stored; /* of the overlay, with a place */
    uint16_t zero;   /* of the overlay */
};

static struct chunk chunk_at(const struct stasis_overlay_map *map, uint32_t first)
{
    struct chunk chunk = {0};

    for (uint32_t i = 0; i < CHUNK && first + i < map->pages; i++) {
        struct stasis_overlay_entry entry = stasis_overlay_map_get(map, first + i);
        uint16_t bit = (uint16_t)(1u << i);

        chunk.all |= bit;
        if (!entry.file && entry.place == STASIS_PLACE_ZERO)
            chunk.zero |= bit;
        else if (!entry.file && entry.place != STASIS_PLACE_BELOW)
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

static void put_extent(uint8_t *p, uint64_t offset, uint32_t crc, uint16_t pages, uint8_t encoding)
{
    stasis_le64_put(p, offset);
    stasis_le32_put(p + 8, encoding == RAW ? PAGE : 0);
    stasis_le32_put(p + 12, crc);
    stasis_le16_put(p + 16, pages);
    stasis_le16_put(p + 18, pages);
    p[ENCODING] = encoding;
}

/* In the order of their lowest pages: one for each stored page, one for all that are zero. */
static uint8_t *put_extents(const struct stasis_overlay_map *map, uint32_t first,
                            const struct chunk *chunk, uint8_t *p)
{
    uint16_t zero = kind_of(chunk) == STASIS_RUN_PARTLY ? chunk->zero : 0;

    for (uint32_t i = 0; extents_of(chunk) && i < CHUNK; i++) {
        struct stasis_overlay_entry entry = stasis_overlay_map_get(map, first + i);

        if (zero && i == (uint32_t)__builtin_ctz(zero))
            put_extent(p, 0, 0, zero, ZEROES);
        else if (!(chunk->stored >> i & 1))
            continue;
        else
            put_extent(p, (uint64_t)entry.place * PAGE, entry.crc, (uint16_t)(1u << i), RAW);
        p += STASIS_RUNS_EXTENT_LEN;
    }
    return p;
}

/* Counts entries and extents, and writes them if there is where to. */
static void walk(const struct stasis_overlay_map *map, uint8_t *entries, uint8_t *extents,
                 uint32_t *ret_entries, uint32_t *ret_extents)
{
    struct stasis_run last = {.kind = UINT8_MAX};
    uint32_t entry_count = 0, extent_count = 0;

    for (uint32_t first = 0; first < map->pages; first += CHUNK) {
        struct chunk chunk = chunk_at(map, first);
        struct stasis_run run = {first / CHUNK,      0, extent_count, kind_of(&chunk),
                                 extents_of(&chunk), 0};

        if (run.kind != last.kind || run.each != last.each) {
            if (entries)
                stasis_run_encode(&run, entries + (size_t)entry_count * STASIS_RUNS_ENTRY_LEN);
            entry_count++;
            last = run;
        }
        if (extents)
            (void)put_extents(map, first, &chunk,
                              extents + (size_t)extent_count * STASIS_RUNS_EXTENT_LEN);
        extent_count += run.each;
    }
    *ret_entries = entry_count;
    *ret_extents = extent_count;
}

static size_t head_len(bool is_layer)
{
    return STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN + (is_layer ? STASIS_RUNS_NAME_LEN : 0);
}

/* Of each extent: of its page, or, of zeros, of no bytes. */
static void put_digests(const struct stasis_overlay_digests *digests, const uint8_t *extents,
                        uint32_t count, uint8_t *p)
{
    const struct stasis_overlay_digest *next = digests->list;
    uint8_t none[STASIS_DIGEST_SIZE];

    stasis_sha256(NULL, 0, none);
    for (uint32_t i = 0; i < count; i++, p += STASIS_DIGEST_SIZE) {
        bool is_raw = extents[(size_t)i * STASIS_RUNS_EXTENT_LEN + ENCODING] == RAW;

        memcpy(p, is_raw ? next++->sum : none, STASIS_DIGEST_SIZE);
    }
}

/* Of an extent, with its digest. */
static size_t each_len(bool has_digests)
{
    return STASIS_RUNS_EXTENT_LEN + (has_digests ? STASIS_DIGEST_SIZE : 0);
}

uint8_t *stasis_overlay_index_make(const struct stasis_overlay *overlay,
                                   const struct stasis_overlay_digests *digests, size_t *ret_len)
{
    const struct stasis_snap_info *info = &overlay->use.header.info;
    const struct stasis_overlay_map *map = &overlay->map;
    size_t head = head_len(info->layer);
    uint32_t entries, extents;
    uint8_t *p, *at;

    walk(map, NULL, NULL, &entries, &extents);
    *ret_len = head + (size_t)entries * STASIS_RUNS_ENTRY_LEN + extents * each_len(digests);
    p = calloc(1, *ret_len);
    if (!p)
        return NULL;
    stasis_le32_put(p, 1);
    stasis_le32_put(p + 4, info->layer);
    stasis_le32_put(p + 8, entries);
    stasis_le32_put(p + 12, extents);
    stasis_le64_put(p + STASIS_RUNS_PREFIX_LEN + 8, info->ram_bytes);
    if (info->layer) {
        uint8_t *name = p + STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN;

        memcpy(name, info->parent_uuid, STASIS_UUID_SIZE);
        memcpy(name + STASIS_UUID_SIZE, info->parent_root, STASIS_DIGEST_SIZE);
    }
    at = p + head + (size_t)entries * STASIS_RUNS_ENTRY_LEN;
    walk(map, p + head, at, &entries, &extents);
    if (digests)
        put_digests(digests, at, extents, at + (size_t)extents * STASIS_RUNS_EXTENT_LEN);
    return p;
}

void stasis_overlay_index_root(const uint8_t *index, const struct stasis_snap_info *info,
                               const uint8_t *state, size_t state_len,
                               uint8_t ret_root[STASIS_DIGEST_SIZE])
{
    size_t before =
        head_len(info->layer) + (size_t)stasis_le32_get(index + 8) * STASIS_RUNS_ENTRY_LEN;
    uint32_t extents = stasis_le32_get(index + 12);
    uint8_t digest[STASIS_DIGEST_SIZE];
    struct stasis_sha256 sum;

    stasis_sha256(state, state_len, digest);
    stasis_root_begin(&sum, info, digest);
    stasis_sha256_add(&sum, index, before);
    for (uint32_t i = 0; i < extents; i++)
        stasis_root_add_extent(&sum, index + before + (size_t)i * STASIS_RUNS_EXTENT_LEN);
    if (info->digests)
        stasis_sha256_add(&sum, index + before + (size_t)extents * STASIS_RUNS_EXTENT_LEN,
                          (size_t)extents * STASIS_DIGEST_SIZE);
    stasis_sha256_end(&sum, ret_root);
}

/* ---- reading it ---- */

struct reading {
    struct stasis_overlay *overlay;
    const uint8_t *entries, *extents;
    const uint8_t *digests;              /* of each extent; NULL: there are none */
    struct stasis_overlay_digests *kept; /* of each page that is stored */
    uint8_t none[STASIS_DIGEST_SIZE];    /* of no bytes */
    uint32_t entry_count, extent_count;
    uint32_t end; /* place behind the DATA section */
    uint16_t number;
    struct stasis_error *err;
};

static int damaged(struct stasis_error *err, const char *what)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "the index of the disk is damaged: %s", what);
}

uint64_t stasis_overlay_index_max(uint64_t ram_bytes)
{
    return head_len(true) +
           (ram_bytes / STASIS_CHUNK_SIZE + 1) * (STASIS_RUNS_ENTRY_LEN + CHUNK * each_len(true));
}

int stasis_overlay_index_check(const struct stasis_snap_info *info, const uint8_t *index,
                               size_t len, struct stasis_error *err)
{
    const uint8_t *name = index + STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN;

    if (len < head_len(info->layer) || stasis_le32_get(index) != 1 ||
        stasis_le32_get(index + 4) != info->layer ||
        stasis_le64_get(index + STASIS_RUNS_PREFIX_LEN) ||
        stasis_le64_get(index + STASIS_RUNS_PREFIX_LEN + 8) != info->ram_bytes)
        return damaged(err, "counts or size");
    if (len != head_len(info->layer) +
                   (uint64_t)stasis_le32_get(index + 8) * STASIS_RUNS_ENTRY_LEN +
                   stasis_le32_get(index + 12) * (uint64_t)each_len(info->digests))
        return damaged(err, "its length");
    if (info->layer &&
        (memcmp(name, info->parent_uuid, STASIS_UUID_SIZE) != 0 ||
         memcmp(name + STASIS_UUID_SIZE, info->parent_root, STASIS_DIGEST_SIZE) != 0))
        return damaged(err, "it names another parent than the header");
    return 0;
}

static struct stasis_run run_at(const struct reading *r, uint32_t i)
{
    const uint8_t *p = r->entries + (size_t)i * STASIS_RUNS_ENTRY_LEN;

    return (struct stasis_run){.first = stasis_le32_get(p),
                               .first_extent = stasis_le32_get(p + 4),
                               .kind = p[8],
                               .each = p[9],
                               .reserved = stasis_le16_get(p + 10)};
}

/* Entry i, which begins at chunk `first` and extent `extent`. */
static bool is_entry(const struct reading *r, uint32_t i, const struct stasis_run *run,
                     uint64_t extent)
{
    struct stasis_run before = i ? run_at(r, i - 1) : (struct stasis_run){.kind = UINT8_MAX};
    bool has_extents = run->kind == STASIS_RUN_STORED || run->kind == STASIS_RUN_PARTLY;

    return run->kind <= STASIS_RUN_PARTLY && !run->reserved && run->first_extent == extent &&
           (has_extents ? run->each >= 1 && run->each <= CHUNK : !run->each) &&
           (run->kind != before.kind || run->each != before.each) &&
           (i ? run->first > before.first : !run->first);
}

/* all: the chunk's pages; taken: those of the extents before; last: of the one before. */
static bool is_extent(const struct reading *r, const uint8_t *p, uint8_t kind, uint16_t all,
                      uint16_t taken, uint16_t last)
{
    uint64_t offset = stasis_le64_get(p);
    uint16_t pages = stasis_le16_get(p + 16);

    if (!pages || stasis_le16_get(p + 18) != pages || (pages & ~all) || (pages & taken) ||
        stasis_le16_get(p + 20) || p[23] || (last && __builtin_ctz(pages) < __builtin_ctz(last)))
        return false;
    if (p[ENCODING] == ZEROES)
        return kind == STASIS_RUN_PARTLY && !offset && !stasis_le32_get(p + 8) &&
               !stasis_le32_get(p + 12);
    return p[ENCODING] == RAW && !(pages & (pages - 1)) && stasis_le32_get(p + 8) == PAGE &&
           offset % PAGE == 0 && offset / PAGE >= STASIS_PLACE_FIRST && offset / PAGE < r->end;
}

/* That of an extent at p. False: of zeros it is none. */
static bool keep_digest(const struct reading *r, const uint8_t *p, uint32_t page)
{
    size_t i = (size_t)(p - r->extents) / STASIS_RUNS_EXTENT_LEN;
    const uint8_t *digest = r->digests + i * STASIS_DIGEST_SIZE;

    if (p[ENCODING] == RAW) {
        stasis_overlay_digests_add(r->kept, page, digest);
        return true;
    }
    return !memcmp(digest, r->none, sizeof(r->none));
}

static void lay(const struct reading *r, uint32_t first, uint16_t pages,
                struct stasis_overlay_entry entry)
{
    for (uint32_t i = 0; i < CHUNK; i++)
        if (pages >> i & 1)
            stasis_overlay_map_lay(&r->overlay->map, first + i, entry);
}

/* A chunk with its extents, which begin at p. */
static int lay_chunk(const struct reading *r, const struct stasis_run *run, uint32_t first,
                     const uint8_t *p)
{
    const struct stasis_overlay_entry zero = {STASIS_PLACE_ZERO, 0, r->number};
    uint32_t left = r->overlay->map.pages - first;
    uint16_t all = (uint16_t)((1u << (left < CHUNK ? left : CHUNK)) - 1), taken = 0, last = 0;

    if (run->kind == STASIS_RUN_BELOW)
        return 0;
    if (!stasis_overlay_map_own(&r->overlay->map, first, left < CHUNK ? left : CHUNK))
        return stasis_fail(r->err, STASIS_ERR_NOMEM, "no memory for the pages of the disk");
    for (unsigned i = 0; i < run->each; i++, p += STASIS_RUNS_EXTENT_LEN) {
        uint16_t pages = stasis_le16_get(p + 16);

        if (!is_extent(r, p, run->kind, all, taken, last))
            return damaged(r->err, "an extent");
        if (r->digests && !keep_digest(r, p, first + (uint32_t)__builtin_ctz(pages)))
            return damaged(r->err, "the digest of zeros");
        if (p[ENCODING] == ZEROES)
            lay(r, first, pages, zero);
        else
            lay(r, first, pages,
                (struct stasis_overlay_entry){(uint32_t)(stasis_le64_get(p) / PAGE),
                                              stasis_le32_get(p + 12), r->number});
        taken |= pages;
        last = pages;
    }
    if (run->kind != STASIS_RUN_PARTLY)
        lay(r, first, (uint16_t)(all & ~taken), zero);
    return 0;
}

/* However many they are: a file of a few bytes can have a run as long as the disk. */
static int lay_zeros(const struct reading *r, uint64_t first, uint64_t end)
{
    struct stasis_overlay_map *map = &r->overlay->map;
    uint64_t last = end * CHUNK < map->pages ? end * CHUNK : map->pages;

    return stasis_overlay_map_lay_zeros(map, (uint32_t)(first * CHUNK),
                                        (uint32_t)(last - first * CHUNK), r->number)
               ? 0
               : stasis_fail(r->err, STASIS_ERR_NOMEM, "no memory for the pages of the disk");
}

static int lay_run(const struct reading *r, const struct stasis_run *run, uint64_t end,
                   uint64_t *extent)
{
    int rc = 0;

    if (run->each && (end - run->first) * run->each > r->extent_count - *extent)
        return damaged(r->err, "an entry has more extents than there are");
    if (run->kind == STASIS_RUN_ZERO)
        return lay_zeros(r, run->first, end);
    for (uint64_t chunk = run->first; !rc && chunk < end; chunk++) {
        rc = lay_chunk(r, run, (uint32_t)(chunk * CHUNK),
                       r->extents + *extent * STASIS_RUNS_EXTENT_LEN);
        *extent += run->each;
    }
    return rc;
}

int stasis_overlay_index_lay(struct stasis_overlay *overlay, const struct stasis_snap_info *info,
                             const uint8_t *index, size_t len, uint32_t end, uint16_t number,
                             struct stasis_error *err)
{
    struct reading r = {.overlay = overlay, .end = end, .number = number, .err = err};
    uint64_t chunks = ((uint64_t)overlay->map.pages + CHUNK - 1) / CHUNK, extent = 0;
    int rc = stasis_overlay_index_check(info, index, len, err);

    if (rc)
        return rc;
    r.entries = index + head_len(info->layer);
    r.entry_count = stasis_le32_get(index + 8);
    r.extent_count = stasis_le32_get(index + 12);
    r.extents = r.entries + (size_t)r.entry_count * STASIS_RUNS_ENTRY_LEN;
    if (!r.entry_count)
        return damaged(err, "it has no entries");
    if (info->digests) {
        r.digests = r.extents + (size_t)r.extent_count * STASIS_RUNS_EXTENT_LEN;
        r.kept = stasis_overlay_digests_new(r.extent_count);
        if (!r.kept)
            return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the digests of the disk");
        overlay->below[number - 1].digests = r.kept;
        stasis_sha256(NULL, 0, r.none);
    }
    for (uint32_t i = 0; !rc && i < r.entry_count; i++) {
        struct stasis_run run = run_at(&r, i);
        uint64_t next = i + 1 < r.entry_count ? run_at(&r, i + 1).first : chunks;

        if (!is_entry(&r, i, &run, extent) || run.first >= chunks || next > chunks ||
            next <= run.first)
            return damaged(err, "an entry");
        rc = lay_run(&r, &run, next, &extent);
    }
    return rc || extent == r.extent_count ? rc : damaged(err, "extents of no entry");
}
