/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every bound of a schema section, from both sides: the last value that is taken, and the first
 * that is refused, with the words for it.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "state-ser/ser/schema_wire.h"
#include "stasis/schema_set.h"

/* ---- a section, byte by byte ---- */

struct section {
    uint8_t *bytes;
    size_t len;
};

static void put(struct section *section, uint8_t byte)
{
    section->bytes[section->len++] = byte;
}

/* `width` bytes, the highest first. */
static void put_tagged(struct section *section, uint8_t tag, unsigned width, uint64_t value)
{
    put(section, tag);
    while (width--)
        put(section, (uint8_t)(value >> (8 * width)));
}

static void put_uint(struct section *section, uint64_t value)
{
    if (value < 128)
        put(section, (uint8_t)value);
    else if (value <= UINT8_MAX)
        put_tagged(section, 0xcc, 1, value);
    else if (value <= UINT16_MAX)
        put_tagged(section, 0xcd, 2, value);
    else if (value <= UINT32_MAX)
        put_tagged(section, 0xce, 4, value);
    else
        put_tagged(section, 0xcf, 8, value);
}

static void put_array(struct section *section, uint32_t count)
{
    if (count < 16)
        put(section, (uint8_t)(0x90 | count));
    else
        put_tagged(section, 0xdc, 2, count);
}

static void put_str(struct section *section, const char *str)
{
    size_t len = strlen(str);

    if (len < 32)
        put(section, (uint8_t)(0xa0 | len));
    else if (len <= UINT8_MAX)
        put_tagged(section, 0xd9, 1, len);
    else
        put_tagged(section, 0xda, 2, len);
    memcpy(section->bytes + section->len, str, len);
    section->len += len;
}

struct field {
    uint64_t id, kind, size, max, mask, default_int, sub;
    const char *name, *default_str, *doc;
};

static void put_field(struct section *section, const struct field *field)
{
    put_array(section, STASIS_SCHEMA_FIELD_PARTS);
    put_uint(section, field->id);
    put_str(section, field->name ? field->name : "f");
    put_uint(section, field->kind);
    put_uint(section, field->size);
    put_uint(section, field->max);
    put_uint(section, field->mask);
    if (field->kind == STASIS_SCHEMA_STRING)
        put_str(section, field->default_str ? field->default_str : "");
    else
        put_uint(section, field->default_int);
    put_uint(section, field->sub);
    put_str(section, field->doc ? field->doc : "");
}

static void put_state(struct section *section, const char *type, uint64_t version, const char *doc,
                      uint32_t fields)
{
    put_array(section, STASIS_SCHEMA_STATE_PARTS);
    put_str(section, type);
    put_uint(section, version);
    put_str(section, doc);
    put_array(section, fields);
}

static struct section section_new(uint32_t states)
{
    struct section section = {.bytes = malloc(1 << 20)};

    assert_non_null(section.bytes);
    put_array(&section, states);
    return section;
}

/* No refusal: it is taken, and the set is the caller's. */
static struct stasis_schema_set *judge(struct section *section, const char *refusal)
{
    struct stasis_schema_set *set = NULL;
    struct stasis_error err = {0};
    int rc = stasis_schema_set_parse(section->bytes, section->len, &set, &err);

    free(section->bytes);
    if (!refusal && rc)
        fail_msg("%s", err.msg);
    if (!refusal)
        return set;
    assert_int_equal(rc, STASIS_ERR_CORRUPT);
    if (!strstr(err.msg, refusal))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, refusal);
    assert_null(set);
    return NULL;
}

static void judge_field(const struct field *field, const char *refusal)
{
    struct section section = section_new(2);

    put_state(&section, "part", 0, "", 0);
    put_state(&section, "x", 1, "", 1);
    put_field(&section, field);
    stasis_schema_set_free(judge(&section, refusal));
}

/* ---- fields ---- */

/* kind, size, maximum, mask, default, nested state */
#define FIELD(letter, bytes, most, bits, value, nested)                                            \
    {                                                                                              \
        .id = 1, .kind = KIND_##letter, .size = bytes, .max = most, .mask = bits,                  \
        .default_int = value, .sub = nested                                                        \
    }
