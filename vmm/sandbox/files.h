/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Landlock (landlock(7)): the files and folders that the process can still open. What is open stays
 * open. Linux 5.13, and no rights are needed.
 */
#ifndef STASIS_VMM_SANDBOX_FILES_H
#define STASIS_VMM_SANDBOX_FILES_H

#include <stdint.h>

#include "stasis/error.h"

enum stasis_sandbox_access {
    STASIS_SANDBOX_READ,   /* the file, or all in the folder */
    STASIS_SANDBOX_WRITE,  /* the file, which can be read, too */
    STASIS_SANDBOX_MAKE,   /* files in the folder: made, written, replaced, removed */
    STASIS_SANDBOX_SOCKET, /* sockets in the folder: made and removed, as is any name */
};

/* Rules that do not hold yet; STASIS_SANDBOX_NO_RULES: none. */
struct stasis_sandbox_files {
    int fd;
    uint64_t handled; /* what this kernel's Landlock knows */
};
#define STASIS_SANDBOX_NO_RULES                                                                    \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* STASIS_ERR_UNAVAILABLE: the kernel has no Landlock, or it is turned off. */
STASIS_MUST_CHECK int stasis_sandbox_files_begin(struct stasis_sandbox_files *ret_files,
                                                 struct stasis_error *err);

/* The same for rules of which nothing but the right to open a folder for reading counts: what they
 * leave out can be opened as before. */
STASIS_MUST_CHECK int stasis_sandbox_folders_begin(struct stasis_sandbox_files *ret_files,
                                                   struct stasis_error *err);

/* What does not exist is left out: whoever opens it will say so. */
STASIS_MUST_CHECK int stasis_sandbox_files_allow(const struct stasis_sandbox_files *files,
                                                 const char *path,
                                                 enum stasis_sandbox_access access,
                                                 struct stasis_error *err);

/* The rules hold from now on, for this thread and those that it starts. */
STASIS_MUST_CHECK int stasis_sandbox_files_enforce(struct stasis_sandbox_files *files,
                                                   struct stasis_error *err);

/* Drops rules that do not hold yet. */
void stasis_sandbox_files_fini(struct stasis_sandbox_files *files);

#endif
