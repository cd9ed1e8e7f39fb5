/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vsock_rig.h"

#include <endian.h>

/* ---- the host ---- */

static void *on_connect(void *ctx, uint32_t id, uint32_t port)
{
    struct vsock_rig *rig = ctx;

    rig->id = id;
    rig->port = port;
    return rig->refuses ? NULL : &rig->peers[rig->connects++];
}

static void on_opened(void *ctx, void *peer, uint32_t port)
{
    struct vsock_rig *rig = ctx;

    assert_non_null(peer);
    rig->opens++;
    rig->port = port;
}

static size_t on_send(void *ctx, void *peer, const uint8_t *bytes, size_t len)
{
    struct vsock_rig *rig = ctx;

    assert_non_null(peer);
    assert_true(len > 0 && len <= sizeof(rig->sent));
    rig->sends++;
    memcpy(rig->sent, bytes, len);
    rig->sent_len = len;
    if (rig->refuses)
        return STASIS_VIRTIO_VSOCK_REFUSED;
    return len > rig->keeps ? len - rig->keeps : 0;
}

static enum stasis_virtio_vsock_received on_receive(void *ctx, void *peer, uint8_t *bytes,
                                                    size_t *len)
{
    struct vsock_rig *rig = ctx;
    size_t have = rig->has ? strlen(rig->has) : 0;

    assert_non_null(peer);
    assert_true(*len > 0);
    rig->receives++;
    if (!have)
        return rig->ends ? STASIS_VIRTIO_VSOCK_END : STASIS_VIRTIO_VSOCK_NOTHING;
    if (*len > have)
        *len = have;
    memcpy(bytes, rig->has, *len);
    rig->has += *len;
    return STASIS_VIRTIO_VSOCK_DATA;
}

static void on_shutdown(void *ctx, void *peer, unsigned flags)
{
    struct vsock_rig *rig = ctx;

    assert_non_null(peer);
    rig->shutdowns++;
    rig->flags = flags;
}

static void on_closed(void *ctx, void *peer)
{
    struct vsock_rig *rig = ctx;

    assert_non_null(peer);
    rig->closes++;
    rig->closed = peer;
}

static void on_wake(void *ctx)
{
    ((struct vsock_rig *)ctx)->wakes++;
}

static const struct stasis_virtio_vsock_ops ops = {on_connect,  on_opened, on_send, on_receive,
                                                   on_shutdown, on_closed, on_wake};

/* ---- the device ---- */

void vsock_rig_init(struct vsock_rig *rig)
{
    struct stasis_virtio_host host;

    memset(rig, 0, sizeof(*rig));
    driver_init(&rig->driver, &host);
    rig->mmio = &rig->vsock.mmio;
    assert_int_equal(stasis_virtio_vsock_init(&rig->vsock, &host, GUEST_CID, &ops, rig, NULL), 0);
}

void vsock_rig_device(struct vsock_rig *rig, uint64_t guest_cid)
{
    struct stasis_virtio_host host = rig->mmio->host;

    memset(&rig->vsock, 0xa5, sizeof(rig->vsock));
    rig->driver.line = false;
    assert_int_equal(stasis_virtio_vsock_init(&rig->vsock, &host, guest_cid, &ops, rig, NULL), 0);
    rig->wakes = 0;
}

void vsock_rig_up_empty(struct vsock_rig *rig)
{
    agree(rig->mmio, STASIS_VIRTIO_VSOCK_F_STREAM);
    set_up_queue(rig->mmio);
    set_up_queue_behind(rig->mmio, 1, TX);
    set_up_queue_behind(rig->mmio, 2, EVENT);
    wr(rig->mmio, R_STATUS, 15);
    assert_int_equal(rd(rig->mmio, R_STATUS), 15);
}

void vsock_rig_fill(struct vsock_rig *rig)
{
    for (unsigned i = 0; i < SIZE; i++) {
        put_desc(&rig->driver, DESC, i, BUFFER + i * RX_BYTES, RX_BYTES, WRITE, 0);
        offer(&rig->driver, (uint16_t)i);
    }
}

