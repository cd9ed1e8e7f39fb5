/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One file of a layer and what it lies on. RAM is copied chunk by chunk, each verified where it is
 * read, and the new file appears when it is whole.
 */
#include <inttypes.h>

#include "common/progress.h"
#include "tools/disk.h"
#include "tools/guest_ram.h"

enum { OPTION_LAYERS, OPTION_BASE, OPTION_ALLOW_CHANGED };

/* Level 1, as who compressed the layers may have chosen any. */
static int save(struct stasis_snap *snap, struct stasis_output *output, FILE *out,
                struct stasis_error *err)
{
    const struct stasis_snap_info info = *stasis_snap_info(snap);
    struct stasis_progress progress;
    const struct stasis_save_opts opts = {.size = sizeof(opts),
                                          .zlib_level =
                                              info.layer && stasis_inspect_is_compressed(snap),
                                          .progress = stasis_progress_show,
                                          .ctx = &progress};
    struct stasis_save_stats stats;
    int rc;

    stasis_progress_init(&progress, STASIS_INSPECT_NAME ": copying");
    rc = stasis_snap_save_output(snap, output, &opts, &stats, err);
    stasis_progress_clear(&progress);
    if (!rc)
        fprintf(out, "%s: %" PRIu64 " bytes\n", stasis_output_path(output), stats.file_bytes);
    return rc;
}

int stasis_inspect_flatten(const struct stasis_inspect_args *args, FILE *out,
                           struct stasis_error *err)
{
    struct stasis_output *output = NULL;
    struct stasis_snap *snap;
    int rc;

    if (stasis_overlay_is_at(args->operands[0]))
        return stasis_disk_flatten(args, args->values[OPTION_BASE],
                                   args->values[OPTION_ALLOW_CHANGED], out, err);
    if (args->values[OPTION_BASE] || args->values[OPTION_ALLOW_CHANGED])
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s: --base and --allow-changed are for overlays of disks, and this is "
                           "none",
                           args->operands[0]);
    rc = stasis_inspect_open(args, args->operands[0], &snap, err);
    if (rc)
        return rc;
    rc = stasis_inspect_open_copy(args->outputs, snap, args->operands[1], &output, err);
    if (!rc)
        rc = save(snap, output, out, err);
    stasis_output_close(output);
    stasis_snap_free(snap);
    return rc;
}
