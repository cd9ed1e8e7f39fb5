/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio network device, after virtio 1.2, 5.1: frames from queue to host, and back.
 */
#include "net_internal.h"

#include <assert.h>

#define WORK_MAX 64u /* frames that one call moves in a direction */

static struct stasis_virtqueue *queue_of(struct stasis_virtio_net *net, unsigned number)
{
    return &net->mmio.queues[number];
}

/* ---- what the driver sends ---- */

/* 5.1.6.2: a header, and a frame. False: not now. */
static bool send_frame(struct stasis_virtio_net *net, size_t len)
{
    enum stasis_virtio_net_result result = STASIS_VIRTIO_NET_LOST;

    if (net->is_link_up && stasis_virtio_net_may_send(net, net->tx, len))
        result = net->ops->send(net->ctx, net->tx, len);
    if (result == STASIS_VIRTIO_NET_SENT) {
        net->counters.tx_frames++;
        net->counters.tx_bytes += len - STASIS_VIRTIO_NET_HEADER_BYTES;
    } else if (result == STASIS_VIRTIO_NET_LOST) {
        net->counters.tx_dropped++;
    }
    return result != STASIS_VIRTIO_NET_BUSY;
}

static enum stasis_virtio_net_outcome send_chain(struct stasis_virtio_net *net,
                                                 const struct stasis_virtio_chain *chain)
{
    const struct stasis_virtio_memory *memory = &net->mmio.host.memory;

    if (chain->reads != chain->count || chain->read_len < STASIS_VIRTIO_NET_HEADER_BYTES)
        return STASIS_VIRTIO_NET_BROKEN;
    if (chain->read_len > sizeof(net->tx)) {
        net->counters.tx_dropped++;
    } else {
        size_t len = (size_t)chain->read_len;

        if (stasis_virtio_chain_read(chain, memory, 0, net->tx, len) != len)
            return STASIS_VIRTIO_NET_BROKEN;
        if (!send_frame(net, len))
            return STASIS_VIRTIO_NET_WAITS;
    }
    return stasis_virtqueue_put(queue_of(net, STASIS_VIRTIO_NET_TX), memory, chain->head, 0)
               ? STASIS_VIRTIO_NET_DONE
               : STASIS_VIRTIO_NET_BROKEN;
}

/* A frame that has not been sent is not taken: none is ever in flight. */
static enum stasis_virtio_net_outcome send_one(struct stasis_virtio_net *net)
{
    struct stasis_virtqueue *queue = queue_of(net, STASIS_VIRTIO_NET_TX);
    const struct stasis_virtio_memory *memory = &net->mmio.host.memory;
    enum stasis_virtio_net_outcome outcome;
    struct stasis_virtio_chain chain;

    switch (stasis_virtqueue_take(queue, memory, &chain)) {
    case STASIS_VIRTQUEUE_TAKEN:
        outcome = send_chain(net, &chain);
        if (outcome != STASIS_VIRTIO_NET_DONE)
            stasis_virtqueue_untake(queue);
        return outcome;
    case STASIS_VIRTQUEUE_EMPTY:
        return stasis_virtqueue_await(queue, memory) ? STASIS_VIRTIO_NET_DONE
                                                     : STASIS_VIRTIO_NET_WAITS;
    case STASIS_VIRTQUEUE_BROKEN:
    default:
        return STASIS_VIRTIO_NET_BROKEN;
    }
}

/* ---- what it receives ---- */

/* Without a buffer nothing is asked of the host, where frames can wait. False: there is none. */
static bool fetch(struct stasis_virtio_net *net)
{
    if (!net->is_link_up ||
        !stasis_virtqueue_await(queue_of(net, STASIS_VIRTIO_NET_RX), &net->mmio.host.memory))
        return false;
    net->rx_len = net->ops->receive(net->ctx, net->rx, sizeof(net->rx));
    assert(net->rx_len <= sizeof(net->rx));
    return net->rx_len > 0;
}

static enum stasis_virtio_net_outcome receive_one(struct stasis_virtio_net *net)
{
    if (!net->rx_len) {
        if (!fetch(net))
            return STASIS_VIRTIO_NET_WAITS;
        if (!stasis_virtio_net_may_receive(net, net->rx, net->rx_len)) {
            net->counters.rx_dropped++;
            net->rx_len = 0;
            return STASIS_VIRTIO_NET_DONE;
        }
    }
    return stasis_virtio_net_place(net);
}

/* ---- the queues ---- */

static void serve(struct stasis_virtio_net *net, unsigned number,
                  enum stasis_virtio_net_outcome (*move_one)(struct stasis_virtio_net *net))
{
    struct stasis_virtqueue *queue = queue_of(net, number);
    enum stasis_virtio_net_outcome outcome = STASIS_VIRTIO_NET_DONE;
    uint16_t used_before = queue->state.next_used;

    if (!stasis_virtio_mmio_is_active(&net->mmio, number))
        return;
    for (unsigned left = WORK_MAX; outcome == STASIS_VIRTIO_NET_DONE && left; left--)
        outcome = move_one(net);
    if (queue->state.next_used != used_before)
        stasis_virtio_mmio_used(&net->mmio, number);
    if (outcome == STASIS_VIRTIO_NET_BROKEN)
        stasis_virtio_mmio_fail(&net->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
    else if (outcome == STASIS_VIRTIO_NET_DONE)
        net->ops->wake(net->ctx);
}

void stasis_virtio_net_tell_accepted(struct stasis_virtio_net *net)
{
    uint64_t accepted = 0;

    if (stasis_virtio_is_live(net->mmio.regs.status))
        accepted = net->mmio.regs.driver_features & STASIS_VIRTIO_NET_GUEST_OFFLOADS;
    if (net->is_accept_known && accepted == net->accepted)
        return;
    net->is_accept_known = true;
    net->accepted = accepted;
    net->ops->accept(net->ctx, accepted);
}

void stasis_virtio_net_notify(void *device, unsigned queue)
{
    struct stasis_virtio_net *net = device;

    stasis_virtio_net_tell_accepted(net);
    if (queue == STASIS_VIRTIO_NET_TX)
        serve(net, queue, send_one);
    else
        serve(net, queue, receive_one);
}

void stasis_virtio_net_resume(struct stasis_virtio_net *net)
{
    stasis_virtio_net_tell_accepted(net);
    serve(net, STASIS_VIRTIO_NET_TX, send_one);
    serve(net, STASIS_VIRTIO_NET_RX, receive_one);
}
