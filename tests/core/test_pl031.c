/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "pl031_rig.h"

#include <limits.h>

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    start(&rig, 1000 * S + S / 4);
    return 0;
}

static uint32_t rd(uint64_t offset)
{
    return stasis_pl031_read(&rig.dev, offset, 4);
}

static void wr(uint64_t offset, uint32_t value)
{
    stasis_pl031_write(&rig.dev, offset, 4, value);
}

static void registers_after_power_on(void **state)
{
    static const uint32_t want[] = {0, 0, 0, 1, 0, 0, 0};
    static const uint8_t id[] = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

    (void)state;
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(rd(i * 4), want[i]);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(rd(0xfe0 + i * 4), id[i]);
    assert_int_equal(rig.irqs + rig.arms + rig.errors, 0);
}

static void the_counter_follows_the_clock(void **state)
{
    (void)state;
    stasis_pl031_set_time(&rig.dev, 1700000000 * S + 1);
    assert_int_equal(rd(DR), 1700000000);
    pass(&rig, S - 2);
    assert_int_equal(rd(DR), 1700000000);
    pass(&rig, 1);
    assert_int_equal(rd(DR), 1700000001);
    rig.now -= 100 * S; /* so it does when that steps back */
    assert_int_equal(rd(DR), 1699999901);
}

static void a_load_begins_a_second(void **state)
{
    static const uint32_t values[] = {0, 1, 99, 0x80000000, UINT32_MAX};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        wr(LR, values[i]);
        assert_int_equal(rd(LR), values[i]);
        assert_int_equal(rd(DR), values[i]);
        pass(&rig, S - 1);
        assert_int_equal(rd(DR), values[i]);
        pass(&rig, 1);
        assert_int_equal(rd(DR), (uint32_t)(values[i] + 1)); /* wraps to 0, not to host time */
    }
}

static void the_control_register_changes_nothing(void **state)
{
    (void)state;
    wr(LR, 5000);
    wr(CR, 1);
    wr(CR, 0);
    wr(CR, 0xff);
    assert_int_equal(rd(CR), 1);
    assert_int_equal(rd(LR), 5000);
    assert_int_equal(rd(DR), 5000);
    assert_int_equal(rig.errors, 0);
}

static void an_alarm_goes_off_once(void **state)
{
    (void)state;
    wr(LR, 100);
    wr(MR, 110);
    assert_int_equal(rig.arms, 0); /* masked: no timer is needed */
    wr(IMSC, 0xffffffff);
    assert_int_equal(rd(IMSC), 1);
    assert_true(rig.armed);
    assert_int_equal(rig.deadline, rig.now + 10 * S);
    pass(&rig, 10 * S - 1);
    assert_int_equal(rd(RIS) | rd(MIS), 0);
    pass(&rig, 1);
    assert_true(rig.line);
    assert_int_equal(rd(RIS) & rd(MIS), 1);
    wr(ICR, 0xfffffffe); /* bit 0 clears, the others do not */
    assert_int_equal(rd(RIS), 1);
    wr(ICR, 1);
    assert_false(rig.line);
    assert_int_equal(rd(RIS) | rd(MIS), 0);
    assert_int_equal(rig.irqs, 2);
    pass(&rig, 1000 * S);
    assert_int_equal(rig.irqs, 2);
    assert_true(rig.armed); /* for when the counter comes round again, in 136 years */
    pass(&rig, (UINT64_C(1) << 32) * S - 1000 * S);
    assert_true(rig.line);
}

static void a_masked_alarm_is_raw_and_waits(void **state)
{
    (void)state;
    wr(LR, 100);
    wr(MR, 101);
    pass(&rig, 5 * S);
    assert_int_equal(rd(RIS), 1);
    assert_int_equal(rd(MIS), 0);
    assert_false(rig.line);
    wr(IMSC, 1);
    assert_true(rig.line);
    wr(IMSC, 0);
    assert_false(rig.line);
    assert_int_equal(rd(RIS), 1);
}

