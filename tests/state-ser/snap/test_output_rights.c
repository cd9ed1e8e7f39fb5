/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The gate for outputs with the rights of others, and names that somebody exchanges at the wrong
 * moment.
 */
#include "tests/state-ser/snap/output_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/descriptors.h"

#define NOBODY 65534

/* A switch in /proc/sys/fs that a case has turned on, locked against the same case of another
 * build. */
static struct {
    int fd; /* or 0 */
    char before;
} turned;

static bool turn(char value)
{
    return pwrite(turned.fd, &value, 1, 0) == 1;
}

static int turn_back(void)
{
    int rc = turned.fd && !turn(turned.before);

    if (turned.fd)
        close(turned.fd);
    turned.fd = 0;
    return rc;
}

/* Skips where this machine does not let us. */
static void turn_on(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd > 0 && !flock(fd, LOCK_EX) && pread(fd, &turned.before, 1, 0) == 1) {
        turned.fd = fd;
        if (turned.before != '0' || turn('1'))
            return;
    }
    print_message("skipped: %s is off and cannot be turned on here\n", path);
    skip();
}

static int teardown(void **state)
{
    int rc = turn_back();

    return output_teardown(state) || rc;
}

/* Between the check of a name and its opening somebody may put another file there; so what was
 * opened is checked. mkfifo(2) is the last step before a pipe is opened. */
int __real_mkfifoat(int dir, const char *name, mode_t mode);
int __wrap_mkfifoat(int dir, const char *name, mode_t mode);
static const char *exchange_with;

int __wrap_mkfifoat(int dir, const char *name, mode_t mode)
{
    int rc = __real_mkfifoat(dir, name, mode);

    if (exchange_with)
        assert_int_equal(renameat(AT_FDCWD, exchange_with, dir, name), 0);
    return rc;
}

static void a_file_is_exchanged_before_the_open(void **state)
{
    (void)state;
    output_put_file("in", "input");
    exchange_with = "in";
    output_refused(NULL, "pipe", STASIS_OUTPUT_PIPE, STASIS_ERR_ARG, "not a pipe");
    exchange_with = NULL;
    output_assert_file("pipe", "input");
}

/* The same between two opens of one name; and what an open may fail by. */
int __real_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
static struct {
    const char *exchanged; /* once this name is open for writing, `with` takes it */
    const char *with;
    const char *fails; /* opens of paths that begin so */
    int error;
} opens;

int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode)
{
    int fd;

    if (opens.fails && !strncmp(path, opens.fails, strlen(opens.fails))) {
        errno = opens.error;
        return -1;
    }
    fd = __real_stasis_io_open(dir, path, flags, mode);
    if (fd >= 0 && opens.exchanged && !strcmp(path, opens.exchanged) && flags & O_WRONLY)
        assert_int_equal(rename(opens.with, opens.exchanged), 0);
    return fd;
}

#define SNAPSHOT "\x89STASIS\nand more"

/* What was opened counts, not what has taken its name since. */
static void a_file_is_exchanged_between_two_opens(void **state)
{
    (void)state;
    for (int jail = 0; jail < 2; jail++) {
        output_put_file("snap", SNAPSHOT);
        output_put_file("other", "other");
        assert_int_equal(link("snap", "out"), 0);
        opens.exchanged = "out";
        opens.with = "other";
        opens.fails = jail ? "/proc/self/fd" : NULL;
        opens.error = ENOENT;
        output_refused(NULL, "out", STASIS_OUTPUT_ANY, STASIS_ERR_ARG,
                       jail ? "exchanged while it was opened" : "it is a snapshot");
        memset(&opens, 0, sizeof(opens));
        output_assert_file("snap", SNAPSHOT);
        output_assert_file("out", "other");
        assert_int_equal(unlink("out"), 0);
    }
}

