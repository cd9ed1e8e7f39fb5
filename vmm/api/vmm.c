/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * From a configuration to a guest that could run, and its end. Threads of vCPUs reach the loop
 * through the machine's lock (devices call the operations of vmm_console.c under it) and through
 * descriptors.
 */
#include "stasis/vmm.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/files.h"
#include "vmm/api/vmm_internal.h"
#include "vmm/arch/arch.h"
#include "vmm/base/clock.h"
#include "vmm/machine/kick.h"
#include "vmm/snapshot/ram_failure.h"
#include "vmm/snapshot/thaw.h"

void stasis_vmm_say(const struct stasis_vmm *vmm, const char *fmt, ...)
{
    char line[STASIS_ERROR_MSG_MAX + 64];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    stasis_log_put(vmm->log, STASIS_LOG_DEBUG, "message: %s", line);
    if (vmm->ops.message)
        vmm->ops.message(vmm->ops.ctx, line);
}

void stasis_vmm_tell(const struct stasis_vmm *vmm, const struct stasis_vmm_event *event)
{
    stasis_vmm_log_event(vmm, event);
    if (vmm->ops.event)
        vmm->ops.event(vmm->ops.ctx, event);
}

void stasis_vmm_progress_end(const struct stasis_vmm *vmm)
{
    if (vmm->ops.progress_end)
        vmm->ops.progress_end(vmm->ops.ctx);
}

int stasis_vmm_thread_begins(const struct stasis_vmm *vmm, enum stasis_vmm_thread thread,
                             struct stasis_error *err)
{
    return vmm->ops.thread_begins ? vmm->ops.thread_begins(vmm->ops.ctx, thread, err) : 0;
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

int stasis_vmm_load_guest(struct stasis_vmm *vmm, enum stasis_device_start start,
                          struct stasis_error *err)
{
    struct stasis_machine *machine = &vmm->machine;
    struct stasis_arch_entry entry;
    int rc = stasis_boot_load(&machine->memory, &machine->board, &vmm->boot, &entry, err);

    if (!rc)
        rc = start_vcpus(machine, &entry, err);
    return rc ? rc : stasis_devices_begin(&machine->devices, start, err);
}

static int boot(struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_board_state board;
    int rc = stasis_config_board(vmm->config, &board, err);

    if (!rc)
        rc = stasis_machine_build_by(&vmm->machine, vmm->config->kvm_fd, &board, &vmm->host, err);
    if (rc)
        return rc;
    vmm->machine_ready = true;
    stasis_vmm_say_hints(vmm);
    return stasis_vmm_load_guest(vmm, STASIS_DEVICE_NEW, err);
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
                           vmm->config->restore.path, record.type, record.instance,
                           stasis_snap_info(snap)->producer);
    }
}

static void say_thawed(const struct stasis_vmm *vmm, uint64_t us)
{
    const struct stasis_machine *machine = &vmm->machine;
    const struct stasis_ram *ram = stasis_ram_failure_ram(machine);
    const char *path = vmm->config->restore.path;

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

    return !vmm->ops.progress || vmm->ops.progress(vmm->ops.ctx, STASIS_VMM_LOADING, done, total);
}

static int on_ram_thread_begins(void *ctx, struct stasis_error *err)
{
    return stasis_vmm_thread_begins(ctx, STASIS_VMM_THREAD_RAM, err);
}

/* With what they lie on. */
static int open_overlays(struct stasis_vmm *vmm, const struct stasis_records *records,
                         struct stasis_error *err)
{
    int rc = stasis_vmm_disks_open_overlays(vmm->config, &vmm->disks, records, err);

    return rc ? rc : stasis_vmm_disks_check_own_target(vmm->config, &vmm->disks, err);
}

static int check_disks(const struct stasis_vmm *vmm, struct stasis_snap *snap,
                       struct stasis_error *err)
{
    struct stasis_reasons reasons = {0};
    int rc;

    stasis_vmm_disks_check(vmm->config, &vmm->disks, stasis_snap_records(snap), &reasons);
    rc = stasis_reasons_fail(&reasons, err);
    stasis_reasons_fini(&reasons);
    return rc ? stasis_wrap(err, rc, "%s", vmm->config->restore.path) : 0;
}

