/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A new file in place of an old one, so that the old or the whole new one is there, whatever
 * happens between. The new file has no name until it is whole and on the disk (O_TMPFILE), so that
 * a process killed on the way leaves nothing behind; only where it replaces an old one does it bear
 * a temporary name between link and rename. Where that cannot be done, it has that name all along.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "io.h"
#include "output.h"

#define TRIES_MAX 16

static int pick_temporary(struct stasis_output *output, struct stasis_error *err)
{
    uint64_t random;

    if (stasis_io_random(&random, sizeof(random)))
        return stasis_fail_errno(err, STASIS_ERR_IO, "random bytes for a temporary name");
    snprintf(output->temporary, sizeof(output->temporary), ".stasis-%016" PRIx64 ".tmp", random);
    return 0;
}

static int create_named(struct stasis_output *output, struct stasis_error *err)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        int rc = pick_temporary(output, err);
        if (rc)
            return rc;
        output->fd = stasis_names_make(output, output->temporary);
        if (output->fd >= 0)
            return 0;
        output->temporary[0] = '\0'; /* whatever bears the name is not ours to remove */
        if (errno != EEXIST)
            break;
    }
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "making a temporary file in its folder");
}

/* Whether the unnamed file can get a name once it is whole, which a jail without /proc may forbid.
 * The name "." is always taken, so EEXIST says that nothing else stands in the way. */
static bool can_be_named(const struct stasis_output *output)
{
    return stasis_names_give(output, ".") && errno == EEXIST;
}

int stasis_output_begin(struct stasis_output *output, struct stasis_error *err)
{
    int rc;

    if (output->opts.kind != STASIS_OUTPUT_REPLACED || output->fd >= 0)
        return stasis_fail(err, STASIS_ERR_ARG, "it is not replaced, or begun already");
    rc = stasis_names_begin(output, err);
    if (rc)
        return rc;
    output->fd = stasis_names_make(output, NULL);
    if (output->fd >= 0 && !can_be_named(output)) {
        stasis_io_close(output->fd);
        output->fd = -1;
    }
    if (output->fd < 0)
        rc = create_named(output, err);
    /* A umask may have taken from it. */
    if (!rc && !output->opts.by_umask && stasis_io_chmod(output->fd, STASIS_OUTPUT_OWNER_ONLY))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "setting its mode");
    return rc;
}

/* Much may have happened since the output was opened. */
static int check_again(struct stasis_output *output, struct stasis_error *err)
{
    struct stasis_place *place = &output->place;
    int rc = stasis_place_look(place, err);

    if (rc || !place->exists)
        return rc;
    if (!S_ISREG(place->st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "it is no regular file any more; name another");
    return stasis_output_check_target(output, err);
}

/* Gives an unnamed file the target's name if that is free, else a temporary one. */
static int name_it(struct stasis_output *output, struct stasis_error *err)
{
    int rc;

    if (!stasis_names_give(output, output->place.base)) {
        output->placed = true;
        return 0;
    }
    if (errno == EEXIST) { /* it may have appeared since it was looked up */
        rc = check_again(output, err);
        if (rc)
            return rc;
        errno = EEXIST;
    }
    for (int i = 0; errno == EEXIST && i < TRIES_MAX; i++) {
        rc = pick_temporary(output, err);
        if (rc)
            return rc;
        if (!stasis_names_give(output, output->temporary))
            return 0;
        output->temporary[0] = '\0';
    }
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "giving the new file its name");
}

/* Ends with the new file under the target's name. */
static int place_it(struct stasis_output *output, struct stasis_error *err)
{
    int rc = check_again(output, err);

    if (!rc && !output->temporary[0])
        rc = name_it(output, err);
    if (!rc && !output->placed && stasis_names_replace(output, output->temporary))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "renaming the new file");
    if (!rc)
        output->placed = true;
    return rc;
}

/* EINVAL: the file system cannot sync folders, and whoever chose it knows. EBADF: the folder may
 * not be read, and cannot be synced by this user. */
int stasis_output_sync_folder(struct stasis_output *output, struct stasis_error *err)
{
    if (stasis_io_sync(output->place.dir) && errno != EINVAL && errno != EBADF)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing its folder to the disk");
    return 0;
}

static int commit(struct stasis_output *output, bool sync, const struct stasis_watch *watch,
                  struct stasis_error *err)
{
    int rc = sync ? stasis_output_sync(output->fd, watch, err) : 0;

    if (!rc)
        rc = place_it(output, err);
    if (!rc && sync)
        rc = stasis_output_sync_folder(output, err);
    if (!rc)
        stasis_output_cancel(output);
    return rc;
}

int stasis_output_commit(struct stasis_output *output, bool sync, struct stasis_error *err)
{
    return commit(output, sync, NULL, err);
}

int stasis_output_commit_watched(struct stasis_output *output, const struct stasis_watch *watch,
                                 struct stasis_error *err)
{
    return commit(output, true, watch, err);
}

void stasis_output_cancel(struct stasis_output *output)
{
    if (output->temporary[0] && !output->placed)
        stasis_names_remove(output, output->temporary);
    stasis_names_end(output);
    stasis_io_close(output->fd);
    output->fd = -1;
    output->temporary[0] = '\0';
    output->placed = false;
}

const char *stasis_output_state(const struct stasis_output *output)
{
    if (output->placed)
        return "the new file is in place, but may not survive a power cut";
    if (output->place.exists)
        return "the old file is whole";
    return output->fd < 0 ? "nothing was written" : "nothing is left of it";
}

int stasis_output_probe(struct stasis_output *output, struct stasis_error *err)
{
    int rc = stasis_output_begin(output, err);

    stasis_output_cancel(output);
    return rc;
}
