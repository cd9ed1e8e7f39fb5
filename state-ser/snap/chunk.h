/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is asked of the bytes of a chunk.
 */
#ifndef STASIS_SNAP_CHUNK_H
#define STASIS_SNAP_CHUNK_H

#include <stddef.h>
#include <stdint.h>

/* Bit n: page n is not zero. The second one looks at the pages of `among` only, and touches no
 * other. `len` is a multiple of the page size, at most one chunk. */
uint16_t stasis_chunk_page_mask(const void *bytes, size_t len);
uint16_t stasis_chunk_page_mask_among(const void *bytes, uint16_t among);

/* CRC-32 as in zlib, PNG and Ethernet: the check value of "123456789" is 0xcbf43926. */
uint32_t stasis_crc32(const void *bytes, size_t len);
uint32_t stasis_crc32_more(uint32_t crc, const void *bytes, size_t len);

#endif
