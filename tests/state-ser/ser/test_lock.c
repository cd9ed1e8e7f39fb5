/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Frozen states against those of now: what a release forbids to change.
 */
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "lock_rig.h"
#include "sample.h"

/* The set of `now` is refused against what was frozen, in these words. */
static void assert_refused(const char *words)
{
    int rc = lock_compare(frozen);

    if (rc != STASIS_ERR_VERSION || !strstr(said, words))
        fail_msg("%d, wanted \"%s\", got:\n%s", rc, words, said);
    assert_true(result.refused > 0);
}

static void text_is_as_documented(void **state)
{
    (void)state;
    assert_string_equal(
        frozen,
        "format 1\n"
        "release 1.2.3\n"
        "\n"
        "record own.record version=3 optional=0\n"
        "step to=3\n"
        "field 1 a kind=int size=4 signed=0 since=1 until=0 max=1 mask=0xff sub=- default=0x0\n"
        "field 2 b kind=bytes size=2 signed=0 since=1 until=0 max=8 mask=0x0 sub=- default=\n"
        "field 3 c kind=string size=1 signed=0 since=1 until=3 max=9 mask=0x0 sub=- "
        "default=two words\n"
        "field 4 d kind=list size=0 signed=0 since=2 until=0 max=3 mask=0x0 sub=part default=\n"
        "was id=2 before=2 bound=0x4\n"
        "nested part\n"
        "field 1 p kind=int size=1 signed=0 since=1 until=0 max=1 mask=0x1 sub=- default=0x0\n"
        "\n"
        "enum COLOR record=own.record version=3\n"
        "value RED number=1 since=1\n"
        "value BLUE number=2 since=3\n"
        "\n"
        "end\n");
}

static void all_steps_are_frozen_in_order(void **state)
{
    char *text;

    (void)state;
    now.record.version = 5;
    now.migrations[1].to = 4;
    now.migrations[2].to = 5;
    text = lock_freeze(&now.set);
    assert_non_null(strstr(text, "optional=0\nstep to=3\nstep to=4\nstep to=5\nfield 1 a "));
    free(text);
}

static void unchanged_schemas_have_no_differences(void **state)
{
    (void)state;
    assert_int_equal(lock_compare(frozen), 0);
    assert_string_equal(said, "");
    assert_string_equal(result.release, "1.2.3");
    assert_int_equal(result.records, 1);
    assert_int_equal(result.nested, 1);
    assert_int_equal(result.fields, 5);
    assert_int_equal(result.values, 2);
    assert_int_equal(result.allowed, 0);
    assert_int_equal(result.refused, 0);
    assert_int_equal(stasis_lock_check(&now.set, frozen, strlen(frozen), NULL, NULL, &result, NULL),
                     0);
}

static void every_kind_of_field_comes_back(void **state)
{
    const struct stasis_schema *schemas[] = {&stasis_sample_schema};
    char *text;

    (void)state;
    now.set =
        (struct stasis_lock_set){.size = sizeof(now.set), .schemas = schemas, .schema_count = 1};
    text = lock_freeze(&now.set);
    assert_int_equal(lock_compare(text), 0);
    assert_string_equal(said, "");
    assert_int_equal(result.fields, 11);
    free(text);
}

