/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules that every list of fields keeps.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/field.h"
#include "stasis/state.h"

static const struct stasis_schema *const every[] = {
#define STASIS_NESTED(name, doc)                                 &stasis_##name##_schema,
#define STASIS_RECORD(name, type, version, optional, steps, doc) &stasis_##name##_schema,
#include "stasis/state/all.def"
#undef STASIS_NESTED
#undef STASIS_RECORD
};

#define EVERY_COUNT (sizeof(every) / sizeof(every[0]))

/* Records that no default can fill: without RAM there is no board, a rate of 0 is none, and a PIT
 * has three channels. */
static bool needs_filling(const struct stasis_schema *schema)
{
    return schema == &stasis_board_schema || schema == &stasis_board_device_schema ||
           schema == &stasis_ram_region_schema || schema == &stasis_x86_tsc_schema ||
           schema == &stasis_x86_pit_schema;
}

static void defaults_pass_their_own_checks(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY_COUNT; i++) {
        void *bytes = malloc(every[i]->size);
        struct stasis_error err = {0};
        int rc;

        assert_non_null(bytes);
        memset(bytes, 0xa5, every[i]->size);
        stasis_state_init(every[i], bytes);
        rc = stasis_state_check(every[i], bytes, &err);
        if (rc != (needs_filling(every[i]) ? STASIS_ERR_RANGE : 0))
            fail_msg("%s: %d %s", every[i]->type, rc, err.msg);
        free(bytes);
    }
}

static void record_types_ascend_and_are_found(void **state)
{
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);

    (void)state;
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(i == 0 || strcmp(all[i - 1]->type, all[i]->type) < 0);
        assert_true(strchr(all[i]->type, '.') && strlen(all[i]->type) <= 32);
        assert_true(all[i]->version >= 1);
        assert_ptr_equal(stasis_schema_find(all[i]->type), all[i]);
    }
    assert_null(stasis_schema_find("stasis.seria"));
    assert_null(stasis_schema_find("stasis.serial2"));
    assert_null(stasis_schema_find(""));
    assert_null(stasis_schema_find("x86_segment")); /* nested states are no records */
}

static size_t field_bytes(const struct stasis_field *field)
{
    bool one_string = field->kind == STASIS_KIND_STR;
    bool bytes = field->kind == STASIS_KIND_BUF;

    return one_string ? (size_t)field->max + 1
           : bytes    ? field->max
                      : (size_t)field->max * field->elem_size;
}

static void check_field(const struct stasis_schema *schema, uint32_t i)
{
    const struct stasis_field *field = &schema->fields[i];
    bool counted = field->kind == STASIS_KIND_BUF || field->kind == STASIS_KIND_LIST;
    bool nested = field->kind == STASIS_KIND_STRUCT || field->kind == STASIS_KIND_LIST;

    assert_int_equal(field->id, i + 1);
    assert_true(field->since >= 1 && field->since <= schema->version);
    assert_true(field->name[0] && field->doc[0] && field->elem_size && field->max);
    assert_true(field->offset + field_bytes(field) <= schema->size);
    assert_int_equal(nested, field->sub != NULL);
    if (counted)
        assert_true(field->count_offset + sizeof(uint32_t) <= schema->size);
    if (field->sub)
        assert_int_equal(field->elem_size, field->sub->size);
    for (uint32_t j = 0; j < i; j++)
        assert_string_not_equal(field->name, schema->fields[j].name);
}

static void fields_are_dense_named_and_inside_their_struct(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY_COUNT; i++) {
        assert_true(every[i]->field_count > 0 && every[i]->doc[0]);
        for (uint32_t j = 0; j < every[i]->field_count; j++)
            check_field(every[i], j);
    }
}

static unsigned depth_of(const struct stasis_schema *schema)
{
    unsigned deepest = 0;

    for (uint32_t i = 0; i < schema->field_count; i++) {
        unsigned depth = schema->fields[i].sub ? 1 + depth_of(schema->fields[i].sub) : 0;

        deepest = depth > deepest ? depth : deepest;
    }
    return deepest;
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY_COUNT; i++)
        assert_true(depth_of(every[i]) <= STASIS_SCHEMA_DEPTH_MAX);
}

