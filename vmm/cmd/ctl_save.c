/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/cmd/ctl_save.h"

#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void show_progress(void *ctx, const json_t *message)
{
    struct stasis_ctl_save *save = ctx;
    const char *name = json_string_value(json_object_get(message, "method"));
    const json_t *params = json_object_get(message, "params");
    json_int_t done = json_integer_value(json_object_get(params, "saved_bytes"));
    json_int_t total = json_integer_value(json_object_get(params, "total_bytes"));

    if (name && strcmp(name, "snapshot_progress") == 0 && done >= 0 && total >= done)
        (void)stasis_progress_show(&save->progress, (uint64_t)done, (uint64_t)total);
}

static void set_blocked(bool blocked)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* Our own only: it may have ended by now, and another one have begun. Whoever presses Ctrl-C twice,
 * or cannot ask any more, ends this program. */
static void cancel(void *ctx)
{
    struct stasis_ctl_save *save = ctx;
    struct signalfd_siginfo info;

    if (read(save->ops.fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return;
    set_blocked(false);
    if (stasis_control_remote_ask(save->remote, "cancel", json_pack("{s:s}", "of", "own"), NULL))
        (void)raise(SIGINT);
}

/* A shell has a program in the background ignore it. */
static bool is_ignored(void)
{
    struct sigaction now;

    return !sigaction(SIGINT, NULL, &now) && now.sa_handler == SIG_IGN;
}

static void watch_interrupt(struct stasis_ctl_save *save)
{
    sigset_t set;

    if (is_ignored())
        return;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    save->ops.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    set_blocked(save->ops.fd >= 0);
}

/* A server that has closed the connection takes no request, but its answer can be read. */
void stasis_ctl_save_begin(struct stasis_ctl_save *save, struct stasis_control_remote *remote)
{
    *save = (struct stasis_ctl_save){
        .remote = remote, .ops = {.ctx = save, .event = show_progress, .fd = -1, .ready = cancel}};
    watch_interrupt(save);
    stasis_progress_init(&save->progress, "vmm: saving");
    if (save->progress.terminal)
        (void)!stasis_control_remote_ask(remote, "subscribe", NULL, NULL);
    stasis_control_remote_watch(remote, &save->ops);
}

void stasis_ctl_save_end(struct stasis_ctl_save *save)
{
    stasis_control_remote_watch(save->remote, NULL);
    stasis_progress_clear(&save->progress);
    if (save->ops.fd < 0)
        return;
    set_blocked(false); /* pressed too late, it ends this program */
    close(save->ops.fd);
}
