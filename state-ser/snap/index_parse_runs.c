/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is checked of an index of version 2: names of other files, entries, extents.
 */
#include <inttypes.h>
#include <string.h>

#include "index_check.h"
#include "le.h"

/* ---- counts, regions and names ---- */

/* Where names begin, and entries. */
static size_t names_at(const struct stasis_index *index)
{
    return STASIS_RUNS_PREFIX_LEN + (size_t)stasis_le32_get(index->bytes) * STASIS_INDEX_REGION_LEN;
}

static size_t entries_at(const struct stasis_index *index)
{
    return names_at(index) + (size_t)stasis_le32_get(index->bytes + 4) * STASIS_RUNS_NAME_LEN;
}

static int check_counts(const struct stasis_index *index, const struct stasis_snap_info *info,
                        struct stasis_error *err)
{
    uint32_t regions = stasis_le32_get(index->bytes);
    uint32_t names = stasis_le32_get(index->bytes + 4);

    if (info->layer && (!names || names > STASIS_LAYER_NAMES_MAX))
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "the index of a layer cannot name %" PRIu32 " files", names);
    if (regions > STASIS_RAM_REGION_MAX || (!info->layer && names) ||
        index->len < entries_at(index))
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the index cannot hold %" PRIu32 " regions",
                           regions);
    return 0;
}

/* Where names, entries, extents and digests are, if the section is as long as that. */
static int find_parts(struct stasis_index *index, const struct stasis_snap_info *info,
                      struct stasis_error *err)
{
    struct stasis_index_runs *runs = &index->runs;
    size_t extents, digests;
    int rc;

    runs->name_count = stasis_le32_get(index->bytes + 4);
    runs->entry_count = stasis_le32_get(index->bytes + 8);
    runs->extent_count = stasis_le32_get(index->bytes + 12);
    extents = entries_at(index) + (size_t)runs->entry_count * STASIS_RUNS_ENTRY_LEN;
    digests = extents + (size_t)runs->extent_count * STASIS_RUNS_EXTENT_LEN;
    rc = stasis_index_check_length(
        index, digests + (info->digests ? (size_t)runs->extent_count * STASIS_DIGEST_SIZE : 0),
        err);
    if (rc)
        return rc;
    runs->layered = info->layer;
    runs->names = runs->name_count ? index->bytes + names_at(index) : NULL;
    runs->entries = index->bytes + entries_at(index);
    runs->extents = index->bytes + extents;
    runs->digests = info->digests ? index->bytes + digests : NULL;
    return 0;
}

static int parse_counts(struct stasis_index *index, const struct stasis_snap_info *info,
                        struct stasis_error *err)
{
    int rc = check_counts(index, info, err);

    if (!rc)
        rc = stasis_index_add_regions(index, index->bytes + STASIS_RUNS_PREFIX_LEN,
                                      stasis_le32_get(index->bytes), err);
    if (!rc)
        rc = stasis_index_check_ram(index, info, err);
    return rc ? rc : find_parts(index, info, err);
}

static int bad_name(uint32_t n, const char *what, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "name %" PRIu32 " of the index %s", n, what);
}

/* Names are numbered from 1. */
static int check_names(const struct stasis_index *index, const struct stasis_snap_info *info,
                       struct stasis_error *err)
{
    const uint8_t *parent = index->runs.names;

    for (uint32_t n = 1; n <= index->runs.name_count; n++) {
        const uint8_t *name = stasis_index_name(index, n);

        if (!memcmp(name, info->uuid, STASIS_UUID_SIZE))
            return bad_name(n, "is that of the file itself", err);
        if (n == 1 && (memcmp(name, info->parent_uuid, STASIS_UUID_SIZE) != 0 ||
                       memcmp(name + STASIS_UUID_SIZE, info->parent_root, STASIS_DIGEST_SIZE) != 0))
            return bad_name(n, "is not the parent that the header names", err);
        if (n > 1 && !memcmp(name, parent, STASIS_UUID_SIZE))
            return bad_name(n, "is that of the parent", err);
        if (n > 2 && memcmp(stasis_index_name(index, n - 1), name, STASIS_UUID_SIZE) >= 0)
            return bad_name(n, "does not sort behind the one before it", err);
    }
    return 0;
}

/* ---- entries ---- */

static int bad_entry(uint32_t e, const char *what, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "entry %" PRIu32 " of the index %s", e, what);
}

static bool is_known(const struct stasis_index *index, uint8_t kind)
{
    if (kind == STASIS_RUN_BELOW || kind == STASIS_RUN_PARTLY)
        return index->runs.layered;
    return kind == STASIS_RUN_ZERO || kind == STASIS_RUN_STORED;
}

static bool has_right_count(const struct stasis_index *index, const struct stasis_run *run)
{
    if (run->kind == STASIS_RUN_ZERO || run->kind == STASIS_RUN_BELOW)
        return run->each == 0;
    return run->each >= 1 && run->each <= (index->runs.layered ? STASIS_EXTENTS_MAX : 1);
}

