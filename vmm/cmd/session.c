/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/session.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/progress.h"
#include "vmm/cmd/cli_paths.h"
#include "vmm/cmd/say.h"
#include "vmm/cmd/signals.h"
#include "vmm/control/control.h"
#include "vmm/host/terminal.h"

/* The guest reset the machine: no error, but whoever supervises the VM may want to start it again.
 */
#define STATUS_RESET 11

struct session {
    const struct stasis_options *options;
    struct stasis_progress progress;
    bool shows_progress;
    struct stasis_vmm *_Atomic vmm; /* while it is open */
    struct stasis_control *control; /* NULL: none */
    struct stasis_confinement confinement;
    int signal_fd;
    unsigned freezes_early; /* asked for while the guest was loaded */
    _Atomic int killed_by;  /* signal that ends the process, or 0 */
    _Atomic int status;     /* of the guest that has ended; -1: it has not */
};

/* ---- what the VM has to say ---- */

/* Whether a message comes behind half a line of the guest's. */
static bool leave_line(const struct session *session)
{
    struct stasis_vmm *vmm = session->vmm;

    return vmm && stasis_vmm_leave_line(vmm);
}

static int say_error(const struct session *session, const struct stasis_error *err)
{
    struct stasis_error named = *err;

    stasis_cli_name_options_in(&session->options->by_file, false, &named);
    return stasis_say_error(leave_line(session), &named);
}

static void message(void *ctx, const char *line)
{
    const struct session *session = ctx;
    char text[STASIS_CLI_TEXT_MAX];

    stasis_cli_name_options(&session->options->by_file, false, line, text, sizeof(text));
    stasis_say(leave_line(session), text);
}

static void show_keys(const struct session *session, const char *lines)
{
    char text[STASIS_SAY_LINES_MAX];

    stasis_cli_name_options(&session->options->by_file, false, lines, text, sizeof(text));
    stasis_say_lines(leave_line(session), text);
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
    status = say_error(session, err);
    if (session->killed_by)
        stasis_signals_die_by(session->killed_by);
    _exit(ended < 0 ? status : ended);
}

static int thread_begins(void *ctx, enum stasis_vmm_thread thread, struct stasis_error *err)
{
    const struct session *session = ctx;

    return stasis_confine_thread(&session->confinement, thread, err);
}

/* ---- what signals ask of it ---- */

/* Before the VM is open, its guest is loaded. */
static void handle_signal(struct session *session, int number)
{
    struct stasis_vmm *vmm = session->vmm;

    if (number == SIGUSR1 && vmm) {
        stasis_vmm_freeze(vmm);
    } else if (number == SIGUSR1) {
        session->freezes_early++;
    } else if (number != SIGINT || !vmm || stasis_vmm_cancel(vmm, NULL)) {
        session->killed_by = number;
        stasis_vmm_stop(vmm);
    }
}

static void take_signals(struct session *session)
{
    int number;

    while (!session->killed_by && (number = stasis_signals_read(session->signal_fd)))
        handle_signal(session, number);
}

static bool progress(void *ctx, enum stasis_vmm_work work, uint64_t done, uint64_t total)
{
    struct session *session = ctx;

    if (!session->shows_progress) {
        stasis_progress_init(&session->progress,
                             work == STASIS_VMM_LOADING ? "vmm: loading" : "vmm: saving");
        if (session->progress.terminal)
            stasis_say_lines(leave_line(session), "");
    }
    session->shows_progress = true;
    (void)stasis_progress_show(&session->progress, done, total);
    stasis_control_progress(session->control, work, done, total);
    take_signals(session);
    return !session->killed_by;
}

static void on_signal(void *ctx, uint32_t events)
{
    (void)events;
    take_signals(ctx);
}

static void on_control(void *ctx, uint32_t events)
{
    const struct session *session = ctx;

    (void)events;
    stasis_control_dispatch(session->control);
}

/* A save to a stream takes as long as its reader does: the signals that end the process do so at
 * once meanwhile. */
static void event(void *ctx, const struct stasis_vmm_event *event)
{
    struct session *session = ctx;

    stasis_control_event(session->control, event);
    switch (event->kind) {
    case STASIS_VMM_EVENT_SAVING:
        if (event->to_stream)
            stasis_signals_hold(false);
        break;
    case STASIS_VMM_EVENT_SAVED:
    case STASIS_VMM_EVENT_SAVE_FAILED:
        stasis_signals_hold(true);
        break;
    case STASIS_VMM_EVENT_KEYS:
        show_keys(session, event->text);
        break;
    case STASIS_VMM_EVENT_ENDING:
        take_signals(session);
        break;
    case STASIS_VMM_EVENT_RUNNING:
    case STASIS_VMM_EVENT_PAUSED:
    case STASIS_VMM_EVENT_PAUSE_FAILED:
    case STASIS_VMM_EVENT_GUEST_ERROR:
    case STASIS_VMM_EVENT_POWER_BUTTON:
    case STASIS_VMM_EVENT_RESET:
    case STASIS_VMM_EVENT_ENDED:
        break;
    }
}

