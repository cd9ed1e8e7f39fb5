/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/fault_signals.h"

#include <signal.h>

bool stasis_signal_is_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
           number == SIGABRT || number == SIGTRAP || number == SIGSYS;
}

void stasis_signals_all_but_faults(sigset_t *ret_set)
{
    sigfillset(ret_set);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (stasis_signal_is_fault(number))
            sigdelset(ret_set, number);
}