static void unmasking_after_the_match_needs_no_timer(void **state)
{
    (void)state;
    wr(LR, 100);
    wr(MR, 101);
    pass(&rig, 5 * S);
    wr(IMSC, 1);
    assert_true(rig.line);
    assert_false(rig.armed);
}

static void a_match_of_now_goes_off_at_once(void **state)
{
    (void)state;
    wr(IMSC, 1);
    wr(LR, 100);
    pass(&rig, S / 2);
    wr(MR, 100);
    assert_true(rig.line);
    wr(ICR, 1);
    wr(LR, 100);
    assert_true(rig.line);
}

static void the_timer_moves_with_match_and_load(void **state)
{
    (void)state;
    wr(IMSC, 1);
    wr(LR, 100);
    wr(MR, 200);
    assert_int_equal(rig.deadline, rig.now + 100 * S);
    wr(MR, 300);
    assert_int_equal(rig.deadline, rig.now + 200 * S);
    wr(LR, 290);
    assert_int_equal(rig.deadline, rig.now + 10 * S);
    wr(LR, 310); /* past it: the next time is after the wrap */
    assert_int_equal(rig.deadline, rig.now + ((UINT64_C(1) << 32) - 10) * S);
    stasis_pl031_set_time(&rig.dev, 299 * S + S / 2);
    assert_int_equal(rig.deadline, rig.now + S / 2);
    wr(IMSC, 0);
    assert_false(rig.armed);
}

static void an_early_timer_is_armed_again(void **state)
{
    (void)state;
    wr(LR, 100);
    wr(MR, 110);
    wr(IMSC, 1);
    rig.now += 9 * S;
    rig.armed = false;
    stasis_pl031_alarm(&rig.dev);
    assert_false(rig.line);
    assert_true(rig.armed);
    pass(&rig, S);
    assert_true(rig.line);
}

static void a_late_timer_changes_only_the_interrupt(void **state)
{
    (void)state;
    wr(LR, 100);
    wr(MR, 110);
    wr(IMSC, 1);
    rig.now += 20 * S; /* the timer has not been served */
    assert_int_equal(rd(MIS), 1);
    assert_true(rig.line);
    wr(ICR, 1);
    stasis_pl031_alarm(&rig.dev);
    assert_false(rig.line);
}

/* drivers/rtc/rtc-pl031.c: probe, set_time, set_alarm, interrupt */
static void linux_sets_time_and_alarm(void **state)
{
    (void)state;
    stasis_pl031_set_time(&rig.dev, 1700000000 * S);
    wr(CR, rd(CR) | 1);
    wr(LR, 1800000000);
    wr(CR, rd(CR) | 1); /* kexec: the time that was set stays */
    assert_int_equal(rd(DR), 1800000000);
    wr(MR, 1800000060);
    wr(ICR, 1);
    wr(IMSC, rd(IMSC) | 1);
    pass(&rig, 59 * S);
    assert_false(rig.line);
    pass(&rig, S);
    assert_true(rig.line);
    assert_int_equal(rd(MIS) & 1, 1);
    wr(ICR, 1);
    assert_false(rig.line);
}

/* One error more since the last look, and of this kind. */
static void assert_error(enum stasis_guest_error error)
{
    assert_int_equal(rig.errors, 1);
    assert_int_equal(rig.last_error, error);
    rig.errors = 0;
}

static void each_invalid_access_is_told_by_its_kind(void **state)
{
    static const uint64_t read_only[] = {DR, RIS, MIS, 0xfe0, 0xffc};
    static const uint64_t unknown[] = {0x20, 0x80, 0xfdc, 0x1000, UINT64_MAX - 3};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        wr(read_only[i], 1);
        assert_error(STASIS_GUEST_ERROR_READ_ONLY);
        wr(unknown[i], 1);
        assert_error(STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
        rd(unknown[i]);
        assert_error(STASIS_GUEST_ERROR_UNKNOWN_REGISTER);
    }
    rd(ICR);
    assert_error(STASIS_GUEST_ERROR_WRITE_ONLY);
    stasis_pl031_write(&rig.dev, LR, 2, 7);
    assert_error(STASIS_GUEST_ERROR_BAD_WIDTH);
    (void)stasis_pl031_read(&rig.dev, LR + 1, 4);
    assert_error(STASIS_GUEST_ERROR_BAD_WIDTH);
}

