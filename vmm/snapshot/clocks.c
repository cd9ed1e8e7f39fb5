/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The guest's clocks over a thaw: all of them move by the same amount.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/base/clock.h"
#include "vmm/snapshot/freeze.h"
#include "vmm/snapshot/thaw_internal.h"
#include "vmm/arch/arch.h"

int stasis_clocks_elapsed(const struct stasis_records *records, enum stasis_clock_policy policy,
                          uint64_t *ret_elapsed_ns, struct stasis_error *err)
{
    struct stasis_machine_state frozen;
    uint64_t now = stasis_realtime_ns();
    int rc = stasis_records_get(records, &stasis_machine_schema, STASIS_INSTANCE_VM, &frozen, err);
    bool jumps = policy == STASIS_CLOCK_ADVANCE;

    if (!rc)
        *ret_elapsed_ns =
            jumps && now > frozen.frozen_realtime_ns ? now - frozen.frozen_realtime_ns : 0;
    return rc;
}

void stasis_clocks_advance(const struct stasis_schema *schema, void *state, uint64_t ns)
{
    if (schema == &stasis_x86_clock_schema)
        ((struct stasis_x86_clock_state *)state)->clock_ns += ns;
}

static int read_ticks(const struct stasis_records *records, uint32_t id,
                      struct stasis_arch_ticks *ret_ticks, struct stasis_error *err)
{
    struct stasis_x86_tsc_state rate;
    void *msrs = NULL;
    char instance[16];
    int rc;

    snprintf(instance, sizeof(instance), "cpu%" PRIu32, id);
    rc = stasis_thaw_get(records, &stasis_x86_tsc_schema, instance, &rate, err);
    if (!rc)
        rc = stasis_thaw_decode(records, &stasis_x86_msrs_schema, instance, &msrs, err);
    if (!rc) {
        ret_ticks->khz = rate.khz;
        ret_ticks->has_tsc = stasis_x86_msr_find(msrs, STASIS_MSR_TSC, &ret_ticks->tsc);
        ret_ticks->has_deadline =
            stasis_x86_msr_find(msrs, STASIS_MSR_TSC_DEADLINE, &ret_ticks->deadline);
    }
    free(msrs);
    return rc;
}

int stasis_clocks_restore(struct stasis_machine *machine, const struct stasis_records *records,
                          bool *ret_tsc_is_set, struct stasis_error *err)
{
    struct stasis_arch_ticks *ticks = calloc(machine->vcpu_count, sizeof(*ticks));
    struct stasis_x86_clock_state frozen;
    int rc;

    if (!ticks)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for clocks");
    rc = stasis_thaw_get(records, &stasis_x86_clock_schema, "kvmclock", &frozen, err);
    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        rc = read_ticks(records, i, &ticks[i], err);
    if (!rc)
        rc = stasis_arch_clocks_restore(machine->vcpus, machine->vcpu_count, &frozen, ticks,
                                        ret_tsc_is_set, err);
    free(ticks);
    return rc ? stasis_wrap(err, rc, "restoring the guest's clocks") : 0;
}
