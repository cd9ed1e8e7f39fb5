/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One run of vmm: a machine, its console and its event loop, from the options to the exit status.
 */
#ifndef STASIS_VMM_SESSION_H
#define STASIS_VMM_SESSION_H

#include "vmm/cmd/cli.h"

/* Boots or thaws a guest and runs it to its end. Returns the exit status (docs/vmm.1.scd); what
 * there is to say goes to standard error. start_us: CLOCK_MONOTONIC when main() began. */
int stasis_session_run(const struct stasis_options *options, uint64_t start_us);

#endif
