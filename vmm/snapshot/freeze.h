/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Freezing: a paused machine becomes a snapshot object. Nothing of the machine changes.
 */
#ifndef STASIS_VMM_FREEZE_H
#define STASIS_VMM_FREEZE_H

#include "stasis/snap.h"
#include "vmm/machine/machine.h"

/* Instance name of records that there is one of. */
#define STASIS_INSTANCE_VM "vm"

/* Collects all state and refers to the machine's RAM: the snapshot is to be saved before the
 * machine runs on. `generation`: how often the guest was frozen before. *ret_snap is freed by the
 * caller with stasis_snap_free(). A guest that had ended before is saved as it is;
 * STASIS_ERR_GUEST: it died while it was read. */
STASIS_MUST_CHECK int stasis_freeze(struct stasis_machine *machine, uint64_t generation,
                                    struct stasis_snap **ret_snap, struct stasis_error *err);

#endif
