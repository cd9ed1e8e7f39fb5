/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The queues of a virtio socket device, after virtio 1.2, 5.10.
 */
#include <endian.h>
#include <string.h>

#include "vsock_internal.h"

#define WORK_MAX 64u /* packets that one call moves in a direction */

enum outcome {
    DONE,  /* there may be more */
    WAITS, /* for the driver, or for the host */
    BROKEN,
};

static struct stasis_virtqueue *queue_of(struct stasis_virtio_vsock *vsock, unsigned number)
{
    return &vsock->mmio.queues[number];
}

/* The next buffer of a queue. DONE: there is one; or, if not *ret_taken, may be now. */
static enum outcome take(struct stasis_virtio_vsock *vsock, unsigned number,
                         struct stasis_virtio_chain *ret_chain, bool *ret_taken)
{
    struct stasis_virtqueue *queue = queue_of(vsock, number);
    const struct stasis_virtio_memory *memory = &vsock->mmio.host.memory;

    *ret_taken = false;
    switch (stasis_virtqueue_take(queue, memory, ret_chain)) {
    case STASIS_VIRTQUEUE_TAKEN:
        *ret_taken = true;
        return DONE;
    case STASIS_VIRTQUEUE_EMPTY:
        return stasis_virtqueue_await(queue, memory) ? DONE : WAITS;
    case STASIS_VIRTQUEUE_BROKEN:
    default:
        return BROKEN;
    }
}

/* Gives a buffer back with these bytes in it. */
static enum outcome answer(struct stasis_virtio_vsock *vsock, unsigned number,
                           const struct stasis_virtio_chain *chain, const void *bytes, size_t len)
{
    const struct stasis_virtio_memory *memory = &vsock->mmio.host.memory;

    if (len && stasis_virtio_chain_write(chain, memory, 0, bytes, len) != len)
        return BROKEN;
    return stasis_virtqueue_put(queue_of(vsock, number), memory, chain->head, (uint32_t)len)
               ? DONE
               : BROKEN;
}

/* ---- what the driver sends ---- */

static uint32_t load32(const uint8_t *bytes)
{
    uint32_t value;

    memcpy(&value, bytes, sizeof(value));
    return le32toh(value);
}

static uint64_t load64(const uint8_t *bytes)
{
    return load32(bytes) | (uint64_t)load32(bytes + 4) << 32;
}

static void load_header(struct stasis_virtio_vsock_header *header, const uint8_t *bytes)
{
    *header = (struct stasis_virtio_vsock_header){.src_cid = load64(bytes),
                                                  .dst_cid = load64(bytes + 8),
                                                  .src_port = load32(bytes + 16),
                                                  .dst_port = load32(bytes + 20),
                                                  .len = load32(bytes + 24),
                                                  .type = (uint16_t)load32(bytes + 28),
                                                  .op = (uint16_t)(load32(bytes + 28) >> 16),
                                                  .flags = load32(bytes + 32),
                                                  .buf_alloc = load32(bytes + 36),
                                                  .fwd_cnt = load32(bytes + 40)};
}

/* 5.10.6: the driver is who it says it is, and has as many bytes as it says; more of them than it
 * can have credit for are not looked at. */
static bool is_true(const struct stasis_virtio_vsock *vsock,
                    const struct stasis_virtio_vsock_header *header, uint64_t bytes)
{
    return header->src_cid == vsock->guest_cid && header->len <= bytes &&
           (header->op == STASIS_VIRTIO_VSOCK_OP_RW ? header->len <= STASIS_VIRTIO_VSOCK_BUFFER
                                                    : !header->len);
}

static enum outcome take_packet(struct stasis_virtio_vsock *vsock,
                                const struct stasis_virtio_chain *chain)
{
    const struct stasis_virtio_memory *memory = &vsock->mmio.host.memory;
    uint8_t bytes[STASIS_VIRTIO_VSOCK_HEADER_BYTES];
    struct stasis_virtio_vsock_header header;

    if (chain->reads != chain->count || chain->read_len < sizeof(bytes) ||
        stasis_virtio_chain_read(chain, memory, 0, bytes, sizeof(bytes)) != sizeof(bytes))
        return BROKEN;
    load_header(&header, bytes);
    if (!is_true(vsock, &header, chain->read_len - sizeof(bytes))) {
        if (vsock->mmio.host.guest_error)
            vsock->mmio.host.guest_error(vsock->mmio.host.ctx, STASIS_GUEST_ERROR_BAD_COMMAND);
        return DONE;
    }
    if (header.len &&
        stasis_virtio_chain_read(chain, memory, sizeof(bytes), vsock->tx, header.len) != header.len)
        return BROKEN;
    stasis_virtio_vsock_handle(vsock, &header);
    return DONE;
}

/* 5.10.6.1: a packet is not taken while there is no room for the reply to it. */
static enum outcome send_one(struct stasis_virtio_vsock *vsock)
{
    struct stasis_virtio_chain chain;
    enum outcome outcome;
    bool taken;

