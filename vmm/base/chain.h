/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * From a signal handler of ours to the one that the program had before.
 */
#ifndef STASIS_VMM_CHAIN_H
#define STASIS_VMM_CHAIN_H

#include <signal.h>
#include <stdbool.h>

/* Calls the handler that `before` names. False: it names none (SIG_DFL, SIG_IGN). */
bool stasis_signal_chain(const struct sigaction *before, int number, siginfo_t *info,
                         void *context);

#endif
