/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis/output.h"
#include "stasis_options.h"
#include "vmm/cmd/confine_files.h"
#include "vmm/cmd/say.h"
#include "vmm/sandbox/filter.h"
#include "vmm/sandbox/privileges.h"
#include "vmm/sandbox/root.h"

#define MAKER_LIMIT_MS 10000 /* as for disks */

static bool confines(const struct stasis_confinement *confinement)
{
    return STASIS_WITH_SANDBOX && confinement->mode != STASIS_CONFINE_OFF;
}

/* What a part has returned: that it is missing is told, or is an error. */
static int part(const struct stasis_confinement *confinement, int rc, struct stasis_error *err)
{
    char line[STASIS_ERROR_MSG_MAX + 64];

    if (!rc)
        return 0;
    if (confinement->mode == STASIS_CONFINE_REQUIRE) {
        const struct stasis_error why = *err;

        return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                           "--sandbox require: %.512s; give --sandbox on to do without this part",
                           why.msg);
    }
    snprintf(line, sizeof(line), "--sandbox: %.512s; the guest runs without this part", err->msg);
    stasis_say(false, line);
    return 0;
}

/* ---- parts ---- */

/* Which folders clients send cannot be known yet, unless dir= says where files may be made. */
static int start_maker(struct stasis_confinement *confinement,
                       const struct stasis_control_config *control, struct stasis_error *err)
{
    const struct stasis_socket *sock = confinement->socket;
    struct stasis_sandbox_maker_opts opts = {.dir = -1};

    if (!control || !control->path)
        return 0;
    opts.makes = !control->dir;
    if (sock) {
        opts.dir = sock->dir;
        opts.name = sock->name;
        opts.dev = sock->dev;
        opts.ino = sock->ino;
    }
    return stasis_sandbox_maker_start(&opts, &confinement->maker, err);
}

/* Files are limited all the same. */
static int do_without_maker(const struct stasis_confinement *confinement, int rc,
                            const struct stasis_error *err)
{
    char line[STASIS_ERROR_MSG_MAX + 160];

    if (!rc || confinement->mode == STASIS_CONFINE_REQUIRE)
        return rc;
    snprintf(line, sizeof(line),
             "--sandbox: %.512s; clients can have no snapshots in folders of theirs, and the "
             "control socket is not removed at the end",
             err->msg);
    stasis_say(false, line);
    return 0;
}

/* Layers are sought in a folder that vmm can only read. Who could still open it when the guest runs
 * could have files made in it by the other process, as a client can. */
static int begin_folders(struct stasis_confinement *confinement,
                         const struct stasis_vmm_config *config,
                         const struct stasis_control_config *control, struct stasis_error *err)
{
    int rc = stasis_sandbox_folders_begin(&confinement->folders, err);

    return rc ? rc : stasis_confine_allow_files(&confinement->folders, config, control, true, err);
}

static int confine_files(struct stasis_confinement *confinement,
                         const struct stasis_vmm_config *config,
                         const struct stasis_control_config *control, struct stasis_error *err)
{
    struct stasis_sandbox_files files = STASIS_SANDBOX_NO_RULES;
    int rc = stasis_sandbox_files_begin(&files, err);

    for (size_t i = 0; i < STASIS_CONFINE_PROC_COUNT; i++)
        confinement->proc_fds[i] = open(stasis_confine_proc[i], O_PATH | O_CLOEXEC);
    if (!rc)
        rc = do_without_maker(confinement, start_maker(confinement, control, err), err);
    if (!rc)
        rc = stasis_confine_allow_files(&files, config, control, false, err);
    if (!rc && confinement->maker.makes)
        rc = begin_folders(confinement, config, control, err);
    if (!rc)
        rc = stasis_sandbox_files_enforce(&files, err);
    stasis_sandbox_files_fini(&files);
    return rc;
}

/* ---- system calls ---- */

static int filter_calls(struct stasis_confinement *confinement, struct stasis_error *err)
{
    int rc = stasis_sandbox_on_refused(confinement->end, confinement->ctx, err);

    if (!rc)
        rc = stasis_sandbox_filter(
            confinement->connects ? STASIS_SANDBOX_OPEN_CONNECTING : STASIS_SANDBOX_OPEN, err);
    confinement->filters = !rc;
    return rc;
}

