/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Writers take what is at a limit of docs/snapshot-format.md, and refuse what is one beyond it:
 * those limits that no test of a part looks at.
 */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "stasis/bind.h"
#include "stasis/schema_set.h"
#include "stasis/snap.h"

/* Memory that is described, and never touched. */
static uint8_t page[STASIS_PAGE_SIZE];

static void assert_ram(uint64_t before, uint64_t gpa, uint64_t size, int code)
{
    struct stasis_snap *snap = stasis_snap_new(STASIS_ARCH_X86_64);
    struct stasis_error err = {0};

    assert_non_null(snap);
    if (before)
        assert_int_equal(stasis_snap_add_ram(snap, 0, page, before, &err), 0);
    assert_int_equal(stasis_snap_add_ram(snap, gpa, page, size, &err), code);
    if (code)
        assert_non_null(strstr(err.msg, "more than the format holds"));
    stasis_snap_free(snap);
}

static void ram_bytes_and_the_end_of_a_region(void **state)
{
    (void)state;
    assert_ram(0, 0, STASIS_RAM_MAX, 0);
    assert_ram(0, 0, STASIS_RAM_MAX + STASIS_PAGE_SIZE, STASIS_ERR_ARG);
    assert_ram(STASIS_RAM_MAX - STASIS_PAGE_SIZE, STASIS_RAM_MAX, STASIS_PAGE_SIZE, 0);
    assert_ram(STASIS_RAM_MAX - STASIS_PAGE_SIZE, STASIS_RAM_MAX, 2 * STASIS_PAGE_SIZE,
               STASIS_ERR_ARG);
    assert_ram(0, STASIS_GPA_MAX - STASIS_PAGE_SIZE, STASIS_PAGE_SIZE, 0);
    assert_ram(0, STASIS_GPA_MAX - STASIS_PAGE_SIZE, 2 * STASIS_PAGE_SIZE, STASIS_ERR_ARG);
    assert_ram(0, STASIS_GPA_MAX, STASIS_PAGE_SIZE, STASIS_ERR_ARG);
}

struct lamp {
    uint8_t level;
};

static const struct stasis_field lamp_fields[] = {
    STASIS_BIND_INT(struct lamp, level, 1, 1, 0, 1, "level"),
};

static void states_of_the_schema_section(void **state)
{
    static struct stasis_schema schemas[STASIS_SCHEMA_STATES_MAX + 1];
    static char names[STASIS_SCHEMA_STATES_MAX + 1][16];
    const struct lamp lamp = {1};
    struct stasis_records *set = stasis_records_new();
    struct stasis_schema_set *parsed = NULL;
    struct stasis_error err = {0};
    uint8_t *bytes = NULL;
    size_t len = 0;

    (void)state;
    for (unsigned i = 0; i <= STASIS_SCHEMA_STATES_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "l%04u", i);
        schemas[i] = (struct stasis_schema){.type = names[i],
                                            .version = 1,
                                            STASIS_BIND_FIELDS(struct lamp, lamp_fields),
                                            .doc = ""};
        if (i == STASIS_SCHEMA_STATES_MAX) {
            assert_int_equal(stasis_schema_set_encode(set, &bytes, &len, &err), 0);
            assert_int_equal(stasis_schema_set_parse(bytes, len, &parsed, &err), 0);
            assert_int_equal(stasis_schema_set_count(parsed), STASIS_SCHEMA_STATES_MAX);
            stasis_schema_set_free(parsed);
            free(bytes);
            bytes = NULL;
        }
        assert_int_equal(stasis_records_add(set, &schemas[i], "a", &lamp, &err), 0);
    }
    assert_int_equal(stasis_schema_set_encode(set, &bytes, &len, &err), STASIS_ERR_RANGE);
    assert_string_equal(err.msg, "more than 512 schemas");
    assert_null(bytes);
    stasis_records_free(set);
}

static void types_and_instances(void **state)
{
    static const char most[] = "a.name.of.thirty-two.characters.",
                      more[] = "a.name.of.thirty-three.characters";
    struct stasis_schema schema = {.type = most,
                                   .version = UINT16_MAX,
                                   STASIS_BIND_FIELDS(struct lamp, lamp_fields),
                                   .doc = ""};
    struct stasis_schema other;
    const struct lamp lamp = {1};
    struct stasis_records *set = stasis_records_new();

    (void)state;
    assert_int_equal(strlen(most), STASIS_TYPE_MAX);
    assert_int_equal(strlen(more), STASIS_TYPE_MAX + 1);
    assert_int_equal(stasis_records_add(set, &schema, most, &lamp, NULL), 0);
    assert_int_equal(stasis_records_at(set, 0).version, UINT16_MAX);
    assert_int_equal(stasis_records_add(set, &schema, more, &lamp, NULL), STASIS_ERR_RANGE);
    assert_int_equal(stasis_records_add(set, &schema, "", &lamp, NULL), STASIS_ERR_RANGE);
    schema.type = more;
    assert_int_equal(stasis_records_add(set, &schema, "a", &lamp, NULL), STASIS_ERR_RANGE);
    schema.type = "";
    assert_int_equal(stasis_records_add(set, &schema, "a", &lamp, NULL), STASIS_ERR_RANGE);
    other = schema; /* a schema is checked once */
    other.type = "lamp";
    other.version = 0;
    assert_int_equal(stasis_records_add(set, &other, "a", &lamp, NULL), STASIS_ERR_ARG);
    assert_int_equal(stasis_records_count(set), 1);
    stasis_records_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ram_bytes_and_the_end_of_a_region),
        cmocka_unit_test(states_of_the_schema_section),
        cmocka_unit_test(types_and_instances),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
