/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/kvm/failing.h"

#include <dirent.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define TRIED_ERRNO EMFILE /* none that the library knows anything of */

static unsigned open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static int run(int (*use)(struct stasis_error *err), unsigned flaws, unsigned fail_at,
               struct stasis_error *err)
{
    int rc;

    memset(err, 0, sizeof(*err));
    fake_kvm = (struct fake_kvm){.flaws = flaws,
                                 .fail_at = fail_at,
                                 .fail_errno = TRIED_ERRNO,
                                 .counts_system = true,
                                 .answer = fake_kvm.answer};
    rc = use(err);
    fake_kvm.counts_system = false;
    fake_kvm.fail_at = 0;
    return rc;
}

/* Calls that ask what there is: a failure is an answer. */
static bool only_asks(unsigned long request)
{
    return request == KVM_CHECK_EXTENSION || request == KVM_HAS_DEVICE_ATTR;
}

void failing_run(int (*use)(struct stasis_error *err), unsigned flaws)
{
    size_t calls, bytes = fake_system_mapped();
    unsigned fds = open_fds();
    struct stasis_error err;
    unsigned failed = 0;

    if (run(use, flaws, 0, &err))
        fail_msg("%s", err.msg);
    calls = fake_kvm.count;
    assert_in_range(calls, 1, FAKE_KVM_CALLS_MAX - 1);
    for (unsigned n = 1; n <= calls; n++) {
        int rc = run(use, flaws, n, &err);

        failed += rc != 0;
        if (rc && (rc != (int)err.code || !err.msg[0]))
            fail_msg("call %u: %d, but the error is %d: %s", n, rc, (int)err.code, err.msg);
        if (!rc && err.code)
            fail_msg("call %u: success, but an error: %s", n, err.msg);
        if (!rc && !only_asks(fake_kvm.calls[n - 1]))
            fail_msg("call %u (request 0x%lx) failed, and nobody minds", n, fake_kvm.calls[n - 1]);
        if (open_fds() != fds)
            fail_msg("call %u: descriptors were left open (%s)", n, err.msg);
#ifdef __GLIBC__ /* others' malloc() maps memory by the same calls */
        if (fake_system_mapped() != bytes)
            fail_msg("call %u: %zd bytes more are mapped (%s)", n,
                     (ssize_t)(fake_system_mapped() - bytes), err.msg);
#else
        (void)bytes;
#endif
    }
    assert_true(failed > 0);
}

void failing_check(const void *object, size_t size)
{
    for (size_t i = 0; i < size; i++)
        assert_int_equal(((const uint8_t *)object)[i], 0xa5);
}
