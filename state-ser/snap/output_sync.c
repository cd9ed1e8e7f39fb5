/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Waiting for the disk that can be given up. The thread that then still waits keeps a descriptor of
 * its own until the disk has answered.
 */
#include <errno.h>
#include <stdlib.h>

#include "aside.h"
#include "io.h"
#include "output.h"

/* What is waited for: all of the file, or bytes that are on their way already. */
struct part {
    bool all;
    uint64_t offset;
    uint64_t len;
};

struct syncing {
    int fd;
    struct part part;
    int error; /* errno or 0 */
};

static void syncing_free(void *arg)
{
    struct syncing *syncing = arg;

    stasis_io_close(syncing->fd);
    free(syncing);
}

static int wait_for_disk(int fd, const struct part *part)
{
    return part->all ? stasis_io_sync(fd) : stasis_io_wait_sync(fd, part->offset, part->len);
}

static void sync_it(void *arg)
{
    struct syncing *syncing = arg;

    syncing->error = wait_for_disk(syncing->fd, &syncing->part) ? errno : 0;
}

static struct syncing *syncing_new(int fd, const struct part *part)
{
    struct syncing *syncing = malloc(sizeof(*syncing));

    if (!syncing)
        return NULL;
    *syncing = (struct syncing){.fd = stasis_io_dup(fd), .part = *part};
    if (syncing->fd >= 0)
        return syncing;
    syncing_free(syncing);
    return NULL;
}

static int sync_part(int fd, const struct part *part, const struct stasis_watch *watch,
                     struct stasis_error *err)
{
    struct syncing *syncing = watch ? syncing_new(fd, part) : NULL;
    int failed;

    if (!syncing) {
        failed = wait_for_disk(fd, part);
    } else {
        if (!stasis_aside_run(sync_it, syncing_free, syncing, watch))
            return stasis_fail(err, STASIS_ERR_CANCELLED, "cancelled");
        failed = errno = syncing->error;
        syncing_free(syncing);
    }
    return failed ? stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing it to the disk") : 0;
}

int stasis_output_sync(int fd, const struct stasis_watch *watch, struct stasis_error *err)
{
    return sync_part(fd, &(struct part){.all = true}, watch, err);
}

int stasis_output_wait_sync(int fd, uint64_t offset, uint64_t len, const struct stasis_watch *watch,
                            struct stasis_error *err)
{
    return sync_part(fd, &(struct part){.offset = offset, .len = len}, watch, err);
}

static void close_it(void *arg)
{
    stasis_io_close(*(int *)arg);
}

void stasis_output_close_aside(int fd)
{
    int *kept = malloc(sizeof(*kept));

    if (!kept)
        return;
    *kept = stasis_io_dup(fd);
    if (*kept >= 0)
        stasis_aside_leave(close_it, free, kept);
    else
        free(kept);
}
