/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A driver that breaks each "driver requirement" of virtio 1.2 that a device can see, in the order
 * of the document; the device answers as the document says, or keeps its state and reports it.
 */
#include "toy.h"

static struct driver driver;
static struct toy toy;
static struct stasis_virtio_mmio *const mmio = &toy.mmio;

static int start(void **state)
{
    (void)state;
    toy_init(&toy, &driver);
    return 0;
}

static void assert_bad_command(void)
{
    assert_int_equal(driver.errors[STASIS_GUEST_ERROR_BAD_COMMAND], 1);
    assert_int_equal(driver.error_count, 1);
    driver.errors[STASIS_GUEST_ERROR_BAD_COMMAND] = driver.error_count = 0;
}

static void assert_status(uint32_t status)
{
    assert_int_equal(rd(mmio, R_STATUS), status);
}

/* 2.1.2: DEVICE_NEEDS_RESET, and an interrupt for the configuration if the driver is ready; nothing
 * more is done until the reset. */
static void assert_needs_reset(void)
{
    uint16_t used = peek16(&driver, USED + 2);

    assert_true(rd(mmio, R_STATUS) & 64);
    assert_int_equal(driver.errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    assert_int_equal(driver.error_count, 1);
    if (rd(mmio, R_STATUS) & 4) {
        assert_true(driver.line);
        assert_true(rd(mmio, R_INTERRUPT_STATUS) & 2);
        put_desc(&driver, DESC, 7, BUFFER, 5, 0, 0);
        offer(&driver, 7);
        toy.notified[0] = 0;
        wr(mmio, R_NOTIFY, 0);
        assert_int_equal(toy.notified[0], 0);
        assert_int_equal(peek16(&driver, USED + 2), used);
    }
    wr(mmio, R_STATUS, 0);
    assert_status(0);
    assert_false(driver.line);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 0);
}

/* 2.1.1: "The driver MUST NOT clear a device status bit." */
static void clearing_status_bits(void **state)
{
    (void)state;
    wr(mmio, R_STATUS, 3);
    wr(mmio, R_STATUS, 1);
    assert_bad_command();
    assert_status(3);
    wr(mmio, R_STATUS, 2);
    assert_bad_command();
    assert_status(3);
}

/* 2.1: bits that have no meaning. */
static void unknown_status_bits(void **state)
{
    (void)state;
    wr(mmio, R_STATUS, 1 | 16);
    assert_bad_command();
    wr(mmio, R_STATUS, 0x101);
    assert_bad_command();
    assert_status(0);
    wr(mmio, R_STATUS, 64 | 1); /* the device's own, which a driver cannot set */
    assert_int_equal(driver.error_count, 0);
    assert_status(1);
}

/* 2.1.1, 3.1.1: "in this order". */
static void steps_out_of_order(void **state)
{
    (void)state;
    wr(mmio, R_STATUS, 2);
    assert_bad_command();
    wr(mmio, R_STATUS, 8);
    assert_bad_command();
    wr(mmio, R_STATUS, 1);
    wr(mmio, R_STATUS, 1 | 8);
    assert_bad_command();
    wr(mmio, R_STATUS, 1 | 4);
    assert_bad_command();
    wr(mmio, R_STATUS, 1 | 2);
    wr(mmio, R_STATUS, 1 | 2 | 4);
    assert_bad_command();
    assert_status(3);
}

/* 2.1: a driver that has given up resets the device before it begins anew. */
static void going_on_after_failed(void **state)
{
    (void)state;
    bring_up(mmio, 0);
    wr(mmio, R_STATUS, 15 | 128);
    assert_status(15 | 128);
    wr(mmio, R_STATUS, 15 | 128);
    assert_int_equal(driver.error_count, 0);
    wr(mmio, R_STATUS, 15);
    assert_bad_command();
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(toy.notified[0], 0);
    wr(mmio, R_STATUS, 0);
    assert_int_equal(toy.resets, 2); /* bring_up() begins with one */
    wr(mmio, R_STATUS, 1 | 128);
    wr(mmio, R_STATUS, 1 | 2 | 128);
    assert_bad_command();
}

/* 2.2.1: "MUST NOT accept a feature which the device did not offer"; 2.2.2 and 3.1.1: FEATURES_OK
 * stays clear. */
