/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How far a long piece of work on RAM is, on standard error if that is a terminal; nothing of it
 * elsewhere: "saving: 123 of 512 MiB (24 %), 900 MiB/s, 1 s left"; "reading: 123 MiB, 900 MiB/s"
 * where the whole is not known.
 */
#ifndef STASIS_COMMON_PROGRESS_H
#define STASIS_COMMON_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct stasis_progress {
    const char *what; /* "verifying" */
    bool terminal;
    uint64_t start_ms;
    uint64_t shown_ms; /* when the line was last written */
    int width;         /* of the longest line written */
};

void stasis_progress_init(struct stasis_progress *progress, const char *what);

/* As the engine calls it: `ctx` is the progress; done and total are bytes (0 in all: not known).
 * Always true: go on. */
bool stasis_progress_show(void *ctx, uint64_t done, uint64_t total);

/* Takes the line away. */
void stasis_progress_clear(struct stasis_progress *progress);

/* Takes away whatever line is shown, for text that is about to be printed; work that lasts shows
 * it again. */
void stasis_progress_hide(void);

#endif
