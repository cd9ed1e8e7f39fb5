/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the two pictures of `memory` have in common: that of one snapshot, and that of what changed
 * from one to another.
 */
#ifndef STASIS_TOOLS_CMD_MEMORY_H
#define STASIS_TOOLS_CMD_MEMORY_H

#include "tools/inspect.h"

enum { STASIS_MEMORY_SVG }; /* options */

/* "0x" and 13 digits: an address is below 2^52. */
#define STASIS_MEMORY_ADDRESS_WIDTH 15
#define STASIS_MEMORY_ROWS          24

/* What the environment asks for: block characters, and cells in a row. */
bool stasis_memory_draws_utf8(void);
unsigned stasis_memory_columns(void);

/* What the levels 1 to 4 of a cell of so many bytes stand for: "- to 16 KiB, + to 32 KiB, ...". */
void stasis_memory_put_shades(const char *const levels[5], uint64_t cell, FILE *out);

/* `memory A B`. */
STASIS_MUST_CHECK int stasis_memory_compare(const struct stasis_inspect_args *args, FILE *out,
                                            struct stasis_error *err);

#endif
