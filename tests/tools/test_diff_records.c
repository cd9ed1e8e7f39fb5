/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether records are different when no field of theirs is.
 */
#include "tests/tools/rig.h"

#include "tools/diff.h"

struct thing {
    uint32_t count;
    uint32_t number;
    uint8_t empty[4]; /* a list of states without fields: one byte each */
};

static const struct stasis_schema empty_schema = {
    .type = "empty", .version = 1, .size = 1, .doc = ""};

static const struct stasis_field fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_LIST,
     .elem_size = 1,
     .max = 4,
     .offset = offsetof(struct thing, empty),
     .count_offset = offsetof(struct thing, count),
     .name = "empty",
     .doc = "",
     .sub = &empty_schema},
    {.id = 2,
     .since = 1,
     .kind = STASIS_KIND_INT,
     .elem_size = 4,
     .max = 1,
     .offset = offsetof(struct thing, number),
     .mask = UINT32_MAX,
     .name = "number",
     .doc = ""},
};

/* Versions that have the same fields. */
static const struct stasis_schema things[] = {
    {.type = "thing",
     .version = 1,
     .size = sizeof(struct thing),
     .fields = fields,
     .field_count = 2,
     .doc = ""},
    {.type = "thing",
     .version = 2,
     .size = sizeof(struct thing),
     .fields = fields,
     .field_count = 2,
     .doc = ""},
};

struct seen {
    unsigned records, fields, ends;
};

static void on_record(void *ctx, const struct stasis_diff_record *record)
{
    struct seen *seen = ctx;

    assert_string_equal(record->a.type, "thing");
    assert_int_equal(record->where, STASIS_DIFF_BOTH);
    seen->records++;
}

static void on_field(void *ctx, const char *path, const struct stasis_scalar *a,
                     const struct stasis_scalar *b)
{
    struct seen *seen = ctx;

    assert_string_equal(path, "number");
    assert_true(a && b);
    seen->fields++;
}

static void on_end(void *ctx)
{
    struct seen *seen = ctx;

    seen->ends++;
}

/* Both as records of those versions. */
static void assert_differ(const struct thing *a, unsigned a_version, const struct thing *b,
                          unsigned b_version, bool differ, unsigned field_count)
{
    struct stasis_snap *snaps[2] = {stasis_snap_new(STASIS_ARCH_X86_64),
                                    stasis_snap_new(STASIS_ARCH_X86_64)};
    struct seen seen = {0};
    const struct stasis_diff_out out = {
        .record_begin = on_record, .field = on_field, .record_end = on_end, .ctx = &seen};
    struct stasis_diff_counts counts = {0};

    assert_true(snaps[0] && snaps[1]);
    assert_int_equal(
        stasis_records_add(stasis_snap_records(snaps[0]), &things[a_version - 1], "x", a, NULL), 0);
    assert_int_equal(
        stasis_records_add(stasis_snap_records(snaps[1]), &things[b_version - 1], "x", b, NULL), 0);
    assert_int_equal(stasis_diff_records(snaps[0], snaps[1], &out, &counts, NULL), 0);
    assert_int_equal(counts.records, 1);
    assert_int_equal(counts.records_differ, differ);
    assert_int_equal(seen.records, differ);
    assert_int_equal(seen.ends, differ);
    assert_int_equal(seen.fields, field_count);
    stasis_snap_free(snaps[0]);
    stasis_snap_free(snaps[1]);
}

static void same_version(void **state)
{
    const struct thing one = {.count = 1}, two = {.count = 2}, other = {.count = 1, .number = 5};

    (void)state;
    assert_differ(&one, 1, &one, 1, false, 0);
    assert_differ(&one, 1, &other, 1, true, 1);
    assert_differ(&one, 1, &two, 1, true, 0); /* no field says how, but they are */
}

/* This program knows both, and what they mean is the same. */
static void other_version(void **state)
{
    const struct thing one = {.count = 1}, other = {.count = 1, .number = 5};

    (void)state;
    assert_differ(&one, 1, &one, 2, false, 0);
    assert_differ(&one, 1, &other, 2, true, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_version),
        cmocka_unit_test(other_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
