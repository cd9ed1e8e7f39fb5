/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Tables bound to members are those that lists make; and a live device keeps what is not in its
 * table. What must not compile is in bind_refused.c.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/bind.h"

#define STASIS_DEF "tests/state/bound_part.def"
struct stasis_bound_part_state {
#include "stasis/def_struct.h"
};

#define STASIS_DEF "tests/state/bound.def"
struct stasis_bound_state {
#include "stasis/def_struct.h"
};

#define STASIS_NAME bound_part
#define STASIS_DEF  "tests/state/bound_part.def"
#include "stasis/def_fields.h"

static const struct stasis_schema stasis_bound_part_schema = {
    .type = "part",
    .version = 1,
    STASIS_BIND_FIELDS(struct stasis_bound_part_state, bound_part_fields),
    .history = bound_part_history,
    .doc = "a part",
};

#define STASIS_NAME bound
#define STASIS_DEF  "tests/state/bound.def"
#include "stasis/def_fields.h"

#define BOUND struct stasis_bound_state
static const struct stasis_field bound[] = {
    STASIS_BIND_INT(BOUND, small, 1, 1, 7, 0x7f, "one byte"),
    STASIS_BIND_INT(BOUND, offset, 2, 1, -5, -1, "signed"),
    STASIS_BIND_INT(BOUND, gone, 3, STASIS_REMOVED(1, 2), 3, 0xffff, "went with version 2"),
    STASIS_BIND_INTS(BOUND, table, 4, 1, 0x0fff, "masked array"),
    STASIS_BIND_BUF(BOUND, raw, raw_len, 5, 2, 4, "two registers"),
    STASIS_BIND_STR(BOUND, label, 6, 1, "none", "a string"),
    STASIS_BIND_STRUCT(BOUND, part, 7, 1, stasis_bound_part_schema, "one part"),
    STASIS_BIND_LIST(BOUND, parts, parts_count, 8, 1, stasis_bound_part_schema, "many parts"),
};

static void assert_same_str(const char *a, const char *b)
{
    assert_int_equal(!a, !b);
    if (a && b)
        assert_string_equal(a, b);
}

static void a_bound_table_is_the_one_of_the_list(void **state)
{
    (void)state;
    assert_int_equal(sizeof(bound), sizeof(bound_fields));
    for (size_t i = 0; i < sizeof(bound) / sizeof(bound[0]); i++) {
        const struct stasis_field *a = &bound[i];
        const struct stasis_field *b = &bound_fields[i];

        assert_int_equal(a->id, b->id);
        assert_int_equal(a->since, b->since);
        assert_int_equal(a->until, b->until);
        assert_int_equal(a->kind, b->kind);
        assert_int_equal(a->is_signed, b->is_signed);
        assert_int_equal(a->elem_size, b->elem_size);
        assert_int_equal(a->max, b->max);
        assert_int_equal(a->offset, b->offset);
        assert_int_equal(a->count_offset, b->count_offset);
        assert_int_equal(a->default_int, b->default_int);
        assert_int_equal(a->mask, b->mask);
        assert_same_str(a->default_str, b->default_str);
        assert_same_str(a->name, b->name);
        assert_same_str(a->doc, b->doc);
        assert_ptr_equal(a->sub, b->sub);
    }
}

/* A device as somebody else wrote it. */
struct stop {
    void *link;
    uint32_t at;
};

struct device {
    void *owner;
    bool on;
    unsigned long long beats;
    unsigned char queue[6];
    char padding_of_theirs;
    uint32_t queued;
    struct stop stops[3];
    uint32_t stop_count;
    unsigned long not_saved;
};

static const struct stasis_field stop_fields[] = {
    STASIS_BIND_INT(struct stop, at, 1, 1, 0, UINT32_MAX, "where"),
};
static const struct stasis_schema stop_schema = {
    .type = "stop", .version = 1, STASIS_BIND_FIELDS(struct stop, stop_fields), .doc = "a stop"};
static const struct stasis_field device_fields[] = {
    STASIS_BIND_INT(struct device, on, 1, 1, 1, 1, "power"),
    STASIS_BIND_INT(struct device, beats, 2, 1, 0, UINT64_MAX, "beats"),
    STASIS_BIND_BUF(struct device, queue, queued, 3, 1, 1, "queue"),
    STASIS_BIND_LIST(struct device, stops, stop_count, 4, 1, stop_schema, "stops"),
};
static const struct stasis_schema device_schema = {.type = "test.device",
                                                   .version = 1,
                                                   STASIS_BIND_FIELDS(struct device, device_fields),
                                                   .doc = "a device"};