/* Files and FIFOs that were made are removed by whoever fails behind that. */
static void new_file_of_a_failed_open_is_removed(void **state)
{
    (void)state;
    opens.fails = "pipe"; /* too many open files, for one */
    opens.error = EMFILE;
    output_refused(NULL, "pipe", STASIS_OUTPUT_PIPE, STASIS_ERR_WRITE, strerror(EMFILE));
    memset(&opens, 0, sizeof(opens));
    assert_int_equal(folder_entries("."), 0);
}

/* The last moment at which a file can appear under the name of one that is replaced. */
int __real_stasis_io_link(int fd, int dir, const char *name);
int __wrap_stasis_io_link(int fd, int dir, const char *name);
static const char *appears; /* before the new file gets this name */

int __wrap_stasis_io_link(int fd, int dir, const char *name)
{
    if (appears && !strcmp(name, appears))
        output_put_file(name, SNAPSHOT);
    return __real_stasis_io_link(fd, dir, name);
}

static void commit_refused(struct stasis_output *output)
{
    struct stasis_error err = {0};

    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(stasis_output_commit(output, true, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "it is a snapshot"));
    stasis_output_close(output);
    output_assert_file("out", SNAPSHOT);
    assert_int_equal(folder_entries("."), 1);
    assert_int_equal(unlink("out"), 0);
}

/* What is no snapshot replaces none, whenever that came. */
static void a_snapshot_appears_before_the_commit(void **state)
{
    struct stasis_output *output;

    (void)state;
    output = output_opened(NULL, "out", STASIS_OUTPUT_REPLACED);
    output_put_file("out", SNAPSHOT);
    commit_refused(output);
    output_put_file("out", "old");
    output = output_opened(NULL, "out", STASIS_OUTPUT_REPLACED);
    output_put_file("out", SNAPSHOT);
    commit_refused(output);
}

static void a_snapshot_appears_in_the_commit(void **state)
{
    struct stasis_output *output = output_opened(NULL, "out", STASIS_OUTPUT_REPLACED);

    (void)state;
    appears = "out";
    commit_refused(output);
    appears = NULL;
}

/* ---- with the rights of others ---- */

static void as_nobody(void (*body)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY))
            _exit(2);
        body();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void leave_links(void)
{
    if (symlink("../target", "tmp/link") || symlink("../none", "tmp/dangling") ||
        mkfifo("tmp/fifo", 0666))
        _exit(3);
}

static void need_root(void)
{
    if (getuid() != 0) {
        print_message("skipped: only root can act as another user\n");
        skip();
    }
}

static void sticky_folder(void)
{
    need_root();
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(mkdir("tmp", 0700), 0);
    assert_int_equal(chmod("tmp", 01777), 0);
    as_nobody(leave_links);
    output_put_file("target", "precious");
}

/* Root writes to a folder like /tmp where another user has left a link. */
static void the_kernel_judges_links(void **state)
{
    (void)state;
    sticky_folder();
    turn_on("/proc/sys/fs/protected_symlinks");
    output_refused(NULL, "tmp/link", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "Permission denied");
    output_refused(NULL, "tmp/link", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_WRITE, "Permission denied");
    output_refused(NULL, "tmp/link", STASIS_OUTPUT_ANY, STASIS_ERR_WRITE, "Permission denied");
    output_refused(NULL, "tmp/dangling", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE,
                   "Permission denied");
    output_assert_file("target", "precious");
}

static void another_users_dangling_link_is_not_followed(void **state)
{
    struct stasis_output *output = NULL;

    (void)state;
    sticky_folder();
    assert_true(output_open_as(NULL, "tmp/dangling", STASIS_OUTPUT_REPLACED, &output, NULL) < 0);
    assert_int_not_equal(access("none", F_OK), 0);
}

static void write_by_own_link(void)
{
    struct stasis_output *output = NULL;

    if (symlink("none", "tmp/own") ||
        output_open_as(NULL, "tmp/own", STASIS_OUTPUT_REPLACED, &output, NULL) != STASIS_ERR_ARG)
        _exit(4);
}

/* In a user namespace all that have no number there are this user. */
static void dangling_link_of_nobody_is_nobodys(void **state)
{
    (void)state;
    sticky_folder();
    as_nobody(write_by_own_link);
    assert_int_equal(unlink("tmp/own"), 0);
}

