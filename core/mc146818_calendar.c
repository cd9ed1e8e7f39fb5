/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Days are counted in years that begin in March, so that the leap day is the last of its year, and
 * in eras of 400 years, which are all alike (Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms").
 */
#include "mc146818_internal.h"

#define DAY_S        86400u
#define ERA_DAYS     146097u
#define TO_1970_DAYS 719468u /* from March 1 of year 0 */

/* Days before month `m`, counted from March as 0. */
static unsigned days_before(unsigned m)
{
    return (153 * m + 2) / 5;
}

struct stasis_calendar stasis_calendar_of(uint64_t seconds)
{
    unsigned days = (unsigned)(seconds / DAY_S);
    unsigned since_midnight = (unsigned)(seconds % DAY_S);
    unsigned since_0 = days + TO_1970_DAYS;
    unsigned of_era = since_0 % ERA_DAYS;
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned m = (5 * of_year + 2) / 153;

    return (struct stasis_calendar){.year = since_0 / ERA_DAYS * 400 + year + (m >= 10),
                                    .month = m < 10 ? m + 3 : m - 9,
                                    .day = of_year - days_before(m) + 1,
                                    .weekday = (days + 4) % 7 + 1, /* 1970 began on a Thursday */
                                    .hour = since_midnight / 3600,
                                    .minute = since_midnight / 60 % 60,
                                    .second = since_midnight % 60};
}

static unsigned clamp(unsigned value, unsigned min, unsigned max)
{
    return value < min ? min : value > max ? max : value;
}

uint64_t stasis_calendar_seconds(const struct stasis_calendar *calendar)
{
    unsigned month = clamp(calendar->month, 1, 12);
    unsigned m = month > 2 ? month - 3 : month + 9;
    unsigned year =
        clamp(calendar->year, STASIS_CALENDAR_YEAR_MIN, STASIS_CALENDAR_YEAR_MAX) - (month <= 2);
    uint64_t days = 365 * (uint64_t)year + year / 4 - year / 100 + year / 400 + days_before(m) +
                    clamp(calendar->day, 1, 31) - 1 - TO_1970_DAYS;

    return days * DAY_S + clamp(calendar->hour, 0, 23) * UINT64_C(3600) +
           clamp(calendar->minute, 0, 59) * UINT64_C(60) + clamp(calendar->second, 0, 59);
}
