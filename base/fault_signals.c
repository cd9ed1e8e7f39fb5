/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/fault_signals.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

bool stasis_signal_is_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
           number == SIGABRT || number == SIGTRAP || number == SIGSYS;
}

int stasis_signal_raise(int number)
{
    return (int)syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), number);
}

void stasis_signals_all_but_faults(sigset_t *ret_set)
{
    sigfillset(ret_set);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (stasis_signal_is_fault(number))
            sigdelset(ret_set, number);
}
