/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Files without a name, for what has to be copied before it can be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "output.h"

#define NAME "a temporary file"

/* A file that no name leads to; -1 with errno. */
static int make_unnamed(const char *folder)
{
    uint64_t random;
    char path[4096];
    int fd = stasis_io_open(AT_FDCWD, folder, O_RDWR | O_TMPFILE, STASIS_OUTPUT_OWNER_ONLY);

    if (fd >= 0 || stasis_io_random(&random, sizeof(random)))
        return fd;
    if (snprintf(path, sizeof(path), "%s/.stasis-%016" PRIx64 ".tmp", folder, random) >=
        (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = stasis_io_open(AT_FDCWD, path, O_RDWR | O_CREAT | O_EXCL, STASIS_OUTPUT_OWNER_ONLY);
    if (fd >= 0)
        stasis_io_unlink(AT_FDCWD, path);
    return fd;
}

/* In the folder that the user named, and in no other; else in the first that takes it. */
int stasis_output_make_temporary(int *ret_fd, struct stasis_error *err)
{
    const char *folder = secure_getenv("TMPDIR");
    bool is_named = folder && *folder;
    int fd = make_unnamed(is_named ? folder : "/tmp");

    if (fd < 0 && !is_named)
        fd = make_unnamed("/var/tmp");
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_WRITE,
                                 "cannot make a temporary file in %s (set TMPDIR to a folder with "
                                 "room)",
                                 is_named ? folder : "/tmp or /var/tmp");
    *ret_fd = fd;
    return 0;
}

int stasis_output_open_temporary(struct stasis_output **ret_output, struct stasis_error *err)
{
    struct stasis_output *output = calloc(1, sizeof(*output) + sizeof(NAME));
    int rc;

    if (!output)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to open " NAME);
    *output = (struct stasis_output){
        .opts = {.size = sizeof(output->opts), .kind = STASIS_OUTPUT_IN_PLACE},
        .place = {.dir = -1, .descriptor = -1},
        .fd = -1,
        .folder = -1};
    memcpy(output->path, NAME, sizeof(NAME));
    rc = stasis_output_make_temporary(&output->fd, err);
    if (rc)
        stasis_output_close(output);
    else
        *ret_output = output;
    return rc;
}
