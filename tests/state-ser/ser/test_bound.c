/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A bound struct with members of every kind (gauge.h) through records: bytes, JSON, the schema in
 * the file, and older versions. AddressSanitizer's leak check sees what is not freed.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "gauge.h"
#include "stasis/bind.h"
#include "stasis/field.h"
#include "stasis/migrate.h"
#include "stasis/schema_set.h"

static const struct stasis_schema *const schemas[] = {&gauge_schema};
static const struct stasis_parse_opts known = {
    .size = sizeof(known), .schemas = schemas, .schema_count = 1};
static const struct stasis_release_record first_row = {"test.gauge", 1, 0};
static const struct stasis_release first = {"1.0", 1, &first_row, 1};

static struct stasis_records *set_of(const struct gauge *gauge)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_error err = {0};

    if (stasis_records_add(set, &gauge_schema, "a", gauge, &err))
        fail_msg("%s", err.msg);
    return set;
}

static struct stasis_records *filled(void)
{
    struct stasis_records *set;
    struct gauge gauge;

    gauge_fill(&gauge);
    set = set_of(&gauge);
    stasis_state_fini(&gauge_schema, &gauge);
    return set;
}

/* The set's bytes, parsed by a program that knows these types. */
static struct stasis_records *parsed(const struct stasis_records *set,
                                     const struct stasis_parse_opts *opts)
{
    struct stasis_records *ret = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;

    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    assert_int_equal(stasis_records_parse(bytes, len, opts, &ret, NULL), 0);
    free(bytes);
    return ret;
}

static char *json_of(const struct stasis_records *set)
{
    struct stasis_json json;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    stasis_json_init(&json, out);
    assert_int_equal(stasis_records_json(set, &json, NULL), 0);
    assert_int_equal(stasis_json_finish(&json), 0);
    fclose(out);
    return text;
}

static void assert_cell(const struct gauge_cell *cell, int16_t at)
{
    assert_int_equal(cell->at, at);
    assert_int_equal(cell->note_len, at % 2 ? 4 : 0);
    if (at % 2)
        assert_memory_equal(cell->note, "note", 4);
    else
        assert_null(cell->note);
}

static void a_filled_state_comes_back(void **state)
{
    struct stasis_records *set = filled(), *read = parsed(set, &known);
    struct gauge gauge, want;

    (void)state;
    gauge_fill(&want);
    memset(&gauge, 0xa5, sizeof(gauge));
    assert_int_equal(stasis_records_get(read, &gauge_schema, "a", &gauge, NULL), 0);
    assert_int_equal(gauge.s8, INT8_MIN);
    assert_int_equal(gauge.s16, 0x7f);
    assert_int_equal(gauge.s32, -70000);
    assert_true(gauge.s64 == INT64_MIN);
    assert_memory_equal(gauge.trend, want.trend, sizeof(want.trend));
    assert_memory_equal(gauge.grid, want.grid, sizeof(want.grid));
    assert_memory_equal(gauge.cube, want.cube, sizeof(want.cube));
    for (int16_t i = 0; i < 4; i++)
        assert_cell(&gauge.cells[i / 2][i % 2], i);
    assert_int_equal(gauge.log_len, 7);
    assert_memory_equal(gauge.log, "started", 7);
    assert_int_equal(gauge.sample_count, 3);
    assert_memory_equal(gauge.samples, want.samples, 3 * sizeof(int32_t));
    assert_int_equal(gauge.far_count, 2);
    assert_cell(&gauge.far[0], -3);
    assert_cell(&gauge.far[1], -4);
    stasis_state_fini(&gauge_schema, &gauge);
    assert_null(gauge.far);
    assert_int_equal(gauge.far_count, 0);
    stasis_state_fini(&gauge_schema, &want);
    stasis_records_free(read);
    stasis_records_free(set);
}

static void defaults_come_back_without_memory(void **state)
{
    struct stasis_records *set, *read;
    struct gauge gauge, again;

    (void)state;
    stasis_state_init(&gauge_schema, &gauge);
    set = set_of(&gauge);
    read = parsed(set, &known);
    memset(&again, 0xa5, sizeof(again));
    assert_int_equal(stasis_records_get(read, &gauge_schema, "a", &again, NULL), 0);
    assert_int_equal(again.s8, -5);
    assert_int_equal(again.s32, INT32_MIN);
    assert_int_equal(again.cells[1][1].at, -1);
    assert_int_equal(again.cube[1][1][1], 0);
    assert_null(again.log);
    assert_null(again.samples);
    assert_null(again.far);
    assert_null(again.cells[0][0].note);
    stasis_records_free(read);
    stasis_records_free(set);
}

