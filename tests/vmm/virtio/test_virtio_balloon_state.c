/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the host asks a balloon for, its configuration, freezes and thaws.
 */
#include "balloon_rig.h"

#define CONFIG     STASIS_VIRTIO_MMIO_CONFIG
#define OFFERED    UINT32_C(0x34) /* DEFLATE_ON_OOM, PAGE_POISON, PAGE_REPORTING */
#define NUM_PAGES  (CONFIG + 0)
#define ACTUAL     (CONFIG + 4)
#define HINT       (CONFIG + 8)
#define POISON_VAL (CONFIG + 12)

static struct balloon_rig rig;
static struct stasis_virtio_mmio *const mmio = &rig.dev.mmio;

static int start(void **state)
{
    (void)state;
    balloon_rig_up(&rig, STASIS_VIRTIO_BALLOON_F_PAGE_REPORTING);
    return 0;
}

static uint32_t offered(void)
{
    wr(mmio, R_DEVICE_FEATURES_SEL, 0);
    return rd(mmio, R_DEVICE_FEATURES) & 0xffffff;
}

static void reporting_is_offered_on_request(void **state)
{
    (void)state;
    assert_int_equal(offered(), OFFERED);
    wr(mmio, R_QUEUE_SEL, 4);
    assert_int_equal(rd(mmio, R_QUEUE_NUM_MAX), 128);
    wr(mmio, R_QUEUE_SEL, 5);
    assert_int_equal(rd(mmio, R_QUEUE_NUM_MAX), 0);
    balloon_rig_init(&rig, false);
    assert_int_equal(offered(), 4);
    wr(mmio, R_QUEUE_SEL, 1);
    assert_int_equal(rd(mmio, R_QUEUE_NUM_MAX), 128);
    wr(mmio, R_QUEUE_SEL, 2);
    assert_int_equal(rd(mmio, R_QUEUE_NUM_MAX), 0);
    (void)rd(mmio, POISON_VAL);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 1);
    wr(mmio, POISON_VAL, 1);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 2);
    assert_int_equal(rig.dev.poison_val, 0);
}

static void the_driver_hears_what_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(rd(mmio, NUM_PAGES), 0);
    stasis_virtio_balloon_ask(&rig.dev, 0x12345678);
    assert_int_equal(rd(mmio, NUM_PAGES), 0x12345678);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 2);
    assert_int_equal(rd(mmio, 0xfc), 1); /* ConfigGeneration */
    wr(mmio, R_INTERRUPT_ACK, 2);
    stasis_virtio_balloon_ask(&rig.dev, 0x12345678); /* nothing new */
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 0);
    assert_int_equal(rd(mmio, 0xfc), 1);
}

static void the_driver_says_what_it_has(void **state)
{
    (void)state;
    wr(mmio, ACTUAL, 77);
    assert_int_equal(rd(mmio, ACTUAL), 77);
    assert_int_equal(rig.dev.actual, 77);
    wr(mmio, POISON_VAL, 0xaaaaaaaa);
    assert_int_equal(rd(mmio, POISON_VAL), 0xaaaaaaaa);
    assert_int_equal(rig.driver.error_count, 0);
    wr(mmio, NUM_PAGES, 1);
    wr(mmio, HINT, 1);
    stasis_virtio_mmio_write(mmio, ACTUAL, 2, 1);
    stasis_virtio_mmio_write(mmio, ACTUAL + 1, 4, 1);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_READ_ONLY], 4);
    wr(mmio, CONFIG + 16, 1);
    assert_int_equal(rig.driver.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 1);
    assert_int_equal(rig.dev.actual, 77);
    assert_int_equal(rd(mmio, NUM_PAGES), 0);
}

/* The next driver's balloon is empty; what the host asks for stays. */
static void a_reset_empties_it(void **state)
{
    (void)state;
    stasis_virtio_balloon_ask(&rig.dev, 9);
    wr(mmio, ACTUAL, 7);
    wr(mmio, POISON_VAL, 5);
    wr(mmio, R_STATUS, 0);
    assert_int_equal(rd(mmio, NUM_PAGES), 9);
    assert_int_equal(rd(mmio, ACTUAL), 0);
    assert_int_equal(rd(mmio, POISON_VAL), 0);
    assert_int_equal(rig.dev.actual, 0);
}

static void save(struct stasis_virtio_balloon_state *ret_state)
{
    stasis_virtio_balloon_save(&rig.dev, ret_state);
    assert_int_equal(stasis_state_check(&stasis_virtio_balloon_schema, ret_state, NULL), 0);
}

