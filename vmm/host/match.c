/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/match.h"

#include <string.h>

/* How much of text agrees with the stream after one more byte, when `at` bytes agreed before. */
static size_t advance(const struct stasis_match *match, size_t at, uint8_t byte)
{
    while (at && match->text[at] != byte)
        at = match->border[at - 1];
    return match->text[at] == byte ? at + 1 : 0;
}

int stasis_match_init(struct stasis_match *match, const void *text, size_t len,
                      struct stasis_error *err)
{
    if (!len || len > STASIS_MATCH_MAX)
        return stasis_fail(err, STASIS_ERR_ARG, "a text of %zu bytes to wait for: give 1 to %d",
                           len, STASIS_MATCH_MAX);
    memset(match, 0, sizeof(*match));
    memcpy(match->text, text, len);
    match->len = len;
    for (size_t i = 1; i < len; i++)
        match->border[i] = (uint8_t)advance(match, match->border[i - 1], match->text[i]);
    return 0;
}

size_t stasis_match_feed(struct stasis_match *match, const void *bytes, size_t len)
{
    const uint8_t *byte = bytes;

    for (size_t i = 0; i < len; i++) {
        match->at = advance(match, match->at, byte[i]);
        if (match->at == match->len) {
            match->at = match->border[match->len - 1];
            return i + 1;
        }
    }
    return 0;
}
