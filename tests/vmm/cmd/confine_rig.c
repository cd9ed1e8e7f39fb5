/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "confine_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

void confine_end(void *ctx, const struct stasis_error *err)
{
    (void)ctx;
    (void)!write(STDERR_FILENO, err->msg, strlen(err->msg));
    _exit(97);
}
