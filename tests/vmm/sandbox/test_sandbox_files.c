/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/sandbox/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "vmm/sandbox/child.h"

static char folder[64], made[96], other[96], readable[96];

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/stasis-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(made, sizeof(made), "%s/made", folder);
    snprintf(other, sizeof(other), "%s/other", folder);
    snprintf(readable, sizeof(readable), "%s/readable", folder);
    assert_int_equal(mkdir(made, 0700), 0);
    make_file(other);
    make_file(readable);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(rmdir(made), 0);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(unlink(readable), 0);
    return rmdir(folder);
}

/* 0: it can be opened; else the errno. */
static int opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int limit(void)
{
    struct stasis_sandbox_files files = STASIS_SANDBOX_NO_RULES;
    int rc;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return 99;
    if (stasis_sandbox_files_begin(&files, NULL))
        return CHILD_SKIPS;
    rc = stasis_sandbox_files_allow(&files, made, STASIS_SANDBOX_MAKE, NULL);
    if (!rc)
        rc = stasis_sandbox_files_allow(&files, readable, STASIS_SANDBOX_READ, NULL);
    if (!rc)
        rc = stasis_sandbox_files_allow(&files, "/dev/null", STASIS_SANDBOX_WRITE, NULL);
    if (!rc)
        rc = stasis_sandbox_files_allow(&files, "/no/such/file", STASIS_SANDBOX_MAKE, NULL);
    if (!rc)
        rc = stasis_sandbox_files_enforce(&files, NULL);
    return rc ? 98 : 0;
}

static int keeps_to_its_files(void *arg)
{
    char inside[128], moved[128];
    int rc = limit();

    (void)arg;
    if (rc)
        return rc;
    snprintf(inside, sizeof(inside), "%s/file", made);
    snprintf(moved, sizeof(moved), "%s/moved", made);
    if (opens(inside, O_RDWR | O_CREAT | O_EXCL) || rename(inside, moved) || unlink(moved))
        return 1;
    if (opens(readable, O_RDONLY) || opens(readable, O_WRONLY) != EACCES)
        return 2;
    if (opens("/dev/null", O_RDWR) || opens(folder, O_RDONLY | O_DIRECTORY) != EACCES)
        return 3;
    if (opens(other, O_RDONLY) != EACCES || opens(other, O_WRONLY) != EACCES)
        return 4;
    snprintf(inside, sizeof(inside), "%s/new", folder);
    if (opens(inside, O_WRONLY | O_CREAT) != EACCES || unlink(other) == 0 || errno != EACCES)
        return 5;
    if (opens("/etc/passwd", O_RDONLY) != EACCES || opens("/tmp", O_RDWR | O_TMPFILE) != EACCES)
        return 6;
    return rename(readable, inside) == 0 || mkdir(inside, 0700) == 0 ? 7 : 0;
}

static void only_allowed_files_can_be_opened(void **state)
{
    int status = in_child(keeps_to_its_files, NULL);

    (void)state;
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
}

static int makes_sockets_in_one_folder(void *arg)
{
    struct stasis_sandbox_files files = STASIS_SANDBOX_NO_RULES;
    char inside[128], outside[128];

    (void)arg;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return 99;
    if (stasis_sandbox_files_begin(&files, NULL))
        return CHILD_SKIPS;
    if (stasis_sandbox_files_allow(&files, made, STASIS_SANDBOX_SOCKET, NULL) ||
        stasis_sandbox_files_enforce(&files, NULL))
        return 98;
    snprintf(inside, sizeof(inside), "%s/socket", made);
    snprintf(outside, sizeof(outside), "%s/socket", folder);
    if (mknod(inside, S_IFSOCK | 0600, 0) || unlink(inside))
        return 1;
    if (opens(inside, O_WRONLY | O_CREAT) != EACCES || opens(other, O_RDONLY) != EACCES)
        return 2;
    return mknod(outside, S_IFSOCK | 0600, 0) && errno == EACCES ? 0 : 3;
}

static void sockets_can_be_made_where_they_may(void **state)
{
    int status = in_child(makes_sockets_in_one_folder, NULL);

    (void)state;
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
}

static int lacks_landlock(void *arg)
{
    struct stasis_sandbox_files files = STASIS_SANDBOX_NO_RULES;
    struct stasis_error err = {0};

    (void)arg;
    lacks_call(SYS_landlock_create_ruleset, ENOSYS);
    return stasis_sandbox_files_begin(&files, &err) == STASIS_ERR_UNAVAILABLE &&
                   strstr(err.msg, "files are not limited") && strstr(err.msg, "Landlock") &&
                   files.fd == -1
               ? 0
               : 1;
}

static int takes_no_rule(void *arg)
{
    struct stasis_sandbox_files files = STASIS_SANDBOX_NO_RULES;
    struct stasis_error err = {0};

    (void)arg;
    if (stasis_sandbox_files_begin(&files, NULL))
        return CHILD_SKIPS;
    lacks_call(SYS_landlock_add_rule, ENOMEM);
    if (stasis_sandbox_files_allow(&files, "/dev/null", STASIS_SANDBOX_READ, &err) !=
            STASIS_ERR_UNAVAILABLE ||
        !strstr(err.msg, "/dev/null"))
        return 1;
    lacks_call(SYS_landlock_restrict_self, E2BIG);
    if (stasis_sandbox_files_enforce(&files, &err) != STASIS_ERR_UNAVAILABLE ||
        !strstr(err.msg, "no more rules"))
        return 2;
    stasis_sandbox_files_fini(&files);
    return files.fd == -1 ? 0 : 3;
}

static void what_landlock_cannot_do_is_told(void **state)
{
    int status = in_child(takes_no_rule, NULL);

    (void)state;
    assert_int_equal(in_child(lacks_landlock, NULL), 0);
    if (status == CHILD_SKIPS)
        skip();
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_allowed_files_can_be_opened),
        cmocka_unit_test(sockets_can_be_made_where_they_may),
        cmocka_unit_test(what_landlock_cannot_do_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
