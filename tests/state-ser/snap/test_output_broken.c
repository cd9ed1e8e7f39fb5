/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Outputs where one system call fails, or memory runs out: an error that says at what, nothing left
 * behind, or another way to the same end.
 */
#include "tests/state-ser/snap/output_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state-ser/snap/io.h"

enum call {
    NONE,
    OPEN,
    DUP,
    STAT,
    STAT_AT,
    READLINK,
    PWRITE,
    TRUNCATE,
    LINK,
    CHMOD,
    RANDOM,
    TIME,
    CALLOC,
    REALLOC,
};

static struct {
    enum call call;
    unsigned first, last; /* of those that fail, from 1 */
    int error;
    unsigned seen;
    const char *path; /* OPEN: those of this path only */
    uid_t user;       /* on whose behalf it all happens */
    bool gave_up;     /* root's capabilities */
} broken;

static void break_some(enum call call, unsigned first, unsigned last, int error)
{
    broken.call = call;
    broken.first = first;
    broken.last = last;
    broken.error = error;
    broken.seen = 0;
}

static void break_it(enum call call, unsigned at, int error)
{
    break_some(call, at, at, error);
}

static bool fails(enum call call)
{
    if (call != broken.call || ++broken.seen < broken.first || broken.seen > broken.last)
        return false;
    errno = broken.error;
    return true;
}

static bool open_fails(const char *path)
{
    return (!broken.path || !strcmp(path, broken.path)) && fails(OPEN);
}

#define WRAP(type, name, failing, failed, parameters, arguments)                                   \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return (failing) ? (failed) : __real_##name arguments;                                     \
    }

WRAP(int, stasis_io_open, open_fails(path), -1, (int dir, const char *path, int flags, mode_t mode),
     (dir, path, flags, mode))
WRAP(int, stasis_io_dup, fails(DUP), -1, (int fd), (fd))
WRAP(int, stasis_io_stat, fails(STAT), -1, (int fd, struct stat *ret_stat), (fd, ret_stat))
WRAP(int, stasis_io_stat_at, fails(STAT_AT), -1, (int dir, const char *name, struct stat *ret_stat),
     (dir, name, ret_stat))
WRAP(ssize_t, stasis_io_readlink, fails(READLINK), -1, (int fd, char *buf, size_t size),
     (fd, buf, size))
WRAP(int, stasis_io_pwrite, fails(PWRITE), -1,
     (int fd, const void *buf, size_t len, uint64_t offset), (fd, buf, len, offset))
WRAP(int, stasis_io_truncate, fails(TRUNCATE), -1, (int fd, uint64_t len), (fd, len))
WRAP(int, stasis_io_link, fails(LINK), -1, (int fd, int dir, const char *name), (fd, dir, name))
WRAP(int, stasis_io_chmod, fails(CHMOD), -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, stasis_io_random, fails(RANDOM), -1, (void *buf, size_t len), (buf, len))
WRAP(int, stasis_io_now_ns, fails(TIME), -1, (uint64_t * ret_ns), (ret_ns))
WRAP(void *, calloc, fails(CALLOC), NULL, (size_t count, size_t size), (count, size))
WRAP(void *, reallocarray, fails(REALLOC), NULL, (void *old, size_t count, size_t size),
     (old, count, size))
WRAP(uid_t, stasis_io_user, true, broken.user, (void), ())
WRAP(bool, stasis_io_owns_all, true, !broken.user && !broken.gave_up, (void), ())

static int setup(void **state)
{
    break_it(NONE, 0, 0);
    broken.path = NULL;
    broken.user = geteuid();
    return output_setup(state);
}

static int teardown(void **state)
{
    break_it(NONE, 0, 0);
    return output_teardown(state);
}

/* Refused with these words; and all the same without the failure. */
static void refused_once(const char *path, enum stasis_output_kind kind, int code,
                         const char *words)
{
    output_refused(NULL, path, kind, code, words);
    assert_true(broken.seen >= broken.first);
    break_it(NONE, 0, 0);
    stasis_output_close(output_opened(NULL, path, kind));
}

