/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdlib.h>

#include "sample.h"
#include "stasis/ser.h"

static char *show(const struct stasis_records *set)
{
    struct stasis_error err = {0};
    struct stasis_json json;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    stasis_json_init(&json, out);
    assert_int_equal(stasis_records_json(set, &json, &err), 0);
    assert_int_equal(stasis_json_finish(&json), 0);
    fclose(out);
    return text;
}

#define X32 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* clang-format off */
static void test_known_record(void **unused)
{
    static const char want[] =
        "[\n"
        "  {\n"
        "    \"type\": \"test.sample\",\n"
        "    \"instance\": \"a\",\n"
        "    \"version\": 2,\n"
        "    \"optional\": true,\n"
        "    \"known\": true,\n"
        "    \"state\": {\n"
        "      \"small\": 255,\n"
        "      \"offset\": -129,\n"
        "      \"added\": 65536,\n"
        "      \"table\": [\n        0,\n        127,\n        128\n      ],\n"
        "      \"raw\": \"0a0b\",\n"
        "      \"regs\": [\n        \"01020304\",\n        \"05060708\"\n      ],\n"
        "      \"label\": \"" X32 "\",\n"
        "      \"part\": {\n"
        "        \"value\": 18446744073709551615,\n        \"note\": \"\"\n      },\n"
        "      \"parts\": [\n"
        "        {\n          \"value\": 0,\n          \"note\": \"one\"\n        },\n"
        "        {\n          \"value\": 256,\n          \"note\": \"four\"\n        }\n"
        "      ]\n"
        "    }\n"
        "  }\n"
        "]\n";
    struct stasis_records *set = stasis_records_new();
    struct stasis_sample_state state;
    char *text;

    (void)unused;
    sample_fill(&state);
    assert_int_equal(stasis_records_add(set, &stasis_sample_schema, "a", &state, NULL), 0);
    text = show(set);
    assert_string_equal(text, want);
    free(text);
    stasis_records_free(set);
}

static void test_unknown_record(void **unused)
{
    static const char want[] =
        "[\n"
        "  {\n"
        "    \"type\": \"test.sample\",\n"
        "    \"instance\": \"a\",\n"
        "    \"version\": 2,\n"
        "    \"optional\": true,\n"
        "    \"known\": false,\n"
        "    \"state\": {\n"
        "      \"1\": 255,\n"
        "      \"2\": -129,\n"
        "      \"3\": 65536,\n"
        "      \"4\": [\n        0,\n        127,\n        128\n      ],\n"
        "      \"5\": \"0a0b\",\n"
        "      \"6\": \"0102030405060708\",\n"
        "      \"7\": \"" X32 "\",\n"
        "      \"8\": {\n"
        "        \"1\": 18446744073709551615,\n        \"2\": \"\"\n      },\n"
        "      \"9\": [\n"
        "        {\n          \"1\": 0,\n          \"2\": \"one\"\n        },\n"
        "        {\n          \"1\": 256,\n          \"2\": \"four\"\n        }\n"
        "      ]\n"
        "    }\n"
        "  }\n"
        "]\n";
    struct stasis_records *set;
    char *text;

    (void)unused;
    assert_int_equal(stasis_records_parse(sample_section, sample_section_len, NULL, &set, NULL), 0);
    text = show(set);
    assert_string_equal(text, want);
    free(text);
    stasis_records_free(set);
}
/* clang-format on */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_record),
        cmocka_unit_test(test_unknown_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