/* The snapshot, and what stands beside it: nothing of the guest is there yet. */
static int open_frozen(struct stasis_vmm *vmm, struct stasis_snap **ret_snap,
                       struct stasis_error *err)
{
    int rc = stasis_vmm_outputs_open_restore(vmm, ret_snap, err);

    stasis_vmm_progress_end(vmm); /* of a pipe */
    if (!rc)
        rc = stasis_vmm_base_check_thawed(vmm->config, *ret_snap, vmm->snapshot_file, err);
    if (!rc)
        rc = open_overlays(vmm, stasis_snap_records(*ret_snap), err);
    return rc ? rc : check_disks(vmm, *ret_snap, err);
}

static int build_thawed(struct stasis_vmm *vmm, struct stasis_snap *snap,
                        struct stasis_thaw_result *ret_result, struct stasis_error *err)
{
    struct stasis_thaw_options options = stasis_config_thaw(vmm->config);
    int rc;

    options.progress = stasis_vmm_keep_loading;
    options.thread_begins = on_ram_thread_begins;
    options.ctx = vmm;
    /* KVM reads guest memory in some of the calls to come. */
    rc = stasis_ram_failure_catch(&vmm->machine, err);
    if (rc)
        return rc;
    rc = stasis_thaw(&vmm->machine, snap, &options, &vmm->host, ret_result, err);
    stasis_vmm_progress_end(vmm);
    vmm->machine_ready = !rc;
    return rc;
}

/* What the options connect to the guest's devices, and what they make of the guest. */
static int check_thawed(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_board_state *board = &vmm->machine.board;
    int rc = stasis_vmm_console_check_board(board, err);

    if (!rc)
        rc = stasis_vmm_net_check_board(vmm->config, board, err);
    if (!rc)
        rc = stasis_vmm_vsock_check_board(vmm->config, board, err);
    if (rc)
        return stasis_wrap(err, rc, "%s", vmm->config->restore.path);
    return stasis_config_check_own_target(vmm->config, board, err);
}

static int thaw(struct stasis_vmm *vmm, struct stasis_error *err)
{
    uint64_t start = stasis_monotonic_us();
    struct stasis_thaw_result result;
    struct stasis_snap *snap = NULL;
    int rc = open_frozen(vmm, &snap, err);

    if (!rc)
        rc = build_thawed(vmm, snap, &result, err);
    if (!rc)
        rc = check_thawed(vmm, err);
    if (rc) {
        stasis_snap_free(snap);
        return rc;
    }
    vmm->metrics.thawed = true;
    vmm->metrics.tsc_is_set = result.tsc_is_set;
    vmm->generation = result.generation;
    say_skipped(vmm, snap);
    say_thawed(vmm, stasis_monotonic_us() - start);
    stasis_vmm_base_thawed(vmm, snap);
    return 0;
}

static int prepare(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const char *text = vmm->config->snapshot.on_output;
    int rc = stasis_vmm_outputs_open(vmm, err);

    vmm->disks.outputs = vmm->outputs;
    if (!rc)
        rc = stasis_vmm_disks_open(vmm->config, &vmm->disks, &vmm->host, err);
    if (!rc && !vmm->config->restore.path)
        rc = open_overlays(vmm, NULL, err);
    if (!rc)
        rc = stasis_vmm_net_open(vmm->config, &vmm->net, &vmm->host, err);
    if (!rc)
        rc = stasis_boot_check(&vmm->boot, err);
    if (!rc && vmm->config->on_reset == STASIS_VMM_ON_RESET_REBOOT)
        rc = stasis_boot_hold(&vmm->boot, err);
    if (!rc)
        rc = stasis_vmm_sources_open(vmm, err);
    if (!rc)
        rc = stasis_vmm_net_watch(vmm, err);
    if (!rc)
        rc = stasis_vmm_vsock_open(vmm, err);
    if (rc || !text)
        return rc;
    vmm->match_active = true;
    return stasis_match_init(&vmm->match, text, strlen(text), err);
}

