/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is true of the saved state of a virtio device, with the numbers of virtio 1.2 that its
 * fields hold. All functions are pure, and safe in any thread.
 */
#ifndef STASIS_VIRTIO_STATE_H
#define STASIS_VIRTIO_STATE_H

#include "stasis/state.h"

STASIS_BEGIN_DECLS

/* Status (2.1). */
#define STASIS_VIRTIO_ACKNOWLEDGE 1u
#define STASIS_VIRTIO_DRIVER      2u
#define STASIS_VIRTIO_DRIVER_OK   4u
#define STASIS_VIRTIO_FEATURES_OK 8u
#define STASIS_VIRTIO_NEEDS_RESET 64u
#define STASIS_VIRTIO_FAILED      128u

/* InterruptStatus (4.2.2). */
#define STASIS_VIRTIO_INT_USED   1u
#define STASIS_VIRTIO_INT_CONFIG 2u

/* Features of every device (6). */
#define STASIS_VIRTIO_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define STASIS_VIRTIO_F_EVENT_IDX     (UINT64_C(1) << 29)
#define STASIS_VIRTIO_F_VERSION_1     (UINT64_C(1) << 32)

/* Features of a network device (5.1.3). HOST_: what the driver may leave to the device, and through
 * it to the host; GUEST_: what may be left to the driver. */
#define STASIS_VIRTIO_NET_F_CSUM       (UINT64_C(1) << 0)
#define STASIS_VIRTIO_NET_F_GUEST_CSUM (UINT64_C(1) << 1)
#define STASIS_VIRTIO_NET_F_MTU        (UINT64_C(1) << 3)
#define STASIS_VIRTIO_NET_F_MAC        (UINT64_C(1) << 5)
#define STASIS_VIRTIO_NET_F_GUEST_TSO4 (UINT64_C(1) << 7)
#define STASIS_VIRTIO_NET_F_GUEST_TSO6 (UINT64_C(1) << 8)
#define STASIS_VIRTIO_NET_F_GUEST_ECN  (UINT64_C(1) << 9)
#define STASIS_VIRTIO_NET_F_GUEST_UFO  (UINT64_C(1) << 10)
#define STASIS_VIRTIO_NET_F_HOST_TSO4  (UINT64_C(1) << 11)
#define STASIS_VIRTIO_NET_F_HOST_TSO6  (UINT64_C(1) << 12)
#define STASIS_VIRTIO_NET_F_HOST_ECN   (UINT64_C(1) << 13)
#define STASIS_VIRTIO_NET_F_HOST_UFO   (UINT64_C(1) << 14)
#define STASIS_VIRTIO_NET_F_MRG_RXBUF  (UINT64_C(1) << 15)
#define STASIS_VIRTIO_NET_F_STATUS     (UINT64_C(1) << 16)

#define STASIS_VIRTIO_NET_GUEST_OFFLOADS                                                           \
    (STASIS_VIRTIO_NET_F_GUEST_CSUM | STASIS_VIRTIO_NET_F_GUEST_TSO4 |                             \
     STASIS_VIRTIO_NET_F_GUEST_TSO6 | STASIS_VIRTIO_NET_F_GUEST_ECN |                              \
     STASIS_VIRTIO_NET_F_GUEST_UFO)
#define STASIS_VIRTIO_NET_OFFLOADS                                                                 \
    (STASIS_VIRTIO_NET_GUEST_OFFLOADS | STASIS_VIRTIO_NET_F_CSUM | STASIS_VIRTIO_NET_F_HOST_TSO4 | \
     STASIS_VIRTIO_NET_F_HOST_TSO6 | STASIS_VIRTIO_NET_F_HOST_ECN | STASIS_VIRTIO_NET_F_HOST_UFO)

#define STASIS_VIRTIO_NET_MTU_MIN 68u

/* Features of a balloon device (5.5.3). */
#define STASIS_VIRTIO_BALLOON_F_DEFLATE_ON_OOM (UINT64_C(1) << 2)
#define STASIS_VIRTIO_BALLOON_F_PAGE_POISON    (UINT64_C(1) << 4)
#define STASIS_VIRTIO_BALLOON_F_PAGE_REPORTING (UINT64_C(1) << 5)

#define STASIS_VIRTIO_BALLOON_QUEUES 5u /* at most (5.5.2) */

/* Whether each of these features comes with those that it requires (5.1.3.1). */
STASIS_EXPORT bool stasis_virtio_net_features_agree(uint64_t features);

/* Features, types (5.10.6) and CIDs (5.10.4) of a socket device, and the ports of the host's ends
 * of connections that the host makes. */
#define STASIS_VIRTIO_VSOCK_F_STREAM (UINT64_C(1) << 0)
#define STASIS_VIRTIO_VSOCK_STREAM   1u
#define STASIS_VIRTIO_VSOCK_CID_MIN  3u
#define STASIS_VIRTIO_VSOCK_CID_MAX  UINT32_C(0xfffffffe)
#define STASIS_VIRTIO_VSOCK_PORT_MIN (UINT32_C(1) << 30)
#define STASIS_VIRTIO_VSOCK_PORT_MAX (UINT32_MAX >> 1)

/* Bytes of the parts of a split virtqueue of `size` entries (2.7), with the fields of EVENT_IDX. */
#define STASIS_VIRTQ_DESC_BYTES(size)   (UINT64_C(16) * (size))
#define STASIS_VIRTQ_DRIVER_BYTES(size) (UINT64_C(6) + UINT64_C(2) * (size))
#define STASIS_VIRTQ_DEVICE_BYTES(size) (UINT64_C(6) + UINT64_C(8) * (size))

/* Whether a device works on its queues: the driver is ready, and nothing has failed. */
static inline bool stasis_virtio_is_live(unsigned status)
{
    return (status & (STASIS_VIRTIO_DRIVER_OK | STASIS_VIRTIO_NEEDS_RESET |
                      STASIS_VIRTIO_FAILED)) == STASIS_VIRTIO_DRIVER_OK;
}

/* Guest RAM that can be read. */
struct stasis_virtio_ram {
    /* Whether all of [gpa, gpa + len) is RAM. */
    bool (*has)(void *ctx, uint64_t gpa, uint64_t len);
    /* Two bytes of RAM, little-endian. False: they cannot be read. */
    bool (*read16)(void *ctx, uint64_t gpa, uint16_t *ret_value);
    void *ctx;
};

/* Compares the queues of a live device, whose state has passed its check, with the rings in guest
 * RAM: all three parts are RAM, the used ring has as many buffers as the device has given back, and
 * the available ring no more than its size beyond those taken. STASIS_ERR_CORRUPT names the queue.
 */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_check_rings(const struct stasis_virtio_mmio_state *mmio,
                          const struct stasis_virtio_ram *ram, struct stasis_error *err);

STASIS_END_DECLS

#endif
