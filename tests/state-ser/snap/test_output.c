/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The gate for outputs: no output destroys a file in use, whatever the names; links are followed;
 * nothing waits.
 */
#include "tests/state-ser/snap/output_rig.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/descriptors.h"

static void an_input_is_found_by_any_name(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    char by_fd[40];
    int fd;

    (void)state;
    output_put_file("in", "input");
    assert_int_equal(link("in", "hard"), 0);
    assert_int_equal(symlink("in", "soft"), 0);
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(symlink("../soft", "sub/soft"), 0);
    assert_int_equal(stasis_outputs_open_input(outputs, "in", "the input", &fd, NULL), 0);
    output_refused_as_any(outputs, "in", "the same file as the input");
    output_refused_as_any(outputs, "./sub/../in", "the same file as the input");
    output_refused_as_any(outputs, "hard", "the same file as the input");
    output_refused_as_any(outputs, "sub/soft", "the same file as the input");
    snprintf(by_fd, sizeof(by_fd), "/dev/fd/%d", fd);
    output_refused_as_any(outputs, by_fd, "the same file as the input");
    snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
    output_refused_as_any(outputs, by_fd, "the same file as the input");
    output_assert_file("in", "input");
    assert_int_equal(folder_entries("."), 4);
    close(fd);
    stasis_outputs_free(outputs);
}

static void an_input_may_be_named_by_its_path(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_error err = {0};
    struct stasis_output *output;

    (void)state;
    output_put_file("in", "input");
    assert_int_equal(stasis_outputs_add_input_path(outputs, "none", "X", NULL), 0);
    assert_int_equal(stasis_outputs_add_input_path(outputs, "in", "X", NULL), 0);
    output_refused_as_any(outputs, "in", "the same file as X");
    output = output_opened(outputs, "out", STASIS_OUTPUT_IN_PLACE);
    assert_int_equal(stasis_outputs_add_input_path(outputs, "out", "X", &err), STASIS_ERR_ARG);
    stasis_output_close(output);
    stasis_outputs_free(outputs);
}

static void what_a_descriptor_writes_is_no_input_and_no_output(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_error err = {0};
    char by_fd[32];
    int fd;

    (void)state;
    output_put_file("log", "lines");
    fd = open("log", O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(stasis_outputs_add_written(outputs, fd, "that of X", NULL), 0);
    assert_int_equal(stasis_outputs_add_written(NULL, fd, "that of X", NULL), 0);
    assert_int_equal(stasis_outputs_add_input_path(outputs, "log", "in", &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "it is the same file as that of X"));
    output_refused_as_any(outputs, "log", "it is the same file as that of X");
    snprintf(by_fd, sizeof(by_fd), "/dev/fd/%d", fd);
    stasis_output_close(output_opened(outputs, by_fd, STASIS_OUTPUT_ANY));
    output_assert_file("log", "lines");
    close(fd);
    stasis_outputs_free(outputs);
}

static void new_file_closed_without_commit_is_removed(void **state)
{
    static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_IN_PLACE, STASIS_OUTPUT_PIPE,
                                                    STASIS_OUTPUT_ANY};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stasis_output *output = output_opened(NULL, "made", kinds[i]);

        stasis_output_close(output);
        assert_int_not_equal(access("made", F_OK), 0);
        output = output_opened(NULL, "made", kinds[i]);
        stasis_output_keep(output);
        stasis_output_close(output);
        assert_int_equal(unlink("made"), 0);
    }
}

static void two_outputs_to_one_file(void **state)
{
    static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_REPLACED, STASIS_OUTPUT_IN_PLACE,
                                                    STASIS_OUTPUT_ANY};
    struct stasis_outputs *outputs = stasis_outputs_new();

    (void)state;
    assert_int_equal(mkdir("sub", 0700), 0);
    for (int there = 0; there < 2; there++) {
        for (size_t i = 0; i < 3; i++) {
            struct stasis_output *output;

            if (there)
                output_put_file("out", "old");
            output = output_opened(outputs, "out", kinds[i]);
            output_refused_as_any(outputs, "sub/../out", "the same file as B");
            stasis_output_close(output);
            if (there)
                output_assert_file("out", "old");
            unlink("out");
        }
    }
    assert_int_equal(folder_entries("."), 1); /* nothing was left behind by what was refused */
    stasis_outputs_free(outputs);
}

static bool is_given_up(const void *ctx)
{
    return *(const bool *)ctx;
}

/* Its thread may still be about to close it. */
static void an_output_that_is_given_up_is_in_nobodys_way(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    bool given_up = false;
    const struct stasis_output_opts opts = {
        .size = sizeof(opts), .role = "B", .is_given_up = is_given_up, .ctx = &given_up};
    struct stasis_output *output;
    struct stasis_output *other;

    (void)state;
    assert_int_equal(stasis_output_open(outputs, "out", &opts, &output, NULL), 0);
    output_refused(outputs, "out", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "the same file as B");
    other = output_opened(outputs, "other", STASIS_OUTPUT_REPLACED);
    given_up = true;
    stasis_output_close(output_opened(outputs, "out", STASIS_OUTPUT_REPLACED));
    output_refused(outputs, "other", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "the same file");
    stasis_output_close(output);
    stasis_output_close(other);
    stasis_outputs_free(outputs);
}

