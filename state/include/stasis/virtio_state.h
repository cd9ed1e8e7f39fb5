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
