/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Schemas that travel: pack and parse, and records that are read by them.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "random_state.h"
#include "sample.h"
#include "stasis/field.h"
#include "stasis/schema_set.h"
#include "stasis/state.h"
#include "timer.h"

static struct stasis_schema_set *parsed(const uint8_t *bytes, size_t len)
{
    struct stasis_schema_set *set = NULL;
    struct stasis_error err = {0};

    if (stasis_schema_set_parse(bytes, len, &set, &err))
        fail_msg("%s", err.msg);
    return set;
}

static void pack(const struct stasis_records *records, uint8_t **ret_bytes, size_t *ret_len)
{
    assert_int_equal(stasis_schema_set_encode(records, ret_bytes, ret_len, NULL), 0);
}

/* A record of each type, at random. */
static struct stasis_records *one_of_each(void)
{
    struct stasis_records *records = stasis_records_new();
    uint64_t seed = 3;
    size_t count;
    const struct stasis_schema *const *all = stasis_schema_all(&count);

    for (size_t i = 0; i < count; i++) {
        void *state = malloc(all[i]->size);

        random_state(&seed, all[i], state);
        assert_int_equal(stasis_records_add(records, all[i], "a", state, NULL), 0);
        free(state);
    }
    return records;
}

static void assert_same_schema(const struct stasis_schema *a, const struct stasis_schema *b);

static void assert_same_field(const struct stasis_field *a, const struct stasis_field *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->is_signed, b->is_signed);
    assert_int_equal(a->max, b->max);
    assert_int_equal(a->mask, b->mask);
    assert_int_equal(a->default_int, b->default_int);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->doc, b->doc);
    if (a->kind == STASIS_KIND_STR)
        assert_string_equal(a->default_str, b->default_str);
    if (a->sub)
        assert_same_schema(a->sub, b->sub);
    else
        assert_int_equal(a->elem_size, b->elem_size);
}

static void assert_same_schema(const struct stasis_schema *a, const struct stasis_schema *b)
{
    assert_string_equal(a->type, b->type);
    assert_string_equal(a->doc, b->doc);
    assert_int_equal(a->field_count, b->field_count);
    for (uint32_t i = 0; i < a->field_count; i++)
        assert_same_field(&a->fields[i], &b->fields[i]);
}

static void test_every_type_comes_back(void **unused)
{
    struct stasis_records *records = one_of_each();
    struct stasis_schema_set *set;
    uint8_t *bytes;
    size_t len;

    (void)unused;
    pack(records, &bytes, &len);
    set = parsed(bytes, len);
    assert_true(stasis_schema_set_count(set) > stasis_records_count(records)); /* nested ones */
    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);
        const struct stasis_schema *schema =
            stasis_schema_set_find(set, record.type, record.version);

        assert_non_null(schema);
        assert_same_schema(record.schema, schema);
    }
    print_message("%zu schemas, %zu bytes\n", stasis_schema_set_count(set), len);
    stasis_schema_set_free(set);
    stasis_records_free(records);
    free(bytes);
}

static void test_no_records_no_schemas(void **unused)
{
    struct stasis_records *records = stasis_records_new();
    struct stasis_schema_set *set;
    uint8_t *bytes;
    size_t len;

    (void)unused;
    pack(records, &bytes, &len);
    assert_int_equal(len, 1);
    assert_int_equal(bytes[0], 0x90);
    set = parsed(bytes, len);
    assert_int_equal(stasis_schema_set_count(set), 0);
    assert_null(stasis_schema_set_find(set, "x", 1));
    stasis_schema_set_free(set);
    stasis_records_free(records);
    free(bytes);
}

static char *json_of(const struct stasis_records *records)
{
    struct stasis_json json;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    stasis_json_init(&json, out);
    assert_int_equal(stasis_records_json(records, &json, NULL), 0);
    assert_int_equal(stasis_json_finish(&json), 0);
    fclose(out);
    return text;
}

/* What a program that does not know a type says of it is what one says that does, but for `known`.
 */