/* What the output is to be was handed over for it, and is no other file. */
static void a_descriptor_of_its_own(void **state)
{
    int fd, saved = dup(STDERR_FILENO);
    struct stasis_outputs *outputs;
    struct stasis_output *output;

    (void)state;
    output_put_file("err", "before ");
    fflush(stderr);
    fd = open("err", O_WRONLY | O_APPEND);
    dup2(fd, STDERR_FILENO);
    close(fd);
    outputs = stasis_outputs_new();
    output_refused(outputs, "err", STASIS_OUTPUT_ANY, STASIS_ERR_ARG, "standard error");
    output = output_opened(outputs, "/dev/stderr", STASIS_OUTPUT_ANY);
    assert_int_equal(stasis_output_set(output, "mine", 4, NULL), 0);
    stasis_output_close(output);
    dup2(saved, STDERR_FILENO);
    close(saved);
    output_assert_file("err", "before mine");
    stasis_outputs_free(outputs);
}

static void devices_and_pipes_are_shared(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_output *a;
    struct stasis_output *b;

    (void)state;
    a = output_opened(outputs, "/dev/null", STASIS_OUTPUT_ANY);
    b = output_opened(outputs, "/dev/null", STASIS_OUTPUT_ANY);
    assert_int_equal(stasis_output_set(a, "x", 1, NULL), 0);
    stasis_output_close(a);
    stasis_output_close(b);
    a = output_opened(outputs, "pipe", STASIS_OUTPUT_PIPE);
    b = output_opened(outputs, "pipe", STASIS_OUTPUT_PIPE);
    stasis_output_close(a);
    stasis_output_close(b);
    stasis_outputs_free(outputs);
}

static void a_fifo_is_not_waited_for(void **state)
{
    struct stasis_output *output;
    char text[8192];
    int reader;

    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    alarm(60); /* a gate that waits */
    output_refused(NULL, "fifo", STASIS_OUTPUT_ANY, STASIS_ERR_ARG, "start its reader first");
    output_refused(NULL, "fifo", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG, "not a regular file");
    output_refused(NULL, "fifo", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "not a regular file");
    reader = open("fifo", O_RDONLY | O_NONBLOCK);
    output = output_opened(NULL, "fifo", STASIS_OUTPUT_ANY);
    assert_int_equal(stasis_output_set(output, "text", 4, NULL), 0);
    assert_int_equal(read(reader, text, sizeof(text)), 4);
    memset(text, 'x', sizeof(text));
    while (write(stasis_output_fd(output), text, sizeof(text)) > 0) /* until it is full */
        ;
    assert_int_equal(stasis_output_set(output, "text", 4, NULL), STASIS_ERR_WRITE);
    alarm(0);
    stasis_output_close(output);
    close(reader);
}

static void a_file_is_exchanged_before_the_commit(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_output *output;
    struct stasis_error err = {0};
    int fd;

    (void)state;
    output_put_file("in", "input");
    assert_int_equal(stasis_outputs_open_input(outputs, "in", "the input", &fd, NULL), 0);
    close(fd);
    output = output_opened(outputs, "out", STASIS_OUTPUT_REPLACED);
    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(rename("in", "out"), 0);
    assert_int_equal(stasis_output_commit(output, true, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "the same file as the input"));
    stasis_output_cancel(output);
    output_assert_file("out", "input");
    assert_int_equal(rename("out", "in"), 0);
    assert_int_equal(mkfifo("out", 0600), 0);
    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(stasis_output_commit(output, true, &err), STASIS_ERR_ARG);
    stasis_output_close(output);
    assert_int_equal(folder_entries("."), 2);
    stasis_outputs_free(outputs);
}

static void the_folder_is_held(void **state)
{
    struct stasis_output *output;

    (void)state;
    assert_int_equal(mkdir("a", 0700), 0);
    output = output_opened(NULL, "a/out", STASIS_OUTPUT_REPLACED);
    assert_int_equal(rename("a", "b"), 0);
    assert_int_equal(mkdir("a", 0700), 0);
    for (int i = 0; i < 2; i++) { /* and it may be written many times */
        assert_int_equal(stasis_output_begin(output, NULL), 0);
        assert_int_equal(stasis_output_put(output, "new", 3, 0, NULL), 0);
        assert_int_equal(stasis_output_commit(output, false, NULL), 0);
    }
    stasis_output_close(output);
    output_assert_file("b/out", "new");
    assert_int_equal(folder_entries("a"), 0);
}

static void links_lead_to_the_file(void **state)
{
    struct stasis_output *output;
    struct stat st;

    (void)state;
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(symlink("sub/real", "one"), 0);
    assert_int_equal(symlink("one", "two"), 0);
    for (int i = 0; i < 2; i++) { /* the first finds the link dangling */
        output = output_opened(NULL, "two", STASIS_OUTPUT_REPLACED);
        assert_int_equal(stasis_output_begin(output, NULL), 0);
        assert_int_equal(stasis_output_put(output, "new", 3, 0, NULL), 0);
        assert_int_equal(stasis_output_commit(output, true, NULL), 0);
        stasis_output_close(output);
        output_assert_file("sub/real", "new");
        assert_int_equal(lstat("two", &st), 0);
        assert_true(S_ISLNK(st.st_mode));
    }
    assert_int_equal(symlink("loop", "loop"), 0);
    output_refused(NULL, "loop", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "too many symbolic links");
}

