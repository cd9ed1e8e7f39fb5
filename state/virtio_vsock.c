/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules between the fields of a virtio socket device (virtio 1.2, 5.10).
 */
#include <inttypes.h>
#include <string.h>

#include "checks.h"

#include "stasis/virtio_state.h"

/* Registers and queues are structs of its own, of the same rows. */
_Static_assert(sizeof(struct stasis_virtio_vsock_mmio_state) ==
                       sizeof(struct stasis_virtio_mmio_state) &&
                   sizeof(struct stasis_virtio_vsock_queue_state) ==
                       sizeof(struct stasis_virtio_queue_state),
               "virtio_mmio_rows.def, virtio_queue.def");

int stasis_check_virtio_vsock_queue(const void *state, struct stasis_error *err)
{
    struct stasis_virtio_queue_state queue;

    memcpy(&queue, state, sizeof(queue));
    return stasis_check_virtio_queue(&queue, err);
}

int stasis_check_virtio_vsock_mmio(const void *state, struct stasis_error *err)
{
    struct stasis_virtio_mmio_state mmio;

    memcpy(&mmio, state, sizeof(mmio));
    return stasis_check_virtio_mmio(&mmio, err);
}

/* Buffers are given back in the call that takes them. No queue is the default, which no device
 * has. */
int stasis_check_virtio_vsock(const void *state, struct stasis_error *err)
{
    const struct stasis_virtio_vsock_state *vsock = state;

    if (vsock->mmio.queues_count > 3)
        return stasis_fail(err, STASIS_ERR_RANGE, "a socket device with %" PRIu32 " queues",
                           vsock->mmio.queues_count);
    for (uint32_t i = 0; i < vsock->mmio.queues_count; i++) {
        if (vsock->mmio.queues[i].next_avail != vsock->mmio.queues[i].next_used)
            return stasis_fail(err, STASIS_ERR_RANGE,
                               "a socket device with buffers in flight in queue %" PRIu32, i);
    }
    if (vsock->guest_cid < STASIS_VIRTIO_VSOCK_CID_MIN ||
        vsock->guest_cid > STASIS_VIRTIO_VSOCK_CID_MAX)
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "a socket device with CID %" PRIu32 ", which is reserved",
                           vsock->guest_cid);
    if (vsock->next_port < STASIS_VIRTIO_VSOCK_PORT_MIN)
        return stasis_fail(err, STASIS_ERR_RANGE, "a socket device with next_port %" PRIu32,
                           vsock->next_port);
    return 0;
}
