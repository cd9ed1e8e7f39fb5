/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A judge of snapshots that judges many of them in one process: for each line "file PATH" or
 * "pipe PATH" of its input, a line "STATUS STAGE MESSAGE".
 */
#ifndef STASIS_TESTS_JUDGE_H
#define STASIS_TESTS_JUDGE_H

#include <stdio.h>

struct verdict {
    int status;         /* exit status of the program */
    const char *stage;  /* how far it came */
    char message[1024]; /* without newlines */
};

/* Reads the lines of `in`, calls `judge` for each and answers on `out`. `path` is NULL for what
 * comes through a pipe. Returns the program's exit status. */
int judge_all(void (*judge)(int fd, const char *path, struct verdict *verdict), FILE *in,
              FILE *out);

#endif
