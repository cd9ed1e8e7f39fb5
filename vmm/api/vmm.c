/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The main thread runs the event loop; vCPU threads reach it through the machine's lock (devices
 * call the operations of vmm_console.c under it) and through descriptors.
 */
#include "vmm/api/vmm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/arch/arch.h"
#include "vmm/base/clock.h"
#include "vmm/snapshot/ram_failure.h"
#include "vmm/snapshot/thaw.h"

/* How long the end of the VM waits for a slow reader of the last output. */
#define LAST_OUTPUT_MS 2000

void stasis_vmm_say(const struct stasis_vmm *vmm, const char *fmt, ...)
{
    char line[STASIS_ERROR_MSG_MAX + 64];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    vmm->client->message(vmm->client->ctx, line);
}

/* ---- the guest: new or thawed ---- */

static int start_vcpus(struct stasis_machine *machine, const struct stasis_arch_entry *entry,
                       struct stasis_error *err)
{
    int rc = 0;

    for (uint32_t i = 0; !rc && i < machine->vcpu_count; i++)
        rc = stasis_arch_vcpu_start(&machine->vcpus[i], &machine->board, entry, err);
    return rc;
}

static int boot(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_boot_options options = stasis_config_boot(vmm->config);
    struct stasis_machine *machine = &vmm->machine;
    struct stasis_board_state board;
    struct stasis_arch_entry entry;
    int rc = stasis_config_board(vmm->config, &board, err);

    if (!rc)
        rc = stasis_machine_build(machine, &board, &vmm->host, err);
    if (rc)
        return rc;
    vmm->machine_ready = true;
    rc = stasis_boot_load(&machine->memory, &machine->board, &options, &entry, err);
    if (!rc)
        rc = start_vcpus(machine, &entry, err);
    return rc;
}

/* Kinds that a newer release added, and made so that an older one may do without. */
static void say_skipped(const struct stasis_vmm *vmm, struct stasis_snap *snap)
{
    const struct stasis_records *records = stasis_snap_records(snap);

    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);

        if (!record.schema)
            stasis_vmm_say(vmm,
                           "%s: warning: record %s %s is unknown to this release, and skipped: %s "
                           "wrote it as optional",
                           vmm->config->restore_path, record.type, record.instance,
                           stasis_snap_info(snap)->producer);
    }
}

static void say_thawed(const struct stasis_vmm *vmm, uint64_t us)
{
    const struct stasis_machine *machine = &vmm->machine;
    const struct stasis_ram *ram = stasis_ram_failure_ram(machine);
    const char *path = vmm->config->restore_path;

    if (stasis_ram_reason(ram))
        stasis_vmm_say(vmm, "%s: %s", path, stasis_ram_reason(ram));
    /* PVM gives guests the host's. */
    if (!vmm->metrics.tsc_is_set)
        stasis_vmm_say(vmm,
                       "%s: this host's KVM cannot set the guest's time stamp counter (TSC), which "
                       "has jumped; kvmclock and the timers are right",
                       path);
    stasis_vmm_say(vmm,
                   "thawed %s in %" PRIu64 " ms: generation %" PRIu64 ", %" PRIu64 " MiB of RAM",
                   path, us / 1000, vmm->generation, stasis_memory_size(&machine->memory) >> 20);
}

/* The loop does not run yet. */
bool stasis_vmm_keep_loading(void *ctx, uint64_t done, uint64_t total)
{
    struct stasis_vmm *vmm = ctx;

    vmm->client->progress(vmm->client->ctx, STASIS_VMM_LOADING, done, total);
    stasis_vmm_take_requests(vmm);
    return !vmm->ended;
}

static int thaw(struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_thaw_options options = stasis_config_thaw(vmm->config);
    uint64_t start = stasis_monotonic_us();
    struct stasis_thaw_result result;
    struct stasis_snap *snap = NULL;
    int rc = stasis_vmm_outputs_open_restore(vmm, &snap, err);

    vmm->client->progress_end(vmm->client->ctx); /* of a pipe */
    options.progress = stasis_vmm_keep_loading;
    options.ctx = vmm;
    /* KVM reads guest memory in some of the calls to come. */
    stasis_ram_failure_catch(&vmm->machine);
    if (!rc) {
        rc = stasis_thaw(&vmm->machine, snap, &options, &vmm->host, &result, err);
        vmm->client->progress_end(vmm->client->ctx);
    }
    vmm->machine_ready = !rc;
    if (!rc) {
        rc = stasis_vmm_console_check_board(&vmm->machine.board, err);
        rc = rc ? stasis_wrap(err, rc, "%s", vmm->config->restore_path) : 0;
    }
    if (!rc) {
        vmm->metrics.thawed = true;
        vmm->metrics.tsc_is_set = result.tsc_is_set;
        vmm->generation = result.generation;
        say_skipped(vmm, snap);
        say_thawed(vmm, stasis_monotonic_us() - start);
    }
    stasis_snap_free(snap);
    return rc;
}

static int prepare(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_boot_options boot = stasis_config_boot(vmm->config);
    const char *text = vmm->config->snapshot_on_output;
    int rc = stasis_vmm_outputs_open(vmm, err);

    if (!rc)
        rc = stasis_boot_check(&boot, err);

    if (!rc)
        rc = stasis_vmm_sources_open(vmm, err);
    if (rc || !text)
        return rc;
    vmm->match_active = true;
    return stasis_match_init(&vmm->match, text, strlen(text), err);
}