/* *extents is the number of the next one, and what entry e adds to it is added. */
static int check_run(const struct stasis_index *index, uint32_t e, uint64_t *extents,
                     struct stasis_error *err)
{
    struct stasis_run run = stasis_run_at(index, e);
    struct stasis_run last = e ? stasis_run_at(index, e - 1) : run;

    if (run.first >= run.end || run.end > index->chunk_count || (!e && run.first))
        return bad_entry(e, "does not begin where the one before it can end", err);
    if (!is_known(index, run.kind))
        return bad_entry(e, "is of an unknown kind", err);
    if (!has_right_count(index, &run) || run.reserved)
        return bad_entry(e, "has another number of extents than its kind, or reserved bytes", err);
    if (e && run.kind == last.kind && run.each == last.each)
        return bad_entry(e, "is of the kind of the one before it", err);
    if (run.first_extent != *extents)
        return bad_entry(e, "begins with another extent than the one before it ends", err);
    *extents += run.each * (run.end - run.first);
    return 0;
}

static int check_runs(struct stasis_index *index, struct stasis_error *err)
{
    uint64_t extents = 0;
    int rc = 0;

    if (!index->runs.entry_count != !index->chunk_count)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the index has %" PRIu32 " entries for its RAM",
                           index->runs.entry_count);
    for (uint32_t e = 0; e < index->runs.entry_count && !rc; e++) {
        rc = check_run(index, e, &extents, err);
        if (!rc)
            index->runs.partial |= stasis_run_is_partial(stasis_run_at(index, e).kind);
    }
    if (!rc && extents != index->runs.extent_count)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                         "the index has %" PRIu32 " extents, its entries need %" PRIu64,
                         index->runs.extent_count, extents);
    if (!rc && index->runs.partial && index->runs.name_count != 1)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                         "the index is not whole, and names more files than the parent");
    return rc;
}

/* ---- extents of a file that is no layer ---- */

/* Fields of an extent that say the same in every file without layers. */
static int check_plain(const struct stasis_snap_chunk *chunk, const uint8_t *extent, uint64_t i,
                       struct stasis_error *err)
{
    if (stasis_le16_get(extent + 16) != stasis_pages_of(chunk->size))
        return stasis_index_bad_chunk(i, "is not stored in full", err);
    if (stasis_le16_get(extent + 20) || extent[23])
        return stasis_index_bad_chunk(
            i, "is in another file, or has a reserved byte that is not zero", err);
    return 0;
}

static int check_plain_chunk(const struct stasis_index *index, uint64_t i, uint32_t size,
                             const uint8_t *extent, struct stasis_index_places *places,
                             struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = {.size = size};
    int rc;

    stasis_extent_decode(extent, &chunk);
    rc = check_plain(&chunk, extent, i, err);
    return rc ? rc : stasis_index_check_stored(index, &chunk, i, places, err);
}

/* ---- extents of a layer ---- */

/* Which names are used. */
struct use {
    bool of[STASIS_LAYER_NAMES_MAX + 1];
};

static unsigned lowest_page(const struct stasis_snap_extent *extent)
{
    return extent->taken_pages & -(unsigned)extent->taken_pages;
}

/* `before`: the pages that extents before take; `lowest`: the lowest of the last one. */
static int check_pages(const struct stasis_snap_extent *extent, uint64_t i, uint32_t size,
                       unsigned before, unsigned lowest, struct stasis_error *err)
{
    unsigned stored = extent->stored_pages, taken = extent->taken_pages;

    if (stored & ~stasis_pages_of(size) || taken & ~stored || !taken)
        return stasis_index_bad_chunk(i, "takes pages that are not stored, or none", err);
    if (taken & before)
        return stasis_index_bad_chunk(i, "takes a page from two places", err);
    if (lowest_page(extent) < lowest)
        return stasis_index_bad_chunk(i, "has extents that are not in order", err);
    return 0;
}

/* `digest`: of the extent, or NULL. */
static int check_zeros(const struct stasis_snap_extent *extent, uint64_t i, uint8_t kind,
                       const uint8_t *digest, struct stasis_error *err)
{
    uint8_t of_nothing[STASIS_DIGEST_SIZE];

    if (kind != STASIS_RUN_PARTLY || extent->stored_pages != extent->taken_pages || extent->file ||
        extent->stored_len || extent->offset || extent->crc)
        return stasis_index_bad_chunk(i, "has zeros that are stored, or lie on nothing", err);
    if (!digest)
        return 0;
    stasis_sha256("", 0, of_nothing);
    if (memcmp(digest, of_nothing, sizeof(of_nothing)) != 0)
        return stasis_index_bad_chunk(i, "has zeros with another digest than that of nothing", err);
    return 0;
}

