/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * While the clock runs its time is offset_ns; while it stands still it is in the bytes of ram, as
 * the guest writes them, and offset_ns holds the phase of the second.
 */
#include "mc146818_internal.h"

#include <string.h>

#define DAY_S      86400u
#define ALARM_NONE UINT32_MAX

static const uint8_t time_registers[] = {SECONDS, MINUTES, HOURS, WEEKDAY,
                                         DAY,     MONTH,   YEAR,  CENTURY};

/* ---- the counter ---- */

bool stasis_mc146818_divider_is_reset(const struct stasis_mc146818 *dev)
{
    return (dev->ram[REG_A] & A_DV_RESET) == A_DV_RESET;
}

bool stasis_mc146818_is_stopped(const struct stasis_mc146818 *dev)
{
    return dev->ram[REG_B] & B_SET || stasis_mc146818_divider_is_reset(dev);
}

/* Of two values below STASIS_MC146818_PERIOD_NS, whose sum may be beyond 64 bits. */
static uint64_t add(uint64_t a, uint64_t b)
{
    return a >= STASIS_MC146818_PERIOD_NS - b ? a - (STASIS_MC146818_PERIOD_NS - b) : a + b;
}

uint64_t stasis_mc146818_counter_ns(const struct stasis_mc146818 *dev, uint64_t now)
{
    return add(now % STASIS_MC146818_PERIOD_NS, dev->offset_ns);
}

uint64_t stasis_mc146818_phase_ns(const struct stasis_mc146818 *dev, uint64_t now)
{
    return stasis_mc146818_counter_ns(dev, now) % STASIS_MC146818_S_NS;
}

/* ---- when the flags are set ---- */

/* The interrupt rate in Hz (table 5), or 0. */
static unsigned rate(const struct stasis_mc146818 *dev)
{
    unsigned rs = dev->ram[REG_A] & A_RS;

    if (!rs || stasis_mc146818_divider_is_reset(dev))
        return 0;
    return 32768u >> ((rs <= 2 ? rs + 7 : rs) - 1);
}

static uint64_t ns_to_tick(unsigned hz, uint64_t phase)
{
    uint64_t next = phase * hz / STASIS_MC146818_S_NS + 1;

    return (next * STASIS_MC146818_S_NS + hz - 1) / hz - phase;
}

static unsigned decode(const struct stasis_mc146818 *dev, uint8_t byte)
{
    return dev->ram[REG_B] & B_DM ? byte : (byte >> 4) * 10u + (byte & 0xf);
}

static unsigned decode_hours(const struct stasis_mc146818 *dev, uint8_t byte)
{
    if (dev->ram[REG_B] & B_24)
        return decode(dev, byte);
    return decode(dev, byte & (uint8_t)~HOURS_PM) % 12 + (byte & HOURS_PM ? 12 : 0);
}

static uint32_t alarm_field(const struct stasis_mc146818 *dev, unsigned reg)
{
    uint8_t byte = dev->ram[reg];

    if ((byte & ALARM_ANY) == ALARM_ANY)
        return ALARM_NONE;
    return reg == HOURS_ALARM ? decode_hours(dev, byte) : decode(dev, byte);
}

static bool differs(uint32_t wanted, uint32_t value)
{
    return wanted != ALARM_NONE && wanted != value;
}

static bool is_beyond(uint32_t wanted, uint32_t end)
{
    return wanted != ALARM_NONE && wanted >= end;
}

/* Seconds until the alarm next matches, 1 to a day; 0: never, a field is out of its range. Goes on
 * by hours, minutes or seconds, whatever the first is that does not match: some hundred steps, as
 * fields in their range match once a day. */
static uint64_t seconds_to_alarm(const struct stasis_mc146818 *dev, uint64_t seconds)
{
    uint32_t hours = alarm_field(dev, HOURS_ALARM);
    uint32_t minutes = alarm_field(dev, MINUTES_ALARM);
    uint32_t second = alarm_field(dev, SECONDS_ALARM);

    if (is_beyond(hours, 24) || is_beyond(minutes, 60) || is_beyond(second, 60))
        return 0;
    for (uint32_t ahead = 1;;) {
        uint32_t at = (uint32_t)((seconds + ahead) % DAY_S);

        if (differs(hours, at / 3600))
            ahead += 3600 - at % 3600;
        else if (differs(minutes, at / 60 % 60))
            ahead += 60 - at % 60;
        else if (differs(second, at % 60))
            ahead++;
        else
            return ahead;
    }
}

