/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Pages that a driver gives, takes back and reports, and all that it may say of them.
 */
#include "balloon_rig.h"

#define REPORTING STASIS_VIRTIO_BALLOON_F_PAGE_REPORTING
#define POISON    STASIS_VIRTIO_BALLOON_F_PAGE_POISON

#define STATUS_FAILED (15 | 64) /* DEVICE_NEEDS_RESET */

static struct balloon_rig rig;
static struct stasis_virtio_mmio *const mmio = &rig.dev.mmio;

static int start(void **state)
{
    (void)state;
    balloon_rig_up(&rig, REPORTING);
    return 0;
}

static void a_page_that_is_given_is_zero(void **state)
{
    const uint32_t pfns[] = {6};

    (void)state;
    assert_int_equal(rd(mmio, 8), 5);
    balloon_rig_list(&rig, INFLATE, pfns, 1);
    balloon_rig_notify(&rig, INFLATE);
    assert_int_equal(balloon_rig_answered(&rig, INFLATE), 1);
    assert_int_equal(peek32(&rig.driver, USED + 8), 0); /* nothing was written to it */
    assert_int_equal(rig.count, 1);
    balloon_rig_assert_zero(&rig, 0x6000, 0x1000);
    balloon_rig_assert_kept(&rig, 0x5000, 0x1000);
    balloon_rig_assert_kept(&rig, 0x7000, 0x2000);
    assert_true(rig.driver.line);
    assert_int_equal(rig.wakes, 0);
    assert_int_equal(rig.dev.counters.inflated_bytes, 0x1000);
}

static void neighbours_go_together_in_either_order(void **state)
{
    const uint32_t pfns[] = {5, 6, 8, 7, 5, 5};

    (void)state;
    balloon_rig_list(&rig, INFLATE, pfns, 6);
    balloon_rig_notify(&rig, INFLATE);
    assert_int_equal(rig.count, 4);
    balloon_rig_assert_range(&rig, 0, 0x5000, 0x2000);
    balloon_rig_assert_range(&rig, 1, 0x7000, 0x2000);
    balloon_rig_assert_range(&rig, 2, 0x5000, 0x1000); /* once more: no harm */
    balloon_rig_assert_range(&rig, 3, 0x5000, 0x1000);
    balloon_rig_assert_zero(&rig, 0x5000, 0x4000);
}

static void pages_that_are_no_ram_are_errors_of_the_guest(void **state)
{
    const uint32_t pfns[] = {0, 5, 9, UINT32_MAX, 0x80000000, 8, 9};

    (void)state;
    balloon_rig_list(&rig, INFLATE, pfns, 7);
    balloon_rig_notify(&rig, INFLATE);
    assert_int_equal(balloon_rig_answered(&rig, INFLATE), 1);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_BAD_QUEUE], 5);
    assert_int_equal(rig.count, 2);
    balloon_rig_assert_range(&rig, 0, 0x5000, 0x1000);
    balloon_rig_assert_range(&rig, 1, 0x8000, 0x1000);
    assert_int_equal(rd(mmio, R_STATUS), 15);
}

/* Where RAM has a hole between two pages that look like neighbours. */
static void a_range_does_not_leave_ram(void **state)
{
    const uint32_t pfns[] = {6, 7, 8, 5, 6};

    (void)state;
    balloon_rig_list(&rig, INFLATE, pfns, 5);
    rig.driver.hole = 0x7000;
    rig.driver.hole_len = 0x1000;
    balloon_rig_notify(&rig, INFLATE);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    assert_int_equal(rig.count, 3);
    balloon_rig_assert_range(&rig, 2, 0x5000, 0x2000);
}

