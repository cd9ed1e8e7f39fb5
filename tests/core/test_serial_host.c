/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The wires of the serial port, and freeze and thaw.
 */
#include "random.h"
#include "serial_rig.h"

static struct rig rig, twin;

static int setup(void **state)
{
    (void)state;
    rig_init(&rig);
    rig_init(&twin);
    return 0;
}

static void input_stops_at_the_capacity(void **state)
{
    char many[65] = {0};

    (void)state;
    assert_int_equal(stasis_serial_rx_room(&rig.dev), 1);
    assert_int_equal(push(&rig, "ab", 2), 1);
    wr(&rig, FCR, 1);
    assert_int_equal(stasis_serial_rx_room(&rig.dev), 64);
    assert_int_equal(push(&rig, many, 65), 64);
    assert_int_equal(push(&rig, "", 0), 0);
    assert_int_equal(push(&rig, "ab", 2), 0);
    assert_false(stasis_serial_rx_break(&rig.dev));
    rd(&rig, DATA);
    assert_int_equal(push(&rig, "ab", 2), 1);
    assert_int_equal(rd(&rig, LSR), 0x61); /* holding back is no overrun */
}

static void input_is_held_back_in_loopback(void **state)
{
    (void)state;
    wr(&rig, FCR, 1);
    wr(&rig, MCR, 0x10);
    assert_int_equal(stasis_serial_rx_room(&rig.dev), 0);
    assert_int_equal(push(&rig, "a", 1), 0);
    assert_false(stasis_serial_rx_break(&rig.dev));
    rd(&rig, DATA);
    assert_int_equal(rig.events[STASIS_SERIAL_RX_READY], 1); /* that of the FCR write */
    wr(&rig, MCR, 0);
    assert_int_equal(rig.events[STASIS_SERIAL_RX_READY], 2);
    assert_int_equal(push(&rig, "a", 1), 1);
}

static void notes_tell_when_to_push_again(void **state)
{
    const unsigned *ready = &rig.events[STASIS_SERIAL_RX_READY];

    (void)state;
    rd(&rig, DATA); /* empty already */
    assert_int_equal(*ready, 1);
    wr(&rig, FCR, 1);
    assert_int_equal(*ready, 2);
    push(&rig, "ab", 2);
    rd(&rig, DATA);
    assert_int_equal(*ready, 2);
    rd(&rig, DATA);
    assert_int_equal(*ready, 3);
    push(&rig, "ab", 2);
    wr(&rig, FCR, 3);
    assert_int_equal(*ready, 4);
    assert_int_equal(rig.events[STASIS_SERIAL_RX_READ], 3);
}

static void a_busy_sink_makes_a_busy_transmitter(void **state)
{
    (void)state;
    wr(&rig, FCR, 1);
    wr(&rig, IER, 2);
    rd(&rig, IIR);
    rig.sink_room = 0;
    for (unsigned i = 0; i < 65; i++)
        wr(&rig, DATA, (uint8_t)i);
    assert_int_equal(rig.tx_calls, 1); /* not asked again before tx_drain */
    assert_int_equal(rig.events[STASIS_SERIAL_TX_LOST], 1);
    assert_int_equal(rd(&rig, LSR), 0x00);
    assert_int_equal(rd(&rig, IIR), 0xc1);
    rig.sink_room = 10;
    stasis_serial_tx_drain(&rig.dev);
    assert_int_equal(rd(&rig, LSR), 0x00);
    assert_false(rig.line);
    wr(&rig, DATA, 64); /* there is room again */
    rig.sink_room = SIZE_MAX;
    stasis_serial_tx_drain(&rig.dev);
    assert_int_equal(rd(&rig, LSR), 0x60);
    assert_int_equal(rd(&rig, IIR), 0xc2);
    stasis_serial_tx_drain(&rig.dev); /* nothing waits: no interrupt */
    assert_int_equal(rd(&rig, IIR), 0xc1);
    assert_int_equal(rig.out_len, 65);
    for (unsigned i = 0; i < 65; i++)
        assert_int_equal(rig.out[i], i);
    assert_int_equal(rig.events[STASIS_SERIAL_TX_SENT], 65);
}

static void without_fifos_one_byte_waits(void **state)
{
    (void)state;
    rig.sink_room = 0;
    wr(&rig, DATA, 'a');
    wr(&rig, DATA, 'b');
    assert_int_equal(rig.events[STASIS_SERIAL_TX_LOST], 1);
    rig.sink_room = 9;
    stasis_serial_tx_drain(&rig.dev);
    assert_int_equal(rig.out_len, 1);
}

