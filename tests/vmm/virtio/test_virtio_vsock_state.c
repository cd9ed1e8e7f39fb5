/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Configuration and state of a virtio socket device, and what a driver hears after a restore.
 */
#include "vsock_rig.h"

static struct vsock_rig rig;
static struct stasis_virtio_vsock_state frozen;

static int start(void **state)
{
    (void)state;
    vsock_rig_init(&rig);
    vsock_rig_up(&rig);
    return 0;
}

static uint32_t config(unsigned offset)
{
    return stasis_virtio_mmio_read(rig.mmio, STASIS_VIRTIO_MMIO_CONFIG + offset, 4);
}

static void configuration(void **state)
{
    (void)state;
    assert_int_equal(rd(rig.mmio, 8), 19);
    assert_int_equal(rd(rig.mmio, R_DEVICE_FEATURES), 0x30000001);
    assert_int_equal(config(0), GUEST_CID);
    assert_int_equal(config(4), 0);
    agree(rig.mmio, 0); /* a driver that knows of no type of sockets */
}

static void reserved_cids_are_refused(void **state)
{
    static const uint64_t bad[] = {0, 1, 2, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    struct stasis_virtio_host host = rig.mmio->host;
    const struct stasis_virtio_vsock_ops *ops = rig.vsock.ops;
    struct stasis_error err;

    (void)state;
    stasis_virtio_vsock_save(&rig.vsock, &frozen);
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(stasis_virtio_vsock_init(&rig.vsock, &host, bad[i], ops, &rig, &err),
                         STASIS_ERR_ARG);
        assert_non_null(strstr(err.msg, "is reserved: give 3 to 4294967294"));
        if (bad[i])
            assert_int_equal(stasis_virtio_vsock_restore(&rig.vsock, &frozen, bad[i], &err),
                             STASIS_ERR_ARG);
    }
    vsock_rig_device(&rig, 3);
    vsock_rig_device(&rig, UINT32_MAX - 1);
    assert_int_equal(config(0), UINT32_MAX - 1);
    assert_int_equal(config(4), 0);
}

/* ---- freeze and thaw ---- */

static void save(void)
{
    stasis_virtio_vsock_save(&rig.vsock, &frozen);
    assert_int_equal(stasis_state_check(&stasis_virtio_vsock_schema, &frozen, NULL), 0);
}

static void thaw_as(uint64_t guest_cid)
{
    vsock_rig_device(&rig, 99);
    assert_int_equal(stasis_virtio_vsock_restore(&rig.vsock, &frozen, guest_cid, NULL), 0);
    assert_int_equal(stasis_virtio_mmio_check_memory(rig.mmio, NULL), 0);
    stasis_virtio_vsock_apply_outputs(&rig.vsock);
    assert_int_equal(rig.wakes, 1);
}

static void thaw(void)
{
    struct stasis_virtio_vsock_state again;

    thaw_as(0);
    stasis_virtio_vsock_save(&rig.vsock, &again);
    assert_memory_equal(&frozen, &again, sizeof(frozen));
    assert_int_equal(config(0), GUEST_CID);
}

static void offer_event(void)
{
    put_desc(&rig.driver, DESC + EVENT, 0, EVENT_BUFFER, 4, WRITE, 0);
    memset(bytes_at(&rig.driver, EVENT_BUFFER), 0xff, 4);
    offer_behind(&rig.driver, EVENT, 0);
}

/* So many events were given to the driver, the last of which is a transport reset. */
static void expect_events(uint16_t count)
{
    assert_int_equal(peek16(&rig.driver, USED + EVENT + 2), count);
    if (count)
        assert_int_equal(peek32(&rig.driver, EVENT_BUFFER), 0);
}

static void every_thaw_resets_the_connections(void **state)
{
    (void)state;
    vsock_rig_connect(&rig, 4096);
    offer_event();
    for (uint16_t generation = 1; generation < 4; generation++) {
        save();
        thaw();
        stasis_virtio_vsock_resume(&rig.vsock);
        expect_events(generation);
        assert_true(rig.driver.line);
        vsock_rig_say(&rig, RW, 1000, 52);
        vsock_rig_expect(&rig, RST);
        offer_event();
        stasis_virtio_vsock_resume(&rig.vsock); /* once is enough */
        assert_int_equal(peek16(&rig.driver, USED + EVENT + 2), generation);
    }
}

/* Another freeze may come before the driver has a buffer. */
static void the_event_waits_for_a_buffer(void **state)
{
    (void)state;
    vsock_rig_connect(&rig, 4096);
    save();
    thaw();
    stasis_virtio_vsock_resume(&rig.vsock);
    expect_events(0);
    vsock_rig_connect(&rig, 4096); /* nothing else waits for it */
    offer_event();
    wr(rig.mmio, R_NOTIFY, 2);
    stasis_virtio_vsock_resume(&rig.vsock);
    expect_events(1);
}

