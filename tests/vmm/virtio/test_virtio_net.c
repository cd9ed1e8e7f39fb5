/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Frames from the driver to the host and back, and the bounds of that.
 */
#include "net_rig.h"

static struct net_rig rig;
static const struct net_header plain;

static int start(void **state)
{
    (void)state;
    net_rig_init(&rig, &net_rig_config);
    net_rig_up(&rig, ALL_FEATURES);
    return 0;
}

static void send_now(void)
{
    wr(rig.mmio, R_NOTIFY, 1);
}

static void assert_broken(unsigned queue)
{
    assert_int_equal(rd(rig.mmio, R_STATUS), 15 | 64);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    assert_int_equal(rig.net.mmio.queues[queue].state.next_avail,
                     rig.net.mmio.queues[queue].state.next_used);
}

/* ---- sending ---- */

static void a_frame_is_sent(void **state)
{
    (void)state;
    net_rig_send(&rig, 3, &plain, 60);
    send_now();
    assert_int_equal(rig.sent, 1);
    assert_int_equal(rig.last_len, HEADER + 60);
    assert_memory_equal(rig.last, bytes_at(&rig.driver, TX_BUFFER), HEADER + 60);
    assert_int_equal(net_rig_transmitted(&rig), 1);
    assert_int_equal(peek32(&rig.driver, TX_USED + 4), 3);
    assert_int_equal(peek32(&rig.driver, TX_USED + 8), 0);
    assert_true(rig.driver.line);
    assert_int_equal(rig.net.counters.tx_frames, 1);
    assert_int_equal(rig.net.counters.tx_bytes, 60);
    assert_int_equal(rig.wakes, 0);
}

/* 2.7.4.2: pieces may be cut anywhere, as in the middle of the header. */
static void a_frame_in_pieces_is_sent(void **state)
{
    (void)state;
    net_rig_send(&rig, 0, &plain, 60);
    put_desc(&rig.driver, TX_DESC, 0, TX_BUFFER, 5, NEXT, 1);
    put_desc(&rig.driver, TX_DESC, 1, TX_BUFFER + 5, 30, NEXT, 2);
    put_desc(&rig.driver, TX_DESC, 2, TX_BUFFER + 35, HEADER + 25, 0, 0);
    send_now();
    assert_int_equal(rig.last_len, HEADER + 60);
    assert_memory_equal(rig.last, bytes_at(&rig.driver, TX_BUFFER), HEADER + 60);
}

static void a_busy_host_gets_the_frame_later(void **state)
{
    (void)state;
    rig.result = STASIS_VIRTIO_NET_BUSY;
    net_rig_send(&rig, 0, &plain, 60);
    net_rig_send(&rig, 1, &plain, 61);
    send_now();
    assert_int_equal(net_rig_transmitted(&rig), 0);
    assert_int_equal(rig.net.mmio.queues[1].state.next_avail, 0);
    assert_int_equal(rig.net.counters.tx_frames + rig.net.counters.tx_dropped, 0);
    assert_int_equal(rig.wakes, 0); /* the host knows when */
    rig.result = STASIS_VIRTIO_NET_SENT;
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_transmitted(&rig), 2);
    assert_int_equal(rig.sent, 2);
}

static void a_frame_that_is_lost_is_counted(void **state)
{
    (void)state;
    rig.result = STASIS_VIRTIO_NET_LOST;
    net_rig_send(&rig, 0, &plain, 60);
    send_now();
    assert_int_equal(net_rig_transmitted(&rig), 1);
    assert_int_equal(rig.net.counters.tx_dropped, 1);
    assert_int_equal(rig.net.counters.tx_frames, 0);
}

/* 16 pieces of the same RAM would be too much to send. */
static void a_frame_beyond_all_bounds_is_dropped(void **state)
{
    const struct net_header tso = {1, 1, 54, 1448, 34, 16};

    (void)state;
    net_rig_send(&rig, 0, &tso, 0x1000 - HEADER);
    for (unsigned i = 0; i < 7; i++)
        put_desc(&rig.driver, TX_DESC, i, TX_BUFFER - 0x1000, 0x2500, NEXT, i + 1);
    put_desc(&rig.driver, TX_DESC, 7, TX_BUFFER, 0x1000, 0, 0);
    put_desc(&rig.driver, TX_DESC, 0, TX_BUFFER, 0x1000, NEXT, 1);
    send_now(); /* 65024 bytes */
    assert_int_equal(rig.sent, 1);
    put_desc(&rig.driver, TX_DESC, 7, TX_BUFFER, 0x1000 + 543, 0, 0);
    net_rig_offer_tx(&rig, 0);
    send_now();
    assert_int_equal(rig.sent, 1);
    assert_int_equal(net_rig_transmitted(&rig), 2);
    assert_int_equal(rig.net.counters.tx_dropped, 1);
    put_desc(&rig.driver, TX_DESC, 7, TX_BUFFER, 0x1000 + 542, 0, 0);
    net_rig_offer_tx(&rig, 0);
    send_now();
    assert_int_equal(rig.sent, 2);
    assert_int_equal(rig.last_len, STASIS_VIRTIO_NET_BYTES_MAX);
}