int stasis_confine_thread(const struct stasis_confinement *confinement,
                          enum stasis_vmm_thread thread, struct stasis_error *err)
{
    static const enum stasis_sandbox_thread kinds[] = {
        [STASIS_VMM_THREAD_VCPU] = STASIS_SANDBOX_VCPU,
        [STASIS_VMM_THREAD_SAVE] = STASIS_SANDBOX_SAVE,
        [STASIS_VMM_THREAD_LOOP] = STASIS_SANDBOX_LOOP,
        [STASIS_VMM_THREAD_IO] = STASIS_SANDBOX_IO,
        [STASIS_VMM_THREAD_RAM] = STASIS_SANDBOX_RAM,
        [STASIS_VMM_THREAD_METRICS] = STASIS_SANDBOX_METRICS,
    };
    int rc = 0;

    /* Threads that load RAM are started before the VM is open, by one that still has some. */
    if (confines(confinement) && thread == STASIS_VMM_THREAD_RAM)
        rc = stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, err);
    if (rc && confinement->mode == STASIS_CONFINE_REQUIRE)
        return rc;
    if (!confinement->filters)
        return 0;
    if (thread == STASIS_VMM_THREAD_LOOP && confinement->connects)
        return stasis_sandbox_filter(STASIS_SANDBOX_LOOP_CONNECTING, err);
    return stasis_sandbox_filter(kinds[thread], err);
}

/* ---- names ---- */

/* That users may make no namespaces is the choice of many distributions: it is not told of.
 * --sandbox require names the part as any other. */
static int quiet_part(const struct stasis_confinement *confinement, int rc,
                      struct stasis_error *err)
{
    return rc && confinement->mode == STASIS_CONFINE_REQUIRE ? part(confinement, rc, err) : 0;
}

/* A namespace hides which group /dev/kvm is of: whoever may not open it is told. */
static bool may_open_kvm(const struct stasis_vmm_config *config)
{
    return config->kvm_fd || !access("/dev/kvm", R_OK | W_OK);
}

static int begin_root(struct stasis_confinement *confinement,
                      const struct stasis_vmm_config *config,
                      const struct stasis_control_config *control, struct stasis_error *err)
{
    int rc;

    /* Without a VM nothing is given up by it. */
    if (!control || !may_open_kvm(config) || !stasis_confine_may_map_users(config))
        return 0;
    confinement->holds_folders = stasis_confine_holds_folders(config, control);
    rc = stasis_sandbox_root_begin(err);
    confinement->changes_root = !rc;
    confinement->loses_proc =
        !rc && (control->path || config->snapshot.path || config->on_crash.snapshot);
    return quiet_part(confinement, rc, err);
}

static void close_proc(struct stasis_confinement *confinement)
{
    for (size_t i = 0; i < STASIS_CONFINE_PROC_COUNT; i++) {
        if (confinement->proc_fds[i] >= 0)
            close(confinement->proc_fds[i]);
        confinement->proc_fds[i] = -1;
    }
}

/* The folder of the control socket is this process's if no other removes the socket. */
static int change_root(struct stasis_confinement *confinement, struct stasis_error *err)
{
    const bool holds =
        confinement->holds_folders || (confinement->socket && confinement->maker.fd < 0);
    int rc;

    if (!confinement->changes_root)
        return 0;
    rc = stasis_sandbox_root_change(holds ? &confinement->proc_fds[0] : NULL, err);
    if (!rc)
        close_proc(confinement);
    return quiet_part(confinement, rc, err);
}

/* ---- in order ---- */

void stasis_confine_init(struct stasis_confinement *confinement)
{
    confinement->filters = confinement->changes_root = false;
    confinement->holds_folders = confinement->loses_proc = false;
    confinement->maker.makes = false;
    confinement->maker.fd = confinement->folders.fd = -1;
    for (size_t i = 0; i < STASIS_CONFINE_PROC_COUNT; i++)
        confinement->proc_fds[i] = -1;
}

