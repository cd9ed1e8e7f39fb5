/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/picture.h"

#include "tools/guest_ram.h"

const char *const stasis_picture_kind_names[STASIS_PICTURE_KINDS] = {"zero", "stored",
                                                                     "compressed"};

/* Of chunk i. */
static enum stasis_picture_kind kind_of(const struct stasis_snap *snap, uint64_t i,
                                        const struct stasis_snap_chunk *chunk)
{
    if (!chunk->stored_len)
        return STASIS_PICTURE_ZERO;
    return stasis_inspect_chunk_is_compressed(snap, i) ? STASIS_PICTURE_COMPRESSED
                                                       : STASIS_PICTURE_STORED;
}

static unsigned pages_not_zero(const struct stasis_snap_chunk *chunk)
{
    return (unsigned)__builtin_popcount(chunk->page_mask);
}

/* Chunks [first, end) of the region, all zero. */
static void count_zeros(const struct stasis_snap_region *region, uint64_t first, uint64_t end,
                        struct stasis_picture_tally *tally)
{
    uint64_t from = (first - region->first_chunk) * STASIS_CHUNK_SIZE;
    uint64_t to = (end - region->first_chunk) * STASIS_CHUNK_SIZE;

    tally->chunks += end - first;
    tally->bytes += (to < region->size ? to : region->size) - from;
}

static void count_chunk(const struct stasis_snap *snap, uint64_t i,
                        struct stasis_picture_tally tallies[STASIS_PICTURE_KINDS])
{
    struct stasis_snap_chunk chunk = stasis_snap_chunk_at(snap, i);
    struct stasis_picture_tally *tally = &tallies[kind_of(snap, i, &chunk)];

    tally->chunks++;
    tally->bytes += chunk.size;
    tally->in_file += chunk.stored_len;
    tally->not_zero += pages_not_zero(&chunk);
}

static uint64_t chunks_of(const struct stasis_snap *snap, uint32_t region)
{
    return (stasis_snap_region_at(snap, region).size + STASIS_CHUNK_SIZE - 1) / STASIS_CHUNK_SIZE;
}

void stasis_picture_count(const struct stasis_snap *snap,
                          struct stasis_picture_tally ret_tallies[STASIS_PICTURE_KINDS])
{
    for (unsigned kind = 0; kind < STASIS_PICTURE_KINDS; kind++)
        ret_tallies[kind] = (struct stasis_picture_tally){0};
    for (uint32_t n = 0; n < stasis_snap_region_count(snap); n++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, n);
        uint64_t i = region.first_chunk, end = i + chunks_of(snap, n);

        while (i < end) {
            uint64_t stored = stasis_snap_zero_end(snap, i, end);

            if (stored > i)
                count_zeros(&region, i, stored, &ret_tallies[STASIS_PICTURE_ZERO]);
            else
                count_chunk(snap, stored++, ret_tallies);
            i = stored;
        }
    }
}

uint64_t stasis_picture_grid_cells(const struct stasis_picture_grid *grid, uint32_t region)
{
    return (chunks_of(grid->snap, region) + grid->cell_chunks - 1) / grid->cell_chunks;
}

static uint64_t count_rows(const struct stasis_picture_grid *grid)
{
    uint64_t rows = 0;

    for (uint32_t i = 0; i < stasis_snap_region_count(grid->snap); i++)
        rows += (stasis_picture_grid_cells(grid, i) + grid->columns - 1) / grid->columns;
    return rows;
}

struct stasis_picture_grid stasis_picture_grid_fit(const struct stasis_snap *snap, unsigned columns,
                                                   uint64_t rows)
{
    struct stasis_picture_grid grid = {snap, columns, 1};

    if (rows < stasis_snap_region_count(snap))
        rows = stasis_snap_region_count(snap);
    while (count_rows(&grid) > rows)
        grid.cell_chunks *= 2;
    return grid;
}

struct stasis_picture_cell stasis_picture_grid_cell(const struct stasis_picture_grid *grid,
                                                    uint32_t region, uint64_t cell)
{
    uint64_t first = cell * grid->cell_chunks;
    uint64_t end = first + grid->cell_chunks;
    struct stasis_snap_region place = stasis_snap_region_at(grid->snap, region);
    uint64_t not_zero[STASIS_PICTURE_KINDS] = {0};
    uint64_t pages, used;

    if (end > chunks_of(grid->snap, region))
        end = chunks_of(grid->snap, region);
    pages = ((end * STASIS_CHUNK_SIZE < place.size ? end * STASIS_CHUNK_SIZE : place.size) -
             first * STASIS_CHUNK_SIZE) /
            STASIS_PAGE_SIZE;
    first += place.first_chunk;
    end += place.first_chunk;
    for (uint64_t i = stasis_snap_zero_end(grid->snap, first, end); i < end;
         i = stasis_snap_zero_end(grid->snap, i + 1, end)) {
        struct stasis_snap_chunk chunk = stasis_snap_chunk_at(grid->snap, i);

        not_zero[kind_of(grid->snap, i, &chunk)] += pages_not_zero(&chunk);
    }
    used = not_zero[STASIS_PICTURE_STORED] + not_zero[STASIS_PICTURE_COMPRESSED];
    if (!used)
        return (struct stasis_picture_cell){STASIS_PICTURE_ZERO, 0};
    return (struct stasis_picture_cell){not_zero[STASIS_PICTURE_COMPRESSED] >
                                                not_zero[STASIS_PICTURE_STORED]
                                            ? STASIS_PICTURE_COMPRESSED
                                            : STASIS_PICTURE_STORED,
                                        (unsigned)((4 * used + pages - 1) / pages)};
}
