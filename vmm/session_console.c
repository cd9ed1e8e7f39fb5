/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What devices need of the outside (device.h), and the terminal. The host_* functions run under
 * the machine's lock and may not call a device.
 */
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/clock.h"
#include "vmm/session_internal.h"

void stasis_session_wake(struct stasis_session *session)
{
    uint64_t one = 1;

    /* Cannot fail: the counter is far from full. */
    (void)!write(session->wake_source.fd, &one, sizeof(one));
}

/* ---- output ---- */

static size_t host_serial_tx(void *ctx, const uint8_t *bytes, size_t len)
{
    struct stasis_session *session = ctx;
    size_t taken = stasis_serial_out_write(session->out, bytes, len);

    /* A sink that cannot be watched would hold the guest's output for ever: drop instead. */
    if (taken < len && stasis_loop_arm(&session->loop, &session->output_source, EPOLLOUT, NULL))
        taken = len;
    if (session->match_active && stasis_match_feed(&session->match, bytes, taken)) {
        session->match_active = false;
        atomic_store(&session->snapshot_wanted, true);
        stasis_session_wake(session);
    }
    return taken;
}

static void on_output(void *ctx, uint32_t events)
{
    struct stasis_session *session = ctx;

    (void)events;
    pthread_mutex_lock(&session->machine.lock);
    stasis_device_serial_drain(&session->machine); /* arms again if it is still busy */
    pthread_mutex_unlock(&session->machine.lock);
}

/* ---- input ---- */

/* Where the next bytes go, and how many may come: for a terminal all that can be kept, else what
 * the device takes at once, so that no byte is taken from a pipe before the guest wants it. */
static size_t input_room(struct stasis_session *session)
{
    size_t room = STASIS_TYPE_AHEAD - session->typed_len;

    if (!session->input.is_terminal)
        room = stasis_device_serial_room(&session->machine);
    return room < STASIS_TYPE_AHEAD ? room : STASIS_TYPE_AHEAD;
}

static void arm_input(struct stasis_session *session)
{
    bool wanted = session->input.is_terminal || input_room(session);

    /* Fails only for a descriptor that is no good: then there is no input, and the guest goes on.
     */
    if (session->input_open && wanted)
        session->input_open =
            stasis_loop_arm(&session->loop, &session->input_source, EPOLLIN, NULL) == 0;
}

static void push_typed(struct stasis_session *session)
{
    size_t room = stasis_device_serial_room(&session->machine);
    size_t len = session->typed_len < room ? session->typed_len : room;

    if (!len)
        return;
    stasis_device_serial_input(&session->machine, session->typed, len);
    session->typed_len -= len;
    memmove(session->typed, session->typed + len, session->typed_len);
}

void stasis_session_push_input(struct stasis_session *session)
{
    pthread_mutex_lock(&session->machine.lock);
    push_typed(session);
    arm_input(session);
    pthread_mutex_unlock(&session->machine.lock);
}

static void host_serial_rx_ready(void *ctx)
{
    stasis_session_wake(ctx);
}

static void obey(struct stasis_session *session, unsigned commands)
{
    if (commands & STASIS_CONSOLE_HELP)
        (void)!write(STDERR_FILENO, stasis_console_help, strlen(stasis_console_help));
    if (commands & STASIS_CONSOLE_SNAPSHOT)
        stasis_session_snapshot(session);
    if (commands & STASIS_CONSOLE_QUIT)
        stasis_loop_stop(&session->loop);
}

static void on_input(void *ctx, uint32_t events)
{
    struct stasis_session *session = ctx;
    uint8_t overflow[64];
    unsigned commands = 0;
    size_t room, len = 0;

    (void)events;
    pthread_mutex_lock(&session->machine.lock);
    room = input_room(session);
    if (room) {
        session->input_open = stasis_console_read(
            &session->input, session->typed + session->typed_len, room, &len, &commands);
        session->typed_len += len;
        push_typed(session);
    } else if (session->input.is_terminal) {
        /* Nobody listens and the type-ahead is full: keys are lost, but commands are not. */
        session->input_open =
            stasis_console_read(&session->input, overflow, sizeof(overflow), &len, &commands);
    }
    arm_input(session);
    pthread_mutex_unlock(&session->machine.lock);
    obey(session, commands);
}

/* Standard input belongs to the guest only where standard output does, and no snapshot comes in
 * there: a vmm in the background must not be stopped for touching its terminal. */
static bool has_input(const struct stasis_options *options)
{
    bool streamed = options->restore_path && !strcmp(options->restore_path, STASIS_CLI_STREAM);

    return options->serial.kind == STASIS_SERIAL_OUT_STDIO && !streamed;
}

void stasis_session_console_init(struct stasis_session *session)
{
    session->output_source = (struct stasis_loop_source){
        .fd = stasis_serial_out_fd(session->out), .ready = on_output, .ctx = session};
    session->input_source =
        (struct stasis_loop_source){.fd = STDIN_FILENO, .ready = on_input, .ctx = session};
}

int stasis_session_console_open(struct stasis_session *session, struct stasis_error *err)
{
    int rc;

    if (!has_input(session->options))
        return 0;
    stasis_console_input_init(&session->input, STDIN_FILENO);
    rc = stasis_console_raw(STDIN_FILENO, err);
    if (rc)
        return rc;
    session->input_open = true;
    stasis_session_push_input(session);
    return 0;
}

/* ---- clocks ---- */

static uint64_t host_rtc_now(void *ctx)
{
    (void)ctx;
    return stasis_realtime_ns();
}

static void host_rtc_arm(void *ctx, bool on, uint64_t deadline_ns)
{
    const struct stasis_session *session = ctx;
    struct itimerspec when = {.it_value = {.tv_sec = 0}};

    if (on) {
        when.it_value.tv_sec = (time_t)(deadline_ns / 1000000000);
        when.it_value.tv_nsec = (long)(deadline_ns % 1000000000);
        if (!deadline_ns)
            when.it_value.tv_nsec = 1; /* all zero would disarm it */
    }
    (void)timerfd_settime(session->rtc_source.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

const struct stasis_device_host stasis_session_host = {
    .serial_tx = host_serial_tx,
    .serial_rx_ready = host_serial_rx_ready,
    .rtc_now_ns = host_rtc_now,
    .rtc_arm = host_rtc_arm,
};
