/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The values of metrics.def, from who has them. Counters of devices and vCPUs are read without a
 * lock, while they are added to.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/api/metrics.h"
#include "vmm/arch/arch.h"
#include "vmm/base/counter.h"

#define SET(set, metric, value) ((set)->values[STASIS_METRIC_##metric] = (value))

static struct stasis_metrics_set *add_set(struct stasis_metrics_report *report,
                                          enum stasis_metrics_scope scope)
{
    struct stasis_metrics_set *set = &report->sets[report->count++];

    set->scope = scope;
    for (int i = 0; i < STASIS_METRIC_COUNT; i++)
        set->values[i] = STASIS_METRIC_ABSENT;
    return set;
}

static void name_set(struct stasis_metrics_set *set, unsigned i, const char *key, const char *value)
{
    set->names[i].key = key;
    snprintf(set->names[i].value, sizeof(set->names[i].value), "%s", value);
}

static uint64_t since(const struct stasis_metrics_source *source, uint64_t us)
{
    return us ? us - source->metrics->start_us : STASIS_METRIC_ABSENT;
}

static uint64_t first_run_us(const struct stasis_machine *machine)
{
    uint64_t first = 0;

    for (uint32_t i = 0; i < machine->vcpu_count; i++) {
        uint64_t us = stasis_counter_get(&machine->threads[i].first_run_us);

        if (us && (!first || us < first))
            first = us;
    }
    return first;
}

static void add_run(struct stasis_metrics_report *report,
                    const struct stasis_metrics_source *source)
{
    const struct stasis_machine *machine = source->machine;
    struct stasis_metrics_set *set = add_set(report, STASIS_METRICS_RUN);
    uint64_t first_run = first_run_us(machine);

    SET(set, RUN_uptime_us, since(source, source->now_us));
    SET(set, RUN_loaded_us, since(source, source->metrics->loaded_us));
    SET(set, RUN_first_run_us, since(source, first_run));
    if (first_run)
        set->values[STASIS_METRIC_RUN_kvmclock_is_stable] =
            stasis_arch_clock_is_stable(&machine->vm);
    if (source->metrics->thawed)
        SET(set, RUN_tsc_is_set, source->metrics->tsc_is_set);
    SET(set, RUN_ram_bytes, stasis_memory_size(&machine->memory));
    for (int i = 0; i < STASIS_GUEST_ERROR_COUNT; i++)
        set->values[STASIS_METRIC_RUN_guest_errors_unhandled_port + i] =
            stasis_counter_get(&machine->guest_errors[i]);
    SET(set, RUN_guest_error_events_told, stasis_counter_get(&source->metrics->guest_errors_told));
    SET(set, RUN_guest_error_events_suppressed,
        stasis_counter_get(&source->metrics->guest_errors_suppressed));
    SET(set, RUN_log_lines_written, source->log.lines - source->log.dropped);
    SET(set, RUN_log_lines_dropped, source->log.dropped);
}

static void add_memory(struct stasis_metrics_report *report,
                       const struct stasis_metrics_source *source)
{
    struct stasis_metrics_set *set = add_set(report, STASIS_METRICS_MEMORY);
    struct stasis_ram_metrics ram;

    stasis_ram_get_metrics(source->ram, &ram);
    name_set(set, 0, "mode", stasis_ram_mode_name(stasis_ram_mode(source->ram)));
    SET(set, MEMORY_stored_bytes, ram.stored_bytes);
    SET(set, MEMORY_populated_bytes, ram.populated_bytes);
    SET(set, MEMORY_verified_bytes, ram.verified_bytes);
    SET(set, MEMORY_faults, ram.faults);
    SET(set, MEMORY_populated_us, since(source, ram.complete_ns / 1000));
}

