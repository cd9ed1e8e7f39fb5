/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Names of descriptors, for system calls that take nothing else.
 */
#ifndef STASIS_FD_PATH_H
#define STASIS_FD_PATH_H

#include "stasis/compiler.h"

STASIS_BEGIN_DECLS

#define STASIS_FD_PATH_MAX 32

/* A path that leads to what is open on the descriptor, and to what is in it if it is a folder:
 * /proc/self/fd/N. A process that has no /proc any more, as one in a sandbox that has changed its
 * root, can have that folder as its working directory instead: N. */
STASIS_EXPORT void stasis_fd_path(int fd, char ret_path[STASIS_FD_PATH_MAX]);

STASIS_END_DECLS

#endif