static void test_a_stranger_shows_it_alike(void **unused)
{
    const struct stasis_parse_opts tolerant = {.size = sizeof(tolerant), .tolerant = true};

    (void)unused;
    for (int version = 1; version <= TIMER_VERSIONS; version++) {
        struct stasis_records *ours = stasis_records_new(), *theirs = NULL;
        struct stasis_timer3_state state;
        struct stasis_schema_set *set;
        uint8_t *bytes, *schemas;
        size_t len, schemas_len;
        uint64_t seed = 5;
        char *left, *right, *known;

        random_state(&seed, timer_schemas[version - 1], &state);
        assert_int_equal(stasis_records_add(ours, timer_schemas[version - 1], "t", &state, NULL),
                         0);
        pack(ours, &schemas, &schemas_len);
        set = parsed(schemas, schemas_len);
        assert_int_equal(stasis_records_encode(ours, &bytes, &len, NULL), 0);
        assert_int_equal(stasis_records_parse(bytes, len, &tolerant, &theirs, NULL), 0);
        assert_null(stasis_records_at(theirs, 0).schema);
        assert_int_equal(stasis_records_use_embedded_schemas(theirs, set, NULL), 0);
        assert_true(stasis_records_at(theirs, 0).embedded);
        left = json_of(ours);
        right = json_of(theirs);
        known = strstr(right, "\"known\": false");
        assert_non_null(known);
        *known = '\0'; /* "false" there is "true" in the other */
        assert_memory_equal(left, right, (size_t)(known - right));
        assert_string_equal(left + (known - right) + strlen("\"known\": true"),
                            known + strlen("\"known\": false"));
        *known = '"';
        assert_non_null(strstr(right, version == 1 ? "period_us" : "period_ns"));
        free(left);
        free(right);
        free(bytes);
        free(schemas);
        stasis_records_free(ours);
        stasis_records_free(theirs);
        stasis_schema_set_free(set);
    }
}

/* A schema that lies about its record's bytes is not used. */
static void test_a_lie_is_not_believed(void **unused)
{
    static const uint8_t record[] = "\x91\x95\xa1x\xa1"
                                    "a\x01\x01\x81\x01\x05";
    static const uint8_t lie[] = "\x91\x94\xa1x\x01\xa0\x91\x99\x02\xa1"
                                 "f\x01\x01\x01\xcc\xff\x00\x00\xa0";
    struct stasis_schema_set *set = parsed(lie, sizeof(lie) - 1);
    struct stasis_records *records = NULL;

    (void)unused;
    assert_int_equal(stasis_records_parse(record, sizeof(record) - 1, NULL, &records, NULL), 0);
    assert_int_equal(stasis_records_use_embedded_schemas(records, set, NULL), 0);
    assert_null(stasis_records_at(records, 0).schema);
    assert_false(stasis_records_at(records, 0).embedded);
    stasis_records_free(records);
    stasis_schema_set_free(set);
}

