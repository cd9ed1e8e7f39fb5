/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is to be known of JSON before and beside its parser, from the text alone.
 */
#ifndef STASIS_VMM_JSON_TEXT_H
#define STASIS_VMM_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Deeper than any configuration or message is; a parser may recurse that often. */
#define STASIS_JSON_TEXT_DEPTH_MAX 16

/* Whether brackets outside strings are nested deeper than that. What is no JSON is the parser's to
 * tell. */
bool stasis_json_text_is_deep(const char *text, size_t len);

/* Writes the path of the member whose name ends at byte `len` of JSON that is not too deep:
 * "snapshot.notes[1]". Cut to `size`. */
void stasis_json_text_path(const char *text, size_t len, char *ret_path, size_t size);

#endif