static void the_rest_of_a_number_is_ignored(void **state)
{
    const uint32_t pfns[] = {5, 6};

    (void)state;
    balloon_rig_list(&rig, INFLATE, pfns, 2);
    put_desc(&rig.driver, DESC, 0, BUFFER, 7, 0, 0);
    balloon_rig_notify(&rig, INFLATE);
    assert_int_equal(rig.count, 1);
    balloon_rig_assert_range(&rig, 0, 0x5000, 0x1000);
    assert_int_equal(balloon_rig_answered(&rig, INFLATE), 1);
}

static void pages_that_leave_the_balloon_are_there(void **state)
{
    const uint32_t pfns[] = {6, 0, UINT32_MAX};

    (void)state;
    balloon_rig_list(&rig, DEFLATE, pfns, 3);
    balloon_rig_notify(&rig, DEFLATE);
    assert_int_equal(balloon_rig_answered(&rig, DEFLATE), 1);
    assert_int_equal(rig.count, 0);
    assert_int_equal(rig.driver.error_count, 0);
}

/* Linux counts only the queues that there are; the specification gives number 4. */
static void reported_pages_are_zero_by_each_number(void **state)
{
    static const unsigned numbers[] = {2, 4};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        start(NULL);
        balloon_rig_report(&rig, numbers[i], 0x6000, 0x2000);
        balloon_rig_notify(&rig, numbers[i]);
        assert_int_equal(balloon_rig_answered(&rig, numbers[i]), 1);
        assert_int_equal(rig.count, 1);
        balloon_rig_assert_range(&rig, 0, 0x6000, 0x2000);
        assert_int_equal(rig.dev.counters.reported_bytes, 0x2000);
        assert_int_equal(rig.dev.counters.inflated_bytes, 0);
    }
}

/* What shares a page with something else stays. */
static void only_whole_pages_are_taken(void **state)
{
    (void)state;
    balloon_rig_report(&rig, REPORT, 0x5001, 0x2fff);
    balloon_rig_report(&rig, REPORT, 0x5800, 0x0fff);
    balloon_rig_report(&rig, REPORT, 0x5800, 0);
    balloon_rig_notify(&rig, REPORT);
    assert_int_equal(balloon_rig_answered(&rig, REPORT), 3);
    assert_int_equal(rig.count, 1);
    balloon_rig_assert_range(&rig, 0, 0x6000, 0x2000);
    balloon_rig_assert_kept(&rig, 0x5000, 0x1000);
}

/* 5.5.6.7.2: free pages that hold something else than 0 keep it. */
static void poisoned_pages_are_not_taken(void **state)
{
    (void)state;
    for (uint32_t poison = 0; poison < 2; poison++) {
        balloon_rig_up(&rig, REPORTING | POISON);
        wr(mmio, STASIS_VIRTIO_MMIO_CONFIG + 12, poison * 0xaaaaaaaa);
        balloon_rig_report(&rig, REPORT, 0x6000, 0x2000);
        balloon_rig_notify(&rig, REPORT);
        assert_int_equal(balloon_rig_answered(&rig, REPORT), 1);
        assert_int_equal(rig.count, !poison);
    }
    start(NULL); /* a driver that has not accepted it */
    wr(mmio, STASIS_VIRTIO_MMIO_CONFIG + 12, 1);
    balloon_rig_report(&rig, REPORT, 0x6000, 0x2000);
    balloon_rig_notify(&rig, REPORT);
    assert_int_equal(rig.count, 1);
}

/* Its own rings among them: the device sees that they are none any more. */
static void rings_that_are_reported_are_lost(void **state)
{
    (void)state;
    balloon_rig_list(&rig, DEFLATE, NULL, 0);
    balloon_rig_notify(&rig, DEFLATE);
    balloon_rig_report(&rig, REPORT, 0x1000, 0x3000);
    balloon_rig_notify(&rig, REPORT);
    assert_int_equal(rig.count, 1);
    balloon_rig_assert_range(&rig, 0, 0x1000, 0x3000);
    assert_int_equal(rig.dev.mmio.queues[REPORT].state.next_used, 1);
    balloon_rig_notify(&rig, DEFLATE); /* idx is 0 again */
    assert_int_equal(rd(mmio, R_STATUS), STATUS_FAILED);
}

