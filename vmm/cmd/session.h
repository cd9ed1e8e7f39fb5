/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One run of vmm, from the options to the exit status: what the VM of stasis/vmm.h is told by
 * signals, and what it has to say on standard error.
 */
#ifndef STASIS_VMM_SESSION_H
#define STASIS_VMM_SESSION_H

#include "vmm/cmd/cli.h"

/* Boots or thaws a guest and runs it to its end; returns the exit status (docs/vmm.1.scd), or dies
 * by the signal that ended it. */
int stasis_session_run(const struct stasis_options *options);

#endif
