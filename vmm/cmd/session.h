/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One run of vmm, from the options to the exit status: what the VM of stasis/vmm.h is told by
 * signals, and what it has to say on standard error.
 */
#ifndef STASIS_VMM_SESSION_H
#define STASIS_VMM_SESSION_H

#include "vmm/api/config.h"
#include "vmm/cmd/confine.h"
#include "vmm/control/control.h"

/* Boots or thaws a guest and runs it to its end; control->path NULL: nobody controls it. Returns
 * the exit status (docs/vmm.1.scd), or dies by the signal that ended it. */
int stasis_session_run(const struct stasis_vmm_config *config,
                       const struct stasis_control_config *control,
                       enum stasis_confine_mode sandbox);

#endif
