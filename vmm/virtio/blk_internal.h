/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What blk.c and blk_state.c share.
 */
#ifndef STASIS_VIRTIO_BLK_INTERNAL_H
#define STASIS_VIRTIO_BLK_INTERNAL_H

#include "stasis/virtio_blk.h"

#define STASIS_VIRTIO_BLK_QUEUE 0u

/* Features (5.2.3). */
#define STASIS_VIRTIO_BLK_F_SEG_MAX      (UINT64_C(1) << 2)
#define STASIS_VIRTIO_BLK_F_RO           (UINT64_C(1) << 5)
#define STASIS_VIRTIO_BLK_F_BLK_SIZE     (UINT64_C(1) << 6)
#define STASIS_VIRTIO_BLK_F_FLUSH        (UINT64_C(1) << 9)
#define STASIS_VIRTIO_BLK_F_DISCARD      (UINT64_C(1) << 13)
#define STASIS_VIRTIO_BLK_F_WRITE_ZEROES (UINT64_C(1) << 14)

/* The driver has put requests into the queue. */
void stasis_virtio_blk_notify(void *device, unsigned queue);

#endif
