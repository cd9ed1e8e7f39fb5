/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory that the guest gives back reads as zero from then on. Anonymous memory loses its pages; a
 * piece of a mapped file becomes anonymous memory, since MADV_DONTNEED would bring the file's bytes
 * back; and pages that LAZY has not loaded, or that would be asked for again while they are
 * watched, are marked: who puts a chunk in place leaves them zero.
 */
#include "ram_internal.h"

#include <inttypes.h>
#include <string.h>

/* Pieces of MAP that are replaced: each makes two mappings more, at most. */
#define REPLACED_MAX 8192u

static unsigned all_pages(const struct stasis_snap_chunk *chunk)
{
    return (1u << chunk->size / STASIS_PAGE_SIZE) - 1;
}

bool stasis_ram_is_taken(struct stasis_ram *ram, uint64_t i)
{
    struct stasis_snap_chunk chunk = stasis_index_get(&ram->snap->index, i);
    bool is_taken;

    pthread_mutex_lock(&ram->place_lock);
    is_taken = ram->taken[i] == all_pages(&chunk);
    pthread_mutex_unlock(&ram->place_lock);
    return is_taken;
}

bool stasis_ram_has_taken(const struct stasis_ram *ram, uint64_t first, uint64_t end)
{
    bool has = false;

    for (uint64_t i = first; !has && i < end; i++)
        has = ram->taken[i];
    return has;
}

/* Pages first..end-1 of a region, by chunk. A chunk of which nothing is left is loaded. */
static void mark(struct stasis_ram *ram, const struct stasis_snap_region *region, uint64_t first,
                 uint64_t end)
{
    const uint64_t per_chunk = STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE;

    while (first < end) {
        uint64_t i = region->first_chunk + first / per_chunk;
        uint64_t next =
            (first / per_chunk + 1) * per_chunk < end ? (first / per_chunk + 1) * per_chunk : end;
        struct stasis_snap_chunk chunk = stasis_index_get(&ram->snap->index, i);
        unsigned pages = ((1u << (next - first)) - 1) << first % per_chunk;

        ram->taken[i] = (uint16_t)(ram->taken[i] | pages);
        if (ram->taken[i] == all_pages(&chunk))
            stasis_ram_loaded(ram, i, STASIS_RAM_DONE);
        first = next;
    }
}

/* False: zeros are to be written. */
static bool give_back(struct stasis_ram *ram, uint8_t *host, size_t len)
{
    if (!stasis_ram_io_discard(host, len))
        return true;
    if (stasis_ram_mode(ram) != STASIS_RAM_MAP || ram->replaced == REPLACED_MAX)
        return false;
    ram->replaced++;
    return !stasis_ram_io_replace(host, len);
}

/* Blocks of a layer's memory differ: in one that is mapped a piece becomes another mapping, and one
 * that is watched must stay what it is. So each goes for itself. */
static bool give_back_all(struct stasis_ram *ram, uint8_t *host, uint64_t offset, uint64_t len)
{
    bool all = true;

    while (len) {
        uint64_t step = STASIS_HUGE_PAGE - offset % STASIS_HUGE_PAGE;

        if (!ram->mapped_count || step > len)
            step = len;
        all &= give_back(ram, host, (size_t)step);
        host += step;
        offset += step;
        len -= step;
    }
    return all;
}

/* The region that all of it is in, or NULL. */
static const struct stasis_snap_region *region_of(const struct stasis_ram *ram, const uint8_t *host,
                                                  uint64_t len, uint64_t *ret_offset)
{
    for (uint32_t r = 0; r < ram->snap->index.region_count; r++) {
        const struct stasis_snap_region *region = &ram->snap->index.regions[r];
        uint64_t offset = (uintptr_t)host - (uintptr_t)ram->host[r];

        if (offset < region->size && len <= region->size - offset) {
            *ret_offset = offset;
            return region;
        }
    }
    return NULL;
}

int stasis_ram_discard(struct stasis_ram *ram, void *host, uint64_t len, struct stasis_error *err)
{
    uint64_t offset = 0;
    const struct stasis_snap_region *region = region_of(ram, host, len, &offset);
    bool is_back;

    if (!region || !len || offset % STASIS_PAGE_SIZE || len % STASIS_PAGE_SIZE)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "0x%" PRIx64 " bytes of memory to give back are not whole pages of one "
                           "region",
                           len);
    pthread_mutex_lock(&ram->place_lock);
    if (ram->taken)
        mark(ram, region, offset / STASIS_PAGE_SIZE, (offset + len) / STASIS_PAGE_SIZE);
    is_back = give_back_all(ram, host, offset, len);
    pthread_mutex_unlock(&ram->place_lock);
    if (!is_back)
        memset(host, 0, (size_t)len);
    return 0;
}
