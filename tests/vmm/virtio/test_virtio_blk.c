/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Requests of a virtio block device, good and bad (virtio 1.2, 5.2), of a host that answers when
 * the test says so.
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

static void configuration(void **state)
{
    (void)state;
    assert_int_equal(rd(rig.mmio, 0x08), 2);
    assert_int_equal(rd(rig.mmio, 0x100), 64);
    assert_int_equal(rd(rig.mmio, 0x104), 0);
    assert_int_equal(rd(rig.mmio, 0x10c), 126);
    assert_int_equal(rd(rig.mmio, 0x114), 1024);
    assert_int_equal(rd(rig.mmio, 0x124), 1 << 21); /* a GiB */
    assert_int_equal(rd(rig.mmio, 0x128), 1);
    assert_int_equal(rd(rig.mmio, 0x12c), 2);
    assert_int_equal(rd(rig.mmio, 0x130), 1 << 21);
    assert_int_equal(rd(rig.mmio, 0x134), 1);
    assert_int_equal(stasis_virtio_mmio_read(rig.mmio, 0x138, 1), 1);
    assert_int_equal(rig.driver.error_count, 0);
    wr(rig.mmio, R_DEVICE_FEATURES_SEL, 0);
    assert_int_equal(rd(rig.mmio, R_DEVICE_FEATURES), 0x30006244);
}

static void a_read_is_stored(void **state)
{
    char text[1024];

    (void)state;
    blk_rig_transfer(&rig, BLK_IN, 6, 2048);
    blk_rig_notify(&rig);
    assert_int_equal(rig.count, 1);
    assert_int_equal(rig.last.op, STASIS_VIRTIO_BLK_READ);
    assert_int_equal(rig.last.offset, 3072);
    assert_int_equal(rig.last.len, 2048);
    assert_false(rig.last.must_sync);
    assert_int_equal(peek16(&rig.driver, USED + 2), 0);
    memset(text, 'x', sizeof(text));
    assert_true(stasis_virtio_blk_store(&rig.blk, rig.last.id, 1024, text, 1024));
    memset(text, 'y', sizeof(text));
    assert_true(stasis_virtio_blk_store(&rig.blk, rig.last.id, 0, text, 1024));
    assert_int_equal(*bytes_at(&rig.driver, BLK_DATA), 'y');
    assert_int_equal(*bytes_at(&rig.driver, BLK_DATA + 2047), 'x');
    assert_int_equal(status(), 0xff); /* behind the data */
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
    assert_answered(1, 0, 2049);
    assert_true(rig.driver.line);
}

static void a_write_is_fetched(void **state)
{
    char text[1024];

    (void)state;
    memcpy(bytes_at(&rig.driver, BLK_DATA + 1000), "data", 4);
    blk_rig_transfer(&rig, BLK_OUT, 62, 1024);
    blk_rig_notify(&rig);
    assert_int_equal(rig.last.op, STASIS_VIRTIO_BLK_WRITE);
    assert_int_equal(rig.last.offset, 31744);
    assert_true(stasis_virtio_blk_fetch(&rig.blk, rig.last.id, 1000, text, 24));
    assert_string_equal(text, "data");
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
    assert_answered(1, 0, 1);
}

static void errors_of_the_host_are_told(void **state)
{
    (void)state;
    blk_rig_transfer(&rig, BLK_IN, 0, 1024);
    blk_rig_notify(&rig);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_IO_ERROR);
    assert_answered(1, 1, 0); /* whose data was not written */
    blk_rig_range(&rig, BLK_DISCARD, 0, 2, 0);
    blk_rig_notify(&rig);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_UNSUPPORTED);
    assert_answered(2, 2, 1);
}

static void a_flush_is_passed_on(void **state)
{
    (void)state;
    blk_rig_transfer(&rig, BLK_FLUSH, 0, 0);
    blk_rig_notify(&rig);
    assert_int_equal(rig.last.op, STASIS_VIRTIO_BLK_FLUSH);
    assert_int_equal(rig.last.len, 0);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
    assert_answered(1, 0, 1);
}

/* 5.2.6.2: who cannot flush gets writes that need none. */
static void without_flush_writes_are_to_last(void **state)
{
    (void)state;
    bring_up(rig.mmio, 0);
    blk_rig_transfer(&rig, BLK_OUT, 0, 1024);
    blk_rig_notify(&rig);
    assert_true(rig.last.must_sync);
    blk_rig_transfer(&rig, BLK_FLUSH, 0, 0);
    blk_rig_range(&rig, BLK_DISCARD, 0, 2, 0);
    blk_rig_range(&rig, BLK_WRITE_ZEROES, 0, 2, 0);
    blk_rig_notify(&rig);
    assert_int_equal(rig.count, 1);
    assert_answered(3, 2, 1); /* none was negotiated */
}

static void the_serial_number_is_read(void **state)
{
    (void)state;
    blk_rig_transfer(&rig, BLK_GET_ID, 0, 20);
    blk_rig_notify(&rig);
    assert_answered(1, 0, 21);
    assert_memory_equal(bytes_at(&rig.driver, BLK_DATA), "a serial number\0\0\0\0\0", 20);
    assert_int_equal(rig.count, 0);
    memset(bytes_at(&rig.driver, BLK_DATA), 0, 20);
    blk_rig_transfer(&rig, BLK_GET_ID, 0, 3);
    blk_rig_notify(&rig);
    assert_answered(2, 0, 4);
    assert_memory_equal(bytes_at(&rig.driver, BLK_DATA), "a s\0", 4);
}

