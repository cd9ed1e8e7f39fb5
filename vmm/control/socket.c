/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/control/socket.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/host/socket.h"

/* The kernel refuses a connection to any file that is no socket, too: unix(7). */
static bool is_other_file(const char *path)
{
    struct stat st;

    return !stat(path, &st) && !S_ISSOCK(st.st_mode);
}

static int cannot_connect(const char *path, struct stasis_error *err)
{
    bool is_refused = errno == ECONNREFUSED;

    if (errno == ENOENT || errno == ENOTDIR)
        return stasis_fail(err, STASIS_ERR_NOT_FOUND,
                           "there is no such socket; start the VM with --control path=SOCK");
    if (is_refused && is_other_file(path))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it is no socket; name the one of --control path=SOCK");
    if (is_refused)
        return stasis_fail(err, STASIS_ERR_UNAVAILABLE, "nobody listens on it: the VM has ended");
    return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot connect");
}

int stasis_control_socket_connect(const char *path, int *ret_fd, struct stasis_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int rc = 0;
    int fd;

    if (!*path || strlen(path) > STASIS_SOCKET_PATH_MAX)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s: the path of a socket has 1 to %zu bytes; use another one", path,
                           STASIS_SOCKET_PATH_MAX);
    memcpy(address.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
        rc = stasis_wrap(err, cannot_connect(path, err), "%s", path);
    if (rc) {
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}
