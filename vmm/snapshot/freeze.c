/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The order matters: the machine is paused with no I/O half done (vcpu.h); then every vCPU in the
 * order of order.c; then the VM's clock and chips, which no vCPU moves any more; then the vCPUs'
 * counters as they were at the moment of the clock, after all that counts in them has been read: an
 * armed deadline may be overdue in a snapshot, but not early; then the devices, whose input is held
 * back by the paused event loop; memory last.
 */
#include "vmm/snapshot/freeze.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "vmm/base/clock.h"
#include "vmm/arch/arch.h"
#include "vmm/base/cpu_name.h"
#include "vmm/snapshot/ram_failure.h"

/* Adds one record, unless `rc` says that its state could not be read. */
static int add(struct stasis_records *records, const struct stasis_schema *schema,
               const char *instance, const void *state, int rc, struct stasis_error *err)
{
    if (!rc)
        rc = stasis_records_add(records, schema, instance, state, err);
    return rc ? stasis_wrap(err, rc, "saving %s %s", schema->type, instance) : 0;
}

/* Records that wait for the VM's clock. */
struct held_back {
    const struct stasis_arch_vcpu_record *part;
    struct stasis_vcpu *vcpu;
    void *state;
};

struct held_list {
    struct held_back *list;
    size_t count;
};

static int held_list_init(struct held_list *held, uint32_t vcpus, struct stasis_error *err)
{
    size_t parts = 0;

    for (size_t i = 0; stasis_arch_vcpu_save_order[i]; i++)
        parts += stasis_arch_vcpu_save_order[i]->at_clock != NULL;
    *held = (struct held_list){calloc(parts * vcpus + 1, sizeof(*held->list)), 0};
    return held->list ? 0 : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save vCPUs");
}

static void held_list_fini(struct held_list *held)
{
    for (size_t i = 0; i < held->count; i++)
        free(held->list[i].state);
    free(held->list);
}

static void name_vcpu(const struct stasis_vcpu *vcpu, char ret_instance[16])
{
    snprintf(ret_instance, 16, "cpu%" PRIu32, vcpu->id);
}

static int new_state(const struct stasis_schema *schema, void **ret_state, struct stasis_error *err)
{
    void *state = malloc(schema->size);

    if (!state)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save %s", schema->type);
    stasis_state_init(schema, state);
    *ret_state = state;
    return 0;
}

static int add_vcpu_part(struct stasis_records *records, struct stasis_vcpu *vcpu,
                         const struct stasis_arch_vcpu_record *part, struct held_list *held,
                         struct stasis_error *err)
{
    char instance[16];
    void *state = NULL;
    int rc = new_state(part->schema, &state, err);

    if (rc)
        return rc;
    name_vcpu(vcpu, instance);
    rc = part->get(vcpu, state, err);
    if (!rc && part->at_clock) {
        held->list[held->count++] = (struct held_back){part, vcpu, state};
        return 0;
    }
    rc = add(records, part->schema, instance, state, rc, err);
    free(state);
    return rc;
}

static int add_vcpu(struct stasis_records *records, struct stasis_vcpu *vcpu,
                    struct held_list *held, struct stasis_error *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && stasis_arch_vcpu_save_order[i]; i++)
        rc = add_vcpu_part(records, vcpu, stasis_arch_vcpu_save_order[i], held, err);
    return rc;
}

static int add_vm_part(struct stasis_records *records, struct stasis_machine *machine,
                       const struct stasis_arch_vm_record *part, struct stasis_error *err)
{
    void *state = NULL;
    int rc = new_state(part->schema, &state, err);

    if (rc)
        return rc;
    rc = add(records, part->schema, part->instance, state,
             part->get(&machine->vm, part->chip, state, err), err);
    free(state);
    return rc;
}

static int add_vm_parts(struct stasis_records *records, struct stasis_machine *machine,
                        struct stasis_error *err)
{
    size_t count = 0;
    int rc = 0;

