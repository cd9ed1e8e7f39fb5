/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every CRC and every invariant. Opening checks header, index and state; the rest is RAM, sections
 * that this release does not know, and the bytes that nothing owns.
 */
#include <inttypes.h>
#include <limits.h>
#include <unistd.h>

#include "tools/inspect.h"
#include "tools/text.h"

/* A new line of progress only when the number on it changes. */
struct progress {
    unsigned percent;
};

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct progress *progress = ctx;
    unsigned percent = total ? (unsigned)(done * 100 / total) : 100; /* RAM is at most 2^42 bytes */

    if (percent == progress->percent)
        return;
    progress->percent = percent;
    fprintf(stderr, "\rverifying: %3u %%", percent);
    fflush(stderr);
}

static void clear_progress(void)
{
    fputs("\r                \r", stderr);
    fflush(stderr);
}

static int check(struct stasis_snap *snap, struct stasis_error *err)
{
    struct progress progress = {.percent = UINT_MAX};
    bool terminal = isatty(STDERR_FILENO);
    int rc = stasis_snap_verify(snap, 0, terminal ? show_progress : NULL, &progress, err);

    if (terminal)
        clear_progress();
    return rc;
}

static void report(FILE *out, const char *file, struct stasis_snap *snap)
{
    const struct stasis_snap_info *info = stasis_snap_info(snap);
    uint64_t chunks = stasis_snap_chunk_count(snap);
    uint64_t stored = 0;

    for (uint64_t i = 0; i < chunks; i++)
        stored += stasis_snap_chunk_at(snap, i).kind == STASIS_CHUNK_RAW;
    stasis_text_put(out, file);
    fprintf(out,
            ": whole; checked header, state (records %zu), index (chunks %" PRIu64
            "), data (chunks stored %" PRIu64 ", bytes %" PRIu64 ") and padding: %" PRIu64
            " bytes in all\n",
            stasis_records_count(stasis_snap_records(snap)), chunks, stored, info->stored_bytes,
            info->file_len);
}

int stasis_inspect_verify(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc = stasis_inspect_open(args->operands[0], &snap, err);

    if (rc)
        return rc;
    rc = check(snap, err);
    if (!rc)
        report(out, args->operands[0], snap);
    stasis_snap_free(snap);
    return rc;
}
