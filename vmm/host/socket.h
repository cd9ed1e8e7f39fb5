/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Unix sockets with a name in the file system.
 */
#ifndef STASIS_VMM_SOCKET_H
#define STASIS_VMM_SOCKET_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "stasis/error.h"

/* A path that any client can connect to. */
#define STASIS_SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
/* Its last part, which must fit behind "/proc/self/fd/N/". */
#define STASIS_SOCKET_NAME_MAX 80

/* A listening socket and its name. Private; start from STASIS_SOCKET_NONE. */
struct stasis_socket {
    int fd;  /* non-blocking */
    int dir; /* the folder of the name (O_PATH) */
    char name[STASIS_SOCKET_NAME_MAX + 1];
    dev_t dev;
    ino_t ino;
};
#define STASIS_SOCKET_NONE                                                                         \
    {                                                                                              \
        .fd = -1, .dir = -1                                                                        \
    }

/* Makes the socket, with mode 0600, and listens. One that nobody listens on is replaced at once.
 * Everything is done by the folder's descriptor; users other than root and the caller must not be
 * able to replace the name. Messages do not begin with the path.
 * STASIS_ERR_ARG: the path is too long, its folder is missing or unsafe, it is no socket, or
 * somebody listens there; STASIS_ERR_WRITE: it cannot be made. */
STASIS_MUST_CHECK int stasis_socket_listen(struct stasis_socket *sock, const char *path,
                                           struct stasis_error *err);

/* Whether that could be done, as far as can be told without making anything. */
STASIS_MUST_CHECK int stasis_socket_check(const char *path, struct stasis_error *err);

/* Closes it, and removes its name unless that is another's by now. */
void stasis_socket_close(struct stasis_socket *sock);

/* Closes the folder: the name stays when the socket is closed. */
void stasis_socket_leave_folder(struct stasis_socket *sock);

/* A non-blocking connection to the socket of that name in the folder, which waits for nobody; or
 * -1, and errno. */
int stasis_socket_connect_in(int dir, const char *name);

#endif