/* ---- the end ---- */

/* A guest that died has that status, also where a freeze is missing. */
static int report_end(const struct session *session, const struct stasis_vmm_end *end)
{
    int status = end->reason == STASIS_VMM_RESET ? STATUS_RESET : 0;

    if (end->save_code)
        status = stasis_err_exit_status(end->save_code);
    if (end->crash.code)
        status = say_error(session, &end->crash);
    if (end->missing.code) {
        int missing = say_error(session, &end->missing);

        if (!end->crash.code)
            status = missing;
    }
    return status;
}

static int watch_control(struct session *session, struct stasis_vmm_watch **ret_watch,
                         struct stasis_error *err)
{
    if (!session->control)
        return 0;
    stasis_control_set_ctx(session->control, session->vmm);
    return stasis_vmm_watch_new(session->vmm, stasis_control_fd(session->control), EPOLLIN,
                                on_control, session, ret_watch, err);
}

/* Before the guest runs, signals wait to be read: what it has sent when one ends it is still
 * shown. */
static int drive(struct session *session, struct stasis_vmm_end *ret_end, struct stasis_error *err)
{
    struct stasis_vmm_watch *signals = NULL;
    struct stasis_vmm_watch *control = NULL;
    int rc = stasis_vmm_watch_new(session->vmm, session->signal_fd, EPOLLIN, on_signal, session,
                                  &signals, err);

    if (!rc)
        rc = watch_control(session, &control, err);
    if (rc)
        goto out;
    for (unsigned i = 0; i < session->freezes_early; i++)
        stasis_vmm_freeze(session->vmm);
    stasis_signals_hold(true);
    rc = stasis_vmm_run(session->vmm, ret_end, err);
    if (rc)
        stasis_signals_hold(false);
out:
    stasis_vmm_watch_free(control);
    stasis_vmm_watch_free(signals);
    return rc;
}

/* Before there is a guest: what is wrong with the path is wrong use. And before there is a sandbox:
 * who can make one socket can connect another to any service of this host. */
static int open_control(struct session *session, const struct stasis_control_config *config)
{
    struct stasis_error err;

    if (!config->path ||
        !stasis_control_open(config, &stasis_control_vmm_ops, &session->control, &err))
        return 0;
    (void)stasis_wrap(&err, err.code, "--control");
    return stasis_say_error(false, &err);
}

static int run(struct session *session, const struct stasis_vmm_ops *ops)
{
    struct stasis_vmm_end end = {.reason = STASIS_VMM_POWERED_OFF};
    struct stasis_vmm *vmm = NULL;
    struct stasis_error err;
    int status = 0;
    int rc = stasis_vmm_new(&session->options->config, ops, &vmm, &err);

    session->vmm = vmm;
    if (!rc)
        rc = stasis_confine_opened(&session->confinement, &session->options->config, &err);
    if (!rc)
        rc = drive(session, &end, &err);
    if (!rc) {
        status = report_end(session, &end);
        rc = stasis_vmm_write_metrics(vmm, &err);
    }
    if (rc) {
        int failure = say_error(session, &err);

        /* What became of the guest counts for more than the metrics of it. */
        status = status ? status : failure;
    }
    session->status = status;
    stasis_vmm_free(vmm);
    return status;
}

int stasis_session_run(const struct stasis_options *options)
{
    struct session session = {.options = options, .signal_fd = stasis_signals_open(), .status = -1};
    struct stasis_vmm_ops ops = {
        .ctx = &session,
        .message = message,
        .event = event,
        .progress = progress,
        .progress_end = progress_end,
        .fatal = fatal,
        .thread_begins = thread_begins,
    };
    const struct stasis_control_config control = {.path = options->control.path,
                                                  .dir = options->control.dir};
    struct stasis_error err;
    int status;

    session.confinement =
        (struct stasis_confinement){.mode = options->sandbox, .end = fatal, .ctx = &session};
    stasis_confine_init(&session.confinement);
    if (session.signal_fd < 0) {
        (void)stasis_fail_errno(&err, STASIS_ERR_UNAVAILABLE, "cannot make a signalfd");
        return stasis_say_error(false, &err);
    }
    status = open_control(&session, &control);
    session.confinement.socket = stasis_control_socket(session.control);
    if (!status && stasis_confine_begin(&session.confinement, &options->config, &control, &err))
        status = say_error(&session, &err);
    if (session.confinement.maker.fd >= 0)
        stasis_control_leave_folder(session.control);
    ops.folders = stasis_confine_folders(&session.confinement);
    ops.loses_proc = session.confinement.loses_proc;
    if (!status)
        status = run(&session, &ops);
    stasis_control_close(session.control);
    close(session.signal_fd);
    stasis_confine_fini(&session.confinement);
    if (session.killed_by)
        stasis_signals_die_by(session.killed_by);
    return status;
}
