/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/files.h"

#include <string.h>
#include <unistd.h>

#include "vmm/host/log.h"

static bool is_file(const char *path)
{
    return path && strcmp(path, STASIS_VMM_STREAM) != 0;
}

int stasis_files_check_ready(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    int fd = config->ready_fd;
    int rc;

    if (!fd)
        return 0;
    if (fd <= STDERR_FILENO)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "ready_fd.fd=%d: it is a standard descriptor; give a number above 2",
                           fd);
    rc = stasis_log_check(fd, err);
    return rc ? stasis_wrap(err, rc, "ready_fd.fd=%d", fd) : 0;
}

/* ---- what is in use ---- */

static int note_input(struct stasis_outputs *outputs, const char *path, const char *role,
                      struct stasis_error *err)
{
    int rc = is_file(path) ? stasis_outputs_add_input_path(outputs, path, role, err)
                           : stasis_outputs_add_input(outputs, STDIN_FILENO, role, err);

    return rc ? stasis_wrap(err, rc, "%s", path) : 0;
}

/* Whoever opened these for us may share them with standard output or error. */
static int note_written(struct stasis_outputs *outputs, int fd, const char *role,
                        struct stasis_error *err)
{
    int rc = fd ? stasis_outputs_add_written(outputs, fd, role, err) : 0;

    return rc ? stasis_wrap(err, rc, "descriptor %d", fd) : 0;
}

static int note_descriptors(const struct stasis_vmm_config *config, struct stasis_outputs *outputs,
                            struct stasis_error *err)
{
    int rc = config->log.level ? note_written(outputs, config->log.fd, "that of log.fd", err) : 0;

    return rc ? rc : note_written(outputs, config->ready_fd, "that of ready_fd.fd", err);
}

int stasis_files_note(const struct stasis_vmm_config *config, struct stasis_outputs *outputs,
                      struct stasis_error *err)
{
    int rc = note_descriptors(config, outputs, err);

    if (!rc && config->kernel.path)
        rc = note_input(outputs, config->kernel.path, "that of kernel.path", err);
    if (!rc && config->initrd_path)
        rc = note_input(outputs, config->initrd_path, "that of initrd.path", err);
    for (unsigned i = 0; !rc && i < stasis_config_disks(config); i++)
        rc = note_input(outputs, config->block[i].path, "that of block.path", err);
    if (!rc && config->restore.path)
        rc = note_input(outputs, config->restore.path, STASIS_VMM_RESTORE_ROLE, err);
    return rc;
}

/* ---- what is written ---- */

struct row {
    const char *key;
    const char *path; /* NULL: none is wanted */
    struct stasis_output_opts opts;
};

static struct row row_of(const struct stasis_vmm_config *config, enum stasis_files_output which)
{
    const bool again = config->metrics_every_ms != 0;

    if (which == STASIS_FILES_CRASH)
        return (struct row){"on_crash.snapshot",
                            config->on_crash.snapshot,
                            {.role = "that of on_crash.snapshot", .snapshot = true}};
    if (which == STASIS_FILES_METRICS)
        return (struct row){"metrics.path",
                            config->metrics_path,
                            {.kind = again ? STASIS_OUTPUT_REPLACED : STASIS_OUTPUT_ANY,
                             .role = "that of metrics.path",
                             .by_umask = again}};
    /* A guest may be frozen onto the file that it came from: it is the same guest, and whoever has
     * the old file open keeps it. */
    return (struct row){
        "snapshot.path",
        is_file(config->snapshot.path) ? config->snapshot.path : NULL,
        {.role = "that of snapshot.path", .snapshot = true, .over = STASIS_VMM_RESTORE_ROLE}};
}

int stasis_files_wrong_key(struct stasis_error *err, const char *key, const char *path, int rc)
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

int stasis_files_open_output(const struct stasis_vmm_config *config, struct stasis_outputs *outputs,
                             enum stasis_files_output which, bool only_looks,
                             struct stasis_output **ret_output, struct stasis_error *err)
{
    struct row row = row_of(config, which);
    int rc;

    if (!row.path)
        return 0;
    row.opts.size = sizeof(row.opts);
    row.opts.only_looks = only_looks;
    rc = stasis_output_open(outputs, row.path, &row.opts, ret_output, err);
    if (!rc && row.opts.kind == STASIS_OUTPUT_REPLACED)
        rc = stasis_output_probe(*ret_output, err);
    return rc ? stasis_files_wrong_key(err, row.key, row.path, rc) : 0;
}

/* ---- what is thawed ---- */

static int open_snapshot(const struct stasis_vmm_config *config, struct stasis_outputs *outputs,
                         const struct stasis_parse_opts *opts, struct stasis_snap **ret_snap,
                         struct stasis_error *err)
{
    const char *path = config->restore.path;
    int fd = -1;
    int rc;

    if (stasis_config_thaws_from_stream(config))
        return stasis_snap_open_fd(STDIN_FILENO, "standard input", opts, ret_snap, err);
    rc = stasis_outputs_open_input(outputs, path, STASIS_VMM_RESTORE_ROLE, &fd, err);
    if (rc)
        return rc;
    rc = stasis_snap_open_fd(fd, path, opts, ret_snap, err);
    (void)close(fd);
    return rc;
}

int stasis_files_open_restore(const struct stasis_vmm_config *config,
                              struct stasis_outputs *outputs, struct stasis_parse_opts *opts,
                              struct stasis_snap **ret_snap, struct stasis_error *err)
{
    uint8_t root[STASIS_DIGEST_SIZE];
    struct stasis_snap *snap = NULL;
    int rc;

    opts->root = stasis_config_root(config, root);
    opts->layers = config->restore.layers;
    opts->beside = config->restore.path;
    rc = open_snapshot(config, outputs, opts, &snap, err);
    opts->root = NULL;
    if (!rc)
        rc = stasis_outputs_add_below(outputs, snap, "a file that the snapshot lies on", err);
    if (rc)
        stasis_snap_free(snap);
    else
        *ret_snap = snap;
    return rc;
}
