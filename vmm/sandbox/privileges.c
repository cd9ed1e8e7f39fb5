/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/sandbox/privileges.h"

#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORDS _LINUX_CAPABILITY_U32S_3

int stasis_sandbox_no_new_privileges(struct stasis_error *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "this kernel does not let a process give up new privileges");
    return 0;
}

int stasis_sandbox_limit(struct stasis_error *err)
{
    const struct rlimit none = {0, 0};
    struct rlimit files;
    int failed = setrlimit(RLIMIT_CORE, &none) || getrlimit(RLIMIT_NOFILE, &files);

    if (!failed) {
        files.rlim_max = files.rlim_cur;
        failed = setrlimit(RLIMIT_NOFILE, &files);
    }
    if (failed)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot lower resource limits");
    return 0;
}

/* The last is that of STASIS_SANDBOX_KEEP_ROOT. */
static const unsigned opening[] = {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE,
                                   CAP_SYS_NICE, CAP_SYS_CHROOT};
#define OPENING (sizeof(opening) / sizeof(opening[0]))

static const size_t first_kept[] = {
    [STASIS_SANDBOX_KEEP_NONE] = OPENING,
    [STASIS_SANDBOX_KEEP_OPENING] = 0,
    [STASIS_SANDBOX_KEEP_ROOT] = OPENING - 1,
};

int stasis_sandbox_drop_capabilities(enum stasis_sandbox_keep keep, struct stasis_error *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[WORDS];
    uint32_t kept[WORDS] = {0};
    uint32_t excess = 0;

    for (size_t i = first_kept[keep]; i < OPENING; i++)
        kept[CAP_TO_INDEX(opening[i])] |= CAP_TO_MASK(opening[i]);
    if (syscall(SYS_capget, &header, sets))
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot read capabilities");
    for (size_t i = 0; i < WORDS; i++) {
        excess |= (sets[i].permitted & ~kept[i]) | sets[i].inheritable;
        sets[i].effective &= kept[i];
        sets[i].permitted &= kept[i];
        sets[i].inheritable = 0;
    }
    /* Threads that are started when all is gone may not make the call any more. */
    if (!excess)
        return 0;
    /* The ambient set follows: it is never more than the other two have in common. */
    if (syscall(SYS_capset, &header, sets))
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot give up capabilities");
    return 0;
}