/* 2.7.8.2: a driver may read as many bytes as the device says. */
static void no_more_bytes_are_counted_than_written(void **state)
{
    (void)state;
    blk_rig_transfer(&rig, BLK_GET_ID, 0, 100);
    blk_rig_notify(&rig);
    assert_answered(1, 0, 20);
    blk_rig_transfer(&rig, BLK_FLUSH, 0, 8);
    blk_rig_notify(&rig);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
    assert_answered(2, 0, 0);
}

static void ranges_are_passed_on(void **state)
{
    (void)state;
    blk_rig_range(&rig, BLK_WRITE_ZEROES, 10, 4, 1);
    blk_rig_notify(&rig);
    assert_int_equal(rig.last.op, STASIS_VIRTIO_BLK_WRITE_ZEROES);
    assert_int_equal(rig.last.offset, 5120);
    assert_int_equal(rig.last.len, 2048);
    assert_true(rig.last.may_unmap);
    blk_rig_range(&rig, BLK_WRITE_ZEROES, 10, 4, 0);
    blk_rig_notify(&rig);
    assert_false(rig.last.may_unmap);
    blk_rig_range(&rig, BLK_DISCARD, 0, 64, 0);
    blk_rig_notify(&rig);
    assert_int_equal(rig.last.op, STASIS_VIRTIO_BLK_DISCARD);
    assert_int_equal(rig.last.len, 32768);
    assert_int_equal(rig.count, 3);
}

static void answers_come_in_any_order_and_once(void **state)
{
    uint64_t ids[2];

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        blk_rig_transfer(&rig, BLK_FLUSH, 0, 0);
        blk_rig_notify(&rig);
        ids[i] = rig.last.id;
    }
    stasis_virtio_blk_done(&rig.blk, ids[1], STASIS_VIRTIO_BLK_OK);
    stasis_virtio_blk_done(&rig.blk, ids[1], STASIS_VIRTIO_BLK_OK);
    assert_int_equal(peek16(&rig.driver, USED + 2), 1);
    blk_rig_transfer(&rig, BLK_FLUSH, 0, 0); /* in the same place */
    blk_rig_notify(&rig);
    stasis_virtio_blk_done(&rig.blk, ids[1], STASIS_VIRTIO_BLK_OK);
    assert_int_equal(peek16(&rig.driver, USED + 2), 1);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
    stasis_virtio_blk_done(&rig.blk, ids[0], STASIS_VIRTIO_BLK_OK);
    assert_int_equal(peek16(&rig.driver, USED + 2), 3);
    stasis_virtio_blk_done(&rig.blk, UINT64_MAX, STASIS_VIRTIO_BLK_OK);
}

static void several_answers_are_announced_at_once(void **state)
{
    uint64_t ids[2];
    unsigned before;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        blk_rig_transfer(&rig, BLK_FLUSH, 0, 0);
        blk_rig_notify(&rig);
        ids[i] = rig.last.id;
    }
    before = rig.driver.irqs;
    for (unsigned i = 0; i < 2; i++)
        stasis_virtio_blk_answer(&rig.blk, ids[i], STASIS_VIRTIO_BLK_OK);
    assert_int_equal(peek16(&rig.driver, USED + 2), 2);
    assert_int_equal(rig.driver.irqs, before);
    stasis_virtio_blk_announce(&rig.blk);
    assert_int_equal(rig.driver.irqs, before + 1);
    wr(rig.mmio, R_INTERRUPT_ACK, 1);
    stasis_virtio_blk_announce(&rig.blk); /* of nothing */
    assert_int_equal(rd(rig.mmio, R_INTERRUPT_STATUS), 0);
}

/* Nothing of an earlier life gets into the guest's RAM. */
static void a_reset_forgets_requests(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start(NULL);
        blk_rig_transfer(&rig, BLK_IN, 0, 1024);
        blk_rig_notify(&rig);
        if (i)
            wr(rig.mmio, R_QUEUE_READY, 0);
        else
            bring_up(rig.mmio, 0);
        assert_false(stasis_virtio_blk_store(&rig.blk, rig.last.id, 0, "x", 1));
        assert_false(stasis_virtio_blk_fetch(&rig.blk, rig.last.id, 0, &(char){0}, 1));
        stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
        assert_int_equal(peek16(&rig.driver, USED + 2), 0);
        assert_int_equal(*bytes_at(&rig.driver, BLK_DATA), 0);
    }
}

static void a_buffer_that_goes_away_ends_its_request(void **state)
{
    (void)state;
    blk_rig_transfer(&rig, BLK_IN, 0, 1024);
    blk_rig_notify(&rig);
    rig.driver.hole = BLK_DATA + 10;
    rig.driver.hole_len = 1;
    assert_false(stasis_virtio_blk_store(&rig.blk, rig.last.id, 0, "0123456789a", 11));
    assert_int_equal(rd(rig.mmio, R_STATUS), 15 | 64);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
    assert_int_equal(peek16(&rig.driver, USED + 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(configuration, start),
        cmocka_unit_test_setup(a_read_is_stored, start),
        cmocka_unit_test_setup(a_write_is_fetched, start),
        cmocka_unit_test_setup(errors_of_the_host_are_told, start),
        cmocka_unit_test_setup(a_flush_is_passed_on, start),
        cmocka_unit_test_setup(without_flush_writes_are_to_last, start),
        cmocka_unit_test_setup(the_serial_number_is_read, start),
        cmocka_unit_test_setup(no_more_bytes_are_counted_than_written, start),
        cmocka_unit_test_setup(ranges_are_passed_on, start),
        cmocka_unit_test_setup(answers_come_in_any_order_and_once, start),
        cmocka_unit_test_setup(several_answers_are_announced_at_once, start),
        cmocka_unit_test_setup(a_reset_forgets_requests, start),
        cmocka_unit_test_setup(a_buffer_that_goes_away_ends_its_request, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
