/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Writing to a descriptor that somebody else gave us, without ever waiting for its reader. Its
 * flags are shared with the shell and everybody else who has it open, so they cannot be made
 * O_NONBLOCK.
 */
#ifndef STASIS_VMM_NOWAIT_H
#define STASIS_VMM_NOWAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <unistd.h>

struct stasis_nowait {
    /* NULL: write(2) does not wait. */
    ssize_t (*put)(const struct stasis_nowait *to, const void *bytes, size_t len);
    int fd;       /* to write to, and to watch for EPOLLOUT */
    bool owns_fd; /* it is one of ours, of the same file */
    size_t piece; /* polled: bytes that one write may hold without blocking */
};

/* The descriptor given stays the caller's, and must stay open. */
void stasis_nowait_open(struct stasis_nowait *to, int fd);
void stasis_nowait_close(struct stasis_nowait *to);

/* As write(2), in one system call where the kernel can be told not to wait: EAGAIN instead of
 * waiting, and perhaps fewer bytes. Regular files are written as they are. EPIPE: nobody will ever
 * read it; the process must ignore SIGPIPE. */
static inline ssize_t stasis_nowait_write(const struct stasis_nowait *to, const void *bytes,
                                          size_t len)
{
    return to->put ? to->put(to, bytes, len) : write(to->fd, bytes, len);
}

#endif
