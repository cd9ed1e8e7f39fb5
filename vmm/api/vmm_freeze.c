/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/freeze.h"

#include <inttypes.h>
#include <unistd.h>

#include "stasis/migrate.h"
#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"

/* The loop does not turn while a save is under way: what it would have seen is looked at here. */
static bool keep_going(void *ctx, uint64_t done, uint64_t total)
{
    struct stasis_vmm *vmm = ctx;

    vmm->client->progress(vmm->client->ctx, STASIS_VMM_SAVING, done, total);
    return stasis_vmm_may_save_on(vmm);
}

/* Takes as long as its reader does. */
static int save_stream(const struct stasis_vmm *vmm, struct stasis_snap *snap,
                       const struct stasis_save_opts *opts, struct stasis_save_stats *ret_stats,
                       struct stasis_error *err)
{
    int rc;

    vmm->client->hold(vmm->client->ctx, false);
    rc = stasis_snap_save_stream(snap, STDOUT_FILENO, opts, ret_stats, err);
    vmm->client->hold(vmm->client->ctx, true);
    return rc;
}

static void say_dropped(void *ctx, const char *what)
{
    stasis_vmm_say(ctx, "left out: %s", what);
}

/* Makes the snapshot one that the older release reads. */
static int convert(struct stasis_vmm *vmm, struct stasis_snap *snap, struct stasis_error *err)
{
    const struct stasis_config *config = vmm->config;
    const struct stasis_convert_opts opts = {
        .size = sizeof(opts),
        .allow_drop = config->snapshot_drop == STASIS_CONFIG_DROP_ALLOW,
        .dropped = say_dropped,
        .ctx = vmm,
    };
    const struct stasis_release *release;
    struct stasis_records *records;
    int rc;

    if (!config->snapshot_target)
        return 0;
    rc = stasis_release_get(config->snapshot_target, &release, err);
    if (!rc)
        rc = stasis_records_convert(stasis_snap_records(snap), release, &opts, &records, err);
    if (!rc)
        stasis_snap_set_records(snap, records);
    return rc;
}

/* The machine is paused. */
static int save(struct stasis_vmm *vmm, struct stasis_save_stats *ret_stats,
                struct stasis_error *err)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts),
        .no_sync = vmm->config->snapshot_sync == STASIS_CONFIG_SYNC_NONE,
        .zlib_level = (unsigned)vmm->config->snapshot_zlib_level,
        .progress = keep_going,
        .ctx = vmm,
        .no_userfaultfd = true, /* but that of memory=lazy, which is the source */
    };
    struct stasis_snap *snap = NULL;
    int rc = stasis_freeze(&vmm->machine, vmm->generation, &snap, err);

    if (!rc)
        rc = convert(vmm, snap, err);
    if (!rc && vmm->config->snapshot_notes)
        rc = stasis_notes_copy(vmm->config->snapshot_notes, stasis_snap_notes(snap), err);
    if (rc) {
        stasis_snap_free(snap);
        return stasis_wrap(err, rc, "cannot freeze the guest");
    }
    if (stasis_config_freezes_to_stream(vmm->config))
        rc = save_stream(vmm, snap, &opts, ret_stats, err);
    else
        rc = stasis_snap_save_output(snap, vmm->snapshot_file, &opts, ret_stats, err);
    vmm->client->progress_end(vmm->client->ctx);
    stasis_snap_free(snap);
    return rc;
}

/* What the snapshot is written to, for messages. */
static const char *target_of(const struct stasis_vmm *vmm)
{
    return stasis_config_freezes_to_stream(vmm->config) ? "standard output"
                                                        : vmm->config->snapshot_path;
}

