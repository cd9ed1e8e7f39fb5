/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What an older version cannot say, for every kind of field: the words that tell it, and what is
 * left of the state.
 */
#include "support/cmocka_all.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/schema.h"
#include "state-ser/ser/encoding.h"

struct deep {
    uint8_t added;
};

struct part {
    uint8_t kept, added;
    struct deep deep;
    uint32_t mem_len;
    uint8_t *mem;
};

struct whole {
    uint32_t first;
    /* came with version 2 */
    uint32_t number;
    uint16_t table[3];
    uint32_t raw_len;
    uint8_t raw[4];
    char text[101];
    struct part one;
    uint32_t many_count;
    struct part many[3];
    struct part all[2];
    /* had narrower bounds in version 1 */
    uint16_t masked[3];
    uint16_t behind_masked; /* in no row, as the other ones */
    uint8_t flags[3];
    uint32_t bytes_len;
    uint8_t bytes[6];
    char word[101];
    char behind_word;
    struct part nested;
    uint32_t list_count;
    struct part list[3];
    struct part fixed[2];
    struct part behind_fixed;
};

#define AT(type, member)    .name = #member, .offset = offsetof(struct type, member)
#define COUNT(type, member) .count_offset = offsetof(struct type, member)

static const struct stasis_field deep_fields[] = {
    {AT(deep, added), .id = 1, .since = 2, .elem_size = 1, .max = 1, .mask = 0xff},
};
static const struct stasis_schema deep_schema = {
    .type = "deep", .field_count = 1, .size = sizeof(struct deep), .fields = deep_fields};

static const struct stasis_field part_fields[] = {
    {AT(part, kept), .id = 1, .since = 1, .elem_size = 1, .max = 1, .mask = 0xff, .default_int = 1},
    {AT(part, added), .id = 2, .since = 2, .elem_size = 1, .max = 1, .mask = 0xff},
    {AT(part, mem), COUNT(part, mem_len), .id = 3, .since = 1, .kind = STASIS_KIND_BUF,
     .is_pointer = true, .elem_size = 1, .max = 8},
    {AT(part, deep), .id = 4, .since = 1, .kind = STASIS_KIND_STRUCT, .max = 1,
     .elem_size = sizeof(struct deep), .sub = &deep_schema},
};
static const struct stasis_schema part_schema = {
    .type = "part", .field_count = 4, .size = sizeof(struct part), .fields = part_fields};

#define PART .elem_size = sizeof(struct part), .sub = &part_schema
#define LIST .kind = STASIS_KIND_LIST, PART

static const struct stasis_field fields[] = {
    {AT(whole, number), .id = 1, .since = 2, .elem_size = 4, .max = 1, .mask = UINT32_MAX,
     .default_int = 7},
    {AT(whole, table), .id = 2, .since = 2, .kind = STASIS_KIND_INTS, .elem_size = 2, .max = 3,
     .mask = 0xffff},
    {AT(whole, raw), COUNT(whole, raw_len), .id = 3, .since = 2, .kind = STASIS_KIND_BUF,
     .elem_size = 1, .max = 4},
    {AT(whole, text), .id = 4, .since = 2, .kind = STASIS_KIND_STR, .elem_size = 1, .max = 100,
     .default_str = "none"},
    {AT(whole, one), .id = 5, .since = 2, .kind = STASIS_KIND_STRUCT, .max = 1, PART},
    {AT(whole, many), COUNT(whole, many_count), .id = 6, .since = 2, .max = 3, LIST},
    {AT(whole, all), .id = 7, .since = 2, .max = 2, .is_fixed = true, LIST},
    {AT(whole, masked), .id = 8, .since = 1, .kind = STASIS_KIND_INTS, .elem_size = 2, .max = 3,
     .mask = 0xffff},
    {AT(whole, bytes), COUNT(whole, bytes_len), .id = 9, .since = 1, .kind = STASIS_KIND_BUF,
     .elem_size = 1, .max = 6},
    {AT(whole, word), .id = 10, .since = 1, .kind = STASIS_KIND_STR, .elem_size = 1, .max = 100,
     .default_str = ""},
    {AT(whole, nested), .id = 11, .since = 1, .kind = STASIS_KIND_STRUCT, .max = 1, PART},
    {AT(whole, list), COUNT(whole, list_count), .id = 12, .since = 1, .max = 3, LIST},
    {AT(whole, fixed), .id = 13, .since = 1, .max = 2, .is_fixed = true, LIST},
    {AT(whole, first), .id = 14, .since = 1, .elem_size = 4, .max = 1, .mask = UINT32_MAX},
    {AT(whole, flags), .id = 15, .since = 1, .kind = STASIS_KIND_INTS, .elem_size = 1, .max = 3,
     .mask = 0xff},
};
static const struct stasis_old_bound history[] = {
    {.before = 2, .id = 8, .bound = 0x0ff0}, {.before = 2, .id = 9, .bound = 4},
    {.before = 2, .id = 10, .bound = 70},    {.before = 2, .id = 12, .bound = 1},
    {.before = 2, .id = 15, .bound = 1},     {0}};
