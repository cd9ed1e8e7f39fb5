/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The command line: what is asked for in the wrong way, and help.
 */
#include "tests/tools/rig.h"

#include <stdlib.h>
#include <string.h>

#include "tools/inspect.h"

static struct run run;

static void wrong_usage(void **state)
{
    static const struct {
        const char *args[4];
        const char *text;
    } rows[] = {
        {{NULL}, "a command is missing; see snapshot-inspect --help"},
        {{""},
         " is not a command; there are info, json, verify, requires, memory, "
         "extract, core, diff, report, schema, migrate, layers, flatten, ring, help"},
        {{"inform", "x"},
         "inform is not a command; there are info, json, verify, requires, memory, "
         "extract, core, diff, report, schema, migrate, layers, flatten, ring, help"},
        {{"--verbose"}, "--verbose is not an option; see snapshot-inspect --help"},
        {{"-"}, "- is not an option"},
        {{"info"}, "info: a name is missing; usage: snapshot-inspect info [--layers DIR] FILE"},
        {{"json", "a", "b"}, "json: too many names; usage: snapshot-inspect json FILE"},
        {{"extract"},
         "usage: snapshot-inspect extract --gpa ADDRESS --len BYTES [-o OUT] [--force] [--layers "
         "DIR] "
         "FILE"},
        {{"core"}, "usage: snapshot-inspect core -o OUT [--user] [--layers DIR] FILE"},
        {{"info", "--raw", "x"}, "info: --raw is not an option; see snapshot-inspect help info"},
        {{"verify", "x", "-q"}, "verify: -q is not an option; see snapshot-inspect help verify"},
        {{"ring", "--raw=1", "x"}, "ring: --raw=1: the option takes no value"},
        {{"ring", "--help=1", "x"}, "ring: --help=1: the option takes no value"},
        {{"ring", "--raw", "--raw", "x"}, "ring: --raw is given twice; give it once"},
        {{"core", "x", "-o"}, "core: --output needs a value: --output OUT"},
        {{"core", "-o1", "-o2", "x"}, "core: --output is given twice; give it once"},
        {{"core", "-uo1", "x"}, "core: -u is not an option; see snapshot-inspect help core"},
        {{"help", "me"}, "me is not a command"},
        {{"schema-markdown", "x"}, "too many names"},
        {{"\x1b[2J\nevil"}, "\\x1b[2J\\x0aevil is not a command"},
        {{"\xc2\x9b", "x"}, "\\xc2\\x9b is not a command"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *const *args = rows[i].args;

        run_inspect(&run, NULL, args[0], args[1], args[2], args[3], NULL);
        assert_ended(&run, 2, rows[i].text);
        assert_string_equal(run.out, "");
    }
}

static void version(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "--version", NULL);
    assert_ended(&run, 0, NULL);
    assert_string_equal(run.out, "snapshot-inspect (stasis) " STASIS_VERSION "\n");
}

static void help(void **state)
{
    char *all;

    (void)state;
    run_inspect(&run, NULL, "--help", NULL);
    assert_ended(&run, 0, NULL);
    all = run.out;
    run.out = NULL;
    run_inspect(&run, NULL, "help", NULL);
    assert_string_equal(run.out, all);
    for (const struct stasis_inspect_command *row = stasis_inspect_commands; row->name; row++) {
        if (row->hidden)
            assert_null(strstr(all, row->name));
        else
            assert_has(all, row->help);
        run_inspect(&run, NULL, "help", row->name, NULL);
        assert_ended(&run, 0, NULL);
        assert_has(run.out, row->help);
        assert_has(run.out, "Usage: snapshot-inspect ");
    }
    free(all);
}

static void help_of_a_command(void **state)
{
    char *text;

    (void)state;
    run_inspect(&run, NULL, "help", "ring", NULL);
    assert_has(run.out, "Usage: snapshot-inspect ring [--raw] FILE\n  --raw\n");
    text = run.out;
    run.out = NULL;
    run_inspect(&run, NULL, "ring", "--help", NULL);
    assert_ended(&run, 0, NULL);
    assert_string_equal(run.out, text);
    run_inspect(&run, NULL, "ring", "a", "b", "-h", NULL);
    assert_string_equal(run.out, text);
    free(text);
}

/* Every command and option that users may know is in the manual. */
static void manual(void **state)
{
    struct image page = image_read(STASIS_SOURCE_DIR "/docs/snapshot-inspect.1.scd");
    char text[128];

    (void)state;
    page.bytes[page.len] = '\0';
    for (const struct stasis_inspect_command *row = stasis_inspect_commands; row->name; row++) {
        snprintf(text, sizeof(text), "\n*%s*", row->name);
        if (!row->hidden)
            assert_has((char *)page.bytes, text);
        for (const struct stasis_inspect_option *option = row->options; option && option->name;
             option++) {
            snprintf(text, sizeof(text), "*--%s*", option->name);
            assert_has((char *)page.bytes, text);
        }
    }
    image_fini(&page);
}

static int teardown(void **state)
{
    (void)state;
    run_fini(&run);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_usage),       cmocka_unit_test(version), cmocka_unit_test(help),
        cmocka_unit_test(help_of_a_command), cmocka_unit_test(manual),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
