/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The names that a file has on its way to that of the target: given and taken by this process, or
 * by the one that makes files in folders where this one may not.
 */
#include <errno.h>
#include <fcntl.h>

#include "io.h"
#include "output.h"

int stasis_names_begin(struct stasis_output *output, struct stasis_error *err)
{
    const struct stasis_output_folders *folders = &output->opts.folders;

    if (!folders->open || output->folder >= 0)
        return 0;
    output->folder = folders->open(folders->ctx, output->place.dir);
    if (output->folder >= 0)
        return 0;
    if (errno == EBADF)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the descriptor of its folder is not open for reading (O_PATH); open it "
                           "with O_RDONLY");
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "asking the process that makes it");
}

int stasis_names_make(const struct stasis_output *output, const char *name)
{
    const mode_t mode = output->opts.by_umask ? 0666 : STASIS_OUTPUT_OWNER_ONLY;

    if (output->folder >= 0)
        return output->opts.folders.make(output->folder, name);
    return name ? stasis_io_open(output->place.dir, name, O_RDWR | O_CREAT | O_EXCL, mode)
                : stasis_io_open(output->place.dir, ".", O_RDWR | O_TMPFILE, mode);
}

int stasis_names_give(const struct stasis_output *output, const char *name)
{
    return output->folder >= 0 ? output->opts.folders.name(output->folder, name)
                               : stasis_io_link(output->fd, output->place.dir, name);
}

int stasis_names_replace(const struct stasis_output *output, const char *temporary)
{
    const struct stasis_place *place = &output->place;

    return output->folder >= 0
               ? output->opts.folders.replace(output->folder, temporary, place->base)
               : stasis_io_rename(place->dir, temporary, place->base);
}

/* It cleans up after the failure that counts. */
void stasis_names_remove(const struct stasis_output *output, const char *temporary)
{
    int saved = errno;

    if (output->folder >= 0)
        (void)!output->opts.folders.remove(output->folder, temporary);
    else
        stasis_io_unlink(output->place.dir, temporary);
    errno = saved;
}

void stasis_names_end(struct stasis_output *output)
{
    stasis_io_close(output->folder);
    output->folder = -1;
}
