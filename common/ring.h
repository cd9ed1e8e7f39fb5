/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The format of a ring file, which keeps the newest bytes of a serial port's output: 128 bytes of
 * header and `size` bytes of data. The header is text, its numbers decimal with 20 digits, its end
 * filled with spaces and a last newline:
 *     "STASIS-RING 1\n" "size 00000000000001048576\n" "total 00000000000000000042\n" ...
 * `total` counts the bytes ever written to it; byte number n of the output (from 0) is at data
 * offset n % size. So the file holds bytes total - min(total, size) .. total - 1: when total <=
 * size, data[0, total), else data[total % size, size) followed by data[0, total % size). `size` is
 * at least 1; a reader checks that the file is 128 + size bytes long. The header is written after
 * the data: a crash between the two can spoil the oldest bytes, never the newest.
 */
#ifndef STASIS_COMMON_RING_H
#define STASIS_COMMON_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "stasis/error.h"

#define STASIS_RING_HEADER_LEN 128
#define STASIS_RING_SIZE_MAX   (UINT64_C(1) << 40)

struct stasis_ring {
    uint64_t size;
    uint64_t total;
};

void stasis_ring_header_write(const struct stasis_ring *ring,
                              uint8_t ret_header[STASIS_RING_HEADER_LEN]);

/* False unless the header is to the byte what would be written for its two numbers. The size may be
 * any number. */
STASIS_MUST_CHECK bool stasis_ring_header_read(const uint8_t header[STASIS_RING_HEADER_LEN],
                                               struct stasis_ring *ret_ring);

/* The number of the oldest byte that the ring holds. */
uint64_t stasis_ring_oldest(const struct stasis_ring *ring);

/* Where in the file byte n of the output lies, and how many bytes there are from there to the end
 * of the file. */
uint64_t stasis_ring_offset(const struct stasis_ring *ring, uint64_t n, uint64_t *ret_room);

#endif
