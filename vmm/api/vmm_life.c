/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The life of a VM that is open: it is started, driven, and comes to an end.
 */
#include <unistd.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"
#include "vmm/snapshot/ram_failure.h"

/* How long the end waits for a slow reader of the last output. */
#define LAST_OUTPUT_MS 2000

void stasis_vmm_lock(struct stasis_vmm *vmm)
{
    pthread_mutex_lock(&vmm->lock);
}

void stasis_vmm_unlock(struct stasis_vmm *vmm)
{
    pthread_mutex_unlock(&vmm->lock);
}

/* ---- the start ---- */

void stasis_vmm_tell_running(struct stasis_vmm *vmm)
{
    static const char line[] = "running\n";

    if (vmm->ready_fd >= 0) {
        /* Whoever waits for it sees the end of file where the line could not be written. */
        (void)!write(vmm->ready_fd, line, sizeof(line) - 1);
        close(vmm->ready_fd);
        vmm->ready_fd = -1;
    }
    stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_RUNNING});
}

static int open_console(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc = stasis_vmm_console_open_input(vmm, err);

    if (!rc && vmm->has_input && vmm->input.is_terminal)
        stasis_vmm_say(vmm, "%s", stasis_keys_hint);
    return rc;
}

static int on_vcpu_begins(void *ctx, struct stasis_error *err)
{
    return stasis_vmm_thread_begins(ctx, STASIS_VMM_THREAD_VCPU, err);
}

static int on_io_begins(void *ctx, struct stasis_error *err)
{
    return stasis_vmm_thread_begins(ctx, STASIS_VMM_THREAD_IO, err);
}

static int start(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc = stasis_vmm_sources_watch_end(vmm, err);

    vmm->metrics.loaded_us = stasis_monotonic_us();
    vmm->machine.kick_signal = vmm->config->kick_signal;
    vmm->machine.vcpu_begins = on_vcpu_begins;
    vmm->machine.io_begins = on_io_begins;
    vmm->machine.begins_ctx = vmm;
    /* Below our handler: the console hands on faults that are not guest memory's. */
    stasis_ram_failure_stand_back(&vmm->machine);
    if (!rc)
        rc = open_console(vmm, err);
    stasis_ram_failure_come_back();
    if (!rc && vmm->paused)
        stasis_machine_pause(&vmm->machine);
    if (!rc)
        rc = stasis_vmm_metrics_start(vmm, err);
    if (!rc)
        rc = stasis_machine_start(&vmm->machine, err);
    if (rc)
        return rc;
    vmm->started = true;
    stasis_vmm_sources_start_timer(vmm);
    stasis_vmm_net_release(vmm);
    stasis_vmm_vsock_release(vmm);
    stasis_vmm_wake(vmm); /* commands wait for the loop */
    return 0;
}

int stasis_vmm_start(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc = 0;

    stasis_vmm_lock(vmm);
    if (vmm->started || vmm->stopping)
        rc = stasis_fail(err, STASIS_ERR_STATE, "cannot start the guest: %s",
                         vmm->stopping ? "the VM has ended" : "it has been started");
    if (!rc) {
        vmm->paused = vmm->config->paused;
        rc = start(vmm, err);
    }
    if (!rc && vmm->paused)
        stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_PAUSED});
    else if (!rc)
        stasis_vmm_tell_running(vmm);
    stasis_vmm_unlock(vmm);
    return rc;
}

/* ---- the end ---- */

void stasis_vmm_stop_soon(struct stasis_vmm *vmm)
{
    vmm->stopping = true;
    stasis_vmm_wake(vmm);
}

/* What the guest had sent when it ended is shown; after a freeze it is in the snapshot. */
static void last_output(struct stasis_vmm *vmm)
{
    uint8_t unsent[64];
    size_t len = stasis_device_serial_unsent(stasis_vmm_console_port(vmm), unsent, sizeof(unsent));

    if (!len || vmm->frozen || vmm->stopped)
        return;
    len = stasis_serial_sink_drain(vmm->out, unsent, len, vmm->last_output_ms);
    stasis_vmm_console_printed(vmm, unsent, len);
}

/* Why a freeze that was asked for will not happen; NULL if none is missing. An end that the user
 * asked for by a key calls off what the configuration would have done later. */
