/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rules that need no release: which lists can be frozen at all.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unsound_lists_are_named, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(a_state_is_in_one_record, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(too_many_states_are_refused, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(names_of_releases_are_words, lock_setup, lock_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
