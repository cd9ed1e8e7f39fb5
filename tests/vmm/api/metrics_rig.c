/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/metrics_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/cmocka_all.h"
#include "vmm/arch/arch.h"

#define AWKWARD "a\"b\\c d"

/* ---- who else has values (--wrap) ---- */

static struct stasis_ram_metrics ram_metrics;
static bool clock_is_stable;

void __wrap_stasis_ram_get_metrics(const struct stasis_ram *ram,
                                   struct stasis_ram_metrics *ret_metrics);
enum stasis_ram_mode __wrap_stasis_ram_mode(const struct stasis_ram *ram);
bool __wrap_stasis_arch_clock_is_stable(const struct stasis_vm *vm);

void __wrap_stasis_ram_get_metrics(const struct stasis_ram *ram,
                                   struct stasis_ram_metrics *ret_metrics)
{
    (void)ram;
    *ret_metrics = ram_metrics;
}

enum stasis_ram_mode __wrap_stasis_ram_mode(const struct stasis_ram *ram)
{
    (void)ram;
    return STASIS_RAM_LAZY;
}

bool __wrap_stasis_arch_clock_is_stable(const struct stasis_vm *vm)
{
    (void)vm;
    return clock_is_stable;
}

/* ---- a machine ---- */

static void add_devices(struct metrics_rig *rig)
{
    static const char *const names[][2] = {{"com1", "stasis.serial"}, {AWKWARD, "stasis.pl031"}};
    struct stasis_machine *machine = &rig->machine;

    for (uint32_t i = 0; i < 2; i++) {
        struct stasis_board_device_state *row = &machine->board.devices[i];

        snprintf(row->instance, sizeof(row->instance), "%s", names[i][0]);
        snprintf(row->type, sizeof(row->type), "%s", names[i][1]);
        machine->devices.list[i] =
            (struct stasis_device){.row = row, .counters = &machine->devices.counters[i]};
    }
    machine->devices.count = 2;
}

static void add_vcpus(struct metrics_rig *rig, uint32_t vcpus)
{
    struct stasis_machine *machine = &rig->machine;

    machine->vcpus = calloc(vcpus, sizeof(*machine->vcpus));
    machine->threads = calloc(vcpus, sizeof(*machine->threads));
    assert_true(machine->vcpus && machine->threads);
    machine->vcpu_count = vcpus;
    for (uint32_t i = 0; i < vcpus; i++) {
        machine->vcpus[i].id = i;
        machine->vcpus[i].exits = calloc(STASIS_VCPU_EXIT_REASONS + 1, sizeof(uint64_t));
        assert_non_null(machine->vcpus[i].exits);
    }
}

void metrics_rig_fresh(struct metrics_rig *rig, uint32_t vcpus)
{
    memset(rig, 0, sizeof(*rig));
    rig->metrics.start_us = 1000;
    rig->source = (struct stasis_metrics_source){
        .metrics = &rig->metrics, .machine = &rig->machine, .serial = &rig->serial, .now_us = 5000};
    add_devices(rig);
    add_vcpus(rig, vcpus);
}

/* A value that no other number has. */
static uint64_t next(struct metrics_rig *rig)
{
    rig->last += 1000003;
    return rig->last;
}

static void fill(struct metrics_rig *rig, uint64_t *values, size_t size)
{
    for (size_t i = 0; i < size / sizeof(*values); i++)
        values[i] = next(rig);
}

static void fill_vcpu(struct metrics_rig *rig, uint32_t i)
{
    struct stasis_vcpu_thread *thread = &rig->machine.threads[i];

    thread->first_run_us = next(rig);
    thread->pauses = next(rig);
    thread->pauses_us = next(rig);
    fill(rig, rig->machine.vcpus[i].exits, (STASIS_VCPU_EXIT_REASONS + 1) * sizeof(uint64_t));
}

void metrics_rig_full(struct metrics_rig *rig, uint32_t vcpus)
{
    metrics_rig_fresh(rig, vcpus);
    rig->source.ram = (const struct stasis_ram *)&ram_metrics; /* not looked into */
    fill(rig, &ram_metrics.stored_bytes, 4 * sizeof(uint64_t));
    ram_metrics.complete_ns = next(rig) * 1000;
    clock_is_stable = true;
    rig->metrics = (struct stasis_metrics){.start_us = 1000,
                                           .loaded_us = next(rig),
                                           .thawed = true,
                                           .freezes_failed = next(rig),
                                           .largest_gap_us = next(rig),
                                           .guest_errors_told = next(rig),
                                           .guest_errors_suppressed = next(rig)};
    for (int i = 0; i < 2; i++) {
        struct stasis_save_stats saved;
        struct stasis_freeze_times times;

        fill(rig, &saved.file_bytes, sizeof(saved));
        fill(rig, &times.stop_us, sizeof(times)); /* write_us is longer than publish_us */
        stasis_metrics_count_freeze(&rig->metrics, &saved, &times, next(rig));
    }
    rig->source.log.dropped = next(rig);
    rig->source.log.lines = next(rig) * 2;
    rig->serial.written = next(rig);
    fill(rig, rig->serial.dropped, sizeof(rig->serial.dropped));
    fill(rig, rig->machine.guest_errors, sizeof(rig->machine.guest_errors));
    for (uint32_t i = 0; i < 2; i++)
        fill(rig, &rig->machine.devices.counters[i].in_bytes,
             sizeof(rig->machine.devices.counters[i]));
    for (uint32_t i = 0; i < vcpus; i++)
        fill_vcpu(rig, i);
}

void metrics_rig_fini(struct metrics_rig *rig)
{
    for (uint32_t i = 0; i < rig->machine.vcpu_count; i++)
        free(rig->machine.vcpus[i].exits);
    free(rig->machine.vcpus);
    free(rig->machine.threads);
    clock_is_stable = false;
}
