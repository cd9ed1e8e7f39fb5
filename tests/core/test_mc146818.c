/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The C library's calendar says what the clock must show.
 */
#include <string.h>
#include <time.h>

#include "support/cmocka_all.h"

#include "stasis/mc146818.h"

#include "random.h"

#define S UINT64_C(1000000000)

enum { A = 0x0a, B = 0x0b, C = 0x0c, D = 0x0d };
enum { SET = 0x80, PIE = 0x40, AIE = 0x20, UIE = 0x10, DM = 4, H24 = 2 };
enum { IRQF = 0x80, PF = 0x40, AF = 0x20, UF = 0x10 };

struct rig {
    struct stasis_mc146818 dev;
    uint64_t now;
    bool line;
    unsigned irqs; /* that went up */
    bool armed;
    uint64_t deadline;
    unsigned errors[STASIS_GUEST_ERROR_COUNT];
};

static struct rig rig;

static uint64_t on_now(void *ctx)
{
    return ((struct rig *)ctx)->now;
}

static void on_irq(void *ctx, bool level)
{
    struct rig *r = ctx;

    r->irqs += level;
    r->line = level;
}

static void on_arm(void *ctx, bool on, uint64_t deadline_ns)
{
    struct rig *r = ctx;

    r->armed = on;
    r->deadline = deadline_ns;
}

static void on_guest_error(void *ctx, enum stasis_guest_error error)
{
    ((struct rig *)ctx)->errors[error]++;
}

static const struct stasis_mc146818_ops ops = {on_now, on_irq, on_arm, on_guest_error};

static uint8_t rd(uint8_t reg)
{
    stasis_mc146818_write(&rig.dev, 0, reg);
    return stasis_mc146818_read(&rig.dev, 1);
}

static void wr(uint8_t reg, uint8_t value)
{
    stasis_mc146818_write(&rig.dev, 0, reg);
    stasis_mc146818_write(&rig.dev, 1, value);
}

/* Lets time pass as a VMM does: its timer fires when it is due. */
static void pass(uint64_t ns)
{
    uint64_t end = rig.now + ns;

    while (rig.armed && rig.deadline <= end) {
        rig.now = rig.deadline > rig.now ? rig.deadline : rig.now;
        rig.armed = false; /* a timer fires once */
        stasis_mc146818_alarm(&rig.dev);
    }
    rig.now = end;
}

static unsigned bcd(uint8_t byte)
{
    return (byte >> 4) * 10u + (byte & 15);
}

/* In BCD and 24 hours. */
static uint64_t shown(void)
{
    struct tm tm = {.tm_sec = (int)bcd(rd(0)),
                    .tm_min = (int)bcd(rd(2)),
                    .tm_hour = (int)bcd(rd(4)),
                    .tm_mday = (int)bcd(rd(7)),
                    .tm_mon = (int)bcd(rd(8)) - 1,
                    .tm_year = (int)(bcd(rd(0x32)) * 100 + bcd(rd(9))) - 1900};
    time_t seconds = timegm(&tm);

    assert_int_equal(bcd(rd(6)), tm.tm_wday + 1);
    return (uint64_t)seconds;
}

static void start(uint64_t now, uint64_t seconds)
{
    memset(&rig, 0, sizeof(rig));
    rig.now = now;
    stasis_mc146818_init(&rig.dev, &ops, &rig);
    stasis_mc146818_set_time(&rig.dev, seconds * S);
}

static int setup(void **state)
{
    (void)state;
    start(UINT64_C(1700000000) * S, UINT64_C(1796000000));
    return 0;
}

static void new_clock(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    stasis_mc146818_init(&rig.dev, &ops, &rig);
    assert_int_equal(shown(), 0);
    assert_int_equal(rd(A), 0x26);
    assert_int_equal(rd(B), H24);
    assert_int_equal(rd(C), 0);
    assert_int_equal(rd(D), 0x80);
    assert_int_equal(rd(0x0e), 0);
    assert_false(rig.armed);
    assert_int_equal(rig.irqs, 0);
}

