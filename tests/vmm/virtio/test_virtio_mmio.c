/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Registers of the memory-mapped transport, and requests through them (virtio 1.2, 4.2.2).
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

/* The access was one error of this kind and no other. */
static void assert_error(enum stasis_guest_error error)
{
    assert_int_equal(driver.errors[error], 1);
    assert_int_equal(driver.error_count, 1);
    driver.errors[error] = driver.error_count = 0;
}

static void a_device_says_what_it_is(void **state)
{
    (void)state;
    assert_int_equal(rd(mmio, 0x00), 0x74726976);
    assert_int_equal(rd(mmio, 0x04), 2);
    assert_int_equal(rd(mmio, 0x08), 42);
    assert_int_equal(rd(mmio, 0x0c), STASIS_VIRTIO_VENDOR);
    assert_int_equal(rd(mmio, R_STATUS), 0);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 0);
    assert_int_equal(rd(mmio, 0xfc), 0);
    assert_int_equal(rd(mmio, R_QUEUE_NUM_MAX), SIZE);
    assert_int_equal(rd(mmio, R_QUEUE_READY), 0);
    wr(mmio, R_QUEUE_SEL, 2);
    assert_int_equal(rd(mmio, R_QUEUE_NUM_MAX), 0); /* 4.2.2: there is none */
    assert_int_equal(rd(mmio, R_QUEUE_READY), 0);
    assert_int_equal(driver.error_count, 0);
    assert_int_equal(driver.irqs, 0);
}

static void features_come_by_halves(void **state)
{
    (void)state;
    assert_int_equal(rd(mmio, R_DEVICE_FEATURES), 1u << 28 | 1u << 29 | 1u << 3);
    wr(mmio, R_DEVICE_FEATURES_SEL, 1);
    assert_int_equal(rd(mmio, R_DEVICE_FEATURES), 1u | 1u << 8);
    wr(mmio, R_DEVICE_FEATURES_SEL, 2);
    assert_int_equal(rd(mmio, R_DEVICE_FEATURES), 0);
    wr(mmio, R_DEVICE_FEATURES_SEL, 32);
    assert_int_equal(rd(mmio, R_DEVICE_FEATURES), 0);
    assert_int_equal(driver.error_count, 0);
}

/* 4.2.2.1: there is no shared memory. */
static void shared_memory_has_no_region(void **state)
{
    (void)state;
    wr(mmio, 0xac, 0);
    for (uint64_t offset = 0xb0; offset <= 0xbc; offset += 4)
        assert_int_equal(rd(mmio, offset), UINT32_MAX);
    assert_int_equal(driver.error_count, 0);
}

/* 4.2.2.2: 32 bits wide and aligned, for all but the configuration. */
static void registers_are_accessed_whole(void **state)
{
    (void)state;
    for (unsigned size = 1; size <= 8; size++) {
        if (size == 4)
            continue;
        assert_int_equal(stasis_virtio_mmio_read(mmio, 0, size), 0);
        assert_error(STASIS_GUEST_ERROR_BAD_WIDTH);
        stasis_virtio_mmio_write(mmio, R_STATUS, size, 1);
        assert_error(STASIS_GUEST_ERROR_BAD_WIDTH);
    }
    assert_int_equal(stasis_virtio_mmio_read(mmio, 2, 4), 0);
    assert_error(STASIS_GUEST_ERROR_BAD_WIDTH);
    stasis_virtio_mmio_write(mmio, R_STATUS + 1, 4, 1);
    assert_error(STASIS_GUEST_ERROR_BAD_WIDTH);
    assert_int_equal(rd(mmio, R_STATUS), 0);
}

