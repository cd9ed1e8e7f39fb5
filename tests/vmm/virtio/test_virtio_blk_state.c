/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Freeze and thaw of a virtio block device with requests in flight.
 */
#include "blk_rig.h"

static struct blk_rig rig;
static struct stasis_virtio_blk_state frozen;

static int start(void **state)
{
    (void)state;
    blk_rig_init(&rig, &blk_rig_disk);
    return 0;
}

static void save(void)
{
    stasis_virtio_blk_save(&rig.blk, &frozen);
    assert_int_equal(stasis_state_check(&stasis_virtio_blk_schema, &frozen, NULL), 0);
}

/* A new device takes over; RAM stays. */
static void thaw(void)
{
    struct stasis_virtio_blk_state again;

    blk_rig_device(&rig, &blk_rig_disk);
    assert_int_equal(stasis_virtio_blk_restore(&rig.blk, &frozen, NULL), 0);
    assert_int_equal(stasis_virtio_mmio_check_memory(rig.mmio, NULL), 0);
    stasis_virtio_blk_save(&rig.blk, &again);
    assert_memory_equal(&frozen, &again, sizeof(frozen));
    stasis_virtio_blk_apply_outputs(&rig.blk);
    assert_int_equal(rig.count, 0);
}

static void disks_that_cannot_be_are_refused(void **state)
{
    struct stasis_virtio_host host = rig.mmio->host;
    struct stasis_virtio_blk_ops ops = *rig.blk.ops;
    const struct {
        struct stasis_virtio_blk_disk disk;
        const char *text;
    } cases[] = {
        {{.sectors = 64, .block_size = 0}, "block_size"},
        {{.sectors = 64, .block_size = 1536}, "block_size 1536 is no power of two"},
        {{.sectors = 256, .block_size = 1 << 17}, "block_size"},
        {{.sectors = 65, .block_size = 1024}, "65 sectors, which are not whole blocks"},
        {{.sectors = UINT64_C(1) << 55, .block_size = 512}, "sectors"},
        {{.sectors = 1, .block_size = 512, .serial = "123456789012345678901"}, "at most 20 bytes"},
        {{.sectors = 1, .block_size = 512, .serial = "\n"}, "serial"},
    };
    struct stasis_error err;

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(stasis_virtio_blk_init(&rig.blk, &host, &cases[i].disk, &ops, &rig, &err),
                         STASIS_ERR_ARG);
        assert_int_equal(err.code, STASIS_ERR_ARG);
        if (!strstr(err.msg, cases[i].text))
            fail_msg("case %u: %s", i, err.msg);
    }
}

/* They come again in their order, and are answered once. */
static void requests_in_flight_are_asked_for_again(void **state)
{
    uint64_t before;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        blk_rig_transfer(&rig, BLK_IN, 2 * i, 1024);
        put_desc(&rig.driver, DESC, 3, BLK_HEADER, 16, NEXT, 2); /* another head */
        offer_at(&rig.driver, (uint16_t)i, i == 1 ? 3 : 0);
        blk_rig_notify(&rig);
    }
    before = rig.last.id;
    assert_int_equal(rig.count, 2); /* the second has no data */
    save();
    assert_int_equal(frozen.requests_count, 2);
    thaw();
    assert_int_equal(rig.wakes, 1);
    assert_false(stasis_virtio_blk_store(&rig.blk, before, 0, "x", 1));
    stasis_virtio_blk_resume(&rig.blk);
    assert_int_equal(rig.count, 2);
    save();
    assert_int_equal(frozen.requests_count, 2);
    stasis_virtio_blk_done(&rig.blk, rig.last.id, STASIS_VIRTIO_BLK_OK);
    assert_int_equal(peek16(&rig.driver, USED + 2), 2);
    save();
    assert_int_equal(frozen.requests_count, 1);
    stasis_virtio_blk_resume(&rig.blk);
    assert_int_equal(rig.count, 2);
}

