/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/fd_path.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool leads_to(const char *path, const struct stat *wanted)
{
    struct stat st;

    return !stat(path, &st) && st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino;
}

/* Any other working directory may have a file of that name: it must be this very one. */
void stasis_fd_path(int fd, char ret_path[STASIS_FD_PATH_MAX])
{
    char name[STASIS_FD_PATH_MAX];
    struct stat st;

    (void)snprintf(name, sizeof(name), "%d", fd);
    (void)snprintf(ret_path, STASIS_FD_PATH_MAX, "/proc/self/fd/%d", fd);
    if (!fstat(fd, &st) && !leads_to(ret_path, &st) && leads_to(name, &st))
        memcpy(ret_path, name, strlen(name) + 1);
}
