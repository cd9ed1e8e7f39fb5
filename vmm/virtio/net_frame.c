/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Headers of frames (virtio 1.2, 5.1.6), and how a frame is put into receive buffers.
 */
#include <endian.h>
#include <string.h>

#include "net_internal.h"

/* struct virtio_net_hdr */
struct header {
    uint8_t flags;
    uint8_t gso_type;
    uint16_t hdr_len;
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t num_buffers;
};
_Static_assert(sizeof(struct header) == STASIS_VIRTIO_NET_HEADER_BYTES, "5.1.6");

#define F_NEEDS_CSUM 1u
#define F_DATA_VALID 2u

#define GSO_NONE  0u
#define GSO_TCPV4 1u
#define GSO_UDP   3u
#define GSO_TCPV6 4u
#define GSO_ECN   0x80u

#define ETHERNET_MIN 14u /* of a frame: its header */
#define ETHERNET_MAX 18u /* of a header: with a VLAN tag */

/* The features that allow a header something, in a direction. */
struct offloads {
    uint64_t csum, tso4, tso6, ecn, ufo;
};

static const struct offloads of_driver = {
    STASIS_VIRTIO_NET_F_CSUM, STASIS_VIRTIO_NET_F_HOST_TSO4, STASIS_VIRTIO_NET_F_HOST_TSO6,
    STASIS_VIRTIO_NET_F_HOST_ECN, STASIS_VIRTIO_NET_F_HOST_UFO};
static const struct offloads of_host = {
    STASIS_VIRTIO_NET_F_GUEST_CSUM, STASIS_VIRTIO_NET_F_GUEST_TSO4, STASIS_VIRTIO_NET_F_GUEST_TSO6,
    STASIS_VIRTIO_NET_F_GUEST_ECN, STASIS_VIRTIO_NET_F_GUEST_UFO};

static bool has(const struct stasis_virtio_net *net, uint64_t features)
{
    return (net->mmio.regs.driver_features & features) == features;
}

static bool may_segment(const struct stasis_virtio_net *net, const struct offloads *offloads,
                        unsigned gso_type)
{
    bool has_ecn = gso_type & GSO_ECN;

    switch (gso_type & ~GSO_ECN) {
    case GSO_TCPV4:
        return has(net, offloads->tso4 | (has_ecn ? offloads->ecn : 0));
    case GSO_TCPV6:
        return has(net, offloads->tso6 | (has_ecn ? offloads->ecn : 0));
    case GSO_UDP:
        return has(net, offloads->ufo) && !has_ecn;
    default:
        return false;
    }
}

/* 5.1.4.2: the MTU is of packets that are not to be segmented. */
static bool is_length_allowed(const struct stasis_virtio_net *net, const struct header *header,
                              uint64_t len)
{
    return len >= ETHERNET_MIN && len <= STASIS_VIRTIO_NET_FRAME_MAX &&
           (header->gso_type != GSO_NONE || !has(net, STASIS_VIRTIO_NET_F_MTU) ||
            len <= (uint64_t)net->mtu + ETHERNET_MAX);
}

/* 5.1.6.2.1, 5.1.6.4.1: what is to be segmented lacks a checksum, too, and that lies within. */
static bool is_allowed(const struct stasis_virtio_net *net, const struct offloads *offloads,
                       const struct header *header, uint64_t len)
{
    bool needs_csum = header->flags & F_NEEDS_CSUM;

    if (!is_length_allowed(net, header, len))
        return false;
    if (needs_csum &&
        (!has(net, offloads->csum) ||
         (uint64_t)le16toh(header->csum_start) + le16toh(header->csum_offset) + 2 > len))
        return false;
    return header->gso_type == GSO_NONE ||
           (needs_csum && header->gso_size && may_segment(net, offloads, header->gso_type));
}

/* 5.1.6.2.2: flags that are not known, and fields that none makes valid, are ignored: the other
 * side gets zeros. hdr_len is a hint, and is not to be relied on. */
static void clean(struct header *header, unsigned flags, uint64_t len)
{
    header->flags = (uint8_t)(header->flags & flags);
    header->num_buffers = 0;
    if (!(header->flags & F_NEEDS_CSUM))
        header->csum_start = header->csum_offset = 0;
    if (header->gso_type == GSO_NONE)
        header->hdr_len = header->gso_size = 0;
    else if (le16toh(header->hdr_len) > len)
        header->hdr_len = htole16((uint16_t)len);
}

static bool may_pass(const struct stasis_virtio_net *net, const struct offloads *offloads,
                     unsigned flags, uint8_t *bytes, uint64_t len)
{
    struct header header;

    if (len < sizeof(header))
        return false;
    memcpy(&header, bytes, sizeof(header));
    len -= sizeof(header);
    if (!is_allowed(net, offloads, &header, len))
        return false;
    clean(&header, flags, len);
    memcpy(bytes, &header, sizeof(header));
    return true;
}

bool stasis_virtio_net_may_send(const struct stasis_virtio_net *net, uint8_t *bytes, uint64_t len)
{
    return may_pass(net, &of_driver, F_NEEDS_CSUM, bytes, len);
}

