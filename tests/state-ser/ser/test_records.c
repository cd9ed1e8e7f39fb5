/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sample.h"
#include "stasis/ser.h"
#include "stasis/state.h"

static int add_tsc(struct stasis_records *set, const char *instance, uint32_t khz,
                   struct stasis_error *err)
{
    struct stasis_x86_tsc_state tsc = {.khz = khz};

    return stasis_records_add(set, &stasis_x86_tsc_schema, instance, &tsc, err);
}

static int add_xcrs(struct stasis_records *set, const char *instance)
{
    struct stasis_x86_xcrs_state xcrs = {.xcr0 = 7};

    return stasis_records_add(set, &stasis_x86_xcrs_schema, instance, &xcrs, NULL);
}

static void test_order_is_by_type_then_instance(void **unused)
{
    static const char *const want[][2] = {
        {"x86.tsc", "vcpu0"}, {"x86.tsc", "vcpu1"}, {"x86.tsc", "vcpu10"},
        {"x86.tsc", "vcpu2"}, {"x86.xcrs", "a"},    {"x86.xcrs", "b"},
    };
    struct stasis_records *set = stasis_records_new();

    (void)unused;
    assert_int_equal(add_xcrs(set, "b"), 0);
    assert_int_equal(add_tsc(set, "vcpu2", 2, NULL), 0);
    assert_int_equal(add_tsc(set, "vcpu10", 10, NULL), 0);
    assert_int_equal(add_xcrs(set, "a"), 0);
    assert_int_equal(add_tsc(set, "vcpu0", 1, NULL), 0);
    assert_int_equal(add_tsc(set, "vcpu1", 1, NULL), 0);
    assert_int_equal(stasis_records_count(set), 6);
    for (size_t i = 0; i < 6; i++) {
        struct stasis_record record = stasis_records_at(set, i);

        assert_string_equal(record.type, want[i][0]);
        assert_string_equal(record.instance, want[i][1]);
        assert_int_equal(record.version, 1);
        assert_false(record.optional);
        assert_int_equal(record.fields[0], 0x81);
        assert_int_equal(stasis_records_find(set, want[i][0], want[i][1]), i);
    }
    assert_ptr_equal(stasis_records_at(set, 0).schema, &stasis_x86_tsc_schema);
    assert_int_equal(stasis_records_find(set, "x86.tsc", NULL), 0);
    assert_int_equal(stasis_records_find(set, "x86.xcrs", NULL), 4);
    assert_true(stasis_records_find(set, "x86.tsc", "vcpu3") == SIZE_MAX);
    assert_true(stasis_records_find(set, "x86.ts", NULL) == SIZE_MAX);
    assert_true(stasis_records_find(set, "x86.zzz", NULL) == SIZE_MAX);
    stasis_records_free(set);
}

static void test_names(void **unused)
{
    static const char *const bad[] = {
        "", "A", "a b", "a/b", "\xc3\xa9", "a\n", "012345678901234567890123456789012",
    };
    struct stasis_records *set = stasis_records_new();
    struct stasis_schema schema = stasis_x86_tsc_schema;
    struct stasis_x86_tsc_state tsc = {.khz = 1};
    struct stasis_error err = {0};

    (void)unused;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(add_tsc(set, bad[i], 1, &err), STASIS_ERR_RANGE);
        schema.type = bad[i];
        assert_int_equal(stasis_records_add(set, &schema, "a", &tsc, &err), STASIS_ERR_RANGE);
    }
    assert_int_equal(stasis_records_count(set), 0);
    assert_int_equal(add_tsc(set, "01234567890123456789012345678_.-", 1, NULL), 0);
    stasis_records_free(set);
}

static void test_add_refuses(void **unused)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_error err = {0};

    (void)unused;
    assert_int_equal(add_tsc(set, "a", 5, &err), 0);
    assert_int_equal(add_tsc(set, "a", 6, &err), STASIS_ERR_EXISTS);
    assert_string_equal(err.msg, "record x86.tsc a is there already");
    assert_int_equal(add_tsc(set, "b", 0, &err), STASIS_ERR_RANGE);
    assert_string_equal(err.msg, "record x86.tsc b: khz is 0");
    assert_int_equal(stasis_records_count(set), 1);
    stasis_records_free(set);
}

static void test_full(void **unused)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_error err = {0};
    char name[16];

    (void)unused;
    for (int i = 0; i < STASIS_RECORDS_MAX; i++) {
        snprintf(name, sizeof(name), "%d", i);
        assert_int_equal(add_tsc(set, name, 1, NULL), 0);
    }
    assert_int_equal(add_tsc(set, "one-more", 1, &err), STASIS_ERR_FULL);
    assert_string_equal(err.msg, "more than 4096 records");
    stasis_records_free(set);
}

