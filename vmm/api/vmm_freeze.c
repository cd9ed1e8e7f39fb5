/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * From a request for a snapshot to what is said of its end; vmm_save.c does the work between.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"

/* ---- failures ---- */

static const char *what_the_guest_does(const struct stasis_vmm *vmm)
{
    if (vmm->stopped)
        return "is ended";
    return vmm->paused ? "stays paused" : "keeps running";
}

static void count_failed(struct stasis_vmm *vmm, const char *path, void *request_ctx,
                         const struct stasis_error *err)
{
    vmm->metrics.freezes_failed++;
    stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_SAVE_FAILED,
                                                    .path = path,
                                                    .request_ctx = request_ctx,
                                                    .err = err});
}

void stasis_vmm_tell_save_failed(struct stasis_vmm *vmm, const struct stasis_vmm_job *job,
                                 const struct stasis_error *err)
{
    count_failed(vmm, job->path, job->request_ctx, err);
}

/* ---- the beginning ---- */

/* What the snapshot is written to, for messages. */
static const char *target_of(const struct stasis_vmm *vmm)
{
    return stasis_config_freezes_to_stream(vmm->config) ? "standard output"
                                                        : vmm->config->snapshot.path;
}

int stasis_vmm_begin_save(struct stasis_vmm *vmm, struct stasis_vmm_job *job,
                          struct stasis_error *err)
{
    int rc;

    job->vmm = vmm;
    job->start_us = stasis_monotonic_us();
    vmm->job = job;
    rc = stasis_vmm_job_start(job, err);
    if (rc) {
        vmm->job = NULL;
        return rc;
    }
    stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_SAVING,
                                                    .path = job->path,
                                                    .request_ctx = job->request_ctx,
                                                    .to_stream = !job->output});
    return 0;
}

bool stasis_vmm_is_saving(const struct stasis_vmm *vmm)
{
    return vmm->job && !vmm->job->pauses_only;
}

int stasis_vmm_begin_pausing(struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_vmm_job *job = calloc(1, sizeof(*job));
    int rc;

    if (!job)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to pause the guest");
    job->pauses_only = true;
    job->vmm = vmm;
    vmm->job = job;
    rc = stasis_vmm_job_start(job, err);
    if (rc) {
        vmm->job = NULL;
        stasis_vmm_job_free(job);
    }
    return rc;
}

static struct stasis_vmm_job *configured_job(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_vmm_snapshot *snapshot = &vmm->config->snapshot;
    struct stasis_vmm_job *job = calloc(1, sizeof(*job));
    char *path = strdup(target_of(vmm));

    if (!job || !path) {
        free(job);
        free(path);
        (void)stasis_fail(err, STASIS_ERR_NOMEM, "no memory to save the guest");
        return NULL;
    }
    job->configured = true;
    job->path = path;
    job->output = vmm->snapshot_file;
    job->exit = snapshot->then == STASIS_VMM_THEN_EXIT;
    job->save = snapshot->save;
    return job;
}

void stasis_vmm_begin_freeze(struct stasis_vmm *vmm)
{
    struct stasis_vmm_job *job;
    struct stasis_error err;

    if (!vmm->config->snapshot.path) {
        stasis_vmm_say(vmm, "no snapshot taken: set snapshot.path to say where to");
        stasis_vmm_let_run(vmm);
        return;
    }
    job = configured_job(vmm, &err);
    if (job && !stasis_vmm_begin_save(vmm, job, &err))
        return;
    stasis_vmm_job_free(job);
    vmm->save_code = err.code;
    stasis_vmm_say(vmm, "%s; the guest %s", err.msg, what_the_guest_does(vmm));
    count_failed(vmm, target_of(vmm), NULL, &err);
    stasis_vmm_let_run(vmm); /* it may have printed the text of on_output */
}

/* The text of on_output may be printed between the question and the resume. */
void stasis_vmm_let_run(struct stasis_vmm *vmm)
{
    if (vmm->paused || atomic_load(&vmm->matched))
        return;
    stasis_machine_resume(&vmm->machine);
    if (atomic_load(&vmm->matched))
        stasis_machine_request_pause(&vmm->machine);
}

/* ---- the end ---- */

static void report(const struct stasis_vmm *vmm, const struct stasis_vmm_job *job, uint64_t us)
{
    const struct stasis_save_stats *stats = &job->stats;

    if (job->whole_because)
        stasis_vmm_say(vmm,
                       "%s: a whole snapshot and no layer: %s; the next one can be a layer on it",
                       job->path, job->whole_because);
    stasis_vmm_say(vmm,
                   "frozen to %s in %" PRIu64 ".%" PRIu64 " ms: %" PRIu64
                   " KiB of RAM stored, %" PRIu64 " KiB zero%s%s",
                   job->path, us / 1000, us % 1000 / 100, stats->stored_bytes >> 10,
                   stats->zero_bytes >> 10, job->is_layer ? ", the rest as in " : "", job->lies_on);
}

/* How long the vCPU that waited longest has stood still by now. */
static uint64_t gap_us(const struct stasis_vmm *vmm)
{
    uint64_t now = stasis_monotonic_us();
    uint64_t longest = 0;

    for (uint32_t i = 0; i < vmm->machine.vcpu_count; i++) {
        uint64_t gap = now - vmm->machine.threads[i].paused_us;

        longest = gap > longest ? gap : longest;
    }
    return longest;
}

