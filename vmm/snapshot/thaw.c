/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/thaw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/machine/board.h"
#include "vmm/base/clock.h"
#include "vmm/snapshot/freeze.h"
#include "vmm/arch/arch.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/snapshot/ram_failure.h"

struct thaw {
    struct stasis_machine *machine;
    struct stasis_records *records;
    uint64_t elapsed_ns; /* that the guest's clocks are to jump by */
    uint32_t tsc_khz;
};

/* ---- time ---- */

/* In two steps, since the product of both can be wider than 64 bits. */
static uint64_t ticks_in(uint64_t ns, uint32_t khz)
{
    return ns / 1000000 * khz + ns % 1000000 * khz / 1000000;
}

/* The one place that knows what a clock is: all of them move by the same amount. */
static void advance_clocks(const struct thaw *thaw, const struct stasis_schema *schema, void *state)
{
    if (schema == &stasis_x86_clock_schema) {
        ((struct stasis_x86_clock_state *)state)->clock_ns += thaw->elapsed_ns;
    } else if (schema == &stasis_x86_msrs_schema) {
        struct stasis_x86_msrs_state *msrs = state;

        for (uint32_t i = 0; i < msrs->msrs_count; i++) {
            if (msrs->msrs[i].index == STASIS_MSR_TSC)
                msrs->msrs[i].value += ticks_in(thaw->elapsed_ns, thaw->tsc_khz);
        }
    }
}

/* ---- before anything is built ---- */

/* A board names the records it needs: one that is not there makes the file inconsistent. */
static int get(const struct stasis_records *records, const struct stasis_schema *schema,
               const char *instance, void *ret_state, struct stasis_error *err)
{
    int rc = stasis_records_get(records, schema, instance, ret_state, err);

    if (rc == STASIS_ERR_NOT_FOUND)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "the snapshot lacks the record %s %s",
                         schema->type, instance);
    return rc;
}

/* The same into memory of its own: *ret_state is freed by the caller, and NULL on failure. */
static int decode(const struct stasis_records *records, const struct stasis_schema *schema,
                  const char *instance, void **ret_state, struct stasis_error *err)
{
    void *state = malloc(schema->size);
    int rc = state ? get(records, schema, instance, state, err)
                   : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for %s", schema->type);

    if (rc) {
        free(state);
        state = NULL;
    }
    *ret_state = state;
    return rc;
}

static int require(const struct stasis_records *records, const char *type, const char *instance,
                   size_t *count, struct stasis_error *err)
{
    (*count)++;
    if (stasis_records_find(records, type, instance) != SIZE_MAX)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT, "the snapshot lacks the record %s %s", type,
                       instance);
}

/* Exactly the records that the board asks for are there: a record that would be left over is state
 * that the guest would lose. */
static int check_records(const struct stasis_records *records,
                         const struct stasis_board_state *board, struct stasis_error *err)
{
    size_t needed = 0, known = 0;
    char instance[16];
    int rc = require(records, stasis_board_schema.type, STASIS_INSTANCE_VM, &needed, err);

    if (!rc)
        rc = require(records, stasis_machine_schema.type, STASIS_INSTANCE_VM, &needed, err);
    for (uint32_t id = 0; !rc && id < board->vcpus; id++) {
        snprintf(instance, sizeof(instance), "cpu%" PRIu32, id);
        for (size_t i = 0; !rc && stasis_arch_vcpu_restore_order[i]; i++)
            rc = require(records, stasis_arch_vcpu_restore_order[i]->schema->type, instance,
                         &needed, err);
    }
    for (size_t i = 0; !rc && stasis_arch_vm_records[i].schema; i++)
        rc = require(records, stasis_arch_vm_records[i].schema->type,
                     stasis_arch_vm_records[i].instance, &needed, err);
    for (uint32_t i = 0; !rc && i < board->devices_count; i++)
        rc = require(records, board->devices[i].type, board->devices[i].instance, &needed, err);
    for (size_t i = 0; !rc && i < stasis_records_count(records); i++)
        known += !stasis_records_at(records, i).optional;
    if (!rc && known != needed)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                         "the snapshot has %zu records where its board needs %zu", known, needed);
    return rc;
}

static int check_ram(struct stasis_snap *snap, const struct stasis_board_state *board,
                     struct stasis_error *err)
{
    uint32_t count = stasis_snap_region_count(snap);
    bool same = count == board->ram_count;

    for (uint32_t i = 0; same && i < count; i++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, i);

