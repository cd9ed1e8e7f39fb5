/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * States that no CPU can be in: refused before KVM sees them.
 */
#include "common/x86_lint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/arch/arch.h"

struct report {
    uint32_t id;
    struct stasis_reasons *reasons;
};

static void add_error(void *opaque, const struct stasis_x86_lint *lint)
{
    const struct report *report = opaque;
    struct stasis_reason reason = {.code = STASIS_ERR_CORRUPT, .kind = "vcpu-state"};

    if (!lint->is_error)
        return;
    snprintf(reason.object, sizeof(reason.object), "cpu%" PRIu32, report->id);
    snprintf(reason.what, sizeof(reason.what), "cpu%" PRIu32 ": %s: impossible state (%s)",
             report->id, lint->text, lint->section);
    stasis_reasons_add(report->reasons, &reason);
}

struct records {
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_lapic_state lapic;
    struct stasis_x86_mp_state_state mp_state;
    struct stasis_x86_events_state events;
    struct stasis_x86_xcrs_state xcrs;
    struct stasis_x86_xsave_state xsave;
    struct stasis_x86_debugregs_state debugregs;
};

static int read_all(struct records *records, stasis_arch_read_fn *read, void *ctx,
                    struct stasis_error *err)
{
    const struct {
        const struct stasis_schema *schema;
        void *state;
    } parts[] = {
        {&stasis_x86_regs_schema, &records->regs},
        {&stasis_x86_sregs_schema, &records->sregs},
        {&stasis_x86_lapic_schema, &records->lapic},
        {&stasis_x86_mp_state_schema, &records->mp_state},
        {&stasis_x86_events_schema, &records->events},
        {&stasis_x86_xcrs_schema, &records->xcrs},
        {&stasis_x86_xsave_schema, &records->xsave},
        {&stasis_x86_debugregs_schema, &records->debugregs},
    };
    int rc = 0;

    for (size_t i = 0; !rc && i < sizeof(parts) / sizeof(parts[0]); i++)
        rc = read(ctx, parts[i].schema, parts[i].state, err);
    return rc;
}

int stasis_arch_vcpu_check(uint32_t id, stasis_arch_read_fn *read, void *ctx,
                           struct stasis_reasons *reasons, struct stasis_error *err)
{
    struct records *records = malloc(sizeof(*records));
    struct report report = {.id = id, .reasons = reasons};
    int rc = records ? read_all(records, read, ctx, err)
                     : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a vCPU's state");

    if (!rc) {
        const struct stasis_x86_vcpu_states states = {
            &records->regs,   &records->sregs, &records->lapic, &records->mp_state,
            &records->events, &records->xcrs,  &records->xsave, &records->debugregs};

        stasis_x86_lint(&states, add_error, &report);
    }
    free(records);
    return rc;
}