/* The section never outgrows what parse accepts. */
static void test_full_of_bytes(void **unused)
{
    struct stasis_records *set = stasis_records_new(), *parsed;
    struct stasis_x86_msrs_state *msrs = calloc(1, sizeof(*msrs));
    char name[16];
    uint8_t *bytes;
    size_t len;
    int rc = 0;

    (void)unused;
    msrs->msrs_count = 512;
    for (uint32_t i = 0; i < 512; i++) {
        msrs->msrs[i].index = 0xc0000000 + i;
        msrs->msrs[i].value = UINT64_MAX;
    }
    for (int i = 0; i < STASIS_RECORDS_MAX && !rc; i++) {
        snprintf(name, sizeof(name), "%d", i);
        rc = stasis_records_add(set, &stasis_x86_msrs_schema, name, msrs, NULL);
    }
    assert_int_equal(rc, STASIS_ERR_FULL);
    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    assert_in_range(len, STASIS_STATE_MAX - 16384, STASIS_STATE_MAX);
    assert_int_equal(stasis_records_parse(bytes, len, NULL, &parsed, NULL), 0);
    assert_int_equal(stasis_records_count(parsed), stasis_records_count(set));
    stasis_records_free(parsed);
    free(bytes);
    /* What is replaced makes room; for as much as itself, it is enough. */
    assert_int_equal(stasis_records_replace(set, &stasis_x86_msrs_schema, "0", msrs, NULL), 0);
    msrs->msrs_count = 1;
    assert_int_equal(stasis_records_replace(set, &stasis_x86_msrs_schema, "0", msrs, NULL), 0);
    msrs->msrs_count = 512;
    assert_int_equal(stasis_records_add(set, &stasis_x86_msrs_schema, "x", msrs, NULL), 0);
    assert_int_equal(stasis_records_replace(set, &stasis_x86_msrs_schema, "0", msrs, NULL),
                     STASIS_ERR_FULL);
    assert_int_equal(stasis_records_get(set, &stasis_x86_msrs_schema, "0", msrs, NULL), 0);
    assert_int_equal(msrs->msrs_count, 1);
    stasis_records_remove(set, stasis_records_find(set, "x86.msrs", "x"));
    msrs->msrs_count = 512;
    for (uint32_t i = 0; i < 512; i++) {
        msrs->msrs[i].index = 0xc0000000 + i;
        msrs->msrs[i].value = UINT64_MAX;
    }
    assert_int_equal(stasis_records_replace(set, &stasis_x86_msrs_schema, "0", msrs, NULL), 0);
    stasis_records_free(set);
    free(msrs);
}

static void test_replace(void **unused)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_x86_tsc_state tsc = {.khz = 70000};
    struct stasis_error err = {0};
    uint8_t *small, *large, *again;
    size_t small_len, large_len, again_len;

    (void)unused;
    assert_int_equal(add_xcrs(set, "a"), 0);
    assert_int_equal(add_tsc(set, "vcpu0", 1, NULL), 0);
    assert_int_equal(add_tsc(set, "vcpu1", 1, NULL), 0);
    assert_int_equal(stasis_records_encode(set, &small, &small_len, NULL), 0);
    assert_int_equal(stasis_records_replace(set, &stasis_x86_tsc_schema, "vcpu0", &tsc, &err), 0);
    assert_int_equal(stasis_records_count(set), 3);
    assert_int_equal(stasis_records_encode(set, &large, &large_len, NULL), 0);
    assert_int_equal(large_len, small_len + 4); /* 0xce and four bytes in place of one */
    tsc.khz = 2;
    assert_int_equal(stasis_records_get(set, &stasis_x86_tsc_schema, "vcpu0", &tsc, NULL), 0);
    assert_int_equal(tsc.khz, 70000);
    assert_int_equal(stasis_records_get(set, &stasis_x86_tsc_schema, "vcpu1", &tsc, NULL), 0);
    assert_int_equal(tsc.khz, 1);
    assert_int_equal(stasis_records_replace(set, &stasis_x86_tsc_schema, "vcpu0", &tsc, &err), 0);
    assert_int_equal(stasis_records_encode(set, &again, &again_len, NULL), 0);
    assert_int_equal(again_len, small_len);
    assert_memory_equal(again, small, small_len);
    free(small);
    free(large);
    free(again);
    stasis_records_free(set);
}

