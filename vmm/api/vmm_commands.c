/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the user asks for while the guest runs, by keys and by signals: collected in one queue and
 * run from it in order, so that nothing is lost that comes while a snapshot is saved.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/cmd/signals.h"

static void take_keys(struct stasis_session *session)
{
    uint8_t none;
    size_t len;

    /* No room: keys wait, in the type-ahead, for a guest that listens again. */
    if (session->has_input && session->input.is_terminal)
        (void)!stasis_keys_read(&session->input, &none, 0, &len, &session->commands);
}

static void take_signal(struct stasis_session *session, int number)
{
    if (number == SIGUSR1) {
        stasis_keys_queue_put(&session->commands, STASIS_KEYS_SNAPSHOT);
    } else if (number == SIGINT && session->saving) {
        stasis_keys_queue_put(&session->commands, STASIS_KEYS_CANCEL);
    } else {
        session->killed_by = number;
        stasis_loop_stop(&session->loop);
    }
}

void stasis_session_take_signals(struct stasis_session *session)
{
    int number;

    while (!session->killed_by && (number = stasis_signals_read(session->signal_source.fd)))
        take_signal(session, number);
}

void stasis_session_take_requests(struct stasis_session *session)
{
    take_keys(session);
    stasis_session_take_signals(session);
}

bool stasis_session_may_go_on(struct stasis_session *session)
{
    stasis_session_take_requests(session);
    return !session->killed_by && !stasis_keys_queue_remove(&session->commands, STASIS_KEYS_CANCEL);
}

static void run_command(struct stasis_session *session, enum stasis_keys_command command)
{
    switch (command) {
    case STASIS_KEYS_HELP:
        (void)!write(STDERR_FILENO, stasis_keys_help, strlen(stasis_keys_help));
        break;
    case STASIS_KEYS_SNAPSHOT:
        stasis_session_snapshot(session);
        break;
    case STASIS_KEYS_QUIT:
        session->quit = true;
        session->commands.len = 0;
        stasis_loop_stop(&session->loop);
        break;
    case STASIS_KEYS_CANCEL: /* nothing is under way */
    case STASIS_KEYS_NONE:
        break;
    }
}

/* A save adds to the queue while it runs. The end of the guest leaves a snapshot in it. */
void stasis_session_run_commands(struct stasis_session *session)
{
    while (session->commands.len && !session->killed_by &&
           atomic_load(&session->machine.end) == STASIS_END_NONE)
        run_command(session, stasis_keys_queue_take(&session->commands));
}