static void calendar_is_that_of_the_c_library(void **state)
{
    static const uint64_t edges[] = {0,          951782399,  951782400, /* 2000-02-29 */
                                     4107542399, 4107542400, 1709164800, 16725225599};
    uint64_t seed = 3;

    (void)state;
    for (unsigned i = 0; i < 7; i++) {
        start(0, edges[i]);
        assert_int_equal(shown(), edges[i]);
    }
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t at = ((uint64_t)next_random(&seed) << 32 | next_random(&seed)) % 16725225600;

        start(next_random(&seed), at);
        assert_int_equal(shown(), at);
        wr(B, SET | H24);
        wr(B, H24);
        assert_int_equal(shown(), at); /* by way of the bytes */
    }
}

static void clock_runs_and_begins_anew_after_2499(void **state)
{
    (void)state;
    pass(86400 * S + S / 2);
    assert_int_equal(shown(), 1796086400);
    start(5, 16725225599);
    pass(S);
    assert_int_equal(shown(), 0);
}

static void twelve_hours_and_binary(void **state)
{
    static const struct {
        unsigned hour;
        uint8_t bcd12, binary12, binary24;
    } cases[] = {{0, 0x12, 12, 0},     {1, 0x01, 1, 1},      {11, 0x11, 11, 11},
                 {12, 0x92, 0x8c, 12}, {13, 0x81, 0x81, 13}, {23, 0x91, 0x8b, 23}};

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        start(0, cases[i].hour * 3600 + 59);
        wr(B, 0);
        assert_int_equal(rd(4), cases[i].bcd12);
        assert_int_equal(rd(0), 0x59);
        wr(B, DM);
        assert_int_equal(rd(4), cases[i].binary12);
        wr(B, SET | DM);
        wr(4, cases[i].binary12);
        wr(B, DM);
        wr(B, DM | H24);
        assert_int_equal(rd(4), cases[i].binary24);
        assert_int_equal(rd(0), 59);
        assert_int_equal(rd(0x32), 19);
    }
}

/* As Linux sets it (drivers/rtc/rtc-mc146818-lib.c): SET, the divider reset, the date in an order
 * that passes through impossible ones, and back. The second then begins in its middle. */
static void set_as_linux_does(void **state)
{
    (void)state;
    wr(B, SET | H24);
    wr(A, 0x76);
    wr(9, 0x28);
    wr(8, 0x02);
    wr(7, 0x29);
    wr(4, 0x23);
    wr(2, 0x59);
    wr(0, 0x58);
    wr(0x32, 0x20);
    pass(10 * S);
    assert_int_equal(rd(0), 0x58); /* it stands still */
    assert_int_equal(rd(A) & 0x80, 0);
    wr(B, H24);
    assert_int_equal(rd(0), 0x58);
    wr(A, 0x26);
    assert_int_equal(shown(), 1835481598); /* 2028-02-29 23:59:58 */
    pass(S / 2 - 1);
    assert_int_equal(rd(0), 0x58);
    pass(1);
    assert_int_equal(rd(0), 0x59);
    pass(S);
    assert_int_equal(shown(), 1835481600);
}

/* One field at a time, without SET. */
static void time_written_while_the_clock_runs(void **state)
{
    uint64_t before = shown();

    (void)state;
    pass(S / 4);
    wr(0, 0x00);
    assert_int_equal(shown(), before / 60 * 60);
    pass(3 * S / 4); /* the phase of the second is kept */
    assert_int_equal(rd(0), 0x01);
    wr(9, 0x37);
    assert_int_equal(rd(9), 0x37);
}

static void impossible_dates_become_possible(void **state)
{
    (void)state;
    wr(B, SET | H24);
    for (uint8_t reg = 0; reg <= 9; reg++)
        wr(reg, 0xff);
    wr(0x32, 0xff);
    wr(B, H24);
    assert_int_equal(shown(), 16725225599); /* 2499-12-31 23:59:59 */
    wr(B, SET | H24);
    for (uint8_t reg = 0; reg <= 9; reg++)
        wr(reg, 0);
    wr(0x32, 0);
    wr(B, H24);
    assert_int_equal(shown(), 0);
}