/* Every cut and every flipped bit: refused, or a set that is whole. */
static void test_damage(void **unused)
{
    struct stasis_records *records = stasis_records_new();
    struct stasis_sample_state sample;
    unsigned refused = 0, taken = 0;
    uint8_t *bytes;
    size_t len;

    (void)unused;
    sample_fill(&sample);
    assert_int_equal(stasis_records_add(records, &stasis_sample_schema, "a", &sample, NULL), 0);
    pack(records, &bytes, &len);
    for (size_t cut = 0; cut < len; cut++) {
        struct stasis_schema_set *set = NULL;
        uint8_t *copy = malloc(cut ? cut : 1);

        memcpy(copy, bytes, cut);
        assert_int_equal(stasis_schema_set_parse(copy, cut, &set, NULL), STASIS_ERR_CORRUPT);
        assert_null(set);
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct stasis_schema_set *set = NULL;

        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (stasis_schema_set_parse(bytes, len, &set, NULL))
            refused++;
        else
            taken++; /* another letter, another number */
        stasis_schema_set_free(set);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(refused > len);
    assert_true(taken > 0);
    free(bytes);
    stasis_records_free(records);
}

#define FIELD(parts) "\x91\x94\xa1x\x01\xa0\x91" parts

static void test_refusals(void **unused)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *message;
    } cases[] = {
#define REFUSAL(bytes, message) {bytes, sizeof(bytes) - 1, message}
        REFUSAL("\xdc\xff\xff", "state 0: more elements than bytes left"),
        REFUSAL("\x91\x94\xa1X\x01\xa0\x90", "a state's name must be 1 to 32 of a-z 0-9 . _ -"),
        REFUSAL("\x92\x94\xa1x\x01\xa0\x90\x94\xa1x\x01\xa0\x90", "x is there twice"),
        REFUSAL(FIELD("\x99\x00\xa1"
                      "f\x01\x01\x01\x01\x00\x00\xa0"),
                "a field's id is 0, must be 1 to 65535"),
        REFUSAL(FIELD("\x99\x01\xa1"
                      " \x01\x01\x01\x01\x00\x00\xa0"),
                "a field's name must be letters, digits and _"),
        REFUSAL(FIELD("\x99\x01\xa1"
                      "f\x08\x01\x01\x01\x00\x00\xa0"),
                "a field's kind is 8, must be 1 to 7"),
        REFUSAL(FIELD("\x99\x01\xa1"
                      "f\xcf\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01\x01\x00\x00\xa0"),
                "a field's kind is 1099511627776, must be 1 to 7"),
        REFUSAL(FIELD("\x99\x01\xa1"
                      "f\x06\x00\x01\x00\x00\x01\xa0"),
                "a nested state is 1, must be 1 to 0"),
        REFUSAL(FIELD("\x99\x01\xa1"
                      "f\x03\x08\xce\x00\x40\x00\x00\x00\x00\x00\xa0"),
                "x would have more than 4194304 bytes"),
        REFUSAL(FIELD("\x99\x01\xa1"
                      "f\x03\x08\xce\x00\x40\x00\x01\x00\x00\x00\xa0"),
                "field f: maximum 4194305"),
        REFUSAL(FIELD("\x99\x01\xa1"
                      "f\x01\x01\x01\x01\x02\x00\xa0"),
                "field f: default 0x2 is none it can have"),
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_schema_set *set = NULL;
        struct stasis_error err = {0};

        assert_int_equal(
            stasis_schema_set_parse((const uint8_t *)cases[i].bytes, cases[i].len, &set, &err),
            STASIS_ERR_CORRUPT);
        if (!strstr(err.msg, cases[i].message))
            fail_msg("case %zu: %s", i, err.msg);
        assert_null(set);
    }
}

static void test_too_long(void **unused)
{
    uint8_t *bytes = calloc(1, STASIS_SCHEMA_SET_MAX + 1);
    struct stasis_schema_set *set = NULL;

    (void)unused;
    assert_int_equal(stasis_schema_set_parse(bytes, STASIS_SCHEMA_SET_MAX + 1, &set, NULL),
                     STASIS_ERR_CORRUPT);
    free(bytes);
}

/* What is added can be read by every tool: reader and writer have one bound. */
static void test_the_largest_state(void **unused)
{
    struct large {
        uint32_t count;
        uint8_t bytes[STASIS_SCHEMA_ROOM_MAX];
    };
    struct stasis_field field = {.id = 1,
                                 .name = "bytes",
                                 .doc = "",
                                 .kind = STASIS_KIND_BUF,
                                 .since = 1,
                                 .offset = offsetof(struct large, bytes),
                                 .elem_size = 1};
    const struct stasis_schema schema = {.type = "large",
                                         .version = 1,
                                         .doc = "",
                                         .fields = &field,
                                         .field_count = 1,
                                         .size = sizeof(struct large)};
    struct large *state = calloc(1, sizeof(*state));
    struct stasis_records *records = stasis_records_new();
    struct stasis_error err = {0};
    uint8_t *bytes;
    size_t len;

    (void)unused;
    field.max = STASIS_SCHEMA_ROOM_MAX;
    assert_int_equal(stasis_records_add(records, &schema, "a", state, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "schema large: takes more than 4 MiB"));
    field.max = STASIS_SCHEMA_ROOM_MAX - 8;
    assert_int_equal(stasis_records_add(records, &schema, "a", state, &err), 0);
    pack(records, &bytes, &len);
    stasis_schema_set_free(parsed(bytes, len));
    free(bytes);
    field.max = STASIS_SCHEMA_ROOM_MAX; /* of records that were parsed, not added */
    assert_int_equal(stasis_schema_set_encode(records, &bytes, &len, &err), STASIS_ERR_ARG);
    stasis_records_free(records);
    free(state);
}

