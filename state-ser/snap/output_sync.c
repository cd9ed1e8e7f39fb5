/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * fsync(2) that can be given up. The call itself cannot be interrupted, so a thread of its own
 * makes it. Whoever gives up does not wait for that thread, which keeps a descriptor of its own
 * until the disk has answered, and then ends.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "io.h"
#include "output.h"
#include "pool.h"

#define ASK_EVERY_NS 20000000 /* of the 100 ms in which a request to cancel is to be followed */

struct syncing {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    int fd;
    bool done;
    bool given_up; /* the thread frees this */
    int error;     /* if done: errno or 0 */
};

static void syncing_free(struct syncing *syncing)
{
    stasis_io_close(syncing->fd);
    pthread_cond_destroy(&syncing->changed);
    pthread_mutex_destroy(&syncing->lock);
    free(syncing);
}

static void *sync_it(void *arg)
{
    struct syncing *syncing = arg;
    int error = stasis_io_sync(syncing->fd) ? errno : 0;
    bool given_up;

    pthread_mutex_lock(&syncing->lock);
    syncing->error = error;
    syncing->done = true;
    given_up = syncing->given_up;
    pthread_cond_signal(&syncing->changed);
    pthread_mutex_unlock(&syncing->lock);
    if (given_up)
        syncing_free(syncing);
    return NULL;
}

static struct syncing *syncing_new(int fd)
{
    struct syncing *syncing = malloc(sizeof(*syncing));
    pthread_condattr_t monotonic;

    if (!syncing)
        return NULL;
    *syncing = (struct syncing){.fd = stasis_io_dup(fd)};
    pthread_mutex_init(&syncing->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&syncing->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (syncing->fd >= 0)
        return syncing;
    syncing_free(syncing);
    return NULL;
}

/* The lock is held, and is given away meanwhile. */
static void wait_a_while(struct syncing *syncing)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ASK_EVERY_NS;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&syncing->changed, &syncing->lock, &until);
}

/* Ends with the lock held. True: the disk has answered. */
static bool wait_for_it(struct syncing *syncing, const struct stasis_output_watch *watch)
{
    bool keep_on = true;

    pthread_mutex_lock(&syncing->lock);
    while (!syncing->done && keep_on) {
        wait_a_while(syncing);
        pthread_mutex_unlock(&syncing->lock);
        keep_on = watch->keep_on(watch->ctx);
        pthread_mutex_lock(&syncing->lock);
    }
    return keep_on;
}

static int end(struct syncing *syncing, bool answered, struct stasis_error *err)
{
    bool done = syncing->done;

    syncing->given_up = !done;
    errno = syncing->error;
    pthread_mutex_unlock(&syncing->lock);
    if (done)
        syncing_free(syncing);
    if (!answered)
        return stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled");
    return errno ? stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing it to the disk") : 0;
}

int stasis_output_sync(int fd, const struct stasis_output_watch *watch, struct stasis_error *err)
{
    struct syncing *syncing = watch ? syncing_new(fd) : NULL;
    pthread_t thread;

    if (syncing && stasis_thread_create(&thread, sync_it, syncing)) {
        syncing_free(syncing);
        syncing = NULL;
    }
    /* Without a thread it is right, too, but cannot be given up. */
    if (!syncing)
        return stasis_io_sync(fd)
                   ? stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing it to the disk")
                   : 0;
    pthread_detach(thread);
    return end(syncing, wait_for_it(syncing, watch), err);
}

static void *close_it(void *arg)
{
    int *fd = arg;

    stasis_io_close(*fd);
    free(fd);
    return NULL;
}

void stasis_output_close_aside(int fd)
{
    int *kept = malloc(sizeof(*kept));
    pthread_t thread;

    if (!kept)
        return;
    *kept = stasis_io_dup(fd);
    if (*kept >= 0 && !stasis_thread_create(&thread, close_it, kept))
        pthread_detach(thread);
    else
        (void)close_it(kept);
}
