/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The INDEX section of a sealed overlay, as it is read. It is that of a layer, but for this: each
 * stored extent is of one page, so that a page can be verified alone, and in any order, and a whole
 * one counts files down the chain. docs/snapshot-format.md, "Sealed overlay". Made by
 * overlay_index_make.c.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "index_runs.h"
#include "le.h"
#include "overlay_index.h"
#include "sha256.h"

/* ---- its root ---- */

void stasis_overlay_index_root(const uint8_t *index, const struct stasis_snap_info *info,
                               const uint8_t *state, size_t state_len,
                               uint8_t ret_root[STASIS_DIGEST_SIZE])
{
    size_t before = stasis_overlay_index_head(info->layer) +
                    (size_t)stasis_le32_get(index + 8) * STASIS_RUNS_ENTRY_LEN;
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
    struct stasis_overlay_digests *kept; /* of each page that is stored, in whichever file */
    uint8_t none[STASIS_DIGEST_SIZE];    /* of no bytes */
    uint32_t entry_count, extent_count;
    const struct stasis_overlay_below *below; /* the file */
    uint16_t number;
    bool whole, alone;
    struct stasis_error *err;
};

static int damaged(struct stasis_error *err, const char *what)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "the index of the disk is damaged: %s", what);
}

uint64_t stasis_overlay_index_max(uint64_t ram_bytes)
{
    return stasis_overlay_index_head(true) +
           (ram_bytes / STASIS_CHUNK_SIZE + 1) *
               (STASIS_RUNS_ENTRY_LEN + CHUNK * stasis_overlay_index_each(true));
}

int stasis_overlay_index_check(const struct stasis_snap_info *info, const uint8_t *index,
                               size_t len, struct stasis_error *err)
{
    const uint8_t *name = index + STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN;

    if (len < stasis_overlay_index_head(info->layer) || stasis_le32_get(index) != 1 ||
        stasis_le32_get(index + 4) != info->layer ||
        stasis_le64_get(index + STASIS_RUNS_PREFIX_LEN) ||
        stasis_le64_get(index + STASIS_RUNS_PREFIX_LEN + 8) != info->ram_bytes)
        return damaged(err, "counts or size");
    if (len != stasis_overlay_index_head(info->layer) +
                   (uint64_t)stasis_le32_get(index + 8) * STASIS_RUNS_ENTRY_LEN +
                   stasis_le32_get(index + 12) * (uint64_t)stasis_overlay_index_each(info->digests))
        return damaged(err, "its length");
    if (info->layer &&
        (memcmp(name, info->parent_uuid, STASIS_UUID_SIZE) != 0 ||
         memcmp(name + STASIS_UUID_SIZE, info->parent_root, STASIS_DIGEST_SIZE) != 0))
        return damaged(err, "it names another parent than the header");
    if (info->whole && !info->layer)
        return damaged(err, "it says of files below, and lies on none");
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

/* Whether a place can be that of a page, in the file that is `depth` files below. */
static bool is_place(const struct reading *r, uint64_t place, uint16_t depth)
{
    if (depth && (!r->whole || depth >= (r->alone ? STASIS_OVERLAY_CHAIN_MAX : r->number)))
        return false;
    return place >= STASIS_PLACE_FIRST && place <= UINT32_MAX &&
           ((depth && r->alone) || place < r->below[-depth].end);
}

/* all: the chunk's pages; taken: those of the extents before; last: of the one before. */
static bool is_extent(const struct reading *r, const uint8_t *p, uint8_t kind, uint16_t all,
                      uint16_t taken, uint16_t last)
{
    uint64_t offset = stasis_le64_get(p);
    uint16_t pages = stasis_le16_get(p + 16), depth = stasis_le16_get(p + FILE_NUMBER);

    if (!pages || stasis_le16_get(p + 18) != pages || (pages & ~all) || (pages & taken) || p[23] ||
        (last && __builtin_ctz(pages) < __builtin_ctz(last)))
        return false;
    if (p[ENCODING] == ZEROES)
        return kind == STASIS_RUN_PARTLY && !offset && !stasis_le32_get(p + 8) &&
               !stasis_le32_get(p + 12) && !depth;
    return p[ENCODING] == RAW && !(pages & (pages - 1)) && stasis_le32_get(p + 8) == PAGE &&
           offset % PAGE == 0 && is_place(r, offset / PAGE, depth);
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

/* Those of an extent. What is in a file that is not there is laid as if the image had it. */
static void lay_extent(const struct reading *r, uint32_t first, const uint8_t *p)
{
    struct stasis_overlay_entry entry = {STASIS_PLACE_ZERO, 0, r->number};
    uint16_t depth = stasis_le16_get(p + FILE_NUMBER);

    if (p[ENCODING] == RAW)
        entry =
            (struct stasis_overlay_entry){(uint32_t)(stasis_le64_get(p) / PAGE),
                                          stasis_le32_get(p + 12), (uint16_t)(r->number - depth)};
    if (depth && r->alone)
        entry = (struct stasis_overlay_entry){STASIS_PLACE_BELOW, 0, 0};
    lay(r, first, stasis_le16_get(p + 16), entry);
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
        lay_extent(r, first, p);
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

int stasis_overlay_index_lay(struct stasis_overlay *overlay, const uint8_t *index, size_t len,
                             bool alone, struct stasis_error *err)
{
    struct stasis_overlay_below *below = &overlay->below[overlay->below_count - 1];
    const struct stasis_snap_info *info = &below->info;
    struct reading r = {.overlay = overlay,
                        .below = below,
                        .number = overlay->below_count,
                        .whole = info->whole,
                        .alone = alone,
                        .err = err};
    uint64_t chunks = ((uint64_t)overlay->map.pages + CHUNK - 1) / CHUNK, extent = 0;
    int rc = stasis_overlay_index_check(info, index, len, err);

    if (rc)
        return rc;
    r.entries = index + stasis_overlay_index_head(info->layer);
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
        below->digests = r.kept;
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