static const struct stasis_schema schema = {.type = "whole",
                                            .version = 2,
                                            .field_count = sizeof(fields) / sizeof(fields[0]),
                                            .size = sizeof(struct whole),
                                            .fields = fields,
                                            .history = history};

static struct {
    unsigned count;
    char said[32][256];
} drops;

static void note(void *ctx, const char *what)
{
    assert_ptr_equal(ctx, &drops);
    assert_true(drops.count < 32);
    snprintf(drops.said[drops.count++], sizeof(drops.said[0]), "%s", what);
}

static void assert_said(const char *const *wanted, unsigned count, unsigned returned)
{
    for (unsigned i = 0; i < drops.count && i < count; i++)
        assert_string_equal(drops.said[i], wanted[i]);
    assert_int_equal(drops.count, count);
    assert_int_equal(returned, count);
}

static int setup(void **state)
{
    struct whole *whole = malloc(sizeof(*whole));

    drops.count = 0;
    if (whole)
        stasis_state_init(&schema, whole);
    *state = whole;
    return !whole;
}

static int teardown(void **state)
{
    stasis_state_fini(&schema, *state);
    free(*state);
    return 0;
}

static void field_at_its_default_is_no_loss(void **state)
{
    struct whole before;

    memcpy(&before, *state, sizeof(before));
    assert_said(NULL, 0, stasis_state_downgrade(&schema, 1, *state, note, &drops));
    assert_memory_equal(&before, *state, sizeof(before));
}

static void new_fields_are_named_and_become_default(void **state)
{
    static const char *const wanted[] = {
        "field number is 0x6, not its default 0x7",
        "field table is not at its default",
        "field raw has 2 bytes",
        "field text is \"1234567890123456789012345678901234567890123456789012345678901234\"",
        "field one is not at its default",
        "field many has 2 elements",
        "field all is not at its default",
        "field nested.added is 0x5, not its default 0x0",
        "field nested.deep.added is 0x7, not its default 0x0",
    };
    struct whole *whole = *state, again;
    struct whole plain;

    memcpy(&plain, whole, sizeof(plain));
    whole->number = 6;
    whole->table[2] = 1;
    whole->raw_len = 2;
    for (unsigned i = 0; i < 70; i++)
        whole->text[i] = (char)('0' + (i + 1) % 10);
    whole->text[70] = '\0';
    whole->one.kept = 2;
    whole->many_count = 2;
    whole->all[1].kept = 0;
    whole->nested.added = 5;
    whole->nested.deep.added = 7;
    memcpy(&again, whole, sizeof(again));
    assert_said(wanted, 9, stasis_state_downgrade(&schema, 1, whole, note, &drops));
    assert_memory_equal(&plain, whole, sizeof(plain));
    assert_int_equal(stasis_state_downgrade(&schema, 1, &again, NULL, NULL), 9);
    assert_int_equal(stasis_state_downgrade(&schema, 2, &again, note, &drops), 0);
}

static uint8_t *mem(struct part *part)
{
    part->mem_len = 1;
    part->mem = calloc(1, 1);
    assert_non_null(part->mem);
    return part->mem;
}

