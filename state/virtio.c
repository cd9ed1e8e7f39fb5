/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules between the fields of virtio devices (virtio 1.2), and between them and guest RAM.
 */
#include "stasis/virtio_state.h"

#include <inttypes.h>
#include <string.h>

#include "checks.h"

/* ---- a queue (2.7) ---- */

static bool fits(uint64_t gpa, uint64_t len, unsigned alignment)
{
    return gpa % alignment == 0 && gpa <= UINT64_MAX - len;
}

static bool is_power_of_two(unsigned n)
{
    return n && !(n & (n - 1));
}

int stasis_check_virtio_queue(const void *state, struct stasis_error *err)
{
    const struct stasis_virtio_queue_state *queue = state;

    if (!queue->ready) {
        if (queue->next_avail || queue->next_used)
            return stasis_fail(err, STASIS_ERR_RANGE, "a queue that is not ready has been used");
        return 0;
    }
    if (!is_power_of_two(queue->size))
        return stasis_fail(err, STASIS_ERR_RANGE, "a queue of %u entries, which is no power of two",
                           queue->size);
    if (!fits(queue->desc, STASIS_VIRTQ_DESC_BYTES(queue->size), 16) ||
        !fits(queue->driver, STASIS_VIRTQ_DRIVER_BYTES(queue->size), 2) ||
        !fits(queue->device, STASIS_VIRTQ_DEVICE_BYTES(queue->size), 4))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "a queue at 0x%" PRIx64 ", 0x%" PRIx64 ", 0x%" PRIx64
                           " is misaligned or leaves the address space",
                           queue->desc, queue->driver, queue->device);
    if ((uint16_t)(queue->next_avail - queue->next_used) > queue->size)
        return stasis_fail(err, STASIS_ERR_RANGE, "a queue of %u entries has %u buffers in flight",
                           queue->size, (uint16_t)(queue->next_avail - queue->next_used));
    return 0;
}

/* ---- the registers (2.1, 3.1, 4.2) ---- */

/* Each step of the initialization needs the one before. */
static bool steps_are_in_order(unsigned status)
{
    return (!(status & STASIS_VIRTIO_DRIVER) || status & STASIS_VIRTIO_ACKNOWLEDGE) &&
           (!(status & STASIS_VIRTIO_FEATURES_OK) || status & STASIS_VIRTIO_DRIVER) &&
           (!(status & STASIS_VIRTIO_DRIVER_OK) || status & STASIS_VIRTIO_FEATURES_OK);
}

static bool features_are_agreed(const struct stasis_virtio_mmio_state *mmio)
{
    return !mmio->driver_features_unknown && !(mmio->driver_features & ~mmio->device_features) &&
           mmio->driver_features & STASIS_VIRTIO_F_VERSION_1;
}

int stasis_check_virtio_mmio(const void *state, struct stasis_error *err)
{
    const struct stasis_virtio_mmio_state *mmio = state;

    if (!steps_are_in_order(mmio->status))
        return stasis_fail(err, STASIS_ERR_RANGE, "status 0x%02x lacks a step before another",
                           mmio->status);
    if (mmio->status & STASIS_VIRTIO_FEATURES_OK && !features_are_agreed(mmio))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "driver_features 0x%" PRIx64 " with FEATURES_OK, of 0x%" PRIx64
                           " offered",
                           mmio->driver_features, mmio->device_features);
    if (mmio->interrupt_status && !(mmio->status & STASIS_VIRTIO_DRIVER_OK))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "interrupt_status 0x%x of a device without DRIVER_OK",
                           mmio->interrupt_status);
    for (uint32_t i = 0; i < mmio->queues_count; i++) {
        if (mmio->queues[i].ready && !(mmio->status & STASIS_VIRTIO_FEATURES_OK))
            return stasis_fail(err, STASIS_ERR_RANGE,
                               "queues[%" PRIu32 "] is ready without FEATURES_OK", i);
    }
    return 0;
}

/* A request is answered before the next is taken. No queue is the default, which no device has. */
int stasis_check_virtio_rng(const void *state, struct stasis_error *err)
{
    const struct stasis_virtio_mmio_state *mmio =
        &((const struct stasis_virtio_rng_state *)state)->mmio;

    if (mmio->queues_count > 1)
        return stasis_fail(err, STASIS_ERR_RANGE, "an entropy device with %" PRIu32 " queues",
                           mmio->queues_count);
    if (mmio->queues[0].next_avail != mmio->queues[0].next_used)
        return stasis_fail(err, STASIS_ERR_RANGE, "an entropy device with requests in flight");
    return 0;
}