/* Table 5: up 244 µs before the update. */
static void update_in_progress(void **state)
{
    (void)state;
    pass(S - 244001);
    assert_int_equal(rd(A), 0x26);
    pass(1);
    assert_int_equal(rd(A), 0xa6);
    pass(243999);
    assert_int_equal(rd(A), 0xa6);
    pass(1);
    assert_int_equal(rd(A), 0x26);
}

static void update_interrupt_each_second(void **state)
{
    (void)state;
    wr(B, UIE | H24);
    for (unsigned i = 1; i <= 5; i++) {
        pass(S);
        assert_true(rig.line);
        assert_int_equal(rig.irqs, i);
        assert_int_equal(rd(C) & (IRQF | UF), IRQF | UF);
        assert_false(rig.line);
        assert_int_equal(rd(C) & (IRQF | UF), 0);
    }
    pass(5 * S);
    assert_int_equal(rig.irqs, 6); /* nobody has read C */
    wr(B, SET | UIE | H24);
    assert_int_equal(rd(B), SET | H24); /* SET clears UIE */
}

static void flags_without_interrupts(void **state)
{
    (void)state;
    pass(S);
    assert_false(rig.armed);
    assert_int_equal(rig.irqs, 0);
    assert_int_equal(rd(C) & ~PF, UF);
    wr(A, 0x20);
    rd(C);
    pass(S / 2);
    assert_int_equal(rd(C), 0); /* not even the periodic one, whose rate is 0 */
}

static void periodic_interrupt_of_each_rate(void **state)
{
    static const unsigned hz[16] = {0,   256, 128, 8192, 4096, 2048, 1024, 512,
                                    256, 128, 64,  32,   16,   8,    4,    2};

    (void)state;
    for (uint8_t rs = 0; rs < 16; rs++) {
        unsigned count = 0;
        uint64_t end;

        setup(NULL);
        wr(A, 0x20 | rs);
        wr(B, PIE | H24);
        rd(C);
        rig.irqs = 0;
        for (end = rig.now + S; rig.armed && rig.deadline <= end; count++) {
            pass(rig.deadline - rig.now);
            assert_int_equal(rd(C) & (IRQF | PF), IRQF | PF);
        }
        assert_int_equal(count, hz[rs]);
        assert_int_equal(rig.irqs, hz[rs]);
    }
}

/* Nothing is asked of the host while the guest does not read C. */
static void unread_interrupt_stops_the_timer(void **state)
{
    (void)state;
    wr(A, 0x23);
    wr(B, PIE | UIE | AIE | H24);
    pass(S);
    assert_true(rig.line);
    assert_false(rig.armed);
    assert_int_equal(rig.irqs, 1);
}

static void alarm_at(uint8_t hours, uint8_t minutes, uint8_t seconds)
{
    wr(5, hours);
    wr(3, minutes);
    wr(1, seconds);
}

static void alarms(void **state)
{
    static const struct {
        uint8_t hours, minutes, seconds;
        uint64_t after; /* 12:34:56; 0: never */
    } cases[] = {{0x12, 0x34, 0x57, 1},    {0x12, 0x34, 0x56, 86400}, {0x12, 0x34, 0x55, 86399},
                 {0x13, 0x00, 0x00, 1504}, {0x00, 0x00, 0x00, 41104}, {0xff, 0xff, 0xff, 1},
                 {0xff, 0xff, 0x00, 4},    {0xc0, 0x34, 0x00, 3544},  {0xff, 0x35, 0xc0, 4},
                 {0x13, 0xff, 0xff, 1504}, {0x24, 0x00, 0x00, 0},     {0x12, 0x60, 0x00, 0},
                 {0x12, 0x00, 0x99, 0},    {0x12, 0xff, 0x10, 14}};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        start(77, 45296); /* 12:34:56 */
        wr(A, 0x20);
        alarm_at(cases[i].hours, cases[i].minutes, cases[i].seconds);
        wr(B, AIE | H24);
        assert_int_equal(rig.armed, cases[i].after != 0);
        pass(cases[i].after ? cases[i].after * S - 1 : 90000 * S);
        assert_false(rig.line);
        if (!cases[i].after)
            continue;
        pass(1);
        assert_true(rig.line);
        assert_int_equal(rd(C) & (IRQF | AF), IRQF | AF);
    }
}

