/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The gate for outputs: no output destroys a file in use, whatever the names; links are followed as
 * the kernel allows; nothing waits.
 */
#include "tests/state-ser/snap/fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stasis/output.h"

#define NOBODY 65534

static char before[256];

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

/* Every case runs in a folder of its own. */
static int setup(void **state)
{
    (void)state;
    return !getcwd(before, sizeof(before)) || chdir(folder_make());
}

static int teardown(void **state)
{
    int rc = turn_back();

    (void)state;
    if (chdir(before))
        return 1;
    folder_remove();
    return rc;
}

static void put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void assert_file(const char *path, const char *text)
{
    struct image image = image_read(path);

    assert_int_equal(image.len, strlen(text));
    assert_memory_equal(image.bytes, text, image.len);
    image_fini(&image);
}

static int open_as(struct stasis_outputs *outputs, const char *path, enum stasis_output_kind kind,
                   struct stasis_output **ret_output, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts), .kind = kind, .role = "B"};

    return stasis_output_open(outputs, path, &opts, ret_output, err);
}

static struct stasis_output *opened(struct stasis_outputs *outputs, const char *path,
                                    enum stasis_output_kind kind)
{
    struct stasis_error err = {0};
    struct stasis_output *output = NULL;

    if (open_as(outputs, path, kind, &output, &err))
        fail_msg("%s: %s", path, err.msg);
    return output;
}

static void refused(struct stasis_outputs *outputs, const char *path, enum stasis_output_kind kind,
                    int code, const char *words)
{
    struct stasis_error err = {0};
    struct stasis_output *output = NULL;
    int rc = open_as(outputs, path, kind, &output, &err);

    if (rc != code || !strstr(err.msg, words))
        fail_msg("%s, kind %d: %d \"%s\", expected %d \"%s\"", path, kind, rc, err.msg, code,
                 words);
    assert_null(output);
}

static void refused_as_any(struct stasis_outputs *outputs, const char *path, const char *words)
{
    static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_REPLACED, STASIS_OUTPUT_IN_PLACE,
                                                    STASIS_OUTPUT_ANY};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        refused(outputs, path, kinds[i], STASIS_ERR_ARG, words);
}

static void an_input_is_found_by_any_name(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    char by_fd[40];
    int fd;

    (void)state;
    put_file("in", "input");
    assert_int_equal(link("in", "hard"), 0);
    assert_int_equal(symlink("in", "soft"), 0);
    assert_int_equal(mkdir("sub", 0700), 0);
    assert_int_equal(symlink("../soft", "sub/soft"), 0);
    assert_int_equal(stasis_outputs_open_input(outputs, "in", "the input", &fd, NULL), 0);
    refused_as_any(outputs, "in", "the same file as the input");
    refused_as_any(outputs, "./sub/../in", "the same file as the input");
    refused_as_any(outputs, "hard", "the same file as the input");
    refused_as_any(outputs, "sub/soft", "the same file as the input");
    snprintf(by_fd, sizeof(by_fd), "/dev/fd/%d", fd);
    refused_as_any(outputs, by_fd, "the same file as the input");
    snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
    refused_as_any(outputs, by_fd, "the same file as the input");
    assert_file("in", "input");
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
    put_file("in", "input");
    assert_int_equal(stasis_outputs_add_input_path(outputs, "none", "X", NULL), 0);
    assert_int_equal(stasis_outputs_add_input_path(outputs, "in", "X", NULL), 0);
    refused_as_any(outputs, "in", "the same file as X");
    output = opened(outputs, "out", STASIS_OUTPUT_IN_PLACE);
    assert_int_equal(stasis_outputs_add_input_path(outputs, "out", "X", &err), STASIS_ERR_ARG);
    stasis_output_close(output);
    stasis_outputs_free(outputs);
}

static void what_was_made_and_not_kept_is_removed(void **state)
{
    static const enum stasis_output_kind kinds[] = {STASIS_OUTPUT_IN_PLACE, STASIS_OUTPUT_PIPE,
                                                    STASIS_OUTPUT_ANY};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct stasis_output *output = opened(NULL, "made", kinds[i]);

        stasis_output_close(output);
        assert_int_not_equal(access("made", F_OK), 0);
        output = opened(NULL, "made", kinds[i]);
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
                put_file("out", "old");
            output = opened(outputs, "out", kinds[i]);
            refused_as_any(outputs, "sub/../out", "the same file as B");
            stasis_output_close(output);
            if (there)
                assert_file("out", "old");
            unlink("out");
        }
    }
    assert_int_equal(folder_entries("."), 1); /* nothing was left behind by what was refused */
    stasis_outputs_free(outputs);
}

/* What the output is to be was handed over for it, and is no other file. */
static void a_descriptor_of_its_own(void **state)
{
    int saved = dup(STDERR_FILENO);
    struct stasis_outputs *outputs;
    struct stasis_output *output;

    (void)state;
    put_file("err", "before ");
    fflush(stderr);
    dup2(open("err", O_WRONLY | O_APPEND), STDERR_FILENO);
    outputs = stasis_outputs_new();
    refused(outputs, "err", STASIS_OUTPUT_ANY, STASIS_ERR_ARG, "standard error");
    output = opened(outputs, "/dev/stderr", STASIS_OUTPUT_ANY);
    assert_int_equal(stasis_output_set(output, "mine", 4, NULL), 0);
    stasis_output_close(output);
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_file("err", "before mine");
    stasis_outputs_free(outputs);
}