static void buffers_of_the_wrong_kind_are_broken(void **state)
{
    const uint32_t pfns[] = {6};

    (void)state;
    balloon_rig_report(&rig, INFLATE, BUFFER, 4);
    balloon_rig_notify(&rig, INFLATE);
    assert_int_equal(rd(mmio, R_STATUS), STATUS_FAILED);
    start(NULL);
    balloon_rig_report(&rig, DEFLATE, BUFFER, 4);
    balloon_rig_notify(&rig, DEFLATE);
    assert_int_equal(rd(mmio, R_STATUS), STATUS_FAILED);
    start(NULL);
    balloon_rig_list(&rig, REPORT, pfns, 1);
    balloon_rig_notify(&rig, REPORT);
    assert_int_equal(rd(mmio, R_STATUS), STATUS_FAILED);
    balloon_rig_up(&rig, 0); /* has not accepted reporting */
    balloon_rig_report(&rig, REPORT, 0x6000, 0x1000);
    balloon_rig_notify(&rig, REPORT);
    assert_int_equal(rd(mmio, R_STATUS), STATUS_FAILED);
    assert_int_equal(rig.count, 0);
    assert_int_equal(rig.dev.mmio.queues[REPORT].state.next_avail, 0);
}

static void a_list_that_goes_away_is_broken(void **state)
{
    const uint32_t pfns[] = {6, 8};

    (void)state;
    balloon_rig_list(&rig, INFLATE, pfns, 2);
    rig.driver.hole = BUFFER + 6;
    rig.driver.hole_len = 1;
    balloon_rig_notify(&rig, INFLATE);
    assert_int_equal(rd(mmio, R_STATUS), STATUS_FAILED);
    assert_int_equal(balloon_rig_answered(&rig, INFLATE), 0);
}

/* ---- a bounded amount of work at a time ---- */

/* 600 pages that no two of are neighbours. */
static void give_much(void)
{
    uint32_t pfns[600];

    for (unsigned i = 0; i < 600; i++)
        pfns[i] = i % 2 ? 6 : 8;
    balloon_rig_list(&rig, INFLATE, pfns, 600);
    balloon_rig_notify(&rig, INFLATE);
}

static void a_long_list_takes_several_turns(void **state)
{
    (void)state;
    give_much();
    assert_int_equal(balloon_rig_answered(&rig, INFLATE), 0);
    assert_in_range(rig.count, 200, 256);
    assert_int_equal(rig.wakes, 1);
    assert_int_equal(mmio->queues[INFLATE].state.next_avail, 0); /* none is in flight */
    stasis_virtio_balloon_resume(&rig.dev);
    assert_in_range(rig.count, 400, 512);
    stasis_virtio_balloon_resume(&rig.dev);
    assert_int_equal(rig.count, 600);
    assert_int_equal(balloon_rig_answered(&rig, INFLATE), 1);
    assert_int_equal(rig.wakes, 2);
    stasis_virtio_balloon_resume(&rig.dev);
    assert_int_equal(rig.count, 600);
    assert_int_equal(rig.wakes, 2);
}

/* A list that became shorter meanwhile is done. */
static void a_list_may_change_between_turns(void **state)
{
    (void)state;
    give_much();
    put_desc(&rig.driver, DESC, 0, BUFFER, 8, 0, 0);
    stasis_virtio_balloon_resume(&rig.dev);
    assert_int_equal(balloon_rig_answered(&rig, INFLATE), 1);
    assert_in_range(rig.count, 200, 256);
}

