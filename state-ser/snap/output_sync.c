/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Waiting for the disk that can be given up. The call itself cannot be interrupted, so a thread of
 * its own makes it. Whoever gives up does not wait for that thread, which keeps a descriptor of its
 * own until the disk has answered, and then ends.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "io.h"
#include "output.h"
#include "pool.h"

/* What is waited for: all of the file, or bytes that are on their way already. */
struct part {
    bool all;
    uint64_t offset;
    uint64_t len;
};

struct syncing {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    int fd;
    struct part part;
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

static int wait_for_disk(int fd, const struct part *part)
{
    return part->all ? stasis_io_sync(fd) : stasis_io_wait_sync(fd, part->offset, part->len);
}

static void *sync_it(void *arg)
{
    struct syncing *syncing = arg;
    int error = wait_for_disk(syncing->fd, &syncing->part) ? errno : 0;
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

static struct syncing *syncing_new(int fd, const struct part *part)
{
    struct syncing *syncing = malloc(sizeof(*syncing));

    if (!syncing)
        return NULL;
    *syncing = (struct syncing){.fd = stasis_io_dup(fd), .part = *part};
    pthread_mutex_init(&syncing->lock, NULL);
    stasis_turns_init(&syncing->changed);
    if (syncing->fd >= 0)
        return syncing;
    syncing_free(syncing);
    return NULL;
}

/* Ends with the lock held. True: the disk has answered. */
static bool wait_for_it(struct syncing *syncing, const struct stasis_output_watch *watch)
{
    bool keep_on = true;

    pthread_mutex_lock(&syncing->lock);
    while (!syncing->done && keep_on) {
        stasis_turns_wait(&syncing->changed, &syncing->lock);
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

static int sync_part(int fd, const struct part *part, const struct stasis_output_watch *watch,
                     struct stasis_error *err)
{
    struct syncing *syncing = watch ? syncing_new(fd, part) : NULL;
    pthread_t thread;

    if (syncing && stasis_thread_create(&thread, sync_it, syncing)) {
        syncing_free(syncing);
        syncing = NULL;
    }
    /* Without a thread it is right, too, but cannot be given up. */
    if (!syncing)
        return wait_for_disk(fd, part)
                   ? stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing it to the disk")
                   : 0;
    pthread_detach(thread);
    return end(syncing, wait_for_it(syncing, watch), err);
}

int stasis_output_sync(int fd, const struct stasis_output_watch *watch, struct stasis_error *err)
{
    return sync_part(fd, &(struct part){.all = true}, watch, err);
}

int stasis_output_wait_sync(int fd, uint64_t offset, uint64_t len,
                            const struct stasis_output_watch *watch, struct stasis_error *err)
{
    return sync_part(fd, &(struct part){.offset = offset, .len = len}, watch, err);
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
