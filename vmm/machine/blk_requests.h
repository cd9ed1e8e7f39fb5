/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What device_virtio_blk.c and blk_requests.c share: the block device of a board, and how its
 * thread carries out its requests.
 */
#ifndef STASIS_VMM_BLK_REQUESTS_H
#define STASIS_VMM_BLK_REQUESTS_H

#include "stasis/virtio_blk.h"
#include "vmm/machine/adapter.h"
#include "vmm/machine/queue_bells.h"

#define STASIS_BLK_PIECE (UINT32_C(128) << 10) /* of data, that the host moves at once */

struct stasis_blk_pending {
    struct stasis_virtio_blk_request request;
    uint64_t done; /* bytes */
    bool is_used;
};

struct stasis_blk {
    struct stasis_adapter adapter;
    struct stasis_virtio_blk dev;
    const struct stasis_device_disk *disk; /* NULL: the host has none for it */
    struct stasis_blk_pending pending[STASIS_VIRTIO_BLK_REQUESTS]; /* by the rest of their id */
    bool has_new; /* a request for the thread, by an exit */
    struct stasis_queue_bells bells;
    bool is_writing;                 /* while the thread is away: to the host's disk */
    unsigned answers;                /* that have not been announced */
    uint8_t piece[STASIS_BLK_PIECE]; /* the thread's */
};

static inline struct stasis_io_thread *stasis_blk_thread(const struct stasis_blk *blk)
{
    return blk->adapter.device->io;
}

/* For the model. */
extern const struct stasis_virtio_blk_ops stasis_blk_ops;

/* What the thread does. */
void stasis_blk_work(void *instance);

#endif
