/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The signal that takes a vCPU's thread out of KVM_RUN. Its handler is the process's: it is there
 * while anybody uses the signal, and on threads that are no VM's it calls the handler that the
 * program had before, which comes back in the end.
 */
#ifndef STASIS_VMM_KICK_H
#define STASIS_VMM_KICK_H

#include <stdbool.h>

/* Real-time signals only: nothing else sends one. */
bool stasis_kick_is_signal(int number);

/* Both count, and may be called by any thread; number 0 is SIGRTMIN. */
void stasis_kick_acquire(int number);
void stasis_kick_release(int number);

/* Makes the calling thread a VM's for its whole life, and unblocks the signal on it. It must begin
 * with the signal blocked: one that came before would go to the program's handler. */
void stasis_kick_begin_thread(int number);

/* SIGRTMIN for 0. */
int stasis_kick_number(int number);

#endif
