/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Registers, interrupts and FIFOs of the serial port as the data sheet has them.
 */
#include "serial_rig.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static void registers_after_power_on(void **state)
{
    static const uint8_t want[] = {0x00, 0x00, 0x01, 0x00, 0x00, 0x60, 0xb0, 0x00};

    (void)state;
    for (unsigned i = 0; i < sizeof(want); i++)
        assert_int_equal(rd(&rig, i), want[i]);
    assert_false(rig.line);
    wr(&rig, LCR, 0x80);
    assert_int_equal(rd(&rig, DATA), 0x0c);
    assert_int_equal(rd(&rig, IER), 0);
}

static void written_bits_that_stick(void **state)
{
    static const struct {
        uint64_t offset;
        uint8_t value, want;
    } cases[] = {
        {IER, 0xff, 0x0f}, {LCR, 0x7f, 0x7f}, {LCR, 0xff, 0xff}, {LCR, 0x12, 0x12},
        {MCR, 0xff, 0x1f}, {MCR, 0x00, 0x00}, {SCR, 0xff, 0xff}, {SCR, 0x12, 0x12},
        {LSR, 0xff, 0x60}, {MSR, 0xff, 0xb0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(state);
        wr(&rig, cases[i].offset, cases[i].value);
        assert_int_equal(rd(&rig, cases[i].offset), cases[i].want);
    }
}

static void dlab_reaches_the_divisor_and_nothing_else(void **state)
{
    (void)state;
    wr(&rig, LCR, 0x80);
    wr(&rig, DATA, 0x34);
    wr(&rig, IER, 0x12);
    wr(&rig, SCR, 0x56);
    assert_int_equal(rd(&rig, DATA), 0x34);
    assert_int_equal(rd(&rig, IER), 0x12);
    assert_int_equal(rd(&rig, SCR), 0x56);
    assert_int_equal(rd(&rig, IIR), 0x01);
    wr(&rig, LCR, 0x03);
    assert_int_equal(rd(&rig, DATA), 0);
    assert_int_equal(rd(&rig, IER), 0);
    assert_int_equal(rig.out_len, 0);
}

static void accesses_outside_the_chip_are_guest_errors(void **state)
{
    (void)state;
    assert_int_equal(rd(&rig, 8), 0xff);
    wr(&rig, 8, 5);
    wr(&rig, UINT64_MAX, 5);
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 3);
    wr(&rig, SCR, 5);
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_READ_ONLY], 0);
    wr(&rig, LSR, 6);
    wr(&rig, MSR, 6);
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_READ_ONLY], 2);
    assert_int_equal(rd(&rig, SCR), 5); /* which they go past */
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_UNKNOWN_REGISTER], 3);
}

static void output_appears_in_order(void **state)
{
    (void)state;
    wr(&rig, DATA, 'a');
    wr(&rig, DATA, 'b');
    wr(&rig, DATA, 'c');
    assert_memory_equal(rig.out, "abc", 3);
    assert_int_equal(rig.events[STASIS_SERIAL_TX_SENT], 3);
    assert_int_equal(rd(&rig, LSR), 0x60);
}

static void input_interrupts_once_and_until_it_is_read(void **state)
{
    (void)state;
    wr(&rig, IER, 1);
    assert_int_equal(push(&rig, "", 0), 0);
    assert_false(rig.line);
    assert_int_equal(push(&rig, "x", 1), 1);
    assert_true(rig.line);
    assert_int_equal(rd(&rig, IIR), 0x04);
    assert_int_equal(rd(&rig, IIR), 0x04); /* an IIR read does not acknowledge it */
    assert_true(rig.line);
    assert_int_equal(rd(&rig, LSR), 0x61);
    assert_int_equal(rd(&rig, DATA), 'x');
    assert_false(rig.line);
    assert_int_equal(rd(&rig, IIR), 0x01);
    assert_int_equal(rd(&rig, LSR), 0x60);
    assert_int_equal(rig.rises, 1);
}

static void a_fifo_interrupts_until_its_last_byte(void **state)
{
    (void)state;
    wr(&rig, FCR, 1);
    wr(&rig, IER, 1);
    assert_int_equal(push(&rig, "abc", 3), 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rd(&rig, IIR), 0xc4);
        assert_int_equal(rd(&rig, DATA), 'a' + i);
        assert_int_equal(rig.line, i < 2);
    }
    assert_int_equal(rig.rises, 1);
}

