/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A save's work on many threads: only where there is something to do, telling the progress, and
 * ended by it.
 */
#include <stdlib.h>

#include "pool.h"
#include "write.h"

int stasis_writer_check(const struct stasis_writer *w, struct stasis_error *err)
{
    return atomic_load(&w->cancelled) ? stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled") : 0;
}

/* `part` of `whole` is done of what has `share`; of nothing, all is. */
static bool tell(struct stasis_writer *w, unsigned share, uint64_t part, uint64_t whole)
{
    uint64_t total = w->index.ram_bytes;
    double here = whole ? (double)part / (double)whole : 1;
    uint64_t done =
        (uint64_t)(((double)w->shares_done + here * share) / STASIS_SHARES * (double)total);

    if (done < w->told) /* between two steps nobody counts what is done of a share */
        done = w->told;
    w->told = done;
    if (!w->opts.progress(w->opts.ctx, done, total))
        atomic_store(&w->cancelled, true);
    return !atomic_load(&w->cancelled);
}

int stasis_writer_tell(struct stasis_writer *w, struct stasis_error *err)
{
    if (w->opts.progress)
        (void)tell(w, 0, 0, 1);
    return stasis_writer_check(w, err);
}

bool stasis_writer_keeps_on(void *ctx)
{
    struct stasis_writer *w = ctx;

    if (pthread_equal(pthread_self(), w->saver))
        return !stasis_writer_tell(w, NULL);
    return !atomic_load(&w->cancelled);
}

/* ---- ranges ---- */

struct ranges {
    uint64_t *first; /* chunk of each */
    size_t count;
    size_t room;
};

static bool add_range(struct ranges *ranges, uint64_t first)
{
    if (ranges->count == ranges->room) {
        size_t room = ranges->room ? ranges->room * 2 : 256;
        uint64_t *list = realloc(ranges->first, room * sizeof(*list));

        if (!list)
            return false;
        ranges->first = list;
        ranges->room = room;
    }
    ranges->first[ranges->count++] = first;
    return true;
}

static int list_ranges(const struct stasis_index *index, struct ranges *ranges,
                       struct stasis_error *err)
{
    uint64_t count = index->chunk_count;

    for (uint64_t i = stasis_index_zero_end(index, 0, count); i < count;
         i = stasis_index_zero_end(index, i + STASIS_BATCH_CHUNKS, count))
        if (!add_range(ranges, i))
            return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to list the RAM to be saved");
    return 0;
}

/* ---- running ---- */

struct run {
    struct stasis_writer *w;
    struct ranges ranges;
    uint64_t batch; /* of a list */
    unsigned share;
    int (*work)(struct stasis_writer *, const struct stasis_range *, struct stasis_error *);
};

static int work_on(void *ctx, uint64_t number, uint64_t end, struct stasis_error *err)
{
    const struct run *run = ctx;
    uint64_t first = run->ranges.first[number];
    uint64_t left = run->w->index.chunk_count - first;
    const struct stasis_range range = {
        number, first, first + (left < STASIS_BATCH_CHUNKS ? left : STASIS_BATCH_CHUNKS)};

    (void)end; /* one at a time */
    return run->work(run->w, &range, err);
}

static bool report(void *ctx, uint64_t done)
{
    const struct run *run = ctx;

    return tell(run->w, run->share, done, run->ranges.count);
}

/* The progress is told once more behind the last range: an answer of false counts there, too. */
static int run_job(struct stasis_writer *w, const struct stasis_pool_job *job,
                   struct stasis_error *err)
{
    int rc = stasis_pool_run(job, err);

    return rc ? rc : stasis_writer_check(w, err);
}

int stasis_writer_run(struct stasis_writer *w, unsigned threads, unsigned share,
                      int (*work)(struct stasis_writer *w, const struct stasis_range *range,
                                  struct stasis_error *err),
                      struct stasis_error *err)
{
    struct run run = {.w = w, .share = share, .work = work};
    int rc = list_ranges(&w->index, &run.ranges, err);

    if (!rc) {
        const struct stasis_pool_job job = {.count = run.ranges.count,
                                            .batch = 1,
                                            .threads = threads,
                                            .work = work_on,
                                            .progress = w->opts.progress ? report : NULL,
                                            .ctx = &run};

        rc = run_job(w, &job, err);
    }
    w->shares_done += share;
    free(run.ranges.first);
    return rc;
}

static int work_on_list(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    const struct run *run = ctx;
    const struct stasis_range range = {first / run->batch, first, end};

    return run->work(run->w, &range, err);
}

int stasis_writer_run_list(struct stasis_writer *w, const struct stasis_list *list,
                           unsigned threads, unsigned share,
                           int (*work)(struct stasis_writer *w, const struct stasis_range *range,
                                       struct stasis_error *err),
                           struct stasis_error *err)
{
    struct run run = {
        .w = w, .ranges.count = list->count, .batch = list->batch, .share = share, .work = work};
    const struct stasis_pool_job job = {.count = list->count,
                                        .batch = list->batch,
                                        .threads = threads,
                                        .work = work_on_list,
                                        .progress = w->opts.progress ? report : NULL,
                                        .ctx = &run};
    int rc = run_job(w, &job, err);

    w->shares_done += share;
    return rc;
}

static bool report_blocks(void *ctx, uint64_t done)
{
    (void)done;
    return tell(ctx, 0, 0, 1);
}

int stasis_writer_run_blocks(struct stasis_writer *w, uint64_t batch,
                             int (*work)(void *w, uint64_t first, uint64_t end,
                                         struct stasis_error *err),
                             struct stasis_error *err)
{
    const struct stasis_pool_job job = {.count = (w->index.chunk_count + STASIS_INDEX_BLOCK - 1) /
                                                 STASIS_INDEX_BLOCK,
                                        .batch = batch,
                                        .threads = w->opts.threads,
                                        .work = work,
                                        .progress = w->opts.progress ? report_blocks : NULL,
                                        .ctx = w};

    return run_job(w, &job, err);
}