/* An access looks for the next alarm. Were it looked for second by second, for a day, as one that
 * never comes was once, this test would take an hour. */
static void alarm_that_never_comes_costs_little(void **state)
{
    (void)state;
    start(77, 45296);
    for (unsigned i = 0; i < 1000000; i++)
        alarm_at(i % 3 == 0 ? 0x24 : 0xff, i % 3 == 1 ? 0x60 : 0xff, i % 3 == 2 ? 0x60 : 0xff);
    wr(B, AIE | H24);
    assert_false(rig.armed);
}

/* 1 pm in 12-hour mode. */
static void alarm_in_twelve_hours(void **state)
{
    (void)state;
    start(0, 45296);
    wr(B, AIE);
    alarm_at(0x81, 0x00, 0x00);
    pass(1503 * S);
    assert_false(rig.line);
    pass(S);
    assert_true(rig.line);
}

/* Of the caller's clock: neither a flood of updates nor silence. */
static void steps_of_the_callers_clock(void **state)
{
    (void)state;
    wr(B, UIE | H24);
    rig.now -= 3600 * S;
    assert_int_equal(shown(), 1796000000 - 3600);
    assert_int_equal(rd(C) & UF, 0);
    pass(S);
    assert_int_equal(rig.irqs, 1);
    rd(C);
    rig.now += 3600 * S;
    stasis_mc146818_alarm(&rig.dev);
    assert_int_equal(rig.irqs, 2);
    assert_int_equal(shown(), 1796000001);
}

static void ram_and_ports(void **state)
{
    (void)state;
    for (uint8_t reg = 0x0e; reg < 0x80; reg++) {
        if (reg != 0x32)
            wr(reg | 0x80, reg ^ 0x55); /* bit 7 is the PC's NMI gate */
    }
    for (uint8_t reg = 0x0e; reg < 0x80; reg++)
        assert_int_equal(rd(reg), reg == 0x32 ? 0x20 : reg ^ 0x55);
    assert_int_equal(stasis_mc146818_read(&rig.dev, 0), 0xff);
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_WRITE_ONLY], 1);
    wr(C, 0xff);
    wr(D, 0);
    assert_int_equal(rig.errors[STASIS_GUEST_ERROR_READ_ONLY], 2);
    assert_int_equal(rd(D), 0x80);
    assert_int_equal(rd(C) & 0x0f, 0);
}

static void reset_keeps_the_time(void **state)
{
    (void)state;
    alarm_at(0x01, 0x02, 0x03);
    wr(B, PIE | AIE | UIE | 0x08 | H24);
    pass(S);
    assert_true(rig.line);
    stasis_mc146818_reset(&rig.dev);
    assert_false(rig.line);
    assert_false(rig.armed);
    assert_int_equal(rd(B), H24);
    assert_int_equal(rd(5), 0x01);
    assert_int_equal(shown(), 1796000001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(new_clock, setup),
        cmocka_unit_test_setup(calendar_is_that_of_the_c_library, setup),
        cmocka_unit_test_setup(clock_runs_and_begins_anew_after_2499, setup),
        cmocka_unit_test_setup(twelve_hours_and_binary, setup),
        cmocka_unit_test_setup(set_as_linux_does, setup),
        cmocka_unit_test_setup(time_written_while_the_clock_runs, setup),
        cmocka_unit_test_setup(impossible_dates_become_possible, setup),
        cmocka_unit_test_setup(update_in_progress, setup),
        cmocka_unit_test_setup(update_interrupt_each_second, setup),
        cmocka_unit_test_setup(flags_without_interrupts, setup),
        cmocka_unit_test_setup(periodic_interrupt_of_each_rate, setup),
        cmocka_unit_test_setup(unread_interrupt_stops_the_timer, setup),
        cmocka_unit_test_setup(alarms, setup),
        cmocka_unit_test_setup(alarm_that_never_comes_costs_little, setup),
        cmocka_unit_test_setup(alarm_in_twelve_hours, setup),
        cmocka_unit_test_setup(steps_of_the_callers_clock, setup),
        cmocka_unit_test_setup(ram_and_ports, setup),
        cmocka_unit_test_setup(reset_keeps_the_time, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
