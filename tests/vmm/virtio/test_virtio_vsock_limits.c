/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a driver of a virtio socket device must not do, and how much there can be of what it may.
 */
#include "vsock_rig.h"

static struct vsock_rig rig;

static int start(void **state)
{
    (void)state;
    vsock_rig_init(&rig);
    vsock_rig_up(&rig);
    return 0;
}

/* 5.10.6.4 */
static void packets_to_nobody_are_reset(void **state)
{
    struct packet packet = vsock_rig_packet(REQUEST, 1000, 52);

    (void)state;
    packet.dst_cid = 3;
    vsock_rig_send(&rig, &packet);
    packet = vsock_rig_expect(&rig, RST);
    assert_int_equal(packet.src_cid, 3);
    assert_int_equal(packet.src_port, 52);
    assert_int_equal(packet.dst_port, 1000);
    packet = vsock_rig_packet(REQUEST, 1000, 52);
    packet.dst_cid = UINT64_C(1) << 32 | 2;
    vsock_rig_send(&rig, &packet);
    vsock_rig_expect(&rig, RST);
    packet = vsock_rig_packet(REQUEST, 1000, 52);
    packet.dst_cid = GUEST_CID; /* itself, or another that has the same */
    vsock_rig_send(&rig, &packet);
    vsock_rig_expect(&rig, RST);
    packet = vsock_rig_packet(REQUEST, 1000, 52);
    packet.type = 2; /* SEQPACKET, which was not offered */
    vsock_rig_send(&rig, &packet);
    assert_int_equal(vsock_rig_expect(&rig, RST).type, 2);
    for (unsigned op = 0; op < 10; op++) {
        if (op == REQUEST)
            continue;
        vsock_rig_say(&rig, op, 1000, 52);
        if (op != RST)
            vsock_rig_expect(&rig, RST);
        vsock_rig_expect_none(&rig);
    }
    assert_int_equal(rig.connects, 0);
    assert_int_equal(rig.driver.error_count, 0);
}

static void false_packets_are_dropped(void **state)
{
    struct packet packets[6];

    (void)state;
    vsock_rig_connect(&rig, 4096);
    for (unsigned i = 0; i < 6; i++)
        packets[i] = vsock_rig_packet(RW, 1000, 52);
    packets[0].src_cid = 43;
    packets[1].src_cid = UINT64_C(1) << 32 | GUEST_CID;
    packets[2].src_cid = 2;
    packets[3].op = REQUEST; /* with bytes */
    packets[3].len = 1;
    packets[4].op = CREDIT_UPDATE;
    packets[4].len = 1;
    packets[5].src_cid = 0;
    for (unsigned i = 0; i < 6; i++) {
        vsock_rig_send(&rig, &packets[i]);
        assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_BAD_COMMAND], i + 1);
    }
    packets[0] = vsock_rig_packet(RW, 1000, 52);
    vsock_rig_send(&rig, &packets[0]);
    packets[0].len = 100;
    vsock_rig_send(&rig, &packets[0]);
    put_desc(&rig.driver, DESC + TX, 1, TX_BUFFER, HEADER + 99, 0, 0); /* one is missing */
    offer_behind(&rig.driver, TX, 1);
    rig.sends = 0;
    stasis_virtio_vsock_resume(&rig.vsock);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_BAD_COMMAND], 7);
    assert_int_equal(rig.sends, 0);
    assert_int_equal(peek16(&rig.driver, USED + TX + 2), 10); /* all came back */
    vsock_rig_expect_none(&rig);
    assert_int_equal(rd(rig.mmio, R_STATUS), 15);
}

/* A buffer without a header, one that the device could write to; to receive into: one that it
 * reads, and one without room for a byte; an event that does not fit. */
