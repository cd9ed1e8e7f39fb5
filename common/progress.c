/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "common/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS 100  /* a terminal that is written to more often slows the work down */
#define ESTIMATE_MS 1000 /* the first moments say nothing about the rest */
#define MIB         (UINT64_C(1) << 20)

/* Of the line on the terminal, of which there is one; 0: none. */
static int shown_width;

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void stasis_progress_init(struct stasis_progress *progress, const char *what)
{
    *progress = (struct stasis_progress){
        .what = what, .terminal = isatty(STDERR_FILENO), .start_ms = now_ms()};
}

/* The rate and what it promises; nothing while there is too little to go by. */
static void format_rate(char *buf, size_t size, uint64_t ms, uint64_t done, uint64_t total)
{
    uint64_t rate = ms ? done * 1000 / ms : 0; /* done is below 2^42 */

    buf[0] = '\0';
    if (ms < ESTIMATE_MS || rate < MIB)
        return;
    if (total)
        snprintf(buf, size, ", %" PRIu64 " MiB/s, %" PRIu64 " s left", rate / MIB,
                 (total - done + rate - 1) / rate);
    else
        snprintf(buf, size, ", %" PRIu64 " MiB/s", rate / MIB);
}

/* "123 of 512 MiB (24 %)", or "123 MiB". */
static void format_part(char *buf, size_t size, uint64_t done, uint64_t total)
{
    if (total)
        snprintf(buf, size, "%" PRIu64 " of %" PRIu64 " MiB (%" PRIu64 " %%)", done / MIB,
                 total / MIB, done * 100 / total);
    else
        snprintf(buf, size, "%" PRIu64 " MiB", done / MIB);
}

bool stasis_progress_show(void *ctx, uint64_t done, uint64_t total)
{
    struct stasis_progress *progress = ctx;
    uint64_t now = now_ms();
    char part[96], rate[64], line[192];
    int len;

    if (!progress->terminal || ((!total || done < total) && now - progress->shown_ms < INTERVAL_MS))
        return true;
    progress->shown_ms = now;
    format_rate(rate, sizeof(rate), now - progress->start_ms, done, total);
    format_part(part, sizeof(part), done, total);
    len = snprintf(line, sizeof(line), "%s: %s%s", progress->what, part, rate);
    if (len > progress->width)
        progress->width = len;
    fprintf(stderr, "\r%-*s", progress->width, line);
    fflush(stderr);
    shown_width = progress->width;
    return true;
}

void stasis_progress_hide(void)
{
    if (!shown_width)
        return;
    fprintf(stderr, "\r%*s\r", shown_width, "");
    fflush(stderr);
    shown_width = 0;
}

void stasis_progress_clear(struct stasis_progress *progress)
{
    if (progress->width)
        stasis_progress_hide();
}
