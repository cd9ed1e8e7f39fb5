/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What guests do to find out which chip this is, and to work around faults they believe to see.
 */
#include "serial_rig.h"

static struct rig rig;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    return 0;
}

/* drivers/tty/serial/8250/8250_port.c: autoconfig() */
static void linux_finds_a_16550a(void **state)
{
    (void)state;
    wr(&rig, IER, 0);
    assert_int_equal(rd(&rig, IER) & 0x0f, 0);
    wr(&rig, IER, 0x0f);
    assert_int_equal(rd(&rig, IER) & 0x0f, 0x0f);
    wr(&rig, IER, 0);
    wr(&rig, MCR, 0x1a);
    assert_int_equal(rd(&rig, MSR) & 0xf0, 0x90);
    wr(&rig, MCR, 0);
    wr(&rig, LCR, 0xbf);
    wr(&rig, IIR, 0); /* EFR of better chips */
    wr(&rig, LCR, 0);
    wr(&rig, FCR, 1);
    assert_int_equal(rd(&rig, IIR) >> 6, 3);
    wr(&rig, LCR, 0x80);
    assert_int_not_equal(rd(&rig, IIR), 0); /* 0 here would be a 16650's EFR */
    wr(&rig, LCR, 0xbf);
    assert_int_not_equal(rd(&rig, IIR), 0);
}

/* autoconfig_16550a(): 16750 and XScale */
static void linux_sees_no_better_chip(void **state)
{
    (void)state;
    wr(&rig, LCR, 0);
    wr(&rig, FCR, 0x21);
    assert_int_equal(rd(&rig, IIR) >> 5, 6);
    wr(&rig, FCR, 1);
    wr(&rig, LCR, 0x80);
    wr(&rig, FCR, 0x21);
    assert_int_equal(rd(&rig, IIR) >> 5, 6);
    wr(&rig, FCR, 1);
    wr(&rig, LCR, 0);
    wr(&rig, IER, 0x40);
    assert_int_equal(rd(&rig, IER) & 0x40, 0);
}

/* size_fifo(): 64 makes it a chip that takes 64 bytes at a time */
static void linux_counts_64_bytes_of_fifo(void **state)
{
    uint8_t old_fcr;
    unsigned count;

    (void)state;
    wr(&rig, FCR, 1);
    wr(&rig, LCR, 0);
    old_fcr = rd(&rig, IIR);
    wr(&rig, FCR, 7);
    wr(&rig, MCR, 0x10);
    for (count = 0; count < 256; count++)
        wr(&rig, DATA, (uint8_t)count);
    for (count = 0; (rd(&rig, LSR) & 1) && count < 256; count++)
        assert_int_equal(rd(&rig, DATA), count);
    assert_int_equal(count, 64);
    assert_int_equal(rig.out_len, 0);
    /* It writes IIR back as FCR: trigger level 14. A single key must come through all the same. */
    wr(&rig, FCR, old_fcr);
    wr(&rig, MCR, 0x0b);
    wr(&rig, IER, 5);
    assert_int_equal(push(&rig, "k", 1), 1);
    assert_true(rig.line);
    assert_int_equal(rd(&rig, IIR), 0xcc);
    assert_int_equal(rd(&rig, DATA), 'k');
    assert_int_equal(rd(&rig, IIR), 0xc1);
}

/* serial8250_do_startup(): UART_BUG_THRE and UART_BUG_TXEN */
static void linux_finds_no_transmit_bugs(void **state)
{
    uint8_t first, second, lsr;

    (void)state;
    assert_int_not_equal(rd(&rig, LSR), 0xff);
    wr(&rig, IER, 2);
    first = rd(&rig, IIR);
    wr(&rig, IER, 0);
    wr(&rig, IER, 2);
    second = rd(&rig, IIR);
    wr(&rig, IER, 0);
    assert_true(first & 0x02);
    assert_int_equal(second & 0x0f, 0x02);

    wr(&rig, IER, 2);
    lsr = rd(&rig, LSR);
    assert_true(lsr & 0x40);
    assert_false(rd(&rig, IIR) & 1); /* TEMT without an interrupt would be UART_BUG_TXEN */
    wr(&rig, IER, 0);
}