static void modem_lines_leave_deltas(void **state)
{
    (void)state;
    wr(&rig, IER, 8);
    stasis_serial_set_modem(&rig.dev, 0xf0); /* RI comes: no delta */
    assert_false(rig.line);
    stasis_serial_set_modem(&rig.dev, 0x20); /* RI, DCD and CTS go */
    assert_true(rig.line);
    assert_int_equal(rd(&rig, MSR), 0x2d);
    assert_false(rig.line);
    wr(&rig, MCR, 0x12); /* in loopback the outside is not seen: RTS is CTS, DSR goes */
    assert_int_equal(rd(&rig, MSR), 0x13);
    stasis_serial_set_modem(&rig.dev, 0xb0);
    assert_int_equal(rd(&rig, MSR), 0x10);
    wr(&rig, MCR, 0);
    assert_int_equal(rd(&rig, MSR), 0xba);
}

static void notes_are_optional(void **state)
{
    static const struct stasis_serial_ops quiet = {rig_irq, rig_tx, NULL, NULL};

    (void)state;
    stasis_serial_init(&rig.dev, &quiet, &rig);
    rd(&rig, DATA);
    wr(&rig, 9, 0);
    wr(&rig, DATA, 'x');
    assert_int_equal(rig.out_len, 1);
}

/* Moves the device of *to's twin into a new device in place, as a thaw does. */
static void thaw_in_place(struct rig *to)
{
    struct stasis_serial_state saved, again;
    bool line = to->line;
    unsigned rises = to->rises, falls = to->falls;

    stasis_serial_save(&to->dev, &saved);
    assert_int_equal(stasis_state_check(&stasis_serial_schema, &saved, NULL), 0);
    memset(&to->dev, 0xa5, sizeof(to->dev));
    stasis_serial_init(&to->dev, &rig_ops, to);
    assert_int_equal(stasis_serial_restore(&to->dev, &saved, NULL), 0);
    assert_int_equal(stasis_serial_intr(&to->dev), line);
    assert_int_equal(to->rises + to->falls, rises + falls); /* the restore called no operation */
    to->line = !line;
    stasis_serial_apply_outputs(&to->dev);
    assert_int_equal(to->line, line);
    to->rises = rises;
    to->falls = falls;
    stasis_serial_save(&to->dev, &again);
    assert_memory_equal(&saved, &again, sizeof(saved));
}

/* One random step; the same on the same seed. Returns what was seen. */
static unsigned random_step(struct rig *r, uint64_t *seed)
{
    uint32_t what = next_random(seed) % 16, value = next_random(seed);
    uint64_t offset = next_random(seed) % 9;
    uint8_t bytes[80];

    memset(bytes, (int)(value & 0xff), sizeof(bytes));
    switch (what) {
    case 0:
        return (unsigned)stasis_serial_rx_push(&r->dev, bytes, value % sizeof(bytes));
    case 1:
        return stasis_serial_rx_break(&r->dev);
    case 2:
        stasis_serial_rx_overrun(&r->dev);
        return 0;
    case 3:
        stasis_serial_set_modem(&r->dev, (uint8_t)value);
        return 0;
    case 4:
        r->sink_room = value % 70;
        stasis_serial_tx_drain(&r->dev);
        return 0;
    case 5:
    case 6: /* mostly out of loopback and DLAB, or nothing would happen */
        wr(r, what == 5 ? MCR : LCR, value & 0xf00 ? 0x0b : (uint8_t)value);
        return 0;
    case 7:
        wr(r, FCR, value & 0x100 ? 0x41 : (uint8_t)value);
        return 0;
    case 8:
    case 9:
        wr(r, IER, (uint8_t)value);
        return 0;
    case 10:
        wr(r, DATA, (uint8_t)value);
        return 0;
    default:
        return rd(r, offset);
    }
}

static void a_restored_device_behaves_as_its_twin(void **state)
{
    uint64_t seed = 2, dice = 3;

    (void)state;
    rig.sink_room = twin.sink_room = 20;
    for (unsigned i = 0; i < 50000; i++) {
        uint64_t seed_a = seed, seed_b = seed;

        if (next_random(&dice) % 3 == 0)
            thaw_in_place(&twin);
        assert_int_equal(random_step(&rig, &seed_a), random_step(&twin, &seed_b));
        seed = seed_a;
        assert_int_equal(rig.line, twin.line);
        if (rig.out_len > sizeof(rig.out) - 128) {
            assert_memory_equal(rig.out, twin.out, rig.out_len);
            rig.out_len = twin.out_len = 0;
        }
    }
    assert_true(rig.rises > 1000);
    assert_true(rig.events[STASIS_SERIAL_TX_LOST] > 0 && rig.events[STASIS_SERIAL_TX_SENT] > 500);
    assert_int_equal(rig.rises, twin.rises);
    assert_int_equal(rig.falls, twin.falls);
    assert_memory_equal(rig.events, twin.events, sizeof(rig.events));
    assert_int_equal(rig.out_len, twin.out_len);
    assert_memory_equal(rig.out, twin.out, rig.out_len);
}

