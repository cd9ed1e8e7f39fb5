/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The background work is held, ended early or done to its end, whenever memory leaves the process:
 * what is written elsewhere must be as verified as what the guest was promised.
 *
 * Held means gone: a thread that sleeps with a lock of the address space, because others have the
 * processor, would keep everybody waiting who maps, starts a thread or touches memory.
 */
#include "ram_internal.h"

#include <errno.h>
#include <stdlib.h>

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

/* ---- the thread ---- */

/* Nothing, if all is loaded and verified. */
static int load_rest(struct stasis_ram *ram, struct stasis_error *err)
{
    struct stasis_pool_job job =
        ram->mode == STASIS_RAM_MAP ? stasis_ram_map_job(ram) : stasis_ram_fill_job(ram);
    int rc;

    if (stasis_ram_is_complete(ram))
        return 0;
    job.threads = ram->threads;
    rc = stasis_pool_run(&job, err);
    if (!rc && ram->mode == STASIS_RAM_LAZY)
        rc = stasis_ram_unwatch(ram, err);
    if (!rc)
        stasis_ram_complete(ram);
    else if (rc != STASIS_ERR_CANCELLED)
        stasis_ram_fail(ram, err);
    return rc;
}

/* False: it was stopped, and released before it could end. */
static bool ends(struct stasis_ram *ram, int rc)
{
    bool end;

    pthread_mutex_lock(&ram->lock);
    end = rc != STASIS_ERR_CANCELLED || atomic_load(&ram->stop);
    if (end) {
        ram->background_ended = true;
        pthread_cond_broadcast(&ram->changed);
    }
    pthread_mutex_unlock(&ram->lock);
    return end;
}

static void *background(void *arg)
{
    struct stasis_ram *ram = arg;
    struct stasis_error err = {0};
    int rc = stasis_ram_thread_begins(ram, &err);

    if (rc) {
        stasis_ram_fail(ram, &err);
        (void)ends(ram, rc);
        return NULL;
    }
    do {
        rc = load_rest(ram, &err);
        if (!rc && ram->mode == STASIS_RAM_LAZY && !atomic_load(&ram->finishing))
            rc = stasis_ram_collapse(ram);
    } while (!ends(ram, rc));
    return NULL;
}

static int start(struct stasis_ram *ram, unsigned threads, struct stasis_error *err)
{
    ram->threads = threads;
    ram->background_ended = false;
    errno = stasis_thread_create(&ram->background, background, ram);
    if (errno)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "starting a thread for guest RAM");
    ram->has_background = true;
    return 0;
}

int stasis_ram_start_background(struct stasis_ram *ram, struct stasis_error *err)
{
    ram->has_rest = true;
    return ram->opts.no_prefetch ? 0 : start(ram, ram->opts.threads, err);
}

static void stop(struct stasis_ram *ram)
{
    pthread_mutex_lock(&ram->lock);
    atomic_store(&ram->stop, true);
    pthread_mutex_unlock(&ram->lock);
}

static void join(struct stasis_ram *ram)
{
    pthread_join(ram->background, NULL);
    atomic_store(&ram->stop, false);
    ram->has_background = false;
}

/* The thread may be in a read that does not return. Given up, it is still to end, and whoever
 * needs it gone waits for it then. */
static int join_while(struct stasis_ram *ram,
                      bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                      struct stasis_error *err)
{
    bool go_on = true;
    bool ended;

    pthread_mutex_lock(&ram->lock);
    while (!ram->background_ended && go_on) {
        stasis_turns_wait(&ram->changed, &ram->lock);
        pthread_mutex_unlock(&ram->lock);
        go_on = !progress || progress(ctx, atomic_load(&ram->verified), ram->stored);
        pthread_mutex_lock(&ram->lock);
    }
    ended = ram->background_ended;
    pthread_mutex_unlock(&ram->lock);
    if (ended)
        join(ram);
    return go_on ? 0 : stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled");
}

void stasis_ram_hold(struct stasis_ram *ram)
{
    if (!ram->has_background)
        return;
    stop(ram);
    join(ram);
}

int stasis_ram_hold_while(struct stasis_ram *ram,
                          bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                          struct stasis_error *err)
{
    if (!ram->has_background)
        return 0;
    stop(ram);
    return join_while(ram, progress, ctx, err);
}

/* True: it has not ended yet, and is left to itself. */
static bool runs_on(struct stasis_ram *ram)
{
    bool ended;

    pthread_mutex_lock(&ram->lock);
    ended = ram->background_ended;
    if (!ended && !ram->opts.no_prefetch)
        atomic_store(&ram->stop, false);
    pthread_mutex_unlock(&ram->lock);
    return !ended;
}

/* A thread that cannot be made is no failure: what is touched comes, and the next save does the
 * rest. */
void stasis_ram_release(struct stasis_ram *ram)
{
    if (ram->has_background && runs_on(ram))
        return;
    if (ram->has_background)
        join(ram);
    if (ram->has_rest && !stasis_ram_failure(ram, NULL))
        (void)stasis_ram_start_background(ram, NULL);
}

/* ---- the rest ---- */

/* Another thread does it, so that the caller hears a request to cancel while a read does not
 * return. It has to do the work itself only where no thread can be made. */
static int finish(struct stasis_ram *ram, unsigned threads,
                  bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                  struct stasis_error *err)
{
    if (start(ram, threads, NULL))
        return load_rest(ram, err);
    return join_while(ram, progress, ctx, err);
}

int stasis_ram_finish_held(struct stasis_ram *ram, unsigned threads,
                           bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                           struct stasis_error *err)
{
    int rc = stasis_ram_failure(ram, err);

    if (rc || stasis_ram_is_complete(ram))
        return rc;
    atomic_store(&ram->finishing, true);
    rc = finish(ram, threads, progress, ctx, err);
    atomic_store(&ram->finishing, false);
    if (!rc && progress && !progress(ctx, ram->stored, ram->stored))
        rc = stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled");
    /* That of a chunk which a fault met meanwhile, too. */
    return rc == STASIS_ERR_CANCELLED ? rc : stasis_ram_failure(ram, err);
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
