/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Configuration, features, link and state of a virtio network device.
 */
#include "net_rig.h"

static struct net_rig rig;
static struct stasis_virtio_net_state frozen;
static const struct net_header plain;

static int start(void **state)
{
    (void)state;
    net_rig_init(&rig, &net_rig_config);
    net_rig_up(&rig, ALL_FEATURES);
    return 0;
}

static uint32_t config(unsigned offset, unsigned size)
{
    return stasis_virtio_mmio_read(rig.mmio, STASIS_VIRTIO_MMIO_CONFIG + offset, size);
}

static void configuration(void **state)
{
    (void)state;
    assert_int_equal(rd(rig.mmio, 8), 1);
    assert_int_equal(rd(rig.mmio, R_DEVICE_FEATURES), 0x3001ffab);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(config(i, 1), net_rig_config.mac[i]);
    assert_int_equal(config(6, 2), 1);
    assert_int_equal(config(8, 2), 1);
    assert_int_equal(config(10, 2), 1500);
    assert_int_equal(config(12, 1), 0);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 1);
}

/* 5.1.4.2: "The driver MUST NOT write to any of the device configuration fields." */
static void the_configuration_is_not_written(void **state)
{
    static const struct {
        unsigned at, size;
    } fields[] = {{0, 1}, {5, 1}, {0, 4}, {4, 4}, {6, 2}, {8, 2}, {8, 4}, {10, 2}};
    const unsigned count = sizeof(fields) / sizeof(fields[0]);

    (void)state;
    for (unsigned i = 0; i < count; i++)
        stasis_virtio_mmio_write(rig.mmio, STASIS_VIRTIO_MMIO_CONFIG + fields[i].at, fields[i].size,
                                 UINT32_MAX);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_READ_ONLY], count);
    assert_int_equal(rig.driver.error_count, count);
    configuration(state);
}

static void devices_that_cannot_be_are_refused(void **state)
{
    struct stasis_virtio_host host = rig.mmio->host;
    const struct {
        struct stasis_virtio_net_config config;
        const char *text;
    } cases[] = {
        {{.mac = {1}, .mtu = 1500}, "MAC address 01:00:00:00:00:00 is not of one station"},
        {{.mac = {255, 255, 255, 255, 255, 255}, .mtu = 1500}, "ff:ff:ff:ff:ff:ff"},
        {{.mac = {0}, .mtu = 1500}, "00:00:00:00:00:00"},
        {{.mac = {2}, .mtu = 67}, "MTU 67: give 68 to 65535"},
        {{.mac = {2}, .mtu = 68, .offloads = 1 << 5}, "offloads 0x20"},
        {{.mac = {2}, .mtu = 68, .offloads = 1 << 11}, "offloads 0x800"},
    };
    struct stasis_error err;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(
            stasis_virtio_net_init(&rig.net, &host, &cases[i].config, rig.net.ops, &rig, &err),
            STASIS_ERR_ARG);
        if (!strstr(err.msg, cases[i].text))
            fail_msg("case %u: %s", i, err.msg);
    }
    net_rig_device(&rig, &(struct stasis_virtio_net_config){.mac = {2}, .mtu = 68});
    assert_int_equal(rd(rig.mmio, R_DEVICE_FEATURES), 0x30018028);
}

/* 5.1.3.1: FEATURES_OK stays clear. */
static void features_need_what_they_require(void **state)
{
    static const uint64_t bad[] = {1 << 7,          1 << 8,      1 << 10,
                                   1 << 11,         1 << 12,     1 << 14,
                                   1 << 1 | 1 << 9, 1 | 1 << 13, 1 << 1 | 1 << 9 | 1 << 10,
                                   1 << 1 | 1 << 11};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wr(rig.mmio, R_STATUS, 0);
        wr(rig.mmio, R_STATUS, 3);
        wr(rig.mmio, R_DRIVER_FEATURES_SEL, 1);
        wr(rig.mmio, R_DRIVER_FEATURES, 1);
        wr(rig.mmio, R_DRIVER_FEATURES_SEL, 0);
        wr(rig.mmio, R_DRIVER_FEATURES, (uint32_t)bad[i]);
        wr(rig.mmio, R_STATUS, 11);
        if (rd(rig.mmio, R_STATUS) != 3)
            fail_msg("case %u", i);
    }
    agree(rig.mmio, 1 << 1 | 1 << 8 | 1 << 9); /* with one of two */
    agree(rig.mmio, 1 | 1 << 11 | 1 << 13);
}

