/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/sandbox/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNKNOWN_USER 65534 /* whom others seem to be in a namespace; nobody */

/* Nothing can be made in either. The first is empty, and there for the sake of its name only
 * (proc_tty_init() of Linux); a /proc that shows processes alone (subset=pid) lacks it. What is in
 * the other tells of this process's own descriptors. */
static const char *const new_roots[] = {"/proc/tty/ldisc", "/proc/self/fdinfo"};

static int no_root(struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                             "names of the host's files can be looked up: to hide them takes "
                             "/proc, and user namespaces that the kernel allows");
}

static bool has(const struct __user_cap_data_struct *sets, unsigned capability)
{
    return sets[CAP_TO_INDEX(capability)].permitted & CAP_TO_MASK(capability);
}

/* AppArmor can let a user enter a namespace in which he may do nothing (Ubuntu 24.04): not even
 * write this map, so that he would take others for himself. */
static bool gives_rights(void)
{
    char answer = '1';
    int fd = open("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT;
    if (read(fd, &answer, 1) != 1 || answer != '0')
        errno = EPERM;
    close(fd);
    return answer == '0';
}

/* A number that is alone in its map may be written by who has it (user_namespaces(7)). Files of
 * others shall not seem to be nobody's if that is who runs this. */
static bool map_user(uid_t user)
{
    const uid_t inside = user == UNKNOWN_USER ? UNKNOWN_USER - 1 : user;
    char text[32];
    int len = snprintf(text, sizeof(text), "%u %u 1", (unsigned)inside, (unsigned)user);
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    bool mapped = fd >= 0 && write(fd, text, (size_t)len) == len;

    if (fd >= 0)
        close(fd);
    return mapped;
}

/* Whoever has other capabilities that opening a VM can use would lose them in a namespace. */
int stasis_sandbox_root_begin(struct stasis_error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
    const uid_t user = geteuid();

    if (syscall(SYS_capget, &header, sets))
        return no_root(err);
    if (has(sets, CAP_SYS_CHROOT))
        return 0;
    errno = EPERM;
    if (has(sets, CAP_DAC_OVERRIDE) || has(sets, CAP_DAC_READ_SEARCH) ||
        has(sets, CAP_SYS_PTRACE) || !gives_rights() || unshare(CLONE_NEWUSER) || !map_user(user))
        return no_root(err);
    return 0;
}

/* chroot(2) leaves the working directory where it is. */
int stasis_sandbox_root_change(const int *descriptors, struct stasis_error *err)
{
    if (descriptors && *descriptors < 0)
        return no_root(err);
    for (size_t i = 0; i < sizeof(new_roots) / sizeof(new_roots[0]); i++)
        if (!chroot(new_roots[i]))
            return (descriptors ? fchdir(*descriptors) : chdir("/")) ? no_root(err) : 0;
    return no_root(err);
}
