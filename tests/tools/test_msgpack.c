/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Another program's msgpack reads our state section and agrees with `snapshot-inspect json`:
 * every type of record, with random values, in a file and in a stream (check_msgpack.py).
 */
#include "tests/tools/rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/state-ser/ser/random_state.h"

#define COPIES 5

static struct run run;
static bool skipped;

static void add_random(struct built *built, uint64_t *seed)
{
    const struct stasis_schema *const *all;
    size_t count;

    all = stasis_schema_all(&count);
    for (size_t i = 0; i < count; i++) {
        void *state = malloc(all[i]->size);

        assert_non_null(state);
        for (unsigned copy = 0; copy < COPIES; copy++) {
            char instance[8];

            snprintf(instance, sizeof(instance), "r%u", copy);
            random_state(seed, all[i], state);
            add_state(built, all[i], instance, state);
        }
        free(state);
    }
}

static void keep_output(const char *command, const char *operand, const char *path)
{
    run_inspect(&run, NULL, command, operand, NULL);
    assert_ended(&run, 0, NULL);
    write_file(path, run.out, run.out_len);
}

static void check(const struct image *image)
{
    static const char script[] = STASIS_SOURCE_DIR "/tests/tools/check_msgpack.py";
    char snap[256];
    char json[256];

    snprintf(snap, sizeof(snap), "%s", in_folder("a.snap"));
    snprintf(json, sizeof(json), "%s", in_folder("a.json"));
    write_file(snap, image->bytes, image->len);
    keep_output("json", snap, json);
    keep_output("schema-markdown", NULL, in_folder("a.md"));
    run_program(&run, NULL,
                (const char *[]){STASIS_PYTHON3, script, snap, json, in_folder("a.md"), NULL});
    print_message("%s%s", run.out, run.err);
    skipped = run.status == STASIS_TEST_SKIPPED;
    if (!skipped)
        assert_int_equal(run.status, 0);
}

static void python_agrees(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4 && !skipped; seed++) {
        uint64_t random = seed;
        struct built built;
        struct image image;

        built_small(&built);
        add_random(&built, &random);
        image = seed % 2 ? image_of(&built) : image_of_stream(&built);
        check(&image);
        image_fini(&image);
        built_fini(&built);
    }
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(python_agrees)};
    int failed;

    if (!*STASIS_PYTHON3) {
        puts("skipped: there is no python3");
        return STASIS_TEST_SKIPPED;
    }
    failed = cmocka_run_group_tests(tests, setup_folder, teardown);
    return failed ? failed : skipped ? STASIS_TEST_SKIPPED : 0;
}
