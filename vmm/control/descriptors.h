/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Descriptors that travel with bytes over a Unix socket (SCM_RIGHTS).
 */
#ifndef STASIS_VMM_CONTROL_DESCRIPTORS_H
#define STASIS_VMM_CONTROL_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* More than any method takes. */
#define STASIS_CONTROL_FDS_MAX 4

/* Descriptors of one message. They belong to whoever holds this. */
struct stasis_control_fds {
    int fds[STASIS_CONTROL_FDS_MAX];
    unsigned count;
    bool lost; /* there were more, which have been closed */
};

void stasis_control_fds_close(struct stasis_control_fds *fds);
/* Moves those of `from` to the end of `to`; closes what finds no room. */
void stasis_control_fds_move(struct stasis_control_fds *to, struct stasis_control_fds *from);

/* recv(2) without waiting, and the descriptors that came with the bytes; *ret_fds holds none
 * before. The kernel ends what it returns behind the bytes that had descriptors. */
ssize_t stasis_control_receive(int fd, void *bytes, size_t size,
                               struct stasis_control_fds *ret_fds);

/* send(2) of the first bytes with one descriptor, or with none (-1). Never raises SIGPIPE. */
ssize_t stasis_control_send(int fd, const void *bytes, size_t len, int passed, int flags);

/* Whether it is that of a folder. Asks no file system that may not answer. */
bool stasis_control_is_folder(int fd);

#endif
