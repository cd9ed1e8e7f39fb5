/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "random_state.h"
#include "sample.h"
#include "stasis/ser.h"
#include "stasis/state.h"

static void test_golden_sample(void **unused)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_sample_state state;
    uint8_t *bytes;
    size_t len;

    (void)unused;
    sample_fill(&state);
    assert_int_equal(stasis_records_add(set, &stasis_sample_schema, "a", &state, NULL), 0);
    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    assert_int_equal(len, sample_section_len);
    assert_memory_equal(bytes, sample_section, len);
    free(bytes);
    stasis_records_free(set);
}

/* Two records of types in the registry, added in the wrong order. */
static void test_golden_records(void **unused)
{
    /* clang-format off */
    static const uint8_t want[] = {
        0x92,                                                     /* two records */
        0x95,
        0xad, 'x','8','6','.','d','e','b','u','g','r','e','g','s', /* type */
        0xa5, 'v','c','p','u','0',                                /* instance */
        0x01, 0x00,                                               /* version, flags */
        0x83,
        0x01, 0x94, 0x00, 0xcd, 0x12, 0x34, 0x00, 0x00,           /* db */
        0x02, 0xce, 0xff, 0xff, 0x0f, 0xf0,                       /* dr6 */
        0x03, 0xcd, 0x04, 0x00,                                   /* dr7 */
        0x95,
        0xa7, 'x','8','6','.','t','s','c',                        /* type */
        0xa5, 'v','c','p','u','0',                                /* instance */
        0x01, 0x00,                                               /* version, flags */
        0x81,
        0x01, 0xce, 0x00, 0x2d, 0xc6, 0xc0,                       /* khz 3,000,000 */
    };
    /* clang-format on */
    struct stasis_records *set = stasis_records_new();
    struct stasis_x86_debugregs_state debug;
    struct stasis_x86_tsc_state tsc = {.khz = 3000000};
    uint8_t *bytes;
    size_t len;

    (void)unused;
    stasis_state_init(&stasis_x86_debugregs_schema, &debug);
    debug.db[1] = 0x1234;
    assert_int_equal(stasis_records_add(set, &stasis_x86_tsc_schema, "vcpu0", &tsc, NULL), 0);
    assert_int_equal(stasis_records_add(set, &stasis_x86_debugregs_schema, "vcpu0", &debug, NULL),
                     0);
    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    assert_int_equal(len, sizeof(want));
    assert_memory_equal(bytes, want, len);
    free(bytes);
    stasis_records_free(set);
}

static void round_trip(uint64_t *seed, const struct stasis_schema *schema)
{
    struct stasis_records *set = stasis_records_new(), *again = stasis_records_new(),
                          *parsed = NULL;
    void *before = malloc(schema->size), *after = malloc(schema->size);
    struct stasis_error err = {0};
    uint8_t *first = NULL, *second;
    size_t first_len = 0, second_len;

    memset(after, 0xa5, schema->size);
    random_state(seed, schema, before);
    if (stasis_records_add(set, schema, "x", before, &err) ||
        stasis_records_encode(set, &first, &first_len, &err) ||
        stasis_records_parse(first, first_len, NULL, &parsed, &err) ||
        stasis_records_get(parsed, schema, "x", after, &err))
        fail_msg("%s: %s", schema->type, err.msg);
    assert_memory_equal(before, after, schema->size);
    assert_int_equal(stasis_records_add(again, schema, "x", after, &err), 0);
    assert_int_equal(stasis_records_encode(again, &second, &second_len, &err), 0);
    assert_int_equal(first_len, second_len);
    assert_memory_equal(first, second, first_len);
    free(first);
    free(second);
    free(before);
    free(after);
    stasis_records_free(set);
    stasis_records_free(again);
    stasis_records_free(parsed);
}

static void test_random_states_round_trip(void **unused)
{
    const struct stasis_schema *const *all;
    uint64_t seed = 1;
    size_t count;

    (void)unused;
    all = stasis_schema_all(&count);
    for (int i = 0; i < 100; i++) {
        round_trip(&seed, &stasis_sample_schema);
        for (size_t j = 0; j < count; j++)
            round_trip(&seed, all[j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_sample),
        cmocka_unit_test(test_golden_records),
        cmocka_unit_test(test_random_states_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
