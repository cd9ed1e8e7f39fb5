/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Schemas that travel with records of an older version than the program's.
 */
#include "support/cmocka_all.h"

#include <stddef.h>
#include <stdlib.h>

#include "stasis/schema_set.h"
#include "stasis/ser.h"

/* Version 2 has a wider mask, a longer string, and defaults that need them. */
struct grown {
    uint8_t flags;
    char label[9];
};

static const struct stasis_field grown_fields[] = {
    {.id = 1,
     .name = "flags",
     .doc = "",
     .kind = STASIS_KIND_INT,
     .since = 1,
     .elem_size = 1,
     .max = 1,
     .mask = 7,
     .default_int = 4},
    {.id = 2,
     .name = "label",
     .doc = "",
     .kind = STASIS_KIND_STR,
     .since = 1,
     .offset = offsetof(struct grown, label),
     .elem_size = 1,
     .max = 8,
     .default_str = "default"},
};

static const struct stasis_old_bound grown_history[] = {{2, 1, 3}, {2, 2, 4}, {0}};
static const struct stasis_migration grown_migrations[] = {{.to = 2}, {0}};
static const struct stasis_schema grown = {.type = "grown",
                                           .version = 2,
                                           .size = sizeof(struct grown),
                                           .fields = grown_fields,
                                           .field_count = 2,
                                           .history = grown_history,
                                           .migrations = grown_migrations,
                                           .doc = ""};

/* A file of version 1, saved again by a program that knows version 2. */
static struct stasis_records *grown_at(uint16_t version)
{
    const struct stasis_schema *known = &grown;
    const struct stasis_parse_opts opts = {
        .size = sizeof(opts), .schemas = &known, .schema_count = 1};
    struct stasis_field fields[2] = {grown_fields[0], grown_fields[1]};
    struct stasis_schema then = grown;
    struct stasis_records *made = stasis_records_new(), *ret;
    const struct grown state = {1, "abcd"};
    uint8_t *bytes;
    size_t len;

    then.version = version;
    if (version == 1) {
        fields[0].mask = 3;
        fields[0].default_int = 0;
        fields[1].max = 4;
        fields[1].default_str = "";
        then.fields = fields;
        then.history = NULL;
        then.migrations = NULL;
    }
    assert_int_equal(stasis_records_add(made, &then, "a", &state, NULL), 0);
    assert_int_equal(stasis_records_encode(made, &bytes, &len, NULL), 0);
    assert_int_equal(stasis_records_parse(bytes, len, &opts, &ret, NULL), 0);
    stasis_records_free(made);
    free(bytes);
    return ret;
}

static void test_an_older_version_has_no_default_beyond_its_bound(void **unused)
{
    (void)unused;
    assert_int_equal(stasis_schema_check(&grown, NULL), 0);
    for (uint16_t version = 1; version <= 2; version++) {
        struct stasis_records *records = grown_at(version);
        const struct stasis_schema *described;
        struct stasis_schema_set *set;
        struct stasis_error err = {0};
        uint8_t *bytes;
        size_t len;

        assert_int_equal(stasis_schema_set_encode(records, &bytes, &len, NULL), 0);
        if (stasis_schema_set_parse(bytes, len, &set, &err))
            fail_msg("version %u: %s", version, err.msg);
        described = stasis_schema_set_find(set, "grown", version);
        assert_non_null(described);
        assert_int_equal(described->fields[0].mask, version == 1 ? 3 : 7);
        assert_int_equal(described->fields[0].default_int, version == 1 ? 0 : 4);
        assert_int_equal(described->fields[1].max, version == 1 ? 4 : 8);
        assert_string_equal(described->fields[1].default_str, version == 1 ? "" : "default");
        stasis_schema_set_free(set);
        stasis_records_free(records);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_older_version_has_no_default_beyond_its_bound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
