/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Little-endian integers at byte addresses; compilers turn each into one load or store.
 */
#ifndef STASIS_SNAP_LE_H
#define STASIS_SNAP_LE_H

#include <stdint.h>

static inline void stasis_le16_put(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void stasis_le32_put(uint8_t *p, uint32_t v)
{
    stasis_le16_put(p, (uint16_t)v);
    stasis_le16_put(p + 2, (uint16_t)(v >> 16));
}

static inline void stasis_le64_put(uint8_t *p, uint64_t v)
{
    stasis_le32_put(p, (uint32_t)v);
    stasis_le32_put(p + 4, (uint32_t)(v >> 32));
}

static inline uint16_t stasis_le16_get(const uint8_t *p)
{
    return (uint16_t)(p[0] | (unsigned)p[1] << 8);
}

static inline uint32_t stasis_le32_get(const uint8_t *p)
{
    return stasis_le16_get(p) | (uint32_t)stasis_le16_get(p + 2) << 16;
}

static inline uint64_t stasis_le64_get(const uint8_t *p)
{
    return stasis_le32_get(p) | (uint64_t)stasis_le32_get(p + 4) << 32;
}

#endif
