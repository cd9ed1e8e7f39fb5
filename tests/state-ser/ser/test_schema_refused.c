/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the writers of records and schemas refuse, so that every reader takes what they write.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "stasis/field.h"
#include "stasis/schema_set.h"
#include "stasis/state.h"

struct small {
    uint8_t value;
};

static struct stasis_field small_field;
static struct stasis_schema small_schema;

static int setup_small(void **unused)
{
    (void)unused;
    small_field = (struct stasis_field){.id = 1,
                                        .name = "value",
                                        .doc = "",
                                        .kind = STASIS_KIND_INT,
                                        .since = 1,
                                        .elem_size = 1,
                                        .max = 1,
                                        .mask = 0xff};
    small_schema = (struct stasis_schema){.type = "small",
                                          .version = 1,
                                          .doc = "",
                                          .fields = &small_field,
                                          .field_count = 1,
                                          .size = sizeof(struct small)};
    return 0;
}

/* Whoever adds a record, and whoever encodes one that was parsed, is refused. */
static void assert_not_written(const char *text)
{
    struct stasis_records *records = stasis_records_new();
    const struct small state = {0};
    struct stasis_error err = {0};
    uint8_t *bytes;
    size_t len;

    assert_int_equal(stasis_records_add(records, &small_schema, "a", &state, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, text))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, text);
    assert_int_equal(stasis_records_count(records), 0);
    setup_small(NULL);
    assert_int_equal(stasis_records_add(records, &small_schema, "a", &state, NULL), 0);
    small_schema.doc = NULL;
    assert_int_equal(stasis_schema_set_encode(records, &bytes, &len, &err), STASIS_ERR_ARG);
    setup_small(NULL);
    stasis_records_free(records);
}

static void test_writers_refuse_what_readers_refuse(void **unused)
{
    char name[STASIS_SCHEMA_NAME_MAX + 2], doc[STASIS_SCHEMA_DOC_MAX + 2];

    (void)unused;
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    memset(doc, 'd', sizeof(doc) - 1);
    doc[sizeof(doc) - 1] = '\0';
    small_field.name = name;
    assert_not_written("its name");
    small_field.name = "a value";
    assert_not_written("its name");
    small_field.doc = doc;
    assert_not_written("its doc");
    small_schema.doc = doc;
    assert_not_written("its doc");
    small_field.id = 2;
    assert_not_written("ids start at 1");
    small_field.kind = STASIS_KIND_STRUCT; /* without end */
    small_field.mask = 0;
    small_field.sub = &small_schema;
    assert_not_written("nested too deep");
    small_field.default_int = 0x100;
    assert_not_written("its default");
}

static size_t states_of(const struct stasis_records *records)
{
    struct stasis_schema_set *set;
    uint8_t *bytes;
    size_t len, count;

    assert_int_equal(stasis_schema_set_encode(records, &bytes, &len, NULL), 0);
    assert_int_equal(stasis_schema_set_parse(bytes, len, &set, NULL), 0);
    count = stasis_schema_set_count(set);
    assert_non_null(stasis_schema_set_find(set, "small", 1));
    stasis_schema_set_free(set);
    free(bytes);
    return count;
}

/* Two tables of one type, as of two translation units: the file describes the type once. */
static void test_a_type_is_described_once(void **unused)
{
    struct stasis_records *records = stasis_records_new();
    const struct stasis_schema copy = small_schema;
    const struct small state = {0};

    (void)unused;
    assert_int_equal(stasis_records_add(records, &small_schema, "a", &state, NULL), 0);
    assert_int_equal(stasis_records_add(records, &small_schema, "b", &state, NULL), 0);
    assert_int_equal(stasis_records_add(records, &copy, "c", &state, NULL), 0);
    assert_int_equal(states_of(records), 1);
    stasis_records_free(records);
}

/* Readers refuse a state that nests a record type, so the type is there twice. */
static void test_a_record_type_that_is_nested(void **unused)
{
    static const char *const types[] = {"a-holder", "the-holder"}; /* before and behind "small" */

    (void)unused;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct stasis_records *records = stasis_records_new();
        const struct small state = {0};
        struct stasis_field field = small_field;
        struct stasis_schema holder = small_schema;

        field.kind = STASIS_KIND_STRUCT;
        field.mask = 0;
        field.sub = &small_schema;
        holder.type = types[i];
        holder.fields = &field;
        assert_int_equal(stasis_records_add(records, &small_schema, "a", &state, NULL), 0);
        assert_int_equal(stasis_records_add(records, &holder, "a", &state, NULL), 0);
        assert_int_equal(states_of(records), 3);
        stasis_records_free(records);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_writers_refuse_what_readers_refuse, setup_small),
        cmocka_unit_test_setup(test_a_type_is_described_once, setup_small),
        cmocka_unit_test_setup(test_a_record_type_that_is_nested, setup_small),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