static void directions_are_kept(void **state)
{
    static const uint16_t read_only[] = {0x00, 0x04, 0x08, 0x0c, 0x10, 0x34,
                                         0x60, 0xb0, 0xb4, 0xb8, 0xbc, 0xfc};
    static const uint16_t write_only[] = {0x14, 0x20, 0x24, 0x30, 0x38, 0x50, 0x64,
                                          0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4, 0xac};
    static const uint16_t nothing[] = {0x18, 0x1c, 0x28, 0x3c, 0x40, 0x48, 0x54,
                                       0x68, 0x74, 0x88, 0x98, 0xa8, 0xc0, 0xf8};

    (void)state;
    for (unsigned i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++) {
        wr(mmio, read_only[i], 1);
        assert_error(STASIS_GUEST_ERROR_READ_ONLY);
    }
    for (unsigned i = 0; i < sizeof(write_only) / sizeof(write_only[0]); i++) {
        assert_int_equal(rd(mmio, write_only[i]), 0);
        assert_error(STASIS_GUEST_ERROR_WRITE_ONLY);
    }
    for (unsigned i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        assert_int_equal(rd(mmio, nothing[i]), 0);
        assert_error(STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        wr(mmio, nothing[i], 1);
        assert_error(STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
    }
}

static void configuration_is_read_in_its_widths(void **state)
{
    (void)state;
    assert_int_equal(stasis_virtio_mmio_read(mmio, 0x100, 4), 0x44332211);
    assert_int_equal(stasis_virtio_mmio_read(mmio, 0x104, 2), 0x6655);
    assert_int_equal(stasis_virtio_mmio_read(mmio, 0x105, 1), 0x66);
    assert_int_equal(driver.error_count, 0);
    assert_int_equal(stasis_virtio_mmio_read(mmio, 0x101, 2), 0);
    assert_error(STASIS_GUEST_ERROR_BAD_WIDTH);
    assert_int_equal(stasis_virtio_mmio_read(mmio, 0x100, 8), 0);
    assert_error(STASIS_GUEST_ERROR_BAD_WIDTH);
    assert_int_equal(stasis_virtio_mmio_read(mmio, 0x104, 4), 0); /* two bytes too long */
    assert_error(STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
    assert_int_equal(stasis_virtio_mmio_read(mmio, 0xffc, 4), 0);
    assert_error(STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
    stasis_virtio_mmio_write(mmio, 0x105, 1, 1);
    assert_error(STASIS_GUEST_ERROR_READ_ONLY);
    stasis_virtio_mmio_write(mmio, 0x106, 1, 1);
    assert_error(STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
}

static void a_request_is_answered_and_announced(void **state)
{
    (void)state;
    bring_up(mmio, 0);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(toy.notified[0], 1);
    assert_memory_equal(bytes_at(&driver, BUFFER + 16), "hello", 5);
    assert_int_equal(peek16(&driver, USED + 2), 1);
    assert_int_equal(peek32(&driver, USED + 8), 5);
    assert_true(driver.line);
    assert_int_equal(driver.irqs, 1);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 1);
    wr(mmio, R_INTERRUPT_ACK, 1);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 0);
    assert_false(driver.line);
    assert_int_equal(driver.irqs, 2);
    assert_int_equal(driver.error_count, 0);
}

static void an_interrupt_stays_until_all_is_acknowledged(void **state)
{
    (void)state;
    bring_up(mmio, 0);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    stasis_virtio_mmio_fail(mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 3);
    wr(mmio, R_INTERRUPT_ACK, 1);
    assert_true(driver.line);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 2);
    wr(mmio, R_INTERRUPT_ACK, 3);
    assert_false(driver.line);
    assert_int_equal(driver.irqs, 2);
}

static void the_driver_suppresses_interrupts(void **state)
{
    (void)state;
    bring_up(mmio, 0);
    poke16(&driver, AVAIL, 1);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(peek16(&driver, USED + 2), 1);
    assert_int_equal(driver.irqs, 0);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 0);
}

static void event_idx_is_used_once_negotiated(void **state)
{
    (void)state;
    bring_up(mmio, STASIS_VIRTIO_F_EVENT_IDX);
    poke16(&driver, AVAIL + 4 + 2 * SIZE, 100);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0); /* the first is always announced */
    wr(mmio, R_INTERRUPT_ACK, 1);
    assert_int_equal(peek16(&driver, USED + 4 + 8 * SIZE), 1);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    assert_int_equal(rd(mmio, R_INTERRUPT_STATUS), 0);
    assert_int_equal(peek16(&driver, USED + 4 + 8 * SIZE), 2);
}

