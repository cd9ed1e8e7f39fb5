/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which chunks of RAM may differ from the parent's. Where the caller brings a bitmap of dirty
 * pages, these count, and no other page is touched. A range of RAM without one is stored as a whole
 * save would store it.
 */
#include <stdlib.h>

#include "write_layer.h"

#define FIND_CHUNKS (UINT64_C(1) << 14) /* 1 GiB, between two looks at the progress */
#define MUCH_PAGES  (UINT64_C(1) << 14) /* 64 MiB */
#define WORD_CHUNKS (64 * STASIS_PAGE_SIZE / STASIS_CHUNK_SIZE) /* of a word of a bitmap */

/* False: no memory. */
static bool add(struct stasis_layer *layer, uint64_t number, uint16_t dirty, uint16_t found)
{
    if (layer->count == layer->room) {
        size_t room = layer->room ? layer->room * 2 : 256;
        struct stasis_layer_chunk *chunks = realloc(layer->chunks, room * sizeof(*chunks));

        if (!chunks)
            return false;
        layer->chunks = chunks;
        layer->room = room;
    }
    layer->chunks[layer->count++] =
        (struct stasis_layer_chunk){.number = number, .dirty = dirty, .stored = found};
    return true;
}

/* ---- chunks with dirty pages ---- */

static bool list_word(struct stasis_writer *w, const struct stasis_snap_region *region,
                      uint64_t first, uint64_t word)
{
    uint64_t end = region->first_chunk + stasis_region_chunks(region);

    for (uint64_t i = first; i < end && word; i++, word >>= STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE) {
        uint16_t dirty = (uint16_t)word & stasis_layer_all(&w->index, i);

        if (dirty && !add(&w->layer, i, dirty, dirty))
            return false;
    }
    return true;
}

static bool list_dirty(struct stasis_writer *w, const struct stasis_snap_region *region,
                       const uint64_t *bits)
{
    uint64_t chunks = stasis_region_chunks(region);
    bool good = true;

    for (uint64_t i = 0; i < chunks && good; i += WORD_CHUNKS)
        if (bits[i / WORD_CHUNKS])
            good = list_word(w, region, region->first_chunk + i, bits[i / WORD_CHUNKS]);
    return good;
}

/* ---- chunks that may hold something ---- */

struct listing {
    struct stasis_writer *w;
    bool failed;
};

static void list_found(void *ctx, uint64_t i, uint16_t pages)
{
    struct listing *listing = ctx;
    struct stasis_layer *layer = &listing->w->layer;

    if (layer->count && layer->chunks[layer->count - 1].number == i)
        layer->chunks[layer->count - 1].stored |= pages;
    else if (!listing->failed)
        listing->failed = !add(layer, i, stasis_layer_all(&listing->w->index, i), pages);
}

/* Until the save is given up. */
static void find_in(struct stasis_writer *w, const struct stasis_snap_region *region,
                    stasis_writer_found *found, void *ctx)
{
    uint64_t end = region->first_chunk + stasis_region_chunks(region);

    for (uint64_t i = region->first_chunk; i < end && !stasis_writer_tell(w, NULL);
         i += FIND_CHUNKS)
        stasis_writer_find_touched(w, i, i + FIND_CHUNKS < end ? i + FIND_CHUNKS : end, found, ctx);
}

static bool list_touched(struct stasis_writer *w, const struct stasis_snap_region *region)
{
    struct listing listing = {.w = w};

    find_in(w, region, list_found, &listing);
    return !listing.failed;
}

/* ---- dirty pages that may hold something ---- */

/* Where much is dirty, much may have been taken away: it pays to find out what is there at all. */
static bool is_much(const struct stasis_snap_region *region, const uint64_t *bits)
{
    uint64_t pages = region->size / STASIS_PAGE_SIZE;
    uint64_t dirty = 0;

    for (uint64_t i = 0; i < pages / 64; i++)
        dirty += (uint64_t)__builtin_popcountll(bits[i]);
    return dirty >= MUCH_PAGES && dirty >= pages / 2;
}

struct narrowing {
    struct stasis_layer *layer;
    size_t next; /* chunk of the list: not before those that were found */
};

/* Collects the pages of listed chunks. */
static void note_found(void *ctx, uint64_t i, uint16_t pages)
{
    struct narrowing *narrowing = ctx;
    struct stasis_layer *layer = narrowing->layer;

    while (narrowing->next < layer->count && layer->chunks[narrowing->next].number < i)
        narrowing->next++;
    if (narrowing->next < layer->count && layer->chunks[narrowing->next].number == i)
        layer->chunks[narrowing->next].zero |= pages;
}

/* Of the chunks from `listed` on, which are those of the region, only such pages are looked at. */
static void narrow(struct stasis_writer *w, const struct stasis_snap_region *region, size_t listed)
{
    struct narrowing narrowing = {&w->layer, listed};

    find_in(w, region, note_found, &narrowing);
    for (size_t n = listed; n < w->layer.count; n++)
        w->layer.chunks[n].stored &= w->layer.chunks[n].zero;
}

static bool list_region(struct stasis_writer *w, const struct stasis_snap_region *region,
                        const uint64_t *bits)
{
    size_t listed = w->layer.count;
    bool good = bits ? list_dirty(w, region, bits) : list_touched(w, region);

    if (good && bits && is_much(region, bits))
        narrow(w, region, listed);
    return good;
}

/* Else nothing is asked of the kernel. */
static bool has_to_find(const struct stasis_writer *w)
{
    bool has_to = false;

    for (uint32_t r = 0; r < w->index.region_count && !has_to; r++) {
        const uint64_t *bits = stasis_layer_bits(w, r);

        has_to = !bits || is_much(&w->index.regions[r], bits);
    }
    return has_to;
}

static int list_regions(struct stasis_writer *w, struct stasis_error *err)
{
    bool good = true;

    for (uint32_t r = 0; r < w->index.region_count && good; r++) {
        if (stasis_writer_check(w, err))
            return STASIS_ERR_CANCELLED;
        good = list_region(w, &w->index.regions[r], stasis_layer_bits(w, r));
    }
    if (!good)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to list the RAM to be saved");
    return stasis_writer_check(w, err);
}

int stasis_layer_list_chunks(struct stasis_writer *w, struct stasis_error *err)
{
    int rc;

    if (!has_to_find(w))
        return list_regions(w, err);
    rc = stasis_writer_find_begin(w, err);
    if (!rc)
        rc = list_regions(w, err);
    stasis_writer_find_end(w);
    return rc;
}