static void below_the_trigger_level_input_is_a_timeout(void **state)
{
    static const struct {
        uint8_t fcr;
        unsigned level;
    } cases[] = {{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setup(state);
        wr(&rig, FCR, cases[i].fcr);
        wr(&rig, IER, 1);
        for (unsigned n = 1; n <= 20; n++) {
            push(&rig, "x", 1);
            assert_int_equal(rd(&rig, IIR), n < cases[i].level ? 0xcc : 0xc4);
            assert_true(rig.line);
        }
        for (unsigned n = 20; n > 0; n--) {
            assert_int_equal(rd(&rig, IIR), n < cases[i].level ? 0xcc : 0xc4);
            rd(&rig, DATA);
        }
        assert_int_equal(rd(&rig, IIR), 0xc1);
    }
}

static void thre_is_acknowledged_by_the_iir_read_that_reports_it(void **state)
{
    (void)state;
    wr(&rig, IER, 2);
    assert_int_equal(rd(&rig, IIR), 0x02);
    assert_false(rig.line);
    assert_int_equal(rd(&rig, IIR), 0x01);
    wr(&rig, DATA, 'a');
    assert_true(rig.line);
    assert_int_equal(rd(&rig, IIR), 0x02);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(rd(&rig, IIR), 0x01); /* ACRN 3048: a level here is a storm */
    assert_int_equal(rig.rises, 2);
    assert_int_equal(rig.falls, 2);
}

static void each_written_byte_gives_one_edge(void **state)
{
    (void)state;
    wr(&rig, IER, 2);
    for (unsigned i = 0; i < 10; i++)
        wr(&rig, DATA, 'a'); /* a guest that never reads IIR still needs its edges */
    assert_int_equal(rig.rises, 11);
    assert_int_equal(rd(&rig, IIR), 0x02);
    assert_int_equal(rd(&rig, IIR), 0x01);
    wr(&rig, IER, 0);
    wr(&rig, DATA, 'a');
    assert_int_equal(rig.rises, 11);
}

static void thre_comes_back_when_ier_sets_it_anew(void **state)
{
    (void)state;
    wr(&rig, IER, 2);
    assert_int_equal(rd(&rig, IIR), 0x02);
    wr(&rig, IER, 2); /* unchanged: DR-DOS must not be interrupted */
    wr(&rig, IER, 0x0f);
    assert_int_equal(rd(&rig, IIR), 0x01);
    wr(&rig, IER, 0);
    wr(&rig, IER, 0x0f); /* Windows toggles to 0 and back */
    assert_int_equal(rd(&rig, IIR), 0x02);
    wr(&rig, IER, 0);
    wr(&rig, IER, 2);
    assert_true(rig.line);
    wr(&rig, IER, 0);
    assert_false(rig.line);
    assert_int_equal(rd(&rig, IIR), 0x01);
}

static void input_during_a_masked_ier_is_reported_when_it_returns(void **state)
{
    (void)state;
    wr(&rig, IER, 0);
    push(&rig, "k", 1);
    assert_false(rig.line);
    wr(&rig, IER, 1);
    assert_true(rig.line);
    assert_int_equal(rd(&rig, IIR), 0x04);
}

static void iir_reports_by_priority_and_acknowledges_only_what_it_reports(void **state)
{
    (void)state;
    wr(&rig, IER, 0x0f);
    push(&rig, "x", 1);
    stasis_serial_rx_overrun(&rig.dev);
    stasis_serial_set_modem(&rig.dev, 0);
    assert_int_equal(rd(&rig, IIR), 0x06);
    assert_int_equal(rd(&rig, LSR), 0x63);
    assert_int_equal(rd(&rig, IIR), 0x04);
    assert_int_equal(rd(&rig, IIR), 0x04);
    assert_int_equal(rd(&rig, DATA), 'x');
    assert_int_equal(rd(&rig, IIR), 0x02);
    assert_int_equal(rd(&rig, IIR), 0x00);
    assert_int_equal(rd(&rig, IIR), 0x00);
    assert_int_equal(rd(&rig, MSR), 0x0b);
    assert_int_equal(rd(&rig, IIR), 0x01);
    assert_int_equal(rig.rises, 1); /* INTR stayed up throughout */
    assert_false(rig.line);
}

static void fcr_switches_and_empties_the_fifos(void **state)
{
    (void)state;
    assert_int_equal(rd(&rig, IIR), 0x01);
    wr(&rig, FCR, 0x06); /* without bit 0 nothing is programmed */
    assert_int_equal(rd(&rig, IIR), 0x01);
    push(&rig, "a", 1);
    wr(&rig, FCR, 0x06);
    assert_int_equal(rd(&rig, LSR), 0x61);
    wr(&rig, FCR, 0x01); /* the change empties */
    assert_int_equal(rd(&rig, LSR), 0x60);
    assert_int_equal(rd(&rig, IIR), 0xc1);
    push(&rig, "ab", 2);
    wr(&rig, FCR, 0x81); /* no change of bit 0 */
    assert_int_equal(rd(&rig, LSR), 0x61);
    wr(&rig, IER, 1);
    wr(&rig, FCR, 0x03);
    assert_false(rig.line);
    assert_int_equal(rd(&rig, LSR), 0x60);
    push(&rig, "ab", 2);
    wr(&rig, FCR, 0x00);
    assert_int_equal(rd(&rig, LSR), 0x60);
    assert_int_equal(rd(&rig, IIR), 0x01);
}

static void fcr_transmit_reset_raises_thre(void **state)
{
    (void)state;
    rig.sink_room = 0;
    wr(&rig, FCR, 0x01);
    wr(&rig, IER, 2);
    rd(&rig, IIR);
    wr(&rig, DATA, 'a');
    assert_int_equal(rd(&rig, LSR), 0x00);
    wr(&rig, FCR, 0x05);
    assert_int_equal(rd(&rig, LSR), 0x60);
    assert_int_equal(rd(&rig, IIR), 0xc2);
    rig.sink_room = 10;
    stasis_serial_tx_drain(&rig.dev);
    assert_int_equal(rig.out_len, 0);
}

static void an_overrun_is_line_status(void **state)
{
    (void)state;
    wr(&rig, IER, 4);
    stasis_serial_rx_overrun(&rig.dev);
    assert_int_equal(rd(&rig, IIR), 0x06);
    assert_int_equal(rd(&rig, LSR), 0x62);
    assert_false(rig.line);
    assert_int_equal(rd(&rig, LSR), 0x60);
}

/* It tells of a byte that is lost either way; only reading LSR ends it. */
static void an_overrun_outlives_a_fifo_reset(void **state)
{
    (void)state;
    wr(&rig, FCR, 1);
    push(&rig, "a", 1);
    stasis_serial_rx_overrun(&rig.dev);
    wr(&rig, FCR, 3);
    assert_int_equal(rd(&rig, LSR), 0x62);
    assert_int_equal(rd(&rig, LSR), 0x60);
    stasis_serial_rx_overrun(&rig.dev);
    wr(&rig, FCR, 0); /* turning the FIFOs off clears them, too */
    assert_int_equal(rd(&rig, LSR), 0x62);
}

static void a_break_is_shown_with_its_own_byte(void **state)
{
    (void)state;
    wr(&rig, FCR, 1);
    wr(&rig, IER, 4);
    push(&rig, "a", 1);
    assert_true(stasis_serial_rx_break(&rig.dev));
    push(&rig, "t", 1);
    assert_true(stasis_serial_rx_break(&rig.dev));
    assert_false(rig.line);
    assert_int_equal(rd(&rig, LSR), 0xe1); /* an error waits in the FIFO, not at its top */
    assert_int_equal(rd(&rig, DATA), 'a');
    assert_true(rig.line);
    assert_int_equal(rd(&rig, LSR), 0xf1);
    assert_int_equal(rd(&rig, LSR), 0xe1); /* the second break still waits */
    assert_int_equal(rd(&rig, DATA), 0);
    assert_int_equal(rd(&rig, DATA), 't');
    assert_int_equal(rd(&rig, LSR), 0xf1);
    assert_int_equal(rd(&rig, LSR), 0x61);
    wr(&rig, FCR, 3);
    assert_true(stasis_serial_rx_break(&rig.dev));
    wr(&rig, FCR, 3);
    assert_int_equal(rd(&rig, LSR), 0x60);
}

static void reset_is_power_on_but_for_the_modem_lines(void **state)
{
    struct stasis_serial_state want, got;

    (void)state;
    stasis_state_init(&stasis_serial_schema, &want);
    want.msr = 0x10;
    wr(&rig, FCR, 1);
    wr(&rig, IER, 0x0f);
    wr(&rig, SCR, 9);
    push(&rig, "abc", 3);
    stasis_serial_set_modem(&rig.dev, 0x1f);
    rig.sink_room = 0;
    wr(&rig, DATA, 'x');
    stasis_serial_reset(&rig.dev);
    assert_false(rig.line);
    stasis_serial_save(&rig.dev, &got);
    assert_memory_equal(&got, &want, sizeof(want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers_after_power_on, setup),
        cmocka_unit_test_setup(written_bits_that_stick, setup),
        cmocka_unit_test_setup(dlab_reaches_the_divisor_and_nothing_else, setup),
        cmocka_unit_test_setup(accesses_outside_the_chip_are_guest_errors, setup),
        cmocka_unit_test_setup(output_appears_in_order, setup),
        cmocka_unit_test_setup(input_interrupts_once_and_until_it_is_read, setup),
        cmocka_unit_test_setup(a_fifo_interrupts_until_its_last_byte, setup),
        cmocka_unit_test_setup(below_the_trigger_level_input_is_a_timeout, setup),
        cmocka_unit_test_setup(thre_is_acknowledged_by_the_iir_read_that_reports_it, setup),
        cmocka_unit_test_setup(each_written_byte_gives_one_edge, setup),
        cmocka_unit_test_setup(thre_comes_back_when_ier_sets_it_anew, setup),
        cmocka_unit_test_setup(input_during_a_masked_ier_is_reported_when_it_returns, setup),
        cmocka_unit_test_setup(iir_reports_by_priority_and_acknowledges_only_what_it_reports,
                               setup),
        cmocka_unit_test_setup(fcr_switches_and_empties_the_fifos, setup),
        cmocka_unit_test_setup(fcr_transmit_reset_raises_thre, setup),
        cmocka_unit_test_setup(an_overrun_is_line_status, setup),
        cmocka_unit_test_setup(an_overrun_outlives_a_fifo_reset, setup),
        cmocka_unit_test_setup(a_break_is_shown_with_its_own_byte, setup),
        cmocka_unit_test_setup(reset_is_power_on_but_for_the_modem_lines, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