/* The host hears once of what it may leave to the driver, and when that ends. */
static void the_host_knows_what_the_driver_accepts(void **state)
{
    (void)state;
    wr(rig.mmio, R_STATUS, 0);
    assert_int_equal(rig.accepted, 0);
    rig.accepts = 0;
    net_rig_up(&rig, ALL_FEATURES);
    assert_int_equal(rig.accepts, 0);
    wr(rig.mmio, R_NOTIFY, 0);
    assert_int_equal(rig.accepts, 1);
    wr(rig.mmio, R_NOTIFY, 1);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.accepts, 1);
    assert_int_equal(rig.accepted, STASIS_VIRTIO_NET_GUEST_OFFLOADS);
    wr(rig.mmio, R_STATUS, 0);
    assert_int_equal(rig.accepts, 2);
    assert_int_equal(rig.accepted, 0);
    wr(rig.mmio, R_STATUS, 0);
    assert_int_equal(rig.accepts, 2);
    net_rig_up(&rig, STASIS_VIRTIO_NET_F_GUEST_CSUM);
    stasis_virtio_net_resume(&rig.net); /* by itself, as a frame comes */
    assert_int_equal(rig.accepts, 3);
    assert_int_equal(rig.accepted, STASIS_VIRTIO_NET_F_GUEST_CSUM);
}

static void the_driver_knows_of_the_link(void **state)
{
    uint32_t generation = rd(rig.mmio, 0xfc);

    (void)state;
    stasis_virtio_net_set_link(&rig.net, true); /* as it was */
    assert_false(rig.driver.line);
    stasis_virtio_net_set_link(&rig.net, false);
    assert_int_equal(rd(rig.mmio, R_INTERRUPT_STATUS), 2);
    assert_true(rig.driver.line);
    assert_int_equal(config(6, 2), 0);
    assert_int_equal(rd(rig.mmio, 0xfc), generation + 1);
    wr(rig.mmio, R_INTERRUPT_ACK, 2);
    wr(rig.mmio, R_STATUS, 0);
    stasis_virtio_net_set_link(&rig.net, true); /* nobody is there to be told */
    assert_false(rig.driver.line);
    assert_int_equal(config(6, 2), 1);
}

/* ---- freeze and thaw ---- */

static void save(void)
{
    stasis_virtio_net_save(&rig.net, &frozen);
    assert_int_equal(stasis_state_check(&stasis_virtio_net_schema, &frozen, NULL), 0);
}

/* A new device, with another address, takes over; RAM stays. */
static void thaw(void)
{
    const struct stasis_virtio_net_config other = {
        .mac = {6, 6, 6, 6, 6, 6}, .mtu = 9000, .offloads = STASIS_VIRTIO_NET_OFFLOADS};
    struct stasis_virtio_net_state again;

    net_rig_device(&rig, &other);
    assert_int_equal(stasis_virtio_net_restore(&rig.net, &frozen, NULL), 0);
    assert_int_equal(stasis_virtio_mmio_check_memory(rig.mmio, NULL), 0);
    stasis_virtio_net_save(&rig.net, &again);
    assert_memory_equal(&frozen, &again, sizeof(frozen));
    assert_int_equal(rig.accepts, 0);
    stasis_virtio_net_apply_outputs(&rig.net);
}

static void a_thawed_device_is_the_same(void **state)
{
    (void)state;
    stasis_virtio_net_set_link(&rig.net, false);
    save();
    assert_int_equal(frozen.mac, 0x050403020102);
    thaw();
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(config(i, 1), net_rig_config.mac[i]);
    assert_int_equal(config(6, 2), 0);
    assert_int_equal(config(10, 2), 1500);
    assert_true(rig.driver.line);
    assert_int_equal(rig.accepted, STASIS_VIRTIO_NET_GUEST_OFFLOADS);
    assert_int_equal(rig.accepts, 1);
    wr(rig.mmio, R_STATUS, 0);
    assert_int_equal(rd(rig.mmio, R_DEVICE_FEATURES), 0x3001ffab);
}

static void the_mtu_stays(void **state)
{
    struct stasis_virtio_net_config small = net_rig_config;

    (void)state;
    small.mtu = 1280;
    net_rig_init(&rig, &small);
    net_rig_up(&rig, ALL_FEATURES);
    save();
    assert_int_equal(frozen.mtu, 1280);
    thaw();
    assert_int_equal(config(10, 2), 1280);
}