static const char *const shown[] = {
    "\"s8\": -128,",      "\"s16\": 127,",
    "\"s32\": -70000,",   "\"s64\": -9223372036854775808,",
    "\"value\": -32768",  "\"value\": -2147483648",
    "\"at\": -4,",        "\"6e6f\",",
    "\"73746172746564\"",
};

static void assert_shown(const struct stasis_records *set)
{
    char *text = json_of(set);

    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        if (!strstr(text, shown[i]))
            fail_msg("%s is not in\n%s", shown[i], text);
    }
    free(text);
}

/* File format 1 describes all of it, so that a reader of an older release shows it too. */
static void bound_state_is_shown_by_table_and_by_the_schema_in_the_file(void **state)
{
    const struct stasis_parse_opts tolerant = {.size = sizeof(tolerant), .tolerant = true};
    struct stasis_records *set = filled(), *foreign = parsed(set, &tolerant);
    struct stasis_schema_set *described = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;

    (void)state;
    assert_shown(set);
    assert_int_equal(stasis_schema_set_encode(set, &bytes, &len, NULL), 0);
    assert_int_equal(stasis_schema_set_parse(bytes, len, &described, NULL), 0);
    assert_int_equal(stasis_records_use_embedded_schemas(foreign, described, NULL), 0);
    assert_true(stasis_records_at(foreign, 0).embedded);
    assert_shown(foreign);
    stasis_records_free(foreign);
    stasis_schema_set_free(described);
    stasis_records_free(set);
    free(bytes);
}

/* The state section with one value of the filled record in another spelling. */
static void assert_refused(const char *from, const char *to, size_t size, const char *msg)
{
    struct stasis_records *set = filled(), *read = NULL;
    struct stasis_error err = {0};
    uint8_t *bytes = NULL, *at;
    size_t len = 0;

    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    at = memmem(bytes, len, from, size);
    assert_non_null(at);
    memcpy(at, to, size);
    assert_int_equal(stasis_records_parse(bytes, len, &known, &read, &err), STASIS_ERR_CORRUPT);
    if (!strstr(err.msg, msg))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, msg);
    stasis_records_free(set);
    free(bytes);
}

static void value_that_does_not_fit_the_type_is_corrupt(void **state)
{
    (void)state;
    /* s8 is -128, d0 80; s32 -70000; a trend of 32767 becomes 65535. */
    assert_refused("\x01\xd0\x80\x02\x7f", "\x01\xcc\x80\x02\x7f", 5,
                   "field s8: 128 is outside the 8 bits of its type");
    assert_refused("\x01\xd0\x80\x02\x7f", "\x01\xd0\x80\x02\xff", 5,
                   "field s16: 0xffffffffffffffff is outside its mask 0x7f");
    assert_refused("\x03\xd2\xff\xfe\xee\x90", "\x03\xce\xff\xfe\xee\x90", 6,
                   "field s32: 4294897296 is outside the 32 bits of its type");
    assert_refused("\x81\x01\xcd\x7f\xff", "\x81\x01\xcd\x80\x00", 5,
                   "field trend[2].value: 32768 is outside the 16 bits of its type");
}

static void counts_are_held_to_their_bounds(void **state)
{
    (void)state;
    assert_refused("\x05\x93\x81", "\x05\x92\x81", 3, "field trend: 2 elements, must be 3");
    assert_refused("\x05\x93\x81", "\x05\x94\x81", 3, "field trend: 4 elements, must be 3");
    assert_refused("\x0b\x92\x82", "\x0b\x96\x82", 3, "field far: 6 elements, at most 5");
    assert_refused("\x0b\x92\x82", "\x0b\x93\x82", 3, "cut off"); /* memory is given back */
    assert_refused("\x02\xc4\x04note", "\x02\xc4\x03note", 7, "");
}

static void assert_not_added(const struct gauge *gauge, const char *msg)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_error err = {0};

    assert_int_equal(stasis_records_add(set, &gauge_schema, "a", gauge, &err), STASIS_ERR_RANGE);
    assert_string_equal(err.msg, msg);
    assert_int_equal(stasis_records_count(set), 0);
    stasis_records_free(set);
}