/* In a device that would not report by itself, and with requests that were not announced. */
static void a_thawed_device_goes_on(void **state)
{
    static struct stasis_virtio_balloon_state frozen, again;

    (void)state;
    stasis_virtio_balloon_ask(&rig.dev, 900);
    wr(mmio, ACTUAL, 800);
    wr(mmio, POISON_VAL, 0);
    balloon_rig_list(&rig, INFLATE, (const uint32_t[]){6}, 1);
    balloon_rig_report(&rig, REPORT, 0x7000, 0x1000);
    save(&frozen);
    stasis_virtio_balloon_init(&rig.dev, &rig.host, false, &balloon_rig_ops, &rig);
    stasis_virtio_balloon_apply_outputs(&rig.dev);
    assert_int_equal(rig.wakes, 0); /* nobody uses it */
    assert_int_equal(stasis_virtio_balloon_restore(&rig.dev, &frozen, NULL), 0);
    save(&again);
    assert_memory_equal(&frozen, &again, sizeof(frozen));
    assert_int_equal(rd(mmio, NUM_PAGES), 900);
    assert_int_equal(rd(mmio, ACTUAL), 800);
    assert_int_equal(rig.count, 0);
    stasis_virtio_balloon_apply_outputs(&rig.dev);
    assert_int_equal(rig.wakes, 1);
    assert_true(rig.driver.line); /* the change of the configuration */
    stasis_virtio_balloon_resume(&rig.dev);
    assert_int_equal(rig.count, 2);
    balloon_rig_assert_zero(&rig, 0x6000, 0x2000);
    wr(mmio, ACTUAL, 900);
    assert_int_equal(rd(mmio, ACTUAL), 900);
}

/* Whatever was done of it: pages that are given are taken away once more. */
static void a_list_begins_anew_after_a_thaw(void **state)
{
    static struct stasis_virtio_balloon_state frozen;
    uint32_t pfns[300];

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        pfns[i] = i % 2 ? 6 : 8;
    balloon_rig_list(&rig, INFLATE, pfns, 300);
    balloon_rig_notify(&rig, INFLATE);
    assert_in_range(rig.count, 1, 299);
    rig.count = 0;
    save(&frozen);
    assert_int_equal(stasis_virtio_balloon_restore(&rig.dev, &frozen, NULL), 0);
    stasis_virtio_balloon_resume(&rig.dev);
    stasis_virtio_balloon_resume(&rig.dev);
    assert_int_equal(rig.count, 300);
    assert_int_equal(balloon_rig_answered(&rig, INFLATE), 1);
}

static void one_that_does_not_report_stays_so(void **state)
{
    static struct stasis_virtio_balloon_state frozen;

    (void)state;
    balloon_rig_init(&rig, false);
    save(&frozen);
    assert_int_equal(frozen.mmio.queues_count, 2);
    stasis_virtio_balloon_init(&rig.dev, &rig.host, true, &balloon_rig_ops, &rig);
    assert_int_equal(stasis_virtio_balloon_restore(&rig.dev, &frozen, NULL), 0);
    assert_int_equal(offered(), 4);
}

static void bad_states_are_refused(void **state)
{
    static struct stasis_virtio_balloon_state frozen;
    struct stasis_error err;

    (void)state;
    wr(mmio, ACTUAL, 3);
    save(&frozen);
    frozen.mmio.queues[0].next_avail++;
    assert_int_equal(stasis_virtio_balloon_restore(&rig.dev, &frozen, &err), STASIS_ERR_RANGE);
    frozen.mmio.queues[0].next_avail--;
    frozen.mmio.device_features |= 1;
    assert_int_equal(stasis_virtio_balloon_restore(&rig.dev, &frozen, &err), STASIS_ERR_VERSION);
    frozen.mmio.device_features &= ~UINT64_C(1);
    frozen.mmio.queues_count = 3;
    assert_int_equal(stasis_virtio_balloon_restore(&rig.dev, &frozen, &err), STASIS_ERR_VERSION);
    assert_int_equal(rig.dev.actual, 3); /* it is as it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reporting_is_offered_on_request, start),
        cmocka_unit_test_setup(the_driver_hears_what_is_asked_for, start),
        cmocka_unit_test_setup(the_driver_says_what_it_has, start),
        cmocka_unit_test_setup(a_reset_empties_it, start),
        cmocka_unit_test_setup(a_thawed_device_goes_on, start),
        cmocka_unit_test_setup(a_list_begins_anew_after_a_thaw, start),
        cmocka_unit_test_setup(one_that_does_not_report_stays_so, start),
        cmocka_unit_test_setup(bad_states_are_refused, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