/* A block device's registers and queues are structs of their own, of the same rows. */
_Static_assert(sizeof(struct stasis_virtio_blk_mmio_state) ==
                       sizeof(struct stasis_virtio_mmio_state) &&
                   sizeof(struct stasis_virtio_blk_queue_state) ==
                       sizeof(struct stasis_virtio_queue_state),
               "virtio_mmio_rows.def, virtio_queue.def");

int stasis_check_virtio_blk_mmio(const void *state, struct stasis_error *err)
{
    struct stasis_virtio_mmio_state mmio;

    memcpy(&mmio, state, sizeof(mmio));
    return stasis_check_virtio_mmio(&mmio, err);
}

int stasis_check_virtio_blk_queue(const void *state, struct stasis_error *err)
{
    struct stasis_virtio_queue_state queue;

    memcpy(&queue, state, sizeof(queue));
    return stasis_check_virtio_queue(&queue, err);
}

/* Those in flight are the ones that were taken and not given back. */
static int check_requests(const struct stasis_virtio_blk_state *blk, struct stasis_error *err)
{
    const struct stasis_virtio_blk_queue_state *queue = &blk->mmio.queues[0];
    uint16_t flying = blk->mmio.queues_count ? (uint16_t)(queue->next_avail - queue->next_used) : 0;

    if (blk->requests_count != flying)
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "a block device with %" PRIu32
                           " requests in flight, and %u in its queue",
                           blk->requests_count, flying);
    for (uint32_t i = 0; i < blk->requests_count; i++) {
        if (blk->requests[i].head >= queue->size)
            return stasis_fail(err, STASIS_ERR_RANGE,
                               "requests[%" PRIu32 "] begins behind the descriptor table", i);
    }
    return 0;
}

int stasis_check_virtio_blk(const void *state, struct stasis_error *err)
{
    const struct stasis_virtio_blk_state *blk = state;

    if (blk->mmio.queues_count > 1)
        return stasis_fail(err, STASIS_ERR_RANGE, "a block device with %" PRIu32 " queues",
                           blk->mmio.queues_count);
    if (!is_power_of_two(blk->block_size))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "block_size %" PRIu32 " is no power of two from 512 to 65536",
                           blk->block_size);
    if (blk->sectors % (blk->block_size / 512))
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "a block device of %" PRIu64 " sectors, which are not whole blocks",
                           blk->sectors);
    return check_requests(blk, err);
}

/* ---- the rings in guest RAM ---- */

static int check_ring(const struct stasis_virtio_queue_state *queue, uint32_t number,
                      const struct stasis_virtio_ram *ram, struct stasis_error *err)
{
    uint16_t avail, used;

    if (!ram->has(ram->ctx, queue->desc, STASIS_VIRTQ_DESC_BYTES(queue->size)) ||
        !ram->has(ram->ctx, queue->driver, STASIS_VIRTQ_DRIVER_BYTES(queue->size)) ||
        !ram->has(ram->ctx, queue->device, STASIS_VIRTQ_DEVICE_BYTES(queue->size)) ||
        !ram->read16(ram->ctx, queue->driver + 2, &avail) ||
        !ram->read16(ram->ctx, queue->device + 2, &used))
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "queue %" PRIu32 " is not in RAM (0x%" PRIx64 ", 0x%" PRIx64
                           ", 0x%" PRIx64 ")",
                           number, queue->desc, queue->driver, queue->device);
    if (used != queue->next_used)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "queue %" PRIu32 ": the used ring in RAM has idx %u, the device %u",
                           number, used, queue->next_used);
    if ((uint16_t)(avail - queue->next_avail) > queue->size ||
        (uint16_t)(avail - queue->next_used) > queue->size)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "queue %" PRIu32 ": the available ring in RAM has idx %u, which is not "
                           "within %u entries beyond %u",
                           number, avail, queue->size, queue->next_avail);
    return 0;
}

int stasis_virtio_check_rings(const struct stasis_virtio_mmio_state *mmio,
                              const struct stasis_virtio_ram *ram, struct stasis_error *err)
{
    int rc = 0;

    if (!stasis_virtio_is_live(mmio->status))
        return 0;
    for (uint32_t i = 0; !rc && i < mmio->queues_count; i++) {
        if (mmio->queues[i].ready)
            rc = check_ring(&mmio->queues[i], i, ram, err);
    }
    return rc;
}