    if (!stasis_virtio_vsock_can_reply(vsock))
        return WAITS;
    outcome = take(vsock, STASIS_VIRTIO_VSOCK_TX, &chain, &taken);
    if (!taken)
        return outcome;
    outcome = take_packet(vsock, &chain);
    if (outcome == DONE)
        outcome = answer(vsock, STASIS_VIRTIO_VSOCK_TX, &chain, NULL, 0);
    else
        stasis_virtqueue_untake(queue_of(vsock, STASIS_VIRTIO_VSOCK_TX));
    return outcome;
}

/* ---- what it receives ---- */

/* A buffer has room for a header and for some bytes. */
static enum outcome receive_one(struct stasis_virtio_vsock *vsock)
{
    struct stasis_virtio_chain chain;
    enum outcome outcome = DONE;
    size_t len = 0;
    bool taken;

    if (!stasis_virtio_vsock_has_packet(vsock))
        return WAITS;
    outcome = take(vsock, STASIS_VIRTIO_VSOCK_RX, &chain, &taken);
    if (!taken)
        return outcome;
    if (chain.reads || chain.write_len <= STASIS_VIRTIO_VSOCK_HEADER_BYTES)
        outcome = BROKEN;
    else
        len = stasis_virtio_vsock_next_packet(
            vsock, chain.write_len < SIZE_MAX ? (size_t)chain.write_len : SIZE_MAX);
    if (len)
        outcome = answer(vsock, STASIS_VIRTIO_VSOCK_RX, &chain, vsock->rx, len);
    if (!len || outcome == BROKEN)
        stasis_virtqueue_untake(queue_of(vsock, STASIS_VIRTIO_VSOCK_RX));
    return outcome;
}

/* A driver that has handled an event offers its buffer again. */
static void await_reset(struct stasis_virtio_vsock *vsock)
{
    uint16_t left = stasis_virtqueue_await_more(queue_of(vsock, STASIS_VIRTIO_VSOCK_EVENT),
                                                &vsock->mmio.host.memory);

    if (left != vsock->events_left)
        vsock->is_reset_told = false;
}

/* struct virtio_vsock_event of TRANSPORT_RESET (5.10.6.7). */
static enum outcome tell_reset(struct stasis_virtio_vsock *vsock)
{
    const uint8_t event[4] = {0};
    struct stasis_virtio_chain chain;
    enum outcome outcome;
    bool taken;

    if (vsock->is_reset_told)
        await_reset(vsock);
    if (!vsock->is_reset_due)
        return WAITS;
    outcome = take(vsock, STASIS_VIRTIO_VSOCK_EVENT, &chain, &taken);
    if (!taken)
        return outcome;
    if (chain.reads || chain.write_len < sizeof(event))
        outcome = BROKEN;
    else
        outcome = answer(vsock, STASIS_VIRTIO_VSOCK_EVENT, &chain, event, sizeof(event));
    if (outcome == BROKEN) {
        stasis_virtqueue_untake(queue_of(vsock, STASIS_VIRTIO_VSOCK_EVENT));
        return outcome;
    }
    vsock->is_reset_due = false;
    vsock->is_reset_told = true;
    vsock->events_left = stasis_virtqueue_await_more(queue_of(vsock, STASIS_VIRTIO_VSOCK_EVENT),
                                                     &vsock->mmio.host.memory);
    return WAITS;
}

/* ---- the queues ---- */

static void serve(struct stasis_virtio_vsock *vsock, unsigned number,
                  enum outcome (*move_one)(struct stasis_virtio_vsock *vsock))
{
    struct stasis_virtqueue *queue = queue_of(vsock, number);
    uint16_t used_before = queue->state.next_used;
    enum outcome outcome = DONE;

    if (!stasis_virtio_mmio_is_active(&vsock->mmio, number))
        return;
    for (unsigned left = WORK_MAX; outcome == DONE && left; left--)
        outcome = move_one(vsock);
    if (queue->state.next_used != used_before)
        stasis_virtio_mmio_used(&vsock->mmio, number);
    if (outcome == DONE)
        vsock->ops->wake(vsock->ctx);
    if (outcome != BROKEN)
        return;
    stasis_virtio_mmio_fail(&vsock->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
    stasis_virtio_vsock_forget(vsock);
    stasis_virtio_vsock_drop_gone(vsock);
}

void stasis_virtio_vsock_notify(void *device, unsigned queue)
{
    struct stasis_virtio_vsock *vsock = device;

    (void)queue;
    vsock->ops->wake(vsock->ctx);
}

/* The queue that receives comes again for the replies to what was sent; and once those are away,
 * what waited for room for its reply is taken, of which the driver says nothing again. */
void stasis_virtio_vsock_resume(struct stasis_virtio_vsock *vsock)
{
    bool waits;

    stasis_virtio_vsock_drop_gone(vsock);
    serve(vsock, STASIS_VIRTIO_VSOCK_EVENT, tell_reset);
    serve(vsock, STASIS_VIRTIO_VSOCK_RX, receive_one);
    serve(vsock, STASIS_VIRTIO_VSOCK_TX, send_one);
    waits = !stasis_virtio_vsock_can_reply(vsock);
    serve(vsock, STASIS_VIRTIO_VSOCK_RX, receive_one);
    if (waits && stasis_virtio_vsock_can_reply(vsock))
        vsock->ops->wake(vsock->ctx);
}
