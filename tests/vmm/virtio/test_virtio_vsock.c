/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Connections of a virtio socket device: how they begin, carry bytes, and end.
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

/* An access to a register calls no operation of the host but wake. */
static void the_driver_connects(void **state)
{
    struct packet packet;

    (void)state;
    vsock_rig_say(&rig, REQUEST, 1000, 52);
    assert_int_equal(rig.connects, 1);
    assert_int_equal(rig.port, 52);
    packet = vsock_rig_expect(&rig, RESPONSE);
    assert_int_equal(packet.src_cid, 2);
    assert_int_equal(packet.src_port, 52);
    assert_int_equal(packet.dst_port, 1000);
    assert_int_equal(packet.type, 1);
    assert_int_equal(packet.flags, 0);
    assert_int_equal(packet.buf_alloc, STASIS_VIRTIO_VSOCK_BUFFER);
    assert_int_equal(rig.vsock.counters.to_host, 1);
    assert_true(rig.driver.line);
    rig.wakes = 0;
    wr(rig.mmio, R_NOTIFY, 1);
    assert_int_equal(rig.wakes, 1);
}

static void nobody_listens_on_the_host(void **state)
{
    (void)state;
    rig.refuses = true;
    vsock_rig_say(&rig, REQUEST, 1000, 52);
    vsock_rig_expect(&rig, RST);
    assert_int_equal(rig.vsock.counters.refused, 1);
    rig.refuses = false;
    vsock_rig_say(&rig, REQUEST, 1000, 52);
    vsock_rig_expect(&rig, RESPONSE);
}

static void the_host_connects(void **state)
{
    struct packet packet;
    uint32_t id;

    (void)state;
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
    packet = vsock_rig_expect(&rig, REQUEST);
    assert_int_equal(packet.src_port, PORT_0);
    assert_int_equal(packet.dst_port, 52);
    assert_int_equal(rig.opens, 0);
    vsock_rig_say(&rig, RESPONSE, 52, PORT_0);
    assert_int_equal(rig.opens, 1);
    assert_int_equal(rig.port, PORT_0);
    assert_int_equal(rig.vsock.counters.from_host, 1);
    vsock_rig_say(&rig, RESPONSE, 52, PORT_0); /* once is enough */
    vsock_rig_expect(&rig, RST);
    assert_int_equal(rig.closes, 1);
}

static void nobody_listens_in_the_guest(void **state)
{
    uint32_t id;

    (void)state;
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
    vsock_rig_expect(&rig, REQUEST);
    vsock_rig_say(&rig, RST, 52, PORT_0);
    assert_ptr_equal(rig.closed, &rig.peers[0]);
    assert_int_equal(rig.opens, 0);
    assert_int_equal(rig.vsock.counters.refused, 1);
    vsock_rig_expect_none(&rig);
    assert_int_equal(rig.vsock.top, 0);
}

/* A response before the request, bytes before the response, a shutdown before either. */
static void answers_out_of_order(void **state)
{
    static const unsigned ops[] = {RESPONSE, RW, SHUTDOWN, REQUEST, 0, 8};

    (void)state;
    for (unsigned i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        uint32_t id;

        vsock_rig_init(&rig);
        vsock_rig_up_empty(&rig);
        assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
        vsock_rig_say(&rig, ops[i], 52, PORT_0);
        assert_int_equal(rig.closes, 1);
        vsock_rig_fill(&rig);
        vsock_rig_expect(&rig, RST);
        vsock_rig_expect_none(&rig);
    }
}

