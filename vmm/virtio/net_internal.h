/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the parts of the network device share.
 */
#ifndef STASIS_VIRTIO_NET_INTERNAL_H
#define STASIS_VIRTIO_NET_INTERNAL_H

#include "stasis/virtio_net.h"

#define STASIS_VIRTIO_NET_RX     0u
#define STASIS_VIRTIO_NET_TX     1u
#define STASIS_VIRTIO_NET_QUEUES 2u

enum stasis_virtio_net_outcome {
    STASIS_VIRTIO_NET_DONE,  /* there may be more */
    STASIS_VIRTIO_NET_WAITS, /* for the driver, or for the host */
    STASIS_VIRTIO_NET_BROKEN,
};

/* The driver has put buffers into a queue. */
void stasis_virtio_net_notify(void *device, unsigned queue);
/* The driver has reset the device. */
void stasis_virtio_net_reset(void *device);
/* Tells ops->accept what the driver accepts, if it does not know. */
void stasis_virtio_net_tell_accepted(struct stasis_virtio_net *net);

/* Whether the frame in bytes, of len with its header, may be sent by the driver, or be given to it.
 * Then the header is what the other side may see (5.1.6.2, 5.1.6.4). */
bool stasis_virtio_net_may_send(const struct stasis_virtio_net *net, uint8_t *bytes, uint64_t len);
bool stasis_virtio_net_may_receive(const struct stasis_virtio_net *net, uint8_t *bytes,
                                   uint64_t len);

/* Puts the frame in net->rx into buffers of the driver. DONE: it is gone. */
enum stasis_virtio_net_outcome stasis_virtio_net_place(struct stasis_virtio_net *net);

#endif