/* 4.2.2.2: QueueReady 0 stops a queue, and it can be set up again after a reset. */
static void a_stopped_queue_is_not_touched(void **state)
{
    (void)state;
    bring_up(mmio, 0);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    wr(mmio, R_QUEUE_READY, 0);
    assert_int_equal(rd(mmio, R_QUEUE_READY), 0);
    toy_request(&driver);
    wr(mmio, R_NOTIFY, 0);
    assert_error(STASIS_GUEST_ERROR_BAD_COMMAND);
    assert_int_equal(peek16(&driver, USED + 2), 1);
    assert_false(stasis_virtio_mmio_is_active(mmio, 0));
}

static void queues_are_apart(void **state)
{
    (void)state;
    agree(mmio, 0);
    set_up_queue(mmio);
    wr(mmio, R_QUEUE_SEL, 1);
    assert_int_equal(rd(mmio, R_QUEUE_READY), 0);
    wr(mmio, R_QUEUE_NUM, 4);
    wr64(mmio, R_DESC, DESC);
    wr64(mmio, R_DRIVER, AVAIL);
    wr64(mmio, R_DEVICE, USED);
    wr(mmio, R_QUEUE_READY, 1);
    assert_int_equal(mmio->queues[0].state.size, SIZE);
    assert_int_equal(mmio->queues[1].state.size, 4);
    wr(mmio, R_STATUS, 15);
    wr(mmio, R_NOTIFY, 1);
    assert_int_equal(toy.notified[0], 0);
    assert_int_equal(toy.notified[1], 1);
    assert_true(stasis_virtio_mmio_is_active(mmio, 1));
    assert_false(stasis_virtio_mmio_is_active(mmio, 2));
}

static void addresses_have_two_halves(void **state)
{
    (void)state;
    agree(mmio, 0);
    wr(mmio, R_DESC + 4, 0x12345678);
    wr(mmio, R_DESC, 0x9abcdef0);
    wr(mmio, R_DRIVER, 2);
    wr(mmio, R_DRIVER + 4, 1);
    wr(mmio, R_DEVICE + 4, 3);
    assert_true(mmio->queues[0].state.desc == UINT64_C(0x123456789abcdef0));
    assert_true(mmio->queues[0].state.driver == UINT64_C(0x100000002));
    assert_true(mmio->queues[0].state.device == UINT64_C(0x300000000));
    assert_int_equal(driver.error_count, 0);
}

static void nobody_needs_to_hear_of_errors(void **state)
{
    (void)state;
    mmio->host.guest_error = NULL;
    wr(mmio, 0, 1);
    assert_int_equal(rd(mmio, 0x50), 0);
    assert_int_equal(driver.error_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_device_says_what_it_is, start),
        cmocka_unit_test_setup(features_come_by_halves, start),
        cmocka_unit_test_setup(shared_memory_has_no_region, start),
        cmocka_unit_test_setup(registers_are_accessed_whole, start),
        cmocka_unit_test_setup(directions_are_kept, start),
        cmocka_unit_test_setup(configuration_is_read_in_its_widths, start),
        cmocka_unit_test_setup(a_request_is_answered_and_announced, start),
        cmocka_unit_test_setup(an_interrupt_stays_until_all_is_acknowledged, start),
        cmocka_unit_test_setup(the_driver_suppresses_interrupts, start),
        cmocka_unit_test_setup(event_idx_is_used_once_negotiated, start),
        cmocka_unit_test_setup(a_stopped_queue_is_not_touched, start),
        cmocka_unit_test_setup(queues_are_apart, start),
        cmocka_unit_test_setup(addresses_have_two_halves, start),
        cmocka_unit_test_setup(nobody_needs_to_hear_of_errors, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
