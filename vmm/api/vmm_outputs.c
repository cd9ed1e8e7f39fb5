/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The files of a VM: all go through the gate of stasis/output.h.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "stasis/output.h"
#include "vmm/api/vmm_internal.h"

#define RESTORE_ROLE "that of restore.path"

static bool is_file(const char *path)
{
    return path && strcmp(path, STASIS_VMM_STREAM) != 0;
}

static int add_input(struct stasis_vmm *vmm, const char *path, const char *role,
                     struct stasis_error *err)
{
    int rc = is_file(path) ? stasis_outputs_add_input_path(vmm->outputs, path, role, err)
                           : stasis_outputs_add_input(vmm->outputs, STDIN_FILENO, role, err);

    return rc ? stasis_wrap(err, rc, "%s", path) : 0;
}

/* Whoever opened these for us may share them with standard output or error. */
static int add_written(struct stasis_vmm *vmm, int fd, const char *role, struct stasis_error *err)
{
    int rc = fd ? stasis_outputs_add_written(vmm->outputs, fd, role, err) : 0;

    return rc ? stasis_wrap(err, rc, "descriptor %d", fd) : 0;
}

static int add_descriptors(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_vmm_config *config = vmm->config;
    int rc = config->log.level ? add_written(vmm, config->log.fd, "that of log.fd", err) : 0;

    return rc ? rc : add_written(vmm, config->ready_fd, "that of ready_fd.fd", err);
}

/* Files are opened later, by others. */
static int add_inputs(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_vmm_config *config = vmm->config;
    int rc = 0;

    if (config->kernel.path)
        rc = add_input(vmm, config->kernel.path, "that of kernel.path", err);
    if (!rc && config->initrd_path)
        rc = add_input(vmm, config->initrd_path, "that of initrd.path", err);
    for (unsigned i = 0; !rc && i < stasis_config_disks(config); i++)
        rc = add_input(vmm, config->block[i].path, "that of block.path", err);
    if (!rc && config->restore.path)
        rc = add_input(vmm, config->restore.path, RESTORE_ROLE, err);
    return rc;
}

/* What cannot be written to later is a wrong option now. */
static int wrong_key(struct stasis_error *err, const char *key, const char *path, int rc)
{
    struct stasis_error why;

    if (rc != STASIS_ERR_WRITE)
        return stasis_wrap(err, rc, "%s=%s", key, path);
    if (!err)
        return STASIS_ERR_ARG;
    why = *err;
    return stasis_fail(err, STASIS_ERR_ARG, "%s=%s: %.256s; name a file that can be written", key,
                       path, why.msg);
}

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

static int open_snapshot(struct stasis_vmm *vmm, struct stasis_error *err)
{
    /* A guest may be frozen onto the file that it came from: it is the same guest, and whoever has
     * the old file open keeps it. */
    const struct stasis_output_opts opts = {.size = sizeof(opts),
                                            .role = "that of snapshot.path",
                                            .snapshot = true,
                                            .over = RESTORE_ROLE};
    const char *path = vmm->config->snapshot.path;
    int rc;

    if (!path)
        return 0;
    if (!is_file(path))
        return check_stream(err);
    rc = stasis_output_open(vmm->outputs, path, &opts, &vmm->snapshot_file, err);
    if (!rc)
        rc = stasis_output_probe(vmm->snapshot_file, err);
    return rc ? wrong_key(err, "snapshot.path", path, rc) : 0;
}

static bool is_given_up(const void *ctx)
{
    const struct stasis_vmm_job *job = ctx;

    return atomic_load(&job->given_up);
}

static int open_crash(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {
        .size = sizeof(opts), .role = "that of on_crash.snapshot", .snapshot = true};
    const char *path = vmm->config->on_crash.snapshot;
    int rc;

    if (!path)
        return 0;
    rc = stasis_output_open(vmm->outputs, path, &opts, &vmm->crash_file, err);
    if (!rc)
        rc = stasis_output_probe(vmm->crash_file, err);
    return rc ? wrong_key(err, "on_crash.snapshot", path, rc) : 0;
}

int stasis_vmm_outputs_open_request(struct stasis_outputs *outputs,
                                    const struct stasis_snapshot_request *request,
                                    struct stasis_vmm_job *job, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts),
                                            .role = "that of a snapshot",
                                            .snapshot = true,
                                            .over = RESTORE_ROLE,
                                            .folder_fd = request->folder_fd,
                                            .is_given_up = is_given_up,
                                            .ctx = job};
    struct stasis_output *output;
    int rc = stasis_output_open(outputs, request->path, &opts, &output, err);

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

static int open_metrics(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const bool again = vmm->config->metrics_every_ms != 0;
    const struct stasis_output_opts opts = {.size = sizeof(opts),
                                            .kind =
                                                again ? STASIS_OUTPUT_REPLACED : STASIS_OUTPUT_ANY,
                                            .role = "that of metrics.path",
                                            .by_umask = again};
    const char *path = vmm->config->metrics_path;
    int rc;

    if (!path)
        return 0;
    rc = stasis_output_open(vmm->outputs, path, &opts, &vmm->metrics_file, err);
    if (!rc && again)
        rc = stasis_output_probe(vmm->metrics_file, err);
    return rc ? wrong_key(err, "metrics.path", path, rc) : 0;
}

static int open_serial(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const char *path = vmm->config->serial.path;
    int rc = stasis_vmm_console_open_output(vmm, err);

    return rc && path ? wrong_key(err, "serial.out", path, rc) : rc;
}

int stasis_vmm_outputs_open(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    vmm->outputs = stasis_outputs_new();
    if (vmm->outputs)
        vmm->opener = stasis_vmm_opener_new(vmm);
    if (!vmm->opener)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a VM");
    rc = add_descriptors(vmm, err);
    if (!rc)
        rc = add_inputs(vmm, err);
    if (!rc)
        rc = open_snapshot(vmm, err);
    if (!rc)
        rc = open_crash(vmm, err);
    if (!rc)
        rc = open_metrics(vmm, err);
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
    uint8_t root[STASIS_DIGEST_SIZE];
    const struct stasis_parse_opts opts = {.size = sizeof(opts),
                                           .progress = stasis_vmm_keep_loading,
                                           .ctx = vmm,
                                           .root = stasis_config_root(vmm->config, root),
                                           .layers = vmm->config->restore.layers,
                                           .beside = vmm->config->restore.path};
    const char *path = vmm->config->restore.path;
    int fd = -1;
    int rc;

    if (!is_file(path))
        return stasis_snap_open_fd(STDIN_FILENO, "standard input", &opts, ret_snap, err);
    rc = stasis_outputs_open_input(vmm->outputs, path, RESTORE_ROLE, &fd, err);
    if (rc)
        return rc;
    rc = stasis_snap_open_fd(fd, path, &opts, ret_snap, err);
    (void)close(fd);
    return rc;
}
