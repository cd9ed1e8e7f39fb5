/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "chunk.h"

#include <libdeflate.h>

#include "stasis/bytes.h"
#include "stasis/snap.h"

uint16_t stasis_chunk_page_mask_among(const void *bytes, uint16_t among)
{
    const uint8_t *p = bytes;
    unsigned mask = 0;

    for (size_t page = 0; among >> page; page++)
        if (among >> page & 1 && !stasis_is_zero(p + page * STASIS_PAGE_SIZE, STASIS_PAGE_SIZE))
            mask |= 1u << page;
    return (uint16_t)mask;
}

uint16_t stasis_chunk_page_mask(const void *bytes, size_t len)
{
    return stasis_chunk_page_mask_among(bytes, (uint16_t)((1u << len / STASIS_PAGE_SIZE) - 1));
}

uint32_t stasis_crc32(const void *bytes, size_t len)
{
    return stasis_crc32_more(0, bytes, len);
}

uint32_t stasis_crc32_more(uint32_t crc, const void *bytes, size_t len)
{
    /* zlib's value at three times its speed. For a NULL pointer it gives the start value. */
    return len ? libdeflate_crc32(crc, bytes, len) : crc;
}
