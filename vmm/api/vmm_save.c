/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The thread that pauses the guest, collects its state and writes the file, while the event loop
 * goes on. It tells by a descriptor and by atomic members, and takes no lock of the VM.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stasis/fault_signals.h"
#include "stasis/migrate.h"
#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"
#include "vmm/snapshot/freeze.h"

static int open_proc(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    return fd < 0 ? 0 : fd;
}

/* Opens what a save reads in /proc: for a process that loses /proc, or whose files another one
 * makes. All others do without, and start sooner. */
void stasis_vmm_proc_open(struct stasis_vmm *vmm)
{
    struct stasis_vmm_proc *proc = &vmm->proc;

    if (!vmm->ops.loses_proc && !vmm->ops.folders.open)
        return;
    proc->maps = open_proc("/proc/self/maps");
    proc->pagemap = open_proc("/proc/self/pagemap");
    proc->cpuinfo = open_proc("/proc/cpuinfo");
}

void stasis_vmm_proc_close(const struct stasis_vmm_proc *proc)
{
    const int fds[] = {proc->maps, proc->pagemap, proc->cpuinfo};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        if (fds[i])
            close(fds[i]);
}

/* The loop is told once, until it has listened. */
static void tell(struct stasis_vmm_job *job)
{
    if (!atomic_exchange(&job->told, true))
        stasis_vmm_wake_job(job->vmm);
}

static bool may_go_on(void *ctx)
{
    struct stasis_vmm_job *job = ctx;

    return !atomic_load(&job->cancelled);
}

static bool keep_going(void *ctx, uint64_t done, uint64_t total)
{
    struct stasis_vmm_job *job = ctx;

    atomic_store(&job->done, done);
    atomic_store(&job->total, total);
    tell(job);
    return may_go_on(job);
}

static void note_dropped(void *ctx, const char *what)
{
    fprintf(ctx, "%s\n", what);
}

/* Makes the snapshot one that the older release reads. */
static int convert(struct stasis_vmm_job *job, struct stasis_snap *snap, struct stasis_error *err)
{
    FILE *dropped = open_memstream(&job->dropped, &job->dropped_len);
    const struct stasis_convert_opts opts = {
        .size = sizeof(opts),
        .allow_drop = job->save.drop == STASIS_VMM_DROP_ALLOW,
        .dropped = note_dropped,
        .ctx = dropped,
    };
    const struct stasis_release *release = NULL;
    struct stasis_records *records;
    int rc;

    if (!dropped)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to convert a snapshot");
    rc = stasis_release_get(job->save.target, &release, err);
    if (!rc)
        rc = stasis_records_convert(stasis_snap_records(snap), release, &opts, &records, err);
    if (rc)
        goto out;
    stasis_snap_set_records(snap, records);
    job->format_version = release->format_version;
out:
    (void)fclose(dropped);
    return rc;
}

static int collect(struct stasis_vmm_job *job, struct stasis_snap **ret_snap,
                   struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    int rc = stasis_freeze(&job->vmm->machine, job->vmm->generation, &snap, err);

    if (!rc && job->save.target)
        rc = convert(job, snap, err);
    if (!rc && job->save.notes)
        rc = stasis_notes_copy(job->save.notes, stasis_snap_notes(snap), err);
    if (rc) {
        stasis_snap_free(snap);
        return stasis_wrap(err, rc, "cannot freeze the guest");
    }
    *ret_snap = snap;
    return 0;
}

/* While a disk is waited for; there is nothing to count. */
static bool keep_waiting(void *ctx)
{
    return keep_going(ctx, 0, 1);
}

static unsigned how_to_seal(const struct stasis_vmm_save *save)
{
    if (stasis_vmm_reads_older_disks(save->target))
        return STASIS_VMM_SETTLE_PARTIAL;
    return save->digest == STASIS_VMM_DIGEST_SHA256 ? STASIS_VMM_SETTLE_DIGESTS : 0;
}

/* A snapshot that is on the disk is of no use without what the guest wrote: it believes that the
 * device has it, and may only have to flush it. What is being written is part of it, and moves the
 * marker that the state is to have. Without the machine's lock: the guest is paused. */
static int settle_disk(struct stasis_vmm_job *job)
{
    struct stasis_vmm_disks *disks = &job->vmm->disks;
    bool no_sync = job->save.sync == STASIS_VMM_SYNC_NONE;
    unsigned how = (no_sync ? STASIS_VMM_SETTLE_OVERLAYS : 0) |
                   (job->exit || job->crash ? 0 : STASIS_VMM_SETTLE_SEALS) |
                   how_to_seal(&job->save);
    int rc = stasis_vmm_disks_check_target(disks, job->save.target, &job->err);

    if (rc)
        return rc;
    if (no_sync && !stasis_vmm_disks_need_settling(disks))
        return stasis_vmm_disks_settle(disks, how, &job->err);
    while (!stasis_machine_wait_disks(&job->vmm->machine)) {
        if (!may_go_on(job))
            return stasis_fail(&job->err, STASIS_ERR_CANCELLED,
                               "cancelled while the guest's disk was being written to");
    }
    if (how & STASIS_VMM_SETTLE_SEALS)
        rc = stasis_vmm_disks_prepare_seal(disks, keep_waiting, job, &job->err);
    return rc ? rc : stasis_vmm_disks_settle(disks, how, &job->err);
}

