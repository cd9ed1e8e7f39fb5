/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The rules between the fields of a virtio socket device.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"

#define RUNNING                                                                                    \
    (STASIS_VIRTIO_ACKNOWLEDGE | STASIS_VIRTIO_DRIVER | STASIS_VIRTIO_FEATURES_OK |                \
     STASIS_VIRTIO_DRIVER_OK)

static struct stasis_virtio_vsock_state vsock;

/* A device at work. */
static int start(void **state)
{
    (void)state;
    stasis_state_init(&stasis_virtio_vsock_schema, &vsock);
    vsock.mmio.device_features = STASIS_VIRTIO_F_VERSION_1 | STASIS_VIRTIO_VSOCK_F_STREAM;
    vsock.mmio.driver_features = STASIS_VIRTIO_F_VERSION_1;
    vsock.mmio.status = RUNNING;
    vsock.mmio.queues_count = 3;
    for (unsigned i = 0; i < 3; i++)
        vsock.mmio.queues[i] = (struct stasis_virtio_vsock_queue_state){.size = 8,
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
    int rc = stasis_state_check(&stasis_virtio_vsock_schema, &vsock, &err);

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
    CASE(vsock.mmio.queues_count = 0, GOOD); /* the default */
    CASE(stasis_state_init(&stasis_virtio_vsock_schema, &vsock), GOOD);
    CASE(vsock.mmio.queues_count = 4, "a socket device with 4 queues");
    for (unsigned i = 0; i < 3; i++)
        CASE(vsock.mmio.queues[i].next_avail = 4, "a socket device with buffers in flight");
    CASE(vsock.guest_cid = 2, "a socket device with CID 2, which is reserved");
    CASE(vsock.guest_cid = 0, "CID 0");
    CASE(vsock.guest_cid = UINT32_MAX, "CID 4294967295");
    CASE(vsock.guest_cid = UINT32_MAX - 1, GOOD);
    CASE(vsock.next_port = (UINT32_C(1) << 30) - 1, "a socket device with next_port 1073741823");
    CASE(vsock.next_port = UINT32_MAX >> 1, GOOD);
    CASE(vsock.next_port = UINT32_C(1) << 31, "next_port");
}

/* The rules of every virtio device hold for this one. */
static void registers_and_queues(void **state)
{
    (void)state;
    CASE(vsock.mmio.status = 0x0e, "status 0x0e lacks a step before another");
    CASE(vsock.mmio.driver_features |= 1 << 5, "with FEATURES_OK, of");
    CASE(vsock.mmio.queues[1].size = 6, "6 entries, which is no power of two");
    CASE(vsock.mmio.queues[1].desc = 8, "misaligned");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_device, start),
        cmocka_unit_test_setup(registers_and_queues, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
