/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "common/ring.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT   "STASIS-RING 1\nsize %020" PRIu64 "\ntotal %020" PRIu64 "\n"
#define SIZE_AT  19 /* where the digits begin */
#define TOTAL_AT 46

void stasis_ring_header_write(const struct stasis_ring *ring,
                              uint8_t ret_header[STASIS_RING_HEADER_LEN])
{
    int used =
        snprintf((char *)ret_header, STASIS_RING_HEADER_LEN, FORMAT, ring->size, ring->total);

    memset(ret_header + used, ' ', STASIS_RING_HEADER_LEN - 1 - (size_t)used);
    ret_header[STASIS_RING_HEADER_LEN - 1] = '\n';
}

/* Only the numbers are read; the header is made anew from them and compared, so that nothing else
 * passes for a ring. */
bool stasis_ring_header_read(const uint8_t header[STASIS_RING_HEADER_LEN],
                             struct stasis_ring *ret_ring)
{
    char text[STASIS_RING_HEADER_LEN + 1] = {0};
    uint8_t expected[STASIS_RING_HEADER_LEN];
    struct stasis_ring ring;

    memcpy(text, header, STASIS_RING_HEADER_LEN);
    ring.size = strtoull(text + SIZE_AT, NULL, 10);
    ring.total = strtoull(text + TOTAL_AT, NULL, 10);
    stasis_ring_header_write(&ring, expected);
    if (memcmp(header, expected, sizeof(expected)) != 0)
        return false;
    *ret_ring = ring;
    return true;
}

uint64_t stasis_ring_oldest(const struct stasis_ring *ring)
{
    return ring->total < ring->size ? 0 : ring->total - ring->size;
}

uint64_t stasis_ring_offset(const struct stasis_ring *ring, uint64_t n, uint64_t *ret_room)
{
    uint64_t at = n % ring->size;

    *ret_room = ring->size - at;
    return STASIS_RING_HEADER_LEN + at;
}
