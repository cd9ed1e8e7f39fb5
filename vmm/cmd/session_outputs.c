/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The files of a session: all go through the gate of stasis/output.h.
 */
#include <string.h>
#include <unistd.h>

#include "stasis/output.h"
#include "vmm/cmd/session_internal.h"

#define RESTORE_ROLE "that of --restore"

static bool is_file(const char *path)
{
    return path && strcmp(path, STASIS_CLI_STREAM) != 0;
}

static int add_input(struct stasis_session *session, const char *path, const char *role,
                     struct stasis_error *err)
{
    int rc = is_file(path) ? stasis_outputs_add_input_path(session->outputs, path, role, err)
                           : stasis_outputs_add_input(session->outputs, STDIN_FILENO, role, err);

    return rc ? stasis_wrap(err, rc, "%s", path) : 0;
}

/* Files are opened later, by others. */
static int add_inputs(struct stasis_session *session, struct stasis_error *err)
{
    const struct stasis_options *options = session->options;
    int rc = 0;

    if (options->kernel_path)
        rc = add_input(session, options->kernel_path, "that of --kernel", err);
    if (!rc && options->initrd_path)
        rc = add_input(session, options->initrd_path, "that of --initrd", err);
    if (!rc && options->restore_path)
        rc = add_input(session, options->restore_path, RESTORE_ROLE, err);
    return rc;
}

/* What cannot be written to later is a wrong option now. */
static int wrong_option(struct stasis_error *err, const char *option, const char *path, int rc)
{
    const struct stasis_error why = *err;

    if (rc != STASIS_ERR_WRITE)
        return stasis_wrap(err, rc, "%s %s", option, path);
    return stasis_fail(err, STASIS_ERR_ARG, "%s %s: %.256s; name a file that can be written",
                       option, path, why.msg);
}

static int open_snapshot(struct stasis_session *session, struct stasis_error *err)
{
    /* A guest may be frozen onto the file that it came from: it is the same guest, and whoever has
     * the old file open keeps it. */
    const struct stasis_output_opts opts = {.size = sizeof(opts),
                                            .role = "that of --snapshot-out",
                                            .snapshot = true,
                                            .over = RESTORE_ROLE};
    const char *path = session->options->snapshot_path;
    int rc;

    if (!is_file(path))
        return 0;
    rc = stasis_output_open(session->outputs, path, &opts, &session->snapshot_file, err);
    if (!rc)
        rc = stasis_output_probe(session->snapshot_file, err);
    return rc ? wrong_option(err, "--snapshot-out", path, rc) : 0;
}

static int open_metrics(struct stasis_session *session, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {
        .size = sizeof(opts), .kind = STASIS_OUTPUT_ANY, .role = "that of --metrics"};
    const char *path = session->options->metrics_path;
    int rc;

    if (!path)
        return 0;
    rc = stasis_output_open(session->outputs, path, &opts, &session->metrics_file, err);
    return rc ? wrong_option(err, "--metrics", path, rc) : 0;
}

int stasis_session_outputs_open(struct stasis_session *session, struct stasis_error *err)
{
    int rc;

    session->outputs = stasis_outputs_new();
    if (!session->outputs)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a session");
    rc = add_inputs(session, err);
    if (!rc)
        rc = open_snapshot(session, err);
    return rc ? rc : open_metrics(session, err);
}

void stasis_session_outputs_close(struct stasis_session *session)
{
    stasis_output_close(session->snapshot_file);
    stasis_output_close(session->metrics_file);
    stasis_outputs_free(session->outputs);
}

int stasis_session_restore_open(struct stasis_session *session, struct stasis_snap **ret_snap,
                                struct stasis_error *err)
{
    const char *path = session->options->restore_path;
    int rc, fd;

    if (!is_file(path))
        return stasis_snap_open_fd(STDIN_FILENO, "standard input", NULL, ret_snap, err);
    rc = stasis_outputs_open_input(session->outputs, path, RESTORE_ROLE, &fd, err);
    if (rc)
        return rc;
    rc = stasis_snap_open_fd(fd, path, NULL, ret_snap, err);
    (void)close(fd);
    return rc;
}
