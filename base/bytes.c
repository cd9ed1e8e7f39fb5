/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/bytes.h"

#include <stdint.h>
#include <string.h>

bool stasis_is_zero(const void *bytes, size_t len)
{
    static const uint8_t zeros[16];
    const uint8_t *p = bytes;

    /* If the head is zero and all equals itself 16 bytes on, all is zero: memcmp is the fastest
     * loop there is. Pages that hold something mostly do so in the head. */
    if (len <= sizeof(zeros))
        return !memcmp(p, zeros, len);
    return !memcmp(p, zeros, sizeof(zeros)) && !memcmp(p, p + sizeof(zeros), len - sizeof(zeros));
}