static void note_gap(struct stasis_vmm *vmm, uint64_t gap)
{
    struct stasis_metrics *metrics = &vmm->metrics;

    metrics->largest_gap_us = gap > metrics->largest_gap_us ? gap : metrics->largest_gap_us;
}

/* The guest is as it was before the save. */
static void resume(struct stasis_vmm *vmm)
{
    if (vmm->paused || atomic_load(&vmm->matched))
        return;
    note_gap(vmm, gap_us(vmm));
    stasis_vmm_let_run(vmm);
}

/* The guest is as it was before, or is ended, though some of its vCPUs had stopped already. */
static void not_paused(struct stasis_vmm *vmm, const struct stasis_vmm_job *job)
{
    note_gap(vmm, stasis_monotonic_us() - job->start_us);
    if (job->configured && job->rc != STASIS_ERR_CANCELLED)
        vmm->save_code = job->rc;
    stasis_vmm_say(vmm, "%s: %s; the guest %s", job->path, job->err.msg, what_the_guest_does(vmm));
    if (!vmm->stopped)
        stasis_vmm_let_run(vmm);
    stasis_vmm_tell_save_failed(vmm, job, &job->err);
}

static void failed(struct stasis_vmm *vmm, const struct stasis_vmm_job *job)
{
    stasis_vmm_say(vmm, "%s; the guest %s", job->err.msg, what_the_guest_does(vmm));
    if (!vmm->stopped)
        resume(vmm);
    stasis_vmm_tell_save_failed(vmm, job, &job->err);
}

static void say_dropped(const struct stasis_vmm *vmm, const struct stasis_vmm_job *job)
{
    char *rest = job->dropped;
    char *line;

    while (rest && *rest) {
        line = strsep(&rest, "\n");
        stasis_vmm_say(vmm, "left out: %s", line);
    }
}

static void saved(struct stasis_vmm *vmm, const struct stasis_vmm_job *job)
{
    uint64_t us = stasis_monotonic_us() - job->start_us;

    stasis_metrics_count_freeze(&vmm->metrics, &job->stats, &job->times, us);
    say_dropped(vmm, job);
    report(vmm, job, us);
    vmm->generation++;
    if (job->exit) {
        vmm->frozen = true;
        stasis_vmm_stop_soon(vmm);
    } else {
        resume(vmm);
    }
    stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_SAVED,
                                                    .path = job->path,
                                                    .request_ctx = job->request_ctx,
                                                    .stats = &job->stats,
                                                    .root = job->root,
                                                    .layer = job->is_layer,
                                                    .pause_us = us});
}

/* The guest came to its end before it stood still, or its memory turned out to be damaged. A freeze
 * is kept for the end, which says so, or for the guest that a reset leaves. */
static void ended_first(struct stasis_vmm *vmm, const struct stasis_vmm_job *job)
{
    if (job->configured) {
        stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
        if (job->rc != STASIS_ERR_CANCELLED && job->rc != STASIS_ERR_NO_SNAPSHOT)
            vmm->save_code = job->rc;
    }
    stasis_vmm_tell_save_failed(vmm, job, &job->err);
    if (!stasis_vmm_is_reset(vmm) && !stasis_vmm_wants_crash(vmm))
        stasis_vmm_stop_soon(vmm);
}

/* A guest that has ended stands still, too, but is not there to be resumed; one that was reset will
 * be. */
static void judge_pause(struct stasis_vmm *vmm, struct stasis_vmm_job *job)
{
    bool is_there = atomic_load(&vmm->machine.end) == STASIS_EXIT_NONE || stasis_vmm_is_reset(vmm);

    if (!job->rc && is_there) {
        vmm->paused = true;
        stasis_vmm_tell(vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_PAUSED});
        return;
    }
    if (!job->rc)
        job->rc = stasis_fail(&job->err, STASIS_ERR_STATE, "the guest ended before it was paused");
    else if (!vmm->stopped)
        stasis_vmm_let_run(vmm);
    stasis_vmm_tell(
        vmm, &(struct stasis_vmm_event){.kind = STASIS_VMM_EVENT_PAUSE_FAILED, .err = &job->err});
}

static void judge(struct stasis_vmm *vmm, const struct stasis_vmm_job *job)
{
    if (!job->paused) {
        not_paused(vmm, job);
        return;
    }
    if (job->rc && atomic_load(&vmm->machine.end) != STASIS_EXIT_NONE) {
        ended_first(vmm, job);
        return;
    }
    /* Printed before the pause: this is the snapshot that was asked for. */
    if (job->configured)
        atomic_store(&vmm->matched, false);
    /* A save that was called off has not failed, nor does it make up for one that has. */
    if (job->configured && job->rc != STASIS_ERR_CANCELLED)
        vmm->save_code = job->rc;
    if (job->rc)
        failed(vmm, job);
    else
        saved(vmm, job);
}

void stasis_vmm_end_save(struct stasis_vmm *vmm)
{
    struct stasis_vmm_job *job = vmm->job;

    stasis_vmm_job_join(job);
    stasis_vmm_job_close(job); /* whoever hears of the end finds the file unlocked */
    vmm->job = NULL;
    if (job->crash) {
        stasis_vmm_end_crash(vmm, job);
    } else if (job->pauses_only) {
        judge_pause(vmm, job);
    } else {
        if (job->paused)
            stasis_vmm_progress_end(vmm);
        judge(vmm, job);
    }
    stasis_vmm_job_free(job);
    stasis_vmm_sources_release(vmm);
}