static void a_snapshot_is_replaced_by_snapshots_only(void **state)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts), .snapshot = true};
    struct stasis_output *output;

    (void)state;
    output_put_file("snap", "\x89STASIS\nand more");
    output_refused_as_any(NULL, "snap", "it is a snapshot");
    output_assert_file("snap", "\x89STASIS\nand more");
    assert_int_equal(stasis_output_open(NULL, "snap", &opts, &output, NULL), 0);
    stasis_output_close(output);
}

static void the_one_input_that_may_be_replaced(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_output_opts opts = {.size = sizeof(opts), .over = "the guest's file"};
    struct stasis_output *output;

    (void)state;
    output_put_file("in", "input");
    output_put_file("other", "other");
    assert_int_equal(stasis_outputs_add_input_path(outputs, "in", "the guest's file", NULL), 0);
    assert_int_equal(stasis_outputs_add_input_path(outputs, "other", "X", NULL), 0);
    assert_int_equal(stasis_output_open(outputs, "in", &opts, &output, NULL), 0);
    assert_int_equal(stasis_outputs_add_input_path(outputs, "in", "the guest's file", NULL), 0);
    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(stasis_output_commit(output, false, NULL), 0);
    stasis_output_close(output);
    assert_int_equal(stasis_output_open(outputs, "other", &opts, &output, NULL), STASIS_ERR_ARG);
    stasis_outputs_free(outputs);
}

static void faults_known_at_once_are_refused_at_open(void **state)
{
    char name[NAME_MAX + 2];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    output_refused_as_any(NULL, name, "too long");
    output_refused_as_any(NULL, "", "empty");
    output_refused_as_any(NULL, "sub/", "name a file");
    assert_int_equal(mkdir("sub", 0700), 0);
    output_refused(NULL, "sub", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "not a regular file");
    output_refused(NULL, "sub", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG, "folder");
    output_refused(NULL, "sub", STASIS_OUTPUT_PIPE, STASIS_ERR_ARG, "folder");
    output_refused(NULL, "none/out", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "No such file");
    output_refused(NULL, "none/out", STASIS_OUTPUT_ANY, STASIS_ERR_WRITE, "No such file");
}

static void new_file_never_begun_is_removed(void **state)
{
    struct stasis_output *output;

    (void)state;
    stasis_output_close(output_opened(NULL, "any", STASIS_OUTPUT_ANY));
    assert_int_equal(folder_entries("."), 0);
    output_put_file("any", "old and long");
    stasis_output_close(output_opened(NULL, "any", STASIS_OUTPUT_ANY));
    output_assert_file("any", "old and long");
    output = output_opened(NULL, "any", STASIS_OUTPUT_ANY);
    assert_int_equal(stasis_output_set(output, "new", 3, NULL), 0);
    stasis_output_close(output);
    output_assert_file("any", "new");
}

/* What a link to nothing leads to is made, as what it is to be, and removed if it is not kept. */
static void new_file_behind_a_link_is_removed(void **state)
{
    static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_IN_PLACE, STASIS_OUTPUT_PIPE,
                                                    STASIS_OUTPUT_ANY};
    struct stat st;

    (void)state;
    assert_int_equal(symlink("made", "link"), 0);
    for (size_t i = 0; i < 3; i++) {
        struct stasis_output *output = output_opened(NULL, "link", kinds[i]);

        assert_int_equal(lstat("made", &st), 0);
        assert_int_equal(!!S_ISFIFO(st.st_mode), kinds[i] == STASIS_OUTPUT_PIPE);
        stasis_output_close(output);
        assert_int_equal(folder_entries("."), 1);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, output_setup, output_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_input_is_found_by_any_name),
        CASE(an_input_may_be_named_by_its_path),
        CASE(what_a_descriptor_writes_is_no_input_and_no_output),
        CASE(new_file_closed_without_commit_is_removed),
        CASE(two_outputs_to_one_file),
        CASE(an_output_that_is_given_up_is_in_nobodys_way),
        CASE(a_descriptor_of_its_own),
        CASE(devices_and_pipes_are_shared),
        CASE(a_fifo_is_not_waited_for),
        CASE(a_file_is_exchanged_before_the_commit),
        CASE(the_folder_is_held),
        CASE(links_lead_to_the_file),
        CASE(a_snapshot_is_replaced_by_snapshots_only),
        CASE(the_one_input_that_may_be_replaced),
        CASE(faults_known_at_once_are_refused_at_open),
        CASE(new_file_never_begun_is_removed),
        CASE(new_file_behind_a_link_is_removed),
    };
    const int before = descriptors_open();

    return descriptors_kept(before, cmocka_run_group_tests(tests, NULL, NULL));
}
