/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The signals that a thread gets for what it does itself. No thread may block them: a fault whose
 * signal is blocked ends the process without its handlers.
 */
#ifndef STASIS_FAULT_SIGNALS_H
#define STASIS_FAULT_SIGNALS_H

#include <stdbool.h>
#include <sys/select.h> /* sigset_t, also where <signal.h> keeps to ISO C */

#include "stasis/compiler.h"

STASIS_BEGIN_DECLS

/* May be called in a signal handler. */
STASIS_EXPORT bool stasis_signal_is_fault(int number);

/* raise(3) by a call that names this process besides the thread (tgkill(2)), as a sandbox may ask
 * for: that of musl does not. May be called in a signal handler. 0, or -1 with errno. */
STASIS_EXPORT int stasis_signal_raise(int number);

/* All signals but those: the mask of a thread that leaves signals to others. */
STASIS_EXPORT void stasis_signals_all_but_faults(sigset_t *ret_set);

STASIS_END_DECLS

#endif