#define SET_TIMES(set, family, times)                                                              \
    (SET(set, family##_stop, (times)->stop_us), SET(set, family##_collect, (times)->collect_us),   \
     SET(set, family##_write, (times)->write_us), SET(set, family##_sync, (times)->sync_us))

static void add_freezes(struct stasis_metrics_report *report, const struct stasis_metrics *metrics)
{
    struct stasis_metrics_set *set = add_set(report, STASIS_METRICS_FREEZES);

    SET(set, FREEZES_saved, metrics->freezes);
    SET(set, FREEZES_failed, metrics->freezes_failed);
    SET(set, FREEZES_largest_guest_gap_us, metrics->largest_gap_us);
    SET(set, FREEZES_written_bytes, metrics->written_bytes);
    SET_TIMES(set, FREEZES_spent_us, &metrics->spent);
    if (!metrics->freezes)
        return;
    set = add_set(report, STASIS_METRICS_FREEZE);
    SET(set, FREEZE_pause_us, metrics->pause_us);
    SET(set, FREEZE_file_bytes, metrics->saved.file_bytes);
    SET(set, FREEZE_stored_bytes, metrics->saved.stored_bytes);
    SET(set, FREEZE_compressed_bytes, metrics->saved.compressed_bytes);
    SET(set, FREEZE_zero_bytes, metrics->saved.zero_bytes);
    SET(set, FREEZE_below_bytes, metrics->saved.below_bytes);
    SET_TIMES(set, FREEZE_spent_us, &metrics->times);
}

static void add_serial(struct stasis_metrics_report *report,
                       const struct stasis_serial_sink_stats *stats)
{
    struct stasis_metrics_set *set = add_set(report, STASIS_METRICS_SERIAL_OUTPUT);

    SET(set, SERIAL_OUTPUT_written_bytes, stats->written);
    for (int i = 0; i < STASIS_SERIAL_SINK_DROP_COUNT; i++)
        set->values[STASIS_METRIC_SERIAL_OUTPUT_dropped_bytes_rate + i] = stats->dropped[i];
}

static void add_device(struct stasis_metrics_report *report, const struct stasis_device *device)
{
    struct stasis_metrics_set *set = add_set(report, STASIS_METRICS_DEVICE);
    const struct stasis_device_counters *counters = device->counters;

    name_set(set, 0, "device", device->row->instance);
    name_set(set, 1, "type", device->row->type);
    SET(set, DEVICE_in_bytes, stasis_counter_get(&counters->in_bytes));
    SET(set, DEVICE_out_bytes, stasis_counter_get(&counters->out_bytes));
    SET(set, DEVICE_lost_bytes, stasis_counter_get(&counters->lost_bytes));
    SET(set, DEVICE_wakes, stasis_counter_get(&counters->wakes));
    SET(set, DEVICE_requests, stasis_counter_get(&counters->requests));
    SET(set, DEVICE_interrupts, stasis_counter_get(&counters->interrupts));
    SET(set, DEVICE_dropped_frames, stasis_counter_get(&counters->dropped_frames));
    SET(set, DEVICE_connections, stasis_counter_get(&counters->connections));
    SET(set, DEVICE_refused_connections, stasis_counter_get(&counters->refused));
    SET(set, DEVICE_discarded_bytes, stasis_counter_get(&counters->discarded_bytes));
    SET(set, DEVICE_balloon_bytes, stasis_counter_get(&counters->balloon_bytes));
    SET(set, DEVICE_balloon_target_bytes, stasis_counter_get(&counters->balloon_target_bytes));
    for (int i = STASIS_GUEST_ERROR_UNKNOWN_REGISTER; i < STASIS_GUEST_ERROR_COUNT; i++)
        set->values[STASIS_METRIC_DEVICE_guest_errors_unknown_register + i -
                    STASIS_GUEST_ERROR_UNKNOWN_REGISTER] =
            stasis_counter_get(&counters->guest_errors[i]);
}

/* Those that the list names, and the rest. */
static void set_exits(struct stasis_metrics_set *set, const struct stasis_vcpu *vcpu)
{
    static const struct {
        enum stasis_metric metric;
        uint32_t reason;
    } named[] = {
#define STASIS_METRIC(scope, name, kind, unit, text)
#define STASIS_METRIC_FAMILY(scope, name, key, kind, unit, text)
#define STASIS_METRIC_LABEL(scope, name, label, text)
#define STASIS_METRIC_EXIT(reason, text)                                                           \
    {STASIS_METRIC_VCPU_exits_##reason, STASIS_VCPU_EXIT_##reason},
#include "vmm/api/metrics.def"
#undef STASIS_METRIC
#undef STASIS_METRIC_FAMILY
#undef STASIS_METRIC_LABEL
    };
    const size_t named_count = sizeof(named) / sizeof(named[0]);

    SET(set, VCPU_exits_other, 0);
    /* Each is read once: the vCPU may count on, and no sum may fall. */
    for (uint32_t reason = 0; reason <= STASIS_VCPU_EXIT_REASONS; reason++) {
        enum stasis_metric metric = STASIS_METRIC_VCPU_exits_other;

        for (size_t i = 0; i < named_count; i++)
            if (named[i].reason == reason)
                metric = named[i].metric;
        if (metric != STASIS_METRIC_VCPU_exits_other)
            set->values[metric] = 0;
        set->values[metric] += stasis_vcpu_exit_count(vcpu, reason);
    }
}

static void add_vcpu(struct stasis_metrics_report *report, const struct stasis_vcpu *vcpu,
                     const struct stasis_vcpu_thread *thread)
{
    struct stasis_metrics_set *set = add_set(report, STASIS_METRICS_VCPU);
    char id[16];

    snprintf(id, sizeof(id), "%" PRIu32, vcpu->id);
    name_set(set, 0, "vcpu", id);
    set->names[0].is_number = true;
    SET(set, VCPU_pauses, stasis_counter_get(&thread->pauses));
    SET(set, VCPU_paused_us, stasis_counter_get(&thread->pauses_us));
    set_exits(set, vcpu);
}

int stasis_metrics_collect(const struct stasis_metrics_source *source,
                           struct stasis_metrics_report *ret_report, struct stasis_error *err)
{
    const struct stasis_machine *machine = source->machine;
    size_t most = STASIS_METRICS_SCOPE_COUNT + machine->devices.count + machine->vcpu_count;
    struct stasis_metrics_report report = {.sets = calloc(most, sizeof(*report.sets))};

    if (!report.sets)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the metrics");
    add_run(&report, source);
    if (source->ram)
        add_memory(&report, source);
    add_freezes(&report, source->metrics);
    add_serial(&report, source->serial);
    for (uint32_t i = 0; i < machine->devices.count; i++)
        add_device(&report, &machine->devices.list[i]);
    for (uint32_t i = 0; i < machine->vcpu_count; i++)
        add_vcpu(&report, &machine->vcpus[i], &machine->threads[i]);
    *ret_report = report;
    return 0;
}

void stasis_metrics_report_free(struct stasis_metrics_report *report)
{
    free(report->sets);
    *report = (struct stasis_metrics_report){.sets = NULL};
}