/* ---- opening ---- */

static void assert_says(const struct stasis_error *err, const char *what, int error)
{
    char expected[200];

    snprintf(expected, sizeof(expected), "%s: %s", what, strerror(error));
    assert_string_equal(err->msg, expected);
}

static void output_whose_kind_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    output_put_file("out", "old");
    break_it(STAT, 1, EIO); /* of O_CREAT | O_EXCL there was nothing to ask */
    refused_once("out", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_WRITE, "asking what it is: ");
    output_assert_file("out", "old");
    break_it(STAT_AT, 1, EIO);
    refused_once("out", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "looking it up: ");
}

/* What it was written over before is not known, and no reason to refuse it. */
static void an_output_that_cannot_be_read(void **state)
{
    (void)state;
    output_put_file("out", "old");
    for (unsigned first = 1; first < 9; first++) {
        struct stasis_output *output = NULL;
        struct stasis_error err = {0};
        int rc;

        break_some(OPEN, first, 99, EACCES);
        rc = output_open_as(NULL, "out", STASIS_OUTPUT_ANY, &output, &err);
        assert_true(rc == 0 || (rc == STASIS_ERR_WRITE && err.os_errno == EACCES));
        assert_true(first > 2 || rc); /* its folder, and the file itself */
        assert_true(first < 5 || !rc);
        break_it(NONE, 0, 0);
        stasis_output_close(output);
        output_assert_file("out", "old");
    }
}

static void a_folder_that_cannot_be_listed(void **state)
{
    (void)state;
    broken.path = ".";
    break_it(OPEN, 1, EACCES);
    stasis_output_close(output_opened(NULL, "out", STASIS_OUTPUT_IN_PLACE));
    assert_int_equal(broken.seen, 2);
    break_some(OPEN, 1, 2, EACCES);
    output_refused(NULL, "out", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_WRITE,
                   "opening its folder: Perm");
    break_it(OPEN, 1, EIO);
    output_refused(NULL, "out", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_WRITE, "opening its folder: ");
    assert_int_equal(broken.seen, 1);
}

static void links_that_cannot_be_followed(void **state)
{
    (void)state;
    output_put_file("out", "old");
    assert_int_equal(symlink("out", "link"), 0);
    break_it(READLINK, 1, EIO);
    refused_once("link", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "reading the link: ");
    break_it(STAT, 1, EIO); /* of the link itself */
    refused_once("link", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "reading the link: ");
    break_it(DUP, 1, EMFILE);
    refused_once("link", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "keeping its folder: ");
    break_it(STAT_AT, 2, EIO); /* of what is one step on */
    refused_once("link", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "looking it up: ");
    for (unsigned at = 2; at < 9; at++) {
        struct stasis_output *output = NULL;
        struct stasis_error err = {0};
        int rc;

        break_it(STAT, at, EIO);
        rc = output_open_as(NULL, "link", STASIS_OUTPUT_REPLACED, &output, &err);
        assert_true(!rc || strstr(err.msg, "following the link: "));
        stasis_output_close(output);
    }
    output_assert_file("out", "old");
}

/* A link to a link to nothing: the second step fails. */
static void a_long_way_through_links(void **state)
{
    (void)state;
    assert_int_equal(symlink("second", "first"), 0);
    assert_int_equal(symlink("out", "second"), 0);
    break_it(READLINK, 2, EIO);
    refused_once("first", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_WRITE, "reading the link: ");
    assert_int_equal(mkdir("folder", 0700), 0);
    assert_int_equal(symlink("folder", "to-folder"), 0);
    output_refused(NULL, "to-folder", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG,
                   "it exists and is not a regular file; name a file");
}

