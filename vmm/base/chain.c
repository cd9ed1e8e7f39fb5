/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/base/chain.h"

bool stasis_signal_chain(const struct sigaction *before, int number, siginfo_t *info, void *context)
{
    if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(number, info, context);
        return true;
    }
    if (before->sa_handler == SIG_DFL || before->sa_handler == SIG_IGN)
        return false;
    before->sa_handler(number);
    return true;
}