        same = region.gpa == board->ram[i].gpa && region.size == board->ram[i].size;
    }
    return same ? 0
                : stasis_fail(err, STASIS_ERR_CORRUPT,
                              "the RAM that the snapshot holds is not the RAM its board has");
}

static int check_record(const struct stasis_records *records,
                        const struct stasis_arch_vcpu_record *record, const char *instance,
                        const struct stasis_kvm *kvm, struct stasis_error *err)
{
    void *state;
    int rc = decode(records, record->schema, instance, &state, err);

    if (!rc)
        rc = record->check(kvm, state, err);
    free(state);
    return rc;
}

/* Compares what the guest was promised with this host, by system ioctls only. */
static int check_host(const struct stasis_records *records, const struct stasis_board_state *board,
                      const struct stasis_kvm *kvm, struct stasis_error *err)
{
    char instance[16];
    int rc = 0;

    for (uint32_t id = 0; !rc && id < board->vcpus; id++) {
        snprintf(instance, sizeof(instance), "cpu%" PRIu32, id);
        for (size_t i = 0; !rc && stasis_arch_vcpu_restore_order[i]; i++) {
            if (stasis_arch_vcpu_restore_order[i]->check)
                rc = check_record(records, stasis_arch_vcpu_restore_order[i], instance, kvm, err);
        }
    }
    return rc;
}

/* ---- restoring, in the order that matters ---- */

static int restore_vcpu(const struct thaw *thaw, struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    char instance[16];
    int rc = 0;

    snprintf(instance, sizeof(instance), "cpu%" PRIu32, vcpu->id);
    for (size_t i = 0; !rc && stasis_arch_vcpu_restore_order[i]; i++) {
        const struct stasis_arch_vcpu_record *part = stasis_arch_vcpu_restore_order[i];
        void *state;

        rc = decode(thaw->records, part->schema, instance, &state, err);
        if (!rc) {
            advance_clocks(thaw, part->schema, state);
            rc = part->set(vcpu, state, err);
        }
        free(state);
        if (rc)
            return stasis_wrap(err, rc, "restoring %s %s", part->schema->type, instance);
    }
    return 0;
}

static int restore_vm(const struct thaw *thaw, struct stasis_error *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && stasis_arch_vm_records[i].schema; i++) {
        const struct stasis_arch_vm_record *part = &stasis_arch_vm_records[i];
        void *state;

        rc = decode(thaw->records, part->schema, part->instance, &state, err);
        if (!rc) {
            advance_clocks(thaw, part->schema, state);
            rc = part->set(&thaw->machine->vm, part->chip, state, err);
        }
        free(state);
        if (rc)
            return stasis_wrap(err, rc, "restoring %s %s", part->schema->type, part->instance);
    }
    return 0;
}

static int restore_device(const struct thaw *thaw, struct stasis_device *device,
                          struct stasis_error *err)
{
    const struct stasis_schema *schema = device->type->schema;
    void *state;
    int rc = decode(thaw->records, schema, device->row->instance, &state, err);

    if (!rc) {
        if (device->type->advance)
            device->type->advance(state, thaw->elapsed_ns);
        rc = device->type->restore(device->instance, state, err);
    }
    free(state);
    return rc ? stasis_wrap(err, rc, "restoring %s %s", schema->type, device->row->instance) : 0;
}

/* All devices first, then their lines and timers: a line may only be driven once the controllers
 * and every device hold their state. */