/* What was done of a request does not count for the next one. */
static void a_reset_forgets_a_list(void **state)
{
    const uint32_t pfns[] = {5};

    (void)state;
    for (unsigned by_queue = 0; by_queue < 2; by_queue++) {
        start(NULL);
        give_much();
        if (by_queue) {
            wr(mmio, R_QUEUE_SEL, INFLATE);
            wr(mmio, R_QUEUE_READY, 0);
        }
        memset(rig.driver.ram, 0, 0x3000);
        agree(mmio, REPORTING);
        set_up_queue(mmio);
        wr(mmio, R_STATUS, 15);
        rig.count = 0;
        balloon_rig_list(&rig, INFLATE, pfns, 1);
        stasis_virtio_balloon_resume(&rig.dev);
        assert_int_equal(rig.count, 1);
        assert_int_equal(balloon_rig_answered(&rig, INFLATE), 1);
    }
}

/* A driver that refills the ring as fast as it is emptied. */
static void refill(struct driver *own, uint64_t gpa, uint64_t len)
{
    (void)gpa;
    (void)len;
    poke16(own, AVAIL + 2, (uint16_t)(mmio->queues[INFLATE].state.next_used + 1));
}

static void one_turn_answers_a_bounded_number(void **state)
{
    (void)state;
    balloon_rig_list(&rig, INFLATE, NULL, 0);
    rig.driver.looked = refill;
    balloon_rig_notify(&rig, INFLATE);
    assert_in_range(balloon_rig_answered(&rig, INFLATE), 1, 256);
    assert_int_equal(rig.wakes, 1);
}

static void reports_take_several_turns(void **state)
{
    const unsigned most = 256 / 8; /* parts of a turn */

    (void)state;
    balloon_rig_up(&rig, REPORTING | STASIS_VIRTIO_F_INDIRECT_DESC);
    for (unsigned i = 0; i < SIZE; i++) {
        for (unsigned k = 0; k < SIZE; k++)
            put_desc(&rig.driver, TABLE, k, 0x8000, 0x1000, WRITE | (k < SIZE - 1 ? NEXT : 0),
                     k + 1);
        put_desc(&rig.driver, DESC + 0x200, i, TABLE, SIZE * 16, INDIRECT, 0);
        offer_behind(&rig.driver, 0x200, (uint16_t)i);
    }
    balloon_rig_notify(&rig, REPORT);
    assert_in_range(rig.count, most / 2, most);
    assert_int_equal(rig.wakes, 1);
    for (unsigned turn = 0; turn < 4; turn++)
        stasis_virtio_balloon_resume(&rig.dev);
    assert_int_equal(rig.count, SIZE * SIZE);
    assert_int_equal(balloon_rig_answered(&rig, REPORT), SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_page_that_is_given_is_zero, start),
        cmocka_unit_test_setup(neighbours_go_together_in_either_order, start),
        cmocka_unit_test_setup(pages_that_are_no_ram_are_errors_of_the_guest, start),
        cmocka_unit_test_setup(a_range_does_not_leave_ram, start),
        cmocka_unit_test_setup(the_rest_of_a_number_is_ignored, start),
        cmocka_unit_test_setup(pages_that_leave_the_balloon_are_there, start),
        cmocka_unit_test_setup(reported_pages_are_zero_by_each_number, start),
        cmocka_unit_test_setup(only_whole_pages_are_taken, start),
        cmocka_unit_test_setup(poisoned_pages_are_not_taken, start),
        cmocka_unit_test_setup(rings_that_are_reported_are_lost, start),
        cmocka_unit_test_setup(buffers_of_the_wrong_kind_are_broken, start),
        cmocka_unit_test_setup(a_list_that_goes_away_is_broken, start),
        cmocka_unit_test_setup(a_long_list_takes_several_turns, start),
        cmocka_unit_test_setup(a_list_may_change_between_turns, start),
        cmocka_unit_test_setup(a_reset_forgets_a_list, start),
        cmocka_unit_test_setup(one_turn_answers_a_bounded_number, start),
        cmocka_unit_test_setup(reports_take_several_turns, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
