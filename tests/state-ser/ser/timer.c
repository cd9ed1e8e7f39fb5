/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "timer.h"

#define STASIS_NAME timer1_stop
#define STASIS_DEF  "tests/state-ser/ser/timer/timer1_stop.def"
#include "stasis/def_fields.h"

static const struct stasis_schema stasis_timer1_stop_schema = {
    .type = "timer_stop",
    .version = 1,
    .size = sizeof(struct stasis_timer1_stop_state),
    .fields = timer1_stop_fields,
    .field_count = sizeof(timer1_stop_fields) / sizeof(timer1_stop_fields[0]),
    .history = timer1_stop_history,
    .doc = "where a timer stops",
};

#define STASIS_NAME timer3_stop
#define STASIS_DEF  "tests/state-ser/ser/timer/timer3_stop.def"
#include "stasis/def_fields.h"

static const struct stasis_schema stasis_timer3_stop_schema = {
    .type = "timer_stop",
    .version = 1,
    .size = sizeof(struct stasis_timer3_stop_state),
    .fields = timer3_stop_fields,
    .field_count = sizeof(timer3_stop_fields) / sizeof(timer3_stop_fields[0]),
    .history = timer3_stop_history,
    .doc = "where a timer stops",
};

#define STASIS_NAME timer1
#define STASIS_DEF  "tests/state-ser/ser/timer/timer1.def"
#include "stasis/def_fields.h"
#define STASIS_NAME timer2
#define STASIS_DEF  "tests/state-ser/ser/timer/timer2.def"
#include "stasis/def_fields.h"
#define STASIS_NAME timer3
#define STASIS_DEF  "tests/state-ser/ser/timer/timer3.def"
#include "stasis/def_fields.h"

#define PERIOD_NS_DEFAULT UINT64_C(1000000)

/* A period of its own unit in version 2; one that version 1 can say leaves the new field alone. */
#define PERIOD_STEPS(n)                                                                            \
    static void timer##n##_up(void *state)                                                         \
    {                                                                                              \
        struct stasis_timer##n##_state *timer = state;                                             \
                                                                                                   \
        timer->period_ns = timer->period_us * UINT64_C(1000);                                      \
    }                                                                                              \
                                                                                                   \
    static void timer##n##_down(void *state)                                                       \
    {                                                                                              \
        struct stasis_timer##n##_state *timer = state;                                             \
        uint64_t us = timer->period_ns / 1000;                                                     \
                                                                                                   \
        timer->period_us = us > UINT16_MAX ? UINT16_MAX : (uint16_t)us;                            \
        if (timer->period_us * UINT64_C(1000) == timer->period_ns)                                 \
            timer->period_ns = PERIOD_NS_DEFAULT;                                                  \
    }                                                                                              \
                                                                                                   \
    static const struct stasis_migration timer##n##_migrations[] = {                               \
        {2, timer##n##_up, timer##n##_down}, {0}}

PERIOD_STEPS(2);
PERIOD_STEPS(3);

#define TIMER_SCHEMA(n, steps_)                                                                    \
    static const struct stasis_schema timer##n##_schema = {                                        \
        .type = "test.timer",                                                                      \
        .version = (n),                                                                            \
        .size = sizeof(struct stasis_timer##n##_state),                                            \
        .fields = timer##n##_fields,                                                               \
        .field_count = sizeof(timer##n##_fields) / sizeof(timer##n##_fields[0]),                   \
        .history = timer##n##_history,                                                             \
        .migrations = (steps_),                                                                    \
        .doc = "a timer",                                                                          \
    }

TIMER_SCHEMA(1, NULL);
TIMER_SCHEMA(2, timer2_migrations);
TIMER_SCHEMA(3, timer3_migrations);

const struct stasis_schema *const timer_schemas[TIMER_VERSIONS] = {&timer1_schema, &timer2_schema,
                                                                   &timer3_schema};
