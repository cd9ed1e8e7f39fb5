/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A virtio socket device, its driver by hand, and a host whose peers do what a test tells them.
 */
#ifndef STASIS_TESTS_VSOCK_RIG_H
#define STASIS_TESTS_VSOCK_RIG_H

#include "driver_rig.h"

#include "stasis/virtio_vsock.h"

/* Where the driver has queues 1 and 2, behind queue 0, which receives. */
#define TX    UINT64_C(0x800)
#define EVENT UINT64_C(0xc00)

#define TX_BUFFER    UINT64_C(0x6000)
#define EVENT_BUFFER UINT64_C(0x5000)
#define HEADER       STASIS_VIRTIO_VSOCK_HEADER_BYTES
#define RX_BYTES     512u /* of a buffer that receives */

#define GUEST_CID 42u
#define PORT_0    STASIS_VIRTIO_VSOCK_PORT_MIN /* the first that the host gives */

enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };

struct packet {
    uint64_t src_cid, dst_cid;
    uint32_t src_port, dst_port, len;
    unsigned type, op;
    uint32_t flags, buf_alloc, fwd_cnt;
    const uint8_t *bytes; /* of one that was received */
};

struct vsock_rig {
    struct driver driver;
    struct stasis_virtio_vsock vsock;
    struct stasis_virtio_mmio *mmio; /* of vsock */
    uint16_t seen;                   /* used buffers of queue 0 */
    /* What the host does. */
    bool refuses;    /* connections, and bytes */
    size_t keeps;    /* so many of the bytes that it is sent */
    const char *has; /* bytes for the driver */
    bool ends;       /* after them */
    /* What it has heard of. */
    unsigned connects, opens, sends, receives, shutdowns, closes, wakes;
    uint32_t id, port; /* of the last connection */
    uint8_t sent[RAM_SIZE];
    size_t sent_len; /* the last time */
    unsigned flags;
    int peers[STASIS_VIRTIO_VSOCK_CONNECTIONS + 2];
    void *closed; /* the last one */
};

/* A device that nobody uses; the driver's RAM is empty. */
void vsock_rig_init(struct vsock_rig *rig);
/* Another device of this CID; the driver and the host stay as they are. */
void vsock_rig_device(struct vsock_rig *rig, uint64_t guest_cid);
/* Brings the device up, with buffers in queue 0. */
void vsock_rig_up(struct vsock_rig *rig);
/* The same without buffers; and those. */
void vsock_rig_up_empty(struct vsock_rig *rig);
void vsock_rig_fill(struct vsock_rig *rig);

/* A packet of the driver, from its port to the host's. */
struct packet vsock_rig_packet(unsigned op, uint32_t src_port, uint32_t dst_port);
/* Puts it into queue 1, and has the device look. packet->len bytes of any value follow it. */
void vsock_rig_send(struct vsock_rig *rig, const struct packet *packet);
void vsock_rig_say(struct vsock_rig *rig, unsigned op, uint32_t src_port, uint32_t dst_port);

/* Has the device look, and takes the next packet that the driver got, whose buffer is offered
 * again. It is of this operation. */
struct packet vsock_rig_expect(struct vsock_rig *rig, unsigned op);
void vsock_rig_expect_none(struct vsock_rig *rig);

/* A connection that the driver made, from its port 1000 to port 52 with this much room. */
void vsock_rig_connect(struct vsock_rig *rig, uint32_t buf_alloc);
/* One that the host made, to port 52 of the driver. Returns its id. */
uint32_t vsock_rig_open(struct vsock_rig *rig);

#endif
