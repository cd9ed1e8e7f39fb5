/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A virtio network device, its driver by hand, and a host with a short line of frames.
 */
#ifndef STASIS_TESTS_NET_RIG_H
#define STASIS_TESTS_NET_RIG_H

#include "driver_rig.h"

#include "stasis/virtio_net.h"

/* Where the driver has queue 1, which sends; queue 0, which receives, is the rig's. */
#define TX_DESC  UINT64_C(0x1800)
#define TX_AVAIL UINT64_C(0x2800)
#define TX_USED  UINT64_C(0x3800)

#define HEADER    STASIS_VIRTIO_NET_HEADER_BYTES
#define TX_BUFFER UINT64_C(0x7000)

#define ALL_FEATURES                                                                               \
    (STASIS_VIRTIO_NET_OFFLOADS | STASIS_VIRTIO_NET_F_MTU | STASIS_VIRTIO_NET_F_MAC |              \
     STASIS_VIRTIO_NET_F_MRG_RXBUF | STASIS_VIRTIO_NET_F_STATUS)

/* struct virtio_net_hdr */
struct net_header {
    unsigned flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};

struct net_rig {
    struct driver driver;
    struct stasis_virtio_net net;
    struct stasis_virtio_mmio *mmio; /* of net */
    /* What the host does. */
    enum stasis_virtio_net_result result;
    unsigned sent;
    uint8_t last[STASIS_VIRTIO_NET_BYTES_MAX];
    size_t last_len;
    unsigned asked, frames; /* how many are at the host */
    size_t frame_len;       /* of each, with its header */
    uint8_t frame[STASIS_VIRTIO_NET_BYTES_MAX];
    unsigned accepts;
    uint64_t accepted;
    unsigned wakes;
};

extern const struct stasis_virtio_net_config net_rig_config; /* all offloads, MTU 1500 */

/* A device that nobody uses; the driver's RAM is empty. */
void net_rig_init(struct net_rig *rig, const struct stasis_virtio_net_config *config);
/* Another device; the driver and the host stay as they are. */
void net_rig_device(struct net_rig *rig, const struct stasis_virtio_net_config *config);
/* Brings the device up. */
void net_rig_up(struct net_rig *rig, uint64_t features);

/* Stores a header. */
void net_rig_header(uint8_t *bytes, const struct net_header *header);
/* Offers a buffer to receive into, in descriptor n of queue 0. */
void net_rig_buffer(struct net_rig *rig, unsigned n, uint64_t gpa, uint32_t len);
/* Makes a frame of len bytes after the header available in descriptor n of queue 1. */
void net_rig_send(struct net_rig *rig, unsigned n, const struct net_header *header, uint32_t len);
void net_rig_offer_tx(struct net_rig *rig, uint16_t head);
/* The host has so many frames of len bytes after this header. */
void net_rig_arrive(struct net_rig *rig, unsigned count, const struct net_header *header,
                    size_t len);

/* How many buffers the device has given back. */
uint16_t net_rig_received(const struct net_rig *rig);
uint16_t net_rig_transmitted(const struct net_rig *rig);

#endif
