/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Standard output and standard error of a program that reports what it could not write.
 */
#ifndef STASIS_TOOLS_STREAMS_H
#define STASIS_TOOLS_STREAMS_H

#include <stdio.h>

#include "stasis/error.h"

/* Standard output with its first error kept; everything after that error is thrown away. */
struct stasis_inspect_output {
    FILE *file;
    int os_errno;
};

/* Once, first thing in main(). Closed standard descriptors are filled (common/streams.h). A file
 * size limit becomes an error of the write. SIGPIPE is left as it is: a reader that has had enough
 * ends us without a word. STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_inspect_streams(struct stasis_error *err);

/* STASIS_ERR_NOMEM. *ret_output must stay where it is until it is closed. */
STASIS_MUST_CHECK int stasis_inspect_output_open(struct stasis_inspect_output *ret_output,
                                                 struct stasis_error *err);

/* Writes what is still held and says whether all was written. STASIS_ERR_WRITE. */
STASIS_MUST_CHECK int stasis_inspect_output_close(struct stasis_inspect_output *output,
                                                  struct stasis_error *err);

/* Prints an error as one line that ends with `what`, where the command continues without it. */
void stasis_inspect_note(const char *what, const struct stasis_error *err);

/* Prints an error as one line and returns its exit status. */
int stasis_inspect_say(const struct stasis_error *err);

#endif