    while (stasis_arch_vm_records[count].schema)
        count++;
    while (!rc && count--)
        rc = add_vm_part(records, machine, &stasis_arch_vm_records[count], err);
    return rc;
}

/* As of the VM's clock, which has been added. */
static int add_held_back(struct stasis_records *records, const struct held_list *held,
                         struct stasis_error *err)
{
    const struct stasis_arch_vm_record *row = stasis_arch_vm_clock();
    void *clock = NULL;
    char instance[16];
    int rc = new_state(row->schema, &clock, err);

    if (!rc)
        rc = stasis_records_get(records, row->schema, row->instance, clock, err);
    for (size_t i = 0; !rc && i < held->count; i++) {
        const struct held_back *one = &held->list[i];

        name_vcpu(one->vcpu, instance);
        rc = one->part->at_clock(one->vcpu, clock, one->state, err);
        rc = add(records, one->part->schema, instance, one->state, rc, err);
    }
    free(clock);
    return rc;
}

/* All that KVM holds. */
static int add_kvm(struct stasis_records *records, struct stasis_machine *machine,
                   struct stasis_error *err)
{
    struct held_list held;
    int rc = held_list_init(&held, machine->vcpu_count, err);

    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        rc = add_vcpu(records, &machine->vcpus[i], &held, err);
    if (!rc)
        rc = add_vm_parts(records, machine, err);
    if (!rc)
        rc = add_held_back(records, &held, err);
    held_list_fini(&held);
    return rc;
}

static int add_devices(struct stasis_records *records, struct stasis_machine *machine,
                       struct stasis_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&machine->lock);
    for (uint32_t i = 0; !rc && i < machine->devices.count; i++) {
        const struct stasis_device *device = &machine->devices.list[i];
        void *state = NULL;

        rc = new_state(device->type->schema, &state, err);
        if (rc)
            break;
        device->type->save(device->instance, state);
        rc = add(records, device->type->schema, device->row->instance, state, 0, err);
        free(state);
    }
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

static int add_machine(struct stasis_records *records, uint64_t generation,
                       struct stasis_error *err)
{
    struct stasis_machine_state state;
    struct utsname host;

    stasis_state_init(&stasis_machine_schema, &state);
    state.generation = generation;
    state.frozen_realtime_ns = stasis_realtime_ns();
    if (!uname(&host))
        snprintf(state.host_kernel, sizeof(state.host_kernel), "%s", host.release);
    stasis_host_cpu_name(state.host_cpu, sizeof(state.host_cpu));
    return add(records, &stasis_machine_schema, STASIS_INSTANCE_VM, &state, 0, err);
}

static int add_ram(struct stasis_snap *snap, const struct stasis_machine *machine,
                   struct stasis_error *err)
{
    int rc = 0;

    stasis_snap_set_ram_source(snap, stasis_ram_failure_ram(machine));
    for (uint32_t i = 0; !rc && i < machine->memory.region_count; i++) {
        const struct stasis_memory_region *region = &machine->memory.regions[i];

        rc = stasis_snap_add_ram(snap, region->gpa, region->host, region->size, err);
    }
    return rc;
}

int stasis_freeze(struct stasis_machine *machine, uint64_t generation,
                  struct stasis_snap **ret_snap, struct stasis_error *err)
{
    struct stasis_snap *snap = stasis_snap_new(stasis_arch_number);
    struct stasis_records *records;
    int rc;

    if (!snap)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a snapshot");
    records = stasis_snap_records(snap);
    rc = add_kvm(records, machine, err);
    if (!rc)
        rc = add_devices(records, machine, err);
    if (!rc)
        rc = add_machine(records, generation, err);
    if (!rc)
        rc = add(records, &stasis_board_schema, STASIS_INSTANCE_VM, &machine->board, 0, err);
    if (!rc)
        rc = add_ram(snap, machine, err);
    if (rc)
        stasis_snap_free(snap);
    else
        *ret_snap = snap;
    return rc;
}