static void assert_untouched(const uint8_t *room, size_t at, size_t end)
{
    for (; at < end; at++)
        if (room[at] != 0xa5)
            fail_msg("byte %zu was touched", at);
}

/* Of a record that the file's own schema describes, no more is touched than it says: 4096 records
 * of a few bytes may each claim 4 MiB. */
static void test_a_small_record_of_a_large_type(void **unused)
{
    struct large {
        uint32_t count;
        uint8_t bytes[STASIS_SCHEMA_ROOM_MAX / 2 - 8];
        char text[STASIS_SCHEMA_ROOM_MAX / 2];
    };
    const struct stasis_field fields[] = {{.id = 1,
                                           .name = "bytes",
                                           .doc = "",
                                           .kind = STASIS_KIND_BUF,
                                           .since = 1,
                                           .offset = offsetof(struct large, bytes),
                                           .elem_size = 1,
                                           .max = STASIS_SCHEMA_ROOM_MAX / 2 - 8},
                                          {.id = 2,
                                           .name = "text",
                                           .doc = "",
                                           .kind = STASIS_KIND_STR,
                                           .since = 1,
                                           .offset = offsetof(struct large, text),
                                           .elem_size = 1,
                                           .max = STASIS_SCHEMA_ROOM_MAX / 2 - 1,
                                           .default_str = ""}};
    const struct stasis_schema schema = {.type = "large",
                                         .version = 1,
                                         .doc = "",
                                         .optional = true,
                                         .fields = fields,
                                         .field_count = 2,
                                         .size = sizeof(struct large)};
    const struct stasis_parse_opts opts = {.size = sizeof(opts), .tolerant = true};
    struct large *state = calloc(1, sizeof(*state));
    struct stasis_records *records = stasis_records_new(), *read;
    struct stasis_schema_set *set;
    struct stasis_record record;
    uint8_t *bytes, *room;
    size_t len;

    (void)unused;
    state->count = 3;
    for (unsigned i = 0; i < 3; i++)
        state->bytes[i] = (uint8_t)("abc"[i]);
    snprintf(state->text, sizeof(state->text), "defg");
    assert_int_equal(stasis_records_add(records, &schema, "a", state, NULL), 0);
    pack(records, &bytes, &len);
    set = parsed(bytes, len);
    free(bytes);
    assert_int_equal(stasis_records_encode(records, &bytes, &len, NULL), 0);
    assert_int_equal(stasis_records_parse(bytes, len, &opts, &read, NULL), 0);
    free(bytes);
    assert_int_equal(stasis_records_use_embedded_schemas(read, set, NULL), 0);
    record = stasis_records_at(read, 0);
    assert_true(record.embedded);
    room = malloc(record.schema->size);
    memset(room, 0xa5, record.schema->size);
    assert_int_equal(stasis_records_get(read, record.schema, "a", room, NULL), 0);
    assert_int_equal(stasis_field_get_count(&record.schema->fields[0], room), 3);
    assert_memory_equal(room + record.schema->fields[0].offset, "abc", 3);
    assert_string_equal((char *)room + record.schema->fields[1].offset, "defg");
    assert_untouched(room, record.schema->fields[0].offset + 3, record.schema->fields[1].offset);
    assert_untouched(room, record.schema->fields[1].offset + 5, record.schema->size);
    free(room);
    free(state);
    stasis_records_free(read);
    stasis_records_free(records);
    stasis_schema_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_comes_back),
        cmocka_unit_test(test_no_records_no_schemas),
        cmocka_unit_test(test_a_stranger_shows_it_alike),
        cmocka_unit_test(test_a_lie_is_not_believed),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_the_largest_state),
        cmocka_unit_test(test_a_small_record_of_a_large_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