void stasis_mc146818_find_deadlines(struct stasis_mc146818 *dev, uint64_t now)
{
    uint64_t phase = stasis_mc146818_phase_ns(dev, now);
    unsigned hz = rate(dev);
    uint64_t alarm = 0;

    dev->second_ns = dev->alarm_ns = STASIS_MC146818_NEVER;
    if (!stasis_mc146818_is_stopped(dev)) {
        dev->second_ns = now + STASIS_MC146818_S_NS - phase;
        alarm = seconds_to_alarm(dev, stasis_mc146818_counter_ns(dev, now) / STASIS_MC146818_S_NS);
    }
    if (alarm)
        dev->alarm_ns = now + alarm * STASIS_MC146818_S_NS - phase;
    dev->tick_ns = hz ? now + ns_to_tick(hz, phase) : STASIS_MC146818_NEVER;
    dev->seen_ns = now;
}

void stasis_mc146818_set_counter(struct stasis_mc146818 *dev, uint64_t now, uint64_t counter)
{
    dev->offset_ns = add(counter % STASIS_MC146818_PERIOD_NS,
                         STASIS_MC146818_PERIOD_NS - 1 - now % STASIS_MC146818_PERIOD_NS);
    dev->offset_ns = add(dev->offset_ns, 1);
    stasis_mc146818_find_deadlines(dev, now);
}

/* The flags become what they are at `now`. A clock that was set back has not passed anything. */
void stasis_mc146818_catch_up(struct stasis_mc146818 *dev, uint64_t now)
{
    uint8_t flags = 0;

    if (now >= dev->seen_ns) {
        flags |= now >= dev->second_ns ? FLAG_U : 0;
        flags |= now >= dev->alarm_ns ? FLAG_A : 0;
        flags |= now >= dev->tick_ns ? FLAG_P : 0;
    }
    dev->ram[REG_C] |= flags;
    if (flags || now < dev->seen_ns)
        stasis_mc146818_find_deadlines(dev, now);
    dev->seen_ns = now;
}

/* ---- the time as bytes ---- */

static uint8_t encode(const struct stasis_mc146818 *dev, unsigned value)
{
    return (uint8_t)(dev->ram[REG_B] & B_DM ? value : value / 10 << 4 | value % 10);
}

static uint8_t encode_hours(const struct stasis_mc146818 *dev, unsigned hours)
{
    if (dev->ram[REG_B] & B_24)
        return encode(dev, hours);
    return encode(dev, hours % 12 ? hours % 12 : 12) | (hours >= 12 ? HOURS_PM : 0);
}

bool stasis_mc146818_is_time(unsigned reg)
{
    return memchr(time_registers, (int)reg, sizeof(time_registers)) != NULL;
}

static uint8_t time_byte(const struct stasis_mc146818 *dev, const struct stasis_calendar *time,
                         unsigned reg)
{
    switch (reg) {
    case SECONDS:
        return encode(dev, time->second);
    case MINUTES:
        return encode(dev, time->minute);
    case HOURS:
        return encode_hours(dev, time->hour);
    case WEEKDAY:
        return encode(dev, time->weekday);
    case DAY:
        return encode(dev, time->day);
    case MONTH:
        return encode(dev, time->month);
    case YEAR:
        return encode(dev, time->year % 100);
    default:
        return encode(dev, time->year / 100);
    }
}

uint8_t stasis_mc146818_read_time(const struct stasis_mc146818 *dev, uint64_t now, unsigned reg)
{
    struct stasis_calendar time;

    if (stasis_mc146818_is_stopped(dev))
        return dev->ram[reg];
    time = stasis_calendar_of(stasis_mc146818_counter_ns(dev, now) / STASIS_MC146818_S_NS);
    return time_byte(dev, &time, reg);
}

void stasis_mc146818_time_to_ram(struct stasis_mc146818 *dev, uint64_t now)
{
    struct stasis_calendar time =
        stasis_calendar_of(stasis_mc146818_counter_ns(dev, now) / STASIS_MC146818_S_NS);

    for (size_t i = 0; i < sizeof(time_registers); i++)
        dev->ram[time_registers[i]] = time_byte(dev, &time, time_registers[i]);
}

void stasis_mc146818_time_from_ram(struct stasis_mc146818 *dev, uint64_t now, uint64_t phase)
{
    const struct stasis_calendar time = {.year = decode(dev, dev->ram[CENTURY]) * 100 +
                                                 decode(dev, dev->ram[YEAR]),
                                         .month = decode(dev, dev->ram[MONTH]),
                                         .day = decode(dev, dev->ram[DAY]),
                                         .hour = decode_hours(dev, dev->ram[HOURS]),
                                         .minute = decode(dev, dev->ram[MINUTES]),
                                         .second = decode(dev, dev->ram[SECONDS])};

    for (size_t i = 0; i < sizeof(time_registers); i++)
        dev->ram[time_registers[i]] = 0;
    stasis_mc146818_set_counter(dev, now,
                                stasis_calendar_seconds(&time) * STASIS_MC146818_S_NS + phase);
}
