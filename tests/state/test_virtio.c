/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The rules between the fields of virtio devices, and between them and guest RAM.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"

#define RUNNING                                                                                    \
    (STASIS_VIRTIO_ACKNOWLEDGE | STASIS_VIRTIO_DRIVER | STASIS_VIRTIO_FEATURES_OK |                \
     STASIS_VIRTIO_DRIVER_OK)

static struct stasis_virtio_rng_state rng;
static struct stasis_virtio_mmio_state *const mmio = &rng.mmio;
static struct stasis_virtio_queue_state *const queue = &rng.mmio.queues[0];

/* A device at work. */
static int start(void **state)
{
    (void)state;
    stasis_state_init(&stasis_virtio_rng_schema, &rng);
    mmio->device_features = STASIS_VIRTIO_F_VERSION_1 | STASIS_VIRTIO_F_EVENT_IDX;
    mmio->driver_features = STASIS_VIRTIO_F_VERSION_1;
    mmio->status = RUNNING;
    mmio->queues_count = 1;
    *queue = (struct stasis_virtio_queue_state){.size = 8,
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
    int rc = stasis_state_check(&stasis_virtio_rng_schema, &rng, &err);

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

static void queues(void **state)
{
    (void)state;
    CASE(queue->size = 1, GOOD);
    CASE(queue->size = 0x8000, GOOD);
    CASE(queue->size = 0, "a queue of 0 entries, which is no power of two");
    CASE(queue->size = 6, "6 entries, which is no power of two");
    CASE(queue->desc = 0x1008, "misaligned");
    CASE(queue->driver = 0x2001, "misaligned");
    CASE(queue->driver = 0x2002, GOOD);
    CASE(queue->device = 0x3002, "misaligned");
    CASE(queue->device = 0x3004, GOOD);
    CASE(queue->desc = UINT64_MAX - 127, "leaves the address space");
    CASE(queue->desc = UINT64_MAX - 143, GOOD);
    CASE(queue->driver = UINT64_MAX - 19, "leaves the address space");
    CASE(queue->device = UINT64_MAX - 67, "leaves the address space");
    CASE(queue->ready = 0, "not ready has been used");
    CASE(queue->ready = 0; queue->next_avail = queue->next_used = queue->size = 0, GOOD);
    CASE(queue->next_avail = 12, "a queue of 8 entries has 9 buffers in flight");
    CASE(queue->next_avail = 2, "has 65535 buffers in flight");
}

static void registers(void **state)
{
    (void)state;
    CASE(, GOOD);
    CASE(mmio->status |= STASIS_VIRTIO_FAILED | STASIS_VIRTIO_NEEDS_RESET, GOOD);
    CASE(mmio->status = 0x0e, "status 0x0e lacks a step before another");
    CASE(mmio->status = 0x0d, "lacks a step");
    CASE(mmio->status = 0x07, "lacks a step");
    CASE(mmio->status = 3, "queues[0] is ready without FEATURES_OK");
    CASE(mmio->status = 11, GOOD);
    CASE(mmio->driver_features |= 1, "driver_features 0x100000001 with FEATURES_OK");
    CASE(mmio->driver_features = 0, "driver_features 0x0 with FEATURES_OK");
    CASE(mmio->driver_features_unknown = 1, "with FEATURES_OK");
    CASE(mmio->interrupt_status = 3, GOOD);
    CASE(mmio->interrupt_status = 1; mmio->status = 11, "of a device without DRIVER_OK");
    CASE(mmio->status = 0x10, "status");
}

static void entropy(void **state)
{
    (void)state;
    CASE(mmio->queues_count = 2, "an entropy device with 2 queues");
    CASE(mmio->queues_count = 0, GOOD); /* the default */
    CASE(queue->next_avail = 4, "with requests in flight");
}

/* ---- a block device: the same registers, with two requests in flight ---- */

static struct stasis_virtio_blk_state blk;

static int start_blk(void **state)
{
    start(NULL);
    (void)state;
    stasis_state_init(&stasis_virtio_blk_schema, &blk);
    memcpy(&blk.mmio, mmio, sizeof(blk.mmio));
    blk.mmio.queues[0].next_avail = 5;
    blk.sectors = 64;
    blk.block_size = 1024;
    blk.requests_count = 2;
    blk.requests[0].head = 7;
    return 0;
}

static void expect_blk(const char *change, const char *text)
{
    struct stasis_error err = {0};
    int rc = stasis_state_check(&stasis_virtio_blk_schema, &blk, &err);

    if (!text && rc)
        fail_msg("%s: refused: %s", change, err.msg);
    if (text && (rc != STASIS_ERR_RANGE || !strstr(err.msg, text)))
        fail_msg("%s: rc %d, \"%s\" lacks \"%s\"", change, rc, err.msg, text);
    start_blk(NULL);
}

#define BLK_CASE(change, text)                                                                     \
    do {                                                                                           \
        change;                                                                                    \
        expect_blk(#change, text);                                                                 \
    } while (0)

static void block(void **state)
{
    (void)state;
    BLK_CASE(, GOOD);
    BLK_CASE(blk.requests[1].head = 7, GOOD); /* twice: the driver's matter */
    BLK_CASE(blk.requests[1].head = 8, "requests[1] begins behind the descriptor table");
    BLK_CASE(blk.requests_count = 1,
             "a block device with 1 requests in flight, and 2 in its queue");
    BLK_CASE(blk.mmio.queues_count = 0, "a block device with 2 requests in flight, and 0");
    BLK_CASE(blk.mmio.queues_count = 2, "a block device with 2 queues");
    BLK_CASE(blk.block_size = 1536, "block_size 1536 is no power of two from 512 to 65536");
    BLK_CASE(blk.block_size = 0, "block_size 0");
    BLK_CASE(blk.block_size = 1 << 16; blk.sectors = 128, GOOD);
    BLK_CASE(blk.sectors = 65, "a block device of 65 sectors, which are not whole blocks");
}

/* ---- the rings ---- */

static uint16_t avail_idx, used_idx;
static uint64_t ram_end;
static bool is_readable;

static bool has(void *ctx, uint64_t gpa, uint64_t len)
{
    (void)ctx;
    return gpa + len <= ram_end;
}

static bool read16(void *ctx, uint64_t gpa, uint16_t *ret_value)
{
    (void)ctx;
    assert_true(gpa == 0x2002 || gpa == 0x3002);
    *ret_value = gpa == 0x2002 ? avail_idx : used_idx;
    return is_readable;
}

static int check_rings(struct stasis_error *err)
{
    static const struct stasis_virtio_ram ram = {has, read16, NULL};

    return stasis_virtio_check_rings(mmio, &ram, err);
}

static void expect_rings(const char *text)
{
    struct stasis_error err = {0};
    int rc = check_rings(&err);

    if (!text)
        assert_int_equal(rc, 0);
    else if (rc != STASIS_ERR_CORRUPT || !strstr(err.msg, text))
        fail_msg("rc %d, \"%s\" lacks \"%s\"", rc, err.msg, text);
}

static void rings(void **state)
{
    (void)state;
    ram_end = 0x4000;
    is_readable = true;
    avail_idx = used_idx = 3;
    expect_rings(NULL);
    avail_idx = 11;
    expect_rings(NULL);
    avail_idx = 12;
    expect_rings("queue 0: the available ring in RAM has idx 12, which is not within 8 entries "
                 "beyond 3");
    avail_idx = 2;
    expect_rings("has idx 2");
    avail_idx = 3;
    used_idx = 4;
    expect_rings("queue 0: the used ring in RAM has idx 4, the device 3");
    used_idx = 3;
    queue->next_avail = 5; /* two in flight */
    expect_rings("has idx 3, which is not within 8 entries beyond 5");
    avail_idx = 11;
    expect_rings(NULL);
    is_readable = false;
    expect_rings("queue 0 is not in RAM (0x1000, 0x2000, 0x3000)");
    is_readable = true;
    ram_end = 0x3000 + 69;
    expect_rings("queue 0 is not in RAM");
    ram_end++;
    expect_rings(NULL);
}

/* What nobody looks at any more need not be true. */
static void rings_of_a_dead_device(void **state)
{
    (void)state;
    ram_end = 0;
    mmio->status = RUNNING | STASIS_VIRTIO_NEEDS_RESET;
    expect_rings(NULL);
    mmio->status = RUNNING | STASIS_VIRTIO_FAILED;
    expect_rings(NULL);
    mmio->status = RUNNING & ~STASIS_VIRTIO_DRIVER_OK;
    expect_rings(NULL);
    mmio->status = RUNNING;
    queue->ready = 0;
    expect_rings(NULL);
    queue->ready = 1;
    expect_rings("not in RAM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(queues, start),
        cmocka_unit_test_setup(registers, start),
        cmocka_unit_test_setup(entropy, start),
        cmocka_unit_test_setup(block, start_blk),
        cmocka_unit_test_setup(rings, start),
        cmocka_unit_test_setup(rings_of_a_dead_device, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