/* There is no frame in it, or a place to write, which nothing would be written to. */
static void buffers_without_form_break_the_queue(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start(NULL);
        net_rig_send(&rig, 0, &plain, 60);
        if (i == 0)
            put_desc(&rig.driver, TX_DESC, 0, TX_BUFFER, HEADER - 1, 0, 0);
        if (i == 1)
            put_desc(&rig.driver, TX_DESC, 0, TX_BUFFER, HEADER + 60, WRITE, 0);
        if (i == 2)
            put_desc(&rig.driver, TX_DESC, 0, TX_BUFFER, 0, 0, 0);
        send_now();
        assert_int_equal(rig.sent, 0);
        assert_broken(1);
        send_now();
        stasis_virtio_net_resume(&rig.net);
        assert_broken(1);
    }
    start(NULL);
    net_rig_send(&rig, 0, &plain, 60);
    put_desc(&rig.driver, TX_DESC, 0, TX_BUFFER, HEADER + 60, NEXT, 1);
    put_desc(&rig.driver, TX_DESC, 1, TX_BUFFER, 0, WRITE, 0);
    send_now();
    assert_broken(1);
}

/* It is RAM while the descriptors are read, and none when the frame is. */
static uint64_t leaving;
static unsigned looks_left;

static void leave(struct driver *driver, uint64_t gpa, uint64_t len)
{
    if (leaving >= gpa && leaving < gpa + len && looks_left-- == 0) {
        driver->hole = leaving;
        driver->hole_len = 1;
    }
}

static void a_buffer_that_goes_away_breaks_the_queue(void **state)
{
    (void)state;
    leaving = TX_BUFFER + 30;
    looks_left = 1;
    net_rig_send(&rig, 0, &plain, 60);
    rig.driver.looked = leave;
    send_now();
    assert_int_equal(rig.sent, 0);
    assert_broken(1);
    start(NULL);
    leaving = BUFFER + 30;
    looks_left = 1;
    net_rig_buffer(&rig, 0, BUFFER, 2000);
    net_rig_arrive(&rig, 1, &plain, 60);
    rig.driver.looked = leave;
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 0);
    assert_broken(0);
}

/* A driver that makes frames available as fast as they are sent. */
static void refill(struct driver *driver, uint64_t gpa, uint64_t len)
{
    (void)gpa;
    (void)len;
    poke16(driver, TX_AVAIL + 2, (uint16_t)(rig.net.mmio.queues[1].state.next_used + 1));
}

static void one_notification_does_bounded_work(void **state)
{
    (void)state;
    net_rig_send(&rig, 0, &plain, 60);
    rig.driver.looked = refill;
    send_now();
    assert_in_range(rig.sent, 1, 64);
    assert_int_equal(rig.wakes, 1);
    stasis_virtio_net_resume(&rig.net);
    assert_in_range(rig.sent, 65, 128);
}

/* ---- receiving ---- */

static void a_frame_is_received(void **state)
{
    (void)state;
    net_rig_buffer(&rig, 2, BUFFER, 2000);
    net_rig_arrive(&rig, 1, &plain, 60);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 1);
    assert_int_equal(peek32(&rig.driver, USED + 4), 2);
    assert_int_equal(peek32(&rig.driver, USED + 8), HEADER + 60);
    assert_int_equal(peek16(&rig.driver, BUFFER + 10), 1); /* num_buffers */
    assert_memory_equal(bytes_at(&rig.driver, BUFFER + HEADER), rig.frame + HEADER, 60);
    assert_int_equal(*bytes_at(&rig.driver, BUFFER + HEADER + 60), 0);
    assert_true(rig.driver.line);
    assert_int_equal(rig.net.counters.rx_frames, 1);
    assert_int_equal(rig.net.counters.rx_bytes, 60);
}