static void a_pointer_must_point_to_what_the_count_says(void **state)
{
    static int32_t samples[GAUGE_SAMPLES_MAX];
    struct gauge gauge;

    (void)state;
    stasis_state_init(&gauge_schema, &gauge);
    gauge.log_len = 1;
    assert_not_added(&gauge, "record test.gauge a: log has 1 elements, but points to NULL");
    gauge.log_len = 0;
    gauge.far_count = 1;
    assert_not_added(&gauge, "record test.gauge a: far has 1 elements, but points to NULL");
    gauge.far_count = -1;
    assert_not_added(&gauge, "record test.gauge a: far has 4294967295 elements, at most 5");
    gauge.far_count = 0;
    gauge.cells[1][0].note_len = 2;
    assert_not_added(&gauge, "record test.gauge a: cells[2]: note has 2 elements, but points to "
                             "NULL");
    gauge.cells[1][0].note_len = 0;
    gauge.log_len = (size_t)1 << 32;
    assert_not_added(&gauge, "record test.gauge a: log has 4294967295 elements, at most 64");
    gauge.log_len = 0;
    gauge.samples = samples;
    gauge.sample_count = GAUGE_SAMPLES_MAX + 1;
    assert_not_added(&gauge, "record test.gauge a: samples has 201 elements, at most 200");
    gauge.sample_count = GAUGE_SAMPLES_MAX;
    stasis_records_free(set_of(&gauge));
}

/* Version 1 has neither `cube` nor `far`, and two samples at most. */
static void count_drop(void *ctx, const char *what)
{
    (void)what;
    ++*(unsigned *)ctx;
}

static void bound_state_goes_down_a_version_and_comes_up_again(void **state)
{
    unsigned dropped = 0;
    const struct stasis_convert_opts opts = {
        .size = sizeof(opts), .allow_drop = true, .dropped = count_drop, .ctx = &dropped};
    struct stasis_records *set = filled(), *old = NULL, *read;
    struct stasis_error err = {0};
    struct gauge gauge;

    (void)state;
    assert_int_equal(stasis_records_convert(set, &first, NULL, &old, &err), STASIS_ERR_VERSION);
    assert_non_null(strstr(err.msg, "field cube is not at its default"));
    assert_int_equal(stasis_records_convert(set, &first, &opts, &old, &err), 0);
    assert_int_equal(dropped, 3); /* cube, far, a sample */
    read = parsed(old, &known);
    assert_int_equal(stasis_records_at(read, 0).version, 1);
    assert_int_equal(stasis_records_get(read, &gauge_schema, "a", &gauge, NULL), 0);
    assert_int_equal(gauge.sample_count, GAUGE_SAMPLES_MAX_OLD);
    assert_int_equal(gauge.samples[1], INT32_MIN);
    assert_int_equal(gauge.cube[0][0][1], 0);
    assert_null(gauge.far);
    assert_int_equal(gauge.log_len, 7);
    assert_cell(&gauge.cells[1][1], 3);
    stasis_state_fini(&gauge_schema, &gauge);
    stasis_records_free(read);
    stasis_records_free(old);
    stasis_records_free(set);
}

static void markdown_says_what_the_fields_are(void **state)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    stasis_schema_markdown_one(out, &gauge_schema);
    fclose(out);
    assert_non_null(strstr(text, "| 1 | `s8` | int8 | 1 | -5 |  | 8 bits |"));
    assert_non_null(strstr(text, "| 2 | `s16` | int16 | 1 | 0 | 0x7f |"));
    assert_non_null(strstr(text, "| 5 | `trend` | list of int16, exactly 3 | 1 |"));
    assert_non_null(strstr(text, "| 6 | `grid` | array of 6 uint16 | 1 |  | 0xfff |"));
    assert_non_null(strstr(text, "| 10 | `samples` | list of int32, at most 200 (before version 2: "
                                 "2) | 1 |"));
    assert_non_null(strstr(text, "#### `int16`: an integer"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filled_state_comes_back),
        cmocka_unit_test(defaults_come_back_without_memory),
        cmocka_unit_test(bound_state_is_shown_by_table_and_by_the_schema_in_the_file),
        cmocka_unit_test(value_that_does_not_fit_the_type_is_corrupt),
        cmocka_unit_test(counts_are_held_to_their_bounds),
        cmocka_unit_test(a_pointer_must_point_to_what_the_count_says),
        cmocka_unit_test(bound_state_goes_down_a_version_and_comes_up_again),
        cmocka_unit_test(markdown_says_what_the_fields_are),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