#define KIND_U STASIS_SCHEMA_UNSIGNED
#define KIND_I STASIS_SCHEMA_SIGNED
#define KIND_S STASIS_SCHEMA_UNSIGNEDS
#define KIND_B STASIS_SCHEMA_BYTES
#define KIND_T STASIS_SCHEMA_STRING
#define KIND_N STASIS_SCHEMA_STATE
#define KIND_L STASIS_SCHEMA_STATES

static void sizes_and_masks(void **state)
{
    static const struct {
        struct field field;
        const char *refusal;
    } cases[] = {
        {FIELD(U, 1, 1, 0xff, 0, 0), NULL},
        {FIELD(U, 1, 1, 0x100, 0, 0), "mask 0x100 is wider than the field"},
        {FIELD(U, 2, 1, 0xffff, 0, 0), NULL},
        {FIELD(U, 2, 1, 0x10000, 0, 0), "mask 0x10000 is wider than the field"},
        {FIELD(U, 4, 1, UINT32_MAX, 0, 0), NULL},
        {FIELD(U, 4, 1, UINT64_C(1) << 32, 0, 0), "is wider than the field"},
        {FIELD(U, 8, 1, UINT64_MAX, 0, 0), NULL},
        {FIELD(U, 0, 1, 0, 0, 0), "an integer of 0 bytes"},
        {FIELD(U, 3, 1, 0, 0, 0), "an integer of 3 bytes"},
        {FIELD(U, 5, 1, 0, 0, 0), "an integer of 5 bytes"},
        {FIELD(U, 7, 1, 0, 0, 0), "an integer of 7 bytes"},
        {FIELD(U, 9, 1, 0, 0, 0), "an integer of 9 bytes"},
        {FIELD(U, 16, 1, 0, 0, 0), "an integer of 16 bytes"},
        {FIELD(U, 8, 0, 0, 0, 0), "maximum 0"},
        {FIELD(U, 8, 2, 0, 0, 0), "maximum 2"},
        {FIELD(U, 8, 1, 6, 6, 0), NULL},
        {FIELD(U, 8, 1, 6, 7, 0), "default 0x7 is none it can have"},
        {FIELD(U, 8, 1, 0, 0, 1), "a nested state is 1, must be 0 to 0"},
        {FIELD(I, 8, 1, 1, 0, 0), NULL},
        {FIELD(I, 4, 1, 1, 0, 0), "an integer of 4 bytes"},
        {FIELD(I, 8, 2, 0, 0, 0), "maximum 2"},
        {FIELD(S, 8, 1, 0, 0, 0), NULL},
        {FIELD(S, 2, 3, 0, 0, 0), NULL},
        {FIELD(S, 6, 3, 0, 0, 0), "an integer of 6 bytes"},
        {FIELD(S, 8, 0, 0, 0, 0), "maximum 0"},
        {FIELD(S, 8, 3, 3, 1, 0), "default 0x1 is none it can have"},
        {FIELD(S, 8, STASIS_SCHEMA_ROOM_MAX / 8, 0, 0, 0), NULL},
        {FIELD(S, 8, STASIS_SCHEMA_ROOM_MAX / 8 + 1, 0, 0, 0),
         "x would have more than 4194304 bytes"},
        {FIELD(B, 1, 1, 0, 0, 0), NULL},
        {FIELD(B, 0, 0, 0, 0, 0), "a size that its kind does not have"},
        {FIELD(B, 0, 1, 0, 0, 0), "a size that its kind does not have"},
        {FIELD(B, 8, 8, 0, 0, 0), NULL},
        {FIELD(B, 8, 16, 0, 0, 0), NULL},
        {FIELD(B, 8, 15, 0, 0, 0), "a size that its kind does not have"},
        {FIELD(B, 8, 0, 0, 0, 0), "a size that its kind does not have"},
        {FIELD(B, 16, 8, 0, 0, 0), "a size that its kind does not have"},
        {FIELD(B, 1, 1, 1, 0, 0), "mask 0x1 is wider than the field"},
        {FIELD(B, 1, 1, 0, 1, 0), "default 0x1 is none it can have"},
        {FIELD(B, 1, STASIS_SCHEMA_ROOM_MAX - 8, 0, 0, 0), NULL},
        {FIELD(B, 1, STASIS_SCHEMA_ROOM_MAX - 7, 0, 0, 0), "x would have more than"},
        {{.id = 1, .kind = KIND_T, .max = 1, .default_str = "a"}, NULL},
        {{.id = 1, .kind = KIND_T, .max = 1, .default_str = "ab"},
         "a default of 2 bytes, at most 1"},
        {FIELD(T, 0, 0, 0, 0, 0), "maximum 0"},
        {FIELD(T, 1, 1, 0, 0, 0), "a size that its kind does not have"},
        {FIELD(T, 0, 1, 1, 0, 0), "mask 0x1 is wider than the field"},
        {FIELD(T, 0, 1, 0, 0, 1), "a nested state is 1, must be 0 to 0"},
        {FIELD(T, 0, STASIS_SCHEMA_ROOM_MAX - 1, 0, 0, 0), NULL},
        {FIELD(T, 0, STASIS_SCHEMA_ROOM_MAX, 0, 0, 0), "x would have more than"},
        {FIELD(T, 0, STASIS_SCHEMA_ROOM_MAX + 1, 0, 0, 0), "maximum 4194305"},
        {FIELD(N, 0, 1, 0, 0, 1), NULL},
        {FIELD(N, 0, 2, 0, 0, 1), "maximum 2"},
        {FIELD(N, 1, 1, 0, 0, 1), "a size that its kind does not have"},
        {FIELD(N, 0, 1, 0, 1, 1), "default 0x1 is none it can have"},
        {FIELD(N, 0, 1, 0, 0, 0), "a nested state is 0, must be 1 to 1"},
        {FIELD(N, 0, 1, 0, 0, 2), "a nested state is 2, must be 1 to 1"},
        {FIELD(L, 0, 2, 0, 0, 1), NULL},
        {FIELD(L, 0, 0, 0, 0, 1), "maximum 0"},
        {FIELD(L, 0, 2, 1, 0, 1), "mask 0x1 is wider than the field"},
        {FIELD(L, 0, STASIS_SCHEMA_ROOM_MAX - 8, 0, 0, 1), NULL}, /* an empty state has a byte */
        {FIELD(L, 0, STASIS_SCHEMA_ROOM_MAX - 7, 0, 0, 1), "x would have more than"},
        {{.id = 65535, .kind = STASIS_SCHEMA_UNSIGNED, .size = 1, .max = 1}, NULL},
        {{.id = 65536, .kind = STASIS_SCHEMA_UNSIGNED, .size = 1, .max = 1},
         "a field's id is 65536, must be 1 to 65535"},
        {{.id = 1, .kind = 0, .size = 1, .max = 1}, "a field's kind is 0, must be 1 to 7"},
        {{.id = 1, .kind = 8, .size = 1, .max = 1}, "a field's kind is 8, must be 1 to 7"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        judge_field(&cases[i].field, cases[i].refusal);
}

static const char *letters(char letter, size_t count)
{
    static char text[512];

    assert_true(count < sizeof(text));
    memset(text, letter, count);
    text[count] = '\0';
    return text;
}

static void names_and_texts(void **state)
{
    struct field field = FIELD(U, 8, 1, 1, 0, 0);

    (void)state;
    field.name = letters('n', STASIS_SCHEMA_NAME_MAX);
    judge_field(&field, NULL);
    field.name = letters('n', STASIS_SCHEMA_NAME_MAX + 1);
    judge_field(&field, "a field's name of 65 bytes, at most 64");
    field.name = "";
    judge_field(&field, "a field's name must be letters, digits and _");
    field.name = "a-b";
    judge_field(&field, "a field's name must be letters, digits and _");
    field.name = "\xc3\xa9";
    judge_field(&field, "a field's name must be letters, digits and _");
    field.name = "azAZ09_";
    judge_field(&field, NULL);
    field.doc = letters('d', STASIS_SCHEMA_DOC_MAX);
    judge_field(&field, NULL);
    field.doc = letters('d', STASIS_SCHEMA_DOC_MAX + 1);
    judge_field(&field, "a field's text of 256 bytes, at most 255");
    field.doc = "\n";
    judge_field(&field, "a field's text is not UTF-8, or has control characters");
    field.doc = "\xff";
    judge_field(&field, "a field's text is not UTF-8, or has control characters");
}

/* The places of the struct that it describes: no field over another, and each aligned. */
static void fields_have_places_of_their_own(void **state)
{
    static const struct field all[] = {
        {.id = 1, .kind = STASIS_SCHEMA_UNSIGNED, .size = 1, .max = 1},
        {.id = 2, .kind = STASIS_SCHEMA_UNSIGNEDS, .size = 2, .max = 5},
        {.id = 4, .kind = STASIS_SCHEMA_STRING, .max = 8},
        {.id = 9, .kind = STASIS_SCHEMA_BYTES, .size = 2, .max = 10},
        {.id = 10, .kind = STASIS_SCHEMA_STATE, .max = 1, .sub = 1},
        {.id = 11, .kind = STASIS_SCHEMA_STATES, .max = 3, .sub = 1},
        {.id = 12, .kind = STASIS_SCHEMA_SIGNED, .size = 8, .max = 1, .mask = UINT64_MAX},
    };
    /* of the value, or else of count and value */
    static const size_t offsets[] = {0, 8, 24, 48, 64, 104, 200},
                        counts[] = {0, 0, 0, 40, 0, 96, 0};
    struct section section = section_new(2);
    const struct stasis_schema *schema;
    struct stasis_schema_set *set;

    (void)state;
    put_state(&section, "part", 0, "a part", 2);
    put_field(&section, &all[0]);
    put_field(&section, &all[3]); /* 8 + 8 + 16 bytes */
    put_state(&section, "x", 7, "the whole", 7);
    for (size_t i = 0; i < 7; i++)
        put_field(&section, &all[i]);
    set = judge(&section, NULL);
    assert_int_equal(stasis_schema_set_count(set), 2);
    assert_int_equal(stasis_schema_set_at(set, 0)->size, 32);
    schema = stasis_schema_set_find(set, "x", 7);
    assert_ptr_equal(schema, stasis_schema_set_at(set, 1));
    assert_null(stasis_schema_set_find(set, "x", 1));
    assert_null(stasis_schema_set_find(set, "part", 7));
    assert_string_equal(schema->doc, "the whole");
    for (size_t i = 0; i < 7; i++) {
        const struct stasis_field *field = &schema->fields[i];

        assert_int_equal(field->id, all[i].id);
        assert_int_equal(field->since, 1);
        assert_int_equal(field->until, 0);
        assert_int_equal(field->max, all[i].max);
        assert_int_equal(field->is_signed, i == 6);
        assert_int_equal(field->offset, offsets[i]);
        assert_int_equal(field->count_offset, counts[i]);
    }
    assert_ptr_equal(schema->fields[4].sub, stasis_schema_set_at(set, 0));
    assert_int_equal(schema->fields[4].elem_size, 32);
    assert_int_equal(schema->fields[2].elem_size, 1);
    assert_int_equal(schema->fields[1].elem_size, 2);
    stasis_schema_set_free(set);
}

/* ---- states ---- */

static void ids_ascend(void **state)
{
    static const uint64_t seconds[] = {0, 4, 5, 6};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct section section = section_new(1);
        struct field field = FIELD(U, 8, 1, 1, 0, 0);

        put_state(&section, "x", 1, "", 2);
        field.id = 5;
        put_field(&section, &field);
        field.id = seconds[i];
        put_field(&section, &field);
        stasis_schema_set_free(judge(&section, i < 3 ? ", must be 6 to 65535" : NULL));
    }
}

static void judge_state(const char *type, uint64_t version, const char *doc, const char *refusal)
{
    struct section section = section_new(1);

    put_state(&section, type, version, doc, 0);
    stasis_schema_set_free(judge(&section, refusal));
}

static void parts_of_states(void **state)
{
    (void)state;
    judge_state(letters('t', STASIS_TYPE_MAX), 1, "", NULL);
    judge_state(letters('t', STASIS_TYPE_MAX + 1), 1, "", "a state's name of 33 bytes, at most 32");
    judge_state("", 1, "", "a state's name must be 1 to 32");
    judge_state("x", 0, "", NULL);
    judge_state("x", UINT16_MAX, "", NULL);
    judge_state("x", UINT16_MAX + 1, "", "a state's version is 65536, must be 0 to 65535");
    judge_state("x", 1, letters('d', STASIS_SCHEMA_DOC_MAX), NULL);
    judge_state("x", 1, letters('d', STASIS_SCHEMA_DOC_MAX + 1), "a state's text of 256 bytes");
    judge_state("x", 1, "\x7f", "a state's text is not UTF-8, or has control characters");
}

static void counts_of_parts(void **state)
{
    for (unsigned more = 0; more < 2; more++) {
        struct section section = section_new(1);

        (void)state;
        put_array(&section, more ? STASIS_SCHEMA_STATE_PARTS + 1 : STASIS_SCHEMA_STATE_PARTS - 1);
        put_str(&section, "x");
        put_uint(&section, 1);
        put_str(&section, "");
        put_array(&section, 0);
        put_array(&section, 0);
        judge(&section, "a state must have 4 parts");

        section = section_new(1);
        put_state(&section, "x", 1, "", 1);
        put_array(&section, more ? STASIS_SCHEMA_FIELD_PARTS + 1 : STASIS_SCHEMA_FIELD_PARTS - 1);
        for (unsigned i = 0; i < 10; i++)
            put_uint(&section, 1);
        judge(&section, "a field must have 9 parts");
    }
}

static void counts_of_fields_and_states(void **state)
{
    (void)state;
    for (uint32_t more = 0; more < 2; more++) {
        struct section section = section_new(1);
        struct field field = FIELD(U, 8, 1, 1, 0, 0);

        put_state(&section, "x", 1, "", STASIS_SCHEMA_FIELDS_MAX + more);
        for (field.id = 1; field.id <= STASIS_SCHEMA_FIELDS_MAX + more; field.id++)
            put_field(&section, &field);
        stasis_schema_set_free(judge(&section, more ? "x has 1025 fields, at most 1024" : NULL));

        section = section_new(STASIS_SCHEMA_STATES_MAX + more);
        for (uint32_t i = 1; i <= STASIS_SCHEMA_STATES_MAX + more; i++)
            put_state(&section, "x", i, "", 0);
        stasis_schema_set_free(judge(&section, more ? "513 states, at most 512" : NULL));
    }
}

/* Nested states of one name are told apart by their place; record types by name and version. */
static void types_that_are_there_twice(void **state)
{
    static const struct {
        uint64_t first, second;
        const char *refusal;
    } cases[] = {{0, 0, NULL}, {1, 2, NULL}, {0, 1, NULL}, {2, 2, "x is there twice"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct section section = section_new(2);

        put_state(&section, "x", cases[i].first, "", 0);
        put_state(&section, "x", cases[i].second, "", 0);
        stasis_schema_set_free(judge(&section, cases[i].refusal));
    }
}

static void states_nest_but_records_do_not(void **state)
{
    struct field field = FIELD(N, 0, 1, 0, 0, 1);

    (void)state;
    for (uint64_t version = 0; version < 2; version++) {
        struct section section = section_new(2);

        put_state(&section, "part", version, "", 0);
        put_state(&section, "x", 1, "", 1);
        put_field(&section, &field);
        stasis_schema_set_free(judge(&section, version ? "field f nests a record" : NULL));
    }
    for (uint64_t depth = STASIS_SCHEMA_DEPTH_MAX; depth < STASIS_SCHEMA_DEPTH_MAX + 2; depth++) {
        struct section section = section_new((uint32_t)depth + 1);

        put_state(&section, "s", 0, "", 0);
        for (field.sub = 1; field.sub <= depth; field.sub++) {
            put_state(&section, "s", 0, "", 2); /* the deepest counts, whichever stands first */
            put_field(&section, &field);
            put_field(&section,
                      &(struct field){.id = 2, .kind = STASIS_SCHEMA_STATES, .max = 1, .sub = 1});
        }
        stasis_schema_set_free(
            judge(&section, depth > STASIS_SCHEMA_DEPTH_MAX ? "field f nests too deeply" : NULL));
    }
}

static void nothing_stands_behind_the_last_state(void **state)
{
    struct section section = section_new(1);

    (void)state;
    put_state(&section, "x", 1, "", 0);
    put(&section, 0);
    judge(&section, "state 1: bytes behind the last state");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_masks),
        cmocka_unit_test(names_and_texts),
        cmocka_unit_test(fields_have_places_of_their_own),
        cmocka_unit_test(ids_ascend),
        cmocka_unit_test(parts_of_states),
        cmocka_unit_test(counts_of_parts),
        cmocka_unit_test(counts_of_fields_and_states),
        cmocka_unit_test(types_that_are_there_twice),
        cmocka_unit_test(states_nest_but_records_do_not),
        cmocka_unit_test(nothing_stands_behind_the_last_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
