/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "stasis/ser.h"
#include "timer.h"

static char *markdown(void)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    stasis_schema_markdown(out);
    fclose(out);
    return text;
}

static size_t count(const char *text, const char *what)
{
    size_t found = 0;

    while ((text = strstr(text, what))) {
        text += strlen(what);
        found++;
    }
    return found;
}

static void test_one_table(void **unused)
{
    char *text = markdown();

    (void)unused;
    assert_non_null(strstr(text, "### `x86.debugregs`: debug registers\n"
                                 "\n"
                                 "Version 1, mandatory.\n"
                                 "\n"
                                 "| id | field | type | since | default | mask | meaning |\n"
                                 "| --- | --- | --- | --- | --- | --- | --- |\n"
                                 "| 1 | `db` | array of 4 uint64 | 1 |  |  | DR0-DR3 |\n"
                                 "| 2 | `dr6` | uint64 | 1 | 0xffff0ff0 |  | DR6 |\n"
                                 "| 3 | `dr7` | uint64 | 1 | 0x400 |  | DR7 |\n"));
    assert_non_null(strstr(text, "| `cpu_model` | string, at most 32 | 1 | \"host\" |  | "));
    assert_non_null(strstr(text, "| `xmm` | bytes, at most 256, registers of 16 | 1 |  |  | "));
    assert_non_null(strstr(text, "| `msrs` | list of x86_msr, at most 512 | 1 |  |  | "));
    assert_non_null(strstr(text, "| `priority_add` | uint8 | 1 | 0 | 0x7 | "));
    free(text);
}

static void test_every_state_once(void **unused)
{
    const struct stasis_schema *const *all;
    char *text = markdown(), line[128];
    size_t records;

    (void)unused;
    all = stasis_schema_all(&records);
    for (size_t i = 0; i < records; i++) {
        snprintf(line, sizeof(line), "### `%s`: %s\n", all[i]->type, all[i]->doc);
        assert_int_equal(count(text, line), 1);
    }
    assert_int_equal(count(text, "#### `x86_segment`"), 1);
    free(text);
}

/* What earlier versions had stands in the table too. */
static void test_the_history(void **unused)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)unused;
    stasis_schema_markdown_one(out, timer_schemas[2]);
    fclose(out);
    assert_non_null(strstr(text, "Version 3, mandatory."));
    assert_non_null(strstr(text, "| 1 | `period_us` | uint16 | 1 to 1 | 0x3e8 |  | period"));
    assert_non_null(strstr(text, "| 2 | `flags` | uint8 | 1 | 1 |  (before version 2: 0x3) "
                                 "(before version 3: 0x7) | flags |"));
    assert_non_null(strstr(text, "| 3 | `label` | string, at most 16 (before version 2: 8) | 1 |"));
    assert_non_null(strstr(text, "| 6 | `trace` | bytes, at most 8, registers of 2 | 3 |"));
    assert_non_null(strstr(text, "| 1 | `at` | uint32 | 1 | 0 | 0xffffff (before version 3: "
                                 "0xffff) | count |"));
    free(text);
}

/* A `|` in a field's text would break its row. */
static void test_every_row_has_seven_columns(void **unused)
{
    char *text = markdown();

    (void)unused;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        if (line[0] == '|')
            assert_int_equal(count(line, "|"), 8);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_table),
        cmocka_unit_test(test_every_state_once),
        cmocka_unit_test(test_the_history),
        cmocka_unit_test(test_every_row_has_seven_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
