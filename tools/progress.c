/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/progress.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NUMBER_WIDTH 7 /* ": 100 %" */

void stasis_progress_init(struct stasis_progress *progress, const char *what)
{
    *progress = (struct stasis_progress){what, UINT_MAX, isatty(STDERR_FILENO)};
}

void stasis_progress_show(void *ctx, uint64_t done, uint64_t total)
{
    struct stasis_progress *progress = ctx;
    unsigned percent = total ? (unsigned)(done * 100 / total) : 100;

    if (!progress->terminal || percent == progress->percent)
        return;
    progress->percent = percent;
    fprintf(stderr, "\r%s: %3u %%", progress->what, percent);
    fflush(stderr);
}

void stasis_progress_clear(const struct stasis_progress *progress)
{
    if (!progress->terminal)
        return;
    fprintf(stderr, "\r%*s\r", (int)strlen(progress->what) + NUMBER_WIDTH, "");
    fflush(stderr);
}
