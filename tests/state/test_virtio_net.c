/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The rules between the fields of a virtio network device.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"

#define RUNNING                                                                                    \
    (STASIS_VIRTIO_ACKNOWLEDGE | STASIS_VIRTIO_DRIVER | STASIS_VIRTIO_FEATURES_OK |                \
     STASIS_VIRTIO_DRIVER_OK)

static struct stasis_virtio_net_state net;

/* A device at work. */
static int start(void **state)
{
    (void)state;
    stasis_state_init(&stasis_virtio_net_schema, &net);
    net.mmio.device_features = STASIS_VIRTIO_F_VERSION_1 | STASIS_VIRTIO_NET_OFFLOADS;
    net.mmio.driver_features = STASIS_VIRTIO_F_VERSION_1;
    net.mmio.status = RUNNING;
    net.mmio.queues_count = 2;
    for (unsigned i = 0; i < 2; i++)
        net.mmio.queues[i] = (struct stasis_virtio_net_queue_state){.size = 8,
                                                                    .ready = 1,
                                                                    .desc = 0x1000,
                                                                    .driver = 0x2000,
                                                                    .device = 0x3000,
                                                                    .next_avail = 3,
                                                                    .next_used = 3};
    return 0;
}

static void expect(const char *change, const char *text)
{
    struct stasis_error err = {0};
    int rc = stasis_state_check(&stasis_virtio_net_schema, &net, &err);

    if (!text && rc)
        fail_msg("%s: refused: %s", change, err.msg);
    if (text && (rc != STASIS_ERR_RANGE || !strstr(err.msg, text)))
        fail_msg("%s: rc %d, \"%s\" lacks \"%s\"", change, rc, err.msg, text);
    start(NULL);
}

#define GOOD NULL
#define CASE(change, text)                                                                         \
    do {                                                                                           \
        change;                                                                                    \
        expect(#change, text);                                                                     \
    } while (0)

static void the_device(void **state)
{
    (void)state;
    CASE(, GOOD);
    CASE(net.mmio.queues_count = 0, GOOD); /* the default */
    CASE(stasis_state_init(&stasis_virtio_net_schema, &net), GOOD);
    CASE(net.mmio.queues_count = 3, "a network device with 3 queues");
    CASE(net.mmio.queues[0].next_avail = 4, "buffers in flight in queue 0");
    CASE(net.mmio.queues[1].next_avail = 4, "buffers in flight in queue 1");
    CASE(net.mmio.queues_count = 1; net.mmio.queues[1].next_avail = 4, GOOD); /* which is none */
    CASE(net.mac = 0, "without MAC address");
    CASE(net.mac = 1, "mac");
    CASE(net.mac = UINT64_C(1) << 48, "mac");
    CASE(net.mac = 0xfffffffffffe, GOOD);
    CASE(net.mtu = 67, "a network device with MTU 67");
    CASE(net.mtu = 68, GOOD);
    CASE(net.link_up = 2, "link_up");
}

/* The rules of every virtio device hold for this one. */
static void registers_and_queues(void **state)
{
    (void)state;
    CASE(net.mmio.status = 0x0e, "status 0x0e lacks a step before another");
    CASE(net.mmio.driver_features |= 1 << 5, "with FEATURES_OK, of");
    CASE(net.mmio.queues[1].size = 6, "6 entries, which is no power of two");
    CASE(net.mmio.queues[1].desc = 8, "misaligned");
}

/* 5.1.3.1 */
static void features(void **state)
{
    static const struct {
        unsigned bits;
        bool agree;
    } cases[] = {
        {0x7f83, true}, {0x80, false},  {0x82, true},    {0x101, false}, {0x102, true},
        {0x202, false}, {0x282, true},  {0x302, true},   {0x400, false}, {0x402, true},
        {0x802, false}, {0x801, true},  {0x1002, false}, {0x1001, true}, {0x2001, false},
        {0x2801, true}, {0x3001, true}, {0x4002, false}, {0x4001, true}, {0x4000, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (stasis_virtio_net_features_agree(cases[i].bits) != cases[i].agree)
            fail_msg("features 0x%x", cases[i].bits);
        CASE(net.mmio.driver_features |= cases[i].bits,
             cases[i].agree ? GOOD : "lack one that another requires");
    }
    net.mmio.queues[0].ready = net.mmio.queues[1].ready = 0; /* not agreed on yet */
    for (unsigned i = 0; i < 2; i++)
        net.mmio.queues[i].next_avail = net.mmio.queues[i].next_used = 0;
    net.mmio.status = 3;
    CASE(net.mmio.driver_features |= 0x80, GOOD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_device, start),
        cmocka_unit_test_setup(registers_and_queues, start),
        cmocka_unit_test_setup(features, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
