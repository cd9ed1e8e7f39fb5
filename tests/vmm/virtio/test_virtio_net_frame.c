/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Headers of frames, and frames that take several receive buffers.
 */
#include "net_rig.h"

static struct net_rig rig;
static const struct net_header plain;

#define GUEST_F(name) STASIS_VIRTIO_NET_F_GUEST_##name
#define HOST_F(name)  STASIS_VIRTIO_NET_F_HOST_##name
#define CSUM          STASIS_VIRTIO_NET_F_CSUM
#define MRG           STASIS_VIRTIO_NET_F_MRG_RXBUF

static void use(uint64_t features)
{
    net_rig_init(&rig, &net_rig_config);
    net_rig_up(&rig, features);
}

static int start(void **state)
{
    (void)state;
    use(ALL_FEATURES);
    return 0;
}

/* Whether the driver may send this. */
static bool is_sent(const struct net_header *header, uint32_t len)
{
    unsigned before = rig.sent;
    uint64_t dropped = rig.net.counters.tx_dropped;

    net_rig_send(&rig, 0, header, len);
    wr(rig.mmio, R_NOTIFY, 1);
    assert_int_equal(rd(rig.mmio, R_STATUS), 15);
    assert_int_equal(rig.sent - before + rig.net.counters.tx_dropped - dropped, 1);
    return rig.sent > before;
}

/* Whether it is given this. */
static bool is_received(const struct net_header *header, size_t len)
{
    uint16_t before = net_rig_received(&rig);

    net_rig_buffer(&rig, 0, BUFFER, 0x3000);
    net_rig_arrive(&rig, 1, header, len);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rd(rig.mmio, R_STATUS), 15);
    assert_int_equal(rig.frames, 0);
    return net_rig_received(&rig) != before;
}

/* 5.1.4.2, 5.1.6.2.1 */
static void frames_have_bounds(void **state)
{
    const struct net_header tso = {1, 1, 54, 1448, 34, 16};

    (void)state;
    assert_false(is_sent(&plain, 0));
    assert_false(is_sent(&plain, 13));
    assert_true(is_sent(&plain, 14));
    assert_true(is_sent(&plain, 1518));
    assert_false(is_sent(&plain, 1519));
    assert_true(is_sent(&tso, 1519));
    assert_false(is_received(&plain, 13));
    assert_true(is_received(&plain, 14));
    assert_true(is_received(&plain, 1518));
    assert_false(is_received(&plain, 1519));
    assert_true(is_received(&tso, 1519));
    use(0); /* a driver that does not know of the MTU */
    assert_true(is_sent(&plain, 1519));
    assert_true(is_received(&plain, 1519));
}

/* What is less than a header is no frame, either. */
static void a_frame_without_header_is_dropped(void **state)
{
    (void)state;
    net_rig_buffer(&rig, 0, BUFFER, 0x3000);
    for (unsigned len = 1; len < HEADER; len++) {
        net_rig_arrive(&rig, 1, &plain, 60);
        rig.frame_len = len;
        stasis_virtio_net_resume(&rig.net);
        assert_int_equal(net_rig_received(&rig), 0);
        assert_int_equal(rig.net.counters.rx_dropped, len);
    }
}

static const struct {
    uint64_t driver, host; /* what allows it, in either direction */
    struct net_header header;
} allowed[] = {
    {CSUM, GUEST_F(CSUM), {1, 0, 0, 0, 34, 16}},
    {CSUM, GUEST_F(CSUM), {1, 0, 0, 0, 98, 0}}, /* the last two bytes */
    {CSUM | HOST_F(TSO4), GUEST_F(CSUM) | GUEST_F(TSO4), {1, 1, 54, 1448, 34, 16}},
    {CSUM | HOST_F(TSO6), GUEST_F(CSUM) | GUEST_F(TSO6), {1, 4, 74, 1428, 54, 16}},
    {CSUM | HOST_F(UFO), GUEST_F(CSUM) | GUEST_F(UFO), {1, 3, 42, 1472, 34, 6}},
    {CSUM | HOST_F(TSO4) | HOST_F(ECN),
     GUEST_F(CSUM) | GUEST_F(TSO4) | GUEST_F(ECN),
     {1, 0x81, 54, 1448, 34, 16}},
    {CSUM | HOST_F(TSO6) | HOST_F(ECN),
     GUEST_F(CSUM) | GUEST_F(TSO6) | GUEST_F(ECN),
     {1, 0x84, 74, 1428, 54, 16}},
};

/* With what allows it, and not without any of that. */
static void offloads_are_those_that_were_accepted(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        uint64_t all = allowed[i].driver | allowed[i].host;

        use(allowed[i].driver);
        if (!is_sent(&allowed[i].header, 100))
            fail_msg("case %u is not sent", i);
        use(allowed[i].host);
        if (!is_received(&allowed[i].header, 100))
            fail_msg("case %u is not received", i);
        use(all);
        assert_true(is_sent(&allowed[i].header, 100) && is_received(&allowed[i].header, 100));
        assert_memory_equal(rig.last, rig.frame, HEADER);
        for (unsigned bit = 0; bit < 32; bit++) {
            uint64_t less = all & ~(UINT64_C(1) << bit);

            if (less == all || !stasis_virtio_net_features_agree(less))
                continue;
            use(less);
            if ((less & allowed[i].driver) != allowed[i].driver && is_sent(&allowed[i].header, 100))
                fail_msg("case %u is sent without feature %u", i, bit);
            if ((less & allowed[i].host) != allowed[i].host && is_received(&allowed[i].header, 100))
                fail_msg("case %u is received without feature %u", i, bit);
        }
    }
}

