/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the parts of the balloon device share.
 */
#ifndef STASIS_VIRTIO_BALLOON_INTERNAL_H
#define STASIS_VIRTIO_BALLOON_INTERNAL_H

#include "stasis/virtio_balloon.h"

/* 5.5.2 gives reporting number 4. Drivers that count only the queues that exist, as Linux does, use
 * number 2 instead: all queues behind the first two take reports. */
#define STASIS_VIRTIO_BALLOON_INFLATE 0u
#define STASIS_VIRTIO_BALLOON_DEFLATE 1u
#define STASIS_VIRTIO_BALLOON_REPORT  2u

/* The driver has put buffers into a queue. */
void stasis_virtio_balloon_notify(void *device, unsigned queue);

#endif
