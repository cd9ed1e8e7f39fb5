/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The name of a descriptor, with and without /proc. Each case that changes its root is a child.
 */
#include "stasis/fd_path.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka_all.h"

#define CANNOT 100

static char folder[] = "/tmp/test_fd_path.XXXXXX";
static int fd; /* of the folder */
static char path[STASIS_FD_PATH_MAX];

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    fd = open(folder, O_PATH | O_CLOEXEC);
    return fd < 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(fd);
    return rmdir(folder);
}

static void is_in_proc(void **state)
{
    struct stat st, named;

    (void)state;
    stasis_fd_path(fd, path);
    assert_int_equal(strncmp(path, "/proc/self/fd/", 14), 0);
    assert_int_equal(stat(path, &named) || fstat(fd, &st), 0);
    assert_int_equal(named.st_ino, st.st_ino);
    stasis_fd_path(-1, path);
    assert_string_equal(path, "/proc/self/fd/-1");
}

/* ---- without /proc ---- */

static bool loses_proc(const char *works_in)
{
    return (!geteuid() || !unshare(CLONE_NEWUSER)) && !chdir(works_in) && !chroot(folder);
}

static int is_in_working_folder(void)
{
    char name[STASIS_FD_PATH_MAX];

    if (!loses_proc("/proc/self/fd"))
        return CANNOT;
    (void)snprintf(name, sizeof(name), "%d", fd);
    stasis_fd_path(fd, path);
    return strcmp(path, name) == 0 ? 0 : 1;
}

/* Where a file of that name is another. */
static int is_not_another(void)
{
    char name[STASIS_FD_PATH_MAX];
    int rc;

    (void)snprintf(name, sizeof(name), "%d", fd);
    if (mkdirat(fd, name, 0700))
        return 2;
    if (!loses_proc(folder)) {
        rc = CANNOT;
    } else {
        stasis_fd_path(fd, path);
        rc = strncmp(path, "/proc/self/fd/", 14) == 0 ? 0 : 1;
    }
    return unlinkat(fd, name, AT_REMOVEDIR) ? 3 : rc;
}

static void assert_in_child(int (*body)(void))
{
    pid_t pid;
    int status;

    (void)fflush(NULL);
    pid = fork();
    if (!pid)
        _exit(body());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT) {
        puts("skipped: this user may not change the root folder");
        skip();
    }
    assert_int_equal(status, 0);
}

static void is_in_the_working_folder(void **state)
{
    (void)state;
    assert_in_child(is_in_working_folder);
}

static void is_no_other_file_there(void **state)
{
    (void)state;
    assert_in_child(is_not_another);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_in_proc),
        cmocka_unit_test(is_in_the_working_folder),
        cmocka_unit_test(is_no_other_file_there),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
