/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the owner of a VM asks for: each request is checked against the state that the VM is in.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/base/counter.h"

/* ---- states ---- */

static enum stasis_vmm_state state_of(const struct stasis_vmm *vmm)
{
    if (vmm->job)
        return vmm->job->pauses_only ? STASIS_VMM_IS_PAUSING : STASIS_VMM_IS_SAVING;
    if (vmm->stopping)
        return STASIS_VMM_HAS_ENDED;
    if (!vmm->started)
        return STASIS_VMM_OPENED;
    return vmm->paused ? STASIS_VMM_PAUSED : STASIS_VMM_RUNNING;
}

const char *stasis_vmm_state_name(enum stasis_vmm_state state)
{
    static const char *const names[] = {
        [STASIS_VMM_OPENED] = "opened",      [STASIS_VMM_RUNNING] = "running",
        [STASIS_VMM_IS_PAUSING] = "pausing", [STASIS_VMM_PAUSED] = "paused",
        [STASIS_VMM_IS_SAVING] = "saving",   [STASIS_VMM_HAS_ENDED] = "ended",
    };

    return (size_t)state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

static void add_balloon(struct stasis_vmm *vmm, struct stasis_vmm_status *ret_status)
{
    const struct stasis_device *balloon =
        vmm->machine_ready
            ? stasis_device_find_only(&vmm->machine.devices, &stasis_virtio_balloon_schema)
            : NULL;

    ret_status->has_balloon = balloon;
    if (!balloon)
        return;
    ret_status->balloon_bytes = stasis_counter_get(&balloon->counters->balloon_bytes);
    ret_status->balloon_target_bytes = stasis_counter_get(&balloon->counters->balloon_target_bytes);
}

void stasis_vmm_status(struct stasis_vmm *vmm, struct stasis_vmm_status *ret_status)
{
    stasis_vmm_lock(vmm);
    *ret_status = (struct stasis_vmm_status){.state = state_of(vmm),
                                             .paused = vmm->paused && !vmm->stopping,
                                             .generation = vmm->generation};
    ret_status->opening = vmm->openings != NULL;
    if (vmm->job) {
        ret_status->saved_bytes = atomic_load(&vmm->job->done);
        ret_status->total_bytes = atomic_load(&vmm->job->total);
    }
    add_balloon(vmm, ret_status);
    if (ret_status->state == STASIS_VMM_HAS_ENDED)
        ret_status->end = stasis_vmm_end_so_far(vmm);
    stasis_vmm_unlock(vmm);
}

/* Why a request that needs a started guest, and nothing under way, is not possible; or NULL. */
static const char *hindrance(const struct stasis_vmm *vmm)
{
    if (vmm->stopping || vmm->done)
        return "the VM has ended";
    if (vmm->job && vmm->job->pauses_only)
        return "it is being paused; wait for the end of that";
    if (vmm->job)
        return "a snapshot is being written; wait for its end, or cancel it";
    return vmm->started ? NULL : "the guest has not been started";
}

static int check_state(const struct stasis_vmm *vmm, const char *request, const char *also,
                       struct stasis_error *err)
{
    const char *why = hindrance(vmm);

    why = why ? why : also;
    return why ? stasis_fail(err, STASIS_ERR_STATE, "cannot %s the guest: %s", request, why) : 0;
}

/* ---- pause and resume ---- */

static bool go_on(void *ctx)
{
    (void)ctx;
    return true;
}

int stasis_vmm_pause(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    stasis_vmm_lock(vmm);
    rc = check_state(vmm, "pause", vmm->paused ? "it is paused" : NULL, err);
    if (!rc)
        rc = stasis_machine_pause_while(&vmm->machine, go_on, NULL, err);
    if (!rc) {
        vmm->paused = true;
        stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_PAUSED});
    } else if (rc == STASIS_ERR_TIMEOUT) {
        stasis_vmm_let_run(vmm);
    }
    stasis_vmm_unlock(vmm);
    return rc;
}

int stasis_vmm_begin_pause(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    stasis_vmm_lock(vmm);
    rc = check_state(vmm, "pause", vmm->paused ? "it is paused" : NULL, err);
    if (!rc)
        rc = stasis_vmm_begin_pausing(vmm, err);
    stasis_vmm_unlock(vmm);
    return rc;
}

