/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/thaw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/snapshot/freeze.h"
#include "vmm/snapshot/thaw_internal.h"
#include "vmm/arch/arch.h"
#include "vmm/snapshot/ram_failure.h"

struct thaw {
    struct stasis_machine *machine;
    struct stasis_records *records;
    enum stasis_clock_policy policy;
    int kvm_fd;
    uint64_t frozen_realtime_ns;
    struct stasis_thaw_result result;
    struct stasis_reasons *reasons;
    bool is_trial; /* goes on behind what fails, to find all reasons */
    bool has_kvm;  /* it could be opened */
};

/* Ends the restore of a record. `added` is how many reasons there were before it: what it has added
 * says more than its error. */
static int end_record(const struct thaw *thaw, size_t added, int rc,
                      const struct stasis_schema *schema, const char *instance,
                      struct stasis_error *err)
{
    char object[64];

    if (!rc)
        return 0;
    rc = stasis_thaw_judge_refusal(stasis_wrap(err, rc, "restoring %s %s", schema->type, instance),
                                   err);
    if (!thaw->is_trial)
        return rc;
    snprintf(object, sizeof(object), "%s %s", schema->type, instance);
    if (thaw->reasons->added == added)
        stasis_reasons_add_error(thaw->reasons, "state", object, err);
    return 0;
}

static int restore_vcpu(const struct thaw *thaw, struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    char instance[16];
    int rc = 0;

    snprintf(instance, sizeof(instance), "cpu%" PRIu32, vcpu->id);
    for (size_t i = 0; !rc && stasis_arch_vcpu_restore_order[i]; i++) {
        const struct stasis_arch_vcpu_record *part = stasis_arch_vcpu_restore_order[i];
        size_t added = thaw->reasons->added;
        void *state;

        rc = stasis_thaw_decode(thaw->records, part->schema, instance, &state, err);
        if (!rc)
            rc = part->set(vcpu, state, err);
        free(state);
        rc = end_record(thaw, added, rc, part->schema, instance, err);
    }
    return rc;
}

static int set_vm_part(const struct thaw *thaw, const struct stasis_arch_vm_record *part,
                       const void *state, struct stasis_error *err)
{
    struct stasis_vm *vm = &thaw->machine->vm;

    if (part->set_advanced && thaw->policy == STASIS_CLOCK_ADVANCE)
        return part->set_advanced(vm, part->chip, state, thaw->frozen_realtime_ns, err);
    return part->set(vm, part->chip, state, err);
}

static int restore_vm(const struct thaw *thaw, struct stasis_error *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && stasis_arch_vm_records[i].schema; i++) {
        const struct stasis_arch_vm_record *part = &stasis_arch_vm_records[i];
        size_t added = thaw->reasons->added;
        void *state;

        rc = stasis_thaw_decode(thaw->records, part->schema, part->instance, &state, err);
        if (!rc)
            rc = set_vm_part(thaw, part, state, err);
        free(state);
        rc = end_record(thaw, added, rc, part->schema, part->instance, err);
    }
    return rc;
}

static int restore_device(const struct thaw *thaw, struct stasis_device *device,
                          struct stasis_error *err)
{
    const struct stasis_schema *schema = device->type->schema;
    size_t added = thaw->reasons->added;
    void *state;
    int rc = stasis_thaw_decode(thaw->records, schema, device->row->instance, &state, err);

    if (!rc) {
        if (device->type->advance)
            device->type->advance(state,
                                  stasis_clocks_elapsed(thaw->policy, thaw->frozen_realtime_ns));
        rc = device->type->restore(device->instance, state, err);
    }
    if (!rc && device->type->check_memory && !thaw->is_trial) /* which has no RAM */
        rc = device->type->check_memory(device->instance, err);
    free(state);
    return end_record(thaw, added, rc, schema, device->row->instance, err);
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
        machine->devices.list[i].type->post_restore(machine->devices.list[i].instance);
    pthread_mutex_unlock(&machine->lock);
    return rc;
}

static int load_ram(struct stasis_machine *machine, struct stasis_snap *snap,
                    const struct stasis_thaw_options *options, struct stasis_error *err)
{
    const struct stasis_ram_opts opts = {
        .size = sizeof(opts),
        .mode = options->memory,
        .no_prefetch = options->no_prefetch,
        .uffd_fd = options->uffd_fd,
        .progress = options->progress,
        .thread_begins = options->thread_begins,
        .ctx = options->ctx,
    };
    void *hosts[STASIS_MEMORY_REGION_MAX] = {0};

    for (uint32_t i = 0; i < machine->memory.region_count; i++)
        hosts[i] = machine->memory.regions[i].host;
    return stasis_ram_failure_attach(machine, snap, hosts, &opts, err);
}

