/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What vmm has to say goes to standard error, one line each, beginning with "vmm: ": standard
 * output is the guest's.
 */
#ifndef STASIS_VMM_SAY_H
#define STASIS_VMM_SAY_H

#include <stdbool.h>

#include "stasis/error.h"

/* Writes one message (common/message.h); `leave_line`: the guest has left half a line on the same
 * terminal, which is left first. In one write(2), so that lines of threads do not mix.
 * Async-signal-safe. */
void stasis_say(bool leave_line, const char *text);

/* The same for text of our own that is whole lines already; may be empty. */
#define STASIS_SAY_LINES_MAX 1024
void stasis_say_lines(bool leave_line, const char *text);

/* The message of an error and its remedy; returns the exit status that goes with it. */
int stasis_say_error(bool leave_line, const struct stasis_error *err);

#endif
