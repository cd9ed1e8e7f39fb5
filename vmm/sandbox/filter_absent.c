/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Of a build without STASIS_SANDBOX.
 */
#include "vmm/sandbox/filter.h"

int stasis_sandbox_filter(enum stasis_sandbox_thread thread, struct stasis_error *err)
{
    (void)thread;
    return stasis_fail_absent(err, "the sandbox", "STASIS_SANDBOX");
}

int stasis_sandbox_on_refused(void (*end)(void *ctx, const struct stasis_error *err), void *ctx,
                              struct stasis_error *err)
{
    (void)end, (void)ctx;
    return stasis_fail_absent(err, "the sandbox", "STASIS_SANDBOX");
}
