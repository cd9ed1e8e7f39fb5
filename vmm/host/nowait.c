/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/nowait.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static ssize_t put_socket(const struct stasis_nowait *to, const void *bytes, size_t len)
{
    return send(to->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Asks first, and writes no more than what a file that polls as ready takes. POLLERR: nobody can
 * read a pipe any more; POLLHUP: a terminal was hung up. */
static ssize_t put_polled(const struct stasis_nowait *to, const void *bytes, size_t len)
{
    struct pollfd ready = {.fd = to->fd, .events = POLLOUT};

    if (poll(&ready, 1, 0) < 1) {
        errno = EAGAIN;
        return -1;
    }
    if (ready.revents & (POLLERR | POLLHUP | POLLNVAL)) {
        errno = EPIPE;
        return -1;
    }
    return write(to->fd, bytes, len < to->piece ? len : to->piece);
}

/* A descriptor of its own open file description, or -1. */
static int own_descriptor(int fd)
{
    char name[40];

    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    return open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* For pipes and terminals /proc gives a descriptor of our own, which is O_NONBLOCK, and sockets
 * take a flag with each write; another user's terminal is polled, and takes one byte. Regular files
 * do not wait for anybody, and keep the shared descriptor for its offset. */
void stasis_nowait_open(struct stasis_nowait *to, int fd)
{
    struct stat st = {0};
    int own = -1;

    (void)fstat(fd, &st);
    if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
        own = own_descriptor(fd);
    to->fd = own >= 0 ? own : fd;
    to->owns_fd = own >= 0;
    to->piece = isatty(fd) ? 1 : PIPE_BUF;
    if (own >= 0 || S_ISREG(st.st_mode))
        to->put = NULL;
    else
        to->put = S_ISSOCK(st.st_mode) ? put_socket : put_polled;
}

void stasis_nowait_close(struct stasis_nowait *to)
{
    if (to->owns_fd)
        close(to->fd);
    to->owns_fd = false;
}
