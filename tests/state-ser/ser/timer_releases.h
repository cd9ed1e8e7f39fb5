/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Releases of a program that has the timer of timer.h, one for each of its versions.
 */
#ifndef STASIS_TESTS_TIMER_RELEASES_H
#define STASIS_TESTS_TIMER_RELEASES_H

#include "stasis/migrate.h"
#include "timer.h"

extern const struct stasis_release timer_releases[TIMER_VERSIONS];
extern const struct stasis_release timer_no_release; /* that knows no record */

/* A set with a timer "t" of this version. */
struct stasis_records *timer_set_of(int version, const void *state);

void timer_assert_same(const struct stasis_records *a, const struct stasis_records *b);

/* What was dropped: for struct stasis_convert_opts. */
struct timer_drops {
    unsigned count;
    char last[512];
};

void timer_count_drop(void *ctx, const char *what);

#endif
