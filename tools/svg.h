/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Text in SVG. Strings may come from hostile files.
 */
#ifndef STASIS_TOOLS_SVG_H
#define STASIS_TOOLS_SVG_H

#include "tools/inspect.h"

/* Writes any text: as stasis_text_put() does, and as XML and HTML have that. */
void stasis_svg_put(FILE *out, const char *text);

/* Makes the file that --svg names of what `draw` writes. */
STASIS_MUST_CHECK int stasis_svg_write(struct stasis_outputs *outputs, const char *path,
                                       void (*draw)(const void *what, FILE *out), const void *what,
                                       struct stasis_error *err);

#endif
