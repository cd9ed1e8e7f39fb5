/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Numbers that files hold, written out: they never change.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/state.h"

static void numbers_are_those_in_files(void **state)
{
    (void)state;
    assert_int_equal(STASIS_BUS_PIO, 0);
    assert_int_equal(STASIS_BUS_MMIO, 1);
    assert_int_equal(STASIS_MP_STATE_RUNNABLE, 0);
    assert_int_equal(STASIS_MP_STATE_UNINITIALIZED, 1);
    assert_int_equal(STASIS_MP_STATE_INIT_RECEIVED, 2);
    assert_int_equal(STASIS_MP_STATE_HALTED, 3);
    assert_int_equal(STASIS_MP_STATE_SIPI_RECEIVED, 4);
}

static void sets_stand_together_and_ascend(void **state)
{
    size_t count;
    const struct stasis_enum_value *all = stasis_enum_all(&count);

    (void)state;
    assert_int_equal(count, 7);
    for (size_t i = 0; i < count; i++) {
        const struct stasis_schema *record = stasis_schema_find(all[i].set->record);

        assert_non_null(record);
        assert_true(all[i].since >= 1 && all[i].since <= record->version);
        assert_true(all[i].name[0] && all[i].doc[0] && all[i].set->doc[0]);
        assert_string_equal(stasis_enum_doc(all[i].set->name, all[i].number), all[i].doc);
        for (size_t j = 0; j < i; j++) {
            if (!strcmp(all[j].set->name, all[i].set->name))
                assert_true(all[i - 1].set == all[i].set && all[j].number < all[i].number);
        }
    }
}

static void numbers_without_a_name_have_none(void **state)
{
    (void)state;
    assert_string_equal(stasis_enum_doc("MP_STATE", 4), "SIPI received");
    assert_null(stasis_enum_doc("MP_STATE", 5));
    assert_null(stasis_enum_doc("BUS", 2));
    assert_null(stasis_enum_doc("MP", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_in_files),
        cmocka_unit_test(sets_stand_together_and_ascend),
        cmocka_unit_test(numbers_without_a_name_have_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
