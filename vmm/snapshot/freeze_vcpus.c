/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every vCPU's own thread reads its state, while all vCPUs are stopped: many vCPUs take hardly
 * longer than one, and KVM need not move a vCPU to another processor for it. The threads write
 * into memory of their own; the records are made of it by one thread, in the order of the vCPUs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch/arch.h"
#include "vmm/snapshot/freeze_internal.h"

/* What the thread of one vCPU reads, and whether it could. */
struct reading {
    void **parts; /* one per row of stasis_arch_vcpu_save_order, and NULL */
    int rc;
    struct stasis_error err;
};

struct stasis_vcpu_states {
    struct stasis_machine *machine;
    const void *clock; /* while the counters are adjusted to it */
    struct reading *readings;
};

static const struct stasis_arch_vcpu_record *part_at(size_t i)
{
    return stasis_arch_vcpu_save_order[i];
}

static void name_vcpu(uint32_t id, char ret_instance[16])
{
    snprintf(ret_instance, 16, "cpu%" PRIu32, id);
}

static int wrap(int rc, const struct stasis_schema *schema, uint32_t id, struct stasis_error *err)
{
    return rc ? stasis_wrap(err, rc, "saving %s cpu%" PRIu32, schema->type, id) : 0;
}

/* ---- memory ---- */

static int no_memory(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save vCPUs");
}

static int allocate_parts(struct reading *reading, struct stasis_error *err)
{
    size_t count = 0;

    while (part_at(count))
        count++;
    reading->parts = calloc(count + 1, sizeof(*reading->parts));
    if (!reading->parts)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        reading->parts[i] = malloc(part_at(i)->schema->size);
        if (!reading->parts[i])
            return no_memory(err);
    }
    return 0;
}

static void free_parts(struct reading *reading)
{
    for (size_t i = 0; reading->parts && reading->parts[i]; i++)
        free(reading->parts[i]);
    free(reading->parts);
}

static int allocate(struct stasis_machine *machine, struct stasis_vcpu_states **ret_states,
                    struct stasis_error *err)
{
    struct stasis_vcpu_states *states = calloc(1, sizeof(*states));
    int rc = 0;

    if (states)
        states->readings = calloc(machine->vcpu_count, sizeof(*states->readings));
    if (!states || !states->readings) {
        free(states);
        return no_memory(err);
    }
    states->machine = machine;
    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        rc = allocate_parts(&states->readings[i], err);
    if (rc)
        stasis_freeze_free_vcpus(states);
    else
        *ret_states = states;
    return rc;
}

void stasis_freeze_free_vcpus(struct stasis_vcpu_states *states)
{
    if (!states)
        return;
    for (uint32_t i = 0; i < states->machine->vcpu_count; i++)
        free_parts(&states->readings[i]);
    free(states->readings);
    free(states);
}

/* ---- on the threads of the vCPUs ---- */

/* A guest can write the id of its local APIC in xAPIC mode, where hardware allows it. No system
 * does, and no thaw would take the file. */
static int check_id(const struct stasis_arch_vcpu_record *part, const void *state, uint32_t id,
                    struct stasis_error *err)
{
    if (!part->check_id || !part->check_id(state, id, err))
        return 0;
    err->code = STASIS_ERR_RANGE;
    return STASIS_ERR_RANGE;
}

static int read_part(struct stasis_vcpu *vcpu, const struct stasis_arch_vcpu_record *part,
                     void *state, struct stasis_error *err)
{
    int rc = part->get(vcpu, state, err);

    return rc ? rc : check_id(part, state, vcpu->id, err);
}

static void read_parts(void *ctx, struct stasis_vcpu *vcpu)
{
    struct stasis_vcpu_states *states = ctx;
    struct reading *reading = &states->readings[vcpu->id];

    if (stasis_run_handle_is_held())
        stasis_arch_vcpu_read_begin(vcpu);
    for (size_t i = 0; !reading->rc && part_at(i); i++)
        reading->rc = wrap(read_part(vcpu, part_at(i), reading->parts[i], &reading->err),
                           part_at(i)->schema, vcpu->id, &reading->err);
    stasis_arch_vcpu_read_end(vcpu);
}

static void adjust_counters(void *ctx, struct stasis_vcpu *vcpu)
{
    struct stasis_vcpu_states *states = ctx;
    struct reading *reading = &states->readings[vcpu->id];

    for (size_t i = 0; !reading->rc && part_at(i); i++) {
        if (part_at(i)->at_clock)
            reading->rc =
                wrap(part_at(i)->at_clock(vcpu, states->clock, reading->parts[i], &reading->err),
                     part_at(i)->schema, vcpu->id, &reading->err);
    }
}

/* Each by its thread. The first error, by the order of the vCPUs. */
static int on_all(struct stasis_vcpu_states *states, stasis_vcpu_job_fn *job,
                  struct stasis_error *err)
{
    struct stasis_machine *machine = states->machine;

    stasis_machine_on_vcpus(machine, job, states);
    for (uint32_t i = 0; i < machine->vcpu_count; i++) {
        const struct reading *reading = &states->readings[i];

        if (!reading->rc)
            continue;
        if (err)
            *err = reading->err;
        return reading->rc;
    }
    return 0;
}

/* ---- records ---- */

static int add_parts(struct stasis_records *records, const struct stasis_vcpu_states *states,
                     bool counters, struct stasis_error *err)
{
    char instance[16];
    int rc = 0;

    for (uint32_t id = 0; !rc && id < states->machine->vcpu_count; id++) {
        name_vcpu(id, instance);
        for (size_t i = 0; !rc && part_at(i); i++) {
            if ((part_at(i)->at_clock != NULL) == counters)
                rc = stasis_freeze_add(records, part_at(i)->schema, instance,
                                       states->readings[id].parts[i], 0, err);
        }
    }
    return rc;
}

int stasis_freeze_read_vcpus(struct stasis_machine *machine, struct stasis_vcpu_states **ret_states,
                             struct stasis_error *err)
{
    struct stasis_vcpu_states *states = NULL;
    int rc = allocate(machine, &states, err);

    if (!rc)
        rc = on_all(states, read_parts, err);
    if (rc) {
        stasis_freeze_free_vcpus(states);
        states = NULL;
    }
    *ret_states = states;
    return rc;
}

int stasis_freeze_add_vcpus(struct stasis_records *records, const struct stasis_vcpu_states *states,
                            struct stasis_error *err)
{
    return add_parts(records, states, false, err);
}

int stasis_freeze_add_counters(struct stasis_records *records, struct stasis_vcpu_states *states,
                               struct stasis_error *err)
{
    const struct stasis_arch_vm_record *row = stasis_arch_vm_clock();
    void *clock = malloc(row->schema->size);
    int rc = clock ? stasis_records_get(records, row->schema, row->instance, clock, err)
                   : no_memory(err);

    states->clock = clock;
    if (!rc)
        rc = on_all(states, adjust_counters, err);
    states->clock = NULL;
    free(clock);
    return rc ? rc : add_parts(records, states, true, err);
}
