/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Commands that take several files.
 */
#include "tests/tools/rig.h"

#include <stdio.h>
#include <string.h>

#include "state-ser/snap/header.h"

static struct run run;
static const char *const commands[] = {"info", "verify"};

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;

    while ((text = strstr(text, part))) {
        text += strlen(part);
        count++;
    }
    return count;
}

/* Runs the command on the files, named by a list with spaces. */
static void run_on(const char *command, const char *files)
{
    static const struct setup none = {0};
    char paths[8][256];
    const char *argv[12] = {inspect_path(), command};
    char list[128];
    char *next = list;
    size_t count = 0;

    snprintf(list, sizeof(list), "%s", files);
    for (char *name; (name = strsep(&next, " ")); count++) {
        snprintf(paths[count], sizeof(paths[count]), "%s", in_folder(name));
        argv[2 + count] = paths[count];
    }
    run_program(&run, &none, argv);
}

static void every_good_file_has_a_line(void **state)
{
    (void)state;
    run_on("info", "a b a");
    assert_ended(&run, 0, NULL);
    assert_int_equal(count_of(run.out, "\n"), 4);
    assert_has(run.out,
               "/a: frozen 2023-11-14 22:13:20 UTC, generation 7, 200 KiB of memory, 136 KiB "
               "stored, by stasis " STASIS_VERSION "\n");
    assert_has(run.out, "/b: frozen ");
    assert_has(run.out, "\n3 files: 3 readable\n");
    run_on("verify", "a b");
    assert_ended(&run, 0, NULL);
    /* Behind each line those about its vCPUs. */
    assert_int_equal(count_of(run.out, ": whole; "), 2);
    assert_has(run.out, "/a: whole; checked header");
    assert_has(run.out, "/b: whole; checked header");
    assert_has(run.out, "\n2 files: 2 whole\n");
}

/* Each bad file has a message, and those behind it are looked at. */
static void the_worst_status_is_that_of_the_command(void **state)
{
    static const struct {
        const char *files;
        int status;
        size_t failed;
    } rows[] = {
        {"a none b", 2, 1},     {"none newer a", 4, 2},           {"newer text a", 3, 2},
        {"text newer a", 3, 2}, {"none newer text none a", 3, 4}, {"none none", 2, 2},
    };
    char words[64];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (size_t j = 0; j < 2; j++) {
            run_on(commands[j], rows[i].files);
            if (run.status != rows[i].status)
                fail_msg("%s %s: status %d, expected %d", commands[j], rows[i].files, run.status,
                         rows[i].status);
            assert_int_equal(count_of(run.err, "\n"), rows[i].failed);
            snprintf(words, sizeof(words), ", %zu failed\n", rows[i].failed);
            assert_has(run.out, words);
            if (strchr(rows[i].files, 'a'))
                assert_has(run.out, "/a: ");
        }
}

static int setup(void **state)
{
    struct built built;
    struct image image;

    if (setup_folder(state))
        return -1;
    built_machine(&built);
    save_to(&built, in_folder("a"));
    save_to(&built, in_folder("b"));
    image = image_of(&built);
    built_fini(&built);
    write_file(in_folder("text"), "hello\n", 6);
    image.bytes[STASIS_HDR_VERSION]++;
    image_reseal(&image);
    write_file(in_folder("newer"), image.bytes, image.len);
    image_fini(&image);
    return 0;
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_good_file_has_a_line),
        cmocka_unit_test(the_worst_status_is_that_of_the_command),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