static int restore_devices(const struct thaw *thaw, struct stasis_error *err)
{
    struct stasis_machine *machine = thaw->machine;
    int rc = 0;

    pthread_mutex_lock(&machine->lock);
    for (uint32_t i = 0; !rc && i < machine->devices.count; i++)
        rc = restore_device(thaw, &machine->devices.list[i], err);
    for (uint32_t i = 0; !rc && i < machine->devices.count; i++)
        machine->devices.list[i].type->sync(machine->devices.list[i].instance);
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

/* The rate before any vCPU: the clock policy counts in it. */
static int read_times(struct thaw *thaw, enum stasis_clock_policy policy, struct stasis_error *err)
{
    struct stasis_machine_state frozen;
    struct stasis_x86_tsc_state tsc;
    uint64_t now = stasis_realtime_ns();
    int rc =
        stasis_records_get(thaw->records, &stasis_machine_schema, STASIS_INSTANCE_VM, &frozen, err);

    if (!rc)
        rc = stasis_records_get(thaw->records, &stasis_x86_tsc_schema, "cpu0", &tsc, err);
    if (rc)
        return rc;
    thaw->machine->generation = frozen.generation + 1;
    thaw->tsc_khz = tsc.khz;
    if (policy == STASIS_CLOCK_ADVANCE && now > frozen.frozen_realtime_ns)
        thaw->elapsed_ns = now - frozen.frozen_realtime_ns;
    return 0;
}

static int load_ram(struct stasis_machine *machine, struct stasis_snap *snap,
                    const struct stasis_thaw_options *options, struct stasis_error *err)
{
    const struct stasis_ram_opts opts = {
        .size = sizeof(opts),
        .mode = options->memory,
        .no_background = options->no_background,
    };
    void *hosts[STASIS_MEMORY_REGION_MAX] = {0};

    for (uint32_t i = 0; i < machine->memory.region_count; i++)
        hosts[i] = machine->memory.regions[i].host;
    return stasis_ram_failure_attach(machine, snap, hosts, &opts, err);
}

/* RAM is attached: that can take longest, and the clocks run from here on. vCPUs before the chips,
 * since the I/O APIC delivers what it holds into their LAPICs; devices last (x86_chips.c and
 * x86_order.c say the rest). */
static int restore(struct thaw *thaw, enum stasis_clock_policy policy, struct stasis_error *err)
{
    struct stasis_machine *machine = thaw->machine;
    int rc = read_times(thaw, policy, err);

    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        rc = restore_vcpu(thaw, &machine->vcpus[i], err);
    if (!rc)
        rc = restore_vm(thaw, err);
    if (!rc)
        rc = restore_devices(thaw, err);
    /* Just before the first run; EINVAL: the guest has no kvmclock (Firecracker #5494). */
    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        (void)stasis_kvm_ioctl(machine->vcpus[i].fd, KVM_KVMCLOCK_CTRL, NULL);
    return rc;
}

/* All that can be known of the file. */
static int check_file(struct stasis_snap *snap, struct stasis_board_state *ret_board,
                      struct stasis_error *err)
{
    const struct stasis_records *records = stasis_snap_records(snap);
    int rc;

    if (stasis_snap_info(snap)->arch != STASIS_ARCH_X86_64)
        return stasis_fail(err, STASIS_ERR_HOST,
                           "the snapshot is of another architecture (ELF machine %d), this VMM is "
                           "for x86-64",
                           (int)stasis_snap_info(snap)->arch);
    rc = get(records, &stasis_board_schema, STASIS_INSTANCE_VM, ret_board, err);
    if (!rc)
        rc = stasis_board_check(ret_board, err);
    if (!rc)
        rc = check_records(records, ret_board, err);
    if (!rc)
        rc = check_ram(snap, ret_board, err);
    return rc;
}

/* The host is compared before a VM is made. */
static int build(const struct thaw *thaw, const struct stasis_board_state *board,
                 const struct stasis_device_host *host, struct stasis_error *err)
{
    struct stasis_kvm kvm;
    int rc = stasis_kvm_open(&kvm, err);

    if (rc)
        return rc;
    rc = check_host(thaw->records, board, &kvm, err);
    if (rc)
        stasis_kvm_close(&kvm);
    else
        rc = stasis_machine_build_on(thaw->machine, &kvm, board, host, err);
    return rc;
}

int stasis_thaw(struct stasis_machine *machine, struct stasis_snap *snap,
                const struct stasis_thaw_options *options, const struct stasis_device_host *host,
                struct stasis_error *err)
{
    struct thaw thaw = {.machine = machine, .records = stasis_snap_records(snap)};
    struct stasis_board_state board = {0};
    int rc = check_file(snap, &board, err);

    if (!rc)
        rc = build(&thaw, &board, host, err);
    if (rc == STASIS_ERR_EXISTS) { /* two devices at one address: no board of ours */
        rc = STASIS_ERR_CORRUPT;
        if (err)
            err->code = STASIS_ERR_CORRUPT;
    }
    if (rc)
        return stasis_wrap(err, rc, "%s", stasis_snap_name(snap));
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        stasis_arch_vcpu_allow_tsc(&machine->vcpus[i], options->allow_tsc);
    rc = load_ram(machine, snap, options, err); /* names the file itself */
    if (!rc) {
        rc = restore(&thaw, options->clock, err);
        if (rc)
            rc = stasis_wrap(err, rc, "%s", stasis_snap_name(snap));
    }
    if (rc && atomic_load(&machine->end) == STASIS_END_CRASHED) { /* and KVM has choked on it */
        rc = machine->end_error.code;
        if (err)
            *err = machine->end_error;
    }
    if (rc)
        stasis_machine_fini(machine);
    return rc;
}
