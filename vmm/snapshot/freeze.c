/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The order matters: the machine is paused with no I/O half done (vcpu_thread.h); then every vCPU
 * in the order of order.c, all at once (freeze_vcpus.c); then the VM's clock and chips, which no
 * vCPU moves any more; then the vCPUs' counters as they were at the moment of the clock, after all
 * that counts in them has been read: an armed deadline may be overdue in a snapshot, but not early;
 * then the devices, whose input is held back by the paused event loop; memory last.
 */
#include "vmm/snapshot/freeze_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "vmm/base/clock.h"
#include "vmm/arch/arch.h"
#include "vmm/base/cpu_name.h"
#include "vmm/snapshot/ram_failure.h"

int stasis_freeze_add(struct stasis_records *records, const struct stasis_schema *schema,
                      const char *instance, const void *state, int rc, struct stasis_error *err)
{
    if (!rc)
        rc = stasis_records_add(records, schema, instance, state, err);
    return rc ? stasis_wrap(err, rc, "saving %s %s", schema->type, instance) : 0;
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

static int add_vm_part(struct stasis_records *records, struct stasis_machine *machine,
                       const struct stasis_arch_vm_record *part, struct stasis_error *err)
{
    void *state = NULL;
    int rc = new_state(part->schema, &state, err);

    if (rc)
        return rc;
    rc = stasis_freeze_add(records, part->schema, part->instance, state,
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

static int add_all_of_kvm(struct stasis_records *records, struct stasis_machine *machine,
                          struct stasis_error *err)
{
    struct stasis_vcpu_states *states = NULL;
    int rc = stasis_freeze_read_vcpus(machine, &states, err);

    if (!rc)
        rc = stasis_freeze_add_vcpus(records, states, err);
    if (!rc)
        rc = add_vm_parts(records, machine, err);
    if (!rc)
        rc = stasis_freeze_add_counters(records, states, err);
    stasis_freeze_free_vcpus(states);
    return rc;
}

/* All that KVM holds. A vCPU can die when KVM_RUN is asked for its registers: what is read of it
 * then would never run. */
static int add_kvm(struct stasis_records *records, struct stasis_machine *machine,
                   struct stasis_error *err)
{
    bool had_ended = atomic_load(&machine->end) != STASIS_EXIT_NONE;
    int rc = add_all_of_kvm(records, machine, err);

    if (rc || had_ended || atomic_load(&machine->end) == STASIS_EXIT_NONE)
        return rc;
    return stasis_fail(err, STASIS_ERR_GUEST, "%s", machine->end_error.msg);
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
        rc = stasis_freeze_add(records, device->type->schema, device->row->instance, state, 0, err);
        free(state);
    }
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

static int add_machine(struct stasis_records *records, uint64_t generation, int cpuinfo_fd,
                       struct stasis_error *err)
{
    struct stasis_machine_state state;
    struct utsname host;

    stasis_state_init(&stasis_machine_schema, &state);
    state.generation = generation;
    state.frozen_realtime_ns = stasis_realtime_ns();
    if (!uname(&host))
        snprintf(state.host_kernel, sizeof(state.host_kernel), "%s", host.release);
    stasis_host_cpu_name(cpuinfo_fd, state.host_cpu, sizeof(state.host_cpu));
    return stasis_freeze_add(records, &stasis_machine_schema, STASIS_INSTANCE_VM, &state, 0, err);
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
        rc = add_machine(records, generation, machine->cpuinfo_fd, err);
    if (!rc)
        rc = stasis_freeze_add(records, &stasis_board_schema, STASIS_INSTANCE_VM, &machine->board,
                               0, err);
    if (!rc)
        rc = add_ram(snap, machine, err);
    if (rc)
        stasis_snap_free(snap);
    else
        *ret_snap = snap;
    return rc;
}
