/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Arguments of the form `key=value,key=value`.
 *
 * A value runs to the next comma, unless it begins with a quote: then it runs to the closing quote,
 * commas and all. In double quotes \" and \\ stand for " and \; every other byte, and all between
 * single quotes, stands for itself. Quotes and backslashes elsewhere in a value are ordinary, so
 * that a kernel command line can be given as it is. An item without `=` before its comma is a
 * value whose key is left out.
 */
#ifndef STASIS_VMM_KEYVAL_H
#define STASIS_VMM_KEYVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "stasis/error.h"

struct stasis_keyval {
    const char *key; /* NULL when left out; never empty */
    const char *value;
};

/* Takes the next item off *text, which is changed in place (the result points into it). Returns 1,
 * 0 at the end (*ret_item is then untouched), or STASIS_ERR_ARG for an unclosed quote, something
 * behind a closing quote, or an empty item; the message does not name the option. Start with *text
 * at the argument; a text is at its end after its last item, and an empty one from the start. */
STASIS_MUST_CHECK int stasis_keyval_next(char **text, struct stasis_keyval *ret_item,
                                         struct stasis_error *err);

#endif