static void nobody_uses_the_device(void **state)
{
    uint32_t id;

    (void)state;
    wr(rig.mmio, R_STATUS, 0);
    assert_false(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
}

/* ---- bytes ---- */

static void bytes_of_the_driver(void **state)
{
    struct packet packet = vsock_rig_packet(RW, 1000, 52);

    (void)state;
    vsock_rig_connect(&rig, 4096);
    packet.len = 5;
    memcpy(bytes_at(&rig.driver, TX_BUFFER + HEADER), "hello", 5);
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.sent_len, 5);
    assert_memory_equal(rig.sent, "hello", 5);
    assert_int_equal(rig.vsock.counters.tx_bytes, 5);
    packet.len = 0; /* nothing to give to the host */
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.sends, 1);
    vsock_rig_expect_none(&rig);
    vsock_rig_say(&rig, CREDIT_REQUEST, 1000, 52);
    assert_int_equal(vsock_rig_expect(&rig, CREDIT_UPDATE).fwd_cnt, 5);
}

static void bytes_of_the_host(void **state)
{
    struct packet packet;

    (void)state;
    vsock_rig_connect(&rig, 4096);
    vsock_rig_expect_none(&rig);
    assert_int_equal(rig.receives, 0); /* it has not said that it has any */
    rig.has = "from the host";
    stasis_virtio_vsock_ready(&rig.vsock, rig.id);
    packet = vsock_rig_expect(&rig, RW);
    assert_int_equal(packet.len, 13);
    assert_memory_equal(packet.bytes, "from the host", 13);
    vsock_rig_expect_none(&rig);
    assert_int_equal(rig.receives, 2);
    vsock_rig_expect_none(&rig);
    assert_int_equal(rig.receives, 2); /* there was nothing */
    assert_int_equal(rig.vsock.counters.rx_bytes, 13);
}

/* Bytes stay with the host while the driver has no buffer, or no room behind it. */
static void the_driver_gives_credit(void **state)
{
    struct packet packet = vsock_rig_packet(CREDIT_UPDATE, 1000, 52);

    (void)state;
    vsock_rig_connect(&rig, 4);
    rig.has = "0123456789";
    stasis_virtio_vsock_ready(&rig.vsock, rig.id);
    assert_int_equal(vsock_rig_expect(&rig, RW).len, 4);
    vsock_rig_expect(&rig, CREDIT_REQUEST);
    vsock_rig_expect_none(&rig);
    packet.buf_alloc = 4;
    vsock_rig_send(&rig, &packet); /* no news: no other request */
    vsock_rig_expect_none(&rig);
    packet.fwd_cnt = 3;
    vsock_rig_send(&rig, &packet);
    assert_int_equal(vsock_rig_expect(&rig, RW).len, 3);
    vsock_rig_expect(&rig, CREDIT_REQUEST);
    packet.fwd_cnt = 1000; /* more than it got */
    vsock_rig_send(&rig, &packet);
    vsock_rig_expect_none(&rig);
    packet.fwd_cnt = 7;
    packet.buf_alloc = UINT32_MAX;
    vsock_rig_send(&rig, &packet);
    assert_memory_equal(vsock_rig_expect(&rig, RW).bytes, "789", 3);
}

static void a_packet_is_no_longer_than_its_buffer(void **state)
{
    static char much[RX_BYTES + 1];
    struct packet packet;

    (void)state;
    memset(much, 'x', sizeof(much) - 1);
    vsock_rig_connect(&rig, 4096);
    rig.has = much;
    stasis_virtio_vsock_ready(&rig.vsock, rig.id);
    packet = vsock_rig_expect(&rig, RW);
    assert_int_equal(packet.len, RX_BYTES - HEADER);
    assert_int_equal(vsock_rig_expect(&rig, RW).len, HEADER);
}

/* A host that keeps bytes gives no credit for them. */
static void the_host_gives_credit(void **state)
{
    struct packet packet = vsock_rig_packet(RW, 1000, 52);
    uint32_t sent = 0;

    (void)state;
    vsock_rig_connect(&rig, 4096);
    rig.keeps = SIZE_MAX;
    for (packet.len = 8192; sent < STASIS_VIRTIO_VSOCK_BUFFER; sent += packet.len)
        vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.sends, 8);
    vsock_rig_expect_none(&rig);
    stasis_virtio_vsock_consumed(&rig.vsock, rig.id, 5);
    assert_int_equal(vsock_rig_expect(&rig, CREDIT_UPDATE).fwd_cnt, 5);
    stasis_virtio_vsock_consumed(&rig.vsock, rig.id, 40000);
    assert_int_equal(vsock_rig_expect(&rig, CREDIT_UPDATE).fwd_cnt, 40005);
    stasis_virtio_vsock_consumed(&rig.vsock, rig.id, 1); /* not worth a packet */
    vsock_rig_expect_none(&rig);
    packet.len = 5;
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.closes, 0);
}

