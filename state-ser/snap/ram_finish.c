/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The background work is held, ended early or done to its end, whenever memory leaves the process:
 * what is written elsewhere must be as verified as what the guest was promised.
 *
 * Held means gone: a thread that sleeps with a lock of the address space, because others have the
 * processor, would keep everybody waiting who maps, starts a thread or touches memory.
 */
#include "ram_internal.h"

#include <stdlib.h>
#include <time.h>

#define TURN_NS 20000000 /* of the 100 ms in which a request to cancel is to be followed */

int stasis_ram_done_init(struct stasis_ram *ram, struct stasis_error *err)
{
    ram->done = calloc(ram->snap->index.chunk_count + 1, sizeof(*ram->done));
    return ram->done ? 0
                     : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to plan the loading of RAM");
}

bool stasis_ram_set_done(struct stasis_ram *ram, uint64_t i, enum stasis_ram_done done)
{
    uint8_t expected = STASIS_RAM_TO_DO;

    return atomic_compare_exchange_strong(&ram->done[i], &expected, (uint8_t)done);
}

static void joined(struct stasis_ram *ram)
{
    atomic_store(&ram->stop, false);
    ram->has_background = false;
}

void stasis_ram_hold(struct stasis_ram *ram)
{
    if (!ram->has_background)
        return;
    atomic_store(&ram->stop, true);
    pthread_join(ram->background, NULL);
    joined(ram);
}

/* ThreadSanitizer of GCC 12 does not see pthread_clockjoin_np(), and takes the thread for alive. */
#ifdef __SANITIZE_THREAD__
#define JOIN_CLOCK                CLOCK_REALTIME
#define join_until(thread, until) pthread_timedjoin_np(thread, NULL, until)
#else
#define JOIN_CLOCK                CLOCK_MONOTONIC
#define join_until(thread, until) pthread_clockjoin_np(thread, NULL, JOIN_CLOCK, until)
#endif

static bool join_for_a_turn(pthread_t thread)
{
    struct timespec until;

    clock_gettime(JOIN_CLOCK, &until);
    until.tv_nsec += TURN_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return join_until(thread, &until) == 0;
}

/* The thread may be in a read that does not return. Given up, it is still to end, and whoever
 * needs it gone waits for it then. */
int stasis_ram_hold_while(struct stasis_ram *ram,
                          bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                          struct stasis_error *err)
{
    if (!ram->has_background)
        return 0;
    atomic_store(&ram->stop, true);
    while (!join_for_a_turn(ram->background)) {
        if (progress && !progress(ctx, atomic_load(&ram->verified), ram->stored))
            return stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled");
    }
    joined(ram);
    return 0;
}

/* A thread that cannot be made is no failure: what is touched comes, and the next save does the
 * rest. */
void stasis_ram_release(struct stasis_ram *ram)
{
    if (ram->has_background && atomic_load(&ram->stop) &&
        pthread_tryjoin_np(ram->background, NULL) == 0)
        joined(ram);
    if (ram->background_body && !ram->has_background && !stasis_ram_failure(ram, NULL))
        (void)stasis_ram_start_background(ram, ram->background_body, NULL);
}

/* ---- the rest ---- */

struct rest {
    struct stasis_ram *ram;
    struct stasis_pool_job job; /* of the mode */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

static int work(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    const struct rest *rest = ctx;

    return rest->job.work(rest->job.ctx, first, end, err);
}

static bool report(void *ctx, uint64_t done)
{
    const struct rest *rest = ctx;

    (void)done; /* of items; and some were done before */
    return rest->progress(rest->ctx, atomic_load(&rest->ram->verified), rest->ram->stored);
}

static int run(struct rest *rest, unsigned threads, struct stasis_error *err)
{
    struct stasis_pool_job job = {
        .count = rest->job.count,
        .batch = rest->job.batch,
        .threads = threads,
        .work = work,
        .progress = rest->progress ? report : NULL,
        .ctx = rest,
    };
    int rc;

    atomic_store(&rest->ram->finishing, true);
    rc = stasis_pool_run(&job, err);
    atomic_store(&rest->ram->finishing, false);
    if (!rc && rest->ram->mode == STASIS_RAM_LAZY)
        rc = stasis_ram_unwatch(rest->ram, err);
    return rc;
}

int stasis_ram_finish_held(struct stasis_ram *ram, unsigned threads,
                           bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                           struct stasis_error *err)
{
    struct rest rest = {.ram = ram, .progress = progress, .ctx = ctx};
    struct stasis_error own = {0};
    int rc = stasis_ram_failure(ram, err);

    if (rc || stasis_ram_is_complete(ram))
        return rc;
    rest.job = ram->mode == STASIS_RAM_MAP ? stasis_ram_map_job(ram) : stasis_ram_fill_job(ram);
    rc = run(&rest, threads, &own);
    if (!rc)
        stasis_ram_complete(ram);
    else if (rc != STASIS_ERR_CANCELLED)
        stasis_ram_fail(ram, &own);
    if (rc == STASIS_ERR_CANCELLED) {
        if (err)
            *err = own;
        return rc;
    }
    return stasis_ram_failure(ram, err); /* that of a chunk which a fault met meanwhile, too */
}

int stasis_ram_finish(struct stasis_ram *ram, unsigned threads,
                      bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                      struct stasis_error *err)
{
    int rc = stasis_ram_hold_while(ram, progress, ctx, err);

    if (!rc)
        rc = stasis_ram_finish_held(ram, threads, progress, ctx, err);
    stasis_ram_release(ram);
    return rc;
}

void stasis_snap_set_ram_source(struct stasis_snap *snap, struct stasis_ram *ram)
{
    snap->ram_source = ram;
}
