/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/confine_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stasis_options.h"

#define LINKS_MAX 40

const char *const stasis_confine_proc[STASIS_CONFINE_PROC_COUNT] = {
    "/proc/self/fd", "/proc/self/maps", "/proc/self/pagemap",
    "/proc/cpuinfo", /* the host CPU's name, in snapshots */
};

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

enum how { REPLACED, IN_PLACE };

/* A file that is written: one that is made or replaced takes its folder, one that is there and
 * written in place does not. The folders of links to it are opened for nothing (O_PATH). */
static int allow_output(const struct stasis_sandbox_files *files, const char *output, enum how how,
                        struct stasis_error *err)
{
    char path[PATH_MAX], folder[PATH_MAX];
    const char *name;
    struct stat st;
    bool stays;

    if (!output || !strcmp(output, STASIS_VMM_STREAM) || strlen(output) >= sizeof(path))
        return 0;
    memcpy(path, output, strlen(output) + 1);
    for (int links = 0; links < LINKS_MAX && follow(path); links++)
        ;
    stays = !stat(path, &st) && (how == IN_PLACE || !S_ISREG(st.st_mode));
    split(path, folder, &name);
    return stays ? stasis_sandbox_files_allow(files, path, STASIS_SANDBOX_WRITE, err)
                 : stasis_sandbox_files_allow(files, folder, STASIS_SANDBOX_MAKE, err);
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

/* The feature bit of a layer in its header (docs/snapshot-format.md, Header). A file that lies
 * gains no more than one that is a layer. What writes to a pipe would take the close for its end.
 */
static bool is_layer(const char *path)
{
    struct stat st;
    int fd = !stat(path, &st) && S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    uint8_t features = 0;
    bool is = fd >= 0 && pread(fd, &features, 1, 24) == 1 && features & 1 << 4;

    if (fd >= 0)
        close(fd);
    return is;
}

/* What a layer lies on is sought in a folder by what it holds. */
static int allow_layers(const struct stasis_sandbox_files *files,
                        const struct stasis_vmm_restore *restore, struct stasis_error *err)
{
    char folder[PATH_MAX];
    const char *name;

    if (restore->layers)
        return stasis_sandbox_files_allow(files, restore->layers, STASIS_SANDBOX_READ, err);
    if (!restore->path || strlen(restore->path) >= sizeof(folder) || !is_layer(restore->path))
        return 0;
    split(restore->path, folder, &name);
    return stasis_sandbox_files_allow(files, folder, STASIS_SANDBOX_READ, err);
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
    const bool read_only = block->overlay || block->readonly == STASIS_VMM_BLOCK_READONLY_ON;
    int rc = stasis_sandbox_files_allow(
        files, block->path, read_only ? STASIS_SANDBOX_READ : STASIS_SANDBOX_WRITE, err);

    return rc ? rc : allow_output(files, block->overlay, REPLACED, err);
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
        {"/sys/devices/system/cpu", STASIS_SANDBOX_READ}, /* how many CPUs there are */
        {"/etc/group", STASIS_SANDBOX_READ},              /* whose /dev/kvm is */
    };
    int rc = 0;

    for (size_t i = 0; !rc && i < sizeof(paths) / sizeof(paths[0]); i++)
        rc = stasis_sandbox_files_allow(files, paths[i].path, paths[i].access, err);
    for (size_t i = 0; !rc && i < STASIS_CONFINE_PROC_COUNT; i++)
        rc = stasis_sandbox_files_allow(files, stasis_confine_proc[i], STASIS_SANDBOX_READ, err);
    for (int fd = STDIN_FILENO; !rc && fd <= STDERR_FILENO; fd++)
        rc = allow_again(files, fd, err);
    return rc;
}

/* Where clients may have files made. Without dir= another process makes them, which removes the
 * socket as well (maker.h). */
static int allow_control(const struct stasis_sandbox_files *files,
                         const struct stasis_control_config *control, struct stasis_error *err)
{
    return control && control->path && control->dir
               ? stasis_sandbox_files_allow(files, control->dir, STASIS_SANDBOX_MAKE, err)
               : 0;
}

/* What is read until the VM is open. */
static int allow_opening(const struct stasis_sandbox_files *files,
                         const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const char *const inputs[] = {config->kernel.path, config->initrd_path, config->restore.path};
    int rc = 0;

    for (size_t i = 0; !rc && i < sizeof(inputs) / sizeof(inputs[0]); i++)
        rc = allow_input(files, inputs[i], err);
    if (!rc)
        rc = allow_copy(files, config->restore.path, err);
    return rc ? rc : allow_layers(files, &config->restore, err);
}

int stasis_confine_allow_files(const struct stasis_sandbox_files *files,
                               const struct stasis_vmm_config *config,
                               const struct stasis_control_config *control, bool is_open,
                               struct stasis_error *err)
{
    const struct {
        const char *path;
        enum how how;
    } outputs[] = {
        {config->snapshot.path, REPLACED},
        {config->on_crash.snapshot, REPLACED},
        {config->serial.path, IN_PLACE},
        {config->metrics_path, config->metrics_every_ms ? REPLACED : IN_PLACE},
    };
    int rc = allow_host(files, err);

    if (!rc)
        rc = allow_again(files, config->log.fd, err);
    if (!rc && !is_open)
        rc = allow_opening(files, config, err);
    for (size_t i = 0; !rc && i < sizeof(outputs) / sizeof(outputs[0]); i++)
        rc = allow_output(files, outputs[i].path, outputs[i].how, err);
    for (unsigned i = 0; !rc && i < stasis_config_disks(config); i++)
        rc = allow_disk(files, &config->block[i], err);
    if (!rc)
        rc = allow_net(files, &config->net, err);
    if (!rc)
        rc = allow_vsock(files, config->vsock.path, err);
    return rc ? rc : allow_control(files, control, err);
}

/* In a user namespace nobody can tell a folder of root's from that of another user, in which no
 * socket may be. */
bool stasis_confine_may_map_users(const struct stasis_vmm_config *config)
{
    const char *path = config->vsock.path, *name;
    char folder[PATH_MAX];
    struct stat st;

    if (!path || !geteuid() || strlen(path) >= sizeof(folder))
        return true;
    split(path, folder, &name);
    return stat(folder, &st) || st.st_uid == geteuid();
}

/* The gate for outputs keeps the folder of each (stasis/output.h). */
bool stasis_confine_holds_folders(const struct stasis_vmm_config *config,
                                  const struct stasis_control_config *control)
{
    const char *snapshot = config->snapshot.path;
    bool holds = (snapshot && strcmp(snapshot, STASIS_VMM_STREAM) != 0) ||
                 config->on_crash.snapshot || config->serial.path || config->metrics_path ||
                 config->net.passt || config->vsock.path || control->dir;

    for (unsigned i = 0; i < stasis_config_disks(config); i++)
        holds |= config->block[i].overlay != NULL;
    return holds;
}