int stasis_vmm_create(const struct stasis_config *config, const struct stasis_vmm_client *client,
                      uint64_t start_us, struct stasis_vmm **ret_vmm, struct stasis_error *err)
{
    struct stasis_vmm *vmm = calloc(1, sizeof(*vmm));
    int rc;

    if (!vmm)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a VM");
    vmm->config = config;
    vmm->client = client;
    vmm->metrics.start_us = start_us;
    vmm->host = stasis_vmm_device_host;
    vmm->host.ctx = vmm;
    stasis_ram_failure_on_fatal(client->fatal, client->ctx);
    rc = prepare(vmm, err);
    if (!rc)
        rc = config->restore_path ? thaw(vmm, err) : boot(vmm, err);
    /* Last: it may empty a file, which a failure above must not cost. */
    if (!rc)
        rc = stasis_vmm_console_start_output(vmm, err);
    if (rc)
        stasis_vmm_free(vmm);
    else
        *ret_vmm = vmm;
    return rc;
}

/* ---- running ---- */

static int start(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc = stasis_vmm_sources_watch_end(vmm, err);

    vmm->metrics.loaded_us = stasis_monotonic_us();
    /* Before the console, which hands on faults that are not guest memory's. */
    stasis_ram_failure_restore();
    if (!rc)
        rc = stasis_vmm_console_open_input(vmm, err);
    if (!rc && vmm->has_input && vmm->input.is_terminal)
        stasis_vmm_say(vmm, "%s", stasis_keys_hint);
    if (!rc && stasis_ram_failure_ram(&vmm->machine))
        stasis_ram_failure_catch(&vmm->machine);
    if (!rc)
        rc = stasis_machine_start(&vmm->machine, err);
    if (!rc)
        stasis_vmm_sources_start_timer(vmm);
    return rc;
}

/* What the guest had sent when it ended is shown; after a freeze it is in the snapshot. */
static void last_output(struct stasis_vmm *vmm)
{
    uint8_t unsent[64];
    size_t len = stasis_device_serial_unsent(stasis_vmm_console_port(vmm), unsent, sizeof(unsent));

    if (!len || vmm->frozen || vmm->ended)
        return;
    len = stasis_serial_sink_drain(vmm->out, unsent, len, LAST_OUTPUT_MS);
    stasis_vmm_console_printed(vmm, unsent, len);
}

/* Why a freeze that was asked for will not happen; NULL if none is missing. An end that the user
 * asked for by a key calls off what the configuration would have done later. */
static const char *missing_freeze(struct stasis_vmm *vmm)
{
    if (vmm->frozen || vmm->ended || !vmm->config->snapshot_path)
        return NULL;
    if (stasis_keys_queue_remove(&vmm->commands, STASIS_KEYS_SNAPSHOT) ||
        atomic_load(&vmm->matched))
        return "before it could be frozen";
    if (vmm->quit)
        return NULL;
    if (vmm->match_active)
        return "without printing the text of on_output";
    return vmm->timer_pending ? "before the time of after_ms" : NULL;
}

static enum stasis_vmm_reason reason_of(const struct stasis_vmm *vmm)
{
    if (vmm->ended)
        return STASIS_VMM_ENDED;
    if (vmm->frozen)
        return STASIS_VMM_FROZEN;
    if (vmm->crashed)
        return STASIS_VMM_CRASHED;
    return vmm->quit ? STASIS_VMM_QUIT : STASIS_VMM_RESET;
}

static void describe_end(struct stasis_vmm *vmm, struct stasis_vmm_end *ret_end)
{
    const char *missing = missing_freeze(vmm);

    *ret_end = (struct stasis_vmm_end){.reason = reason_of(vmm), .save_code = vmm->save_code};
    if (vmm->crashed && !vmm->frozen)
        ret_end->crash = vmm->machine.end_error;
    if (missing)
        (void)stasis_fail(&ret_end->missing, STASIS_ERR_NO_SNAPSHOT,
                          "no snapshot was written to %s: the guest ended %s",
                          vmm->config->snapshot_path, missing);
}

int stasis_vmm_run(struct stasis_vmm *vmm, struct stasis_vmm_end *ret_end, struct stasis_error *err)
{
    int rc;

    /* Before the guest runs: what it has sent when a signal ends it is still shown. */
    vmm->client->hold(vmm->client->ctx, true);
    rc = start(vmm, err);
    if (rc) {
        vmm->client->hold(vmm->client->ctx, false);
        return rc;
    }
    rc = stasis_loop_run(&vmm->loop, err);
    if (rc)
        return rc;
    vmm->crashed = atomic_load(&vmm->machine.end) == STASIS_EXIT_CRASHED;
    stasis_ram_failure_watch(&vmm->machine);
    stasis_machine_pause(&vmm->machine);
    stasis_ram_failure_unwatch(&vmm->machine);
    stasis_vmm_take_all(vmm);
    last_output(vmm);
    describe_end(vmm, ret_end);
    return 0;
}

void stasis_vmm_free(struct stasis_vmm *vmm)
{
    char summary[256];

    if (!vmm)
        return;
    stasis_vmm_sources_unwatch(vmm);
    if (vmm->machine_ready)
        stasis_machine_fini(&vmm->machine);
    stasis_ram_failure_restore();
    if (vmm->out && stasis_serial_sink_summary(vmm->out, summary, sizeof(summary)))
        stasis_vmm_say(vmm, "%s", summary);
    stasis_serial_sink_close(vmm->out);
    stasis_vmm_outputs_close(vmm);
    stasis_keys_input_fini(&vmm->input);
    stasis_vmm_sources_close(vmm);
    stasis_terminal_restore();
    free(vmm);
}