static void init(struct stasis_vmm *vmm, const struct stasis_vmm_ops *ops)
{
    pthread_mutexattr_t recursive;

    if (ops)
        vmm->ops = *ops;
    vmm->config = &vmm->own_config;
    vmm->boot = stasis_config_boot(vmm->config);
    vmm->ready_fd = -1;
    vmm->metrics.start_us = vmm->config->start_us ? vmm->config->start_us : stasis_monotonic_us();
    vmm->host = stasis_vmm_device_host;
    vmm->host.ctx = vmm;
    vmm->host.hides_reporting = vmm->config->balloon.reporting == STASIS_VMM_REPORTING_OFF;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&vmm->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    stasis_ram_failure_on_fatal(vmm->ops.fatal, vmm->ops.ctx);
}

/* Before the terminal, which leaves signals to those who have a handler. */
static void take_kick(struct stasis_vmm *vmm)
{
    stasis_kick_acquire(vmm->config->kick_signal);
    vmm->has_kick = true;
}

int stasis_vmm_new(const struct stasis_vmm_config *config, const struct stasis_vmm_ops *ops,
                   struct stasis_vmm **ret_vmm, struct stasis_error *err)
{
    struct stasis_vmm *vmm = calloc(1, sizeof(*vmm));
    int rc = vmm ? stasis_config_copy(config, &vmm->own_config, err)
                 : stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a VM");

    if (rc) {
        free(vmm);
        return rc;
    }
    init(vmm, ops);
    rc = stasis_config_check(vmm->config, NULL, err);
    if (!rc)
        rc = stasis_files_check_ready(vmm->config, err);
    if (!rc) {
        stasis_vmm_guest_errors_init(vmm);
        take_kick(vmm);
    }
    if (!rc)
        rc = stasis_vmm_log_open(vmm, err);
    if (!rc) {
        stasis_vmm_proc_open(vmm);
        rc = prepare(vmm, err);
    }
    if (!rc)
        rc = vmm->config->restore.path ? thaw(vmm, err) : boot(vmm, err);
    /* Last: it may empty a file, which a failure above must not cost. */
    if (!rc)
        rc = stasis_vmm_console_start_output(vmm, err);
    if (rc) {
        stasis_vmm_free(vmm);
        return rc;
    }
    vmm->machine.cpuinfo_fd = vmm->proc.cpuinfo;
    if (config->ready_fd)
        vmm->ready_fd = config->ready_fd;
    stasis_vmm_log_opened(vmm);
    *ret_vmm = vmm;
    return 0;
}

void stasis_vmm_free(struct stasis_vmm *vmm)
{
    char summary[256];

    if (!vmm)
        return;
    stasis_vmm_metrics_join(vmm);
    if (vmm->job) {
        atomic_store(&vmm->job->cancelled, true);
        stasis_vmm_job_join(vmm->job);
        stasis_vmm_job_free(vmm->job);
    }
    (void)stasis_vmm_openings_give_up(vmm, NULL, false);
    stasis_vmm_sources_unwatch(vmm);
    if (vmm->machine_ready) {
        /* A vCPU may wait for memory that never comes. */
        stasis_ram_failure_watch(&vmm->machine);
        stasis_machine_pause(&vmm->machine);
        stasis_ram_failure_unwatch(&vmm->machine);
        stasis_machine_fini(&vmm->machine);
    }
    stasis_vmm_leave_behind(vmm);
    stasis_vmm_proc_close(&vmm->proc);
    stasis_snap_free(vmm->base);
    stasis_boot_let_go(&vmm->boot);
    stasis_vmm_net_unwatch(vmm);
    stasis_vmm_net_close(&vmm->net);
    stasis_vmm_vsock_close(vmm);
    stasis_ram_failure_restore(&vmm->machine);
    if (vmm->out && stasis_serial_sink_summary(vmm->out, summary, sizeof(summary)))
        stasis_vmm_say(vmm, "%s", summary);
    stasis_serial_sink_close(vmm->out);
    stasis_vmm_outputs_close(vmm);
    stasis_keys_input_fini(&vmm->input);
    stasis_vmm_sources_close(vmm);
    stasis_vmm_watches_reap(vmm);
    stasis_vmm_console_close(vmm);
    if (vmm->has_kick)
        stasis_kick_release(vmm->own_config.kick_signal);
    if (vmm->ready_fd >= 0)
        close(vmm->ready_fd);
    stasis_log_close(vmm->log);
    pthread_mutex_destroy(&vmm->lock);
    stasis_vmm_config_fini(&vmm->own_config);
    if (!vmm->machine.is_left) /* else its thread has the machine's lock, and its disk */
        free(vmm);
}