static void a_driver_that_ignores_credit_is_reset(void **state)
{
    struct packet packet = vsock_rig_packet(RW, 1000, 52);

    (void)state;
    vsock_rig_connect(&rig, 4096);
    rig.keeps = SIZE_MAX;
    packet.len = 8192;
    for (unsigned i = 0; i < 8; i++)
        vsock_rig_send(&rig, &packet);
    packet.len = 1;
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.sends, 8);
    assert_int_equal(rig.closes, 1);
    vsock_rig_expect(&rig, RST);
    assert_int_equal(rig.vsock.counters.resets, 1);
    stasis_virtio_vsock_consumed(&rig.vsock, rig.id, 1); /* too late */
    vsock_rig_expect_none(&rig);
}

/* ---- ends ---- */

static void the_host_ends_first(void **state)
{
    (void)state;
    vsock_rig_connect(&rig, 4096);
    rig.has = "bye";
    rig.ends = true;
    stasis_virtio_vsock_ready(&rig.vsock, rig.id);
    vsock_rig_expect(&rig, RW);
    assert_int_equal(vsock_rig_expect(&rig, SHUTDOWN).flags, STASIS_VIRTIO_VSOCK_NO_SEND);
    stasis_virtio_vsock_ready(&rig.vsock, rig.id);
    vsock_rig_expect_none(&rig);
    vsock_rig_say(&rig, RW, 1000, 52); /* it may still be answered */
    assert_int_equal(rig.closes, 0);
    stasis_virtio_vsock_close(&rig.vsock, rig.id);
    assert_int_equal(vsock_rig_expect(&rig, SHUTDOWN).flags, 3);
    vsock_rig_say(&rig, RST, 1000, 52);
    assert_int_equal(rig.closes, 0); /* it was the host who closed */
    assert_int_equal(rig.vsock.top, 0);
    vsock_rig_expect_none(&rig);
}

static void the_driver_ends_first(void **state)
{
    struct packet packet = vsock_rig_packet(SHUTDOWN, 1000, 52);

    (void)state;
    vsock_rig_connect(&rig, 4096);
    vsock_rig_send(&rig, &packet); /* of nothing */
    assert_int_equal(rig.shutdowns, 0);
    packet.flags = STASIS_VIRTIO_VSOCK_NO_SEND | 0x80000000; /* and one that there is not */
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.flags, STASIS_VIRTIO_VSOCK_NO_SEND);
    rig.has = "an answer";
    stasis_virtio_vsock_ready(&rig.vsock, rig.id);
    vsock_rig_expect(&rig, RW);
    packet.flags = STASIS_VIRTIO_VSOCK_NO_RECEIVE; /* shutdowns add up */
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.closes, 1);
    vsock_rig_expect(&rig, RST);
    vsock_rig_expect_none(&rig);
    assert_int_equal(rig.vsock.counters.resets, 0); /* it was in good order */
}

static void a_driver_that_receives_nothing_gets_nothing(void **state)
{
    struct packet packet = vsock_rig_packet(SHUTDOWN, 1000, 52);

    (void)state;
    vsock_rig_connect(&rig, 4096);
    packet.flags = STASIS_VIRTIO_VSOCK_NO_RECEIVE;
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.flags, STASIS_VIRTIO_VSOCK_NO_RECEIVE);
    rig.has = "an answer";
    stasis_virtio_vsock_ready(&rig.vsock, rig.id);
    vsock_rig_expect_none(&rig);
    assert_int_equal(rig.receives, 0);
}

