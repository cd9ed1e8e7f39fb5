/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What devices need of the outside (device.h), and the terminal. The host_* functions run under
 * the machine's lock and may not call a device.
 */
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/api/vmm_internal.h"

void stasis_session_wake(struct stasis_session *session)
{
    uint64_t one = 1;

    /* Cannot fail: the counter is far from full. */
    (void)!write(session->wake_source.fd, &one, sizeof(one));
}

/* ---- output ---- */

struct stasis_device *stasis_session_serial(struct stasis_session *session)
{
    return stasis_device_find(&session->machine.devices, &stasis_serial_schema, "com1");
}

/* The vCPU that prints the last byte of the text stops with it, before it can do anything else, and
 * waits for the loop to take the snapshot. */
void stasis_session_printed(struct stasis_session *session, const uint8_t *bytes, size_t len)
{
    if (!session->match_active || !stasis_match_feed(&session->match, bytes, len))
        return;
    session->match_active = false;
    atomic_store(&session->matched, true);
    stasis_machine_request_pause(&session->machine);
    stasis_session_wake(session);
}

static size_t host_serial_tx(void *ctx, const struct stasis_device *from, const uint8_t *bytes,
                             size_t len)
{
    struct stasis_session *session = ctx;
    size_t taken = stasis_serial_sink_write(session->out, bytes, len);

    (void)from;
    /* A sink that cannot be watched would hold the guest's output for ever: drop instead. */
    if (taken < len && stasis_loop_arm(&session->loop, &session->output_source, EPOLLOUT, NULL))
        taken = len;
    stasis_session_printed(session, bytes, taken);
    return taken;
}

static void on_output(void *ctx, uint32_t events)
{
    struct stasis_session *session = ctx;

    (void)events;
    pthread_mutex_lock(&session->machine.lock);
    stasis_device_serial_drain(stasis_session_serial(session)); /* arms again if it is still busy */
    pthread_mutex_unlock(&session->machine.lock);
}

/* ---- input ---- */

/* Gives the guest what it has room for; what a terminal typed ahead waits in session->input. Armed
 * again only while bytes can be put somewhere: a pipe's wait for the guest. */
static void feed_guest(struct stasis_session *session)
{
    uint8_t bytes[64];
    size_t room, len;
    bool more;

    pthread_mutex_lock(&session->machine.lock);
    room = stasis_device_serial_room(stasis_session_serial(session));
    more = stasis_keys_read(&session->input, bytes, room < sizeof(bytes) ? room : sizeof(bytes),
                            &len, &session->commands);
    if (len)
        stasis_device_serial_input(stasis_session_serial(session), bytes, len);
    /* Fails only for a descriptor that is no good: then there is no input, and the guest goes on.
     */
    if (more && (session->input.is_terminal || len < room))
        (void)!stasis_loop_arm(&session->loop, &session->input_source, EPOLLIN, NULL);
    pthread_mutex_unlock(&session->machine.lock);
}

static void host_serial_rx_ready(void *ctx, const struct stasis_device *from)
{
    (void)from;
    stasis_session_wake(ctx);
}

void stasis_session_push_input(struct stasis_session *session)
{
    if (session->has_input)
        feed_guest(session);
    stasis_session_run_commands(session);
}

static void on_input(void *ctx, uint32_t events)
{
    (void)events;
    stasis_session_push_input(ctx);
}

/* Standard input belongs to the guest only where standard output does, and no snapshot comes in
 * there: a vmm in the background must not be stopped for touching its terminal. */
static bool has_input(const struct stasis_options *options)
{
    bool streamed = options->restore_path && !strcmp(options->restore_path, STASIS_CLI_STREAM);

    return options->serial.kind == STASIS_SERIAL_SINK_STDIO && !streamed;
}

void stasis_session_console_init(struct stasis_session *session)
{
    session->output_source = (struct stasis_loop_source){
        .fd = stasis_serial_sink_fd(session->out), .ready = on_output, .ctx = session};
    session->input_source =
        (struct stasis_loop_source){.fd = STDIN_FILENO, .ready = on_input, .ctx = session};
}

int stasis_session_console_open(struct stasis_session *session, struct stasis_error *err)
{
    int rc;

    if (!has_input(session->options))
        return 0;
    stasis_keys_input_init(&session->input, STDIN_FILENO);
    rc = stasis_terminal_raw(STDIN_FILENO, err);
    if (rc)
        return rc;
    session->has_input = true;
    feed_guest(session);
    stasis_session_wake(session); /* commands wait for the loop */
    return 0;
}

/* ---- clocks ---- */

static uint64_t host_rtc_now(void *ctx)
{
    (void)ctx;
    return stasis_realtime_ns();
}

static void host_rtc_arm(void *ctx, const struct stasis_device *from, bool on, uint64_t deadline_ns)
{
    struct stasis_session *session = ctx;
    struct itimerspec when = {.it_value = {.tv_sec = 0}};

    session->rtc =
        stasis_device_find(&session->machine.devices, from->type->schema, from->row->instance);
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
