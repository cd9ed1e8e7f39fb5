/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/sandbox/privileges.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/cmocka_all.h"
#include "vmm/sandbox/child.h"

static uint64_t capabilities(bool effective)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2];

    if (syscall(SYS_capget, &header, sets))
        _exit(98);
    return effective ? sets[0].effective | (uint64_t)sets[1].effective << 32
                     : sets[0].permitted | (uint64_t)sets[1].permitted << 32;
}

static int gives_up_privileges(void *arg)
{
    const uint64_t opening = UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH |
                             UINT64_C(1) << CAP_SYS_PTRACE | UINT64_C(1) << CAP_SYS_NICE |
                             UINT64_C(1) << CAP_SYS_CHROOT;
    uint64_t before = capabilities(true);
    struct rlimit core, files;

    (void)arg;
    if (stasis_sandbox_limit(NULL) || stasis_sandbox_no_new_privileges(NULL) ||
        stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_OPENING, NULL))
        return 1;
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 2;
    if (capabilities(true) != (before & opening) || capabilities(false) & ~opening)
        return 3;
    if (getrlimit(RLIMIT_CORE, &core) || core.rlim_max)
        return 4;
    if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur != files.rlim_max)
        return 5;
    if (stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, NULL))
        return 6;
    return capabilities(true) || capabilities(false) ? 7 : 0;
}

static void privileges_are_gone_for_good(void **state)
{
    (void)state;
    assert_int_equal(in_child(gives_up_privileges, NULL), 0);
}

static int has_message(int rc, const struct stasis_error *err, const char *words)
{
    return rc == STASIS_ERR_UNAVAILABLE && strstr(err->msg, words) ? 0 : 1;
}

static int cannot_read_capabilities(void *arg)
{
    struct stasis_error err = {0};

    (void)arg;
    lacks_call(SYS_capget, EPERM);
    return has_message(stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, &err), &err,
                       "cannot read capabilities");
}

static int cannot_give_up_capabilities(void *arg)
{
    struct stasis_error err = {0};

    (void)arg;
    lacks_call(SYS_capset, EPERM);
    if (!capabilities(false)) /* of an ordinary user */
        return stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, &err);
    return has_message(stasis_sandbox_drop_capabilities(STASIS_SANDBOX_KEEP_NONE, &err), &err,
                       "cannot give up capabilities");
}

static int cannot_limit(void *arg)
{
    struct stasis_error err = {0};

    (void)arg;
    lacks_call(SYS_prlimit64, EPERM);
    lacks_call(SYS_setrlimit, EPERM);
    return has_message(stasis_sandbox_limit(&err), &err, "cannot lower resource limits");
}

static int cannot_give_up_new_privileges(void *arg)
{
    struct stasis_error err = {0};

    (void)arg;
    lacks_call(SYS_prctl, EINVAL);
    return has_message(stasis_sandbox_no_new_privileges(&err), &err, "new privileges");
}

static void what_the_kernel_does_not_do_is_told(void **state)
{
    (void)state;
    assert_int_equal(in_child(cannot_read_capabilities, NULL), 0);
    assert_int_equal(in_child(cannot_give_up_capabilities, NULL), 0);
    assert_int_equal(in_child(cannot_limit, NULL), 0);
    assert_int_equal(in_child(cannot_give_up_new_privileges, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(privileges_are_gone_for_good),
        cmocka_unit_test(what_the_kernel_does_not_do_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