/* 5.1.6.4.1: without GUEST_CSUM all flags are clear. */
bool stasis_virtio_net_may_receive(const struct stasis_virtio_net *net, uint8_t *bytes,
                                   uint64_t len)
{
    unsigned flags = has(net, STASIS_VIRTIO_NET_F_GUEST_CSUM) ? F_NEEDS_CSUM | F_DATA_VALID : 0;

    return may_pass(net, &of_host, flags, bytes, len);
}

/* ---- receive buffers (5.1.6.3, 5.1.6.4) ---- */

struct placing {
    struct stasis_virtio_chain first, next;
    struct stasis_virtqueue_used used[STASIS_VIRTQUEUE_SIZE_MAX];
    unsigned taken, filled;
    size_t done;
    bool is_too_long; /* for all buffers that there can be */
};

static struct stasis_virtqueue *receiveq(struct stasis_virtio_net *net)
{
    return &net->mmio.queues[STASIS_VIRTIO_NET_RX];
}

/* A buffer is written only and has room for a header, so there is an end of them (5.1.6.3.1). */
static enum stasis_virtio_net_outcome fill(struct stasis_virtio_net *net, struct placing *placing,
                                           const struct stasis_virtio_chain *chain)
{
    size_t part = net->rx_len - placing->done;

    if (chain->reads || chain->write_len < sizeof(struct header))
        return STASIS_VIRTIO_NET_BROKEN;
    if (chain->write_len < part &&
        (!has(net, STASIS_VIRTIO_NET_F_MRG_RXBUF) || placing->taken == receiveq(net)->state.size)) {
        placing->is_too_long = true;
        return STASIS_VIRTIO_NET_DONE;
    }
    if (part > chain->write_len)
        part = (size_t)chain->write_len;
    if (stasis_virtio_chain_write(chain, &net->mmio.host.memory, 0, net->rx + placing->done,
                                  part) != part)
        return STASIS_VIRTIO_NET_BROKEN;
    placing->used[placing->filled++] = (struct stasis_virtqueue_used){chain->head, (uint32_t)part};
    placing->done += part;
    return STASIS_VIRTIO_NET_DONE;
}

static enum stasis_virtio_net_outcome fill_next(struct stasis_virtio_net *net,
                                                struct placing *placing)
{
    struct stasis_virtio_chain *chain = placing->taken ? &placing->next : &placing->first;
    const struct stasis_virtio_memory *memory = &net->mmio.host.memory;

    switch (stasis_virtqueue_take(receiveq(net), memory, chain)) {
    case STASIS_VIRTQUEUE_TAKEN:
        placing->taken++;
        return fill(net, placing, chain);
    case STASIS_VIRTQUEUE_EMPTY:
        if (stasis_virtqueue_await(receiveq(net), memory))
            net->ops->wake(net->ctx);
        return STASIS_VIRTIO_NET_WAITS;
    case STASIS_VIRTQUEUE_BROKEN:
    default:
        return STASIS_VIRTIO_NET_BROKEN;
    }
}

/* The driver sees all buffers of the frame at once. */
static bool put_filled(struct stasis_virtio_net *net, const struct placing *placing)
{
    const struct stasis_virtio_memory *memory = &net->mmio.host.memory;
    const uint16_t count = htole16((uint16_t)placing->filled);

    return stasis_virtio_chain_write(&placing->first, memory, offsetof(struct header, num_buffers),
                                     &count, sizeof(count)) == sizeof(count) &&
           stasis_virtqueue_put_all(receiveq(net), memory, placing->used, placing->filled);
}

static enum stasis_virtio_net_outcome fill_all(struct stasis_virtio_net *net,
                                               struct placing *placing)
{
    enum stasis_virtio_net_outcome outcome = STASIS_VIRTIO_NET_DONE;

    while (outcome == STASIS_VIRTIO_NET_DONE && !placing->is_too_long &&
           placing->done < net->rx_len)
        outcome = fill_next(net, placing);
    if (outcome == STASIS_VIRTIO_NET_DONE && !placing->is_too_long && !put_filled(net, placing))
        outcome = STASIS_VIRTIO_NET_BROKEN;
    return outcome;
}

static void forget_frame(struct stasis_virtio_net *net, bool is_placed)
{
    if (is_placed) {
        net->counters.rx_frames++;
        net->counters.rx_bytes += net->rx_len - sizeof(struct header);
    } else {
        net->counters.rx_dropped++;
    }
    net->rx_len = 0;
}

enum stasis_virtio_net_outcome stasis_virtio_net_place(struct stasis_virtio_net *net)
{
    enum stasis_virtio_net_outcome outcome;
    struct placing placing;

    placing.taken = placing.filled = 0;
    placing.done = 0;
    placing.is_too_long = false;
    outcome = fill_all(net, &placing);
    if (outcome != STASIS_VIRTIO_NET_DONE || placing.is_too_long) {
        for (; placing.taken; placing.taken--)
            stasis_virtqueue_untake(receiveq(net));
    }
    if (outcome == STASIS_VIRTIO_NET_DONE)
        forget_frame(net, !placing.is_too_long);
    return outcome;
}
