/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The signals of the program: blocked in every thread and read from a descriptor, so that there is
 * no handler and no race.
 */
#ifndef STASIS_VMM_SIGNALS_H
#define STASIS_VMM_SIGNALS_H

#include <stdbool.h>

/* The first thing in main(): a SIGUSR1 from here on waits for the guest; before, it ends the
 * process. Writes to a reader that has gone, and to a file that may not grow, become errors. */
void stasis_signals_init(void);

/* A descriptor that is readable when a signal has come, or -1 with errno. */
int stasis_signals_open(void);

/* The oldest signal that has come, or 0. Does not wait. */
int stasis_signals_read(int fd);

/* Whether the signals that end the process wait for stasis_signals_read(), or end it at once, as
 * they must be able to while the event loop waits for as long as somebody else pleases. */
void stasis_signals_hold(bool hold);

/* Ends the process by the signal, for the parent to see, as of a program that does not catch it. */
void stasis_signals_die_by(int number);

#endif