static void devices_and_pipes_are_shared(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_output *a;
    struct stasis_output *b;

    (void)state;
    a = opened(outputs, "/dev/null", STASIS_OUTPUT_ANY);
    b = opened(outputs, "/dev/null", STASIS_OUTPUT_ANY);
    assert_int_equal(stasis_output_set(a, "x", 1, NULL), 0);
    stasis_output_close(a);
    stasis_output_close(b);
    a = opened(outputs, "pipe", STASIS_OUTPUT_PIPE);
    b = opened(outputs, "pipe", STASIS_OUTPUT_PIPE);
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
    refused(NULL, "fifo", STASIS_OUTPUT_ANY, STASIS_ERR_ARG, "start its reader first");
    refused(NULL, "fifo", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG, "not a regular file");
    refused(NULL, "fifo", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "not a regular file");
    reader = open("fifo", O_RDONLY | O_NONBLOCK);
    output = opened(NULL, "fifo", STASIS_OUTPUT_ANY);
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
    put_file("in", "input");
    assert_int_equal(stasis_outputs_open_input(outputs, "in", "the input", &fd, NULL), 0);
    close(fd);
    output = opened(outputs, "out", STASIS_OUTPUT_REPLACED);
    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(rename("in", "out"), 0);
    assert_int_equal(stasis_output_commit(output, true, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "the same file as the input"));
    stasis_output_cancel(output);
    assert_file("out", "input");
    assert_int_equal(rename("out", "in"), 0);
    assert_int_equal(mkfifo("out", 0600), 0);
    assert_int_equal(stasis_output_begin(output, NULL), 0);
    assert_int_equal(stasis_output_commit(output, true, &err), STASIS_ERR_ARG);
    stasis_output_close(output);
    assert_int_equal(folder_entries("."), 2);
    stasis_outputs_free(outputs);
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
    put_file("in", "input");
    exchange_with = "in";
    refused(NULL, "pipe", STASIS_OUTPUT_PIPE, STASIS_ERR_ARG, "not a pipe");
    exchange_with = NULL;
    assert_file("pipe", "input");
}

static void the_folder_is_held(void **state)
{
    struct stasis_output *output;

    (void)state;
    assert_int_equal(mkdir("a", 0700), 0);
    output = opened(NULL, "a/out", STASIS_OUTPUT_REPLACED);
    assert_int_equal(rename("a", "b"), 0);
    assert_int_equal(mkdir("a", 0700), 0);
    for (int i = 0; i < 2; i++) { /* and it may be written many times */
        assert_int_equal(stasis_output_begin(output, NULL), 0);
        assert_int_equal(stasis_output_put(output, "new", 3, 0, NULL), 0);
        assert_int_equal(stasis_output_commit(output, false, NULL), 0);
    }
    stasis_output_close(output);
    assert_file("b/out", "new");
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
        output = opened(NULL, "two", STASIS_OUTPUT_REPLACED);
        assert_int_equal(stasis_output_begin(output, NULL), 0);
        assert_int_equal(stasis_output_put(output, "new", 3, 0, NULL), 0);
        assert_int_equal(stasis_output_commit(output, true, NULL), 0);
        stasis_output_close(output);
        assert_file("sub/real", "new");
        assert_int_equal(lstat("two", &st), 0);
        assert_true(S_ISLNK(st.st_mode));
    }
    assert_int_equal(symlink("loop", "loop"), 0);
    refused(NULL, "loop", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "too many symbolic links");
}

static void a_snapshot_is_replaced_by_snapshots_only(void **state)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts), .snapshot = true};
    struct stasis_output *output;

    (void)state;
    put_file("snap", "\x89STASIS\nand more");
    refused_as_any(NULL, "snap", "it is a snapshot");
    assert_file("snap", "\x89STASIS\nand more");
    assert_int_equal(stasis_output_open(NULL, "snap", &opts, &output, NULL), 0);
    stasis_output_close(output);
}

