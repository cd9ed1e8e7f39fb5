/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "net_rig.h"

#include <endian.h>

const struct stasis_virtio_net_config net_rig_config = {
    .mac = {0x02, 1, 2, 3, 4, 5}, .mtu = 1500, .offloads = STASIS_VIRTIO_NET_OFFLOADS};

static enum stasis_virtio_net_result on_send(void *ctx, const uint8_t *bytes, size_t len)
{
    struct net_rig *rig = ctx;

    assert_true(len <= sizeof(rig->last));
    memcpy(rig->last, bytes, len);
    rig->last_len = len;
    rig->sent += rig->result == STASIS_VIRTIO_NET_SENT;
    return rig->result;
}

static size_t on_receive(void *ctx, uint8_t *bytes, size_t size)
{
    struct net_rig *rig = ctx;

    assert_true(rig->frame_len <= size);
    rig->asked++;
    if (!rig->frames)
        return 0;
    rig->frames--;
    memcpy(bytes, rig->frame, rig->frame_len);
    return rig->frame_len;
}

static void on_accept(void *ctx, uint64_t offloads)
{
    struct net_rig *rig = ctx;

    rig->accepts++;
    rig->accepted = offloads;
}

static void on_wake(void *ctx)
{
    ((struct net_rig *)ctx)->wakes++;
}

static const struct stasis_virtio_net_ops ops = {on_send, on_receive, on_accept, on_wake};

void net_rig_init(struct net_rig *rig, const struct stasis_virtio_net_config *config)
{
    struct stasis_virtio_host host;

    memset(rig, 0, sizeof(*rig));
    driver_init(&rig->driver, &host);
    rig->mmio = &rig->net.mmio;
    assert_int_equal(stasis_virtio_net_init(&rig->net, &host, config, &ops, rig, NULL), 0);
}

void net_rig_device(struct net_rig *rig, const struct stasis_virtio_net_config *config)
{
    struct stasis_virtio_host host = rig->mmio->host;

    memset(&rig->net, 0xa5, sizeof(rig->net));
    rig->driver.line = false;
    assert_int_equal(stasis_virtio_net_init(&rig->net, &host, config, &ops, rig, NULL), 0);
    rig->wakes = rig->accepts = 0;
}

void net_rig_up(struct net_rig *rig, uint64_t features)
{
    agree(rig->mmio, features);
    set_up_queue(rig->mmio);
    set_up_queue_behind(rig->mmio, 1, TX_DESC - DESC);
    wr(rig->mmio, R_STATUS, 15);
    assert_int_equal(rd(rig->mmio, R_STATUS), 15);
}

static void store16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

void net_rig_header(uint8_t *bytes, const struct net_header *header)
{
    memset(bytes, 0, HEADER);
    bytes[0] = (uint8_t)header->flags;
    bytes[1] = (uint8_t)header->gso_type;
    store16(bytes + 2, header->hdr_len);
    store16(bytes + 4, header->gso_size);
    store16(bytes + 6, header->csum_start);
    store16(bytes + 8, header->csum_offset);
    store16(bytes + 10, header->num_buffers);
}

void net_rig_buffer(struct net_rig *rig, unsigned n, uint64_t gpa, uint32_t len)
{
    put_desc(&rig->driver, DESC, n, gpa, len, WRITE, 0);
    offer(&rig->driver, (uint16_t)n);
}

void net_rig_offer_tx(struct net_rig *rig, uint16_t head)
{
    offer_behind(&rig->driver, TX_DESC - DESC, head);
}

void net_rig_send(struct net_rig *rig, unsigned n, const struct net_header *header, uint32_t len)
{
    uint8_t *bytes = bytes_at(&rig->driver, TX_BUFFER);

    net_rig_header(bytes, header);
    for (unsigned i = 0; i < len && i < 0x1000; i++)
        bytes[HEADER + i] = (uint8_t)(i * 7 + 1);
    put_desc(&rig->driver, TX_DESC, n, TX_BUFFER, HEADER + len, 0, 0);
    net_rig_offer_tx(rig, (uint16_t)n);
}

void net_rig_arrive(struct net_rig *rig, unsigned count, const struct net_header *header,
                    size_t len)
{
    rig->frames = count;
    rig->frame_len = HEADER + len;
    net_rig_header(rig->frame, header);
    for (size_t i = 0; i < len; i++)
        rig->frame[HEADER + i] = (uint8_t)(i * 5 + 3);
}

uint16_t net_rig_received(const struct net_rig *rig)
{
    return peek16(&rig->driver, USED + 2);
}

uint16_t net_rig_transmitted(const struct net_rig *rig)
{
    return peek16(&rig->driver, TX_USED + 2);
}