int stasis_vmm_resume(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    stasis_vmm_lock(vmm);
    rc = check_state(vmm, "resume", vmm->paused ? NULL : "it is running", err);
    if (!rc) {
        vmm->paused = false;
        stasis_vmm_let_run(vmm);
        stasis_vmm_sources_release_waits(vmm);
        stasis_vmm_wake(vmm);
        stasis_vmm_tell_running(vmm);
    }
    stasis_vmm_unlock(vmm);
    return rc;
}

/* ---- power ---- */

int stasis_vmm_power_button(struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_device *pm;
    int rc;

    stasis_vmm_lock(vmm);
    pm = vmm->machine_ready ? stasis_device_find_only(&vmm->machine.devices, &stasis_acpi_pm_schema)
                            : NULL;
    rc = check_state(vmm, "press the power button of",
                     pm ? NULL : "its board has none; end it by a command in the guest", err);
    if (!rc) {
        pthread_mutex_lock(&vmm->machine.lock);
        stasis_device_acpi_pm_power_button(pm);
        pthread_mutex_unlock(&vmm->machine.lock);
        stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_POWER_BUTTON});
    }
    stasis_vmm_unlock(vmm);
    return rc;
}

int stasis_vmm_reset(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    stasis_vmm_lock(vmm);
    rc = check_state(vmm, "reset", NULL, err);
    if (!rc)
        stasis_machine_shutdown(&vmm->machine, STASIS_EXIT_RESET, NULL);
    stasis_vmm_unlock(vmm);
    return rc;
}

/* ---- memory ---- */

static int check_balloon(const struct stasis_vmm *vmm, uint64_t mib, struct stasis_error *err)
{
    uint64_t most = stasis_memory_size(&vmm->machine.memory) >> 20;

    if (mib <= most)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "a balloon of %" PRIu64
                       " MiB is larger than the guest's memory; give %" PRIu64 " MiB at most",
                       mib, most);
}

int stasis_vmm_ask_balloon(struct stasis_vmm *vmm, uint64_t mib, struct stasis_error *err)
{
    struct stasis_device *balloon;
    int rc;

    stasis_vmm_lock(vmm);
    balloon = vmm->machine_ready
                  ? stasis_device_find_only(&vmm->machine.devices, &stasis_virtio_balloon_schema)
                  : NULL;
    rc = check_state(vmm, "take memory from",
                     balloon ? NULL : "it has no balloon; start the VM with one, see vmm(1)", err);
    if (!rc)
        rc = check_balloon(vmm, mib, err);
    if (!rc) {
        pthread_mutex_lock(&vmm->machine.lock);
        stasis_device_balloon_ask(balloon, (uint32_t)(mib << 8));
        pthread_mutex_unlock(&vmm->machine.lock);
    }
    stasis_vmm_unlock(vmm);
    return rc;
}

/* ---- snapshots ---- */

static int copy_save(struct stasis_vmm_job *job, const struct stasis_vmm_save *save,
                     struct stasis_error *err)
{
    job->own_target = save->target ? strdup(save->target) : NULL;
    job->own_parent = save->parent ? strdup(save->parent) : NULL;
    job->own_notes = save->notes ? stasis_notes_new() : NULL;
    job->save = *save;
    job->save.target = job->own_target;
    job->save.parent = job->own_parent;
    job->save.notes = job->own_notes;
    if ((save->target && !job->own_target) || (save->parent && !job->own_parent) ||
        (save->notes && !job->own_notes))
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save the guest");
    return save->notes ? stasis_notes_copy(save->notes, job->own_notes, err) : 0;
}

/* The file of the configuration is open already. */
static bool is_configured(const struct stasis_vmm *vmm,
                          const struct stasis_snapshot_request *request)
{
    return !request->folder_fd && vmm->snapshot_file &&
           !strcmp(request->path, vmm->config->snapshot.path);
}

static int check_path(const struct stasis_snapshot_request *request, struct stasis_error *err)
{
    if (!request->path || !strcmp(request->path, STASIS_VMM_STREAM))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the request for a snapshot names no file; name one");
    if (request->folder_fd && strchr(request->path, '/'))
        return stasis_fail(err, STASIS_ERR_ARG, "%.200s is no name in the folder; leave out the /",
                           request->path);
    return 0;
}

static int fill_job(struct stasis_vmm *vmm, const struct stasis_snapshot_request *request,
                    struct stasis_vmm_job *job, struct stasis_error *err)
{
    int rc = stasis_config_check_save(&request->save, err);