static void an_event_that_does_not_fit(void **state)
{
    (void)state;
    save();
    thaw();
    put_desc(&rig.driver, DESC + EVENT, 0, EVENT_BUFFER, 3, WRITE, 0);
    offer_behind(&rig.driver, EVENT, 0);
    stasis_virtio_vsock_resume(&rig.vsock);
    assert_int_equal(rd(rig.mmio, R_STATUS), 15 | STASIS_VIRTIO_NEEDS_RESET);
}

static void a_guest_that_runs_on_keeps_its_connections(void **state)
{
    (void)state;
    vsock_rig_connect(&rig, 4096);
    offer_event();
    save();
    rig.has = "still here";
    stasis_virtio_vsock_ready(&rig.vsock, rig.id);
    vsock_rig_expect(&rig, RW);
    assert_int_equal(rig.closes, 0);
    expect_events(0);
}

/* The driver may hear of a new connection before it has heard of the end of the old one. */
static void ports_go_on(void **state)
{
    uint32_t id;

    (void)state;
    vsock_rig_open(&rig);
    save();
    assert_int_equal(frozen.next_port, PORT_0 + 1);
    thaw();
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &id));
    vsock_rig_expect_none(&rig); /* it would end this one with the others */
    offer_event();
    vsock_rig_expect_none(&rig);
    expect_events(1);
    vsock_rig_expect_none(&rig);
    offer_event();
    assert_int_equal(vsock_rig_expect(&rig, REQUEST).src_port, PORT_0 + 1);
}

static void a_driver_that_is_not_ready_hears_nothing(void **state)
{
    (void)state;
    wr(rig.mmio, R_STATUS, 0);
    save();
    thaw();
    memset(rig.driver.ram, 0, sizeof(rig.driver.ram));
    vsock_rig_up_empty(&rig);
    offer_event();
    stasis_virtio_vsock_resume(&rig.vsock);
    expect_events(0);
}

/* 5.10.6.7: the driver reads its CID again after the event. */
static void a_thawed_guest_can_have_another_cid(void **state)
{
    struct packet packet = vsock_rig_packet(REQUEST, 1000, 52);

    (void)state;
    save();
    thaw_as(77);
    offer_event();
    stasis_virtio_vsock_resume(&rig.vsock);
    expect_events(1);
    assert_int_equal(config(0), 77);
    vsock_rig_send(&rig, &packet); /* as the one it was */
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_BAD_COMMAND], 1);
    vsock_rig_expect_none(&rig);
    packet.src_cid = 77;
    vsock_rig_send(&rig, &packet);
    vsock_rig_expect(&rig, RESPONSE);
    save();
    assert_int_equal(frozen.guest_cid, 77);
}

/* On a device that is in use: its peers are told. */
static void a_device_in_use_can_be_restored(void **state)
{
    (void)state;
    save();
    assert_true(stasis_virtio_vsock_open(&rig.vsock, 52, &rig.peers[0], &rig.id));
    assert_int_equal(stasis_virtio_vsock_restore(&rig.vsock, &frozen, 0, NULL), 0);
    assert_int_equal(rig.closes, 0);
    vsock_rig_expect_none(&rig);
    assert_int_equal(rig.closes, 1);
}

static void states_that_cannot_be_are_refused(void **state)
{
    struct stasis_error err;

    (void)state;
    save();
    wr(rig.mmio, R_STATUS, 0);
    frozen.mmio.queues[1].next_avail++;
    assert_int_equal(stasis_virtio_vsock_restore(&rig.vsock, &frozen, 0, &err), STASIS_ERR_RANGE);
    frozen.mmio.queues[1].next_avail--;
    frozen.mmio.device_features |= 2; /* SEQPACKET */
    assert_int_equal(stasis_virtio_vsock_restore(&rig.vsock, &frozen, 0, &err), STASIS_ERR_VERSION);
    assert_int_equal(rd(rig.mmio, R_STATUS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(configuration, start),
        cmocka_unit_test_setup(reserved_cids_are_refused, start),
        cmocka_unit_test_setup(every_thaw_resets_the_connections, start),
        cmocka_unit_test_setup(the_event_waits_for_a_buffer, start),
        cmocka_unit_test_setup(an_event_that_does_not_fit, start),
        cmocka_unit_test_setup(a_guest_that_runs_on_keeps_its_connections, start),
        cmocka_unit_test_setup(ports_go_on, start),
        cmocka_unit_test_setup(a_driver_that_is_not_ready_hears_nothing, start),
        cmocka_unit_test_setup(a_thawed_guest_can_have_another_cid, start),
        cmocka_unit_test_setup(a_device_in_use_can_be_restored, start),
        cmocka_unit_test_setup(states_that_cannot_be_are_refused, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
