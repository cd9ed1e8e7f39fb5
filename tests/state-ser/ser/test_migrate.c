/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Records between releases, on a state that has a history (timer.h).
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "random_state.h"
#include "stasis/bind.h"
#include "stasis/field.h"
#include "stasis/migrate.h"
#include "stasis/state.h"
#include "timer.h"
#include "timer_releases.h"

#define RUNS 2000

static struct stasis_parse_opts knows(int version)
{
    return (struct stasis_parse_opts){.size = sizeof(struct stasis_parse_opts),
                                      .schemas = &timer_schemas[version - 1],
                                      .schema_count = 1};
}

/* What the program of release `to` makes of the set's bytes. */
static struct stasis_records *handed_to(const struct stasis_records *set, int to)
{
    struct stasis_parse_opts opts = knows(to);
    struct stasis_records *ret = NULL;
    struct stasis_error err = {0};
    uint8_t *bytes;
    size_t len;
    int rc;

    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    rc = stasis_records_parse(bytes, len, &opts, &ret, &err);
    if (rc)
        print_error("%s\n", err.msg);
    assert_int_equal(rc, 0);
    free(bytes);
    return ret;
}

/* Random, but with what has no place on the wire at its default, as a device leaves it. */
static void random_timer(uint64_t *seed, int version, void *state)
{
    random_state(seed, timer_schemas[version - 1], state);
    for (uint32_t i = 0; i < timer_schemas[version - 1]->field_count; i++) {
        const struct stasis_field *field = &timer_schemas[version - 1]->fields[i];

        if (!stasis_field_in(field, (uint32_t)version))
            stasis_field_set_default(field, state);
    }
}

/* ---- reading what is older ---- */

static void test_version_1_is_read(void **unused)
{
    struct stasis_timer1_state old = {
        .period_us = 20, .flags = 2, .label = "old", .stops_count = 1, .stops = {{.at = 7}}};
    struct stasis_timer3_state now;
    struct stasis_records *written = timer_set_of(1, &old), *read = handed_to(written, 3);

    (void)unused;
    assert_int_equal(stasis_records_get(read, timer_schemas[2], "t", &now, NULL), 0);
    assert_int_equal(now.period_ns, 20000); /* a step */
    assert_int_equal(now.period_us, 1000);  /* forgotten */
    assert_int_equal(now.flags, 2);
    assert_string_equal(now.label, "old");
    assert_int_equal(now.stops[0].at, 7);
    assert_int_equal(now.stops[0].kind, 1); /* the table's default, nested too */
    assert_int_equal(now.trace_len, 0);
    stasis_records_free(written);
    stasis_records_free(read);
}

/* An old record is held to the old bounds. */
static void test_old_bounds_hold(void **unused)
{
    static const struct {
        const char *name;
        struct stasis_timer3_state state;
        const char *message;
    } cases[] = {
        {"mask",
         {.period_ns = 1, .flags = 4},
         "record test.timer t, field flags: 0x4 is outside "
         "its mask 0x3"},
        {"string",
         {.period_ns = 1, .label = "ninechars"},
         "record test.timer t, field label: 9 "
         "bytes, at most 8"},
        {"list",
         {.period_ns = 1, .stops_count = 5},
         "record test.timer t, field stops: 5 "
         "elements, at most 4"},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_parse_opts opts = knows(3);
        struct stasis_timer1_state old;
        struct stasis_schema liar = *timer_schemas[0];
        struct stasis_field fields[4];
        struct stasis_records *set = stasis_records_new(), *read = NULL;
        struct stasis_error err = {0};
        uint8_t *bytes;
        size_t len;

        /* Version 1 as nobody may write it: with wider bounds, in a layout of its own. */
        memcpy(fields, timer_schemas[2]->fields, sizeof(fields));
        fields[0].until = 0;
        fields[3].sub = timer_schemas[0]->fields[3].sub;
        fields[3].elem_size = sizeof(old.stops[0]);
        liar.fields = fields;
        liar.size = sizeof(struct stasis_timer3_state);
        assert_int_equal(stasis_records_add(set, &liar, "t", &cases[i].state, &err), 0);
        assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
        assert_int_equal(stasis_records_parse(bytes, len, &opts, &read, &err), STASIS_ERR_CORRUPT);
        assert_string_equal(err.msg, cases[i].message);
        free(bytes);
        stasis_records_free(set);
    }
}

/* Any state of any version: read by every later one, and given back byte for byte. */
static void test_random_states_come_back(void **unused)
{
    uint64_t seed = 7;
    unsigned pairs = 0;

    (void)unused;
    for (unsigned run = 0; run < RUNS; run++) {
        for (int from = 1; from <= TIMER_VERSIONS; from++) {
            struct stasis_timer3_state state; /* the largest */
            struct stasis_records *written;

            random_timer(&seed, from, &state);
            written = timer_set_of(from, &state);
            for (int to = from; to <= TIMER_VERSIONS; to++, pairs++) {
                struct stasis_records *read = handed_to(written, to), *back = NULL;

                assert_int_equal(
                    stasis_records_convert(read, &timer_releases[from - 1], NULL, &back, NULL), 0);
                timer_assert_same(written, back);
                stasis_records_free(read);
                stasis_records_free(back);
            }
            stasis_records_free(written);
        }
    }
    assert_int_equal(pairs, RUNS * 6);
}

/* ---- writing what is older ---- */

/* Any new state: said by the older version without loss, or refused with a field's name; and with
 * the loss allowed always something that the older release reads. */
