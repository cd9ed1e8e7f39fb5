/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What vmm has to say goes to standard error, one line each, beginning with "vmm: ": standard
 * output is the guest's.
 */
#ifndef STASIS_VMM_SAY_H
#define STASIS_VMM_SAY_H

#include "stasis/error.h"

/* In one write(2), so that lines of threads do not mix. */
void stasis_say(const char *fmt, ...) STASIS_PRINTF(1, 2);

/* The message of an error; returns the exit status that goes with it. */
int stasis_say_error(const struct stasis_error *err);

#endif