/* serial8250_console_write(): IER is 0 while it prints; a key pressed meanwhile must not be lost */
static void linux_gets_a_key_pressed_during_printk(void **state)
{
    uint8_t ier;

    (void)state;
    wr(&rig, FCR, 1);
    wr(&rig, IER, 7);
    rd(&rig, IIR);
    ier = rd(&rig, IER);
    wr(&rig, IER, 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(rd(&rig, LSR) & 0x60, 0x60);
        wr(&rig, DATA, 'p');
        if (i == 5)
            push(&rig, "k", 1);
    }
    assert_false(rig.line);
    wr(&rig, IER, ier);
    assert_true(rig.line);
    assert_int_equal(rd(&rig, IIR), 0xc4);
    rd(&rig, DATA);
    assert_int_equal(rd(&rig, IIR), 0xc2);
    assert_int_equal(rd(&rig, IIR), 0xc1);
}

/* serial8250_interrupt() with a ring of `left` bytes: leaves within PASS_LIMIT rounds */
static void linux_leaves_its_interrupt_loop(void **state)
{
    unsigned left = 1000, rounds = 0;
    uint8_t iir;

    (void)state;
    wr(&rig, FCR, 1);
    wr(&rig, IER, 7);
    while (!((iir = rd(&rig, IIR)) & 1)) {
        assert_true(++rounds < 512);
        assert_int_equal(iir, 0xc2);
        for (unsigned i = 0; i < 64 && left; i++, left--)
            wr(&rig, DATA, 'x');
        if (!left)
            wr(&rig, IER, 5);
    }
    assert_int_equal(rig.out_len, 1000);
    assert_int_equal(rounds, 1000 / 64 + 1);
    assert_false(rig.line);
}

/* sys/dev/uart/uart_dev_ns8250.c: probe; ipend() with receive and transmit pending at once */
static void freebsd_finds_the_chip_and_sends_on(void **state)
{
    (void)state;
    assert_int_equal(rd(&rig, IIR) & 0x30, 0);
    assert_int_equal(rd(&rig, MCR) & 0xe0, 0);
    assert_int_equal(rd(&rig, IER) & 0xf0, 0);
    wr(&rig, FCR, 1);
    wr(&rig, MCR, 0x10);
    wr(&rig, DATA, 'z');
    wr(&rig, FCR, 3); /* receive reset must empty */
    assert_int_equal(rd(&rig, LSR) & 1, 0);
    wr(&rig, MCR, 0x0b);
    rd(&rig, MSR);

    wr(&rig, IER, 0x0f);
    push(&rig, "r", 1);
    assert_int_equal(rd(&rig, IIR) & 0x0f, 0x04); /* 6 here would be taken for line status */
    rd(&rig, DATA);
    assert_int_equal(rd(&rig, IIR) & 0x0f, 0x02); /* the transmit interrupt is not lost */
}

/* Zephyr enables ETBEI with nothing in the chip and sends from the handler (ACRN 2745). */
static void zephyr_sends_all_from_its_handler(void **state)
{
    unsigned sent = 0;

    (void)state;
    wr(&rig, IER, 2);
    while (rig.line) {
        assert_int_equal(rd(&rig, IIR), 0x02);
        if (sent < 20) {
            wr(&rig, DATA, (uint8_t)sent++);
        } else {
            wr(&rig, IER, 0);
        }
    }
    assert_int_equal(rig.out_len, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(linux_finds_a_16550a, setup),
        cmocka_unit_test_setup(linux_sees_no_better_chip, setup),
        cmocka_unit_test_setup(linux_counts_64_bytes_of_fifo, setup),
        cmocka_unit_test_setup(linux_finds_no_transmit_bugs, setup),
        cmocka_unit_test_setup(linux_gets_a_key_pressed_during_printk, setup),
        cmocka_unit_test_setup(linux_leaves_its_interrupt_loop, setup),
        cmocka_unit_test_setup(freebsd_finds_the_chip_and_sends_on, setup),
        cmocka_unit_test_setup(zephyr_sends_all_from_its_handler, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
