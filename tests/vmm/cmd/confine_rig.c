/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "confine_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

char folder[64];

const char *in_folder(const char *name)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close(fd);
}

bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool makes_in(const char *name)
{
    const char *made = in_folder(name);
    char moved[160], proc[64];
    int fd = open(made, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return false;
    close(fd);
    snprintf(moved, sizeof(moved), "%s.moved", made);
    if (renameat(AT_FDCWD, made, AT_FDCWD, moved) || unlink(moved))
        return false;
    snprintf(moved, sizeof(moved), "%s", made);
    *strrchr(moved, '/') = '\0';
    fd = open(moved, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
    return fd >= 0 && !linkat(AT_FDCWD, proc, AT_FDCWD, made, AT_SYMLINK_FOLLOW) && !unlink(made);
}

/* The kernel takes /proc/self from who has changed users. */
bool become(const struct confine_user *user)
{
    if (user->id && !geteuid() &&
        (setgroups(0, NULL) || setresgid(user->id, user->id, user->id) ||
         setresuid(user->id, user->id, user->id) || prctl(PR_SET_DUMPABLE, 1)))
        return false;
    if (user->forbidden)
        lacks_call(SYS_unshare, EPERM);
    return true;
}

static int makes_namespace(void *arg)
{
    return become(arg) && (!geteuid() || !unshare(CLONE_NEWUSER)) ? 0 : 1;
}

bool may_make_namespaces(uid_t id)
{
    struct confine_user user = {.id = id};

    return !in_child(makes_namespace, &user);
}

bool is_gone(const char *path)
{
    struct stat st;

    return stat(path, &st) && errno == ENOENT;
}

bool sees_no_files(void)
{
    static const char *const paths[] = {"/etc",     "/etc/passwd", "/proc/self", "/proc/self/fd",
                                        "/dev/kvm", "/tmp",        "/../proc",   "/dev/null",
                                        "etc",      "tmp",         "self"};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (!is_gone(paths[i]))
            return false;
    return is_gone(in_folder("beside/file"));
}

void confine_end(void *ctx, const struct stasis_error *err)
{
    (void)ctx;
    (void)!write(STDERR_FILENO, err->msg, strlen(err->msg));
    _exit(97);
}
