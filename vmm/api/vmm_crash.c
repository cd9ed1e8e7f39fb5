/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest that has crashed is saved as it was at that moment (on_crash), before the VM ends. It has
 * ended as far as the machine is concerned: no vCPU of it runs any more.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"

/* A guest whose memory was lost is nothing that could be saved: its error is not the guest's. */
bool stasis_vmm_wants_crash(const struct stasis_vmm *vmm)
{
    return vmm->crash_file && !vmm->crash_is_saved &&
           atomic_load(&vmm->machine.end) == STASIS_EXIT_CRASHED &&
           vmm->machine.end_error.code == STASIS_ERR_GUEST;
}

static struct stasis_vmm_job *crash_job(const struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_vmm_job *job = calloc(1, sizeof(*job));
    char *path = strdup(vmm->config->on_crash.snapshot);

    if (!job || !path) {
        free(job);
        free(path);
        (void)stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save the guest");
        return NULL;
    }
    job->crash = true;
    job->path = path;
    job->output = vmm->crash_file;
    return job;
}

void stasis_vmm_begin_crash(struct stasis_vmm *vmm)
{
    struct stasis_vmm_job *job = crash_job(vmm, &vmm->crash_failure);

    vmm->saves_crash = false;
    vmm->crash_is_saved = true;
    if (job && !stasis_vmm_begin_save(vmm, job, &vmm->crash_failure))
        return;
    stasis_vmm_job_free(job);
    stasis_vmm_stop_soon(vmm);
}

void stasis_vmm_end_crash(struct stasis_vmm *vmm, const struct stasis_vmm_job *job)
{
    uint64_t us = stasis_monotonic_us() - job->start_us;

    stasis_vmm_progress_end(vmm);
    if (job->rc) {
        vmm->crash_failure = job->err;
        stasis_vmm_tell_save_failed(vmm, job, &job->err);
    } else {
        stasis_metrics_count_freeze(&vmm->metrics, &job->stats, &job->times, us);
        vmm->generation++;
        stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_SAVED,
                                                        .path = job->path,
                                                        .stats = &job->stats,
                                                        .pause_us = us});
    }
    stasis_vmm_stop_soon(vmm);
}

void stasis_vmm_describe_crash(const struct stasis_vmm *vmm, struct stasis_error *ret_error)
{
    const struct stasis_error *crash = &vmm->machine.end_error;

    *ret_error = *crash;
    if (!vmm->crash_is_saved)
        return;
    if (vmm->crash_failure.code)
        (void)stasis_fail(ret_error, crash->code, "%.256s; it could not be saved: %.512s",
                          crash->msg, vmm->crash_failure.msg);
    else
        (void)stasis_fail(ret_error, crash->code, "%.256s; as it was then it is in %s", crash->msg,
                          vmm->config->on_crash.snapshot);
}

/* The vCPU that has printed it does nothing more, and the others stop as soon as can be. */
void stasis_vmm_panicked(struct stasis_vmm *vmm)
{
    struct stasis_error error;

    (void)stasis_fail(&error, STASIS_ERR_GUEST, "the guest panicked: it has printed \"%s\"",
                      STASIS_PANIC_TEXT);
    stasis_machine_shutdown(&vmm->machine, STASIS_EXIT_CRASHED, &error);
    stasis_machine_request_pause(&vmm->machine);
}
