/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the parts of the socket device share.
 */
#ifndef STASIS_VIRTIO_VSOCK_INTERNAL_H
#define STASIS_VIRTIO_VSOCK_INTERNAL_H

#include "stasis/virtio_vsock.h"

#define STASIS_VIRTIO_VSOCK_RX     0u
#define STASIS_VIRTIO_VSOCK_TX     1u
#define STASIS_VIRTIO_VSOCK_EVENT  2u
#define STASIS_VIRTIO_VSOCK_QUEUES 3u

#define STASIS_VIRTIO_VSOCK_HOST_CID UINT64_C(2) /* 5.10.4 */

/* Operations (5.10.6). */
enum {
    STASIS_VIRTIO_VSOCK_OP_REQUEST = 1,
    STASIS_VIRTIO_VSOCK_OP_RESPONSE = 2,
    STASIS_VIRTIO_VSOCK_OP_RST = 3,
    STASIS_VIRTIO_VSOCK_OP_SHUTDOWN = 4,
    STASIS_VIRTIO_VSOCK_OP_RW = 5,
    STASIS_VIRTIO_VSOCK_OP_CREDIT_UPDATE = 6,
    STASIS_VIRTIO_VSOCK_OP_CREDIT_REQUEST = 7,
};

/* struct virtio_vsock_hdr (5.10.6), in the order of this machine. */
struct stasis_virtio_vsock_header {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port;
    uint32_t len;
    uint16_t type, op;
    uint32_t flags;
    uint32_t buf_alloc, fwd_cnt;
};

/* Packets that are due to the driver, as bits, in the order in which they are sent. */
#define STASIS_VIRTIO_VSOCK_DUE_RST            1u
#define STASIS_VIRTIO_VSOCK_DUE_REQUEST        2u
#define STASIS_VIRTIO_VSOCK_DUE_RESPONSE       4u
#define STASIS_VIRTIO_VSOCK_DUE_CREDIT_UPDATE  8u
#define STASIS_VIRTIO_VSOCK_DUE_CREDIT_REQUEST 16u
#define STASIS_VIRTIO_VSOCK_DUE_SHUTDOWN       32u

/* The driver has put buffers into a queue. */
void stasis_virtio_vsock_notify(void *device, unsigned queue);

/* ---- vsock_table.c ---- */

/* The connection of these two ports that the driver knows; or NULL. */
struct stasis_virtio_vsock_connection *stasis_virtio_vsock_find(struct stasis_virtio_vsock *vsock,
                                                                uint32_t guest_port,
                                                                uint32_t host_port);
/* A free connection, which has an id; or NULL. One whose host's end has gone, and of which the
 * driver has not taken its leave, makes room. */
struct stasis_virtio_vsock_connection *stasis_virtio_vsock_take(struct stasis_virtio_vsock *vsock);
/* Frees a connection that has no peer. */
void stasis_virtio_vsock_free(struct stasis_virtio_vsock *vsock,
                              struct stasis_virtio_vsock_connection *conn);
/* Ends a connection for its peer; the driver gets a reset, and the connection is freed then. */
void stasis_virtio_vsock_reset(struct stasis_virtio_vsock *vsock,
                               struct stasis_virtio_vsock_connection *conn);

/* No connection is the driver's any more, nor is any packet due to it. */
void stasis_virtio_vsock_forget(struct stasis_virtio_vsock *vsock);
/* Tells the peers of those. */
void stasis_virtio_vsock_drop_gone(struct stasis_virtio_vsock *vsock);

/* Bytes that may be sent to the driver (5.10.6.3). */
uint32_t stasis_virtio_vsock_credit(const struct stasis_virtio_vsock_connection *conn);

/* A reset of what is no connection, with the ports and the CIDs as the driver has them. It is lost
 * unless stasis_virtio_vsock_can_reply(). */
void stasis_virtio_vsock_reply(struct stasis_virtio_vsock *vsock,
                               const struct stasis_virtio_vsock_reply *reply);
/* Whether there is room for all replies that one packet can cause. */
bool stasis_virtio_vsock_can_reply(const struct stasis_virtio_vsock *vsock);

/* ---- vsock_packet.c ---- */

/* The driver sent a packet of header->len bytes, which are in vsock->tx if it is RW. */
void stasis_virtio_vsock_handle(struct stasis_virtio_vsock *vsock,
                                const struct stasis_virtio_vsock_header *header);

/* Whether there is a packet for the driver. */
bool stasis_virtio_vsock_has_packet(struct stasis_virtio_vsock *vsock);
/* Makes one in vsock->rx, of at most `size` bytes, which are more than those of a header. Returns
 * its length; 0: there was none after all. */
size_t stasis_virtio_vsock_next_packet(struct stasis_virtio_vsock *vsock, size_t size);

#endif