static void buffers_that_break_the_rules(void **state)
{
    static const struct {
        uint64_t queue;
        uint32_t len;
        unsigned flags;
    } cases[] = {{TX, HEADER - 1, 0}, {TX, 100, WRITE}, {0, 512, 0}, {0, HEADER, WRITE}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint32_t id;

        vsock_rig_init(&rig);
        vsock_rig_up_empty(&rig);
        assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
        put_desc(&rig.driver, DESC + cases[i].queue, 0, TX_BUFFER, cases[i].len, cases[i].flags, 0);
        offer_behind(&rig.driver, cases[i].queue, 0);
        stasis_virtio_vsock_resume(&rig.vsock);
        assert_int_equal(rd(rig.mmio, R_STATUS), 15 | STASIS_VIRTIO_NEEDS_RESET);
        assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
        assert_int_equal(rig.closes, 1);
        assert_int_equal(peek16(&rig.driver, USED + cases[i].queue + 2), 0);
        assert_false(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
    }
}

/* 5.10.6.1: without buffers for replies no packet is taken, when there is room for no other. */
static void replies_are_bounded(void **state)
{
    uint16_t taken;

    (void)state;
    vsock_rig_init(&rig);
    vsock_rig_up_empty(&rig);
    for (unsigned i = 0; i < 2 * STASIS_VIRTIO_VSOCK_REPLIES; i++) {
        if (peek16(&rig.driver, USED + TX + 2) + SIZE == peek16(&rig.driver, AVAIL + TX + 2))
            break;
        vsock_rig_say(&rig, RW, 1000, i);
    }
    taken = peek16(&rig.driver, USED + TX + 2);
    assert_in_range(taken, STASIS_VIRTIO_VSOCK_REPLIES - 2, STASIS_VIRTIO_VSOCK_REPLIES);
    vsock_rig_fill(&rig);
    for (unsigned i = 0; i < taken; i++)
        assert_int_equal(vsock_rig_expect(&rig, RST).src_port, i);
    assert_true(peek16(&rig.driver, USED + TX + 2) > taken);
    assert_int_equal(rd(rig.mmio, R_STATUS), 15);
}

/* A queue of 128 entries, all of the same buffer, and all offered. */
static void set_up_long_queue(unsigned number, uint64_t at, uint64_t buffer, uint32_t len,
                              unsigned flags)
{
    enum { LONG = 128 };
    const uint64_t desc = at, avail = at + 0x800, used = at + 0xa00;

    wr(rig.mmio, R_QUEUE_SEL, number);
    wr(rig.mmio, R_QUEUE_NUM, LONG);
    wr64(rig.mmio, R_DESC, desc);
    wr64(rig.mmio, R_DRIVER, avail);
    wr64(rig.mmio, R_DEVICE, used);
    wr(rig.mmio, R_QUEUE_READY, 1);
    for (unsigned i = 0; i < LONG; i++) {
        put_desc(&rig.driver, desc, i, buffer, len, flags, 0);
        poke16(&rig.driver, avail + 4 + 2 * i, (uint16_t)i);
    }
    poke16(&rig.driver, avail + 2, LONG);
}

/* A driver that has notified once is waited for no more: the device comes again by itself. */
static void many_requests_at_once_are_all_answered(void **state)
{
    const uint64_t rx = 0x1000, tx = 0x2000;
    struct packet packet = vsock_rig_packet(REQUEST, 1000, 52);

    (void)state;
    vsock_rig_init(&rig);
    rig.refuses = true;
    vsock_rig_up_empty(&rig);
    vsock_rig_send(&rig, &packet); /* the bytes of a request are at TX_BUFFER */
    wr(rig.mmio, R_STATUS, 0);
    stasis_virtio_vsock_resume(&rig.vsock);
    agree(rig.mmio, STASIS_VIRTIO_VSOCK_F_STREAM);
    set_up_long_queue(0, rx, BUFFER, RX_BYTES, WRITE);
    set_up_long_queue(1, tx, TX_BUFFER, HEADER, 0);
    wr(rig.mmio, R_STATUS, 15);
    rig.wakes = 1;
    for (unsigned turns = 0; rig.wakes && turns < 16; turns++) {
        rig.wakes = 0;
        stasis_virtio_vsock_resume(&rig.vsock);
    }
    assert_int_equal(rig.wakes, 0);
    assert_int_equal(peek16(&rig.driver, tx + 0xa00 + 2), 128);
    assert_int_equal(peek16(&rig.driver, rx + 0xa00 + 2), 128);
}

/* Those whose host's end has gone make room for others. */
static void connections_are_bounded(void **state)
{
    uint32_t id;

    (void)state;
    for (uint32_t i = 0; i < STASIS_VIRTIO_VSOCK_CONNECTIONS; i++) {
        vsock_rig_say(&rig, REQUEST, i, 52);
        vsock_rig_expect(&rig, RESPONSE);
    }
    vsock_rig_say(&rig, REQUEST, STASIS_VIRTIO_VSOCK_CONNECTIONS, 52);
    vsock_rig_expect(&rig, RST);
    assert_int_equal(rig.connects, STASIS_VIRTIO_VSOCK_CONNECTIONS);
    assert_false(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
    stasis_virtio_vsock_close(&rig.vsock, rig.id); /* the last one */
    vsock_rig_expect(&rig, SHUTDOWN);
    vsock_rig_say(&rig, REQUEST, STASIS_VIRTIO_VSOCK_CONNECTIONS, 52);
    assert_int_equal(vsock_rig_expect(&rig, RST).dst_port, STASIS_VIRTIO_VSOCK_CONNECTIONS - 1);
    vsock_rig_expect(&rig, RESPONSE);
    stasis_virtio_vsock_close(&rig.vsock, rig.id);
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
}

/* Each has its turn, however much the first one has. */
static void connections_are_served_in_turn(void **state)
{
    static char much[8 * RX_BYTES];
    uint32_t ids[3];

    (void)state;
    memset(much, 'x', sizeof(much) - 1);
    for (uint32_t i = 0; i < 3; i++) {
        vsock_rig_say(&rig, REQUEST, i, 52);
        vsock_rig_expect(&rig, RESPONSE);
        ids[i] = rig.id;
    }
    rig.has = much;
    for (uint32_t i = 0; i < 3; i++)
        stasis_virtio_vsock_ready(&rig.vsock, ids[i]);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(vsock_rig_expect(&rig, RW).dst_port, i % 3);
}

static void host_ports_do_not_collide(void **state)
{
    uint32_t id;

    (void)state;
    rig.vsock.next_port = STASIS_VIRTIO_VSOCK_PORT_MAX;
    vsock_rig_say(&rig, REQUEST, 52, PORT_0); /* the driver has it, to the same port */
    vsock_rig_expect(&rig, RESPONSE);
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[1], &id));
    assert_int_equal(vsock_rig_expect(&rig, REQUEST).src_port, STASIS_VIRTIO_VSOCK_PORT_MAX);
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 53, &rig.peers[2], &id));
    assert_int_equal(vsock_rig_expect(&rig, REQUEST).src_port, PORT_0); /* another port: fine */
    rig.vsock.next_port = PORT_0;
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[3], &id));
    assert_int_equal(vsock_rig_expect(&rig, REQUEST).src_port, PORT_0 + 1);
}

