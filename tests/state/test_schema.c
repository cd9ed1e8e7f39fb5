/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Defaults and checks on a schema made for the purpose: every kind of field, nested two deep.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/schema.h"

struct leaf {
    uint8_t a;
    int64_t b;
};

struct root {
    uint16_t i;
    uint32_t is[3];
    uint32_t buf_len;
    uint8_t buf[16];
    char str[9];
    struct leaf one;
    uint32_t list_count;
    struct leaf list[2];
};

static int check_leaf(const void *state, struct stasis_error *err)
{
    const struct leaf *leaf = state;

    return leaf->a == 0x0d ? stasis_fail(err, STASIS_ERR_RANGE, "a is unlucky") : 0;
}

static int check_root(const void *state, struct stasis_error *err)
{
    const struct root *root = state;

    return root->i == root->is[0] ? stasis_fail(err, STASIS_ERR_CORRUPT, "i equals is[0]") : 0;
}

static const struct stasis_field leaf_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_INT,
     .elem_size = 1,
     .max = 1,
     .default_int = 7,
     .offset = offsetof(struct leaf, a),
     .mask = 0x0f,
     .name = "a"},
    {.id = 2,
     .since = 1,
     .kind = STASIS_KIND_INT,
     .is_signed = true,
     .elem_size = 8,
     .max = 1,
     .default_int = (uint64_t)-5,
     .offset = offsetof(struct leaf, b),
     .mask = UINT64_MAX,
     .name = "b"},
};

static const struct stasis_schema leaf_schema = {.type = "leaf",
                                                 .version = 1,
                                                 .size = sizeof(struct leaf),
                                                 .fields = leaf_fields,
                                                 .field_count = 2,
                                                 .check = check_leaf};

static const struct stasis_field root_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_INT,
     .elem_size = 2,
     .max = 1,
     .default_int = 0x1234,
     .offset = offsetof(struct root, i),
     .mask = 0x7fff,
     .name = "i"},
    {.id = 2,
     .since = 1,
     .kind = STASIS_KIND_INTS,
     .elem_size = 4,
     .max = 3,
     .offset = offsetof(struct root, is),
     .mask = 0xffff,
     .name = "is"},
    {.id = 3,
     .since = 1,
     .kind = STASIS_KIND_BUF,
     .elem_size = 4,
     .max = 16,
     .offset = offsetof(struct root, buf),
     .count_offset = offsetof(struct root, buf_len),
     .name = "buf"},
    {.id = 4,
     .since = 1,
     .kind = STASIS_KIND_STR,
     .elem_size = 1,
     .max = 8,
     .offset = offsetof(struct root, str),
     .default_str = "eightlen",
     .name = "str"},
    {.id = 5,
     .since = 1,
     .kind = STASIS_KIND_STRUCT,
     .elem_size = sizeof(struct leaf),
     .max = 1,
     .offset = offsetof(struct root, one),
     .sub = &leaf_schema,
     .name = "one"},
    {.id = 6,
     .since = 1,
     .kind = STASIS_KIND_LIST,
     .elem_size = sizeof(struct leaf),
     .max = 2,
     .offset = offsetof(struct root, list),
     .count_offset = offsetof(struct root, list_count),
     .sub = &leaf_schema,
     .name = "list"},
};

static const struct stasis_schema root_schema = {.type = "root",
                                                 .version = 1,
                                                 .size = sizeof(struct root),
                                                 .fields = root_fields,
                                                 .field_count = 6,
                                                 .check = check_root};

static struct root root;
static struct stasis_error err;

static int setup(void **state)
{
    (void)state;
    memset(&root, 0xa5, sizeof(root));
    memset(&err, 0, sizeof(err));
    stasis_state_init(&root_schema, &root);
    return 0;
}

/* Checks that the state is refused with `code` and exactly this message. */
static void assert_refused(int code, const char *msg)
{
    assert_int_equal(stasis_state_check(&root_schema, &root, &err), code);
    assert_int_equal(err.code, code);
    assert_string_equal(err.msg, msg);
    assert_int_equal(stasis_state_check(&root_schema, &root, NULL), code);
}

static void init_gives_defaults_and_zero_elsewhere(void **state)
{
    struct root want;

    (void)state;
    memset(&want, 0, sizeof(want));
    want.i = 0x1234;
    memcpy(want.str, "eightlen", 8);
    want.one.a = 7;
    want.one.b = -5;
    assert_memory_equal(&root, &want, sizeof(root)); /* padding too */
    assert_int_equal(stasis_state_check(&root_schema, &root, &err), 0);
    assert_int_equal(err.code, 0);
}

static void full_states_pass(void **state)
{
    (void)state;
    root.i = 0x7fff;
    root.is[2] = 0xffff;
    root.buf_len = 16;
    root.list_count = 2;
    root.one.a = 0x0f;
    root.one.b = INT64_MIN;
    assert_int_equal(stasis_state_check(&root_schema, &root, &err), 0);
    root.str[0] = '\0';
    root.buf_len = 0;
    assert_int_equal(stasis_state_check(&root_schema, &root, &err), 0);
}

