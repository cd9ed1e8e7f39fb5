/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A state with a history: record test.timer as three releases in a row have it. Each release is a
 * program of its own: its lists know nothing of later ones.
 */
#ifndef STASIS_TESTS_TIMER_H
#define STASIS_TESTS_TIMER_H

#include "stasis/schema.h"

#define STASIS_DEF "tests/state-ser/ser/timer/timer1_stop.def"
struct stasis_timer1_stop_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "tests/state-ser/ser/timer/timer1.def"
struct stasis_timer1_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "tests/state-ser/ser/timer/timer2.def"
struct stasis_timer2_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "tests/state-ser/ser/timer/timer3_stop.def"
struct stasis_timer3_stop_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "tests/state-ser/ser/timer/timer3.def"
struct stasis_timer3_state {
#include "stasis/def_struct.h"
};

/* timer_schemas[n - 1] is the record as release n has it. */
#define TIMER_VERSIONS 3
extern const struct stasis_schema *const timer_schemas[TIMER_VERSIONS];

#endif
