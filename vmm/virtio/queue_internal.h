/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What queue.c and chain.c share.
 */
#ifndef STASIS_VIRTIO_QUEUE_INTERNAL_H
#define STASIS_VIRTIO_QUEUE_INTERNAL_H

#include "stasis/virtio_queue.h"

/* Reads the descriptors from `head` on, each once. False: they break a rule of 2.7.5. */
bool stasis_virtio_chain_collect(struct stasis_virtio_chain *chain,
                                 const struct stasis_virtqueue *queue,
                                 const struct stasis_virtio_memory *memory, uint16_t head);

#endif
