/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules between the fields of a virtio balloon device (virtio 1.2, 5.5).
 */
#include <inttypes.h>
#include <string.h>

#include "checks.h"

#include "stasis/virtio_state.h"

/* Registers and queues are structs of its own, of the same rows. */
_Static_assert(sizeof(struct stasis_virtio_balloon_mmio_state) ==
                       sizeof(struct stasis_virtio_mmio_state) &&
                   sizeof(struct stasis_virtio_balloon_queue_state) ==
                       sizeof(struct stasis_virtio_queue_state),
               "virtio_mmio_rows.def, virtio_queue.def");

int stasis_check_virtio_balloon_queue(const void *state, struct stasis_error *err)
{
    struct stasis_virtio_queue_state queue;

    memcpy(&queue, state, sizeof(queue));
    return stasis_check_virtio_queue(&queue, err);
}

int stasis_check_virtio_balloon_mmio(const void *state, struct stasis_error *err)
{
    struct stasis_virtio_mmio_state mmio;

    memcpy(&mmio, state, sizeof(mmio));
    return stasis_check_virtio_mmio(&mmio, err);
}

/* A request that is not done is not taken. No queue is the default, which no device has. */
int stasis_check_virtio_balloon(const void *state, struct stasis_error *err)
{
    const struct stasis_virtio_balloon_state *balloon = state;

    if (balloon->mmio.queues_count > STASIS_VIRTIO_BALLOON_QUEUES)
        return stasis_fail(err, STASIS_ERR_RANGE, "a balloon device with %" PRIu32 " queues",
                           balloon->mmio.queues_count);
    for (uint32_t i = 0; i < balloon->mmio.queues_count; i++) {
        if (balloon->mmio.queues[i].next_avail != balloon->mmio.queues[i].next_used)
            return stasis_fail(err, STASIS_ERR_RANGE,
                               "a balloon device with requests in flight in queue %" PRIu32, i);
    }
    if (balloon->poison_val &&
        !(balloon->mmio.device_features & STASIS_VIRTIO_BALLOON_F_PAGE_POISON))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "poison_val 0x%" PRIx32 " of a balloon device without PAGE_POISON",
                           balloon->poison_val);
    return 0;
}
