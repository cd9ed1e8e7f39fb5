/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How a driver brings a virtio device up, and resets it (virtio 1.2, 2.1, 2.2, 3.1), and what the
 * device tells it.
 */
#include "mmio_internal.h"

#include <assert.h>

#define TRANSPORT_FEATURES                                                                         \
    (STASIS_VIRTIO_F_INDIRECT_DESC | STASIS_VIRTIO_F_EVENT_IDX | STASIS_VIRTIO_F_VERSION_1)

#define STATUS_BITS                                                                                \
    (STASIS_VIRTIO_ACKNOWLEDGE | STASIS_VIRTIO_DRIVER | STASIS_VIRTIO_DRIVER_OK |                  \
     STASIS_VIRTIO_FEATURES_OK | STASIS_VIRTIO_FAILED)

void stasis_virtio_mmio_guest_error(const struct stasis_virtio_mmio *mmio,
                                    enum stasis_guest_error error)
{
    if (mmio->host.guest_error)
        mmio->host.guest_error(mmio->host.ctx, error);
}

/* The only place that moves the line, but for stasis_virtio_mmio_apply_outputs(). */
void stasis_virtio_mmio_update_irq(struct stasis_virtio_mmio *mmio)
{
    bool level = mmio->regs.interrupt_status != 0;

    if (level == mmio->irq_level)
        return;
    mmio->irq_level = level;
    mmio->host.irq(mmio->host.ctx, level);
}

static void raise_interrupt(struct stasis_virtio_mmio *mmio, unsigned bit)
{
    mmio->regs.interrupt_status = (uint8_t)(mmio->regs.interrupt_status | bit);
    stasis_virtio_mmio_update_irq(mmio);
}

void stasis_virtio_mmio_fail(struct stasis_virtio_mmio *mmio, enum stasis_guest_error error)
{
    stasis_virtio_mmio_guest_error(mmio, error);
    mmio->regs.status |= STASIS_VIRTIO_NEEDS_RESET;
    if (mmio->regs.status & STASIS_VIRTIO_DRIVER_OK)
        raise_interrupt(mmio, STASIS_VIRTIO_INT_CONFIG);
}

bool stasis_virtio_mmio_is_active(const struct stasis_virtio_mmio *mmio, unsigned queue)
{
    return queue < mmio->kind->queue_count && mmio->queues[queue].state.ready &&
           stasis_virtio_is_live(mmio->regs.status);
}

void stasis_virtio_mmio_used(struct stasis_virtio_mmio *mmio, unsigned queue)
{
    if (stasis_virtqueue_wants_interrupt(&mmio->queues[queue], &mmio->host.memory))
        raise_interrupt(mmio, STASIS_VIRTIO_INT_USED);
}

void stasis_virtio_mmio_config_changed(struct stasis_virtio_mmio *mmio)
{
    mmio->regs.config_generation++;
    if (stasis_virtio_is_live(mmio->regs.status))
        raise_interrupt(mmio, STASIS_VIRTIO_INT_CONFIG);
}

/* ---- reset, status and features (2.1, 2.2, 3.1) ---- */

static void reset_queue(struct stasis_virtqueue *queue, uint16_t max_size)
{
    *queue = (struct stasis_virtqueue){.max_size = max_size};
    stasis_state_init(&stasis_virtio_queue_schema, &queue->state);
}

static void reset(struct stasis_virtio_mmio *mmio)
{
    stasis_state_init(&stasis_virtio_mmio_schema, &mmio->regs);
    mmio->regs.device_features = mmio->kind->features | TRANSPORT_FEATURES;
    for (unsigned i = 0; i < mmio->kind->queue_count; i++)
        reset_queue(&mmio->queues[i], mmio->kind->queue_size);
}

static void reset_by_driver(struct stasis_virtio_mmio *mmio)
{
    reset(mmio);
    if (mmio->kind->reset)
        mmio->kind->reset(mmio->device);
    stasis_virtio_mmio_update_irq(mmio);
}

/* 3.1.1: a step needs the one before, which the same write may make. */
static bool is_next_step(unsigned status)
{
    return (!(status & STASIS_VIRTIO_DRIVER) || status & STASIS_VIRTIO_ACKNOWLEDGE) &&
           (!(status & STASIS_VIRTIO_FEATURES_OK) || status & STASIS_VIRTIO_DRIVER) &&
           (!(status & STASIS_VIRTIO_DRIVER_OK) || status & STASIS_VIRTIO_FEATURES_OK);
}

/* 2.2, 6.1: not what was not offered, nor a driver that is not modern, nor a feature without those
 * that it requires. */
static bool accepts_features(const struct stasis_virtio_mmio *mmio)
{
    const struct stasis_virtio_mmio_state *regs = &mmio->regs;

    return !regs->driver_features_unknown && !(regs->driver_features & ~regs->device_features) &&
           regs->driver_features & STASIS_VIRTIO_F_VERSION_1 &&
           (!mmio->kind->accepts || mmio->kind->accepts(regs->driver_features));
}

static void use_features(struct stasis_virtio_mmio *mmio)
{
    for (unsigned i = 0; i < mmio->kind->queue_count; i++) {
        mmio->queues[i].has_event_idx = mmio->regs.driver_features & STASIS_VIRTIO_F_EVENT_IDX;
        mmio->queues[i].has_indirect = mmio->regs.driver_features & STASIS_VIRTIO_F_INDIRECT_DESC;
    }
}

/* A driver must not clear a bit (2.1.1); DEVICE_NEEDS_RESET is the device's own, and a driver that
 * writes back what it has read may have it or not. */
void stasis_virtio_mmio_write_status(struct stasis_virtio_mmio *mmio, uint32_t value)
{
    uint32_t own = mmio->regs.status & STASIS_VIRTIO_NEEDS_RESET;
    uint32_t had = mmio->regs.status & ~own;

    if (!value) {
        reset_by_driver(mmio);
        return;
    }
    value &= ~STASIS_VIRTIO_NEEDS_RESET;
    if (value & ~STATUS_BITS || had & ~value || !is_next_step(value) ||
        (had & STASIS_VIRTIO_FAILED && value != had)) {
        stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_COMMAND);
        return;
    }
    if (value & ~had & STASIS_VIRTIO_FEATURES_OK) {
        if (!accepts_features(mmio)) { /* 2.2.2: the bit stays clear, which says so */
            stasis_virtio_mmio_guest_error(mmio, STASIS_GUEST_ERROR_BAD_COMMAND);
            value &= ~(STASIS_VIRTIO_FEATURES_OK | STASIS_VIRTIO_DRIVER_OK);
        }
        use_features(mmio);
    }
    mmio->regs.status = (uint8_t)(value | own);
}

void stasis_virtio_mmio_init(struct stasis_virtio_mmio *mmio, const struct stasis_virtio_kind *kind,
                             void *device, const struct stasis_virtio_host *host)
{
    assert(host->irq && host->memory.at && host->memory.writable);
    assert(kind->queue_count <= STASIS_VIRTIO_MMIO_QUEUES_MAX &&
           kind->queue_size <= STASIS_VIRTQUEUE_SIZE_MAX);
    *mmio = (struct stasis_virtio_mmio){.kind = kind, .device = device, .host = *host};
    reset(mmio);
}