static void accepting_what_is_not_offered(void **state)
{
    static const struct {
        uint32_t sel, value;
    } bad[] = {{0, 1}, {0, UINT32_MAX}, {1, 3}, {1, 1u << 31 | 1}, {2, 1}, {UINT32_MAX, 7}};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wr(mmio, R_STATUS, 0);
        wr(mmio, R_STATUS, 3);
        wr(mmio, R_DRIVER_FEATURES_SEL, 1);
        wr(mmio, R_DRIVER_FEATURES, 1);
        wr(mmio, R_DRIVER_FEATURES_SEL, bad[i].sel);
        wr(mmio, R_DRIVER_FEATURES, bad[i].value);
        wr(mmio, R_STATUS, 11);
        assert_bad_command();
        assert_status(3);
        wr(mmio, R_STATUS, 15); /* nor all at once */
        assert_bad_command();
        assert_status(3);
    }
    wr(mmio, R_STATUS, 0);
    agree(mmio, TOY_FEATURE | STASIS_VIRTIO_F_INDIRECT_DESC | STASIS_VIRTIO_F_EVENT_IDX);
    assert_int_equal(driver.error_count, 0);
}

/* 2.2.1: it can take back what it accepted, before FEATURES_OK. */
static void features_can_be_changed_before_they_are_agreed(void **state)
{
    (void)state;
    wr(mmio, R_STATUS, 3);
    wr(mmio, R_DRIVER_FEATURES, 1);
    wr(mmio, R_DRIVER_FEATURES_SEL, 1);
    wr(mmio, R_DRIVER_FEATURES, 1);
    wr(mmio, R_STATUS, 11);
    assert_status(3);
    wr(mmio, R_DRIVER_FEATURES_SEL, 0);
    wr(mmio, R_DRIVER_FEATURES, 8);
    wr(mmio, R_STATUS, 11);
    assert_status(11);
}

/* 3.1.1: "MUST NOT accept new feature bits after this step"; 6.1: VERSION_1 is to be accepted. */
static void features_at_the_wrong_time(void **state)
{
    (void)state;
    wr(mmio, R_DRIVER_FEATURES, 8);
    assert_bad_command();
    wr(mmio, R_STATUS, 1);
    wr(mmio, R_DRIVER_FEATURES, 8);
    assert_bad_command();
    wr(mmio, R_STATUS, 3);
    wr(mmio, R_STATUS, 11);
    assert_bad_command(); /* without VERSION_1 */
    assert_status(3);
    agree(mmio, 0);
    wr(mmio, R_DRIVER_FEATURES_SEL, 0);
    wr(mmio, R_DRIVER_FEATURES, 8);
    assert_bad_command();
    assert_true(mmio->regs.driver_features == STASIS_VIRTIO_F_VERSION_1);
}

/* 4.2.2.2 and 3.1.1: queues are set up between FEATURES_OK and DRIVER_OK, and not while ready. */
static void setting_queues_up_at_the_wrong_time(void **state)
{
    static const uint16_t registers[] = {R_QUEUE_NUM,  R_DESC,   R_DESC + 4,   R_DRIVER,
                                         R_DRIVER + 4, R_DEVICE, R_DEVICE + 4, R_QUEUE_READY};
    static const struct stasis_virtio_queue_state zero;

    (void)state;
    for (unsigned step = 0; step < 4; step++) {
        start(NULL);
        if (step == 1)
            wr(mmio, R_STATUS, 3);
        if (step >= 2)
            agree(mmio, 0);
        if (step == 2)
            wr(mmio, R_STATUS, 15);
        if (step == 3)
            wr(mmio, R_QUEUE_SEL, 2); /* one that is not there */
        for (unsigned i = 0; i < 8; i++) {
            wr(mmio, registers[i], 1);
            assert_bad_command();
        }
        assert_memory_equal(&mmio->queues[0].state, &zero, sizeof(zero));
    }
    start(NULL);
    agree(mmio, 0);
    set_up_queue(mmio);
    for (unsigned i = 0; i < 8; i++) {
        wr(mmio, registers[i], 1);
        assert_bad_command();
    }
    assert_int_equal(mmio->queues[0].state.size, SIZE);
    wr(mmio, R_QUEUE_READY, 0); /* which always stops it */
    wr(mmio, R_QUEUE_READY, 2);
    assert_bad_command();
}

static void queues_that_cannot_be(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        start(NULL);
        agree(mmio, 0);
        set_up_queue(mmio);
        wr(mmio, R_QUEUE_READY, 0);
        if (i < 3)
            wr(mmio, R_QUEUE_NUM, i == 0 ? 0 : i == 1 ? 6 : 65544); /* 4.2.2.2: up to QueueNumMax */
        else
            wr64(mmio, R_DESC + 0x10 * (i - 3), RAM_END - 16);
        wr(mmio, R_QUEUE_READY, 1);
        assert_int_equal(rd(mmio, R_QUEUE_READY), 0);
        assert_false(driver.line); /* the driver is not ready */
        assert_needs_reset();
    }
}

