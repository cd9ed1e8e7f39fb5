/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which files the sandbox leaves to vmm: those that its options name, and what any run needs.
 */
#ifndef STASIS_VMM_CMD_CONFINE_FILES_H
#define STASIS_VMM_CMD_CONFINE_FILES_H

#include "vmm/api/config.h"
#include "vmm/control/control.h"
#include "vmm/sandbox/files.h"

/* What vmm reads in /proc. The kernel forgets a rule for one of these when it forgets the file, as
 * it does unless somebody holds it: hold them from before the rules are added. */
#define STASIS_CONFINE_PROC_COUNT 4
extern const char *const stasis_confine_proc[STASIS_CONFINE_PROC_COUNT]; /* fd is the first */

/* Adds the rules. `control` may be NULL. is_open: those of a VM that is open, without what only
 * opening it reads. STASIS_ERR_UNAVAILABLE. */
STASIS_MUST_CHECK int stasis_confine_allow_files(const struct stasis_sandbox_files *files,
                                                 const struct stasis_vmm_config *config,
                                                 const struct stasis_control_config *control,
                                                 bool is_open, struct stasis_error *err);

/* Whether all files can be judged in a user namespace that has this user's number alone. */
bool stasis_confine_may_map_users(const struct stasis_vmm_config *config);

/* Whether the VM holds folders open, to reach files in them later. */
bool stasis_confine_holds_folders(const struct stasis_vmm_config *config,
                                  const struct stasis_control_config *control);

#endif