static void the_past_does_not_change(void **state)
{
    (void)state;
    now.record.version = 4; /* a new version excuses none of these */
    now.old_bounds[0].bound = 6;
    assert_refused("own.record has lost the row STASIS_OLD_BOUND(2, 2, ..., 0x4): breaking");
    now.old_bounds[0] = (struct stasis_old_bound){0};
    assert_refused("own.record has lost the row STASIS_OLD_BOUND(2, 2, ..., 0x4): breaking");
    now.old_bounds[0] = (struct stasis_old_bound){.before = 2, .id = 2, .bound = 4};
    now.old_bounds[1] = (struct stasis_old_bound){.before = 3, .id = 1, .bound = 1};
    assert_refused(
        "own.record has 2 rows STASIS_OLD_BOUND about released versions, had 1: breaking");
    now.old_bounds[1] = (struct stasis_old_bound){.before = 4, .id = 1, .bound = 1};
    assert_refused("own.record.a had mask 0xff, which STASIS_OLD_BOUND calls 0x1: breaking");
    now.old_bounds[1] = (struct stasis_old_bound){0};
    now.fields[2].until = 0;
    assert_refused("own.record.c was gone from version 3, now from 0 (0: never): breaking");
    now.fields[2].until = 2;
    assert_refused("own.record.c was gone from version 3, now from 2 (0: never): breaking");
    now.fields[2].until = 4;
    now.migrations[1].to = 4;
    assert_refused("own.record.c was gone from version 3, now from 4 (0: never): breaking");
    now.migrations[1].to = 0;
    now.fields[2].until = 3;
    now.fields[0].mask = 0x1f0; /* larger, and less */
    assert_refused("own.record.a had mask 0xff, has 0x1f0: breaking");
    now.fields[0].mask = 0xff;
    now.fields[0].until = 3;
    assert_refused("own.record.a was gone from version 0, now from 3 (0: never): breaking");
    now.fields[0].until = 0;
    now.fields[3].since = 3;
    assert_refused("own.record.d (id 4) came with version 2, now with 3 and as d: breaking");
    now.fields[3].since = 2;
    assert_int_equal(lock_compare(frozen), 0);
}

static void steps_to_released_versions_stay(void **state)
{
    (void)state;
    now.record.version = 4;
    now.migrations[0].to = 4;
    assert_refused("own.record has lost its migration to version 3: breaking");
    now.migrations[0].to = 2;
    now.migrations[1].to = 3;
    assert_refused("own.record has 2 migrations to released versions, had 1: breaking");
    now.migrations[0].to = 3;
    now.migrations[1].to = 4;
    assert_int_equal(lock_compare(frozen), 0);
}

static void a_step_is_to_the_version_that_needs_it(void **state)
{
    (void)state;
    now.record.version = 5;
    now.fields[0].until = 5;
    now.migrations[1].to = 4;
    assert_refused("own.record.a is gone from version 5: needs-migration: register a migration");
    now.migrations[2].to = 5;
    assert_int_equal(lock_compare(frozen), 0);
    assert_non_null(strstr(said, "allowed 1.2.3: own.record.a is gone from version 5: needs-mig"));
}

/* ---- defaults ---- */

#define NO_MIGRATION                                                                               \
    "needs-migration: register a migration that makes the new default of the old one, and back"

static void a_0_to_2(void *state)
{
    struct lock_state *own = state;

    own->a = own->a ? own->a : 2;
}

static void a_2_to_5(void *state)
{
    struct lock_state *own = state;

    own->a = own->a == 2 ? 5 : own->a;
}

static void a_5_to_2(void *state)
{
    struct lock_state *own = state;

    own->a = own->a == 5 ? 2 : own->a;
}

static void a_2_to_0(void *state)
{
    struct lock_state *own = state;

    own->a = own->a == 2 ? 0 : own->a;
}

/* Of the part that is there, whatever it holds. */
static void p_turned(void *state)
{
    struct lock_state *own = state;

    for (uint32_t i = 0; i < own->d_count; i++)
        own->d[i].p = !own->d[i].p;
}

static void c_short(void *state)
{
    struct lock_state *own = state;

    if (!strcmp(own->c, "two words"))
        memcpy(own->c, "one", sizeof("one"));
}

static void c_long(void *state)
{
    struct lock_state *own = state;

    if (!strcmp(own->c, "one"))
        memcpy(own->c, "two words", sizeof("two words"));
}

static void a_new_default_needs_a_migration_of_its_field(void **state)
{
    (void)state;
    now.record.version = 4;
    now.fields[0].default_int = 2;
    assert_refused("own.record.a defaulted to \"0x0\", now to \"0x2\": " NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){.to = 4};
    assert_refused(NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){4, p_turned, p_turned};
    assert_refused(NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){4, a_0_to_2, NULL};
    assert_refused(NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){4, NULL, a_2_to_0};
    assert_refused(NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){4, a_2_to_0, a_0_to_2};
    assert_refused(NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){4, a_0_to_2, a_2_to_0};
    assert_int_equal(lock_compare(frozen), 0);
    assert_string_equal(said, "allowed 1.2.3: own.record.a defaulted to \"0x0\", now to \"0x2\": "
                              "needs-migration\n");
    now.record.doc = NULL; /* a table that is none is not tried */
    assert_refused(NO_MIGRATION);
}