static void test_replace_refuses(void **unused)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_x86_tsc_state tsc = {.khz = 2};
    struct stasis_x86_xcrs_state xcrs = {.xcr0 = 7};
    struct stasis_schema nameless = stasis_x86_tsc_schema;
    struct stasis_error err = {0};

    (void)unused;
    nameless.type = NULL;
    assert_int_equal(add_tsc(set, "vcpu1", 1, NULL), 0);
    assert_int_equal(stasis_records_replace(set, &stasis_x86_tsc_schema, "vcpu0", &tsc, &err),
                     STASIS_ERR_NOT_FOUND);
    assert_string_equal(err.msg, "there is no record x86.tsc vcpu0");
    assert_int_equal(stasis_records_replace(set, &stasis_x86_xcrs_schema, "vcpu1", &xcrs, &err),
                     STASIS_ERR_NOT_FOUND);
    assert_int_equal(stasis_records_replace(set, &stasis_x86_tsc_schema, "vcpu 1", &tsc, &err),
                     STASIS_ERR_RANGE);
    assert_int_equal(stasis_records_replace(set, &nameless, "vcpu1", &tsc, &err), STASIS_ERR_RANGE);
    xcrs.xcr0 = 0; /* which no CPU allows */
    assert_int_equal(add_xcrs(set, "a"), 0);
    assert_int_equal(stasis_records_replace(set, &stasis_x86_xcrs_schema, "a", &xcrs, &err),
                     STASIS_ERR_RANGE);
    assert_int_equal(stasis_records_get(set, &stasis_x86_xcrs_schema, "a", &xcrs, NULL), 0);
    assert_int_equal(xcrs.xcr0, 7);
    stasis_records_free(set);
}

static void test_remove(void **unused)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct stasis_records *set = stasis_records_new();

    (void)unused;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(add_tsc(set, names[i], 1, NULL), 0);
    stasis_records_remove(set, 1);
    assert_int_equal(stasis_records_count(set), 3);
    assert_string_equal(stasis_records_at(set, 0).instance, "a");
    assert_string_equal(stasis_records_at(set, 1).instance, "c");
    assert_string_equal(stasis_records_at(set, 2).instance, "d");
    stasis_records_remove(set, 2);
    stasis_records_remove(set, 0);
    assert_int_equal(stasis_records_count(set), 1);
    assert_string_equal(stasis_records_at(set, 0).instance, "c");
    assert_int_equal(add_tsc(set, "b", 1, NULL), 0);
    assert_string_equal(stasis_records_at(set, 0).instance, "b");
    stasis_records_remove(set, 0);
    stasis_records_remove(set, 0);
    assert_int_equal(stasis_records_count(set), 0);
    stasis_records_free(set);
}

static void test_get(void **unused)
{
    struct stasis_records *set = stasis_records_new();
    struct stasis_schema other = stasis_sample_schema; /* reads x86.tsc as something else */
    struct stasis_sample_state state, before;
    struct stasis_x86_tsc_state tsc = {0};
    struct stasis_error err = {0};

    (void)unused;
    assert_int_equal(add_tsc(set, "vcpu0", 5, NULL), 0);
    assert_int_equal(add_tsc(set, "vcpu1", 6, NULL), 0);
    assert_int_equal(stasis_records_get(set, &stasis_x86_tsc_schema, "vcpu1", &tsc, &err), 0);
    assert_int_equal(tsc.khz, 6);
    assert_int_equal(stasis_records_get(set, &stasis_x86_tsc_schema, NULL, &tsc, &err), 0);
    assert_int_equal(tsc.khz, 5);
    assert_int_equal(stasis_records_get(set, &stasis_x86_tsc_schema, "vcpu2", &tsc, &err),
                     STASIS_ERR_NOT_FOUND);
    assert_string_equal(err.msg, "there is no record x86.tsc vcpu2");
    assert_int_equal(stasis_records_get(set, &stasis_x86_xcrs_schema, NULL, &tsc, &err),
                     STASIS_ERR_NOT_FOUND);
    assert_string_equal(err.msg, "there is no record x86.xcrs");
    assert_int_equal(tsc.khz, 5);

    other.type = "x86.tsc";
    memset(&state, 0xa5, sizeof(state));
    before = state;
    assert_int_equal(stasis_records_get(set, &other, "vcpu0", &state, &err), STASIS_ERR_CORRUPT);
    assert_memory_equal(&state, &before, sizeof(state));
    stasis_records_free(set);
}

static void test_empty_set(void **unused)
{
    struct stasis_records *set = stasis_records_new(), *parsed;
    uint8_t *bytes;
    size_t len;

    (void)unused;
    stasis_records_free(NULL);
    assert_int_equal(stasis_records_encode(set, &bytes, &len, NULL), 0);
    assert_int_equal(len, 1);
    assert_int_equal(bytes[0], 0x90);
    assert_int_equal(stasis_records_parse(bytes, len, NULL, &parsed, NULL), 0);
    assert_int_equal(stasis_records_count(parsed), 0);
    stasis_records_free(parsed);
    stasis_records_free(set);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_is_by_type_then_instance),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_add_refuses),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_full_of_bytes),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_replace_refuses),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_empty_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