static const char *missing_freeze(struct stasis_vmm *vmm)
{
    if (vmm->frozen || vmm->stopped || !vmm->config->snapshot.path)
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
    if (vmm->stopped)
        return STASIS_VMM_STOPPED;
    if (vmm->frozen)
        return STASIS_VMM_FROZEN;
    if (vmm->crashed)
        return STASIS_VMM_CRASHED;
    if (vmm->invalid_access)
        return STASIS_VMM_INVALID_ACCESS;
    if (vmm->quit)
        return STASIS_VMM_QUIT;
    return vmm->powered_off ? STASIS_VMM_POWERED_OFF : STASIS_VMM_RESET;
}

static void describe_end(struct stasis_vmm *vmm)
{
    struct stasis_vmm_end *end = &vmm->end;
    const char *missing = missing_freeze(vmm);

    *end = (struct stasis_vmm_end){.reason = reason_of(vmm), .save_code = vmm->save_code};
    if ((vmm->crashed || vmm->invalid_access) && !vmm->frozen)
        stasis_vmm_describe_crash(vmm, &end->crash);
    if (missing)
        (void)stasis_fail(&end->missing, STASIS_ERR_NO_SNAPSHOT,
                          "no snapshot was written to %s: the guest ended %s",
                          vmm->config->snapshot.path, missing);
}

struct stasis_vmm_end stasis_vmm_end_so_far(const struct stasis_vmm *vmm)
{
    if (vmm->done)
        return vmm->end;
    return (struct stasis_vmm_end){.reason = reason_of(vmm), .save_code = vmm->save_code};
}

/* No vCPU runs from here on. */
static void finish(struct stasis_vmm *vmm)
{
    vmm->crashed = atomic_load(&vmm->machine.end) == STASIS_EXIT_CRASHED;
    vmm->invalid_access = atomic_load(&vmm->machine.end) == STASIS_EXIT_INVALID_ACCESS;
    vmm->powered_off = atomic_load(&vmm->machine.end) == STASIS_EXIT_POWER_OFF;
    stasis_ram_failure_watch(&vmm->machine);
    stasis_machine_pause(&vmm->machine);
    stasis_ram_failure_unwatch(&vmm->machine);
    (void)stasis_vmm_take_keys(vmm);
    stasis_vmm_guest_errors_tell(vmm, true);
    (void)stasis_vmm_openings_give_up(vmm, NULL, true);
    stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_ENDING});
    last_output(vmm);
    describe_end(vmm);
    vmm->done = true;
    stasis_vmm_tell(vmm,
                    &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_ENDED, .end = &vmm->end});
    stasis_loop_stop(&vmm->loop);
}

void stasis_vmm_settle(struct stasis_vmm *vmm)
{
    if (vmm->saves_crash && !vmm->stopping && !vmm->job)
        stasis_vmm_begin_crash(vmm);
    if (vmm->reset && !vmm->stopping && !vmm->job)
        stasis_vmm_carry_out_reset(vmm);
    if (vmm->stopping && !vmm->job && !vmm->done)
        finish(vmm);
}

/* ---- driving ---- */

int stasis_vmm_fd(const struct stasis_vmm *vmm)
{
    return stasis_loop_fd(&vmm->loop);
}

int stasis_vmm_dispatch(struct stasis_vmm *vmm, struct stasis_error *err)
{
    return stasis_loop_dispatch(&vmm->loop, err);
}

static int start_unless_started(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    stasis_vmm_lock(vmm);
    vmm->last_output_ms = LAST_OUTPUT_MS;
    rc = vmm->started || vmm->stopping ? 0 : stasis_vmm_start(vmm, err);
    stasis_vmm_unlock(vmm);
    return rc;
}

int stasis_vmm_run(struct stasis_vmm *vmm, struct stasis_vmm_end *ret_end, struct stasis_error *err)
{
    int rc = start_unless_started(vmm, err);

    if (!rc)
        rc = stasis_vmm_thread_begins(vmm, STASIS_VMM_THREAD_LOOP, err);
    if (rc)
        return rc;
    rc = stasis_loop_run(&vmm->loop, err);
    if (rc)
        return rc;
    stasis_vmm_lock(vmm);
    *ret_end = vmm->end;
    stasis_loop_stop(&vmm->loop); /* it has ended for whoever asks again, too */
    stasis_vmm_unlock(vmm);
    return 0;
}
