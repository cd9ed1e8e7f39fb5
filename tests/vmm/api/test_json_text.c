/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/json_text.h"

#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

static bool is_deep(size_t depth, const char *open)
{
    char text[128] = "";

    for (size_t i = 0; i < depth; i++)
        strcat(text, open);
    return stasis_json_text_is_deep(text, strlen(text));
}

static void depth_has_a_limit(void **state)
{
    (void)state;
    assert_false(is_deep(STASIS_JSON_TEXT_DEPTH_MAX, "["));
    assert_true(is_deep(STASIS_JSON_TEXT_DEPTH_MAX + 1, "["));
    assert_false(is_deep(STASIS_JSON_TEXT_DEPTH_MAX, "{"));
    assert_true(is_deep(STASIS_JSON_TEXT_DEPTH_MAX + 1, "{"));
    assert_false(is_deep(50, "[]"));
    assert_false(is_deep(50, "]"));
}

static void brackets_in_strings_do_not_count(void **state)
{
    static const char closed[] = "[\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[\", 1]";
    static const char open[] = "\"[[[[[[[[[[[[[[[[[[[[[[[[[[\\";

    (void)state;
    assert_false(stasis_json_text_is_deep(closed, sizeof(closed) - 1));
    assert_false(stasis_json_text_is_deep(open, sizeof(open) - 1));
}

static void paths_lead_to_the_member(void **state)
{
    static const struct {
        const char *text;
        const char *path;
    } cases[] = {
        {"{\"a\"", "a"},
        {"{\"a\": {\"b\": 1, \"c\"", "a.c"},
        {"{\"a\": [1, {\"x\": [0]}, {\"b\"", "a[2].b"},
        {"{\"a\": {\"b\": 1}, \"d\"", "d"},
        {"{\"a\": \"{[,\", \"d\"", "d"},
        {"{\"a\": [[], [\"x\", 1", "a[1][1]"},
        {"", ""},
        {"}]}", ""},
        {"{\"open", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char path[64];

        stasis_json_text_path(cases[i].text, strlen(cases[i].text), path, sizeof(path));
        assert_string_equal(path, cases[i].path);
    }
}

static void long_paths_are_cut(void **state)
{
    static const char text[] = "{\"aaaaaaaaaa\": {\"bbbbbbbbbb\": {\"cccccccccc\"";
    char path[16];

    (void)state;
    stasis_json_text_path(text, sizeof(text) - 1, path, sizeof(path));
    assert_string_equal(path, "aaaaaaaaaa.bbbb");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(brackets_in_strings_do_not_count),
        cmocka_unit_test(paths_lead_to_the_member),
        cmocka_unit_test(long_paths_are_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
