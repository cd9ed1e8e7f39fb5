/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/guest_ram.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* 16 MiB: the page tables of a guest lie in a few places. */
#define SLOTS 256u

struct stasis_inspect_ram_slot {
    uint64_t number; /* of the chunk, plus 1; 0: empty */
    uint8_t bytes[STASIS_CHUNK_SIZE];
};

bool stasis_inspect_ram_region(const struct stasis_snap *snap, uint64_t gpa,
                               struct stasis_snap_region *ret_region)
{
    for (uint32_t i = 0; i < stasis_snap_region_count(snap); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, i);

        if (gpa >= region.gpa && gpa - region.gpa < region.size) {
            *ret_region = region;
            return true;
        }
    }
    return false;
}

uint64_t stasis_inspect_ram_zero_end(const struct stasis_snap *snap, uint64_t gpa)
{
    struct stasis_snap_region region;
    uint64_t number, end;

    if (!stasis_inspect_ram_region(snap, gpa, &region))
        return gpa;
    number = (gpa - region.gpa) / STASIS_CHUNK_SIZE;
    end = (region.size + STASIS_CHUNK_SIZE - 1) / STASIS_CHUNK_SIZE;
    end = stasis_snap_zero_end(snap, region.first_chunk + number, region.first_chunk + end) -
          region.first_chunk;
    if (end == number)
        return gpa;
    return end * STASIS_CHUNK_SIZE < region.size ? region.gpa + end * STASIS_CHUNK_SIZE
                                                 : region.gpa + region.size;
}

bool stasis_inspect_ram_find(const struct stasis_snap *snap, uint64_t gpa, uint64_t *ret_chunk)
{
    struct stasis_snap_region region;

    if (!stasis_inspect_ram_region(snap, gpa, &region))
        return false;
    *ret_chunk = region.first_chunk + (gpa - region.gpa) / STASIS_CHUNK_SIZE;
    return true;
}

uint64_t stasis_inspect_ram_extent(const struct stasis_snap *snap, uint64_t gpa, uint64_t len)
{
    struct stasis_snap_region region;
    uint64_t done = 0;

    /* Regions may touch; they end below 2^53, so nothing overflows. */
    while (done < len && stasis_inspect_ram_region(snap, gpa + done, &region))
        done = region.gpa + region.size - gpa;
    return done < len ? done : len;
}

int stasis_inspect_ram_init(struct stasis_inspect_ram *ram, const struct stasis_snap *snap,
                            struct stasis_error *err)
{
    struct stasis_inspect_ram_slot *slots = calloc(SLOTS, sizeof(*slots));

    if (!slots)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to read RAM");
    *ram = (struct stasis_inspect_ram){snap, slots};
    return 0;
}

void stasis_inspect_ram_fini(struct stasis_inspect_ram *ram)
{
    free(ram->slots);
    ram->slots = NULL;
}

static int get_chunk(struct stasis_inspect_ram *ram, uint64_t chunk, const uint8_t **ret_bytes,
                     struct stasis_error *err)
{
    struct stasis_inspect_ram_slot *slot = &ram->slots[chunk % SLOTS];
    int rc;

    if (slot->number != chunk + 1) {
        slot->number = 0;
        rc = stasis_snap_read_chunk(ram->snap, chunk, slot->bytes, err);
        if (rc)
            return rc;
        slot->number = chunk + 1;
    }
    *ret_bytes = slot->bytes;
    return 0;
}

int stasis_inspect_ram_read(struct stasis_inspect_ram *ram, uint64_t gpa, void *bytes, size_t len,
                            struct stasis_error *err)
{
    uint8_t *to = bytes;

    while (len) {
        const uint8_t *from;
        uint64_t number;
        int rc;

        if (!stasis_inspect_ram_find(ram->snap, gpa, &number))
            return stasis_fail(err, STASIS_ERR_NOT_FOUND, "no RAM at 0x%" PRIx64, gpa);
        rc = get_chunk(ram, number, &from, err);
        if (rc)
            return rc;
        struct stasis_snap_chunk chunk = stasis_snap_chunk_at(ram->snap, number);
        uint64_t at = gpa - chunk.gpa;
        size_t step = chunk.size - at < len ? (size_t)(chunk.size - at) : len;

        memcpy(to, from + at, step);
        to += step;
        gpa += step;
        len -= step;
    }
    return 0;
}

bool stasis_inspect_chunk_is_compressed(const struct stasis_snap *snap, uint64_t chunk)
{
    uint32_t count = stasis_snap_extent_count(snap, chunk);
    uint32_t k = 0;

    while (k < count && stasis_snap_extent_at(snap, chunk, k).encoding != STASIS_CHUNK_ZLIB)
        k++;
    return k < count;
}

bool stasis_inspect_is_compressed(const struct stasis_snap *snap)
{
    uint64_t count = stasis_snap_chunk_count(snap);

    for (uint64_t i = stasis_snap_zero_end(snap, 0, count); i < count;
         i = stasis_snap_zero_end(snap, i + 1, count)) {
        if (stasis_inspect_chunk_is_compressed(snap, i))
            return true;
    }
    return false;
}
