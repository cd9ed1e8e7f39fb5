/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis/output.h"
#include "stasis_options.h"
#include "vmm/cmd/say.h"
#include "vmm/sandbox/files.h"
#include "vmm/sandbox/filter.h"
#include "vmm/sandbox/privileges.h"

#define LINKS_MAX 40

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

/* ---- files ---- */

/* The folder that the name is in, and the name. */
static void split(const char *path, char folder[PATH_MAX], const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash ? (size_t)(slash + 1 - path) : 0;

    snprintf(folder, PATH_MAX, "%.*s", len ? (int)len : 1, len ? path : ".");
    *ret_name = path + len;
}

/* Where the link at path leads, in its place; false: it is no link. */
static bool follow(char path[PATH_MAX])
{
    char text[PATH_MAX], folder[PATH_MAX];
    ssize_t len = readlink(path, text, sizeof(text) - 1);
    const char *name;

    if (len < 0)
        return false;
    text[len] = '\0';
    split(path, folder, &name);
    if (text[0] == '/')
        memcpy(path, text, (size_t)len + 1);
    else if (snprintf(path, PATH_MAX, "%s/%s", folder, text) >= PATH_MAX)
        return false;
    return true;
}

/* A file that is written: a regular one is made or replaced, which is done to its folder; the
 * folders of links to it are opened, too. */
static int allow_output(const struct stasis_sandbox_files *files, const char *output,
                        struct stasis_error *err)
{
    char path[PATH_MAX], folder[PATH_MAX];
    const char *name;
    struct stat st;
    bool special;
    int rc = 0;

    if (!output || !strcmp(output, STASIS_VMM_STREAM) || strlen(output) >= sizeof(path))
        return 0;
    memcpy(path, output, strlen(output) + 1);
    for (int links = 0; !rc && links < LINKS_MAX; links++) {
        split(path, folder, &name);
        rc = stasis_sandbox_files_allow(files, folder, STASIS_SANDBOX_LIST, err);
        if (!follow(path))
            break;
    }
    special = !stat(path, &st) && !S_ISREG(st.st_mode);
    split(path, folder, &name);
    if (!rc)
        rc = special ? stasis_sandbox_files_allow(files, path, STASIS_SANDBOX_WRITE, err)
                     : stasis_sandbox_files_allow(files, folder, STASIS_SANDBOX_MAKE, err);
    return rc;
}

/* A snapshot that is no regular file is copied to a temporary one (stasis_output_make_temporary()).
 */
static int allow_copy(const struct stasis_sandbox_files *files, const char *restore,
                      struct stasis_error *err)
{
    const char *wanted = secure_getenv("TMPDIR");
    struct stat st;
    int rc;

    if (!restore || (!stat(restore, &st) && S_ISREG(st.st_mode)))
        return 0;
    if (wanted && *wanted)
        return stasis_sandbox_files_allow(files, wanted, STASIS_SANDBOX_MAKE, err);
    rc = stasis_sandbox_files_allow(files, "/tmp", STASIS_SANDBOX_MAKE, err);
    return rc ? rc : stasis_sandbox_files_allow(files, "/var/tmp", STASIS_SANDBOX_MAKE, err);
}

static int allow_input(const struct stasis_sandbox_files *files, const char *path,
                       struct stasis_error *err)
{
    return path ? stasis_sandbox_files_allow(files, path, STASIS_SANDBOX_READ, err) : 0;
}

/* Terminals and named pipes are opened once more, to be written to without waiting
 * (stasis_nowait_open()). What else the descriptor is, may be for reading only. */
static int allow_again(const struct stasis_sandbox_files *files, int fd, struct stasis_error *err)
{
    char path[32];
    struct stat st;

    if (fstat(fd, &st) || !(S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)))
        return 0;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return stasis_sandbox_files_allow(files, path, STASIS_SANDBOX_WRITE, err);
}

/* It is opened once, and then used by its descriptor. */
static int allow_disk(const struct stasis_sandbox_files *files,
                      const struct stasis_vmm_block *block, struct stasis_error *err)
{
    const bool read_only = block->readonly == STASIS_VMM_BLOCK_READONLY_ON;

    return stasis_sandbox_files_allow(files, block->path,
                                      read_only ? STASIS_SANDBOX_READ : STASIS_SANDBOX_WRITE, err);
}

/* Its socket is connected to by name, which Landlock does not limit. */
static int allow_net(const struct stasis_sandbox_files *files, const struct stasis_vmm_net *net,
                     struct stasis_error *err)
{
    return net->tap ? stasis_sandbox_files_allow(files, "/dev/net/tun", STASIS_SANDBOX_WRITE, err)
                    : 0;
}

/* What listens there is made, and removed at the end; it is connected to by name, too. */
static int allow_vsock(const struct stasis_sandbox_files *files, const char *path,
                       struct stasis_error *err)
{
    char folder[PATH_MAX];
    const char *name;

