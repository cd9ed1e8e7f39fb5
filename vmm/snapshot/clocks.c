/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The guest's clocks over a thaw: all of them move by the same amount.
 */
#include <stdlib.h>

#include "vmm/base/clock.h"
#include "vmm/snapshot/freeze.h"
#include "vmm/snapshot/thaw_internal.h"
#include "vmm/arch/arch.h"

uint64_t stasis_clocks_elapsed(enum stasis_clock_policy policy, uint64_t frozen_realtime_ns)
{
    uint64_t now = stasis_realtime_ns();

    return policy == STASIS_CLOCK_ADVANCE && now > frozen_realtime_ns ? now - frozen_realtime_ns
                                                                      : 0;
}

int stasis_clocks_restore(struct stasis_machine *machine, const struct stasis_records *records,
                          bool *ret_tsc_is_set, struct stasis_error *err)
{
    const struct stasis_arch_vm_record *clock = stasis_arch_vm_clock();
    void *frozen;
    int rc = stasis_thaw_decode(records, clock->schema, clock->instance, &frozen, err);

    if (!rc)
        rc = stasis_arch_clocks_restore(machine->vcpus, machine->vcpu_count, frozen, ret_tsc_is_set,
                                        err);
    free(frozen);
    return rc ? stasis_wrap(err, rc, "restoring the guest's clocks") : 0;
}