static void migrations_to_released_versions_convert_no_default(void **state)
{
    (void)state;
    now.record.version = 4;
    now.fields[0].default_int = 2;
    now.migrations[0] = (struct stasis_migration){3, a_0_to_2, a_2_to_0};
    assert_refused("own.record.a defaulted to \"0x0\", now to \"0x2\": " NO_MIGRATION);
}

static void a_default_may_change_by_several_migrations(void **state)
{
    (void)state;
    now.record.version = 5;
    now.fields[0].default_int = 5;
    now.migrations[1] = (struct stasis_migration){4, a_0_to_2, a_2_to_0};
    assert_refused("own.record.a defaulted to \"0x0\", now to \"0x5\": " NO_MIGRATION);
    now.migrations[2] = (struct stasis_migration){5, a_2_to_5, a_5_to_2};
    assert_int_equal(lock_compare(frozen), 0);
}

static void defaults_of_nested_states_are_converted_too(void **state)
{
    (void)state;
    now.record.version = 4;
    now.part_fields[0].default_int = 1;
    now.migrations[1] = (struct stasis_migration){4, a_0_to_2, a_2_to_0};
    assert_refused("own.record/part.p defaulted to \"0x0\", now to \"0x1\": " NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){4, p_turned, p_turned};
    assert_int_equal(lock_compare(frozen), 0);
}

static void defaults_of_strings_are_converted_too(void **state)
{
    (void)state;
    free(frozen);
    now.fields[2].until = 0;
    frozen = lock_freeze(&now.set);
    now.record.version = 4;
    now.fields[2].default_str = "one";
    now.migrations[1] = (struct stasis_migration){4, c_short, NULL};
    assert_refused("own.record.c defaulted to \"two words\", now to \"one\": " NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){4, c_short, c_long};
    assert_int_equal(lock_compare(frozen), 0);
    now.fields[2].max = 8; /* the old default does not even fit */
    assert_refused("own.record.c defaulted to \"two words\", now to \"one\": " NO_MIGRATION);
}

static void the_first_field_may_be_nested(void **state)
{
    (void)state;
    free(frozen);
    now.fields[3].id = 1;
    now.record.fields = &now.fields[3];
    now.record.field_count = 1;
    now.record.history = NULL;
    frozen = lock_freeze(&now.set);
    now.record.version = 4;
    now.part_fields[0].default_int = 1;
    now.migrations[1] = (struct stasis_migration){4, a_0_to_2, a_2_to_0};
    assert_refused("own.record/part.p defaulted to \"0x0\", now to \"0x1\": " NO_MIGRATION);
    now.migrations[1] = (struct stasis_migration){4, p_turned, p_turned};
    assert_int_equal(lock_compare(frozen), 0);
}

static void the_shape_of_a_field_stays(void **state)
{
    (void)state;
    now.record.version = 4;
    now.fields[0].elem_size = 8;
    assert_refused(
        "own.record.a was kind=int size=4 signed=0 count=1 sub=-, "
        "is kind=int size=8 signed=0 count=1 sub=-: breaking: give the row back its type");
    now.fields[0].elem_size = 4;
    now.fields[0].kind = STASIS_KIND_INTS;
    now.fields[0].max = 3;
    assert_refused("own.record.a was kind=int size=4 signed=0 count=1 sub=-, "
                   "is kind=ints size=4 signed=0 count=3 sub=-: breaking");
    now.fields[0].kind = STASIS_KIND_INT;
    now.fields[0].max = 1;
    now.part.type = "other";
    assert_refused("own.record.d was kind=list size=0 signed=0 count=1 sub=part, "
                   "is kind=list size=0 signed=0 count=1 sub=other: breaking");
}