void vsock_rig_up(struct vsock_rig *rig)
{
    vsock_rig_up_empty(rig);
    vsock_rig_fill(rig);
}

/* ---- packets ---- */

struct packet vsock_rig_packet(unsigned op, uint32_t src_port, uint32_t dst_port)
{
    return (struct packet){.src_cid = GUEST_CID,
                           .dst_cid = 2,
                           .src_port = src_port,
                           .dst_port = dst_port,
                           .type = 1,
                           .op = op,
                           .buf_alloc = 4096};
}

void vsock_rig_send(struct vsock_rig *rig, const struct packet *packet)
{
    const uint64_t cids[] = {htole64(packet->src_cid), htole64(packet->dst_cid)};
    const uint32_t words[] = {htole32(packet->src_port), htole32(packet->dst_port),
                              htole32(packet->len),      htole32(packet->type | packet->op << 16),
                              htole32(packet->flags),    htole32(packet->buf_alloc),
                              htole32(packet->fwd_cnt)};
    uint8_t *at = bytes_at(&rig->driver, TX_BUFFER);

    memcpy(at, cids, sizeof(cids));
    memcpy(at + sizeof(cids), words, sizeof(words));
    put_desc(&rig->driver, DESC + TX, 0, TX_BUFFER, HEADER + packet->len, 0, 0);
    offer_behind(&rig->driver, TX, 0);
    stasis_virtio_vsock_resume(&rig->vsock);
}

void vsock_rig_say(struct vsock_rig *rig, unsigned op, uint32_t src_port, uint32_t dst_port)
{
    const struct packet packet = vsock_rig_packet(op, src_port, dst_port);

    vsock_rig_send(rig, &packet);
}

static uint64_t peek64(const struct driver *driver, uint64_t gpa)
{
    return peek32(driver, gpa) | (uint64_t)peek32(driver, gpa + 4) << 32;
}

struct packet vsock_rig_expect(struct vsock_rig *rig, unsigned op)
{
    struct driver *driver = &rig->driver;
    uint64_t used = USED + 4 + 8 * (uint64_t)(rig->seen % SIZE);
    struct packet packet;
    uint64_t gpa;

    stasis_virtio_vsock_resume(&rig->vsock);
    if (peek16(driver, USED + 2) == rig->seen)
        fail_msg("no packet; operation %u was expected", op);
    rig->seen++;
    gpa = BUFFER + peek32(driver, used) * RX_BYTES;
    packet = (struct packet){
        peek64(driver, gpa),      peek64(driver, gpa + 8),       peek32(driver, gpa + 16),
        peek32(driver, gpa + 20), peek32(driver, gpa + 24),      peek16(driver, gpa + 28),
        peek16(driver, gpa + 30), peek32(driver, gpa + 32),      peek32(driver, gpa + 36),
        peek32(driver, gpa + 40), bytes_at(driver, gpa + HEADER)};
    assert_int_equal(packet.op, op);
    assert_int_equal(packet.dst_cid, rig->vsock.guest_cid);
    assert_int_equal(peek32(driver, used + 4), HEADER + packet.len);
    offer(driver, (uint16_t)peek32(driver, used));
    return packet;
}

void vsock_rig_expect_none(struct vsock_rig *rig)
{
    stasis_virtio_vsock_resume(&rig->vsock);
    if (peek16(&rig->driver, USED + 2) != rig->seen)
        fail_msg("a packet that was not expected, of operation %u", vsock_rig_expect(rig, 0).op);
}

void vsock_rig_connect(struct vsock_rig *rig, uint32_t buf_alloc)
{
    struct packet packet = vsock_rig_packet(REQUEST, 1000, 52);

    packet.buf_alloc = buf_alloc;
    vsock_rig_send(rig, &packet);
    vsock_rig_expect(rig, RESPONSE);
}

uint32_t vsock_rig_open(struct vsock_rig *rig)
{
    uint32_t id;

    assert_true(stasis_virtio_vsock_open(&rig->vsock, 52, &rig->peers[rig->connects++], &id));
    vsock_rig_expect(rig, REQUEST);
    vsock_rig_say(rig, RESPONSE, 52, rig->vsock.next_port - 1);
    return id;
}