    if (!path || strlen(path) >= sizeof(folder))
        return 0;
    split(path, folder, &name);
    return stasis_sandbox_files_allow(files, folder, STASIS_SANDBOX_SOCKET, err);
}

/* What a run needs whatever its options are. */
static int allow_host(const struct stasis_sandbox_files *files, struct stasis_error *err)
{
    static const struct {
        const char *path;
        enum stasis_sandbox_access access;
    } paths[] = {
        {"/dev/kvm", STASIS_SANDBOX_WRITE},
        {"/dev/userfaultfd", STASIS_SANDBOX_WRITE},       /* memory=lazy */
        {"/dev/null", STASIS_SANDBOX_WRITE},              /* standard streams that are closed */
        {"/dev/urandom", STASIS_SANDBOX_READ},            /* jansson's hashes */
        {"/proc/self", STASIS_SANDBOX_READ},              /* fd, maps, pagemap */
        {"/proc/cpuinfo", STASIS_SANDBOX_READ},           /* the host CPU's name, in snapshots */
        {"/sys/devices/system/cpu", STASIS_SANDBOX_READ}, /* how many CPUs there are */
        {"/etc/group", STASIS_SANDBOX_READ},              /* whose /dev/kvm is */
    };
    int rc = 0;

    for (size_t i = 0; !rc && i < sizeof(paths) / sizeof(paths[0]); i++)
        rc = stasis_sandbox_files_allow(files, paths[i].path, paths[i].access, err);
    for (int fd = STDIN_FILENO; !rc && fd <= STDERR_FILENO; fd++)
        rc = allow_again(files, fd, err);
    return rc;
}

/* Clients may send any folder: where it is cannot be known yet. dir= says where they may write. */
static int allow_control(const struct stasis_sandbox_files *files,
                         const struct stasis_control_config *control, struct stasis_error *err)
{
    char folder[PATH_MAX];
    const char *name;
    int rc;

    if (!control || !control->path)
        return 0;
    split(control->path, folder, &name);
    rc = stasis_sandbox_files_allow(files, folder, STASIS_SANDBOX_REMOVE, err);
    return rc ? rc
              : stasis_sandbox_files_allow(files, control->dir ? control->dir : "/",
                                           STASIS_SANDBOX_MAKE, err);
}

static int allow_all(const struct stasis_sandbox_files *files,
                     const struct stasis_vmm_config *config,
                     const struct stasis_control_config *control, struct stasis_error *err)
{
    const char *const inputs[] = {config->kernel.path, config->initrd_path, config->restore.path};
    const char *const outputs[] = {config->snapshot.path, config->on_crash.snapshot,
                                   config->serial.path, config->metrics_path};
    int rc = allow_host(files, err);

    if (!rc)
        rc = allow_again(files, config->log.fd, err);
    for (size_t i = 0; !rc && i < sizeof(inputs) / sizeof(inputs[0]); i++)
        rc = allow_input(files, inputs[i], err);
    for (size_t i = 0; !rc && i < sizeof(outputs) / sizeof(outputs[0]); i++)
        rc = allow_output(files, outputs[i], err);
    for (unsigned i = 0; !rc && i < stasis_config_disks(config); i++)
        rc = allow_disk(files, &config->block[i], err);
    if (!rc)
        rc = allow_net(files, &config->net, err);
    if (!rc)
        rc = allow_vsock(files, config->vsock.path, err);
    if (!rc)
        rc = allow_copy(files, config->restore.path, err);
    return rc ? rc : allow_control(files, control, err);
}

static int confine_files(struct stasis_confinement *confinement,
                         const struct stasis_vmm_config *config,
                         const struct stasis_control_config *control, struct stasis_error *err)
{
    struct stasis_sandbox_files files = STASIS_SANDBOX_NO_RULES;
    int rc = stasis_sandbox_files_begin(&files, err);

    if (!rc)
        rc = allow_all(&files, config, control, err);
    confinement->proc_fd = open("/proc/self", O_PATH | O_CLOEXEC);
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

/* ---- in order ---- */

int stasis_confine_begin(struct stasis_confinement *confinement,
                         const struct stasis_vmm_config *config,
                         const struct stasis_control_config *control, struct stasis_error *err)
{
    int rc;

    confinement->filters = false;
    confinement->connects = config->net.passt || config->vsock.path;
    confinement->proc_fd = -1;
    if (!confines(confinement))
        return 0;
    rc = part(confinement, stasis_sandbox_limit(err), err);
    if (!rc)
        rc = part(confinement, stasis_sandbox_no_new_privileges(err), err);
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

int stasis_confine_opened(const struct stasis_confinement *confinement,
                          const struct stasis_vmm_config *config, struct stasis_error *err)
{
    int rc;

    if (!confines(confinement))
        return 0;
    rc = part(confinement, stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, err), err);
    return rc ? rc : check_outputs(config, err);
}

void stasis_confine_fini(struct stasis_confinement *confinement)
{
    if (confinement->proc_fd >= 0)
        close(confinement->proc_fd);
    confinement->proc_fd = -1;
}