/* What the header says is read again. */
static void their_order_is_kept(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t gpa = BLK_HEADER + 0x800 + 16 * i, words[2] = {BLK_OUT, 2 * i};

        memcpy(bytes_at(&rig.driver, gpa), words, sizeof(words));
        put_desc(&rig.driver, DESC, 2 * i, gpa, 16, NEXT, 2 * i + 1);
        put_desc(&rig.driver, DESC, 2 * i + 1, BLK_STATUS, 1, WRITE, 0);
        put_desc(&rig.driver, TABLE, i, gpa, 16, NEXT, 0);
    }
    put_desc(&rig.driver, DESC, 6, BLK_DATA, 1024, NEXT, 7);
    put_desc(&rig.driver, DESC, 7, BLK_STATUS, 1, WRITE, 0);
    for (unsigned i = 0; i < 3; i++) {
        put_desc(&rig.driver, DESC, 2 * i, BLK_HEADER + 0x800 + 16 * i, 16, NEXT, 6);
        offer(&rig.driver, (uint16_t)(2 * i));
    }
    blk_rig_notify(&rig);
    assert_int_equal(rig.count, 3);
    stasis_virtio_blk_done(&rig.blk, rig.last.id - 2 * STASIS_VIRTIO_BLK_REQUESTS - 2,
                           STASIS_VIRTIO_BLK_OK); /* the first */
    assert_int_equal(peek16(&rig.driver, USED + 2), 1);
    offer(&rig.driver, 0); /* again, in the first's place */
    blk_rig_notify(&rig);
    save();
    assert_int_equal(frozen.requests_count, 3);
    assert_int_equal(frozen.requests[0].head, 2);
    assert_int_equal(frozen.requests[1].head, 4);
    assert_int_equal(frozen.requests[2].head, 0);
    thaw();
    stasis_virtio_blk_resume(&rig.blk);
    assert_int_equal(rig.offsets[0], 1024);
    assert_int_equal(rig.offsets[1], 2048);
    assert_int_equal(rig.offsets[2], 0);
}

/* Changed while the guest was frozen, or a guest's own mischief. */
static void a_request_that_has_become_bad_breaks_the_queue(void **state)
{
    (void)state;
    blk_rig_transfer(&rig, BLK_IN, 0, 1024);
    blk_rig_notify(&rig);
    save();
    put_desc(&rig.driver, DESC, 0, BLK_HEADER, 16, NEXT, 0);
    thaw();
    stasis_virtio_blk_resume(&rig.blk);
    assert_int_equal(rd(rig.mmio, R_STATUS), 15 | 64);
    assert_int_equal(rig.count, 0);
    save();
    thaw();
    assert_int_equal(rig.wakes, 0);
    stasis_virtio_blk_resume(&rig.blk);
    assert_int_equal(rig.count, 0);
}

static void a_request_not_notified_of_is_found(void **state)
{
    (void)state;
    blk_rig_transfer(&rig, BLK_IN, 0, 1024);
    save();
    assert_int_equal(frozen.requests_count, 0);
    thaw();
    stasis_virtio_blk_resume(&rig.blk);
    assert_int_equal(rig.count, 1);
}

static void the_serial_number_stays(void **state)
{
    struct stasis_virtio_blk_disk other = blk_rig_disk;

    (void)state;
    save();
    other.serial = "another";
    blk_rig_device(&rig, &other);
    assert_int_equal(stasis_virtio_blk_restore(&rig.blk, &frozen, NULL), 0);
    save();
    assert_string_equal(frozen.serial, "a serial number");
}

static void another_disk_is_refused(void **state)
{
    struct stasis_virtio_blk_disk others[3] = {blk_rig_disk, blk_rig_disk, blk_rig_disk};
    struct stasis_error err;

    (void)state;
    save();
    others[0].sectors = 66;
    others[1].block_size = 512;
    others[2].is_read_only = true;
    for (unsigned i = 0; i < 3; i++) {
        blk_rig_device(&rig, &others[i]);
        assert_int_equal(stasis_virtio_blk_restore(&rig.blk, &frozen, &err), STASIS_ERR_ARG);
        assert_int_equal(rd(rig.mmio, R_STATUS), 0);
    }
    assert_string_equal(err.msg,
                        "the guest's disk had 64 sectors in blocks of 1024 bytes, this one "
                        "has 64 in 1024, read-only: give the guest its own disk");
    frozen.requests_count = 1;
    assert_int_equal(stasis_virtio_blk_restore(&rig.blk, &frozen, &err), STASIS_ERR_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(disks_that_cannot_be_are_refused, start),
        cmocka_unit_test_setup(requests_in_flight_are_asked_for_again, start),
        cmocka_unit_test_setup(their_order_is_kept, start),
        cmocka_unit_test_setup(a_request_that_has_become_bad_breaks_the_queue, start),
        cmocka_unit_test_setup(a_request_not_notified_of_is_found, start),
        cmocka_unit_test_setup(the_serial_number_stays, start),
        cmocka_unit_test_setup(another_disk_is_refused, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