static void the_one_input_that_may_be_replaced(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stasis_output_opts opts = {.size = sizeof(opts), .over = "the guest's file"};
    struct stasis_output *output;

    (void)state;
    put_file("in", "input");
    put_file("other", "other");
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

static void what_is_known_at_once(void **state)
{
    char name[NAME_MAX + 2];

    (void)state;
    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    refused_as_any(NULL, name, "too long");
    refused_as_any(NULL, "", "empty");
    refused_as_any(NULL, "sub/", "name a file");
    assert_int_equal(mkdir("sub", 0700), 0);
    refused(NULL, "sub", STASIS_OUTPUT_REPLACED, STASIS_ERR_ARG, "not a regular file");
    refused(NULL, "sub", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_ARG, "folder");
    refused(NULL, "sub", STASIS_OUTPUT_PIPE, STASIS_ERR_ARG, "folder");
    refused(NULL, "none/out", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "No such file");
    refused(NULL, "none/out", STASIS_OUTPUT_ANY, STASIS_ERR_WRITE, "No such file");
}

static void what_was_made_for_nothing_is_removed(void **state)
{
    struct stasis_output *output;

    (void)state;
    stasis_output_close(opened(NULL, "any", STASIS_OUTPUT_ANY));
    assert_int_equal(folder_entries("."), 0);
    put_file("any", "old and long");
    stasis_output_close(opened(NULL, "any", STASIS_OUTPUT_ANY));
    assert_file("any", "old and long");
    output = opened(NULL, "any", STASIS_OUTPUT_ANY);
    assert_int_equal(stasis_output_set(output, "new", 3, NULL), 0);
    stasis_output_close(output);
    assert_file("any", "new");
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
    put_file("target", "precious");
}

/* Root writes to a folder like /tmp where another user has left a link. */
static void the_kernel_judges_links(void **state)
{
    (void)state;
    sticky_folder();
    turn_on("/proc/sys/fs/protected_symlinks");
    refused(NULL, "tmp/link", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "Permission denied");
    refused(NULL, "tmp/link", STASIS_OUTPUT_IN_PLACE, STASIS_ERR_WRITE, "Permission denied");
    refused(NULL, "tmp/link", STASIS_OUTPUT_ANY, STASIS_ERR_WRITE, "Permission denied");
    refused(NULL, "tmp/dangling", STASIS_OUTPUT_REPLACED, STASIS_ERR_WRITE, "Permission denied");
    assert_file("target", "precious");
}

static void another_users_dangling_link_is_not_followed(void **state)
{
    struct stasis_output *output = NULL;

    (void)state;
    sticky_folder();
    assert_true(open_as(NULL, "tmp/dangling", STASIS_OUTPUT_REPLACED, &output, NULL) < 0);
    assert_int_not_equal(access("none", F_OK), 0);
}

static void the_kernel_judges_fifos(void **state)
{
    (void)state;
    sticky_folder();
    turn_on("/proc/sys/fs/protected_fifos");
    refused(NULL, "tmp/fifo", STASIS_OUTPUT_PIPE, STASIS_ERR_WRITE, "Permission denied");
}

static void write_where_nobody_may(void)
{
    struct stasis_output *output = NULL;

    if (open_as(NULL, "tmp/roots", STASIS_OUTPUT_REPLACED, &output, NULL) != STASIS_ERR_WRITE)
        _exit(4);
    if (open_as(NULL, "out", STASIS_OUTPUT_ANY, &output, NULL) != STASIS_ERR_WRITE)
        _exit(5);
    if (open_as(NULL, "out", STASIS_OUTPUT_REPLACED, &output, NULL))
        _exit(6);
    if (stasis_output_probe(output, NULL) != STASIS_ERR_WRITE)
        _exit(7);
}

static void rights_that_are_missing(void **state)
{
    (void)state;
    sticky_folder();
    put_file("tmp/roots", "root's");
    as_nobody(write_where_nobody_may);
    assert_file("tmp/roots", "root's");
}

/* One disk, two nodes. */
static void a_block_device_is_found(void **state)
{
    struct stasis_outputs *outputs = stasis_outputs_new();
    struct stat st;
    int fd;

    (void)state;
    need_root();
    fd = open("/dev/loop0", O_PATH);
    if (fd < 0 || fstat(fd, &st) || mknod("node", S_IFBLK | 0600, st.st_rdev) ||
        stasis_outputs_add_input(outputs, fd, "the disk", NULL)) {
        print_message("skipped: there is no loop device here\n");
        stasis_outputs_free(outputs);
        skip();
    }
    if (access("node", W_OK) || open("node", O_WRONLY) < 0) {
        print_message("skipped: a device node does not work here\n");
        stasis_outputs_free(outputs);
        skip();
    }
    refused(outputs, "node", STASIS_OUTPUT_ANY, STASIS_ERR_ARG, "the same file as the disk");
    close(fd);
    stasis_outputs_free(outputs);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_input_is_found_by_any_name),
        CASE(an_input_may_be_named_by_its_path),
        CASE(what_was_made_and_not_kept_is_removed),
        CASE(two_outputs_to_one_file),
        CASE(a_descriptor_of_its_own),
        CASE(devices_and_pipes_are_shared),
        CASE(a_fifo_is_not_waited_for),
        CASE(a_file_is_exchanged_before_the_commit),
        CASE(a_file_is_exchanged_before_the_open),
        CASE(the_folder_is_held),
        CASE(links_lead_to_the_file),
        CASE(a_snapshot_is_replaced_by_snapshots_only),
        CASE(the_one_input_that_may_be_replaced),
        CASE(what_is_known_at_once),
        CASE(what_was_made_for_nothing_is_removed),
        CASE(the_kernel_judges_links),
        CASE(another_users_dangling_link_is_not_followed),
        CASE(the_kernel_judges_fifos),
        CASE(rights_that_are_missing),
        CASE(a_block_device_is_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