static const uint8_t *digest_of(const struct stasis_index *index, const uint8_t *extent)
{
    size_t number = (size_t)(extent - index->runs.extents) / STASIS_RUNS_EXTENT_LEN;

    return index->runs.digests ? index->runs.digests + number * STASIS_DIGEST_SIZE : NULL;
}

static int check_length(const struct stasis_index *index, const struct stasis_snap_extent *extent,
                        uint64_t i, struct stasis_error *err)
{
    uint32_t full = (uint32_t)__builtin_popcount(extent->stored_pages) * STASIS_PAGE_SIZE;
    bool raw = extent->encoding == STASIS_CHUNK_RAW;

    if (!raw && !(extent->encoding == STASIS_CHUNK_ZLIB && index->may_be_packed))
        return stasis_index_bad_chunk(i, "is of an unknown kind", err);
    if (raw && extent->stored_len != full)
        return stasis_index_bad_chunk(i, "is raw, but its length is not that of its pages", err);
    if (!raw && (!extent->stored_len || extent->stored_len >= full))
        return stasis_index_bad_chunk(i, "is compressed, but not smaller", err);
    if (raw && extent->offset % STASIS_PAGE_SIZE)
        return stasis_index_bad_chunk(i, "is raw and not on a page boundary", err);
    return 0;
}

/* Of another file, the place is checked when that is opened. */
static int check_file(const struct stasis_index *index, const struct stasis_snap_extent *extent,
                      uint64_t i, struct stasis_index_places *places, struct use *use,
                      struct stasis_error *err)
{
    if (!extent->file)
        return stasis_index_place(places, i, extent->offset, extent->stored_len, err);
    if (index->runs.partial || extent->file > index->runs.name_count)
        return stasis_index_bad_chunk(i, "is in a file that has no name", err);
    use->of[extent->file] = true;
    return 0;
}

static int check_layer_chunk(const struct stasis_index *index, uint64_t i, uint32_t size,
                             const struct stasis_run *run, const uint8_t *bytes,
                             struct stasis_index_places *places, struct use *use,
                             struct stasis_error *err)
{
    unsigned before = 0;
    unsigned lowest = 0;

    for (unsigned k = 0; k < run->each; k++, bytes += STASIS_RUNS_EXTENT_LEN) {
        struct stasis_snap_extent extent = stasis_extent_at(bytes);
        bool zeros = extent.encoding == STASIS_CHUNK_ZERO;
        int rc = bytes[23] ? stasis_index_bad_chunk(i, "has a reserved byte that is not zero", err)
                           : check_pages(&extent, i, size, before, lowest, err);

        if (!rc)
            rc = zeros ? check_zeros(&extent, i, run->kind, digest_of(index, bytes), err)
                       : check_length(index, &extent, i, err);
        if (!rc && !zeros)
            rc = check_file(index, &extent, i, places, use, err);
        if (rc)
            return rc;
        before |= extent.taken_pages;
        lowest = lowest_page(&extent);
    }
    return 0;
}

/* ---- all of them ---- */

static int check_extents(const struct stasis_index *index, const struct stasis_run *run,
                         struct stasis_index_places *places, struct use *use,
                         struct stasis_error *err)
{
    uint32_t r = stasis_index_region_of(index, run->first);
    const uint8_t *extent =
        index->runs.extents + (size_t)run->first_extent * STASIS_RUNS_EXTENT_LEN;
    int rc = 0;

    for (uint64_t i = run->first; i < run->end && !rc; i++) {
        uint32_t size;

        while (i >= index->regions[r].first_chunk + stasis_region_chunks(&index->regions[r]))
            r++;
        size = stasis_region_chunk_size(&index->regions[r], i);
        rc = index->runs.layered ? check_layer_chunk(index, i, size, run, extent, places, use, err)
                                 : check_plain_chunk(index, i, size, extent, places, err);
        extent += (size_t)run->each * STASIS_RUNS_EXTENT_LEN;
    }
    return rc;
}

/* The parent is named whatever is taken from it. */
static int check_use(const struct stasis_index *index, const struct use *use,
                     struct stasis_error *err)
{
    for (uint32_t n = 2; n <= index->runs.name_count; n++)
        if (!use->of[n])
            return bad_name(n, "is that of a file from which nothing is taken", err);
    return 0;
}

int stasis_index_parse_runs(struct stasis_index *index, const struct stasis_snap_info *info,
                            struct stasis_index_places *places, struct stasis_error *err)
{
    struct use use = {{false}};
    int rc = parse_counts(index, info, err);

    if (!rc)
        rc = check_names(index, info, err);
    if (!rc)
        rc = check_runs(index, err);
    if (!rc && !stasis_runs_make_hints(index))
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the index section");
    for (uint32_t e = 0; e < index->runs.entry_count && !rc; e++) {
        struct stasis_run run = stasis_run_at(index, e);

        if (run.each)
            rc = check_extents(index, &run, places, &use, err);
    }
    return rc ? rc : check_use(index, &use, err);
}
