/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct run run;

static void json_of(struct built *built)
{
    save_to(built, in_folder("a.snap"));
    run_inspect(&run, NULL, "json", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
}

static void header_and_regions(void **state)
{
    struct built built;

    (void)state;
    built_machine(&built);
    json_of(&built);
    assert_int_equal(strncmp(run.out, "{\n  \"header\": {\n    \"format_version\": 2,\n", 41), 0);
    assert_has(run.out, "\"arch\": 62,\n    \"arch_name\": \"x86_64\",");
    assert_has(run.out, "\"ram_bytes\": 204800,\n    \"stored_bytes\": 139264,\n"
                        "    \"streamed\": false,\n    \"root\": \"");
    assert_has(run.out, "\",\n    \"digest\": \"none\"\n  },");
    assert_has(run.out, "{\n      \"gpa\": 0,\n      \"size\": 8192,\n      \"first_chunk\": 0,\n"
                        "      \"chunks\": 1,\n      \"chunks_raw\": 1,\n      \"chunks_zlib\": "
                        "0,\n      \"chunks_zero\": 0,\n"
                        "      \"chunks_absent\": 0,\n      \"stored_bytes\": 8192,\n"
                        "      \"pages_not_zero\": 2\n    },");
    assert_has(run.out, "\"gpa\": 1048576,\n      \"size\": 196608,\n      \"first_chunk\": 1,\n"
                        "      \"chunks\": 3,\n      \"chunks_raw\": 2,\n      \"chunks_zlib\": "
                        "0,\n      \"chunks_zero\": 1,\n"
                        "      \"chunks_absent\": 0,\n      \"stored_bytes\": 131072,\n"
                        "      \"pages_not_zero\": 17\n");
    assert_has(run.out, "\"rsp\": 18446744073709551615,"); /* not 1.8e19 */
    assert_has(run.out, "\"type\": \"stasis.board\",\n      \"instance\": \"vm\",");
    built_fini(&built);
}

static void name_does_not_matter(void **state)
{
    char *text;
    struct built built;
    struct image image;

    (void)state;
    built_small(&built);
    json_of(&built);
    text = run.out;
    run.out = NULL;
    image = image_read(in_folder("a.snap"));
    write_file(in_folder("b"), image.bytes, image.len);
    run_inspect(&run, NULL, "json", in_folder("b"), NULL);
    assert_string_equal(run.out, text);
    free(text);
    image_fini(&image);
    built_fini(&built);
}

static void python_reads_it(void **state)
{
    static const char script[] =
        "import json, sys\n"
        "j = json.load(sys.stdin)\n"
        "r = {(x['type'], x['instance']): x['state'] for x in j['records']}\n"
        "assert r['x86.regs', 'cpu0']['rip'] == 0xffffffff81000000\n"
        "assert r['stasis.machine', 'vm']['host_cpu'] == 'Analytical Engine'\n"
        "assert sum(x['size'] for x in j['regions']) == j['header']['ram_bytes']\n"
        "assert [list(x) for x in j['records']] == 8 * [['type', 'instance', 'version',"
        " 'optional', 'known', 'state']]\n";
    struct setup setup = {0};
    struct run python = {0};
    struct built built;
    FILE *file = tmpfile();

    (void)state;
    if (!*STASIS_PYTHON3) {
        print_message("skipped: no python3\n");
        skip();
    }
    built_machine(&built);
    json_of(&built);
    assert_non_null(file);
    assert_int_equal(fwrite(run.out, 1, run.out_len, file), run.out_len);
    rewind(file);
    setup.in = fileno(file);
    run_program(&python, &setup, (const char *[]){STASIS_PYTHON3, "-c", script, NULL});
    if (python.status)
        fail_msg("%s", python.err);
    fclose(file);
    run_fini(&python);
    built_fini(&built);
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_and_regions),
        cmocka_unit_test(name_does_not_matter),
        cmocka_unit_test(python_reads_it),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