static int read_machine(struct thaw *thaw, struct stasis_error *err)
{
    struct stasis_machine_state frozen;
    int rc =
        stasis_records_get(thaw->records, &stasis_machine_schema, STASIS_INSTANCE_VM, &frozen, err);

    if (rc)
        return rc;
    thaw->result.generation = frozen.generation + 1;
    thaw->frozen_realtime_ns = frozen.frozen_realtime_ns;
    return 0;
}

/* Before anything but the file's content comes into RAM: the first instruction, KVM and devices
 * write there. A guest of whose changes nobody can tell is one all the same. */
static void track_changes(struct stasis_machine *machine, const struct stasis_thaw_options *options)
{
    if (options->tracks_changes)
        (void)!stasis_dirty_pages_start(&machine->dirty, &machine->slots, &machine->memory, NULL);
}

/* RAM is attached: that can take longest, and the clocks run from here on. vCPUs before the chips,
 * since the I/O APIC delivers what it holds into their LAPICs; then devices (chips.c and order.c
 * say the rest). The vCPUs' clocks and deadlines last: they follow the VM's clock, which is a chip
 * here. */
static int restore(struct thaw *thaw, struct stasis_error *err)
{
    struct stasis_machine *machine = thaw->machine;
    int rc = read_machine(thaw, err);

    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        rc = restore_vcpu(thaw, &machine->vcpus[i], err);
    if (!rc)
        rc = restore_vm(thaw, err);
    if (!rc)
        rc = restore_devices(thaw, err);
    if (!rc)
        rc = stasis_clocks_restore(machine, thaw->records, &thaw->result.tsc_is_set, err);
    if (!rc)
        rc = stasis_devices_begin(&machine->devices, STASIS_DEVICE_THAWED, err);
    /* Just before the first run. */
    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        stasis_arch_vcpu_resumes(&machine->vcpus[i]);
    return rc;
}

/* Opens KVM, and compares the host before a VM is made. *ret_buildable: it can at least make one.
 */
static int open_host(struct thaw *thaw, const struct stasis_board_state *board,
                     struct stasis_kvm *ret_kvm, bool *ret_buildable, struct stasis_error *err)
{
    int rc = stasis_machine_open_kvm(thaw->kvm_fd, ret_kvm, err);

    if (rc)
        return rc;
    thaw->has_kvm = true;
    stasis_arch_host_check(ret_kvm, board, thaw->reasons);
    *ret_buildable = !thaw->reasons->count;
    rc = stasis_thaw_check_host(thaw->records, board, ret_kvm, thaw->reasons, err);
    if (rc)
        stasis_kvm_close(ret_kvm);
    return rc;
}

static int build(struct thaw *thaw, const struct stasis_board_state *board,
                 const struct stasis_device_host *host, struct stasis_error *err)
{
    struct stasis_kvm kvm;
    bool buildable;
    int rc = open_host(thaw, board, &kvm, &buildable, err);

    if (rc)
        return rc;
    rc = stasis_reasons_fail(thaw->reasons, err);
    if (rc)
        stasis_kvm_close(&kvm);
    else
        rc = stasis_machine_build_on(thaw->machine, &kvm, board, host, err);
    return rc;
}

static void set_options(const struct thaw *thaw, const struct stasis_thaw_options *options)
{
    for (uint32_t i = 0; i < thaw->machine->vcpu_count; i++) {
        stasis_arch_vcpu_ignore_tsc_rate(&thaw->machine->vcpus[i], options->ignore_tsc_rate);
        stasis_arch_vcpu_report(&thaw->machine->vcpus[i], thaw->is_trial ? thaw->reasons : NULL);
    }
}

/* ---- in earnest ---- */

static int thaw_machine(struct thaw *thaw, struct stasis_snap *snap,
                        const struct stasis_thaw_options *options,
                        const struct stasis_device_host *host, struct stasis_error *err)
{
    struct stasis_machine *machine = thaw->machine;
    struct stasis_board_state board = {0};
    int rc = stasis_thaw_check_board(snap, &board, err);

    if (!rc)
        rc = stasis_thaw_check_file(snap, &board, thaw->reasons, err);
    if (!rc)
        rc = stasis_thaw_judge_refusal(build(thaw, &board, host, err), err);
    if (rc == STASIS_ERR_UNAVAILABLE) /* whatever the snapshot is */
        return rc;
    if (rc)
        return stasis_wrap(err, rc, "%s", stasis_snap_name(snap));
    set_options(thaw, options);
    rc = load_ram(machine, snap, options, err); /* names the file itself */
    if (!rc) {
        track_changes(machine, options);
        rc = stasis_thaw_judge_refusal(restore(thaw, err), err);
        if (rc)
            rc = stasis_wrap(err, rc, "%s", stasis_snap_name(snap));
    }
    if (rc && atomic_load(&machine->end) == STASIS_EXIT_CRASHED) { /* and KVM has choked on it */
        rc = machine->end_error.code;
        *err = machine->end_error;
    }
    if (rc)
        stasis_machine_fini(machine);
    return rc;
}