static void odd_accesses_are_guest_errors(void **state)
{
    static const uint64_t read_only[] = {DR, RIS, MIS, 0x20, 0x80, 0xfe0, 0xffc, 0x1000, 1, 6};
    static const uint64_t no_reads[] = {ICR, 0x20, 0x80, 0xfdc, 0x1000, UINT64_MAX - 3};

    (void)state;
    wr(LR, 100);
    for (size_t i = 0; i < 10; i++)
        wr(read_only[i], 123);
    assert_int_equal(rig.errors, 10);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(rd(no_reads[i]), 0);
    assert_int_equal(rig.errors, 16);
    stasis_pl031_write(&rig.dev, LR, 2, 7);
    stasis_pl031_write(&rig.dev, LR, 8, 7);
    stasis_pl031_write(&rig.dev, LR, 0, 7);
    assert_int_equal(rig.errors, 19);
    assert_int_equal(stasis_pl031_read(&rig.dev, LR, 8), 0);
    assert_int_equal(stasis_pl031_read(&rig.dev, LR, 0), 0);
    assert_int_equal(stasis_pl031_read(&rig.dev, LR + 1, 4), 0);
    assert_int_equal(stasis_pl031_read(&rig.dev, LR + 3, UINT_MAX), 0);
    assert_int_equal(rig.errors, 23);
    assert_int_equal(rd(DR), 100);
}

static void narrow_reads_give_the_bytes_they_cover(void **state)
{
    (void)state;
    wr(MR, 0x44332211);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(stasis_pl031_read(&rig.dev, MR + i, 1), 0x11 * (i + 1));
    assert_int_equal(stasis_pl031_read(&rig.dev, MR, 2), 0x2211);
    assert_int_equal(stasis_pl031_read(&rig.dev, MR + 2, 2), 0x4433);
    assert_int_equal(stasis_pl031_read(&rig.dev, MR + 1, 3), 0x443322);
    assert_int_equal(stasis_pl031_read(&rig.dev, 0xfe4, 1), 0x10);
    assert_int_equal(rig.errors, 0);
}

static void reset_keeps_the_time(void **state)
{
    (void)state;
    wr(LR, 100);
    wr(MR, 100);
    wr(IMSC, 1);
    assert_true(rig.line);
    pass(&rig, 7 * S);
    stasis_pl031_reset(&rig.dev);
    assert_false(rig.line);
    assert_false(rig.armed);
    assert_int_equal(rd(MR) | rd(LR) | rd(IMSC) | rd(RIS), 0);
    assert_int_equal(rd(DR), 107);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers_after_power_on, setup),
        cmocka_unit_test_setup(the_counter_follows_the_clock, setup),
        cmocka_unit_test_setup(a_load_begins_a_second, setup),
        cmocka_unit_test_setup(the_control_register_changes_nothing, setup),
        cmocka_unit_test_setup(an_alarm_goes_off_once, setup),
        cmocka_unit_test_setup(a_masked_alarm_is_raw_and_waits, setup),
        cmocka_unit_test_setup(unmasking_after_the_match_needs_no_timer, setup),
        cmocka_unit_test_setup(a_match_of_now_goes_off_at_once, setup),
        cmocka_unit_test_setup(the_timer_moves_with_match_and_load, setup),
        cmocka_unit_test_setup(an_early_timer_is_armed_again, setup),
        cmocka_unit_test_setup(a_late_timer_changes_only_the_interrupt, setup),
        cmocka_unit_test_setup(linux_sets_time_and_alarm, setup),
        cmocka_unit_test_setup(odd_accesses_are_guest_errors, setup),
        cmocka_unit_test_setup(each_invalid_access_is_told_by_its_kind, setup),
        cmocka_unit_test_setup(narrow_reads_give_the_bytes_they_cover, setup),
        cmocka_unit_test_setup(reset_keeps_the_time, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
