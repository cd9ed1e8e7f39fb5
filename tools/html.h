/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Text for HTML. Whatever comes from a file goes through stasis_html_text(), and through nothing
 * else.
 */
#ifndef STASIS_TOOLS_HTML_H
#define STASIS_TOOLS_HTML_H

#include <stdio.h>

#include "stasis/output.h"

/* A stream that writes to `out` what is written to it, with & < > " and ' escaped. fclose() leaves
 * `out` open; what cannot be written is an error of `out`, too. NULL: no memory. */
FILE *stasis_html_text(FILE *out);

/* Bytes for an output, one behind the other. */
struct stasis_html_file {
    struct stasis_output *output;
    uint64_t len;            /* written so far */
    struct stasis_error err; /* of the first write that failed */
};

/* A stream that writes to file->output from its start. fclose() leaves that open; if it, or a
 * write, fails, file->err says why. NULL: no memory. */
FILE *stasis_html_open(struct stasis_html_file *file);

#endif
