/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * No command destroys what it reads, whatever its output is called.
 */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct run run;
static struct built built;

/* The name is an output's: the input's own, another of its names, or a path to it. */
static const char *const names[] = {"in.snap", "hard", "soft", "sub/../in.snap"};

static int setup(void **state)
{
    char file[160];
    char other[160];

    if (setup_folder(state))
        return 1;
    built_machine(&built);
    snprintf(file, sizeof(file), "%s", in_folder("in.snap"));
    save_to(&built, file);
    snprintf(other, sizeof(other), "%s", in_folder("hard"));
    return link(file, other) || symlink("in.snap", in_folder("soft")) ||
           mkdir(in_folder("sub"), 0700);
}

static int teardown(void **state)
{
    built_fini(&built);
    run_fini(&run);
    return rmdir(in_folder("sub")) || teardown_folder(state);
}

static void run_command(const char *command, const char *in, const char *out)
{
    if (!strcmp(command, "memory"))
        run_inspect(&run, NULL, "memory", "--svg", out, in, NULL);
    else if (!strcmp(command, "extract"))
        run_inspect(&run, NULL, "extract", "--gpa", "0", "--len", "4K", "-o", out, in, NULL);
    else if (!strcmp(command, "core"))
        run_inspect(&run, NULL, "core", "-o", out, in, NULL);
    else
        run_inspect(&run, NULL, "migrate", "--to", "0.1.0", in, out, NULL);
}

static void an_output_is_no_input(void **state)
{
    static const char *const commands[] = {"memory", "extract", "core", "migrate"};
    struct image before = image_read(in_folder("in.snap"));

    (void)state;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            char in[160];
            char out[160];
            struct image after;

            snprintf(in, sizeof(in), "%s", in_folder("in.snap"));
            snprintf(out, sizeof(out), "%s", in_folder(names[k]));
            run_command(commands[i], in, out);
            assert_ended(&run, 2, "it is the same file as the input");
            after = image_read(in);
            assert_int_equal(after.len, before.len);
            assert_memory_equal(after.bytes, before.bytes, before.len);
            image_fini(&after);
        }
    }
    image_fini(&before);
}

/* As in "memory --svg *.snap", where the first is taken for the output. */
static void only_migrate_replaces_a_snapshot(void **state)
{
    static const char *const commands[] = {"memory", "extract", "core"};
    char other[160];
    struct image before;
    struct image after;

    (void)state;
    snprintf(other, sizeof(other), "%s", in_folder("other.snap"));
    save_to(&built, other);
    before = image_read(other);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        run_command(commands[i], in_folder("in.snap"), other);
        assert_ended(&run, 2, "it is a snapshot; name another file");
        after = image_read(other);
        assert_int_equal(after.len, before.len);
        assert_memory_equal(after.bytes, before.bytes, before.len);
        image_fini(&after);
    }
    image_fini(&before);
    run_command("migrate", in_folder("in.snap"), other);
    assert_ended(&run, 0, NULL);
}

/* What is asked of standard output is known before a byte goes there. */
static void standard_output_is_no_input(void **state)
{
    struct setup setup = {.out = open(in_folder("in.snap"), O_WRONLY | O_APPEND)};
    struct image before = image_read(in_folder("in.snap"));
    struct image after;

    (void)state;
    run_inspect(&run, &setup, "info", in_folder("in.snap"), NULL);
    assert_ended(&run, 2, "it is the same file as standard output");
    close(setup.out);
    after = image_read(in_folder("in.snap"));
    assert_int_equal(after.len, before.len);
    image_fini(&after);
    image_fini(&before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_output_is_no_input, setup, teardown),
        cmocka_unit_test_setup_teardown(only_migrate_replaces_a_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(standard_output_is_no_input, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