static void the_kernel_judges_fifos(void **state)
{
    (void)state;
    sticky_folder();
    turn_on("/proc/sys/fs/protected_fifos");
    output_refused(NULL, "tmp/fifo", STASIS_OUTPUT_PIPE, STASIS_ERR_WRITE, "Permission denied");
}

static void write_where_nobody_may(void)
{
    struct stasis_output *output = NULL;

    if (output_open_as(NULL, "tmp/roots", STASIS_OUTPUT_REPLACED, &output, NULL) !=
        STASIS_ERR_WRITE)
        _exit(4);
    if (output_open_as(NULL, "out", STASIS_OUTPUT_ANY, &output, NULL) != STASIS_ERR_WRITE)
        _exit(5);
    if (output_open_as(NULL, "out", STASIS_OUTPUT_REPLACED, &output, NULL))
        _exit(6);
    if (stasis_output_probe(output, NULL) != STASIS_ERR_WRITE)
        _exit(7);
}

static void rights_that_are_missing(void **state)
{
    (void)state;
    sticky_folder();
    output_put_file("tmp/roots", "root's");
    as_nobody(write_where_nobody_may);
    output_assert_file("tmp/roots", "root's");
}

static void write_where_nothing_is_listed(void)
{
    struct stasis_output *output = NULL;

    if (output_open_as(NULL, "drop/out", STASIS_OUTPUT_REPLACED, &output, NULL))
        _exit(4);
    if (stasis_output_begin(output, NULL) || stasis_output_put(output, "new", 3, 0, NULL) ||
        stasis_output_commit(output, true, NULL))
        _exit(5);
    stasis_output_close(output);
    if (output_open_as(NULL, "drop/any", STASIS_OUTPUT_ANY, &output, NULL))
        _exit(6);
    stasis_output_close(output);
}

static void a_folder_that_may_not_be_read(void **state)
{
    (void)state;
    need_root();
    assert_int_equal(chmod(".", 0755), 0);
    assert_int_equal(mkdir("drop", 0700), 0);
    assert_int_equal(chmod("drop", 0733), 0);
    as_nobody(write_where_nothing_is_listed);
    output_assert_file("drop/out", "new");
}

/* One disk, two nodes. */
static void a_block_device_is_found(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stat st;
    int fd, node;

    (void)state;
    need_root();
    fd = open("/dev/loop0", O_PATH);
    if (fd < 0 || fstat(fd, &st) || mknod("node", S_IFBLK | 0600, st.st_rdev) ||
        stasis_outputs_add_input(outputs, fd, "the disk", NULL)) {
        print_message("skipped: there is no loop device here\n");
        if (fd >= 0)
            close(fd);
        stasis_outputs_free(outputs);
        skip();
    }
    node = open("node", O_WRONLY);
    if (node < 0) {
        print_message("skipped: a device node does not work here\n");
        close(fd);
        stasis_outputs_free(outputs);
        skip();
    }
    close(node);
    output_refused(outputs, "node", STASIS_OUTPUT_ANY, STASIS_ERR_ARG, "the same file as the disk");
    close(fd);
    stasis_outputs_free(outputs);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, output_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_file_is_exchanged_before_the_open),
        CASE(a_file_is_exchanged_between_two_opens),
        CASE(new_file_of_a_failed_open_is_removed),
        CASE(a_snapshot_appears_before_the_commit),
        CASE(a_snapshot_appears_in_the_commit),
        CASE(the_kernel_judges_links),
        CASE(another_users_dangling_link_is_not_followed),
        CASE(dangling_link_of_nobody_is_nobodys),
        CASE(the_kernel_judges_fifos),
        CASE(rights_that_are_missing),
        CASE(a_folder_that_may_not_be_read),
        CASE(a_block_device_is_found),
    };
    const int before = descriptors_open();

    return descriptors_kept(before, cmocka_run_group_tests(tests, NULL, NULL));
}