static void report(const struct stasis_vmm *vmm, const struct stasis_save_stats *stats, uint64_t us)
{
    stasis_vmm_say(vmm,
                   "frozen to %s in %" PRIu64 ".%" PRIu64 " ms: %" PRIu64
                   " KiB of RAM stored, %" PRIu64 " KiB zero",
                   target_of(vmm), us / 1000, us % 1000 / 100, stats->stored_bytes >> 10,
                   stats->zero_bytes >> 10);
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

/* The guest runs on. */
static void resume(struct stasis_vmm *vmm)
{
    struct stasis_metrics *metrics = &vmm->metrics;
    uint64_t gap = gap_us(vmm);

    metrics->largest_gap_us = gap > metrics->largest_gap_us ? gap : metrics->largest_gap_us;
    stasis_machine_resume(&vmm->machine);
    stasis_vmm_wake(vmm); /* text that was typed meanwhile */
}

static bool may_save_on(void *ctx)
{
    return stasis_vmm_may_save_on(ctx);
}

/* The guest runs on, or is ended, though some of its vCPUs had stopped already. */
static void not_paused(struct stasis_vmm *vmm, const struct stasis_error *err, uint64_t us)
{
    struct stasis_metrics *metrics = &vmm->metrics;

    metrics->freezes_failed++;
    metrics->largest_gap_us = us > metrics->largest_gap_us ? us : metrics->largest_gap_us;
    if (err->code != STASIS_ERR_CANCELLED)
        vmm->save_code = err->code;
    stasis_vmm_say(vmm, "%s: %s; the guest %s", target_of(vmm), err->msg,
                   vmm->ended ? "is ended" : "keeps running");
    /* A vCPU that printed the text of on_output meanwhile waits for its freeze. */
    if (atomic_load(&vmm->matched))
        stasis_machine_request_pause(&vmm->machine);
}

/* False: it was called off, or a vCPU did not stop in time. */
static bool pause_guest(struct stasis_vmm *vmm)
{
    uint64_t start = stasis_monotonic_us();
    struct stasis_error err;
    int rc;

    vmm->saving = true;
    rc = stasis_machine_pause_while(&vmm->machine, may_save_on, vmm, &err);
    vmm->saving = false;
    if (rc)
        not_paused(vmm, &err, stasis_monotonic_us() - start);
    return !rc;
}

static void failed(struct stasis_vmm *vmm, const struct stasis_error *err)
{
    vmm->metrics.freezes_failed++;
    stasis_vmm_say(vmm, "%s; the guest %s", err->msg, vmm->ended ? "is ended" : "keeps running");
    if (!vmm->ended)
        resume(vmm);
}

static void saved(struct stasis_vmm *vmm)
{
    vmm->generation++;
    if (vmm->config->snapshot_then == STASIS_CONFIG_THEN_EXIT) {
        vmm->frozen = true;
        stasis_loop_stop(&vmm->loop);
    } else {
        resume(vmm);
    }
}

void stasis_vmm_freeze(struct stasis_vmm *vmm)
{
    struct stasis_save_stats stats = {.file_bytes = 0};
    struct stasis_error err;
    uint64_t start = stasis_monotonic_us();
    int rc;

    if (vmm->frozen)
        return;
    if (!vmm->config->snapshot_path) {
        stasis_vmm_say(vmm, "no snapshot taken: start with --snapshot-out FILE to say where to");
        return;
    }
    if (!pause_guest(vmm))
        return;
    if (atomic_load(&vmm->machine.end) != STASIS_EXIT_NONE) {
        /* Kept for the end, which says so. */
        stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
        return;
    }
    /* Printed before the pause: this is the snapshot that was asked for. */
    atomic_store(&vmm->matched, false);
    vmm->saving = true;
    rc = save(vmm, &stats, &err);
    vmm->saving = false;
    /* A save that was called off has not failed, nor does it make up for one that has. */
    if (rc != STASIS_ERR_CANCELLED)
        vmm->save_code = rc;
    if (rc && atomic_load(&vmm->machine.end) != STASIS_EXIT_NONE) { /* its memory is damaged */
        stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
        return;
    }
    if (rc) {
        failed(vmm, &err);
        return;
    }
    vmm->metrics.freezes++;
    vmm->metrics.saved = stats;
    vmm->metrics.pause_us = stasis_monotonic_us() - start;
    report(vmm, &stats, vmm->metrics.pause_us);
    saved(vmm);
}
