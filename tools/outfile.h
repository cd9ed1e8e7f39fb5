/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A file that appears under its name only when it is whole and on the disk. It holds a guest's
 * secrets: mode 0600. Until it is committed it has no name where the file system can do that, so a
 * program that is killed leaves nothing behind.
 */
#ifndef STASIS_TOOLS_OUTFILE_H
#define STASIS_TOOLS_OUTFILE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"

struct stasis_outfile {
    char path[PATH_MAX];      /* links followed */
    char temporary[PATH_MAX]; /* "" while it has no name */
    int fd;                   /* -1: closed */
};

/* `path` may name a regular file, which is replaced, or nothing yet. STASIS_ERR_ARG for anything
 * else, STASIS_ERR_WRITE. Whatever this returns, stasis_outfile_discard() may follow. */
STASIS_MUST_CHECK int stasis_outfile_open(struct stasis_outfile *file, const char *path,
                                          struct stasis_error *err);

/* What is never put is a hole. STASIS_ERR_WRITE. */
STASIS_MUST_CHECK int stasis_outfile_put(struct stasis_outfile *file, const void *bytes, size_t len,
                                         uint64_t offset, struct stasis_error *err);

/* Makes it `len` bytes long and gives it its name. STASIS_ERR_WRITE: the old file is whole. */
STASIS_MUST_CHECK int stasis_outfile_commit(struct stasis_outfile *file, uint64_t len,
                                            struct stasis_error *err);

/* Throws away what was not committed; nothing after a commit. */
void stasis_outfile_discard(struct stasis_outfile *file);

#endif