static void a_reset_ends_all(void **state)
{
    uint32_t old;

    (void)state;
    vsock_rig_connect(&rig, 4096);
    old = rig.id;
    vsock_rig_say(&rig, RW, 7, 8);
    rig.wakes = 0;
    wr(rig.mmio, R_STATUS, 0);
    assert_int_equal(rig.closes, 0); /* not by an access to a register */
    assert_int_equal(rig.wakes, 1);
    stasis_virtio_vsock_ready(&rig.vsock, old);
    stasis_virtio_vsock_resume(&rig.vsock);
    assert_int_equal(rig.closes, 1);
    stasis_virtio_vsock_close(&rig.vsock, old);
    memset(rig.driver.ram, 0, sizeof(rig.driver.ram));
    rig.seen = 0;
    vsock_rig_up(&rig);
    vsock_rig_expect_none(&rig);
    vsock_rig_say(&rig, RW, 1000, 52);
    vsock_rig_expect(&rig, RST);
    vsock_rig_connect(&rig, 4096);
    assert_int_not_equal(rig.id, old);
    rig.has = "secret";
    stasis_virtio_vsock_ready(&rig.vsock, old); /* of another time */
    vsock_rig_expect_none(&rig);
}

/* The host may close, too, before it hears of the reset. */
static void a_reset_while_the_host_closes(void **state)
{
    (void)state;
    vsock_rig_connect(&rig, 4096);
    wr(rig.mmio, R_STATUS, 0);
    stasis_virtio_vsock_close(&rig.vsock, rig.id);
    stasis_virtio_vsock_resume(&rig.vsock);
    assert_int_equal(rig.closes, 0);
    assert_int_equal(rig.vsock.top, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(packets_to_nobody_are_reset, start),
        cmocka_unit_test_setup(false_packets_are_dropped, start),
        cmocka_unit_test_setup(buffers_that_break_the_rules, start),
        cmocka_unit_test_setup(replies_are_bounded, start),
        cmocka_unit_test_setup(many_requests_at_once_are_all_answered, start),
        cmocka_unit_test_setup(connections_are_bounded, start),
        cmocka_unit_test_setup(connections_are_served_in_turn, start),
        cmocka_unit_test_setup(host_ports_do_not_collide, start),
        cmocka_unit_test_setup(a_reset_ends_all, start),
        cmocka_unit_test_setup(a_reset_while_the_host_closes, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