static void bad_headers_are_dropped(void **state)
{
    static const struct net_header bad[] = {
        {1, 0, 0, 0, 99, 0}, /* the checksum leaves the frame */
        {1, 0, 0, 0, 0, 99},         {1, 0, 0, 0, 0xffff, 0xffff}, {1, 0, 0, 0, 0xffff, 3},
        {0, 1, 54, 1448, 34, 16}, /* to be segmented, with a checksum */
        {1, 1, 54, 0, 34, 16},    /* into parts of nothing */
        {1, 2, 54, 1448, 34, 16},    {1, 5, 54, 1448, 34, 16},     {1, 0x7f, 54, 1448, 34, 16},
        {1, 0x80, 54, 1448, 34, 16}, {1, 0x83, 42, 1472, 34, 6}, /* ECN is of TCP */
        {1, 0xff, 54, 1448, 34, 16},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (is_sent(&bad[i], 100) || is_received(&bad[i], 100))
            fail_msg("case %u", i);
    }
}

/* 5.1.6.2.2: what is not known is ignored, and what has no meaning goes no further. */
static void headers_are_cleaned(void **state)
{
    const struct net_header odd = {0xfe, 0, 60, 1448, 34, 16, 7};
    const struct net_header hint = {1, 1, 0xffff, 1448, 34, 16};
    uint8_t clean[HEADER];

    (void)state;
    assert_true(is_sent(&odd, 100));
    net_rig_header(clean, &plain);
    assert_memory_equal(rig.last, clean, HEADER);
    assert_true(is_sent(&hint, 100));
    net_rig_header(clean, &(struct net_header){1, 1, 100, 1448, 34, 16});
    assert_memory_equal(rig.last, clean, HEADER);
    assert_true(is_received(&odd, 100)); /* DATA_VALID stays */
    net_rig_header(clean, &(struct net_header){2, 0, 0, 0, 0, 0});
    assert_memory_equal(bytes_at(&rig.driver, BUFFER), clean, HEADER - 2);
    use(0);
    assert_true(is_received(&odd, 100));
    assert_int_equal(*bytes_at(&rig.driver, BUFFER), 0);
}

/* ---- several buffers ---- */

static void a_long_frame_takes_several_buffers(void **state)
{
    (void)state;
    net_rig_arrive(&rig, 1, &plain, 1000);
    for (unsigned i = 0; i < 4; i++)
        net_rig_buffer(&rig, 3 - i, BUFFER + 0x400 * i, 400);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(peek32(&rig.driver, USED + 4 + 8 * i), 3 - i);
        assert_int_equal(peek32(&rig.driver, USED + 8 + 8 * i), i < 2 ? 400 : 212);
    }
    assert_int_equal(peek16(&rig.driver, BUFFER + 10), 3);
    assert_memory_equal(bytes_at(&rig.driver, BUFFER + HEADER), rig.frame + HEADER, 400 - HEADER);
    assert_memory_equal(bytes_at(&rig.driver, BUFFER + 0x400), rig.frame + 400, 400);
    assert_memory_equal(bytes_at(&rig.driver, BUFFER + 0x800), rig.frame + 800, 212);
    assert_int_equal(rig.net.mmio.queues[0].state.next_avail, 3);
    assert_int_equal(rig.driver.irqs, 1);
}

/* 5.1.6.4.1: a driver that looks at any moment sees all of a frame, or nothing. */
static bool saw_a_part;

static void look(struct driver *driver, uint64_t gpa, uint64_t len)
{
    (void)gpa;
    (void)len;
    saw_a_part |= peek16(driver, USED + 2) % 3 != 0;
}

static void buffers_of_a_frame_are_given_back_at_once(void **state)
{
    (void)state;
    net_rig_arrive(&rig, 2, &plain, 1000);
    for (unsigned i = 0; i < 6; i++)
        net_rig_buffer(&rig, i, BUFFER + 0x400 * i, 400);
    saw_a_part = false;
    rig.driver.looked = look;
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 6);
    assert_false(saw_a_part);
}

/* It is held until there are enough; others stay at the host. */
static void a_frame_waits_for_the_rest_of_its_buffers(void **state)
{
    (void)state;
    net_rig_arrive(&rig, 2, &plain, 1000);
    net_rig_buffer(&rig, 0, BUFFER, 400);
    net_rig_buffer(&rig, 1, BUFFER + 0x400, 400);
    stasis_virtio_net_resume(&rig.net);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.asked, 1);
    assert_int_equal(net_rig_received(&rig), 0);
    assert_int_equal(rig.net.mmio.queues[0].state.next_avail, 0);
    net_rig_buffer(&rig, 2, BUFFER + 0x800, 400);
    wr(rig.mmio, R_NOTIFY, 0);
    assert_int_equal(net_rig_received(&rig), 3);
    assert_memory_equal(bytes_at(&rig.driver, BUFFER + 0x800), rig.frame + 800, 212);
    stasis_virtio_net_set_link(&rig.net, false);
    assert_int_equal(rig.net.counters.rx_dropped, 0);
}