static void bits_outside_the_mask_are_refused(void **state)
{
    (void)state;
    root.i = 0x8001;
    assert_refused(STASIS_ERR_RANGE, "i is 0x8001, outside its mask 0x7fff");
    setup(state);
    root.is[2] = 0x10000;
    assert_refused(STASIS_ERR_RANGE, "is is 0x10000, outside its mask 0xffff");
}

static void counts_beyond_the_capacity_are_refused(void **state)
{
    (void)state;
    root.buf_len = 20;
    assert_refused(STASIS_ERR_RANGE, "buf has 20 elements, at most 16");
    root.buf_len = 3;
    assert_refused(STASIS_ERR_RANGE, "buf has 3 bytes, not whole registers of 4");
    root.buf_len = 0;
    root.list_count = 3; /* its elements lie outside and must not be looked at */
    assert_refused(STASIS_ERR_RANGE, "list has 3 elements, at most 2");
    root.list_count = UINT32_MAX;
    assert_refused(STASIS_ERR_RANGE, "list has 4294967295 elements, at most 2");
}

static void bad_strings_are_refused(void **state)
{
    (void)state;
    root.str[8] = 'x';
    assert_refused(STASIS_ERR_RANGE, "str is longer than 8 bytes");
    memcpy(root.str, "\xff", 2);
    assert_refused(STASIS_ERR_RANGE, "str is not UTF-8, or has control characters");
    memcpy(root.str, "a\n", 3);
    assert_refused(STASIS_ERR_RANGE, "str is not UTF-8, or has control characters");
}

static void nested_states_are_checked_and_located(void **state)
{
    (void)state;
    root.one.a = 0x10;
    assert_refused(STASIS_ERR_RANGE, "one[0]: a is 0x10, outside its mask 0xf");
    setup(state);
    root.list_count = 2;
    root.list[1].a = 0x0d;
    assert_refused(STASIS_ERR_RANGE, "list[1]: a is unlucky");
    root.list_count = 1; /* what is beyond the count does not matter */
    assert_int_equal(stasis_state_check(&root_schema, &root, &err), 0);
}

static void fields_know_their_defaults(void **state)
{
    (void)state;
    for (unsigned i = 0; i < root_schema.field_count; i++)
        assert_true(stasis_field_is_default(&root_fields[i], &root));
    root.i++;
    root.is[2] = 1;
    root.buf_len = 1;
    root.str[0] = 'E';
    root.one.b++;
    root.list_count = 1;
    for (unsigned i = 0; i < root_schema.field_count; i++)
        assert_false(stasis_field_is_default(&root_fields[i], &root));
}

static void rules_come_after_masks(void **state)
{
    (void)state;
    root.is[0] = root.i;
    assert_refused(STASIS_ERR_CORRUPT, "i equals is[0]");
    root.list_count = 3;
    assert_refused(STASIS_ERR_RANGE, "list has 3 elements, at most 2");
}

/* ---- lists without a count, and pointers ---- */

struct bag {
    struct leaf row[2];
    struct leaf *far;
    uint32_t far_count;
    uint8_t *bytes;
    uint32_t bytes_len;
};

static const struct stasis_field bag_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_LIST,
     .is_fixed = true,
     .elem_size = sizeof(struct leaf),
     .max = 2,
     .offset = offsetof(struct bag, row),
     .sub = &leaf_schema,
     .name = "row"},
    {.id = 2,
     .since = 1,
     .kind = STASIS_KIND_LIST,
     .is_pointer = true,
     .elem_size = sizeof(struct leaf),
     .max = 3,
     .offset = offsetof(struct bag, far),
     .count_offset = offsetof(struct bag, far_count),
     .sub = &leaf_schema,
     .name = "far"},
    {.id = 3,
     .since = 1,
     .kind = STASIS_KIND_BUF,
     .is_pointer = true,
     .elem_size = 1,
     .max = 4,
     .offset = offsetof(struct bag, bytes),
     .count_offset = offsetof(struct bag, bytes_len),
     .name = "bytes"},
};

static const struct stasis_schema bag_schema = {.type = "bag",
                                                .version = 1,
                                                .size = sizeof(struct bag),
                                                .fields = bag_fields,
                                                .field_count = 3};

static struct bag full_bag(void)
{
    struct bag bag;

    memset(&bag, 0xa5, sizeof(bag)); /* wild pointers, which init must not follow */
    stasis_state_init(&bag_schema, &bag);
    bag.far = calloc(2, sizeof(*bag.far));
    bag.far_count = 2;
    bag.bytes = calloc(1, 4);
    bag.bytes_len = 4;
    assert_non_null(bag.far);
    assert_non_null(bag.bytes);
    return bag;
}