/* Without buffers they wait at the host, and a notification fetches them. */
static void frames_wait_for_buffers(void **state)
{
    (void)state;
    net_rig_arrive(&rig, 3, &plain, 60);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.asked, 0);
    net_rig_buffer(&rig, 0, BUFFER, 2000);
    net_rig_buffer(&rig, 1, BUFFER, 2000);
    wr(rig.mmio, R_NOTIFY, 0);
    assert_int_equal(net_rig_received(&rig), 2);
    assert_int_equal(rig.frames, 1);
    assert_int_equal(rig.driver.irqs, 1);
    net_rig_buffer(&rig, 2, BUFFER, 2000);
    wr(rig.mmio, R_NOTIFY, 0);
    assert_int_equal(net_rig_received(&rig), 3);
    assert_int_equal(rig.net.counters.rx_dropped, 0);
}

static void a_flood_is_taken_in_parts(void **state)
{
    (void)state;
    net_rig_up(&rig, 0);
    net_rig_buffer(&rig, 0, BUFFER, 100); /* which all are too long for */
    net_rig_arrive(&rig, 1000, &plain, 600);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.frames, 1000 - 64);
    assert_int_equal(rig.net.counters.rx_dropped, 64);
    assert_int_equal(rig.wakes, 1);
}

/* 5.1.6.3.1: written to only, and with room for a header. */
static void receive_buffers_without_form_break_the_queue(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start(NULL);
        net_rig_arrive(&rig, 1, &plain, 600);
        net_rig_buffer(&rig, 0, BUFFER, 100);
        if (i == 0)
            put_desc(&rig.driver, DESC, 0, BUFFER, HEADER - 1, WRITE, 0);
        if (i == 1)
            put_desc(&rig.driver, DESC, 0, BUFFER, 2000, 0, 0);
        if (i == 2)
            net_rig_buffer(&rig, 1, BUFFER, HEADER - 1); /* the second of the frame */
        stasis_virtio_net_resume(&rig.net);
        assert_int_equal(net_rig_received(&rig), 0);
        assert_broken(0);
    }
}

/* The ring is RAM when its buffers are taken, each of which looks at all of it. */
static void a_used_ring_that_goes_away_breaks_the_queue(void **state)
{
    (void)state;
    leaving = USED + 4 + 8 * 6; /* an element; and avail_event is behind it */
    looks_left = 7;
    net_rig_arrive(&rig, 1, &plain, 600);
    for (unsigned i = 0; i < 7; i++)
        net_rig_buffer(&rig, i, BUFFER + 100 * i, 100);
    rig.driver.looked = leave;
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 0);
    assert_broken(0);
}

/* ---- the link ---- */

static void nothing_passes_a_link_that_is_down(void **state)
{
    (void)state;
    net_rig_buffer(&rig, 0, BUFFER, 2000);
    net_rig_arrive(&rig, 1, &plain, 60);
    stasis_virtio_net_set_link(&rig.net, false);
    net_rig_send(&rig, 0, &plain, 60);
    send_now();
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.sent, 0);
    assert_int_equal(net_rig_transmitted(&rig), 1);
    assert_int_equal(rig.net.counters.tx_dropped, 1);
    assert_int_equal(rig.asked, 0);
    assert_int_equal(rig.wakes, 0);
    stasis_virtio_net_set_link(&rig.net, true);
    assert_int_equal(rig.wakes, 1);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 1);
}

static void nothing_passes_a_device_that_is_not_used(void **state)
{
    (void)state;
    wr(rig.mmio, R_STATUS, 0);
    net_rig_arrive(&rig, 1, &plain, 60);
    stasis_virtio_net_resume(&rig.net);
    agree(rig.mmio, 0);
    set_up_queue(rig.mmio); /* to receive alone, and not live */
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.asked, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_frame_is_sent, start),
        cmocka_unit_test_setup(a_frame_in_pieces_is_sent, start),
        cmocka_unit_test_setup(a_busy_host_gets_the_frame_later, start),
        cmocka_unit_test_setup(a_frame_that_is_lost_is_counted, start),
        cmocka_unit_test_setup(a_frame_beyond_all_bounds_is_dropped, start),
        cmocka_unit_test_setup(buffers_without_form_break_the_queue, start),
        cmocka_unit_test_setup(a_buffer_that_goes_away_breaks_the_queue, start),
        cmocka_unit_test_setup(one_notification_does_bounded_work, start),
        cmocka_unit_test_setup(a_frame_is_received, start),
        cmocka_unit_test_setup(frames_wait_for_buffers, start),
        cmocka_unit_test_setup(a_flood_is_taken_in_parts, start),
        cmocka_unit_test_setup(receive_buffers_without_form_break_the_queue, start),
        cmocka_unit_test_setup(a_used_ring_that_goes_away_breaks_the_queue, start),
        cmocka_unit_test_setup(nothing_passes_a_link_that_is_down, start),
        cmocka_unit_test_setup(nothing_passes_a_device_that_is_not_used, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
