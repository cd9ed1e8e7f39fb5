/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * By system call: no C library has functions for Landlock.
 */
#include "vmm/sandbox/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Younger than the headers of Linux 6.1. */
#define TRUNCATE     (UINT64_C(1) << 14)
#define NET_BOTH     UINT64_C(3) /* LANDLOCK_ACCESS_NET_BIND_TCP, ..._CONNECT_TCP */
#define SCOPE_BOTH   UINT64_C(3) /* LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, ..._SIGNAL */
#define ABI_REFER    2
#define ABI_TRUNCATE 3
#define ABI_NET      4
#define ABI_SCOPE    6

struct ruleset_attr {
    uint64_t fs, net, scoped;
};

#define FS_FIRST     ((UINT64_C(1) << 13) - 1) /* of Linux 5.13: EXECUTE to MAKE_SYM */
#define FS_READ_FILE ((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE)
#define FS_FILE      (FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
#define FS_READ      (FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_MAKE                                                                                    \
    (FS_FILE | FS_READ | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_FIFO |              \
     LANDLOCK_ACCESS_FS_REMOVE_FILE)

static const uint64_t rights[] = {
    [STASIS_SANDBOX_READ] = FS_READ,
    [STASIS_SANDBOX_WRITE] = FS_FILE,
    [STASIS_SANDBOX_MAKE] = FS_MAKE,
    [STASIS_SANDBOX_SOCKET] = LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_SOCK,
};

static uint64_t handled(long version)
{
    return FS_FIRST | (version >= ABI_REFER ? (uint64_t)LANDLOCK_ACCESS_FS_REFER : 0) |
           (version >= ABI_TRUNCATE ? TRUNCATE : 0);
}

/* Older kernels take no longer struct than they know, unless the rest is 0. */
static int begin(const struct ruleset_attr *attr, struct stasis_sandbox_files *ret_files,
                 struct stasis_error *err)
{
    int fd = (int)syscall(SYS_landlock_create_ruleset, attr, sizeof(*attr), 0);

    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "files are not limited, for which the kernel needs Landlock "
                                 "(Linux 5.13, lsm=landlock)");
    *ret_files = (struct stasis_sandbox_files){fd, attr->fs};
    return 0;
}

int stasis_sandbox_files_begin(struct stasis_sandbox_files *ret_files, struct stasis_error *err)
{
    const long version =
        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    const struct ruleset_attr all = {
        .fs = handled(version),
        .net = version >= ABI_NET ? NET_BOTH : 0,
        .scoped = version >= ABI_SCOPE ? SCOPE_BOTH : 0,
    };

    return begin(&all, ret_files, err);
}

int stasis_sandbox_folders_begin(struct stasis_sandbox_files *ret_files, struct stasis_error *err)
{
    const struct ruleset_attr folders = {.fs = LANDLOCK_ACCESS_FS_READ_DIR};

    return begin(&folders, ret_files, err);
}

/* A rule for a file may hold no right of a folder. */
static int add(const struct stasis_sandbox_files *files, int fd, uint64_t allowed)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = allowed & files->handled,
                                              .parent_fd = fd};
    struct stat st;

    if (fstat(fd, &st))
        return -1;
    if (!S_ISDIR(st.st_mode))
        rule.allowed_access &= FS_FILE;
    /* What has no place in a file system (a pipe, for example) is not limited: EBADFD. */
    if (!rule.allowed_access ||
        !syscall(SYS_landlock_add_rule, files->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        return 0;
    return errno == EBADFD ? 0 : -1;
}

int stasis_sandbox_files_allow(const struct stasis_sandbox_files *files, const char *path,
                               enum stasis_sandbox_access access, struct stasis_error *err)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    int rc = 0;

    if (fd < 0)
        return 0;
    if (add(files, fd, rights[access]))
        rc = stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                               "files are not limited, since Landlock takes no rule for %s", path);
    close(fd);
    return rc;
}

int stasis_sandbox_files_enforce(struct stasis_sandbox_files *files, struct stasis_error *err)
{
    int failed = (int)syscall(SYS_landlock_restrict_self, files->fd, 0);

    if (failed)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "files are not limited, since Landlock takes no more rules");
    stasis_sandbox_files_fini(files);
    return 0;
}

void stasis_sandbox_files_fini(struct stasis_sandbox_files *files)
{
    if (files->fd >= 0)
        close(files->fd);
    files->fd = -1;
}
