/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Unix sockets with a name in the file system, of either side.
 */
#ifndef STASIS_VMM_CONTROL_SOCKET_H
#define STASIS_VMM_CONTROL_SOCKET_H

#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "stasis/error.h"

/* A path that any client can connect to. */
#define STASIS_CONTROL_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
/* Its last part, which must fit behind "/proc/self/fd/N/". */
#define STASIS_CONTROL_NAME_MAX 80

/* A listening socket and its name. Private; start from STASIS_CONTROL_SOCKET_NONE. */
struct stasis_control_socket {
    int fd;  /* non-blocking */
    int dir; /* the folder of the name */
    char name[STASIS_CONTROL_NAME_MAX + 1];
    dev_t dev;
    ino_t ino;
};
#define STASIS_CONTROL_SOCKET_NONE                                                                 \
    {                                                                                              \
        .fd = -1, .dir = -1                                                                        \
    }

/* Makes the socket, with mode 0600, and listens. One that nobody listens on is replaced at once.
 * Everything is done by the folder's descriptor; users other than root and the caller must not be
 * able to replace the name. The message begins with the path.
 * STASIS_ERR_ARG: the path is too long, or its folder is missing or unsafe; STASIS_ERR_EXISTS:
 * somebody listens there, or it is no socket; STASIS_ERR_WRITE: it cannot be made. */
STASIS_MUST_CHECK int stasis_control_socket_listen(struct stasis_control_socket *sock,
                                                   const char *path, struct stasis_error *err);

/* Closes it, and removes its name unless that is another's by now. */
void stasis_control_socket_close(struct stasis_control_socket *sock);

/* Connects, and returns a blocking descriptor. STASIS_ERR_NOT_FOUND: there is no socket;
 * STASIS_ERR_UNAVAILABLE: nobody listens, or it belongs to another user. */
STASIS_MUST_CHECK int stasis_control_socket_connect(const char *path, int *ret_fd,
                                                    struct stasis_error *err);

#endif
