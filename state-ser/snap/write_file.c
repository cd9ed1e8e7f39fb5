/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Saving to a file: the old one or the whole new one is there, whatever happens between.
 */
#include "io.h"
#include "object.h"
#include "output.h"
#include "ram_io.h"

struct disk_wait {
    const struct stasis_save_opts *opts;
    uint64_t ram_bytes;
};

/* All is written. */
static bool keep_on(void *ctx)
{
    const struct disk_wait *wait = ctx;

    return wait->opts->progress(wait->opts->ctx, wait->ram_bytes, wait->ram_bytes);
}

static int publish(const struct stasis_snap *snap, struct stasis_output *output,
                   const struct stasis_save_opts *opts, uint64_t *ret_us, struct stasis_error *err)
{
    struct disk_wait wait = {opts, snap->index.ram_bytes};
    const struct stasis_watch watch = {keep_on, &wait};
    uint64_t start = stasis_ram_io_now_us();
    int rc = opts->progress && !opts->no_sync ? stasis_output_commit_watched(output, &watch, err)
                                              : stasis_output_commit(output, !opts->no_sync, err);

    *ret_us = stasis_ram_io_now_us() - start;
    return rc;
}

bool stasis_snap_is_replaced(const struct stasis_snap *snap, const struct stasis_output *output)
{
    struct stat old;
    struct stat st;

    if (stasis_io_stat_at(output->place.dir, output->place.base, &old))
        return false;
    for (uint32_t i = 0; i < snap->file_count; i++) {
        const int fd = snap->files[i]->input.fd;

        if (fd >= 0 && !stasis_io_stat(fd, &st) && st.st_dev == old.st_dev &&
            st.st_ino == old.st_ino)
            return true;
    }
    return false;
}

/* A layer that takes the name of what it lies on could not be read again. */
static int check_replaced(const struct stasis_snap *snap, const struct stasis_output *output,
                          struct stasis_error *err)
{
    if (!snap->lies_on || !stasis_snap_is_replaced(snap->lies_on, output))
        return 0;
    return stasis_fail(err, STASIS_ERR_EXISTS,
                       "the layer lies on the file that has this name; give another name");
}

/* While it has no name: a save whose file cannot be opened has not happened. Only its RAM counts.
 */
static int open_written(const struct stasis_snap *snap, struct stasis_output *output,
                        struct stasis_snap **ret_snap, struct stasis_error *err)
{
    const struct stasis_parse_opts opts = {
        .size = sizeof(opts), .tolerant = true, .parent = snap->lies_on};

    return stasis_snap_open_fd(stasis_output_fd(output), stasis_output_path(output), &opts,
                               ret_snap, err);
}

int stasis_snap_save_output(struct stasis_snap *snap, struct stasis_output *output,
                            const struct stasis_save_opts *opts,
                            struct stasis_save_stats *ret_stats, struct stasis_error *err)
{
    struct stasis_save_opts chosen;
    struct stasis_snap_target target;
    struct stasis_snap_written written;
    struct stasis_snap *saved = NULL;
    int rc = stasis_save_opts_get(opts, &chosen, err);

    if (!rc)
        rc = check_replaced(snap, output, err);
    if (!rc)
        rc = stasis_output_begin(output, err);
    if (!rc) {
        target = (struct stasis_snap_target){.fd = stasis_output_fd(output)};
        rc = stasis_snap_write(snap, &target, &chosen, &written, err);
    }
    if (!rc && chosen.saved)
        rc = open_written(snap, output, &saved, err);
    if (!rc)
        rc = publish(snap, output, &chosen, &written.stats.publish_us, err);
    if (rc) {
        rc = stasis_wrap(err, rc, "saving %s (%s)", stasis_output_path(output),
                         stasis_output_state(output));
        if (rc == STASIS_ERR_CANCELLED && stasis_output_fd(output) >= 0)
            stasis_output_close_aside(stasis_output_fd(output));
        stasis_output_cancel(output);
        stasis_snap_free(saved);
        return rc;
    }
    if (chosen.saved)
        *chosen.saved = saved;
    stasis_snap_saved(snap, &written, ret_stats);
    return 0;
}

int stasis_snap_save(struct stasis_snap *snap, const char *path,
                     const struct stasis_save_opts *opts, struct stasis_save_stats *ret_stats,
                     struct stasis_error *err)
{
    const struct stasis_output_opts output_opts = {.size = sizeof(output_opts), .snapshot = true};
    struct stasis_output *output = NULL;
    int rc = stasis_output_open(NULL, path, &output_opts, &output, err);

    if (rc)
        return stasis_wrap(err, rc, "saving %s (nothing was written)", path);
    rc = stasis_snap_save_output(snap, output, opts, ret_stats, err);
    stasis_output_close(output);
    return rc;
}
