/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The state of a virtio device on the memory-mapped transport.
 */
#include "stasis/virtio_mmio.h"

#include <endian.h>
#include <inttypes.h>

static bool has(void *ctx, uint64_t gpa, uint64_t len)
{
    const struct stasis_virtio_memory *memory = ctx;

    return memory->at(memory->ctx, gpa, len) != NULL;
}

static bool read16(void *ctx, uint64_t gpa, uint16_t *ret_value)
{
    const struct stasis_virtio_memory *memory = ctx;
    const uint16_t *at = memory->at(memory->ctx, gpa, sizeof(*at));

    if (at)
        *ret_value = le16toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
    return at != NULL;
}

static int check_rings(const struct stasis_virtio_mmio *mmio,
                       const struct stasis_virtio_mmio_state *state, struct stasis_error *err)
{
    struct stasis_virtio_memory memory = mmio->host.memory;
    const struct stasis_virtio_ram ram = {has, read16, &memory};

    return stasis_virtio_check_rings(state, &ram, err);
}

static void collect(const struct stasis_virtio_mmio *mmio,
                    struct stasis_virtio_mmio_state *ret_state)
{
    *ret_state = mmio->regs;
    ret_state->queues_count = mmio->kind->queue_count;
    for (unsigned i = 0; i < mmio->kind->queue_count; i++)
        ret_state->queues[i] = mmio->queues[i].state;
}

void stasis_virtio_mmio_save(const struct stasis_virtio_mmio *mmio,
                             struct stasis_virtio_mmio_state *ret_state)
{
    collect(mmio, ret_state);
    if (check_rings(mmio, ret_state, NULL)) {
        ret_state->status |= STASIS_VIRTIO_NEEDS_RESET;
        ret_state->interrupt_status |= STASIS_VIRTIO_INT_CONFIG;
    }
}

static int check_kind(const struct stasis_virtio_mmio *mmio,
                      const struct stasis_virtio_mmio_state *state, struct stasis_error *err)
{
    if (state->device_features & ~mmio->regs.device_features)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "the guest was offered virtio features 0x%" PRIx64
                           ", this release offers 0x%" PRIx64 ": use the program that wrote it",
                           state->device_features, mmio->regs.device_features);
    if (state->queues_count != mmio->kind->queue_count)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "the device had %" PRIu32
                           " queues, this release gives it %u: use the program that wrote it",
                           state->queues_count, mmio->kind->queue_count);
    for (uint32_t i = 0; i < state->queues_count; i++) {
        if (state->queues[i].size > mmio->kind->queue_size)
            return stasis_fail(err, STASIS_ERR_VERSION,
                               "queue %" PRIu32 " has %u entries, this release has %u at most: use "
                               "the program that wrote it",
                               i, state->queues[i].size, mmio->kind->queue_size);
    }
    return 0;
}

/* Whether the driver was told of the last buffer is not known any more, and what it last asked for
 * is in RAM: the queue's own memory of both begins anew (virtio_queue.h). */
int stasis_virtio_mmio_restore(struct stasis_virtio_mmio *mmio,
                               const struct stasis_virtio_mmio_state *state,
                               struct stasis_error *err)
{
    int rc = check_kind(mmio, state, err);

    if (rc)
        return rc;
    mmio->regs = *state;
    for (unsigned i = 0; i < mmio->kind->queue_count; i++) {
        mmio->queues[i] = (struct stasis_virtqueue){
            .state = state->queues[i],
            .max_size = mmio->kind->queue_size,
            .has_event_idx = state->driver_features & STASIS_VIRTIO_F_EVENT_IDX,
            .has_indirect = state->driver_features & STASIS_VIRTIO_F_INDIRECT_DESC,
        };
    }
    return 0;
}

int stasis_virtio_mmio_check_memory(const struct stasis_virtio_mmio *mmio, struct stasis_error *err)
{
    struct stasis_virtio_mmio_state state;

    collect(mmio, &state);
    return check_rings(mmio, &state, err);
}

void stasis_virtio_mmio_apply_outputs(struct stasis_virtio_mmio *mmio)
{
    mmio->irq_level = mmio->regs.interrupt_status != 0;
    mmio->host.irq(mmio->host.ctx, mmio->irq_level);
}