static void bytes_after_a_shutdown(void **state)
{
    struct packet packet = vsock_rig_packet(SHUTDOWN, 1000, 52);

    (void)state;
    vsock_rig_connect(&rig, 4096);
    packet.flags = STASIS_VIRTIO_VSOCK_NO_SEND;
    vsock_rig_send(&rig, &packet);
    packet.op = RW;
    packet.len = 1;
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.sends, 0);
    vsock_rig_expect(&rig, RST);
}

/* What the host does not take is lost, and the driver knows. */
static void a_host_that_receives_nothing(void **state)
{
    struct packet packet = vsock_rig_packet(RW, 1000, 52);

    (void)state;
    vsock_rig_connect(&rig, 4096);
    rig.refuses = true;
    packet.len = 7;
    vsock_rig_send(&rig, &packet);
    packet = vsock_rig_expect(&rig, SHUTDOWN);
    assert_int_equal(packet.flags, STASIS_VIRTIO_VSOCK_NO_RECEIVE);
    assert_int_equal(packet.fwd_cnt, 7);
    packet = vsock_rig_packet(RW, 1000, 52);
    packet.len = 8;
    vsock_rig_send(&rig, &packet);
    assert_int_equal(rig.sends, 1);
    vsock_rig_expect_none(&rig);
}

static void the_host_closes(void **state)
{
    uint32_t id;

    (void)state;
    id = vsock_rig_open(&rig);
    stasis_virtio_vsock_close(&rig.vsock, id);
    stasis_virtio_vsock_close(&rig.vsock, id); /* once is enough */
    assert_int_equal(vsock_rig_expect(&rig, SHUTDOWN).flags, 3);
    vsock_rig_say(&rig, RW, 52, PORT_0);
    vsock_rig_expect(&rig, RST);
    assert_int_equal(rig.closes, 0);
    assert_int_equal(rig.vsock.top, 0);
}

static void the_host_closes_before_an_answer(void **state)
{
    uint32_t id;

    (void)state;
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
    stasis_virtio_vsock_close(&rig.vsock, id); /* of which the driver never hears */
    vsock_rig_expect_none(&rig);
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
    vsock_rig_expect(&rig, REQUEST);
    stasis_virtio_vsock_close(&rig.vsock, id);
    vsock_rig_expect(&rig, RST);
    vsock_rig_say(&rig, RESPONSE, 52, PORT_0 + 1);
    vsock_rig_expect(&rig, RST);
    assert_int_equal(rig.opens, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_driver_connects, start),
        cmocka_unit_test_setup(nobody_listens_on_the_host, start),
        cmocka_unit_test_setup(the_host_connects, start),
        cmocka_unit_test_setup(nobody_listens_in_the_guest, start),
        cmocka_unit_test_setup(answers_out_of_order, start),
        cmocka_unit_test_setup(nobody_uses_the_device, start),
        cmocka_unit_test_setup(bytes_of_the_driver, start),
        cmocka_unit_test_setup(bytes_of_the_host, start),
        cmocka_unit_test_setup(the_driver_gives_credit, start),
        cmocka_unit_test_setup(a_packet_is_no_longer_than_its_buffer, start),
        cmocka_unit_test_setup(the_host_gives_credit, start),
        cmocka_unit_test_setup(a_driver_that_ignores_credit_is_reset, start),
        cmocka_unit_test_setup(the_host_ends_first, start),
        cmocka_unit_test_setup(the_driver_ends_first, start),
        cmocka_unit_test_setup(a_driver_that_receives_nothing_gets_nothing, start),
        cmocka_unit_test_setup(bytes_after_a_shutdown, start),
        cmocka_unit_test_setup(a_host_that_receives_nothing, start),
        cmocka_unit_test_setup(the_host_closes, start),
        cmocka_unit_test_setup(the_host_closes_before_an_answer, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
