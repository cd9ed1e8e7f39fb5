/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A file that is in use becomes one that is not, under another name, and a new one takes its place.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "io.h"
#include "output.h"

/* A file system without files that have no name cannot do it. */
int stasis_output_begin_next(const struct stasis_output *output, int *ret_fd,
                             struct stasis_error *err)
{
    *ret_fd = stasis_io_open(output->place.dir, ".", O_RDWR | O_TMPFILE, STASIS_OUTPUT_OWNER_ONLY);
    return *ret_fd < 0 ? stasis_fail_errno(err, STASIS_ERR_WRITE,
                                           "making a file without a name in its folder; use "
                                           "another file system")
                       : 0;
}

static int name_of(const struct stasis_output *output, const char *suffix, char name[NAME_MAX + 1],
                   struct stasis_error *err)
{
    if (snprintf(name, NAME_MAX + 1, "%s%s", output->place.base, suffix) <= NAME_MAX)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG, "its name with %s is too long; give it a shorter one",
                       suffix);
}

int stasis_output_check_next(const struct stasis_output *output, const char *suffix,
                             struct stasis_error *err)
{
    char name[NAME_MAX + 1];
    struct stat st, own;
    int rc = name_of(output, suffix, name, err);

    if (rc)
        return rc;
    if (!stasis_io_stat_at(output->place.dir, name, &st))
        return stasis_fail(err, STASIS_ERR_EXISTS, "%s is there already; move it to another folder",
                           name);
    if (stasis_io_stat_at(output->place.dir, output->place.base, &st) ||
        stasis_io_stat(output->fd, &own) || st.st_dev != own.st_dev || st.st_ino != own.st_ino)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "its name is of another file, or a link; name the file itself");
    return 0;
}

/* At once, so that the first name is there at any time. */
static int exchange(const struct stasis_output *output, const char *name, int next_fd)
{
    if (stasis_io_link(next_fd, output->place.dir, name))
        return -1;
    if (!stasis_io_exchange(output->place.dir, output->place.base, name))
        return 0;
    stasis_io_unlink(output->place.dir, name);
    return -1;
}

int stasis_output_exchange(struct stasis_output *output, const char *suffix, int next_fd,
                           const char *role, struct stasis_error *err)
{
    char name[NAME_MAX + 1];
    int rc = name_of(output, suffix, name, err);

    if (!rc)
        rc = stasis_outputs_note_read(output, role, err);
    if (rc)
        return rc;
    if (exchange(output, name, next_fd)) {
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE,
                               "exchanging its name with that of the new one; use a file system "
                               "that can do it");
        stasis_outputs_forget_read(output);
        return rc;
    }
    stasis_outputs_set_fd(output, next_fd);
    return 0;
}
