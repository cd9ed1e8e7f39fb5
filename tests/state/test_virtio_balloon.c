/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The rules between the fields of a virtio balloon device.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"

#define RUNNING                                                                                    \
    (STASIS_VIRTIO_ACKNOWLEDGE | STASIS_VIRTIO_DRIVER | STASIS_VIRTIO_FEATURES_OK |                \
     STASIS_VIRTIO_DRIVER_OK)

static struct stasis_virtio_balloon_state balloon;

/* A device at work. */
static int start(void **state)
{
    (void)state;
    stasis_state_init(&stasis_virtio_balloon_schema, &balloon);
    balloon.mmio.device_features = STASIS_VIRTIO_F_VERSION_1 | STASIS_VIRTIO_BALLOON_F_PAGE_POISON;
    balloon.mmio.driver_features = STASIS_VIRTIO_F_VERSION_1;
    balloon.mmio.status = RUNNING;
    balloon.mmio.queues_count = 5;
    balloon.poison_val = 0xaaaaaaaa;
    for (unsigned i = 0; i < 5; i++)
        balloon.mmio.queues[i] = (struct stasis_virtio_balloon_queue_state){.size = 8,
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
    int rc = stasis_state_check(&stasis_virtio_balloon_schema, &balloon, &err);

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
    CASE(balloon.mmio.queues_count = 0, GOOD); /* the default */
    CASE(stasis_state_init(&stasis_virtio_balloon_schema, &balloon), GOOD);
    CASE(balloon.mmio.queues_count = 6, "a balloon device with 6 queues");
    for (unsigned i = 0; i < 5; i++)
        CASE(balloon.mmio.queues[i].next_avail = 4, "a balloon device with requests in flight");
    CASE(balloon.mmio.device_features = STASIS_VIRTIO_F_VERSION_1,
         "poison_val 0xaaaaaaaa of a balloon device without PAGE_POISON");
    CASE(balloon.actual = balloon.num_pages = UINT32_MAX, GOOD); /* the guest may say anything */
}

/* The rules of every virtio device hold for this one. */
static void registers_and_queues(void **state)
{
    (void)state;
    CASE(balloon.mmio.status = 0x0e, "status 0x0e lacks a step before another");
    CASE(balloon.mmio.driver_features |= 1 << 5, "with FEATURES_OK, of");
    CASE(balloon.mmio.queues[4].size = 6, "6 entries, which is no power of two");
    CASE(balloon.mmio.queues[1].desc = 8, "misaligned");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_device, start),
        cmocka_unit_test_setup(registers_and_queues, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
