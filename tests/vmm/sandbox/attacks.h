/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * System calls that whoever has taken over a thread would make: each is made once, and is to be
 * refused. Names lead nowhere once a VM is open: those are tried from a folder that it holds.
 */
#ifndef STASIS_TESTS_VMM_SANDBOX_ATTACKS_H
#define STASIS_TESTS_VMM_SANDBOX_ATTACKS_H

#include <stdbool.h>
#include <stddef.h>

/* Kinds of threads, as in calls.def. */
#define ATTACK_OPEN    'O'
#define ATTACK_LOOP    'L'
#define ATTACK_SAVE    'S'
#define ATTACK_VCPU    'V'
#define ATTACK_RAM     'R'
#define ATTACK_IO      'I'
#define ATTACK_METRICS 'M'
#define ATTACK_MAKER   'F' /* a process, which makes files in folders of clients */
/* The first two, of a VM that connects to sockets of the host. */
#define ATTACK_OPEN_CONNECTING 'o'
#define ATTACK_LOOP_CONNECTING 'l'

/* A file that no option names, in a folder that none does; before the process is confined. */
void attacks_set_target(const char *folder, const char *file);

/* On the thread that was taken over, whose rows have one of these letters: makes all calls, writes
 * a line for each to standard error
 * ("attack NAME: seccomp", "...: EACCES", "...: ENOSYS", "...: NOT REFUSED"), and one for all
 * system calls that calls.def has in no row of that thread ("others: N made, N refused"). Ends the
 * process with status 0 if none succeeded. */
_Noreturn void attacks_make(const char *letters);

/* Makes one without a sandbox, in a child: whether it can, on kernels that have the call. */
bool attacks_succeed(size_t i);

/* Whether such a thread needs the call of an attack; whether calls.def has a row of it for a system
 * call, or no filter sees that. */
bool attacks_are_allowed(size_t i, const char *letters);
bool attacks_have_row(long call, const char *letters);
#define ATTACK_CALLS 512 /* Linux 6.18 has none from 470 on */

size_t attacks_count(void);
const char *attacks_name(size_t i);

#endif
