/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the maker of files (maker.h) is asked, and what it answers: datagrams on connected sockets.
 */
#ifndef STASIS_VMM_SANDBOX_MAKER_MESSAGE_H
#define STASIS_VMM_SANDBOX_MAKER_MESSAGE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/sandbox/maker.h"

/* To the process itself: one byte, of which only these mean anything. */
enum stasis_maker_order {
    /* Two descriptors: of a folder, and of the socket on which that is served, which gets the first
     * answer. Without them nothing is done. */
    STASIS_MAKER_SERVE = 's',
    STASIS_MAKER_END = 'e', /* it removes its name, and ends; there is no answer */
};

/* Of a folder. */
enum stasis_maker_what {
    STASIS_MAKER_MAKE, /* the answer has a descriptor */
    STASIS_MAKER_NAME,
    STASIS_MAKER_REPLACE,
    STASIS_MAKER_REMOVE,
};

struct stasis_maker_request {
    uint32_t what;
    char temporary[NAME_MAX + 1]; /* "": without a name */
    char name[NAME_MAX + 1];
};

struct stasis_maker_answer {
    int32_t error; /* an errno, or 0 */
};

#define STASIS_MAKER_FDS_MAX 2

/* 0, or -1 with errno. */
int stasis_maker_send(int fd, const void *bytes, size_t len, const int *fds, size_t count);

/* A whole message, whose length is returned: 0: the other side has gone; -1 with errno. *ret_count
 * descriptors came with it; those for which there was no room are closed. */
ssize_t stasis_maker_receive(int fd, void *bytes, size_t size, int fds[STASIS_MAKER_FDS_MAX],
                             size_t *ret_count);

/* The process, which never returns: serves what is asked on the socket, until its end. */
_Noreturn void stasis_maker_run(int fd, pid_t parent, const struct stasis_sandbox_maker_opts *opts);

/* maker_files.c, a child of it: serves the folder on a socket until the other side is closed. */
void stasis_maker_serve(int folder, int fd);

#endif
