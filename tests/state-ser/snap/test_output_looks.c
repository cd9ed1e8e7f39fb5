/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Outputs of a dry run: refused as others are, and nothing is made, changed, or noticed by the
 * reader of a pipe.
 */
#include "tests/state-ser/snap/output_rig.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_REPLACED, STASIS_OUTPUT_IN_PLACE,
                                                STASIS_OUTPUT_PIPE, STASIS_OUTPUT_ANY};

static int look(struct stasis_outputs *outputs, const char *path, enum stasis_output_kind kind,
                struct stasis_output **ret_output, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {
        .size = sizeof(opts), .kind = kind, .role = "A", .only_looks = true};

    return stasis_output_open(outputs, path, &opts, ret_output, err);
}

static struct stasis_output *looked(struct stasis_outputs *outputs, const char *path,
                                    enum stasis_output_kind kind)
{
    struct stasis_output *output = NULL;
    struct stasis_error err;

    if (look(outputs, path, kind, &output, &err))
        fail_msg("%s, kind %d: %s", path, kind, err.msg);
    return output;
}

static void refused(struct stasis_outputs *outputs, const char *path, enum stasis_output_kind kind,
                    int code, const char *words)
{
    struct stasis_output *output = NULL;
    struct stasis_error err = {.msg = "nothing"};
    int rc = look(outputs, path, kind, &output, &err);

    if (rc != code || !strstr(err.msg, words))
        fail_msg("%s, kind %d: %d \"%s\"", path, kind, rc, err.msg);
}

static void nothing_is_made(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct stasis_output *output = looked(NULL, "new", kinds[i]);

        assert_int_equal(folder_entries("."), 0);
        assert_int_equal(stasis_output_fd(output), -1);
        stasis_output_close(output);
        assert_int_equal(folder_entries("."), 0);
        if (kinds[i] != STASIS_OUTPUT_REPLACED) /* which begins later */
            refused(NULL, "none/new", kinds[i], STASIS_ERR_WRITE, "opening its folder");
    }
}

static void a_file_that_is_there_stays_as_it_is(void **state)
{
    (void)state;
    output_put_file("old", "content");
    assert_int_equal(symlink("old", "link"), 0);
    for (size_t i = 0; i < 4; i++) {
        if (kinds[i] == STASIS_OUTPUT_PIPE)
            refused(NULL, "old", kinds[i], STASIS_ERR_ARG, "is not a pipe");
        else
            stasis_output_close(looked(NULL, "link", kinds[i]));
        output_assert_file("old", "content");
    }
}

static void what_is_there_is_of_the_kind(void **state)
{
    (void)state;
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    refused(NULL, "folder", STASIS_OUTPUT_ANY, STASIS_ERR_ARG, "it is a folder");
    refused(NULL, "pipe", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG, "not a regular file");
    refused(NULL, "pipe/below", STASIS_OUTPUT_ANY, STASIS_ERR_WRITE, "opening its folder");
    stasis_output_close(looked(NULL, "pipe", STASIS_OUTPUT_PIPE));
    stasis_output_close(looked(NULL, "pipe", STASIS_OUTPUT_ANY)); /* a reader may come yet */
}

/* It would take a writer that goes for the end of the file. */
static void the_reader_of_a_pipe_notices_nothing(void **state)
{
    char byte;
    int reader, writer;

    (void)state;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    reader = open("pipe", O_RDONLY | O_NONBLOCK);
    stasis_output_close(looked(NULL, "pipe", STASIS_OUTPUT_ANY));
    writer = open("pipe", O_WRONLY | O_NONBLOCK);
    assert_int_equal(write(writer, "a", 1), 1);
    assert_int_equal(read(reader, &byte, 1), 1);
    stasis_output_close(looked(NULL, "pipe", STASIS_OUTPUT_ANY));
    assert_int_equal(read(reader, &byte, 1), -1); /* and not the end */
    close(writer);
    close(reader);
}

static void two_of_them_are_not_one_file(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_output *output = looked(outputs, "new", STASIS_OUTPUT_ANY);

    (void)state;
    refused(outputs, "./new", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG, "the same file as A");
    refused(outputs, "new", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "the same file as A");
    stasis_output_close(output);
    output_put_file("old", "content");
    output = looked(outputs, "old", STASIS_OUTPUT_IN_PLACE);
    refused(outputs, "old", STASIS_OUTPUT_ANY, STASIS_ERR_ARG, "the same file as A");
    stasis_output_close(output);
    stasis_outputs_free(outputs);
}

/* Nobody makes files there. */
static void a_folder_that_takes_no_files_is_refused(void **state)
{
    (void)state;
    refused(NULL, "/proc/new", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_WRITE, "making a temporary file");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, output_setup, output_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(nothing_is_made),
        CASE(a_file_that_is_there_stays_as_it_is),
        CASE(what_is_there_is_of_the_kind),
        CASE(the_reader_of_a_pipe_notices_nothing),
        CASE(two_of_them_are_not_one_file),
        CASE(a_folder_that_takes_no_files_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