static void saved_fifos_start_with_their_oldest_byte(void **state)
{
    struct stasis_serial_state saved;
    uint8_t zeros[64] = {0};

    (void)state;
    wr(&rig, FCR, 1);
    for (unsigned i = 0; i < 60; i++) {
        push(&rig, "z", 1);
        rd(&rig, DATA);
        wr(&rig, DATA, 'z');
    }
    rig.sink_room = 0;
    push(&rig, "abcdefgh", 8);
    for (unsigned i = 0; i < 8; i++)
        wr(&rig, DATA, (uint8_t)('0' + i));
    stasis_serial_save(&rig.dev, &saved);
    assert_int_equal(saved.rx_fifo_len, 8);
    assert_memory_equal(saved.rx_fifo, "abcdefgh", 8);
    assert_memory_equal(saved.rx_fifo + 8, zeros, 56);
    assert_int_equal(saved.tx_fifo_len, 8);
    assert_memory_equal(saved.tx_fifo, "01234567", 8);
    assert_memory_equal(saved.tx_fifo + 8, zeros, 56);
}

static void bytes_in_flight_survive(void **state)
{
    struct stasis_serial_state saved;

    (void)state;
    wr(&rig, FCR, 1);
    wr(&rig, IER, 3);
    rd(&rig, IIR);
    rig.sink_room = 2;
    for (unsigned i = 0; i < 6; i++)
        wr(&rig, DATA, (uint8_t)('0' + i));
    push(&rig, "in", 2);
    stasis_serial_save(&rig.dev, &saved);
    push(&twin, "u", 1); /* not a fresh device: its rings have moved on */
    rd(&twin, DATA);
    wr(&twin, DATA, 'u');
    twin.out_len = 0;
    assert_int_equal(stasis_serial_restore(&twin.dev, &saved, NULL), 0);
    assert_int_equal(twin.out_len, 0);
    stasis_serial_apply_outputs(&twin.dev);
    assert_true(twin.line);
    stasis_serial_tx_drain(&twin.dev);
    assert_int_equal(twin.out_len, 4);
    assert_memory_equal(twin.out, "2345", 4);
    assert_int_equal(rd(&twin, IIR), 0xc4);
    assert_int_equal(rd(&twin, DATA), 'i');
    assert_int_equal(rd(&twin, DATA), 'n');
    assert_int_equal(rd(&twin, IIR), 0xc2);
}

static void a_contradicting_state_is_refused(void **state)
{
    struct stasis_serial_state good, before, after, bad;
    struct stasis_error err = {0};

    (void)state;
    wr(&rig, SCR, 0x77);
    stasis_serial_save(&rig.dev, &before);
    stasis_state_init(&stasis_serial_schema, &good);
    for (unsigned i = 0; i < 6; i++) {
        bad = good;
        if (i == 0)
            bad.rx_fifo_len = 2; /* two bytes in a FIFO that is off */
        else if (i == 1)
            bad.thre_pending = 1;
        else if (i == 2)
            bad.rx_breaks = 2;
        else if (i == 3)
            bad.fcr = 0xc0;
        else if (i == 4)
            bad.mcr = 0x20;
        else
            bad.rx_fifo_len = UINT32_MAX;
        assert_int_equal(stasis_serial_restore(&rig.dev, &bad, &err), STASIS_ERR_RANGE);
        stasis_serial_save(&rig.dev, &after);
        assert_memory_equal(&before, &after, sizeof(before));
    }
    assert_int_equal(stasis_serial_restore(&rig.dev, &good, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(input_stops_at_the_capacity, setup),
        cmocka_unit_test_setup(input_is_held_back_in_loopback, setup),
        cmocka_unit_test_setup(notes_tell_when_to_push_again, setup),
        cmocka_unit_test_setup(a_busy_sink_makes_a_busy_transmitter, setup),
        cmocka_unit_test_setup(without_fifos_one_byte_waits, setup),
        cmocka_unit_test_setup(modem_lines_leave_deltas, setup),
        cmocka_unit_test_setup(notes_are_optional, setup),
        cmocka_unit_test_setup(a_restored_device_behaves_as_its_twin, setup),
        cmocka_unit_test_setup(saved_fifos_start_with_their_oldest_byte, setup),
        cmocka_unit_test_setup(bytes_in_flight_survive, setup),
        cmocka_unit_test_setup(a_contradicting_state_is_refused, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
