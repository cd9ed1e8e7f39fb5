/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Dirty pages that are as in the parent: KVM counts pages as written that a guest has only read,
 * and guests write what was there. They need not be stored again.
 *
 * A page is left out only if it equals bytes of the parent whose checksum is right (and digest,
 * where there is one), so that damage never passes for the guest's memory. The guest stands still
 * meanwhile. So nothing is read that is not in the page cache; all chunks are compared only if
 * some, spread over the list, show that it pays; and few pages of an extent are first compared
 * alone, and the extent is verified only if they may be the same. What is compressed is not
 * compared.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "io.h"
#include "read_extents.h"
#include "write_layer.h"

#define SAMPLE_CHUNKS 64u
#define SAMPLE_SHARE  2u /* one in so many pages has to be the same */

struct compare {
    const struct stasis_snap *parent;
    uint64_t i; /* the chunk */
    const uint8_t *host;
    struct stasis_index_extents extents;
    uint8_t *room;
};

static bool read_cached(const struct compare *compare, unsigned k, uint64_t skip, size_t len)
{
    const struct stasis_snap_extent *extent = &compare->extents.list[k];
    const struct stasis_input *input = &compare->parent->files[extent->file]->input;

    return input->fd >= 0 && stasis_io_pread_cached(input->fd, compare->room, len,
                                                    extent->offset + skip) == (ssize_t)len;
}

static bool is_same(const struct compare *compare, unsigned page, const uint8_t *bytes)
{
    return !memcmp(compare->host + (size_t)page * STASIS_PAGE_SIZE, bytes, STASIS_PAGE_SIZE);
}

/* Where a page is among the stored ones of its extent. */
static unsigned place_of(const struct stasis_snap_extent *extent, unsigned page)
{
    return (unsigned)__builtin_popcount(extent->stored_pages & ((1u << page) - 1));
}

/* Those of the pages that may be the same: nothing is verified. */
static unsigned glance(const struct compare *compare, unsigned k, unsigned pages)
{
    const struct stasis_snap_extent *extent = &compare->extents.list[k];
    unsigned same = 0;

    for (unsigned page = 0; pages >> page; page++) {
        uint64_t skip = (uint64_t)place_of(extent, page) * STASIS_PAGE_SIZE;

        if (!(pages >> page & 1))
            continue;
        if (!read_cached(compare, k, skip, STASIS_PAGE_SIZE))
            return 0;
        same |= (unsigned)is_same(compare, page, compare->room) << page;
    }
    return same;
}

static unsigned same_in_extent(const struct compare *compare, unsigned k, unsigned pages)
{
    const struct stasis_snap_extent *extent = &compare->extents.list[k];
    unsigned same = 0;

    if (2 * __builtin_popcount(pages) < __builtin_popcount(extent->stored_pages))
        pages = glance(compare, k, pages);
    if (!pages || !read_cached(compare, k, 0, extent->stored_len) ||
        stasis_extents_check(compare->parent, compare->i, &compare->extents, k, compare->room,
                             NULL))
        return 0;
    for (unsigned page = 0; pages >> page; page++) {
        const uint8_t *bytes = compare->room + (size_t)place_of(extent, page) * STASIS_PAGE_SIZE;

        if (pages >> page & 1)
            same |= (unsigned)is_same(compare, page, bytes) << page;
    }
    return same;
}

/* Where a range of RAM has no bitmap, all that it holds is stored. */
static bool has_bitmap(const struct stasis_writer *w, const struct stasis_layer_chunk *chunk)
{
    return stasis_layer_bits(w, stasis_index_region_of(&w->index, chunk->number));
}

uint16_t stasis_layer_same_pages(const struct stasis_writer *w,
                                 const struct stasis_layer_chunk *chunk, uint8_t *room)
{
    struct compare compare = {.parent = w->snap->lies_on,
                              .i = chunk->number,
                              .host = stasis_writer_chunk(w, chunk->number),
                              .room = room};
    unsigned zero = chunk->dirty & ~(unsigned)chunk->stored, same = 0;

    if (!has_bitmap(w, chunk))
        return 0;
    stasis_index_get_extents(&compare.parent->index, compare.i, &compare.extents);
    assert(!stasis_run_is_partial(compare.extents.kind)); /* it was opened with its own parents */
    for (unsigned k = 0; k < compare.extents.count; k++) {
        const struct stasis_snap_extent *extent = &compare.extents.list[k];
        unsigned pages = (unsigned)extent->taken_pages & chunk->stored;

        if (extent->encoding != STASIS_CHUNK_ZERO)
            zero &= ~(unsigned)extent->taken_pages;
        if (extent->encoding == STASIS_CHUNK_RAW && pages)
            same |= same_in_extent(&compare, k, pages);
    }
    return (uint16_t)(same | zero);
}

/* ---- whether it pays ---- */

bool stasis_layer_has_same(const struct stasis_writer *w)
{
    size_t count = w->layer.count, step = (count + SAMPLE_CHUNKS - 1) / SAMPLE_CHUNKS;
    uint8_t *room = malloc(STASIS_CHUNK_SIZE);
    unsigned dirty = 0, same = 0;

    for (size_t n = 0; room && n < count; n += step) {
        struct stasis_layer_chunk chunk = w->layer.chunks[n];

        chunk.stored =
            stasis_chunk_page_mask_among(stasis_writer_chunk(w, chunk.number), chunk.stored);
        dirty += (unsigned)__builtin_popcount(chunk.dirty);
        same += (unsigned)__builtin_popcount(stasis_layer_same_pages(w, &chunk, room));
    }
    free(room);
    return same && same * SAMPLE_SHARE >= dirty;
}