static void types_of_other_names_are_integers_too(void **state)
{
    (void)state;
    assert_int_equal(device_fields[0].elem_size, 1);
    assert_int_equal(device_fields[0].mask, 1);
    assert_int_equal(device_fields[1].elem_size, 8);
    assert_false(device_fields[1].is_signed);
}

/* What a compiler makes of types, widths and dimensions. */
struct every {
    signed char s8;
    short s16;
    int s32;
    long long s64;
    enum { OFF, ON } mode;
    volatile unsigned short fast;
    bool flags[2];
    unsigned char one[3];
    unsigned short two[2][3];
    unsigned long three[2][3][4];
    short trend[5];
    int cube[2][2][2];
    struct stop stops[2][3];
    unsigned char *data;
    size_t data_len;
    struct stop *list;
    unsigned char list_count;
    int64_t *numbers;
    bool *lamps;
    int number_count;
};

#define EVERY struct every
static const struct stasis_field every_fields[] = {
    STASIS_BIND_INT(EVERY, s8, 1, 1, -1, -1, ""),
    STASIS_BIND_INT(EVERY, s16, 2, 1, INT16_MIN, -1, ""),
    STASIS_BIND_INT(EVERY, s32, 3, 1, 5, 0x7f, ""),
    STASIS_BIND_INT(EVERY, s64, 4, 1, 0, -1, ""),
    STASIS_BIND_INT(EVERY, mode, 5, 1, ON, 1, ""),
    STASIS_BIND_INT(EVERY, fast, 6, 1, 0, 0xffff, ""),
    STASIS_BIND_INTS(EVERY, flags, 7, 1, 1, ""),
    STASIS_BIND_INTS(EVERY, one, 8, 1, 0x0f, ""),
    STASIS_BIND_INTS(EVERY, two, 9, 1, 0xffff, ""),
    STASIS_BIND_INTS(EVERY, three, 10, 1, UINT64_MAX, ""),
    STASIS_BIND_INTS(EVERY, trend, 11, 1, -1, ""),
    STASIS_BIND_INTS(EVERY, cube, 12, 1, -1, ""),
    STASIS_BIND_STRUCTS(EVERY, stops, struct stop, 13, 1, stop_schema, ""),
    STASIS_BIND_BUF_PTR(EVERY, data, data_len, 64, 14, 1, 4, ""),
    STASIS_BIND_LIST_PTR(EVERY, list, list_count, 7, 15, 1, stop_schema, ""),
    STASIS_BIND_INTS_PTR(EVERY, numbers, number_count, 9, 16, 1, ""),
    STASIS_BIND_INTS_PTR(EVERY, lamps, number_count, 9, 17, 1, ""),
};
static const struct stasis_schema every_schema = {.type = "test.every",
                                                  .version = 1,
                                                  STASIS_BIND_FIELDS(EVERY, every_fields),
                                                  .doc = "every kind"};

static void types_widths_and_dimensions(void **state)
{
    static const struct {
        enum stasis_kind kind;
        uint32_t size, max;
        bool is_signed, is_fixed, is_pointer;
        uint8_t count_size;
        uint64_t mask;
        const struct stasis_schema *sub;
    } want[] = {
        {STASIS_KIND_INT, 1, 1, .mask = UINT64_MAX, .is_signed = true},
        {STASIS_KIND_INT, 2, 1, .mask = UINT64_MAX, .is_signed = true},
        {STASIS_KIND_INT, 4, 1, .mask = 0x7f, .is_signed = true},
        {STASIS_KIND_INT, 8, 1, .mask = UINT64_MAX, .is_signed = true},
        {STASIS_KIND_INT, 4, 1, .mask = 1},
        {STASIS_KIND_INT, 2, 1, .mask = 0xffff},
        {STASIS_KIND_INTS, 1, 2, .mask = 1},
        {STASIS_KIND_INTS, 1, 3, .mask = 0x0f},
        {STASIS_KIND_INTS, 2, 6, .mask = 0xffff},
        {STASIS_KIND_INTS, sizeof(long), 24, .mask = UINT64_MAX},
        {STASIS_KIND_LIST, 2, 5, .mask = 0, .is_fixed = true,
         .sub = &stasis_element_schemas[STASIS_ELEMENT_INT16]},
        {STASIS_KIND_LIST, 4, 8, .mask = 0, .is_fixed = true,
         .sub = &stasis_element_schemas[STASIS_ELEMENT_INT32]},
        {STASIS_KIND_LIST, sizeof(struct stop), 6, .mask = 0, .is_fixed = true,
         .sub = &stop_schema},
        {STASIS_KIND_BUF, 4, 64, .mask = 0, .is_pointer = true, .count_size = sizeof(size_t)},
        {STASIS_KIND_LIST, sizeof(struct stop), 7, .mask = 0, .is_pointer = true, .count_size = 1,
         .sub = &stop_schema},
        {STASIS_KIND_LIST, 8, 9, .mask = 0, .is_pointer = true, .count_size = 4,
         .sub = &stasis_element_schemas[STASIS_ELEMENT_INT64]},
        {STASIS_KIND_LIST, 1, 9, .mask = 0, .is_pointer = true, .count_size = 4,
         .sub = &stasis_element_schemas[STASIS_ELEMENT_BOOL]},
    };

    (void)state;
    assert_int_equal(sizeof(want) / sizeof(want[0]), every_schema.field_count);
    for (uint32_t i = 0; i < every_schema.field_count; i++) {
        const struct stasis_field *field = &every_fields[i];

        assert_int_equal(field->kind, want[i].kind);
        assert_int_equal(field->elem_size, want[i].size);
        assert_int_equal(field->max, want[i].max);
        assert_int_equal(field->mask, want[i].mask);
        assert_int_equal(field->is_signed, want[i].is_signed);
        assert_int_equal(field->is_fixed, want[i].is_fixed);
        assert_int_equal(field->is_pointer, want[i].is_pointer);
        assert_int_equal(field->count_size, want[i].count_size);
        assert_ptr_equal(field->sub, want[i].sub);
    }
    assert_true(every_fields[1].default_int == (uint64_t)INT16_MIN);
    assert_int_equal(stasis_schema_check(&every_schema, NULL), 0);
}

