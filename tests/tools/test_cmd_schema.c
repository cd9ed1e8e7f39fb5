/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <stdlib.h>
#include <string.h>

static struct run run;

static size_t count(const char *all, const char *text)
{
    size_t found = 0;

    for (const char *at = all; (at = strstr(at, text)); at++)
        found++;
    return found;
}

static void ours(void **state)
{
    size_t types;
    const struct stasis_schema *const *all = stasis_schema_all(&types);

    (void)state;
    run_inspect(&run, NULL, "schema", NULL);
    assert_ended(&run, 0, NULL);
    for (size_t i = 0; i < types; i++) {
        char text[128];

        snprintf(text, sizeof(text), "%s, version %u: ", all[i]->type, all[i]->version);
        assert_int_equal(count(run.out, text), 1);
    }
    assert_int_equal(count(run.out, "x86_segment, nested: "), 1); /* though eight use it */
    assert_has(run.out, "    8  ldt                    x86_segment            LDT\n");
    assert_has(run.out, "   19  pdptrs                 uint64[4]              PDPTE0-3\n");
    assert_has(run.out, "    1  msrs                   x86_msr<=512           ascending");
    assert_has(run.out, "   11  xmm                    bytes<=256             XMM0-XMM15\n");
}

/* In the file are the types that it uses. */
static void of_a_file(void **state)
{
    struct built built;

    (void)state;
    built_machine(&built);
    save_to(&built, in_folder("a.snap"));
    built_fini(&built);
    run_inspect(&run, NULL, "schema", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
    assert_int_equal(count(run.out, ", version 1: "), 8);
    assert_int_equal(count(run.out, "x86.regs, version 1: "), 1);
    assert_int_equal(count(run.out, "x86_segment, nested: "), 1);
    assert_int_equal(count(run.out, "x86.msrs"), 0);
}

static void python_reads_it(void **state)
{
    static const char script[] =
        "import json, sys\n"
        "j = json.load(sys.stdin)\n"
        "s = {x['name']: x for x in j}\n"
        "assert len(s) == len(j) and s['x86.sregs']['version'] == 1\n"
        "f = {x['name']: x for x in s['x86.sregs']['fields']}\n"
        "assert j[f['cs']['state']]['name'] == 'x86_segment', f['cs']\n"
        "assert j[f['cs']['state']]['version'] == 0\n"
        "assert f['pdptrs'] == {'id': 19, 'name': 'pdptrs', 'kind': 'array', 'size': 8,\n"
        "    'maximum': 4, 'mask': 2**64 - 1, 'text': 'PDPTE0-3'}, f['pdptrs']\n"
        "f = {x['name']: x for x in s['stasis.board']['fields']}\n"
        "assert f['cpu_model']['default'] == 'host' and f['cpu_model']['kind'] == 'string'\n"
        "assert j[f['devices']['state']]['name'] == 'board_device'\n"
        "assert all(y['state'] < i for i, x in enumerate(j) for y in x['fields'] if 'state' in "
        "y)\n";
    struct setup setup = {0};
    struct run python = {0};
    FILE *file = tmpfile();

    (void)state;
    if (!*STASIS_PYTHON3) {
        print_message("skipped: no python3\n");
        skip();
    }
    for (unsigned i = 0; i < 2; i++) { /* the file's, and ours */
        run_inspect(&run, NULL, "schema", "--json", i ? NULL : in_folder("a.snap"), NULL);
        assert_ended(&run, 0, NULL);
        assert_non_null(file);
        rewind(file);
        assert_int_equal(fwrite(run.out, 1, run.out_len, file), run.out_len);
        rewind(file);
        setup.in = fileno(file);
        run_program(&python, &setup, (const char *[]){STASIS_PYTHON3, "-c", script, NULL});
        if (python.status)
            fail_msg("%s", python.err);
        fclose(file);
        file = tmpfile();
    }
    fclose(file);
    run_fini(&python);
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours),
        cmocka_unit_test(of_a_file),
        cmocka_unit_test(python_reads_it),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