static void test_random_states_go_down(void **unused)
{
    uint64_t seed = 11;
    unsigned said = 0, refused = 0;

    (void)unused;
    for (unsigned run = 0; run < RUNS; run++) {
        int to = 1 + (int)(random_u64(&seed) % 2);
        struct stasis_timer3_state state, again;
        struct stasis_records *set, *down = NULL, *read, *up = NULL;
        struct timer_drops drops = {0};
        struct stasis_convert_opts opts = {
            .size = sizeof(opts), .allow_drop = true, .dropped = timer_count_drop, .ctx = &drops};
        struct stasis_error err = {0};
        int rc;

        random_timer(&seed, 3, &state);
        if (run % 2) { /* few random states are as plain as those that devices are in */
            state.trace_len = 0;
            state.flags &= 3;
            state.label[8] = '\0';
            state.stops_count = 0;
            state.period_ns = random_u64(&seed) % 65536 * 1000;
        }
        memset(state.trace + state.trace_len, 0, sizeof(state.trace) - state.trace_len);
        if (!stasis_utf8_valid(state.label, strlen(state.label)))
            continue;
        set = timer_set_of(3, &state);
        rc = stasis_records_convert(set, &timer_releases[to - 1], NULL, &down, &err);
        if (rc) {
            assert_int_equal(rc, STASIS_ERR_VERSION);
            assert_non_null(strstr(err.msg, "record test.timer t: field "));
            refused++;
        }
        stasis_records_free(down);
        assert_int_equal(stasis_records_convert(set, &timer_releases[to - 1], &opts, &down, NULL),
                         0);
        assert_int_equal(drops.count > 0, rc != 0);
        read = handed_to(down, to);
        assert_int_equal(stasis_records_at(read, 0).version, to);
        if (!rc) {
            up = handed_to(down, 3);
            assert_int_equal(stasis_records_get(up, timer_schemas[2], "t", &again, NULL), 0);
            assert_int_equal(again.period_ns, state.period_ns);
            assert_string_equal(again.label, state.label);
            said++;
        }
        stasis_records_free(set);
        stasis_records_free(down);
        stasis_records_free(read);
        stasis_records_free(up);
    }
    assert_true(said > RUNS / 10);
    assert_true(refused > RUNS / 10);
}

static void test_refusals_name_field_and_value(void **unused)
{
    struct stasis_timer3_state cases[7];
    static const char *const messages[] = {
        "field period_ns is 0x1, not its default 0xf4240",
        "field flags is 0x8, outside the mask 0x3",
        "field label is \"ninechars\", 9 bytes, at most 8",
        "field stops has 5 elements, at most 4",
        "field stops[1].kind is 0x2, not its default 0x1",
        "field stops[0].at is 0x10000, outside the mask 0xffff",
        "field trace has 2 bytes",
    };

    (void)unused;
    for (size_t i = 0; i < 7; i++) {
        stasis_state_init(timer_schemas[2], &cases[i]);
        for (size_t stop = 0; stop < 8; stop++)
            cases[i].stops[stop].kind = 1;
    }
    cases[0].period_ns = 1;
    cases[1].flags = 8;
    memcpy(cases[2].label, "ninechars", 10);
    cases[3].stops_count = 5;
    cases[4].stops_count = 2;
    cases[4].stops[1].kind = 2;
    cases[5].stops_count = 1;
    cases[5].stops[0].at = 0x10000;
    cases[6].trace_len = 2;
    for (size_t i = 0; i < 7; i++) {
        struct stasis_records *set = timer_set_of(3, &cases[i]), *down = NULL;
        struct timer_drops drops = {0};
        struct stasis_convert_opts opts = {
            .size = sizeof(opts), .allow_drop = true, .dropped = timer_count_drop, .ctx = &drops};
        struct stasis_error err = {0};
        char want[256];

        assert_int_equal(stasis_records_convert(set, &timer_releases[0], NULL, &down, &err),
                         STASIS_ERR_VERSION);
        assert_null(down);
        snprintf(
            want, sizeof(want),
            "record test.timer t: %s; release 1.0.0 cannot represent that: bring the guest to the "
            "default, or allow it to be dropped",
            messages[i]);
        assert_string_equal(err.msg, want);
        assert_int_equal(stasis_records_convert(set, &timer_releases[0], &opts, &down, NULL), 0);
        snprintf(want, sizeof(want), "record test.timer t: %s", messages[i]);
        assert_int_equal(drops.count, 1);
        assert_string_equal(drops.last, want);
        stasis_records_free(down);
        stasis_records_free(set);
    }
}

/* A cut string ends with a whole character. */
static void test_a_string_is_cut_between_characters(void **unused)
{
    struct stasis_timer3_state state;
    struct stasis_timer1_state old;
    struct stasis_records *set, *down = NULL, *read;
    struct stasis_convert_opts opts = {.size = sizeof(opts), .allow_drop = true};

    (void)unused;
    stasis_state_init(timer_schemas[2], &state);
    memcpy(state.label, "1234567\xc3\xa9", 10);
    set = timer_set_of(3, &state);
    assert_int_equal(stasis_records_convert(set, &timer_releases[0], &opts, &down, NULL), 0);
    read = handed_to(down, 1);
    assert_int_equal(stasis_records_get(read, timer_schemas[0], "t", &old, NULL), 0);
    assert_string_equal(old.label, "1234567");
    stasis_records_free(set);
    stasis_records_free(down);
    stasis_records_free(read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_1_is_read),
        cmocka_unit_test(test_old_bounds_hold),
        cmocka_unit_test(test_random_states_come_back),
        cmocka_unit_test(test_random_states_go_down),
        cmocka_unit_test(test_refusals_name_field_and_value),
        cmocka_unit_test(test_a_string_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
