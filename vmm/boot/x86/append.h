/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A buffer that is appended to. Running out of room is sticky: it sets `overflow`, and later calls
 * do nothing, so that a writer looks once, at its end.
 */
#ifndef STASIS_VMM_BOOT_X86_APPEND_H
#define STASIS_VMM_BOOT_X86_APPEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct stasis_append {
    uint8_t *bytes; /* the caller's */
    size_t size;
    size_t len;
    bool overflow;
};

static inline void stasis_append_put(struct stasis_append *to, const void *bytes, size_t len)
{
    if (len > to->size - to->len)
        to->overflow = true;
    if (to->overflow)
        return;
    memcpy(to->bytes + to->len, bytes, len);
    to->len += len;
}

#endif