static void names_keep_their_ids(void **state)
{
    (void)state;
    now.record.version = 4;
    now.fields[0].name = "b";
    now.fields[1].name = "a";
    assert_refused("own.record.a had id 1, has 2: breaking: rows keep their ids and their order");
    assert_non_null(strstr(said, "own.record.b had id 2, has 1: breaking"));
}

static void a_mask_that_grows_needs_a_row(void **state)
{
    (void)state;
    now.record.version = 4;
    now.fields[0].mask = 0x1ff;
    assert_refused("own.record.a had mask 0xff, has 0x1ff: compatible: add a row STASIS_OLD_BOUND");
    now.old_bounds[1] = (struct stasis_old_bound){.before = 4, .id = 1, .bound = 0xff};
    assert_int_equal(lock_compare(frozen), 0);
    assert_string_equal(said, "allowed 1.2.3: own.record.a had mask 0xff, has 0x1ff: compatible\n");
}

static void rows_stay_and_may_be_renamed(void **state)
{
    (void)state;
    now.record.version = 4;
    now.fields[0].name = "z";
    assert_int_equal(lock_compare(frozen), 0);
    assert_string_equal(said, "allowed 1.2.3: own.record.a (id 1) is named z: compatible\n");
    now.record.field_count = 3;
    assert_refused("own.record.d is gone: breaking: put the row back");
}

static void versions_only_rise(void **state)
{
    (void)state;
    now.record.version = 2;
    assert_refused("own.record had version 3, has 2: breaking: versions only rise");
    now.record.version = 3;
    now.record.optional = true;
    assert_refused("own.record was mandatory, is optional: breaking");
    now.set.schema_count = 0;
    assert_refused("own.record is gone: breaking");
    assert_int_equal(result.fields, 5); /* walked all the same */
}

static void named_numbers_stay(void **state)
{
    (void)state;
    now.record.version = 4;
    now.values[1].since = 2;
    assert_refused("own.record/COLOR.BLUE came with version 3, now with 2: breaking");
    now.values[1].since = 3;
    now.values[2] = (struct stasis_enum_value){&now.color, "GREEN", 3, 3, "green"};
    now.set.value_count = 3;
    assert_refused("own.record/COLOR has 3 values in released versions, had 2: compatible: give");
    now.values[2].since = 4;
    assert_int_equal(lock_compare(frozen), 0);
    now.values[0].number = 7;
    assert_refused("own.record/COLOR.RED was 1, is 7: breaking: files hold the old number");
    now.values[0].name = "ROSE";
    assert_refused("own.record/COLOR.RED (1) is gone: breaking: files hold it");
    now.values[0].name = "RED";
    now.values[0].number = 1;
    now.values[1].name = "AZURE";
    assert_int_equal(lock_compare(frozen), 0);
    assert_non_null(strstr(said, "COLOR.BLUE (2) is named AZURE: compatible\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_is_as_documented, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(unchanged_schemas_have_no_differences, lock_setup,
                                        lock_teardown),
        cmocka_unit_test_setup_teardown(every_kind_of_field_comes_back, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(the_first_field_may_be_nested, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(names_keep_their_ids, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(all_steps_are_frozen_in_order, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(a_mask_that_grows_needs_a_row, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(rows_stay_and_may_be_renamed, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(the_shape_of_a_field_stays, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(the_past_does_not_change, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(steps_to_released_versions_stay, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(a_step_is_to_the_version_that_needs_it, lock_setup,
                                        lock_teardown),
        cmocka_unit_test_setup_teardown(a_new_default_needs_a_migration_of_its_field, lock_setup,
                                        lock_teardown),
        cmocka_unit_test_setup_teardown(migrations_to_released_versions_convert_no_default,
                                        lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(a_default_may_change_by_several_migrations, lock_setup,
                                        lock_teardown),
        cmocka_unit_test_setup_teardown(defaults_of_nested_states_are_converted_too, lock_setup,
                                        lock_teardown),
        cmocka_unit_test_setup_teardown(defaults_of_strings_are_converted_too, lock_setup,
                                        lock_teardown),
        cmocka_unit_test_setup_teardown(versions_only_rise, lock_setup, lock_teardown),
        cmocka_unit_test_setup_teardown(named_numbers_stay, lock_setup, lock_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
