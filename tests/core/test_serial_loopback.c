/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "serial_rig.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

static void loopback_brings_output_to_input(void **state)
{
    (void)state;
    wr(&rig, IER, 1);
    wr(&rig, FCR, 1);
    wr(&rig, MCR, 0x10);
    for (unsigned i = 0; i < 3; i++) {
        wr(&rig, DATA, (uint8_t)i);
        assert_true(rig.line);
        assert_int_equal(rd(&rig, DATA), i);
        assert_false(rig.line);
    }
    for (unsigned i = 0; i < 66; i++)
        wr(&rig, DATA, (uint8_t)i);
    assert_int_equal(rig.rises, 4);
    assert_int_equal(rd(&rig, LSR), 0x63);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(rd(&rig, DATA), i);
    assert_int_equal(rd(&rig, LSR), 0x60);
    assert_int_equal(rig.out_len, 0);
    assert_int_equal(rig.events[STASIS_SERIAL_TX_SENT], 0);
}

static void loopback_without_fifo_overwrites(void **state)
{
    (void)state;
    wr(&rig, MCR, 0x10);
    wr(&rig, IER, 2);
    rd(&rig, IIR);
    wr(&rig, DATA, 'a');
    assert_int_equal(rd(&rig, IIR), 0x02); /* THRE lives in loopback */
    assert_int_equal(rd(&rig, LSR), 0x61);
    wr(&rig, DATA, 'b');
    assert_int_equal(rd(&rig, LSR), 0x63);
    assert_int_equal(rd(&rig, DATA), 'b');
    assert_int_equal(rd(&rig, LSR), 0x60);
}

static void an_overrun_takes_no_break_away(void **state)
{
    (void)state;
    assert_true(stasis_serial_rx_break(&rig.dev));
    wr(&rig, MCR, 0x10);
    wr(&rig, DATA, 'a');
    assert_int_equal(rd(&rig, LSR), 0x73); /* BI and OE */
}

static void loopback_wires_each_modem_output_to_its_input(void **state)
{
    static const struct {
        uint8_t mcr, lines, deltas_on, deltas_off;
    } cases[] = {
        {0x01, 0x20, 0x02, 0x02}, /* DTR, DSR */
        {0x02, 0x10, 0x01, 0x01}, /* RTS, CTS */
        {0x04, 0x40, 0x00, 0x04}, /* OUT1, RI: only the trailing edge counts */
        {0x08, 0x80, 0x08, 0x08}, /* OUT2, DCD */
    };

    (void)state;
    wr(&rig, MCR, 0x10);
    assert_int_equal(rd(&rig, MSR), 0x0b); /* CTS, DSR and DCD went away */
    wr(&rig, IER, 0x08);
    for (size_t i = 0; i < 4; i++) {
        wr(&rig, MCR, 0x10 | cases[i].mcr);
        assert_int_equal(rig.line, cases[i].deltas_on != 0);
        assert_int_equal(rd(&rig, MSR), cases[i].lines | cases[i].deltas_on);
        assert_false(rig.line);
        wr(&rig, MCR, 0x10);
        assert_int_equal(rd(&rig, IIR), 0x00);
        assert_int_equal(rd(&rig, MSR), cases[i].deltas_off);
    }
    wr(&rig, MCR, 0);
    assert_int_equal(rd(&rig, MSR), 0xbb);
    assert_int_equal(rd(&rig, MSR), 0xb0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(loopback_brings_output_to_input, setup),
        cmocka_unit_test_setup(loopback_without_fifo_overwrites, setup),
        cmocka_unit_test_setup(an_overrun_takes_no_break_away, setup),
        cmocka_unit_test_setup(loopback_wires_each_modem_output_to_its_input, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
