/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Another process, which makes files for this one in folders that clients send: Landlock judges a
 * folder by where it is, and would have to allow all of them beforehand. It takes a folder only by
 * a descriptor that is open for reading, which Landlock gives this process of no other; opens no
 * file that exists; and removes and renames none but those with a temporary name of the gate's
 * (stasis/output.h). Each folder is served by a child of it, since a file system may not answer.
 * And it removes one name at the end, of a socket, so that this process need not have the right to
 * remove any in that folder.
 *
 * The last functions below are those of struct stasis_output_folders.
 */
#ifndef STASIS_VMM_SANDBOX_MAKER_H
#define STASIS_VMM_SANDBOX_MAKER_H

#include <stdbool.h>
#include <sys/types.h>

#include "stasis/error.h"

struct stasis_sandbox_maker_opts {
    bool makes; /* files; else it only removes the name */
    /* A name, which is removed if it is still that of the same file; dir -1: none. */
    int dir;
    const char *name;
    dev_t dev;
    ino_t ino;
};

struct stasis_sandbox_maker {
    int fd; /* or -1: there is none */
    bool makes;
    pid_t pid;
};

/* Starts it, before there is another thread, and before this process gives up the files that it is
 * to make. It ends with this process. STASIS_ERR_UNAVAILABLE. */
STASIS_MUST_CHECK int stasis_sandbox_maker_start(const struct stasis_sandbox_maker_opts *opts,
                                                 struct stasis_sandbox_maker *ret_maker,
                                                 struct stasis_error *err);
/* Lets it remove the name, and end, for which it has that long. False: a file system holds it up;
 * it is killed when this process ends. */
STASIS_MUST_CHECK bool stasis_sandbox_maker_stop(struct stasis_sandbox_maker *maker,
                                                 unsigned limit_ms);

/* `maker` is its descriptor, as a pointer. EAGAIN: it serves too many folders, or none. */
int stasis_sandbox_maker_open(void *maker, int folder_fd);
int stasis_sandbox_maker_make(int folder, const char *name);
int stasis_sandbox_maker_name(int folder, const char *name);
int stasis_sandbox_maker_replace(int folder, const char *temporary, const char *name);
int stasis_sandbox_maker_remove(int folder, const char *temporary);

#endif
