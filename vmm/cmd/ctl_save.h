/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * vmm ctl while a snapshot is saved: progress on a terminal, and Ctrl-C, which cancels it.
 */
#ifndef STASIS_VMM_CTL_SAVE_H
#define STASIS_VMM_CTL_SAVE_H

#include "common/progress.h"
#include "vmm/control/remote.h"

struct stasis_ctl_save {
    struct stasis_control_remote *remote;
    struct stasis_control_remote_ops ops;
    struct stasis_progress progress;
};

/* A `snapshot` has been requested, and its answer is waited for until the end. What the host does
 * not give is done without. */
void stasis_ctl_save_begin(struct stasis_ctl_save *save, struct stasis_control_remote *remote);
/* Takes the line of the progress away. */
void stasis_ctl_save_end(struct stasis_ctl_save *save);

#endif