/* One schema for each type of integer, with its name, its size and all its values. */
static void elements_are_the_integers(void **state)
{
    static const char *const names[] = {"bool", "uint8", "uint16", "uint32", "uint64",
                                        "int8", "int16", "int32",  "int64"};

    (void)state;
    for (size_t i = 0; i < STASIS_ELEMENT_COUNT; i++) {
        const struct stasis_schema *schema = &stasis_element_schemas[i];
        const struct stasis_field *field = &schema->fields[0];
        uint64_t all = UINT64_MAX >> (64 - 8 * field->elem_size);

        assert_string_equal(schema->type, names[i]);
        assert_int_equal(stasis_schema_check(schema, NULL), 0);
        assert_int_equal(schema->field_count, 1);
        assert_string_equal(field->name, "value");
        assert_int_equal(schema->size, i ? 1u << (i - 1) % 4 : 1);
        assert_int_equal(field->elem_size, schema->size);
        assert_int_equal(field->is_signed, i >= STASIS_ELEMENT_INT8);
        assert_int_equal(field->mask, field->is_signed ? UINT64_MAX : i ? all : 1);
    }
}

static void a_copy_leaves_what_is_not_in_the_table(void **state)
{
    struct device device;
    struct device thawed;
    struct device before;

    (void)state;
    memset(&device, 0xa5, sizeof(device));
    before = device;
    stasis_state_init(&device_schema, &thawed);
    thawed.beats = 77;
    thawed.queued = 2;
    memcpy(thawed.queue, "ab\0\0\0", sizeof(thawed.queue));
    thawed.stop_count = 1;
    thawed.stops[0].at = 5;
    stasis_state_copy(&device_schema, &thawed, &device);

    assert_int_equal(device.on, 1);
    assert_int_equal(device.beats, 77);
    assert_int_equal(device.queued, 2);
    assert_memory_equal(device.queue, thawed.queue, sizeof(device.queue));
    assert_int_equal(device.stop_count, 1);
    assert_int_equal(device.stops[0].at, 5);
    assert_int_equal(device.stops[1].at, 0);
    assert_ptr_equal(device.owner, before.owner);
    assert_ptr_equal(device.stops[2].link, before.stops[2].link);
    assert_int_equal(device.padding_of_theirs, before.padding_of_theirs);
    assert_int_equal(device.not_saved, before.not_saved);
}

static void bound_tables_pass_the_check(void **state)
{
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(stasis_schema_check(&device_schema, &err), 0);
    assert_int_equal(stasis_schema_check(&stasis_bound_part_schema, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_table_is_the_one_of_the_list),
        cmocka_unit_test(types_of_other_names_are_integers_too),
        cmocka_unit_test(types_widths_and_dimensions),
        cmocka_unit_test(elements_are_the_integers),
        cmocka_unit_test(a_copy_leaves_what_is_not_in_the_table),
        cmocka_unit_test(bound_tables_pass_the_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