int stasis_confine_begin(struct stasis_confinement *confinement,
                         const struct stasis_vmm_config *config,
                         const struct stasis_control_config *control, struct stasis_error *err)
{
    int rc;

    stasis_confine_init(confinement);
    confinement->connects = config->net.passt || config->vsock.path;
    if (!confines(confinement))
        return 0;
    rc = part(confinement, stasis_sandbox_limit(err), err);
    if (!rc)
        rc = part(confinement, stasis_sandbox_no_new_privileges(err), err);
    if (!rc)
        rc = begin_root(confinement, config, control, err);
    if (!rc)
        rc = part(confinement, stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_OPENING, err),
                  err);
    if (!rc)
        rc = part(confinement, confine_files(confinement, config, control, err), err);
    return rc ? rc : part(confinement, filter_calls(confinement, err), err);
}

/* Root has opened it with a capability that is gone: when it is replaced it would be too late to
 * say so. */
static int check_replaced(const char *option, const char *path, bool snapshot,
                          struct stasis_error *err)
{
    const struct stasis_output_opts opts = {.size = sizeof(opts), .snapshot = snapshot};
    struct stasis_output *output = NULL;
    struct stasis_error why = {0};
    int rc = stasis_output_open(NULL, path, &opts, &output, &why);

    if (!rc)
        rc = stasis_output_probe(output, &why);
    stasis_output_close(output);
    if (!rc)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "%s %s: the sandbox gives up root's capabilities, and without them: %.512s; "
                       "run vmm as the folder's owner, or give --sandbox off",
                       option, path, why.msg);
}

/* Likewise a passt that dies and comes back. */
static int check_passt(const char *passt, struct stasis_error *err)
{
    if (!passt || !access(passt, W_OK))
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_ARG,
                             "--net passt=%s: the sandbox gives up root's capabilities, and "
                             "without them passt could not be connected to again; run both as one "
                             "user, or give --sandbox off",
                             passt);
}

static int check_outputs(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const char *snapshot = config->snapshot.path;
    int rc = 0;

    if (snapshot && strcmp(snapshot, STASIS_VMM_STREAM) != 0)
        rc = check_replaced("--snapshot-out", snapshot, true, err);
    if (!rc && config->on_crash.snapshot)
        rc = check_replaced("--on-crash snapshot", config->on_crash.snapshot, true, err);
    if (!rc && config->metrics_path && config->metrics_every_ms)
        rc = check_replaced("--metrics", config->metrics_path, false, err);
    return rc ? rc : check_passt(config->net.passt, err);
}

/* By their names, without root's capabilities but that which takes the names away. */
static int check_named(const struct stasis_confinement *confinement,
                       const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const enum stasis_sandbox_keep keep =
        confinement->changes_root ? STASIS_SANDBOX_KEEP_ROOT : STASIS_SANDBOX_KEEP_NONE;
    int rc;

    if (confinement->changes_root && !confinement->holds_folders)
        return 0; /* there are none */
    rc = part(confinement, stasis_sandbox_drop_capabilities(keep, err), err);
    return rc ? rc : check_outputs(config, err);
}

int stasis_confine_opened(struct stasis_confinement *confinement,
                          const struct stasis_vmm_config *config, struct stasis_error *err)
{
    int rc;

    if (!confines(confinement))
        return 0;
    rc = check_named(confinement, config, err);
    if (!rc)
        rc = change_root(confinement, err);
    if (!rc)
        rc =
            part(confinement, stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, err), err);
    if (!rc && confinement->folders.fd >= 0)
        rc = part(confinement, stasis_sandbox_files_enforce(&confinement->folders, err), err);
    return rc;
}

struct stasis_output_folders stasis_confine_folders(const struct stasis_confinement *confinement)
{
    if (confinement->maker.fd < 0 || !confinement->maker.makes)
        return (struct stasis_output_folders){.open = NULL};
    return (struct stasis_output_folders){
        .ctx = (void *)(intptr_t)confinement->maker.fd,
        .open = stasis_sandbox_maker_open,
        .make = stasis_sandbox_maker_make,
        .name = stasis_sandbox_maker_name,
        .replace = stasis_sandbox_maker_replace,
        .remove = stasis_sandbox_maker_remove,
    };
}

void stasis_confine_fini(struct stasis_confinement *confinement)
{
    close_proc(confinement);
    stasis_sandbox_files_fini(&confinement->folders);
    if (!stasis_sandbox_maker_stop(&confinement->maker, MAKER_LIMIT_MS))
        stasis_say(false,
                   "--sandbox: the process that handles files of clients does not end, since "
                   "a file system does not answer; it is killed, and the control socket may "
                   "not be removed");
}
