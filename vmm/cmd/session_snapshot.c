/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "stasis/migrate.h"
#include "tools/progress.h"
#include "vmm/base/clock.h"
#include "vmm/snapshot/freeze.h"
#include "vmm/cmd/say.h"
#include "vmm/cmd/session_internal.h"

static bool to_stream(const struct stasis_session *session)
{
    return !strcmp(session->options->snapshot_path, STASIS_CLI_STREAM);
}

struct saving {
    struct stasis_session *session;
    struct stasis_progress progress;
};

/* The loop does not turn while a save is under way: what it would have seen is looked at here.
 * SIGINT and Ctrl-A c give up the save, signals that end the process do so too. */
static bool keep_going(void *ctx, uint64_t done, uint64_t total)
{
    struct saving *saving = ctx;
    struct stasis_session *session = saving->session;
    struct signalfd_siginfo info;

    stasis_progress_show(&saving->progress, done, total);
    if (stasis_session_commands(session) & STASIS_KEYS_CANCEL)
        return false;
    while (read(session->signal_source.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGINT)
            return false;
        if (info.ssi_signo == SIGUSR1) {
            atomic_store(&session->snapshot_wanted, true); /* one more, after this one */
            stasis_session_wake(session);
            continue;
        }
        session->killed_by = (int)info.ssi_signo;
        stasis_loop_stop(&session->loop);
        return false;
    }
    return true;
}

/* Takes as long as its reader does. */
static int save_stream(struct stasis_snap *snap, const struct stasis_save_opts *opts,
                       struct stasis_save_stats *ret_stats, struct stasis_error *err)
{
    int rc;

    stasis_session_hold_signals(false);
    rc = stasis_snap_save_stream(snap, STDOUT_FILENO, opts, ret_stats, err);
    stasis_session_hold_signals(true);
    return rc;
}

static void say_lost(void *ctx, const char *what)
{
    (void)ctx;
    stasis_say("left out: %s", what);
}

/* Makes the snapshot one that the older release reads. */
static int convert(const struct stasis_session *session, struct stasis_snap *snap,
                   struct stasis_error *err)
{
    const struct stasis_options *options = session->options;
    const struct stasis_convert_opts opts = {
        .size = sizeof(opts),
        .allow_loss = options->snapshot_loss == STASIS_CLI_LOSS_ALLOW,
        .lost = say_lost,
    };
    const struct stasis_release *release;
    struct stasis_records *records;
    int rc;

    if (!options->snapshot_target)
        return 0;
    rc = stasis_release_get(options->snapshot_target, &release, err);
    if (!rc)
        rc = stasis_records_convert(stasis_snap_records(snap), release, &opts, &records, err);
    if (!rc)
        stasis_snap_set_records(snap, records);
    return rc;
}

/* The machine is paused. */
static int save(struct stasis_session *session, struct stasis_save_stats *ret_stats,
                struct stasis_error *err)
{
    struct saving saving = {.session = session};
    const struct stasis_save_opts opts = {
        .size = sizeof(opts),
        .no_sync = session->options->snapshot_sync == STASIS_CLI_SYNC_NONE,
        .zlib_level = (unsigned)session->options->snapshot_zlib_level,
        .progress = keep_going,
        .ctx = &saving,
    };
    struct stasis_snap *snap = NULL;
    int rc = stasis_freeze(&session->machine, &snap, err);

    if (!rc)
        rc = convert(session, snap, err);
    if (rc) {
        stasis_snap_free(snap);
        return stasis_wrap(err, rc, "cannot freeze the guest");
    }
    stasis_progress_init(&saving.progress, "vmm: saving");
    if (to_stream(session))
        rc = save_stream(snap, &opts, ret_stats, err);
    else
        rc = stasis_snap_save_output(snap, session->snapshot_file, &opts, ret_stats, err);
    stasis_progress_clear(&saving.progress);
    stasis_snap_free(snap);
    return rc;
}

static void report(const struct stasis_session *session, const struct stasis_save_stats *stats,
                   uint64_t us)
{
    stasis_say("frozen to %s in %" PRIu64 ".%" PRIu64 " ms: %" PRIu64 " KiB of RAM stored, %" PRIu64
               " KiB zero",
               to_stream(session) ? "standard output" : session->options->snapshot_path, us / 1000,
               us % 1000 / 100, stats->stored_bytes >> 10, stats->zero_bytes >> 10);
}

/* How long the vCPU that waited longest has stood still by now. */
static uint64_t gap_us(const struct stasis_session *session)
{
    uint64_t now = stasis_monotonic_us();
    uint64_t longest = 0;

    for (uint32_t i = 0; i < session->machine.vcpu_count; i++) {
        uint64_t gap = now - session->machine.vcpus[i].paused_us;

        longest = gap > longest ? gap : longest;
    }
    return longest;
}

/* The guest runs on. */
static void resume(struct stasis_session *session)
{
    struct stasis_metrics *metrics = &session->metrics;
    uint64_t gap = gap_us(session);

    metrics->largest_gap_us = gap > metrics->largest_gap_us ? gap : metrics->largest_gap_us;
    stasis_machine_resume(&session->machine);
}

static void saved(struct stasis_session *session)
{
    session->machine.generation++;
    if (session->options->snapshot_then == STASIS_CLI_THEN_EXIT) {
        session->frozen = true;
        stasis_loop_stop(&session->loop);
    } else {
        resume(session);
    }
}

void stasis_session_snapshot(struct stasis_session *session)
{
    struct stasis_save_stats stats = {.file_bytes = 0};
    struct stasis_error err;
    uint64_t start = stasis_monotonic_us();
    int rc;

    if (session->frozen)
        return;
    if (!session->options->snapshot_path) {
        stasis_say("no snapshot taken: start with --snapshot-out FILE to say where to");
        return;
    }
    stasis_machine_pause(&session->machine);
    if (atomic_load(&session->machine.end) != STASIS_END_NONE) {
        stasis_say("no snapshot taken: the guest has ended");
        return;
    }
    rc = save(session, &stats, &err);
    /* A save that was called off has not failed. */
    session->save_status = rc == STASIS_ERR_CANCELLED ? 0 : stasis_err_exit_status(rc);
    if (rc && atomic_load(&session->machine.end) != STASIS_END_NONE) { /* its memory is damaged */
        stasis_say("no snapshot taken: the guest has ended");
        return;
    }
    if (rc) {
        stasis_say("%s; the guest goes on", err.msg);
        session->metrics.freezes_failed++;
        resume(session);
        return;
    }
    session->metrics.freezes++;
    session->metrics.saved = stats;
    session->metrics.pause_us = stasis_monotonic_us() - start;
    report(session, &stats, session->metrics.pause_us);
    saved(session);
}