static void lists_without_a_count_have_defaults(void **state)
{
    struct bag bag;

    (void)state;
    memset(&bag, 0xa5, sizeof(bag));
    stasis_state_init(&bag_schema, &bag);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(bag.row[i].a, 7);
        assert_true(bag.row[i].b == -5);
    }
    assert_null(bag.far);
    assert_int_equal(bag.far_count, 0);
    assert_null(bag.bytes);
    assert_true(stasis_field_is_default(&bag_fields[0], &bag));
    bag.row[1].b = 0;
    assert_false(stasis_field_is_default(&bag_fields[0], &bag));
    stasis_field_set_default(&bag_fields[0], &bag);
    assert_true(stasis_field_is_default(&bag_fields[0], &bag));
    bag.row[0].a = 0;
    assert_false(stasis_field_is_default(&bag_fields[0], &bag));
}

static void memory_behind_pointers_is_freed_and_checked(void **state)
{
    struct bag bag = full_bag();

    (void)state;
    assert_int_equal(stasis_state_check(&bag_schema, &bag, &err), 0);
    bag.far[1].a = 0x10;
    assert_int_equal(stasis_state_check(&bag_schema, &bag, &err), STASIS_ERR_RANGE);
    assert_string_equal(err.msg, "far[1]: a is 0x10, outside its mask 0xf");
    assert_false(stasis_field_is_default(&bag_fields[1], &bag));
    stasis_field_set_default(&bag_fields[1], &bag);
    assert_null(bag.far);
    assert_int_equal(bag.far_count, 0);
    assert_true(stasis_field_is_default(&bag_fields[1], &bag));
    assert_non_null(bag.bytes);
    bag.row[0].a = 3;
    stasis_state_fini(&bag_schema, &bag);
    assert_null(bag.bytes);
    assert_int_equal(bag.bytes_len, 0);
    assert_int_equal(bag.row[0].a, 3);
    stasis_state_fini(&bag_schema, &bag); /* nothing is left to free */
    bag.bytes_len = 5;
    assert_int_equal(stasis_state_check(&bag_schema, &bag, &err), STASIS_ERR_RANGE);
    assert_string_equal(err.msg, "bytes has 5 elements, at most 4");
    bag.bytes_len = 4;
    assert_int_equal(stasis_state_check(&bag_schema, &bag, &err), STASIS_ERR_RANGE);
    assert_string_equal(err.msg, "bytes has 4 elements, but points to NULL");
}

struct shelf {
    struct bag bags[2];
    uint32_t bag_count;
    struct bag next; /* none of the list's */
};

static const struct stasis_field shelf_fields[] = {
    {.id = 1,
     .since = 1,
     .kind = STASIS_KIND_LIST,
     .sub = &bag_schema,
     .max = 2,
     .elem_size = sizeof(struct bag),
     .offset = offsetof(struct shelf, bags),
     .count_offset = offsetof(struct shelf, bag_count),
     .name = "bags"},
};

static const struct stasis_schema shelf_schema = {.type = "shelf",
                                                  .version = 1,
                                                  .size = sizeof(struct shelf),
                                                  .fields = shelf_fields,
                                                  .field_count = 1};

/* Those in use; of a count that is wrong, those that there is room for. */
static void memory_of_nested_states_is_freed(void **state)
{
    struct shelf shelf = {.bags = {full_bag(), full_bag()}, .bag_count = 1, .next = full_bag()};

    (void)state;
    stasis_state_fini(&shelf_schema, &shelf);
    assert_null(shelf.bags[0].far);
    assert_non_null(shelf.bags[1].far);
    shelf.bag_count = 3;
    stasis_state_fini(&shelf_schema, &shelf);
    assert_null(shelf.bags[1].far);
    assert_non_null(shelf.next.far);
    stasis_state_fini(&bag_schema, &shelf.next);
}

static void a_copy_leaves_pointers_and_their_counts(void **state)
{
    struct bag from = full_bag(), to;

    (void)state;
    stasis_state_init(&bag_schema, &to);
    from.row[1].a = 1;
    stasis_state_copy(&bag_schema, &from, &to);
    assert_int_equal(to.row[1].a, 1);
    assert_null(to.far);
    assert_int_equal(to.far_count, 0);
    assert_null(to.bytes);
    assert_int_equal(to.bytes_len, 0);
    stasis_state_fini(&bag_schema, &from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(init_gives_defaults_and_zero_elsewhere, setup),
        cmocka_unit_test_setup(full_states_pass, setup),
        cmocka_unit_test_setup(bits_outside_the_mask_are_refused, setup),
        cmocka_unit_test_setup(counts_beyond_the_capacity_are_refused, setup),
        cmocka_unit_test_setup(bad_strings_are_refused, setup),
        cmocka_unit_test_setup(nested_states_are_checked_and_located, setup),
        cmocka_unit_test_setup(fields_know_their_defaults, setup),
        cmocka_unit_test_setup(rules_come_after_masks, setup),
        cmocka_unit_test_setup(lists_without_a_count_have_defaults, setup),
        cmocka_unit_test_setup(memory_behind_pointers_is_freed_and_checked, setup),
        cmocka_unit_test_setup(memory_of_nested_states_is_freed, setup),
        cmocka_unit_test_setup(a_copy_leaves_pointers_and_their_counts, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