/* Each integer of each state refuses each bit outside its mask, under its own name. */
static void every_mask_is_enforced(void **state)
{
    unsigned tried = 0;

    (void)state;
    for (size_t i = 0; i < EVERY_COUNT; i++) {
        void *bytes = malloc(every[i]->size);

        assert_non_null(bytes);
        for (uint32_t j = 0; j < every[i]->field_count; j++) {
            const struct stasis_field *field = &every[i]->fields[j];
            bool is_int = field->kind == STASIS_KIND_INT || field->kind == STASIS_KIND_INTS;

            for (unsigned bit = 0; is_int && bit < 8 * field->elem_size; bit++) {
                struct stasis_error err = {0};
                char want[64];

                if (field->mask >> bit & 1)
                    continue;
                stasis_state_init(every[i], bytes);
                stasis_field_set_int(field, bytes, field->max - 1, UINT64_C(1) << bit);
                assert_int_equal(stasis_state_check(every[i], bytes, &err), STASIS_ERR_RANGE);
                snprintf(want, sizeof(want), "%s is 0x", field->name);
                assert_memory_equal(err.msg, want, strlen(want));
                tried++;
            }
        }
        free(bytes);
    }
    assert_true(tried > 300);
}

/* Each list and each buffer refuses one element more than it holds, and half a register. */
static void every_bound_is_enforced(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY_COUNT; i++) {
        void *bytes = malloc(every[i]->size);

        assert_non_null(bytes);
        for (uint32_t j = 0; j < every[i]->field_count; j++) {
            const struct stasis_field *field = &every[i]->fields[j];
            bool is_buf = field->kind == STASIS_KIND_BUF;
            uint32_t bad[] = {field->max + 1, UINT32_MAX, field->elem_size / 2};

            if (!is_buf && field->kind != STASIS_KIND_LIST)
                continue;
            for (size_t k = 0; k < (is_buf && field->elem_size > 1 ? 3 : 2); k++) {
                struct stasis_error err = {0};

                stasis_state_init(every[i], bytes);
                stasis_field_set_count(field, bytes, bad[k]);
                assert_int_equal(stasis_state_check(every[i], bytes, &err), STASIS_ERR_RANGE);
                assert_memory_equal(err.msg, field->name, strlen(field->name));
            }
        }
        free(bytes);
    }
}

/* Each string refuses what is unterminated and what is not UTF-8. */
static void every_string_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY_COUNT; i++) {
        char *bytes = malloc(every[i]->size);

        assert_non_null(bytes);
        for (uint32_t j = 0; j < every[i]->field_count; j++) {
            const struct stasis_field *field = &every[i]->fields[j];
            struct stasis_error err = {0};

            if (field->kind != STASIS_KIND_STR)
                continue;
            stasis_state_init(every[i], bytes);
            memset(bytes + field->offset, 'x', (size_t)field->max + 1);
            assert_int_equal(stasis_state_check(every[i], bytes, &err), STASIS_ERR_RANGE);
            assert_non_null(strstr(err.msg, "is longer than"));
            assert_memory_equal(err.msg, field->name, strlen(field->name));
            memcpy(bytes + field->offset, "\xc0", 2);
            assert_int_equal(stasis_state_check(every[i], bytes, &err), STASIS_ERR_RANGE);
            assert_non_null(strstr(err.msg, "is not UTF-8"));
            assert_memory_equal(err.msg, field->name, strlen(field->name));
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_pass_their_own_checks),
        cmocka_unit_test(record_types_ascend_and_are_found),
        cmocka_unit_test(fields_are_dense_named_and_inside_their_struct),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(every_mask_is_enforced),
        cmocka_unit_test(every_bound_is_enforced),
        cmocka_unit_test(every_string_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