/* On a device that has been in use: what it held is another guest's. */
static void a_device_in_use_can_be_restored(void **state)
{
    (void)state;
    save();
    net_rig_buffer(&rig, 0, BUFFER, 400);
    net_rig_arrive(&rig, 1, &plain, 1000);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.frames, 0);
    rig.accepts = 0;
    assert_int_equal(stasis_virtio_net_restore(&rig.net, &frozen, NULL), 0);
    stasis_virtio_net_apply_outputs(&rig.net);
    assert_int_equal(rig.accepts, 1);
    net_rig_buffer(&rig, 1, BUFFER, 2000);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(net_rig_received(&rig), 0);
    assert_int_equal(rig.net.counters.rx_dropped, 1);
}

/* Frames and buffers that were made available and not notified of. */
static void a_thawed_device_looks_at_its_queues(void **state)
{
    (void)state;
    net_rig_send(&rig, 0, &plain, 60);
    net_rig_buffer(&rig, 0, BUFFER, 2000);
    save();
    thaw();
    assert_int_equal(rig.sent, 0);
    assert_int_equal(rig.wakes, 1);
    net_rig_arrive(&rig, 1, &plain, 60);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.sent, 1);
    assert_int_equal(net_rig_received(&rig), 1);
    wr(rig.mmio, R_STATUS, 0);
    save();
    thaw();
    assert_int_equal(rig.wakes, 0);
    assert_int_equal(rig.accepted, 0);
}

/* A frame that could not be sent is sent after the thaw; one that waits for buffers is lost. */
static void what_is_under_way_at_a_freeze(void **state)
{
    (void)state;
    rig.result = STASIS_VIRTIO_NET_BUSY;
    net_rig_send(&rig, 0, &plain, 60);
    wr(rig.mmio, R_NOTIFY, 1);
    net_rig_buffer(&rig, 0, BUFFER, 400);
    net_rig_arrive(&rig, 1, &plain, 1000);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.frames, 0);
    save();
    thaw();
    rig.result = STASIS_VIRTIO_NET_SENT;
    net_rig_buffer(&rig, 1, BUFFER, 2000);
    stasis_virtio_net_resume(&rig.net);
    assert_int_equal(rig.sent, 1);
    assert_int_equal(net_rig_received(&rig), 0);
}

static void another_network_is_refused(void **state)
{
    struct stasis_virtio_net_config other = net_rig_config;
    struct stasis_error err;

    (void)state;
    save();
    other.offloads = STASIS_VIRTIO_NET_F_CSUM;
    net_rig_device(&rig, &other);
    assert_int_equal(stasis_virtio_net_restore(&rig.net, &frozen, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "the guest's network had offloads 0x7f83, this one has 0x1: give "
                                 "the guest one that has them all");
    assert_int_equal(rd(rig.mmio, R_STATUS), 0);
    assert_int_equal(config(0, 1), 2);
    net_rig_device(&rig, &net_rig_config);
    frozen.mmio.device_features |= UINT64_C(1) << 22; /* MQ */
    assert_int_equal(stasis_virtio_net_restore(&rig.net, &frozen, &err), STASIS_ERR_VERSION);
    frozen.mmio.queues[1].next_avail++;
    assert_int_equal(stasis_virtio_net_restore(&rig.net, &frozen, &err), STASIS_ERR_RANGE);
    assert_int_equal(rd(rig.mmio, R_STATUS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(configuration, start),
        cmocka_unit_test_setup(the_configuration_is_not_written, start),
        cmocka_unit_test_setup(devices_that_cannot_be_are_refused, start),
        cmocka_unit_test_setup(features_need_what_they_require, start),
        cmocka_unit_test_setup(the_host_knows_what_the_driver_accepts, start),
        cmocka_unit_test_setup(the_driver_knows_of_the_link, start),
        cmocka_unit_test_setup(a_thawed_device_is_the_same, start),
        cmocka_unit_test_setup(the_mtu_stays, start),
        cmocka_unit_test_setup(a_device_in_use_can_be_restored, start),
        cmocka_unit_test_setup(a_thawed_device_looks_at_its_queues, start),
        cmocka_unit_test_setup(what_is_under_way_at_a_freeze, start),
        cmocka_unit_test_setup(another_network_is_refused, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