/* A name that is a link in the folder of descriptors, as far as that can be asked. */
static void an_own_descriptor_that_cannot_be_asked(void **state)
{
    char path[40];
    int fd;

    (void)state;
    output_put_file("out", "old ");
    fd = open("out", O_WRONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    for (unsigned at = 0; at < 2; at++) {
        struct stasis_output *output;

        break_it(at ? STAT_AT : NONE, 2, EIO);
        output = output_opened(NULL, path, STASIS_OUTPUT_ANY);
        break_it(NONE, 0, 0);
        assert_int_equal(stasis_output_set(output, "new", 3, NULL), 0);
        stasis_output_close(output);
        output_assert_file("out", at ? "new" : "old new"); /* not known as ours: emptied */
    }
    close(fd);
}

/* ---- sticky folders ---- */

static void others_files_in_sticky_folders_stay(void **state)
{
    const uid_t other = geteuid() + 1;
    static const struct {
        bool sticky, as_other, file_is_others, folder_is_others, refused;
    } cases[] = {
        {true, true, false, false, true},   {false, true, false, false, false},
        {true, false, false, false, false}, {true, true, true, false, false},
        {true, true, false, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if ((cases[i].file_is_others || cases[i].folder_is_others) && geteuid())
            continue; /* takes root */
        assert_int_equal(mkdir("sub", 0700), 0);
        output_put_file("sub/out", "old");
        assert_int_equal(chmod("sub", cases[i].sticky ? 01777 : 0777), 0);
        if (cases[i].file_is_others)
            assert_int_equal(chown("sub/out", other, (gid_t)-1), 0);
        if (cases[i].folder_is_others)
            assert_int_equal(chown("sub", other, (gid_t)-1), 0);
        broken.user = cases[i].as_other ? other : geteuid();
        if (cases[i].refused)
            output_refused(NULL, "sub/out", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE,
                           "it belongs to another user, and its folder is sticky; name another");
        else
            stasis_output_close(output_opened(NULL, "sub/out", STASIS_OUTPUT_REPLACED));
        output_assert_file("sub/out", "old");
        assert_int_equal(unlink("sub/out"), 0);
        assert_int_equal(rmdir("sub"), 0);
    }
}

/* Unless it has given up the capability to, as in the sandbox of vmm. */
static void root_may_replace_in_sticky_folders(void **state)
{
    (void)state;
    output_put_file("out", "old");
    assert_int_equal(chmod(".", 01777), 0);
    broken.user = 0;
    stasis_output_close(output_opened(NULL, "out", STASIS_OUTPUT_REPLACED));
    if (geteuid() == 0) { /* the file is another's */
        assert_int_equal(chown(".", 1, (gid_t)-1) || chown("out", 1, (gid_t)-1), 0);
        broken.gave_up = true;
        output_refused(NULL, "out", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE,
                       "its folder is sticky");
    }
    broken.user = geteuid() + 1;
    break_it(STAT, 1, EIO); /* of the folder: nothing is known, and the kernel will say */
    stasis_output_close(output_opened(NULL, "out", STASIS_OUTPUT_REPLACED));
}

/* ---- writing ---- */

static void writing_fails(void **state)
{
    struct stasis_output *output = output_opened(NULL, "out", STASIS_OUTPUT_IN_PLACE);
    struct stasis_error err = {0};
    struct stat st;

    (void)state;
    break_it(PWRITE, 1, ENOSPC);
    assert_int_equal(stasis_output_put(output, "x", 1, 0, &err), STASIS_ERR_WRITE);
    assert_string_equal(err.msg, "out: writing: No space left on device");
    break_it(TRUNCATE, 1, EFBIG);
    assert_int_equal(stasis_output_resize(output, 8, &err), STASIS_ERR_WRITE);
    assert_string_equal(err.msg, "setting its length: File too large");
    break_it(TRUNCATE, 1, EIO);
    assert_int_equal(stasis_output_set(output, "x", 1, &err), STASIS_ERR_WRITE);
    assert_says(&err, "writing to it", EIO);
    break_it(STAT, 1, EIO);
    assert_int_equal(stasis_output_set(output, "x", 1, &err), STASIS_ERR_WRITE);
    break_it(NONE, 0, 0);
    assert_int_equal(stasis_output_resize(output, 8, &err), 0);
    stasis_output_close(output);
    assert_int_equal(stat("out", &st), -1); /* nothing was set, so nothing is kept */
}

/* What is set is there as a whole, or not at all; a file that was there is left empty. */
static void half_of_what_is_set_is_removed(void **state)
{
    struct rlimit before, little;
    struct stat st;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = (struct rlimit){.rlim_cur = 2, .rlim_max = before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    for (unsigned was_there = 0; was_there < 2; was_there++) {
        struct stasis_output *output;

        if (was_there)
            output_put_file("out", "old");
        output = output_opened(NULL, "out", STASIS_OUTPUT_ANY);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
        assert_int_equal(stasis_output_set(output, "half", 4, NULL), STASIS_ERR_WRITE);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        stasis_output_close(output);
        assert_int_equal(stat("out", &st), was_there ? 0 : -1);
        assert_true(!was_there || !st.st_size);
    }
}

static struct stasis_output *replaced(const char *path)
{
    return output_opened(NULL, path, STASIS_OUTPUT_REPLACED);
}

static void replaced_with(const char *text)
{
    struct stasis_output *output = replaced("out");

    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(stasis_output_put(output, text, strlen(text), 0, NULL), 0);
    assert_int_equal(stasis_output_commit(output, false, NULL), 0);
    stasis_output_close(output);
    output_assert_file("out", text);
    assert_int_equal(folder_entries("."), 1);
}

static void output_begun_twice_is_refused(void **state)
{
    struct stasis_output *output = replaced("out");
    struct stasis_error err = {0};

    (void)state;
    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(stasis_output_begin(output, &err), STASIS_ERR_ARG);
    assert_string_equal(err.msg, "it is not replaced, or begun already");
    stasis_output_close(output);
    output = output_opened(NULL, "out", STASIS_OUTPUT_IN_PLACE);
    assert_int_equal(stasis_output_begin(output, &err), STASIS_ERR_ARG);
    stasis_output_close(output);
    assert_int_equal(folder_entries("."), 0);
}

static void a_file_that_cannot_be_named_later_has_a_name(void **state)
{
    (void)state;
    break_it(LINK, 1, ENOENT); /* a jail without /proc */
    replaced_with("new");
    assert_int_equal(broken.seen, 1); /* it is renamed */
    break_it(CHMOD, 1, EPERM);
    for (unsigned i = 0; i < 2; i++) {
        struct stasis_output *output = replaced("out");
        struct stasis_error err = {0};

        assert_int_equal(stasis_output_begin(output, &err), i ? 0 : STASIS_ERR_WRITE);
        assert_true(i || !strcmp(err.msg, "setting its mode: Operation not permitted"));
        stasis_output_close(output);
    }
    output_assert_file("out", "new");
    assert_int_equal(folder_entries("."), 1);
}

/* Every temporary name is taken; the first link asks whether there can be one. */
static void names_that_are_taken(void **state)
{
    static const struct {
        int error;
        unsigned count;
    } cases[] = {{EEXIST, 1 + 1 + 16}, {EIO, 1 + 1}};

    (void)state;
    output_put_file("out", "old");
    for (size_t i = 0; i < 2; i++) {
        struct stasis_output *output = replaced("out");
        struct stasis_error err = {0};

        break_it(NONE, 0, 0);
        assert_int_equal(stasis_output_begin(output, NULL), 0);
        break_some(LINK, 1, 99, cases[i].error);
        assert_int_equal(stasis_output_commit(output, false, &err), STASIS_ERR_WRITE);
        assert_int_equal(broken.seen, cases[i].count - 1);
        assert_non_null(strstr(err.msg, "giving the new file its name: "));
        assert_int_equal(err.os_errno, cases[i].error);
        assert_string_equal(stasis_output_state(output), "the old file is whole");
        stasis_output_close(output);
        assert_int_equal(folder_entries("."), 1);
        output_assert_file("out", "old");
    }
    break_some(LINK, 2, 5, EEXIST); /* the next one is free */
    replaced_with("new");
    assert_int_equal(broken.seen, 6);
}

static void no_random_name(void **state)
{
    struct stasis_output *output;
    struct stasis_error err = {0};

    (void)state;
    output_put_file("out", "old");
    output = replaced("out");
    assert_int_equal(stasis_output_begin(output, NULL), 0);
    break_it(RANDOM, 1, ENOSYS);
    assert_int_equal(stasis_output_commit(output, false, &err), STASIS_ERR_IO);
    assert_non_null(strstr(err.msg, "random bytes for a temporary name: "));
    stasis_output_close(output);
    output_assert_file("out", "old");
    assert_int_equal(folder_entries("."), 1);
}

/* ---- what a process reads and writes ---- */

static void inputs_that_cannot_be_noted(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_error err = {0};
    int fd;

    (void)state;
    output_put_file("in", "input");
    fd = open("in", O_RDONLY | O_CLOEXEC);
    break_it(STAT, 1, EIO);
    assert_int_equal(stasis_outputs_add_input(outputs, fd, "X", &err), STASIS_ERR_READ);
    assert_says(&err, "asking what it is", EIO);
    break_it(REALLOC, 1, ENOMEM);
    assert_int_equal(stasis_outputs_add_input(outputs, fd, "X", &err), STASIS_ERR_NOMEM);
    assert_string_equal(err.msg, "no memory to note a file");
    break_it(STAT, 1, EIO);
    assert_int_equal(stasis_outputs_add_written(outputs, fd, "X", &err), STASIS_ERR_READ);
    assert_says(&err, "asking what it is", EIO);
    break_it(REALLOC, 1, ENOMEM);
    assert_int_equal(stasis_outputs_add_written(outputs, fd, "X", &err), STASIS_ERR_NOMEM);
    break_it(NONE, 0, 0);
    stasis_output_close(output_opened(outputs, "in", STASIS_OUTPUT_IN_PLACE)); /* it was not */
    assert_int_equal(stasis_outputs_add_input(outputs, fd, "X", &err), 0);
    output_refused(outputs, "in", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG, "the same file as X");
    assert_int_equal(stasis_outputs_add_input(NULL, fd, "X", &err), 0);
    close(fd);
    stasis_outputs_free(outputs);
    stasis_outputs_free(NULL);
}

static void standard_streams_that_are_closed(void **state)
{
    struct stasis_outputs *outputs;

    (void)state;
    for (unsigned at = 1; at <= 3; at++) {
        break_it(REALLOC, at, ENOMEM);
        assert_null(stasis_outputs_new());
        assert_int_equal(broken.seen, at);
    }
    break_it(CALLOC, 1, ENOMEM);
    assert_null(stasis_outputs_new());
    break_it(STAT, 1, EBADF); /* as fstat(0) says */
    outputs = stasis_outputs_new();
    assert_non_null(outputs);
    assert_int_equal(broken.seen, 3); /* the others are noted */
    stasis_outputs_free(outputs);
}

static void outputs_without_memory(void **state)
{
    struct stasis_output *output = NULL;
    struct stasis_error err = {0};

    (void)state;
    break_it(CALLOC, 1, ENOMEM);
    output_refused(NULL, "out", STASIS_OUTPUT_ANY, STASIS_ERR_NOMEM, "no memory to open it");
    break_it(CALLOC, 1, ENOMEM);
    assert_int_equal(stasis_output_open_temporary(&output, &err), STASIS_ERR_NOMEM);
    assert_string_equal(err.msg, "no memory to open a temporary file");
    assert_null(output);
    assert_int_equal(folder_entries("."), 0);
}

/* ---- temporary files, and what a header needs ---- */

static void temporary_files_go_where_they_can(void **state)
{
    struct stasis_output *output = NULL;
    struct stasis_error err = {0};
    char longest[4096];

    (void)state;
    unsetenv("TMPDIR");
    break_it(OPEN, 1, EOPNOTSUPP); /* a file system without O_TMPFILE */
    assert_int_equal(stasis_output_open_temporary(&output, NULL), 0);
    assert_int_equal(broken.seen, 2);
    stasis_output_close(output);
    break_some(OPEN, 1, 2, EROFS);
    assert_int_equal(stasis_output_open_temporary(&output, NULL), 0); /* /var/tmp */
    assert_int_equal(broken.seen, 3);
    stasis_output_close(output);
    break_some(OPEN, 1, 9, EROFS);
    assert_int_equal(stasis_output_open_temporary(&output, &err), STASIS_ERR_WRITE);
    assert_non_null(
        strstr(err.msg, "cannot make a temporary file in /tmp or /var/tmp (set TMPDIR"));
    assert_int_equal(broken.seen, 4);
    break_it(RANDOM, 1, ENOSYS);
    assert_int_equal(stasis_output_open_temporary(&output, NULL), 0); /* needs no name */
    stasis_output_close(output);

    assert_int_equal(setenv("TMPDIR", ".", 1), 0);
    break_some(OPEN, 1, 9, EROFS);
    assert_int_equal(stasis_output_open_temporary(&output, &err), STASIS_ERR_WRITE);
    assert_non_null(strstr(err.msg, "cannot make a temporary file in . (set TMPDIR"));
    assert_int_equal(broken.seen, 2); /* and in no other folder */
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(setenv("TMPDIR", longest, 1), 0);
    break_it(NONE, 0, 0);
    assert_int_equal(stasis_output_open_temporary(&output, &err), STASIS_ERR_WRITE);
    assert_int_equal(err.os_errno, ENAMETOOLONG);
    unsetenv("TMPDIR");
    assert_int_equal(folder_entries("."), 0);
}

static void a_header_needs_randomness_and_the_time(void **state)
{
    const uint8_t uuid[STASIS_UUID_SIZE] = {1};
    const uint64_t when = 1;
    struct stasis_save_opts opts = {.size = sizeof(opts), .uuid = uuid};
    struct stasis_error err = {0};
    struct built built;

    (void)state;
    built_small(&built);
    break_it(TIME, 1, EINVAL);
    assert_int_equal(stasis_snap_save(built.snap, "out", &opts, NULL, &err), STASIS_ERR_IO);
    assert_non_null(strstr(err.msg, "the time for the header: Invalid argument"));
    opts = (struct stasis_save_opts){.size = sizeof(opts), .created_ns = &when};
    break_it(RANDOM, 1, ENOSYS);
    assert_int_equal(stasis_snap_save(built.snap, "out", &opts, NULL, &err), STASIS_ERR_IO);
    assert_non_null(strstr(err.msg, "random bytes for the header: Function not implemented"));
    assert_int_equal(folder_entries("."), 0);
    opts.uuid = uuid;
    break_it(TIME, 1, EINVAL); /* nobody asks */
    assert_int_equal(stasis_snap_save(built.snap, "out", &opts, NULL, &err), 0);
    assert_int_equal(broken.seen, 0);
    built_fini(&built);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(output_whose_kind_cannot_be_asked_is_refused),
        CASE(an_output_that_cannot_be_read),
        CASE(a_folder_that_cannot_be_listed),
        CASE(links_that_cannot_be_followed),
        CASE(a_long_way_through_links),
        CASE(an_own_descriptor_that_cannot_be_asked),
        CASE(others_files_in_sticky_folders_stay),
        CASE(root_may_replace_in_sticky_folders),
        CASE(writing_fails),
        CASE(half_of_what_is_set_is_removed),
        CASE(output_begun_twice_is_refused),
        CASE(a_file_that_cannot_be_named_later_has_a_name),
        CASE(names_that_are_taken),
        CASE(no_random_name),
        CASE(inputs_that_cannot_be_noted),
        CASE(standard_streams_that_are_closed),
        CASE(outputs_without_memory),
        CASE(temporary_files_go_where_they_can),
        CASE(a_header_needs_randomness_and_the_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
