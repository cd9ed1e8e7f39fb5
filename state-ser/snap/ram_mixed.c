/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * MAP of a layer: blocks of 2 MiB of which each chunk is zero, or stored in full in one place, are
 * mapped from the files that have them, and verified behind the guest. All others are left to LAZY,
 * whose threads do both. A page that is stored and does not count may have any content, so a chunk
 * with such a page is not mapped.
 */
#include "ram_internal.h"

#include <errno.h>
#include <stdlib.h>

/* The one place of a chunk that can be mapped; false: it has none. */
static bool place_of(const struct stasis_ram *ram, uint64_t i, struct stasis_snap_extent *ret_place)
{
    uint32_t size = stasis_index_get(&ram->snap->index, i).size;
    struct stasis_index_extents extents;

    stasis_index_get_extents(&ram->snap->index, i, &extents);
    *ret_place = extents.list[0];
    return extents.count == 1 && ret_place->encoding == STASIS_CHUNK_RAW &&
           ret_place->stored_len == size && ret_place->taken_pages == ret_place->stored_pages &&
           ram->snap->files[ret_place->file]->input.fd >= 0;
}

/* Chunks first..end-1 are a block. */
static bool can_map(const struct stasis_ram *ram, uint64_t first, uint64_t end)
{
    const struct stasis_index *index = &ram->snap->index;
    struct stasis_snap_extent place;
    bool can = true;

    for (uint64_t i = stasis_index_zero_end(index, first, end); can && i < end;
         i = stasis_index_zero_end(index, i + 1, end))
        can = place_of(ram, i, &place);
    return can;
}

/* Appends chunk i, or makes the last mapping longer by it; false: there are too many. */
static bool add(struct stasis_ram *ram, uint64_t i, bool new_region)
{
    struct stasis_ram_range *last = ram->mapped_count ? &ram->mapped[ram->mapped_count - 1] : NULL;
    struct stasis_snap_extent place, first;

    (void)place_of(ram, i, &place);
    if (last && last->end == i && !new_region) {
        (void)place_of(ram, last->first, &first);
        if (first.file == place.file &&
            place.offset - first.offset == (i - last->first) * STASIS_CHUNK_SIZE) {
            last->end++;
            return true;
        }
    }
    if (ram->mapped_count == STASIS_RAM_RANGES_MAX)
        return false;
    ram->mapped[ram->mapped_count++] = (struct stasis_ram_range){i, i + 1};
    return true;
}

static bool plan_region(struct stasis_ram *ram, const struct stasis_snap_region *region)
{
    const struct stasis_index *index = &ram->snap->index;
    uint64_t stop = region->first_chunk + stasis_region_chunks(region);
    bool fits = true;

    for (uint64_t first = region->first_chunk; fits && first < stop; first += STASIS_BLOCK_CHUNKS) {
        uint64_t end = stop - first < STASIS_BLOCK_CHUNKS ? stop : first + STASIS_BLOCK_CHUNKS;

        if (!can_map(ram, first, end))
            continue;
        for (uint64_t i = stasis_index_zero_end(index, first, end); fits && i < end;
             i = stasis_index_zero_end(index, i + 1, end))
            fits = add(ram, i, i == region->first_chunk);
    }
    return fits;
}

int stasis_ram_mixed_plan(struct stasis_ram *ram, struct stasis_error *err)
{
    bool fits = true;

    ram->mapped = calloc(STASIS_RAM_RANGES_MAX, sizeof(*ram->mapped));
    if (!ram->mapped)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to plan mappings");
    for (uint32_t r = 0; fits && r < ram->snap->index.region_count; r++)
        fits = plan_region(ram, &ram->snap->index.regions[r]);
    if (!fits)
        ram->mapped_count = 0;
    return 0;
}

bool stasis_ram_is_mapped(const struct stasis_ram *ram, uint64_t first, uint64_t end)
{
    uint64_t i = stasis_index_zero_end(&ram->snap->index, first, end);

    return i < end && stasis_ram_range_in(ram->mapped, ram->mapped_count, i);
}

static int map_range(struct stasis_ram *ram, const struct stasis_ram_range *range,
                     struct stasis_error *err)
{
    struct stasis_snap_extent place;
    const struct stasis_source *source;

    (void)place_of(ram, range->first, &place);
    source = ram->snap->files[place.file];
    /* EWOULDBLOCK: somebody writes to it. A file system without locks has none to give. */
    if (stasis_ram_io_lock(source->input.fd) && errno == EWOULDBLOCK)
        return stasis_fail(err, STASIS_ERR_IO,
                           "%s: another program has locked it to write into it; wait for it, or "
                           "thaw a copy",
                           source->name);
    if (!stasis_ram_io_map(stasis_ram_chunk_host(ram, range->first),
                           stasis_ram_chunks_len(ram, range->first, range->end), source->input.fd,
                           place.offset))
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "%s: mapping RAM", source->name);
}

int stasis_ram_mixed_map(struct stasis_ram *ram, struct stasis_error *err)
{
    int rc = 0;

    for (size_t p = 0; p < ram->mapped_count && !rc; p++) {
        rc = map_range(ram, &ram->mapped[p], err);
        if (rc == STASIS_ERR_UNAVAILABLE && !p &&
            (errno == ENODEV || errno == EACCES || errno == EPERM))
            return 1;
    }
    return rc;
}

int stasis_ram_mixed_verify(struct stasis_ram *ram, uint64_t first, uint64_t end, uint8_t *buf,
                            struct stasis_error *err)
{
    const struct stasis_index *index = &ram->snap->index;
    int rc = 0;

    for (uint64_t i = stasis_index_zero_end(index, first, end); i < end && !rc;
         i = stasis_index_zero_end(index, i + 1, end)) {
        if (atomic_load(&ram->done[i]))
            continue;
        rc = atomic_load(&ram->stop) ? STASIS_ERR_CANCELLED
                                     : stasis_snap_read_chunks(ram->snap, i, i + 1, buf, err);
        if (!rc && stasis_ram_set_done(ram, i, STASIS_RAM_DONE))
            atomic_fetch_add(&ram->verified, stasis_index_get(index, i).size);
    }
    return rc;
}