static int write_once(struct stasis_vmm_job *job, struct stasis_snap *snap,
                      struct stasis_snap **ret_saved, struct stasis_error *err)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts),
        .no_sync = job->save.sync == STASIS_VMM_SYNC_NONE,
        .digests = job->save.digest == STASIS_VMM_DIGEST_SHA256,
        .zlib_level = (unsigned)job->save.zlib_level,
        .progress = keep_going,
        .ctx = job,
        .format_version = job->format_version,
        .no_userfaultfd = true, /* but that of memory=lazy, which is the source */
        .saved = stasis_vmm_base_wanted(job) ? ret_saved : NULL,
        .maps_fd = job->vmm->proc.maps,
        .pagemap_fd = job->vmm->proc.pagemap,
    };

    if (!job->output)
        return stasis_snap_save_stream(snap, STDOUT_FILENO, &opts, &job->stats, err);
    return stasis_snap_save_output(snap, job->output, &opts, &job->stats, err);
}

/* A layer cannot replace what it lies on. */
static int write_file(struct stasis_vmm_job *job, struct stasis_snap *snap,
                      struct stasis_error *err)
{
    struct stasis_snap *saved = NULL;
    int rc = stasis_vmm_base_prepare(job, snap, err);

    if (!rc)
        rc = write_once(job, snap, &saved, err);
    if (rc && stasis_vmm_base_give_up(job, snap, rc))
        rc = write_once(job, snap, &saved, err);
    if (rc)
        return rc;
    memcpy(job->root, stasis_snap_info(snap)->root, sizeof(job->root));
    if (saved)
        stasis_vmm_base_saved(job, saved);
    return 0;
}

/* Since the last time that it was asked. */
static uint64_t lap_us(uint64_t *last_us)
{
    uint64_t now = stasis_monotonic_us();
    uint64_t lap = now - *last_us;

    *last_us = now;
    return lap;
}

static int work(struct stasis_vmm_job *job)
{
    struct stasis_machine *machine = &job->vmm->machine;
    uint64_t since_us = job->start_us;
    struct stasis_snap *snap = NULL;
    int rc = stasis_vmm_thread_begins(job->vmm, STASIS_VMM_THREAD_SAVE, &job->err);

    if (!rc)
        rc = stasis_machine_pause_while(machine, may_go_on, job, &job->err);
    if (rc)
        return rc;
    job->paused = true;
    if (job->pauses_only)
        return 0;
    job->times.stop_us = lap_us(&since_us);
    if (!job->crash && atomic_load(&machine->end) != STASIS_EXIT_NONE)
        return stasis_fail(&job->err, STASIS_ERR_NO_SNAPSHOT,
                           "no snapshot was written to %s: the guest %s before it could be frozen",
                           job->path, stasis_vmm_is_reset(job->vmm) ? "was reset" : "ended");
    rc = stasis_vmm_base_check(job, &job->err);
    if (!rc)
        rc = settle_disk(job);
    if (rc)
        return rc;
    job->times.write_us = lap_us(&since_us);
    rc = collect(job, &snap, &job->err);
    if (rc)
        return rc;
    job->times.collect_us = lap_us(&since_us);
    rc = write_file(job, snap, &job->err);
    job->times.write_us += lap_us(&since_us);
    stasis_snap_free(snap);
    return rc;
}

static void *run_thread(void *arg)
{
    struct stasis_vmm_job *job = arg;

    job->rc = work(job);
    atomic_store(&job->finished, true);
    stasis_vmm_wake_job(job->vmm);
    return NULL;
}

int stasis_vmm_job_start(struct stasis_vmm_job *job, struct stasis_error *err)
{
    sigset_t mask, before;
    int rc;

    stasis_signals_all_but_faults(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    rc = pthread_create(&job->thread, NULL, run_thread, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!rc)
        return 0;
    return stasis_fail(
        err, STASIS_ERR_UNAVAILABLE,
        "cannot start a thread to pause or save the guest; the limit of threads (ulimit -u, "
        "pids.max) may be too low");
}

void stasis_vmm_job_join(struct stasis_vmm_job *job)
{
    pthread_join(job->thread, NULL);
}

void stasis_vmm_job_close(struct stasis_vmm_job *job)
{
    if (job->owns_output)
        stasis_output_close(job->output);
    job->owns_output = false;
    job->output = NULL;
}

void stasis_vmm_job_free(struct stasis_vmm_job *job)
{
    if (!job)
        return;
    stasis_vmm_job_close(job);
    free(job->own_target);
    free(job->own_parent);
    stasis_notes_free(job->own_notes);
    free(job->dropped);
    free(job->path);
    free(job);
}
