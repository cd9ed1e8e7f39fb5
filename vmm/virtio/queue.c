/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Split virtqueues, after virtio 1.2, 2.7; names of fields are its. All of them are little-endian.
 *
 * The driver runs at the same time. idx of a ring is what orders both sides: it is loaded before
 * what it announces is read (acquire), and stored after what it announces was written (release).
 */
#include <endian.h>
#include <string.h>

#include "queue_internal.h"

/* struct virtq_avail { flags, idx, ring[size], used_event } */
#define AVAIL_FLAGS          UINT64_C(0)
#define AVAIL_IDX            UINT64_C(2)
#define AVAIL_RING(n)        (UINT64_C(4) + UINT64_C(2) * (n))
#define AVAIL_F_NO_INTERRUPT 1u

/* struct virtq_used { flags, idx, ring[size] of { id, len }, avail_event } */
#define USED_IDX     UINT64_C(2)
#define USED_RING(n) (UINT64_C(4) + UINT64_C(8) * (n))

/* What has left RAM reads as 0: whoever cares has looked at the rings before. */
static uint16_t load(const struct stasis_virtio_memory *memory, uint64_t gpa)
{
    const uint16_t *at = memory->at(memory->ctx, gpa, sizeof(*at));

    return at ? le16toh(__atomic_load_n(at, __ATOMIC_ACQUIRE)) : 0;
}

static bool store(const struct stasis_virtio_memory *memory, uint64_t gpa, uint16_t value)
{
    uint16_t *at = memory->writable(memory->ctx, gpa, sizeof(*at));

    if (at)
        __atomic_store_n(at, htole16(value), __ATOMIC_RELEASE);
    return at != NULL;
}

static bool is_ram(const struct stasis_virtio_memory *memory, uint64_t gpa, uint64_t len,
                   unsigned alignment)
{
    return gpa % alignment == 0 && memory->at(memory->ctx, gpa, len);
}

static bool rings_are_ram(const struct stasis_virtio_queue_state *state,
                          const struct stasis_virtio_memory *memory)
{
    return is_ram(memory, state->desc, STASIS_VIRTQ_DESC_BYTES(state->size), 16) &&
           is_ram(memory, state->driver, STASIS_VIRTQ_DRIVER_BYTES(state->size), 2) &&
           is_ram(memory, state->device, STASIS_VIRTQ_DEVICE_BYTES(state->size), 4);
}

bool stasis_virtqueue_is_usable(const struct stasis_virtqueue *queue,
                                const struct stasis_virtio_memory *memory)
{
    uint16_t size = queue->state.size;

    return size && !(size & (size - 1)) && size <= queue->max_size &&
           rings_are_ram(&queue->state, memory);
}

/* 2.7.13: no more buffers than entries are outstanding. */
enum stasis_virtqueue_result stasis_virtqueue_take(struct stasis_virtqueue *queue,
                                                   const struct stasis_virtio_memory *memory,
                                                   struct stasis_virtio_chain *ret_chain)
{
    struct stasis_virtio_queue_state *state = &queue->state;
    uint16_t idx, head;

    if (!rings_are_ram(state, memory))
        return STASIS_VIRTQUEUE_BROKEN;
    idx = load(memory, state->driver + AVAIL_IDX);
    if ((uint16_t)(idx - state->next_avail) > state->size ||
        (uint16_t)(idx - state->next_used) > state->size)
        return STASIS_VIRTQUEUE_BROKEN;
    if (idx == state->next_avail)
        return STASIS_VIRTQUEUE_EMPTY;
    head = load(memory, state->driver + AVAIL_RING(state->next_avail % state->size));
    if (!stasis_virtio_chain_collect(ret_chain, queue, memory, head))
        return STASIS_VIRTQUEUE_BROKEN;
    state->next_avail++;
    return STASIS_VIRTQUEUE_TAKEN;
}

void stasis_virtqueue_untake(struct stasis_virtqueue *queue)
{
    queue->state.next_avail--;
}

static bool store_used(const struct stasis_virtio_queue_state *state,
                       const struct stasis_virtio_memory *memory, uint16_t n,
                       const struct stasis_virtqueue_used *used)
{
    const uint32_t elem[2] = {htole32(used->head), htole32(used->written)};
    void *at =
        memory->writable(memory->ctx, state->device + USED_RING(n % state->size), sizeof(elem));

    if (at)
        memcpy(at, elem, sizeof(elem));
    return at != NULL;
}

bool stasis_virtqueue_put_all(struct stasis_virtqueue *queue,
                              const struct stasis_virtio_memory *memory,
                              const struct stasis_virtqueue_used *used, unsigned count)
{
    struct stasis_virtio_queue_state *state = &queue->state;
    uint16_t idx = state->next_used;

    for (unsigned i = 0; i < count; i++, idx++) {
        if (!store_used(state, memory, idx, &used[i]))
            return false;
    }
    if (!store(memory, state->device + USED_IDX, idx))
        return false;
    state->next_used = idx;
    return true;
}

bool stasis_virtqueue_put(struct stasis_virtqueue *queue, const struct stasis_virtio_memory *memory,
                          uint16_t head, uint32_t written)
{
    const struct stasis_virtqueue_used used = {head, written};

    return stasis_virtqueue_put_all(queue, memory, &used, 1);
}

/* 2.7.7.2, 2.7.10.1. The fence: idx is stored before used_event is loaded, as the driver stores
 * that before it loads idx, so that one of both sees the other. After a thaw it is not known what
 * the driver was told last, so it is told. */
bool stasis_virtqueue_wants_interrupt(struct stasis_virtqueue *queue,
                                      const struct stasis_virtio_memory *memory)
{
    const struct stasis_virtio_queue_state *state = &queue->state;
    uint16_t now = state->next_used, before = queue->signalled_used;
    bool is_known = queue->is_signalled;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (!queue->has_event_idx)
        return !(load(memory, state->driver + AVAIL_FLAGS) & AVAIL_F_NO_INTERRUPT);
    queue->signalled_used = now;
    queue->is_signalled = true;
    return !is_known || (uint16_t)(now - load(memory, state->driver + AVAIL_RING(state->size)) -
                                   1) < (uint16_t)(now - before);
}

uint16_t stasis_virtqueue_await_more(const struct stasis_virtqueue *queue,
                                     const struct stasis_virtio_memory *memory)
{
    const struct stasis_virtio_queue_state *state = &queue->state;
    uint16_t idx = load(memory, state->driver + AVAIL_IDX);

    if (queue->has_event_idx)
        (void)store(memory, state->device + USED_RING(state->size), idx);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return (uint16_t)(load(memory, state->driver + AVAIL_IDX) - state->next_avail);
}

/* 2.7.10.2. Without EVENT_IDX the driver always notifies, as flags of the used ring stay 0. */
bool stasis_virtqueue_await(const struct stasis_virtqueue *queue,
                            const struct stasis_virtio_memory *memory)
{
    const struct stasis_virtio_queue_state *state = &queue->state;

    if (queue->has_event_idx)
        (void)store(memory, state->device + USED_RING(state->size), state->next_avail);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return load(memory, state->driver + AVAIL_IDX) != state->next_avail;
}
