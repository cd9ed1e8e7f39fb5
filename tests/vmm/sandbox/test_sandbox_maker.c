/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The process that makes files in folders: what it does, and what it refuses to a process that was
 * taken over.
 */
#include "maker_rig.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/sandbox/maker_message.h"

#define TEMPORARY ".stasis-0123456789abcdef.tmp"
#define FOLDERS   32

static bool is_there(const char *name)
{
    struct stat st;

    return !fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW);
}

static void make_file(const char *name)
{
    int fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "old", 3), 3);
    close(fd);
}

static void assert_holds(const char *name, const char *text)
{
    char found[16] = "";
    int fd = openat(folder_fd, name, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, found, sizeof(found) - 1), (ssize_t)strlen(text));
    assert_string_equal(found, text);
    close(fd);
}

/* ---- what it does ---- */

static void file_without_a_name_gets_one(void **state)
{
    int fd = stasis_sandbox_maker_make(folder, NULL);
    struct stat st;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(write(fd, "new", 3), 3);
    assert_int_equal(stasis_sandbox_maker_name(folder, "."), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(stasis_sandbox_maker_name(folder, "file"), 0);
    assert_holds("file", "new");
    assert_int_equal(stasis_sandbox_maker_name(folder, "file"), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(unlinkat(folder_fd, "file", 0), 0);
    close(fd);
}

static void file_with_a_temporary_name_replaces_another(void **state)
{
    int fd = stasis_sandbox_maker_make(folder, TEMPORARY);

    (void)state;
    assert_true(fd >= 0 && is_there(TEMPORARY));
    assert_int_equal(write(fd, "new", 3), 3);
    close(fd);
    assert_int_equal(stasis_sandbox_maker_make(folder, TEMPORARY), -1);
    assert_int_equal(errno, EEXIST);
    make_file("file");
    assert_int_equal(stasis_sandbox_maker_replace(folder, TEMPORARY, "file"), 0);
    assert_holds("file", "new");
    assert_int_equal(unlinkat(folder_fd, "file", 0), 0);
    fd = stasis_sandbox_maker_make(folder, TEMPORARY);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(stasis_sandbox_maker_remove(folder, TEMPORARY), 0);
    assert_false(is_there(TEMPORARY));
}

/* ---- what it refuses ---- */

static void folder_that_is_not_open_for_reading_is_refused(void **state)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int other;

    (void)state;
    assert_refused(stasis_sandbox_maker_open(maker_handle(), fd), EBADF);
    assert_refused(stasis_sandbox_maker_open(maker_handle(), -1), EBADF);
    other = stasis_sandbox_maker_open(maker_handle(), null);
    assert_true(other >= 0);
    assert_refused(stasis_sandbox_maker_make(other, NULL), ENOTDIR);
    assert_refused(stasis_sandbox_maker_make(other, TEMPORARY), ENOTDIR);
    close(other);
    close(fd);
    close(null);
}

static void nothing_but_new_and_temporary_files_is_touched(void **state)
{
    static const char *const names[] = {"file",
                                        "../.stasis-0123456789abcdef.tmp",
                                        ".stasis-/../file.tmp",
                                        ".stasis-.tmp",
                                        ".stasis-0123456789abcdef",
                                        ".",
                                        "..",
                                        "/etc/passwd"};
    char long_name[300];

    (void)state;
    make_file("file");
    assert_refused(stasis_sandbox_maker_name(folder, "file"), EPERM); /* nothing is made */
    assert_int_equal(close(stasis_sandbox_maker_make(folder, NULL)), 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_refused(stasis_sandbox_maker_make(folder, names[i]), EPERM);
        assert_refused(stasis_sandbox_maker_replace(folder, names[i], "new"), EPERM);
        assert_refused(stasis_sandbox_maker_remove(folder, names[i]), EPERM);
    }
    assert_refused(stasis_sandbox_maker_name(folder, "../file"), EPERM);
    assert_refused(stasis_sandbox_maker_name(folder, ""), EPERM);
    assert_refused(stasis_sandbox_maker_replace(folder, TEMPORARY, "../file"), EPERM);
    memset(long_name, 'a', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
    assert_refused(stasis_sandbox_maker_name(folder, long_name), ENAMETOOLONG);
    assert_holds("file", "old");
    assert_int_equal(unlinkat(folder_fd, "file", 0), 0);
}

/* A link in place of the temporary file is not followed. */
static void link_with_a_temporary_name_is_not_followed(void **state)
{
    (void)state;
    assert_int_equal(symlinkat("/tmp/stasis-test-nowhere", folder_fd, TEMPORARY), 0);
    assert_refused(stasis_sandbox_maker_make(folder, TEMPORARY), EEXIST);
    assert_int_equal(stasis_sandbox_maker_remove(folder, TEMPORARY), 0);
}

/* Their sender loses its folder, and nobody else. */
static void requests_that_are_none_end_their_folder(void **state)
{
    struct stasis_maker_request request = {.what = STASIS_MAKER_NAME};
    char byte;
    int other = stasis_sandbox_maker_open(maker_handle(), folder_fd);

    (void)state;
    request.what = 77;
    assert_int_equal(stasis_maker_send(other, &request, sizeof(request), &folder_fd, 1), 0);
    assert_int_equal(recv(other, &byte, 1, 0), 1); /* that it is not permitted */
    memset(&request, 'a', sizeof(request));
    assert_int_equal(stasis_maker_send(other, &request, sizeof(request), NULL, 0), 0);
    assert_int_equal(recv(other, &byte, 1, 0), 0);
    close(other);
    other = stasis_sandbox_maker_open(maker_handle(), folder_fd);
    assert_int_equal(stasis_maker_send(other, &request, 5, NULL, 0), 0);
    assert_int_equal(recv(other, &byte, 1, 0), 0);
    close(other);
    assert_int_equal(stasis_maker_send(maker.fd, "", 1, NULL, 0), 0);
    assert_int_equal(stasis_maker_send(maker.fd, "", 1, &folder_fd, 1), 0);
    other = stasis_sandbox_maker_make(folder, NULL);
    assert_true(other >= 0);
    close(other);
}

static void folders_are_limited(void **state)
{
    int folders[FOLDERS];
    int other;

    (void)state;
    for (int i = 1; i < FOLDERS; i++) { /* one is open already */
        folders[i] = stasis_sandbox_maker_open(maker_handle(), folder_fd);
        assert_true(folders[i] >= 0);
    }
    assert_refused(stasis_sandbox_maker_open(maker_handle(), folder_fd), EAGAIN);
    for (int i = 1; i < FOLDERS; i++)
        close(folders[i]);
    do { /* their processes end */
        other = stasis_sandbox_maker_open(maker_handle(), folder_fd);
    } while (other < 0 && errno == EAGAIN);
    assert_true(other >= 0);
    close(other);
}

/* ---- the name that it removes ---- */

static size_t count_descriptors(pid_t pid)
{
    char name[64];
    size_t count = 0;
    DIR *list;

    snprintf(name, sizeof(name), "/proc/%d/fd", (int)pid);
    list = opendir(name);
    assert_non_null(list);
    for (const struct dirent *entry; (entry = readdir(list));)
        count += entry->d_name[0] != '.';
    closedir(list);
    return count;
}

/* What it was sent it closes after the answer. */
static void assert_holds_descriptors(pid_t pid, size_t count)
{
    for (int tries = 0; count_descriptors(pid) != count && tries < 60000; tries++)
        poll(NULL, 0, 1);
    assert_int_equal(count_descriptors(pid), count);
}

/* A maker that removes the name, which is that of the file with the number less `other`. */
static void start_remover(struct stasis_sandbox_maker *remover, const char *name, ino_t other)
{
    struct stasis_sandbox_maker_opts opts = {.dir = open(path, O_PATH | O_CLOEXEC), .name = name};
    struct stat st;

    assert_int_equal(fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    opts.dev = st.st_dev;
    opts.ino = st.st_ino - other;
    assert_int_equal(stasis_sandbox_maker_start(&opts, remover, NULL), 0);
    close(opts.dir);
}

static void name_is_removed_at_the_end(void **state)
{
    struct stasis_sandbox_maker remover;

    (void)state;
    make_file("file");
    start_remover(&remover, "file", 0);
    assert_refused(stasis_sandbox_maker_open((void *)(intptr_t)remover.fd, folder_fd), EAGAIN);
    assert_holds_descriptors(remover.pid, 3); /* and the folder of the name */
    assert_true(is_there("file"));
    assert_true(stasis_sandbox_maker_stop(&remover, 60000));
    assert_false(is_there("file"));
}

static void send_order(const struct stasis_sandbox_maker *to, char order, size_t count)
{
    const int fds[STASIS_MAKER_FDS_MAX] = {folder_fd, folder_fd};

    assert_int_equal(stasis_maker_send(to->fd, &order, 1, fds, count), 0);
}

/* A request may lose its descriptors on the way. */
static void name_stays_whatever_else_is_asked(void **state)
{
    struct stasis_sandbox_maker remover;

    (void)state;
    make_file("file");
    start_remover(&remover, "file", 0);
    send_order(&remover, STASIS_MAKER_SERVE, 0);
    send_order(&remover, STASIS_MAKER_SERVE, 1);
    send_order(&remover, '\0', 0);
    send_order(&remover, 'x', 2);
    assert_refused(stasis_sandbox_maker_open((void *)(intptr_t)remover.fd, folder_fd), EAGAIN);
    assert_true(is_there("file"));
    assert_holds_descriptors(remover.pid, 3);
    assert_true(stasis_sandbox_maker_stop(&remover, 60000));
    assert_false(is_there("file"));
}

static void name_of_another_file_stays(void **state)
{
    struct stasis_sandbox_maker remover;

    (void)state;
    make_file("file");
    start_remover(&remover, "file", 1);
    assert_true(stasis_sandbox_maker_stop(&remover, 60000));
    assert_true(is_there("file"));
    start_remover(&remover, "file", 0); /* that of a process which has died, and said nothing */
    close(remover.fd);
    assert_int_equal(waitpid(remover.pid, NULL, 0), remover.pid);
    assert_true(is_there("file"));
    assert_int_equal(unlinkat(folder_fd, "file", 0), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, maker_set_up, maker_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(file_without_a_name_gets_one),
        CASE(file_with_a_temporary_name_replaces_another),
        CASE(folder_that_is_not_open_for_reading_is_refused),
        CASE(nothing_but_new_and_temporary_files_is_touched),
        CASE(link_with_a_temporary_name_is_not_followed),
        CASE(requests_that_are_none_end_their_folder),
        CASE(folders_are_limited),
        CASE(name_is_removed_at_the_end),
        CASE(name_stays_whatever_else_is_asked),
        CASE(name_of_another_file_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
