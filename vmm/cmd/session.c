/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/session.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "common/progress.h"
#include "vmm/api/vmm.h"
#include "vmm/cmd/say.h"
#include "vmm/cmd/signals.h"
#include "vmm/host/terminal.h"

struct session {
    struct stasis_cursor cursor;
    struct stasis_progress progress;
    bool shows_progress;
    int signal_fd;
    _Atomic int killed_by; /* signal that ends the process, or 0 */
    _Atomic int status;    /* of the guest that has ended; -1: it has not */
};

/* ---- what the VM has to say ---- */

static void message(void *ctx, const char *line)
{
    struct session *session = ctx;

    stasis_say(&session->cursor, line);
}

static void show_keys(void *ctx)
{
    struct session *session = ctx;

    stasis_say_lines(&session->cursor, stasis_keys_help);
}

static void progress(void *ctx, enum stasis_vmm_work work, uint64_t done, uint64_t total)
{
    struct session *session = ctx;

    if (!session->shows_progress) {
        stasis_progress_init(&session->progress,
                             work == STASIS_VMM_LOADING ? "vmm: loading" : "vmm: saving");
        if (session->progress.terminal)
            stasis_say_lines(&session->cursor, "");
    }
    session->shows_progress = true;
    (void)stasis_progress_show(&session->progress, done, total);
}

static void progress_end(void *ctx)
{
    struct session *session = ctx;

    if (session->shows_progress)
        stasis_progress_clear(&session->progress);
    session->shows_progress = false;
}

/* From any thread, and from a signal handler. */
static void fatal(void *ctx, const struct stasis_error *err)
{
    struct session *session = ctx;
    int ended = session->status;
    int status;

    stasis_terminal_restore();
    status = stasis_say_error(&session->cursor, err);
    if (session->killed_by)
        stasis_signals_die_by(session->killed_by);
    _exit(ended < 0 ? status : ended);
}

/* ---- what signals ask of it ---- */

static enum stasis_vmm_request request(void *ctx, bool saving)
{
    struct session *session = ctx;
    int number = stasis_signals_read(session->signal_fd);

    if (!number)
        return STASIS_VMM_NO_REQUEST;
    if (number == SIGUSR1)
        return STASIS_VMM_FREEZE;
    if (number == SIGINT && saving)
        return STASIS_VMM_CANCEL;
    session->killed_by = number;
    return STASIS_VMM_END;
}

static void hold(void *ctx, bool on)
{
    (void)ctx;
    stasis_signals_hold(on);
}

/* ---- the end ---- */

/* A guest that died has that status, also where a freeze is missing. */
static int report_end(struct session *session, const struct stasis_vmm_end *end)
{
    int status = end->save_code ? stasis_err_exit_status(end->save_code) : 0;

    if (end->crash.code)
        status = stasis_say_error(&session->cursor, &end->crash);
    if (end->missing.code) {
        int missing = stasis_say_error(&session->cursor, &end->missing);

        if (!end->crash.code)
            status = missing;
    }
    return status;
}

static int run(struct session *session, const struct stasis_config *config,
               const struct stasis_vmm_client *client, uint64_t start_us)
{
    struct stasis_vmm_end end = {.reason = STASIS_VMM_RESET};
    struct stasis_vmm *vmm = NULL;
    struct stasis_error err;
    int status = 0;
    int rc = stasis_vmm_create(config, client, start_us, &vmm, &err);

    if (!rc)
        rc = stasis_vmm_run(vmm, &end, &err);
    if (!rc) {
        status = report_end(session, &end);
        rc = stasis_vmm_write_metrics(vmm, &err);
    }
    if (rc) {
        int failure = stasis_say_error(&session->cursor, &err);

        /* What became of the guest counts for more than the metrics of it. */
        status = status ? status : failure;
    }
    session->status = status;
    stasis_vmm_free(vmm);
    return status;
}

int stasis_session_run(const struct stasis_config *config, uint64_t start_us)
{
    struct session session = {.signal_fd = stasis_signals_open(), .status = -1};
    const struct stasis_vmm_client client = {
        .ctx = &session,
        .cursor = &session.cursor,
        .message = message,
        .show_keys = show_keys,
        .progress = progress,
        .progress_end = progress_end,
        .request_fd = session.signal_fd,
        .request = request,
        .hold = hold,
        .fatal = fatal,
    };
    struct stasis_error err;
    int status;

    if (session.signal_fd < 0) {
        (void)stasis_fail_errno(&err, STASIS_ERR_UNAVAILABLE, "cannot make a signalfd");
        return stasis_say_error(NULL, &err);
    }
    status = run(&session, config, &client, start_us);
    close(session.signal_fd);
    if (session.killed_by)
        stasis_signals_die_by(session.killed_by);
    return status;
}