static void old_bounds_are_named_and_hold(void **state)
{
    static const char *const wanted[] = {
        "field masked is 0x1, outside the mask 0xff0",
        "field masked is 0xffff, outside the mask 0xff0",
        "field bytes has 5 bytes, at most 4",
        ("field word is \"wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww\", "
         "100 bytes, at most 70"),
        "field list has 3 elements, at most 1",
        "field list[0].added is 0x3, not its default 0x0",
        "field list[0].deep.added is 0x6, not its default 0x0",
        "field fixed[1].added is 0x4, not its default 0x0",
    };
    struct whole *whole = *state;
    const uint8_t *kept = mem(&whole->list[0]), *behind;

    whole->masked[0] = 0x01;
    whole->masked[1] = 0x0ff0;
    whole->masked[2] = 0xffff;
    whole->bytes_len = 5;
    memset(whole->word, 'w', 100);
    whole->behind_masked = 0xffff;
    whole->behind_word = 'w';
    behind = mem(&whole->fixed[0]);
    whole->list_count = 3;
    for (unsigned i = 0; i < 3; i++)
        whole->list[i].added = 3;
    whole->list[0].deep.added = 6;
    mem(&whole->list[1]);
    mem(&whole->list[2]);
    whole->fixed[1].added = 4;
    assert_said(wanted, 8, stasis_state_downgrade(&schema, 1, whole, note, &drops));
    assert_int_equal(whole->masked[0], 0);
    assert_int_equal(whole->masked[1], 0x0ff0);
    assert_int_equal(whole->masked[2], 0x0ff0);
    assert_int_equal(whole->bytes_len, 4);
    for (unsigned i = 0; i < sizeof(whole->word); i++)
        assert_int_equal(whole->word[i], i < 70 ? 'w' : 0);
    assert_int_equal(whole->behind_word, 'w');
    assert_int_equal(whole->behind_masked, 0xffff);
    assert_ptr_equal(whole->fixed[0].mem, behind);
    assert_int_equal(whole->list_count, 1);
    assert_int_equal(whole->list[0].added, 0);
    assert_ptr_equal(whole->list[0].mem, kept);
    for (unsigned i = 1; i < 3; i++) { /* freed: nobody frees what lies behind the count */
        assert_null(whole->list[i].mem);
        assert_int_equal(whole->list[i].mem_len, 0);
    }
    assert_int_equal(whole->fixed[1].added, 0);
}

/* Bounds themselves are no loss. */
static void value_within_the_old_bounds_stays(void **state)
{
    struct whole *whole = *state, before;

    whole->first = 1000;
    memset(whole->flags, 1, sizeof(whole->flags));
    whole->masked[0] = 0x0ff0;
    whole->bytes_len = 4;
    memset(whole->word, 'w', 70);
    whole->list_count = 1;
    whole->list[0].kept = 9;
    whole->nested.kept = 9;
    whole->fixed[0].kept = 9;
    memcpy(&before, whole, sizeof(before));
    assert_said(NULL, 0, stasis_state_downgrade(&schema, 1, whole, note, &drops));
    assert_memory_equal(&before, whole, sizeof(before));
}

/* Of a field that is in neither version nobody hears. */
static void removed_field_is_not_lost_again(void **state)
{
    static const struct stasis_field gone = {AT(whole, number), .id = 1,        .since = 1,
                                             .until = 2,        .elem_size = 4, .max = 1,
                                             .mask = UINT32_MAX};
    struct stasis_schema later = schema;
    struct whole *whole = *state;

    later.fields = &gone;
    later.field_count = 1;
    later.version = 3;
    whole->number = 5;
    assert_said(NULL, 0, stasis_state_downgrade(&later, 2, whole, note, &drops));
    assert_int_equal(whole->number, 5);
}

#define LONG 4000000u

/* The numbers are not cut off behind the string. */
static void long_strings_are_told_to_the_end(void **unused)
{
    static const struct stasis_field field = {.id = 1,
                                              .since = 1,
                                              .name = "long_string",
                                              .kind = STASIS_KIND_STR,
                                              .elem_size = 1,
                                              .max = LONG,
                                              .default_str = ""};
    static const struct stasis_old_bound bound[] = {{.before = 2, .id = 1, .bound = LONG - 1}, {0}};
    const struct stasis_schema longer = {.type = "long",
                                         .version = 2,
                                         .field_count = 1,
                                         .size = LONG + 1,
                                         .fields = &field,
                                         .history = bound};
    char *text = calloc(1, LONG + 1);

    (void)unused;
    assert_non_null(text);
    memset(text, 'l', LONG);
    assert_int_equal(stasis_state_downgrade(&longer, 1, text, note, &drops), 1);
    assert_non_null(strstr(drops.said[0], "lll\", 4000000 bytes, at most 3999999"));
    assert_int_equal(strlen(text), LONG - 1);
    free(text);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(field_at_its_default_is_no_loss), CASE(new_fields_are_named_and_become_default),
        CASE(old_bounds_are_named_and_hold),   CASE(value_within_the_old_bounds_stays),
        CASE(removed_field_is_not_lost_again), CASE(long_strings_are_told_to_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
