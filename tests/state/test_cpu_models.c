/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/cpu_models.h"

static void models_are_found_by_name(void **state)
{
    size_t count;
    const struct stasis_cpu_model *all = stasis_cpu_model_all(&count);

    (void)state;
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(stasis_cpu_model_find(all[i].name), &all[i]);
        assert_true(all[i].doc[0] && all[i].since[0]);
    }
    assert_null(stasis_cpu_model_find("x86-64-v4"));
    assert_null(stasis_cpu_model_find(""));
    assert_string_equal(all[STASIS_CPU_HOST].name, "host"); /* as files name them */
    assert_string_equal(all[STASIS_CPU_BASELINE].name, "baseline");
    assert_string_equal(all[STASIS_CPU_V2].name, "x86-64-v2");
    assert_string_equal(all[STASIS_CPU_V3].name, "x86-64-v3");
    for (size_t i = 0; i < count; i++)
        assert_true(stasis_cpu_model_is_host(all[i].name) == (i == STASIS_CPU_HOST));
}

static void releases_lack_what_came_later(void **state)
{
    (void)state;
    assert_false(stasis_cpu_model_is_newer("host", "0.1.0"));
    assert_true(stasis_cpu_model_is_newer("x86-64-v2", "0.1.0"));
    assert_false(stasis_cpu_model_is_newer("x86-64-v2", "0.2.0"));
    assert_false(stasis_cpu_model_is_newer("x86-64-v2", "0.10.0"));
    assert_true(stasis_cpu_model_is_newer("host", "0.0.9"));
    assert_false(stasis_cpu_model_is_newer("acme", "0.0.9"));
    assert_false(stasis_cpu_model_is_newer("x86-64-v2", NULL));
}

static void names_make_a_list(void **state)
{
    char text[STASIS_CPU_MODEL_NAMES_SIZE], little[8];

    (void)state;
    stasis_cpu_model_names(NULL, text, sizeof(text));
    assert_string_equal(text, "host, baseline, x86-64-v2 or x86-64-v3");
    stasis_cpu_model_names("0.1.0", text, sizeof(text));
    assert_string_equal(text, "host or baseline");
    stasis_cpu_model_names(NULL, little, sizeof(little));
    assert_string_equal(little, "host, b");
    stasis_cpu_model_names("0.0.9", text, sizeof(text));
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_found_by_name),
        cmocka_unit_test(releases_lack_what_came_later),
        cmocka_unit_test(names_make_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
