/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How far something is, on standard error if that is a terminal; nothing of it elsewhere.
 */
#ifndef STASIS_TOOLS_PROGRESS_H
#define STASIS_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct stasis_progress {
    const char *what; /* "verifying" */
    unsigned percent; /* shown last */
    bool terminal;
};

void stasis_progress_init(struct stasis_progress *progress, const char *what);

/* As stasis_snap_verify() calls it: `ctx` is the progress, done and total are at most 2^42. */
void stasis_progress_show(void *ctx, uint64_t done, uint64_t total);

/* Takes the line away. */
void stasis_progress_clear(const struct stasis_progress *progress);

#endif
