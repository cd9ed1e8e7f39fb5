/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The signals that a thread gets for what it does itself. No thread may block them: a fault whose
 * signal is blocked ends the process without its handlers.
 */
#ifndef STASIS_FAULT_SIGNALS_H
#define STASIS_FAULT_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

static inline bool stasis_signal_is_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE ||
           number == SIGABRT || number == SIGTRAP || number == SIGSYS;
}

/* All signals but those: the mask of a thread that leaves signals to others. */
static inline void stasis_signals_all_but_faults(sigset_t *ret_set)
{
    sigfillset(ret_set);
    for (int number = 1; number <= SIGRTMAX; number++)
        if (stasis_signal_is_fault(number))
            sigdelset(ret_set, number);
}

#endif