/* What KVM said decides the code, whether or not the caller wants to read it. */
int stasis_thaw(struct stasis_machine *machine, struct stasis_snap *snap,
                const struct stasis_thaw_options *options, const struct stasis_device_host *host,
                struct stasis_thaw_result *ret_result, struct stasis_error *err)
{
    struct stasis_reasons reasons = {0};
    struct thaw thaw = {.machine = machine,
                        .records = stasis_snap_records(snap),
                        .policy = options->clock,
                        .kvm_fd = options->kvm_fd,
                        .reasons = &reasons};
    struct stasis_error own;
    int rc = thaw_machine(&thaw, snap, options, host, err ? err : &own);

    stasis_reasons_fini(&reasons);
    if (!rc)
        *ret_result = thaw.result;
    return rc;
}

/* ---- on trial ---- */

/* A VM that the host makes is filled even if it cannot keep what the guest was promised: what else
 * it refuses is found that way. */
static int try_machine(struct thaw *thaw, const struct stasis_board_state *board,
                       const struct stasis_thaw_options *options,
                       const struct stasis_device_host *host, struct stasis_error *err)
{
    struct stasis_kvm kvm;
    bool buildable;
    int rc = open_host(thaw, board, &kvm, &buildable, err);

    if (rc)
        return rc;
    if (!buildable) {
        stasis_kvm_close(&kvm);
        return 0;
    }
    rc = stasis_machine_build_on(thaw->machine, &kvm, board, host, err);
    if (rc)
        return rc;
    thaw->result.compared = STASIS_THAW_COMPARED_STATE;
    set_options(thaw, options);
    rc = restore(thaw, err);
    stasis_machine_fini(thaw->machine);
    return rc;
}

/* A file that is no good asks for a host all the same, as far as it can be read. */
static int try_host(struct thaw *thaw, const struct stasis_board_state *board,
                    struct stasis_error *err)
{
    struct stasis_kvm kvm;
    bool buildable;
    int rc = open_host(thaw, board, &kvm, &buildable, err);

    if (rc)
        return thaw->has_kvm ? 0 : rc;
    stasis_kvm_close(&kvm);
    return 0;
}

/* Without KVM the CPU may lack something, too. What stands in the way of that has been told. */
static void try_cpu(struct thaw *thaw, const struct stasis_board_state *board)
{
    thaw->result.compared = STASIS_THAW_COMPARED_CPU;
    (void)!stasis_thaw_check_host(thaw->records, board, NULL, thaw->reasons, NULL);
}

static void try_all(struct thaw *thaw, struct stasis_snap *snap,
                    const struct stasis_thaw_options *options,
                    const struct stasis_device_host *host)
{
    struct stasis_board_state board = {0};
    size_t before = thaw->reasons->count;
    struct stasis_error why;
    int rc;

    if (stasis_thaw_check_board(snap, &board, &why)) {
        stasis_reasons_add_error(thaw->reasons, "file", "snapshot", &why);
        return;
    }
    rc = stasis_thaw_check_file(snap, &board, thaw->reasons, &why);
    if (rc && thaw->reasons->count == before)
        stasis_reasons_add_error(thaw->reasons, "file", "snapshot", &why);
    thaw->result.compared = STASIS_THAW_COMPARED_HOST;
    rc = rc ? try_host(thaw, &board, &why) : try_machine(thaw, &board, options, host, &why);
    if (stasis_thaw_judge_refusal(rc, &why))
        stasis_reasons_add_error(thaw->reasons, "host", "KVM", &why);
    if (!thaw->has_kvm)
        try_cpu(thaw, &board);
}

int stasis_thaw_try(struct stasis_snap *snap, const struct stasis_thaw_options *options,
                    const struct stasis_device_host *host, struct stasis_reasons *reasons,
                    struct stasis_thaw_result *ret_result, struct stasis_error *err)
{
    struct stasis_machine *machine = calloc(1, sizeof(*machine));
    struct thaw thaw = {.machine = machine,
                        .records = stasis_snap_records(snap),
                        .policy = options->clock,
                        .kvm_fd = options->kvm_fd,
                        .reasons = reasons,
                        .is_trial = true};

    if (!machine)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a VM");
    try_all(&thaw, snap, options, host);
    *ret_result = thaw.result;
    free(machine);
    return 0;
}
