/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Work on a range of items, split over threads.
 */
#ifndef STASIS_SNAP_POOL_H
#define STASIS_SNAP_POOL_H

#include "stasis/error.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct stasis_pool_job {
    uint64_t count;   /* items 0..count-1 */
    uint64_t batch;   /* items handed out at a time */
    unsigned threads; /* 0: one per online core; 1: the caller alone, no thread is made */
    int (*work)(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err);
    /* Items done, on the caller's thread, also while it waits for the others, and when all are;
     * false ends the job with STASIS_ERR_CANCELLED, then too. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done);
    void *ctx;
    /* The first item from `next` on that has to be worked on, at most `count`: those before are
     * passed over. Called with the pool locked. NULL: all have to be. */
    uint64_t (*skip)(void *ctx, uint64_t next);
};

/* Runs the job to its end or first failure. Ranges are handed out in ascending order, so the
 * failure reported is the one that a single thread would have met first. The caller works too;
 * where threads cannot be made it works alone. */
int stasis_pool_run(const struct stasis_pool_job *job, struct stasis_error *err);

/* pthread_create() for a thread with every signal blocked but those of faults: signals belong to
 * the program's own threads, a fault to the thread that made it. Returns an errno. */
int stasis_thread_create(pthread_t *ret_thread, void *(*body)(void *), void *arg);

/* For waiting in turns of some ms between which a request to cancel is looked for. The lock is
 * held, and is given away meanwhile. */
void stasis_turns_init(pthread_cond_t *cond);
#define STASIS_TURN_MS 20 /* of the 100 ms in which a request to cancel is to be followed */
void stasis_turns_wait(pthread_cond_t *cond, pthread_mutex_t *lock);

#endif