/* 3.1.1: "MUST NOT send any buffer available notifications to the device before DRIVER_OK". */
static void notifying_at_the_wrong_time(void **state)
{
    (void)state;
    agree(mmio, 0);
    set_up_queue(mmio);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    assert_bad_command();
    assert_int_equal(peek16(&driver, USED + 2), 0);
    wr(mmio, R_STATUS, 15);
    wr(mmio, R_NOTIFY, 1); /* which is not ready */
    assert_bad_command();
    wr(mmio, R_NOTIFY, 2);
    assert_bad_command();
    wr(mmio, R_NOTIFY, UINT32_MAX);
    assert_bad_command();
    assert_int_equal(toy.notified[0] + toy.notified[1], 0);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(peek16(&driver, USED + 2), 1);
}

/* 4.2.2.2: "MUST NOT set any bits in InterruptACK that are not set in InterruptStatus". */
static void acknowledging_what_is_not_there(void **state)
{
    (void)state;
    bring_up(mmio, 0);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    wr(mmio, R_INTERRUPT_ACK, 4);
    assert_bad_command();
    assert_true(driver.line);
    wr(mmio, R_INTERRUPT_ACK, 2);
    assert_true(driver.line);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 1);
}

/* 2.7: each of these leaves the queue broken. The rules of 2.7.5 and 2.7.13 are those of
 * test_virtio_chain.c and test_virtqueue.c. */
static void breaking_a_queue(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        start(NULL);
        bring_up(mmio, i == 4 ? STASIS_VIRTIO_F_INDIRECT_DESC : 0);
        put_desc(&driver, DESC, 0, BUFFER, 5, 0, 0);
        offer(&driver, 0);
        if (i == 0)
            poke16(&driver, AVAIL + 2, SIZE + 1);
        if (i == 1)
            poke16(&driver, AVAIL + 4, SIZE);
        if (i == 2)
            put_desc(&driver, DESC, 0, BUFFER, 5, NEXT, 0);
        if (i == 3)
            put_desc(&driver, DESC, 0, BUFFER, 16, INDIRECT, 0);
        if (i == 4)
            put_desc(&driver, DESC, 0, BUFFER, 17, INDIRECT, 0);
        wr(mmio, R_NOTIFY, 0);
        assert_needs_reset();
    }
}

/* What was answered before the bad one is announced. */
static void a_broken_queue_keeps_what_was_used(void **state)
{
    (void)state;
    bring_up(mmio, 0);
    toy_request(&driver);
    offer(&driver, SIZE);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(peek16(&driver, USED + 2), 1);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 3);
    assert_needs_reset();
}

/* 2.1.2: a device that was reset is as new, and works again. */
static void a_reset_begins_anew(void **state)
{
    static struct stasis_virtio_mmio fresh;

    (void)state;
    fresh = toy.mmio;
    bring_up(mmio, STASIS_VIRTIO_F_EVENT_IDX);
    wr(mmio, R_QUEUE_SEL, 7);
    wr(mmio, R_DEVICE_FEATURES_SEL, 1);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    wr(mmio, R_STATUS, 0);
    assert_int_equal(toy.resets, 2); /* bring_up() begins with one */
    assert_false(driver.line);
    assert_memory_equal(&toy.mmio, &fresh, sizeof(fresh));
    poke16(&driver, AVAIL + 2, 0);
    bring_up(mmio, 0);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(peek16(&driver, USED + 2), 1);
    assert_int_equal(driver.error_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(clearing_status_bits, start),
        cmocka_unit_test_setup(unknown_status_bits, start),
        cmocka_unit_test_setup(steps_out_of_order, start),
        cmocka_unit_test_setup(going_on_after_failed, start),
        cmocka_unit_test_setup(accepting_what_is_not_offered, start),
        cmocka_unit_test_setup(features_can_be_changed_before_they_are_agreed, start),
        cmocka_unit_test_setup(features_at_the_wrong_time, start),
        cmocka_unit_test_setup(setting_queues_up_at_the_wrong_time, start),
        cmocka_unit_test_setup(queues_that_cannot_be, start),
        cmocka_unit_test_setup(notifying_at_the_wrong_time, start),
        cmocka_unit_test_setup(acknowledging_what_is_not_there, start),
        cmocka_unit_test_setup(breaking_a_queue, start),
        cmocka_unit_test_setup(a_broken_queue_keeps_what_was_used, start),
        cmocka_unit_test_setup(a_reset_begins_anew, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
