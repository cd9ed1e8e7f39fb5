/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which chunks of RAM may differ from the parent's. Where the caller brings a bitmap of dirty
 * pages, these count, and no other page is touched. A range of RAM without one is stored as a whole
 * save would store it.
 *
 * The list has 32 bytes for each chunk. Those of which all pages are dirty and none was ever
 * touched are not in it, or a guest of 4 TiB that may have changed anywhere would take 2 GiB to
 * list: they are zero, and the bitmap says where they are.
 */
#include <stdlib.h>

#include "write_layer.h"

#define FIND_CHUNKS (1u << 14)          /* 1 GiB, between two looks at the progress */
#define MUCH_PAGES  (UINT64_C(1) << 14) /* 64 MiB */
#define MANY_PAGES  (UINT64_C(1) << 24) /* 64 GiB */
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
        (struct stasis_layer_chunk){.number = (uint32_t)number, .dirty = dirty, .stored = found};
    return true;
}

/* ---- chunks with dirty pages ---- */

/* Up to 1 GiB of a range of RAM. */
struct window {
    uint64_t first, end;  /* chunks */
    const uint64_t *bits; /* from the first on */
    uint16_t *touched;    /* pages of each, or NULL: any may be */
};

static bool list_chunk(struct stasis_writer *w, const struct window *window, uint64_t i,
                       uint16_t dirty)
{
    uint16_t all = stasis_layer_all(&w->index, i);
    uint16_t touched = window->touched ? window->touched[i - window->first] : all;

    dirty = (uint16_t)(dirty & all);
    if (dirty == all && !touched) {
        w->layer.zeros++;
        w->layer.zero_bytes += (unsigned)__builtin_popcount(all) * STASIS_PAGE_SIZE;
        return true;
    }
    return !dirty || add(&w->layer, i, dirty, dirty & touched);
}

static bool list_dirty(struct stasis_writer *w, const struct window *window)
{
    bool good = true;

    for (uint64_t i = window->first; i < window->end && good; i++) {
        uint64_t at = i - window->first;
        uint64_t word = window->bits[at / WORD_CHUNKS] >>
                        at % WORD_CHUNKS * (STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE);

        if (word)
            good = list_chunk(w, window, i, (uint16_t)word);
        else
            i += WORD_CHUNKS - 1 - at % WORD_CHUNKS;
    }
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

static uint64_t count_dirty(const uint64_t *bits, uint64_t chunks)
{
    uint64_t dirty = 0;

    for (uint64_t i = 0; i < (chunks + WORD_CHUNKS - 1) / WORD_CHUNKS; i++)
        dirty += (uint64_t)__builtin_popcountll(bits[i]);
    return dirty;
}

/* Where much is dirty, much may have been taken away: it pays to find out what is there at all.
 * `many`: so is it in all of RAM, and the list is to stay short. */
static bool is_much(const struct window *window, bool many)
{
    uint64_t chunks = window->end - window->first;
    uint64_t dirty = count_dirty(window->bits, chunks);

    return dirty >= MUCH_PAGES &&
           (many || dirty >= chunks * (STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE) / 2);
}

/* The one of the region that begins `at` chunks behind its start. */
static struct window window_at(const struct stasis_snap_region *region, const uint64_t *bits,
                               uint64_t at)
{
    uint64_t left = stasis_region_chunks(region) - at, first = region->first_chunk + at;

    return (struct window){.first = first,
                           .end = first + (left < FIND_CHUNKS ? left : FIND_CHUNKS),
                           .bits = bits + at / WORD_CHUNKS};
}

static void note_found(void *ctx, uint64_t i, uint16_t pages)
{
    struct window *window = ctx;

    window->touched[i - window->first] |= pages;
}

/* Which of them may hold something, before they are looked at. */
static bool list_window(struct stasis_writer *w, struct window *window, bool many)
{
    bool good;

    if (!is_much(window, many))
        return list_dirty(w, window);
    window->touched = calloc(FIND_CHUNKS, sizeof(*window->touched));
    if (!window->touched)
        return false;
    stasis_writer_find_touched(w, window->first, window->end, note_found, window);
    good = list_dirty(w, window);
    free(window->touched);
    return good;
}

static bool list_region(struct stasis_writer *w, const struct stasis_snap_region *region,
                        const uint64_t *bits, bool many)
{
    uint64_t chunks = stasis_region_chunks(region);
    bool good = true;

    if (!bits)
        return list_touched(w, region);
    for (uint64_t at = 0; at < chunks && good && !stasis_writer_tell(w, NULL); at += FIND_CHUNKS) {
        struct window window = window_at(region, bits, at);

        good = list_window(w, &window, many);
    }
    return good;
}

static bool is_many(const struct stasis_writer *w)
{
    uint64_t dirty = 0;

    for (uint32_t r = 0; r < w->index.region_count; r++)
        if (stasis_layer_bits(w, r))
            dirty +=
                count_dirty(stasis_layer_bits(w, r), stasis_region_chunks(&w->index.regions[r]));
    return dirty >= MANY_PAGES;
}

/* Else nothing is asked of the kernel. */
static bool has_to_find(const struct stasis_writer *w, bool many)
{
    bool has_to = false;

    for (uint32_t r = 0; r < w->index.region_count && !has_to; r++) {
        const struct stasis_snap_region *region = &w->index.regions[r];
        const uint64_t *bits = stasis_layer_bits(w, r);

        has_to = !bits;
        for (uint64_t at = 0; at < stasis_region_chunks(region) && !has_to; at += FIND_CHUNKS) {
            struct window window = window_at(region, bits, at);

            has_to = is_much(&window, many);
        }
    }
    return has_to;
}

static int list_regions(struct stasis_writer *w, bool many, struct stasis_error *err)
{
    bool good = true;

    for (uint32_t r = 0; r < w->index.region_count && good; r++) {
        if (stasis_writer_check(w, err))
            return STASIS_ERR_CANCELLED;
        good = list_region(w, &w->index.regions[r], stasis_layer_bits(w, r), many);
    }
    if (!good)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to list the RAM to be saved");
    return stasis_writer_check(w, err);
}

int stasis_layer_list_chunks(struct stasis_writer *w, struct stasis_error *err)
{
    bool many = is_many(w);
    int rc;

    if (!has_to_find(w, many))
        return list_regions(w, many, err);
    rc = stasis_writer_find_begin(w, err);
    if (!rc)
        rc = list_regions(w, many, err);
    stasis_writer_find_end(w);
    return rc;
}