/* The rest comes after the queue was found empty, and before the driver could know. */
static unsigned looks_at_idx;

static void offer_late(struct driver *driver, uint64_t gpa, uint64_t len)
{
    if (gpa == AVAIL + 2 && len == 2 && ++looks_at_idx == 4)
        poke16(driver, AVAIL + 2, 2);
}

static void a_buffer_that_comes_late_is_not_missed(void **state)
{
    (void)state;
    net_rig_arrive(&rig, 1, &plain, 600);
    net_rig_buffer(&rig, 0, BUFFER, 400);
    net_rig_buffer(&rig, 1, BUFFER + 0x400, 400);
    poke16(&rig.driver, AVAIL + 2, 1);
    looks_at_idx = 0;
    rig.driver.looked = offer_late;
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 0);
    assert_int_equal(rig.wakes, 1);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 2);
}

static void a_frame_that_waits_goes_with_its_driver(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start(NULL);
        net_rig_arrive(&rig, 1, &plain, 1000);
        net_rig_buffer(&rig, 0, BUFFER, 400);
        stasis_virtio_net_resume(&rig.net);
        assert_int_equal(rig.frames, 0);
        if (i)
            wr(rig.mmio, R_STATUS, 0);
        else
            stasis_virtio_net_set_link(&rig.net, false);
        assert_int_equal(rig.net.counters.rx_dropped, 1);
    }
    poke16(&rig.driver, AVAIL + 2, 0);
    poke16(&rig.driver, USED + 2, 0);
    net_rig_up(&rig, ALL_FEATURES);
    net_rig_buffer(&rig, 0, BUFFER, 2000);
    wr(rig.mmio, R_NOTIFY, 0);
    assert_int_equal(net_rig_received(&rig), 0);
}

/* All that the driver can offer is too little, or the one that it may be. */
static void a_frame_too_long_for_all_buffers_is_dropped(void **state)
{
    (void)state;
    net_rig_arrive(&rig, 1, &plain, 1000);
    for (unsigned i = 0; i < SIZE; i++)
        net_rig_buffer(&rig, i, BUFFER, 126);
    stasis_virtio_net_resume(&rig.net); /* 1008 bytes */
    assert_int_equal(net_rig_received(&rig), 0);
    assert_int_equal(rig.net.counters.rx_dropped, 1);
    rig.frame_len = 1008;
    rig.frames = 1;
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), SIZE);
    start(NULL);
    net_rig_arrive(&rig, 1, &plain, 84);
    for (unsigned i = 0; i < SIZE; i++)
        net_rig_buffer(&rig, i, BUFFER, HEADER); /* the least that there may be */
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), SIZE);
    use(ALL_FEATURES & ~MRG);
    net_rig_buffer(&rig, 0, BUFFER, 1011);
    net_rig_buffer(&rig, 1, BUFFER, 1011);
    net_rig_arrive(&rig, 1, &plain, 1000);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.net.counters.rx_dropped, 1);
    assert_int_equal(rig.net.mmio.queues[0].state.next_avail, 0); /* the buffer stays */
    net_rig_arrive(&rig, 1, &plain, 999);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 1);
}

static void the_longest_frame_is_received(void **state)
{
    const struct net_header tso = {1, 1, 54, 1448, 34, 16};

    (void)state;
    net_rig_arrive(&rig, 2, &tso, STASIS_VIRTIO_NET_FRAME_MAX);
    for (unsigned i = 0; i < SIZE; i++)
        net_rig_buffer(&rig, i, BUFFER, 8196);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), SIZE);
    assert_int_equal(rig.net.counters.rx_bytes, STASIS_VIRTIO_NET_FRAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(frames_have_bounds, start),
        cmocka_unit_test_setup(a_frame_without_header_is_dropped, start),
        cmocka_unit_test_setup(offloads_are_those_that_were_accepted, start),
        cmocka_unit_test_setup(bad_headers_are_dropped, start),
        cmocka_unit_test_setup(headers_are_cleaned, start),
        cmocka_unit_test_setup(a_long_frame_takes_several_buffers, start),
        cmocka_unit_test_setup(buffers_of_a_frame_are_given_back_at_once, start),
        cmocka_unit_test_setup(a_frame_waits_for_the_rest_of_its_buffers, start),
        cmocka_unit_test_setup(a_buffer_that_comes_late_is_not_missed, start),
        cmocka_unit_test_setup(a_frame_that_waits_goes_with_its_driver, start),
        cmocka_unit_test_setup(a_frame_too_long_for_all_buffers_is_dropped, start),
        cmocka_unit_test_setup(the_longest_frame_is_received, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