    if (!rc)
        rc = stasis_config_check_target(&vmm->machine.board, &request->save, err);
    if (!rc)
        rc = check_path(request, err);
    if (!rc && !request->exit)
        rc = stasis_config_check_resume(vmm->config, err);
    if (rc)
        return rc;
    job->exit = request->exit;
    job->request_ctx = request->ctx;
    job->path = strdup(request->path);
    if (!job->path)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save the guest");
    if (is_configured(vmm, request))
        job->output = vmm->snapshot_file;
    return copy_save(job, &request->save, err);
}

/* The job of a request that is possible now; its file may have to be opened. */
static int request_job(struct stasis_vmm *vmm, const struct stasis_snapshot_request *request,
                       struct stasis_vmm_job **ret_job, struct stasis_error *err)
{
    struct stasis_vmm_job *job;
    int rc = check_state(vmm, "save", NULL, err);

    if (rc)
        return rc;
    job = calloc(1, sizeof(*job));
    rc = job ? fill_job(vmm, request, job, err)
             : stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save the guest");
    if (rc)
        stasis_vmm_job_free(job);
    else
        *ret_job = job;
    return rc;
}

static int begin_request(struct stasis_vmm *vmm, const struct stasis_snapshot_request *request,
                         struct stasis_vmm_job *job, struct stasis_error *err)
{
    int rc = 0;

    if (!job->output)
        rc = stasis_vmm_outputs_open_request(vmm->outputs, &vmm->ops.folders, request, job, err);
    if (!rc)
        rc = stasis_vmm_begin_save(vmm, job, err);
    if (rc)
        stasis_vmm_job_free(job);
    return rc;
}

int stasis_vmm_snapshot(struct stasis_vmm *vmm, const struct stasis_snapshot_request *request,
                        struct stasis_error *err)
{
    struct stasis_vmm_job *job;
    int rc;

    stasis_vmm_lock(vmm);
    rc = request_job(vmm, request, &job, err);
    if (!rc)
        rc = begin_request(vmm, request, job, err);
    stasis_vmm_unlock(vmm);
    return rc;
}

int stasis_vmm_begin_snapshot(struct stasis_vmm *vmm, const struct stasis_snapshot_request *request,
                              struct stasis_error *err)
{
    struct stasis_vmm_job *job;
    int rc;

    stasis_vmm_lock(vmm);
    rc = request_job(vmm, request, &job, err);
    if (!rc)
        rc = job->output ? begin_request(vmm, request, job, err)
                         : stasis_vmm_begin_open(vmm, job, request->folder_fd, err);
    stasis_vmm_unlock(vmm);
    return rc;
}

void stasis_vmm_freeze(struct stasis_vmm *vmm)
{
    stasis_vmm_lock(vmm);
    stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
    stasis_vmm_run_commands(vmm);
    stasis_vmm_unlock(vmm);
}

static bool cancel(struct stasis_vmm *vmm, const void *request_ctx)
{
    if (stasis_vmm_is_saving(vmm) && (!request_ctx || vmm->job->request_ctx == request_ctx)) {
        atomic_store(&vmm->job->cancelled, true);
        return true;
    }
    return stasis_vmm_openings_give_up(vmm, request_ctx, true);
}

int stasis_vmm_cancel(struct stasis_vmm *vmm, struct stasis_error *err)
{
    return stasis_vmm_cancel_request(vmm, NULL, err);
}

int stasis_vmm_cancel_request(struct stasis_vmm *vmm, const void *request_ctx,
                              struct stasis_error *err)
{
    int rc = 0;

    stasis_vmm_lock(vmm);
    if (!cancel(vmm, request_ctx))
        rc = stasis_fail(err, STASIS_ERR_STATE, "nothing to cancel: no snapshot is being written");
    stasis_vmm_unlock(vmm);
    return rc;
}

void stasis_vmm_stop(struct stasis_vmm *vmm)
{
    if (!vmm)
        return;
    stasis_vmm_lock(vmm);
    if (!vmm->done) {
        vmm->stopped = true;
        if (vmm->job)
            atomic_store(&vmm->job->cancelled, true);
        stasis_vmm_stop_soon(vmm);
    }
    stasis_vmm_unlock(vmm);
}

/* ---- the rest ---- */

bool stasis_vmm_leave_line(struct stasis_vmm *vmm)
{
    return stasis_cursor_leave_line(&vmm->cursor);
}
