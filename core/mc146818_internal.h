/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Parts of the clock: mc146818.c (registers and outputs), mc146818_clock.c (its time, as a counter
 * and as bytes, and when its flags are set), mc146818_calendar.c.
 */
#ifndef STASIS_MC146818_INTERNAL_H
#define STASIS_MC146818_INTERNAL_H

#include "stasis/mc146818.h"

enum {
    SECONDS = 0x00,
    SECONDS_ALARM = 0x01,
    MINUTES = 0x02,
    MINUTES_ALARM = 0x03,
    HOURS = 0x04,
    HOURS_ALARM = 0x05,
    WEEKDAY = 0x06,
    DAY = 0x07,
    MONTH = 0x08,
    YEAR = 0x09,
    REG_A = 0x0a,
    REG_B = 0x0b,
    REG_C = 0x0c,
    REG_D = 0x0d,
    CENTURY = STASIS_MC146818_CENTURY,
};

enum {
    A_UIP = 0x80,
    A_DV_RESET = 0x60, /* both bits: the divider is held in reset */
    A_RS = 0x0f,
    A_DEFAULT = 0x26, /* 32.768 kHz, 1024 Hz */
    B_SET = 0x80,
    B_UIE = 0x10,
    B_DM = 0x04, /* binary */
    B_24 = 0x02,
    C_IRQF = 0x80,
    FLAG_P = 0x40, /* in C, and to enable it in B */
    FLAG_A = 0x20,
    FLAG_U = 0x10,
    FLAGS = FLAG_P | FLAG_A | FLAG_U,
    D_VRT = 0x80,
    HOURS_PM = 0x80,
    ALARM_ANY = 0xc0, /* both bits: "don't care" */
};

#define STASIS_CALENDAR_YEAR_MIN 1970
#define STASIS_CALENDAR_YEAR_MAX 2499
#define STASIS_CALENDAR_SECONDS  UINT64_C(16725225600) /* from the first to the end of the last */

#define STASIS_MC146818_S_NS      UINT64_C(1000000000)
#define STASIS_MC146818_PERIOD_NS (STASIS_CALENDAR_SECONDS * STASIS_MC146818_S_NS)
#define STASIS_MC146818_NEVER     UINT64_MAX

/* ---- mc146818_calendar.c: Gregorian, without time zones and leap seconds ---- */

struct stasis_calendar {
    unsigned year, month, day; /* month and day from 1 */
    unsigned weekday;          /* 1: Sunday */
    unsigned hour, minute, second;
};

/* `seconds` since 1970, below STASIS_CALENDAR_SECONDS. */
struct stasis_calendar stasis_calendar_of(uint64_t seconds);

/* The other way. Fields out of their range count as the nearest in it; a day behind the end of its
 * month is one of the next. The weekday is not read. */
uint64_t stasis_calendar_seconds(const struct stasis_calendar *calendar);

/* ---- mc146818_clock.c ---- */

bool stasis_mc146818_divider_is_reset(const struct stasis_mc146818 *dev);
/* SET, or the divider is reset: the time is in ram, and the guest writes it there. */
bool stasis_mc146818_is_stopped(const struct stasis_mc146818 *dev);

/* The time, and its part below a second. `now` is of the caller's clock, here and below. */
uint64_t stasis_mc146818_counter_ns(const struct stasis_mc146818 *dev, uint64_t now);
uint64_t stasis_mc146818_phase_ns(const struct stasis_mc146818 *dev, uint64_t now);
void stasis_mc146818_set_counter(struct stasis_mc146818 *dev, uint64_t now, uint64_t counter);

/* When the flags are next set, after a change of what that depends on. */
void stasis_mc146818_find_deadlines(struct stasis_mc146818 *dev, uint64_t now);
/* The flags become what they are at `now`. */
void stasis_mc146818_catch_up(struct stasis_mc146818 *dev, uint64_t now);

/* Whether the register is one of the time; what it reads; the time into ram when the clock stops,
 * and from there when it starts. */
bool stasis_mc146818_is_time(unsigned reg);
uint8_t stasis_mc146818_read_time(const struct stasis_mc146818 *dev, uint64_t now, unsigned reg);
void stasis_mc146818_time_to_ram(struct stasis_mc146818 *dev, uint64_t now);
void stasis_mc146818_time_from_ram(struct stasis_mc146818 *dev, uint64_t now, uint64_t phase);

#endif
