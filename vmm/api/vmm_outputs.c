/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The files of a VM: all go through the gate of stasis/output.h.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "stasis/output.h"
#include "vmm/api/files.h"
#include "vmm/api/vmm_internal.h"

/* Closed when the program began, it is /dev/null by now, for reading only (common/streams.h). */
static int check_stream(struct stasis_error *err)
{
    int flags = fcntl(STDOUT_FILENO, F_GETFL);

    if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || flags & O_PATH)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "snapshot.path=-: standard output is closed or cannot be written to; "
                           "redirect it to a file or a pipe");
    if (isatty(STDOUT_FILENO))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "snapshot.path=-: standard output is a terminal; redirect it to a file "
                           "or a pipe");
    return 0;
}

static bool is_given_up(const void *ctx)
{
    const struct stasis_vmm_job *job = ctx;

    return atomic_load(&job->given_up);
}

int stasis_vmm_outputs_open_request(struct stasis_outputs *outputs,
                                    const struct stasis_output_folders *folders,
                                    const struct stasis_snapshot_request *request,
                                    struct stasis_vmm_job *job, struct stasis_error *err)
{
    struct stasis_output_opts opts = {.size = sizeof(opts),
                                      .role = "that of a snapshot",
                                      .snapshot = true,
                                      .over = STASIS_VMM_RESTORE_ROLE,
                                      .folder_fd = request->folder_fd,
                                      .is_given_up = is_given_up,
                                      .ctx = job};
    struct stasis_output *output;
    int rc;

    if (request->folder_fd)
        opts.folders = *folders;
    rc = stasis_output_open(outputs, request->path, &opts, &output, err);

    if (!rc) {
        rc = stasis_output_probe(output, err);
        if (rc)
            stasis_output_close(output);
    }
    if (rc)
        return stasis_wrap(err, rc, "%s", request->path);
    job->output = output;
    job->owns_output = true;
    return 0;
}

static int open_serial(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const char *path = vmm->config->serial.path;
    int rc = stasis_vmm_console_open_output(vmm, err);

    return rc && path ? stasis_files_wrong_key(err, "serial.out", path, rc) : rc;
}

static int open_files(struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_output **const outputs[STASIS_FILES_OUTPUTS] = {
        [STASIS_FILES_SNAPSHOT] = &vmm->snapshot_file,
        [STASIS_FILES_CRASH] = &vmm->crash_file,
        [STASIS_FILES_METRICS] = &vmm->metrics_file,
    };
    int rc = stasis_files_note(vmm->config, vmm->outputs, err);

    if (!rc && stasis_config_freezes_to_stream(vmm->config))
        rc = check_stream(err);
    for (unsigned i = 0; !rc && i < STASIS_FILES_OUTPUTS; i++)
        rc = stasis_files_open_output(vmm->config, vmm->outputs, i, false, outputs[i], err);
    return rc;
}

int stasis_vmm_outputs_open(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    vmm->outputs = stasis_outputs_new();
    if (vmm->outputs)
        vmm->opener = stasis_vmm_opener_new(vmm);
    if (!vmm->opener)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a VM");
    rc = open_files(vmm, err);
    return rc ? rc : open_serial(vmm, err);
}

void stasis_vmm_outputs_close(struct stasis_vmm *vmm)
{
    stasis_output_close(vmm->snapshot_file);
    stasis_output_close(vmm->crash_file);
    stasis_output_close(vmm->metrics_file);
    if (!vmm->opener)
        stasis_outputs_free(vmm->outputs);
    stasis_vmm_opener_leave(vmm->opener);
}

int stasis_vmm_outputs_open_restore(struct stasis_vmm *vmm, struct stasis_snap **ret_snap,
                                    struct stasis_error *err)
{
    struct stasis_parse_opts opts = {
        .size = sizeof(opts), .progress = stasis_vmm_keep_loading, .ctx = vmm};

    return stasis_files_open_restore(vmm->config, vmm->outputs, &opts, ret_snap, err);
}
