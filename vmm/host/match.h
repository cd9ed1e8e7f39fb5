/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Finds a text in a stream that comes in pieces (--snapshot-out on_output=TEXT): Knuth, Morris and
 * Pratt's search, a constant amount of memory and two steps a byte at worst, whatever the guest
 * prints.
 *
 * Threads: one user at a time (the serial port's lock).
 */
#ifndef STASIS_VMM_MATCH_H
#define STASIS_VMM_MATCH_H

#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"

#define STASIS_MATCH_MAX 255 /* bytes of text */

/* Private. */
struct stasis_match {
    uint8_t text[STASIS_MATCH_MAX];
    uint8_t border[STASIS_MATCH_MAX]; /* [i]: longest proper border of text[0..i] */
    size_t len;
    size_t at; /* bytes of text that the stream's end agrees with */
};

/* STASIS_ERR_ARG when len is 0 or more than STASIS_MATCH_MAX. The text is copied. */
STASIS_MUST_CHECK int stasis_match_init(struct stasis_match *match, const void *text, size_t len,
                                        struct stasis_error *err);

/* Takes the next bytes of the stream. Returns how many of them belong to the stream up to and with
 * the last byte of the first match (so 1..len), or 0 when no match ends here. After a match the
 * bytes behind it have not been looked at: feed them again to find more. Matches may overlap. */
size_t stasis_match_feed(struct stasis_match *match, const void *bytes, size_t len);

#endif
