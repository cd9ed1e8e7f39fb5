/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio network device (virtio 1.2, 5.1): one pair of queues, checksum and segmentation offloads,
 * mergeable receive buffers, MTU, and the state of the link.
 *
 * Frames go through buffers of the device, so nobody but the caller of the device touches guest
 * RAM. What the host sends waits there while the driver has no buffers for it; the device holds one
 * frame at most, which a save does not keep, as any network may lose a frame.
 * A host that limits its rate is BUSY, or has no frame, for a while.
 *
 * The caller owns the struct and serializes all calls; operations must not call back.
 */
#ifndef STASIS_VIRTIO_NET_H
#define STASIS_VIRTIO_NET_H

#include "stasis/virtio_mmio.h"

STASIS_BEGIN_DECLS

/* In front of each frame, in both directions, is struct virtio_net_hdr of 12 bytes, little-endian
 * (5.1.6). It says of a frame whose checksum or segmentation is left to the other side; of any
 * other frame it is all zeros. */
#define STASIS_VIRTIO_NET_HEADER_BYTES 12u
#define STASIS_VIRTIO_NET_FRAME_MAX    65554u /* an IP packet, an Ethernet header, and a VLAN tag */
#define STASIS_VIRTIO_NET_BYTES_MAX    (STASIS_VIRTIO_NET_HEADER_BYTES + STASIS_VIRTIO_NET_FRAME_MAX)

enum stasis_virtio_net_result {
    STASIS_VIRTIO_NET_SENT,
    STASIS_VIRTIO_NET_BUSY, /* not now: it comes again */
    STASIS_VIRTIO_NET_LOST,
};

struct stasis_virtio_net_ops {
    /* Sends header and frame. The header asks for nothing that the driver has not accepted of the
     * offloads of the device, and checksum fields are within the frame. */
    enum stasis_virtio_net_result (*send)(void *ctx, const uint8_t *bytes, size_t len);
    /* Stores the next header and frame, of at most `size` bytes. Returns their length; 0: there is
     * none now. A frame that the driver must not be given is dropped. */
    size_t (*receive)(void *ctx, uint8_t *bytes, size_t size);
    /* From now on received frames may ask for these, of STASIS_VIRTIO_NET_GUEST_OFFLOADS. */
    void (*accept)(void *ctx, uint64_t offloads);
    /* Call stasis_virtio_net_resume() soon, once the guest runs. */
    void (*wake)(void *ctx);
};

struct stasis_virtio_net_config {
    uint8_t mac[6]; /* of one station, and not all zeros */
    uint16_t mtu;   /* bytes of a packet: at least STASIS_VIRTIO_NET_MTU_MIN */
    /* What the host's side can do, of STASIS_VIRTIO_NET_OFFLOADS, each with what it requires. */
    uint64_t offloads;
};

struct stasis_virtio_net_counters {
    uint64_t tx_frames, tx_bytes; /* given to send() and sent, without headers */
    uint64_t tx_dropped; /* lost there, not allowed to be sent, or while the link is down */
    uint64_t rx_frames, rx_bytes; /* put into buffers of the driver */
    uint64_t rx_dropped;          /* not allowed to be received, or too long for all buffers */
};

/* Private but for its size (140 KiB), for the counters, and for the transport: accesses go to
 * stasis_virtio_mmio_read() and stasis_virtio_mmio_write(). */
struct stasis_virtio_net {
    struct stasis_virtio_mmio mmio;
    struct stasis_virtio_kind kind;
    const struct stasis_virtio_net_ops *ops;
    void *ctx;
    struct stasis_virtio_net_counters counters;
    uint8_t config[12];
    uint8_t mac[6];
    uint16_t mtu;
    bool is_link_up;
    bool is_accept_known; /* accepted is what ops->accept was told last */
    uint64_t accepted;
    size_t rx_len; /* of the frame that waits for buffers; 0: none does */
    uint8_t rx[STASIS_VIRTIO_NET_BYTES_MAX];
    uint8_t tx[STASIS_VIRTIO_NET_BYTES_MAX];
};

/* A device whose link is up. STASIS_ERR_ARG: there is no such device. Calls no operation. `ops`
 * must outlive the device. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_net_init(struct stasis_virtio_net *net, const struct stasis_virtio_host *host,
                       const struct stasis_virtio_net_config *config,
                       const struct stasis_virtio_net_ops *ops, void *ctx,
                       struct stasis_error *err);

/* What ops->wake asks for. To be called, too, when there is a frame after receive() has returned 0,
 * and when a frame can be sent after send() was BUSY. Moves a bounded number of frames; there are
 * more if ops->wake is called. Harmless at any time. */
STASIS_EXPORT void stasis_virtio_net_resume(struct stasis_virtio_net *net);

/* The link went up or down. While it is down nothing is sent or received. */
STASIS_EXPORT void stasis_virtio_net_set_link(struct stasis_virtio_net *net, bool is_up);

STASIS_EXPORT void stasis_virtio_net_save(const struct stasis_virtio_net *net,
                                          struct stasis_virtio_net_state *ret_state);

/* As stasis_virtio_mmio_restore(); MAC, MTU and link become those of the state.
 * STASIS_ERR_RANGE: the state contradicts itself; STASIS_ERR_ARG: the guest was offered what the
 * host's side cannot do; the device is unchanged. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_net_restore(struct stasis_virtio_net *net,
                          const struct stasis_virtio_net_state *state, struct stasis_error *err);

/* Drives the line, tells ops->accept, and calls ops->wake if the driver uses the device. */
STASIS_EXPORT void stasis_virtio_net_apply_outputs(struct stasis_virtio_net *net);

STASIS_END_DECLS

#endif
