/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "common/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

int stasis_streams_fill(struct stasis_error *err)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int contrary = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;

        /* open() gives the lowest free number, which is this one: those below are taken. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", contrary) != fd)
            return stasis_fail_errno(err, STASIS_ERR_IO, "cannot open /dev/null");
    }
    return 0;
}

void stasis_streams_raise_limit(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

int stasis_streams_flush(struct stasis_error *err)
{
    bool failed = ferror(stdout);

    errno = EIO; /* of a write that failed before this flush */
    if (!fflush(stdout) && !failed)
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "standard output");
}
