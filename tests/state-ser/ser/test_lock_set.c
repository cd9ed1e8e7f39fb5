/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules that need no release: which lists can be frozen at all.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "gauge.h"
#include "lock_rig.h"

static void assert_unsound(const char *words)
{
    FILE *out = fopen("/dev/null", "w");

    assert_non_null(out);
    assert_int_equal(stasis_lock_check_set(&now.set, &err), STASIS_ERR_ARG);
    if (!strstr(err.msg, words))
        fail_msg("wanted \"%s\", got \"%s\"", words, err.msg);
    assert_int_equal(stasis_lock_write(&now.set, "1.2.3", out, &err), STASIS_ERR_ARG);
    fclose(out);
    lock_fill(&now);
}

static void unsound_lists_are_named(void **state)
{
    char name[65] = "";

    (void)state;
    assert_int_equal(stasis_lock_check_set(&now.set, &err), 0);
    now.fields[3].since = 4;
    assert_unsound("own.record.d: since version 4, but own.record has version 3; raise that");
    now.fields[3].since = 0;
    assert_unsound("own.record.d: since version 0");
    now.part_fields[0].since = 4; /* a nested state counts the versions of its record */
    assert_unsound("part.p: since version 4, but own.record has version 3");
    now.fields[2].until = 4;
    assert_unsound("own.record.c: gone from version 4");
    now.fields[2].until = 1;
    assert_unsound("own.record.c: gone from version 1");
    now.fields[1].id = 3;
    assert_unsound("own.record: row 2 has id 3 and the name \"b\"");
    now.fields[1].name = "b c";
    assert_unsound("own.record: row 2 has id 2 and the name \"b c\"");
    memset(name, 'x', 64);
    now.record.type = name;
    assert_unsound("is not a word of at most 63 bytes");
    now.old_bounds[0].before = 4;
    assert_unsound("own.record: STASIS_OLD_BOUND(4, 2, ...), but own.record has version 3");
    now.old_bounds[0].before = 1;
    assert_unsound("own.record: STASIS_OLD_BOUND(1, 2, ...)");
    now.old_bounds[0].id = 5;
    assert_unsound("own.record: STASIS_OLD_BOUND names the unknown id 5");
    now.migrations[1].to = 3;
    assert_unsound("own.record: a migration to version 3 follows version 3");
    now.migrations[0].to = 4;
    assert_unsound("own.record: a migration to version 4");
    now.values[1].since = 4;
    assert_unsound("COLOR BLUE: own.record has no version 4");
    now.color.record = "own.other";
    assert_unsound("COLOR RED: own.other has no version 1");
    now.values[1].number = 1;
    assert_unsound("COLOR BLUE: the values of a set ascend");
    now.values[1].name = "RED";
    assert_unsound("COLOR RED: the values of a set ascend");
    now.set.size--;
    assert_int_equal(lock_compare(frozen), STASIS_ERR_ARG);
    assert_unsound("the lock set has another size than this library's");
}

static void a_state_is_in_one_record(void **state)
{
    struct stasis_schema other = now.record;

    (void)state;
    other.type = "own.other";
    now.schemas[1] = &other;
    now.set.schema_count = 2;
    assert_unsound("part is in own.record and in own.other");
    other.field_count = 3;
    now.schemas[1] = &other;
    now.set.schema_count = 2;
    assert_int_equal(stasis_lock_check_set(&now.set, &err), 0);
    other.type = "own.record";
    assert_unsound("own.record is in own.record and in own.record");
}

static void too_many_states_are_refused(void **state)
{
    struct stasis_schema *parts = calloc(64, sizeof(*parts));
    static struct stasis_field fields[64];
    static char names[64][8];

    (void)state;
    assert_non_null(parts);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(names[i], sizeof(names[i]), "p%u", i);
        parts[i] = now.part;
        parts[i].type = names[i];
        fields[i] = now.fields[3];
        fields[i].id = (uint16_t)(i + 1);
        fields[i].sub = &parts[i];
        fields[i].name = names[i];
    }
    now.record.fields = fields;
    now.record.history = NULL;
    now.record.field_count = 63;
    assert_int_equal(stasis_lock_check_set(&now.set, &err), 0);
    now.record.field_count = 64;
    assert_unsound("own.record: more than 64 states in one record");
    free(parts);
}

static void names_of_releases_are_words(void **state)
{
    FILE *out = fopen("/dev/null", "w");

    (void)state;
    assert_non_null(out);
    assert_int_equal(stasis_lock_write(&now.set, "", out, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_lock_write(&now.set, "1 2", out, &err), STASIS_ERR_ARG);
    assert_int_equal(stasis_lock_write(&now.set, "12345678901234567890123456789012", out, &err),
                     STASIS_ERR_ARG);
    fclose(out);
}

static void change_cells(struct gauge *gauge, bool far, int16_t from, int16_t to)
{
    for (int i = 0; i < 4; i++)
        if (gauge->cells[i / 2][i % 2].at == from)
            gauge->cells[i / 2][i % 2].at = to;
    for (int i = 0; far && i < gauge->far_count; i++)
        if (gauge->far[i].at == from)
            gauge->far[i].at = to;
}

static void up(void *state)
{
    change_cells(state, true, -2, -1);
}

static void down(void *state)
{
    change_cells(state, true, -1, -2);
}

static void up_without_far(void *state)
{
    change_cells(state, false, -2, -1);
}

/* Arrays of states have no count, lists that are pointers have; the default of a field changes in
 * all of them. */
static void defaults_change_in_bound_records(void **state)
{
    static const char cell[] = "field 1 at kind=int size=2 signed=1 since=1 until=0 max=1 "
                               "mask=0xffffffffffffffff sub=- default=0xffffffffffffffff\n";
    struct stasis_migration migrations[] = {{3, up, down}, {0}};
    const struct stasis_schema *schemas[] = {&gauge_schema};
    struct stasis_schema later = gauge_schema;
    char *text, *at;

    (void)state;
    now.set =
        (struct stasis_lock_set){.size = sizeof(now.set), .schemas = schemas, .schema_count = 1};
    text = lock_freeze(&now.set);
    assert_non_null(strstr(text, "\nfield 8 cells kind=states "));
    assert_non_null(strstr(text, "\nfield 11 far kind=list "));
    assert_int_equal(lock_compare(text), 0);
    assert_string_equal(said, "");
    at = strstr(text, cell);
    assert_non_null(at);
    at[sizeof(cell) - 3] = 'e'; /* it was -2 */
    assert_int_equal(lock_compare(text), STASIS_ERR_VERSION);
    assert_non_null(strstr(said, "raise the version of test.gauge above 2"));
    later.version = 3;
    later.migrations = migrations;
    schemas[0] = &later;
    assert_int_equal(lock_compare(text), 0);
    assert_non_null(strstr(said, "test.gauge/gauge_cell.at defaulted to"));
    migrations[0].up = up_without_far;
    assert_int_equal(lock_compare(text), STASIS_ERR_VERSION);
    assert_int_equal(result.refused, 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unsound_lists_are_named, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(a_state_is_in_one_record, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(too_many_states_are_refused, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(defaults_change_in_bound_records, lock_setup,
                                        lock_teardown),
        cmocka_unit_test_setup_teardown(names_of_releases_are_words, lock_setup, lock_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
