/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A driver that breaks each "driver requirement" of a block device (virtio 1.2, 5.2.6.1).
 */
#include "blk_rig.h"

static struct blk_rig rig;

static int start(void **state)
{
    (void)state;
    blk_rig_init(&rig, &blk_rig_disk);
    return 0;
}

static uint8_t status(void)
{
    return *bytes_at(&rig.driver, BLK_STATUS);
}

static void assert_answered(uint16_t count, uint8_t expected, uint32_t len)
{
    assert_int_equal(peek16(&rig.driver, USED + 2), count);
    assert_int_equal(peek32(&rig.driver, USED + 8 + 8 * ((count - 1u) % SIZE)), len);
    assert_int_equal(status(), expected);
}

/* 5.2.6.1: sector is to be 0, and there is to be no data: neither means anything. */
static void a_flush_of_something_flushes_all(void **state)
{
    (void)state;
    blk_rig_transfer(&rig, BLK_FLUSH, 5, 1024);
    put_desc(&rig.driver, DESC, 1, BLK_DATA, 1024, NEXT, 2);
    blk_rig_notify(&rig);
    assert_int_equal(rig.last.op, STASIS_VIRTIO_BLK_FLUSH);
    assert_int_equal(rig.last.offset, 0);
    assert_int_equal(rig.last.len, 0);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
    assert_answered(1, 0, 1);
}

/* 5.2.6.1 and 5.2.6.2. The disk has 64 sectors in blocks of two. */
static void bad_requests_are_answered(void **state)
{
    static const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t len;
        uint8_t status;
    } cases[] = {
        {BLK_IN, 64, 1024, 1},
        {BLK_IN, 62, 2048, 1},
        {BLK_IN, UINT64_MAX, 1024, 1},
        {BLK_IN, UINT64_MAX / 512 + 1, 1024, 1},
        {BLK_IN, 0, 512, 1}, /* half a block */
        {BLK_IN, 1, 1024, 1},
        {BLK_IN, 0, 1023, 1},
        {BLK_IN, 0, 0, 1},
        {BLK_OUT, 64, 1024, 1},
        {BLK_OUT, 0, 1, 1},
        {BLK_OUT, 0, 0, 1},
        {2, 0, 1024, 2},  /* of no type */
        {10, 0, 1024, 2}, /* lifetime, secure erase, zones: features that are not offered */
        {14, 0, 1024, 2},
        {16, 0, 1024, 2},
        {UINT32_MAX, 0, 1024, 2},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start(NULL);
        blk_rig_transfer(&rig, cases[i].type, cases[i].sector, cases[i].len);
        blk_rig_notify(&rig);
        if (peek16(&rig.driver, USED + 2) != 1 || status() != cases[i].status || rig.count)
            fail_msg("case %u: status %u", i, status());
        assert_int_equal(rd(rig.mmio, R_STATUS), 15);
    }
}

static void bad_ranges_are_answered(void **state)
{
    static const struct {
        uint32_t type;
        uint64_t sector;
        uint32_t sectors, flags;
        uint8_t status;
    } cases[] = {
        {BLK_DISCARD, 64, 2, 0, 1},
        {BLK_DISCARD, 0, 66, 0, 1},
        {BLK_DISCARD, 0, 0, 0, 1},
        {BLK_DISCARD, 1, 2, 0, 1},
        {BLK_DISCARD, 0, 3, 0, 1},
        {BLK_DISCARD, UINT64_MAX, 2, 0, 1},
        {BLK_DISCARD, 0, 2, 1, 2}, /* unmap is not for it */
        {BLK_WRITE_ZEROES, 0, 2, 2, 2},
        {BLK_WRITE_ZEROES, 0, 2, 1u << 31, 2},
        {BLK_WRITE_ZEROES, 0, UINT32_MAX, 0, 1},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start(NULL);
        blk_rig_range(&rig, cases[i].type, cases[i].sector, cases[i].sectors, cases[i].flags);
        blk_rig_notify(&rig);
        if (peek16(&rig.driver, USED + 2) != 1 || status() != cases[i].status || rig.count)
            fail_msg("case %u: status %u", i, status());
    }
    for (uint32_t len = 8; len <= 32; len += 8) { /* half a range, and two where one is allowed */
        if (len == 16)
            continue;
        start(NULL);
        blk_rig_range(&rig, BLK_DISCARD, 0, 2, 0);
        put_desc(&rig.driver, DESC, 1, BLK_DATA, len, NEXT, 2);
        blk_rig_notify(&rig);
        assert_answered(1, 1, 1);
    }
}

/* 5.2.6.2: "MUST fail the request with VIRTIO_BLK_S_IOERR, and MUST NOT write any data". */
static void a_read_only_disk_is_not_written(void **state)
{
    struct stasis_virtio_blk_disk disk = blk_rig_disk;

    (void)state;
    disk.is_read_only = true;
    blk_rig_init(&rig, &disk);
    assert_int_equal(rd(rig.mmio, R_DEVICE_FEATURES), 0x30000264); /* RO, and no DISCARD */
    blk_rig_transfer(&rig, BLK_OUT, 0, 1024);
    blk_rig_notify(&rig);
    assert_answered(1, 1, 1);
    blk_rig_transfer(&rig, BLK_IN, 0, 1024);
    blk_rig_notify(&rig);
    assert_int_equal(rig.count, 1);
}

/* What has no header or no place for a status has no answer. */
static void requests_without_form_break_the_queue(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        start(NULL);
        blk_rig_transfer(&rig, BLK_OUT, 0, 1024);
        if (i == 0)
            put_desc(&rig.driver, DESC, 0, BLK_HEADER, 15, 0, 0);
        if (i == 1)
            put_desc(&rig.driver, DESC, 0, BLK_HEADER, 16, 0, 0);
        if (i == 2)
            put_desc(&rig.driver, DESC, 0, BLK_HEADER, 16, WRITE, 0);
        blk_rig_notify(&rig);
        assert_int_equal(rig.count, 0);
        assert_int_equal(rd(rig.mmio, R_STATUS), 15 | 64);
        assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    }
}

/* 2.7.13.1: a descriptor is free once its buffer has come back. One that is offered again before
 * makes a second request, and each has its answer. */
static void a_buffer_that_is_offered_twice_is_two_requests(void **state)
{
    uint64_t first;

    (void)state;
    blk_rig_transfer(&rig, BLK_IN, 2, 1024);
    blk_rig_notify(&rig);
    first = rig.last.id;
    offer(&rig.driver, 0);
    blk_rig_notify(&rig);
    assert_int_equal(rig.count, 2);
    assert_true(rig.last.id != first);
    stasis_virtio_blk_done(&rig.blk, first, STASIS_VIRTIO_BLK_OK);
    assert_answered(1, 0, 1025);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_IO_ERROR);
    assert_answered(2, 1, 0);
    assert_int_equal(rd(rig.mmio, R_STATUS), 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_flush_of_something_flushes_all, start),
        cmocka_unit_test_setup(bad_requests_are_answered, start),
        cmocka_unit_test_setup(bad_ranges_are_answered, start),
        cmocka_unit_test_setup(a_read_only_disk_is_not_written, start),
        cmocka_unit_test_setup(requests_without_form_break_the_queue, start),
        cmocka_unit_test_setup(a_buffer_that_is_offered_twice_is_two_requests, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
