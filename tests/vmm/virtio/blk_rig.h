/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A virtio block device, its driver by hand, and a host that remembers requests.
 */
#ifndef STASIS_TESTS_BLK_RIG_H
#define STASIS_TESTS_BLK_RIG_H

#include "driver_rig.h"

#include "stasis/virtio_blk.h"

enum {
    BLK_IN = 0,
    BLK_OUT = 1,
    BLK_FLUSH = 4,
    BLK_GET_ID = 8,
    BLK_DISCARD = 11,
    BLK_WRITE_ZEROES = 13,
};

/* Of the request in descriptors 0 to 2. */
#define BLK_HEADER BUFFER
#define BLK_STATUS (BUFFER + 0x20)
#define BLK_DATA   (BUFFER + 0x100)

struct blk_rig {
    struct driver driver;
    struct stasis_virtio_blk blk;
    struct stasis_virtio_mmio *mmio; /* of blk */
    unsigned count;                  /* of requests that came to the host */
    struct stasis_virtio_blk_request last;
    uint64_t offsets[SIZE]; /* of all of them, in order */
    unsigned wakes;
};

extern const struct stasis_virtio_blk_disk blk_rig_disk; /* 64 sectors, in blocks of two */

/* A device in use by a driver that flushes, discards and writes zeroes where it can. */
void blk_rig_init(struct blk_rig *rig, const struct stasis_virtio_blk_disk *disk);
/* A device that nobody uses yet; the driver stays as it is. */
void blk_rig_device(struct blk_rig *rig, const struct stasis_virtio_blk_disk *disk);

/* Make a request available: with `len` bytes of data, or with a range. */
void blk_rig_transfer(struct blk_rig *rig, uint32_t type, uint64_t sector, uint32_t len);
void blk_rig_range(struct blk_rig *rig, uint32_t type, uint64_t sector, uint32_t sectors,
                   uint32_t flags);
void blk_rig_notify(struct blk_rig *rig);

#endif
