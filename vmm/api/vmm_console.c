/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What devices need of the outside (device.h), and the terminal. The host_* functions run under
 * the machine's lock and may not call a device.
 */
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/base/clock.h"
#include "vmm/api/vmm_internal.h"

/* The serial port that the terminal is connected to. */
#define CONSOLE_PORT "com1"

/* ---- output ---- */

struct stasis_device *stasis_vmm_console_port(struct stasis_vmm *vmm)
{
    return stasis_device_find(&vmm->machine.devices, &stasis_serial_schema, CONSOLE_PORT);
}

static bool is_of(const struct stasis_board_device_state *device,
                  const struct stasis_schema *schema)
{
    return strcmp(device->type, schema->type) == 0;
}

int stasis_vmm_console_check_board(const struct stasis_board_state *board, struct stasis_error *err)
{
    uint32_t rtcs = 0;

    for (uint32_t i = 0; i < board->devices_count; i++) {
        const struct stasis_board_device_state *device = &board->devices[i];
        bool is_port = is_of(device, &stasis_serial_schema);

        rtcs += is_of(device, &stasis_pl031_schema) || is_of(device, &stasis_mc146818_schema);
        if ((is_port && strcmp(device->instance, CONSOLE_PORT) != 0) || rtcs > 1)
            return stasis_fail(err, STASIS_ERR_VERSION,
                               "the board has a second %s, \"%s\", and this release serves one",
                               is_port ? "serial port" : "real-time clock", device->instance);
    }
    return 0;
}

static size_t write_and_match(void *ctx, const uint8_t *bytes, size_t len)
{
    struct stasis_vmm *vmm = ctx;
    size_t taken = stasis_serial_sink_write(vmm->out, bytes, len);

    stasis_vmm_console_printed(vmm, bytes, taken);
    return taken;
}

/* Straight to the sink, unless a text is looked for. */
static void connect_output(struct stasis_vmm *vmm)
{
    if (vmm->match_active || vmm->config->on_crash.panic_text == STASIS_VMM_PANIC_TEXT_ON)
        vmm->host.serial_out = (struct stasis_device_output){write_and_match, vmm};
    else
        vmm->host.serial_out =
            (struct stasis_device_output){stasis_serial_sink_writer(vmm->out), vmm->out};
}

/* The vCPU that prints the last byte of the text stops with it, before it can do anything else, and
 * waits for the loop to take the snapshot. */
void stasis_vmm_console_printed(struct stasis_vmm *vmm, const uint8_t *bytes, size_t len)
{
    if (vmm->config->on_crash.panic_text == STASIS_VMM_PANIC_TEXT_ON &&
        stasis_panic_text_feed(&vmm->panic_text, bytes, len))
        stasis_vmm_panicked(vmm);
    if (!vmm->match_active || !stasis_match_feed(&vmm->match, bytes, len))
        return;
    vmm->match_active = false;
    connect_output(vmm);
    atomic_store(&vmm->matched, true);
    stasis_machine_request_pause(&vmm->machine);
    stasis_vmm_wake(vmm);
}

static bool watch_output(void *ctx)
{
    struct stasis_vmm *vmm = ctx;

    return !stasis_vmm_source_arm(&vmm->output_source, EPOLLOUT, NULL);
}

/* What waits in the port while the guest is saved is in the snapshot. */
static void on_output(struct stasis_vmm *vmm)
{
    bool gone;

    pthread_mutex_lock(&vmm->machine.lock);
    if (!vmm->job)
        stasis_device_serial_drain(stasis_vmm_console_port(vmm)); /* arms again if still busy */
    gone = stasis_serial_sink_is_gone(vmm->out) && !vmm->told_gone;
    pthread_mutex_unlock(&vmm->machine.lock);
    if (!gone)
        return;
    vmm->told_gone = true;
    stasis_vmm_say(vmm, "nobody reads standard output any more; the guest runs on, and what it "
                        "prints is dropped");
}

/* ---- input ---- */

/* Gives the guest what it has room for; what a terminal typed ahead waits in vmm->input. Armed
 * again only while bytes can be put somewhere: a pipe's wait for the guest. */
static void feed_guest(struct stasis_vmm *vmm)
{
    uint8_t bytes[64];
    size_t room, len;
    bool more;

    pthread_mutex_lock(&vmm->machine.lock);
    room = stasis_device_serial_room(stasis_vmm_console_port(vmm));
    more = stasis_keys_read(&vmm->input, bytes, room < sizeof(bytes) ? room : sizeof(bytes), &len,
                            &vmm->commands);
    if (len)
        stasis_device_serial_input(stasis_vmm_console_port(vmm), bytes, len);
    /* Fails only for a descriptor that is no good: then there is no input, and the guest continues.
     */
    if (more && (vmm->input.is_terminal || len < room))
        (void)!stasis_vmm_source_arm(&vmm->input_source, EPOLLIN, NULL);
    pthread_mutex_unlock(&vmm->machine.lock);
}

static void host_serial_rx_ready(void *ctx, const struct stasis_device *from)
{
    (void)from;
    stasis_vmm_wake(ctx);
}

void stasis_vmm_console_push_input(struct stasis_vmm *vmm)
{
    if (vmm->has_input)
        feed_guest(vmm);
}

/* A guest that is saved listens afterwards; what calls the save off is heard. */
static void on_input(struct stasis_vmm *vmm)
{
    if (!vmm->job)
        feed_guest(vmm);
    else if (stasis_vmm_take_keys(vmm))
        (void)!stasis_vmm_source_arm(&vmm->input_source, EPOLLIN, NULL);
    stasis_vmm_run_commands(vmm);
}

/* Standard input belongs to the guest only where standard output does, and no snapshot comes in
 * there: a vmm in the background must not be stopped for touching its terminal. */
static bool has_input(const struct stasis_vmm_config *config)
{
    return config->serial.kind == STASIS_VMM_SERIAL_STDIO &&
           !stasis_config_thaws_from_stream(config);
}

/* Standard input and output, and the terminal, are one VM's at a time. */
static _Atomic bool stdio_is_taken;

static int take_stdio(struct stasis_vmm *vmm, struct stasis_error *err)
{
    if (atomic_exchange(&stdio_is_taken, true))
        return stasis_fail(err, STASIS_ERR_STATE,
                           "standard input and output serve another VM of this process; connect "
                           "the serial port otherwise (serial.kind)");
    vmm->has_stdio = true;
    return 0;
}

void stasis_vmm_console_close(struct stasis_vmm *vmm)
{
    if (!vmm->has_stdio)
        return;
    stasis_terminal_close();
    atomic_store(&stdio_is_taken, false);
}

int stasis_vmm_console_open_output(struct stasis_vmm *vmm, struct stasis_error *err)
{
    struct stasis_serial_sink_options serial = stasis_config_serial(vmm->config);
    int rc = vmm->config->serial.kind == STASIS_VMM_SERIAL_STDIO ? take_stdio(vmm, err) : 0;

    if (rc)
        return rc;
    serial.outputs = vmm->outputs;
    serial.cursor = &vmm->cursor;
    serial.busy = watch_output;
    serial.busy_ctx = vmm;
    rc = stasis_serial_sink_open(&serial, &vmm->out, err);
    if (!rc)
        stasis_vmm_source_init(&vmm->output_source, vmm, stasis_serial_sink_fd(vmm->out),
                               on_output);
    return rc;
}

int stasis_vmm_console_start_output(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc = stasis_serial_sink_start(vmm->out, err);

    if (rc)
        return rc;
    pthread_mutex_lock(&vmm->machine.lock);
    connect_output(vmm);
    /* A thawed port may hold bytes that the sink of its last life did not take in time. */
    stasis_device_serial_drain(stasis_vmm_console_port(vmm));
    pthread_mutex_unlock(&vmm->machine.lock);
    return 0;
}

int stasis_vmm_console_open_input(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int rc;

    if (!has_input(vmm->config) || vmm->has_input) /* by a start that failed */
        return 0;
    stasis_vmm_source_init(&vmm->input_source, vmm, STDIN_FILENO, on_input);
    stasis_keys_input_init(&vmm->input, STDIN_FILENO);
    rc = stasis_terminal_raw(STDIN_FILENO, err);
    if (rc)
        return rc;
    vmm->has_input = true;
    feed_guest(vmm);
    stasis_vmm_wake(vmm); /* commands wait for the loop */
    return 0;
}

/* ---- clocks ---- */

static uint64_t host_rtc_now(void *ctx)
{
    (void)ctx;
    return stasis_realtime_ns();
}

/* The timer expires too when somebody sets the host's clock: the clock that counts it says then
 * when its next interrupt is, which may come sooner by as much as the clock was set back. */
static void host_rtc_arm(void *ctx, const struct stasis_device *from, bool on, uint64_t deadline_ns)
{
    struct stasis_vmm *vmm = ctx;
    struct itimerspec when = {.it_value = {.tv_sec = 0}};

    vmm->rtc = stasis_device_find(&vmm->machine.devices, from->type->schema, from->row->instance);
    if (on) {
        when.it_value.tv_sec = (time_t)(deadline_ns / 1000000000);
        when.it_value.tv_nsec = (long)(deadline_ns % 1000000000);
        if (!deadline_ns)
            when.it_value.tv_nsec = 1; /* all zero would disarm it */
    }
    (void)timerfd_settime(vmm->rtc_source.loop.fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
                          &when, NULL);
}

static void host_timer_arm(void *ctx, const struct stasis_device *from, uint64_t deadline_ns)
{
    struct stasis_vmm *vmm = ctx;

    vmm->wait_until_ns[from - vmm->machine.devices.list] = deadline_ns;
    stasis_vmm_sources_set_wait(vmm);
}

/* The kernel has enough for everybody, but early in its boot. */
static bool host_random(void *ctx, uint8_t *bytes, size_t len)
{
    (void)ctx;
    return getrandom(bytes, len, GRND_NONBLOCK) == (ssize_t)len;
}

/* Of a sink that is not started. */
static size_t take_nothing(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx, (void)bytes, (void)len;
    return 0;
}

const struct stasis_device_host stasis_vmm_device_host = {
    .serial_out = {take_nothing, NULL},
    .serial_rx_ready = host_serial_rx_ready,
    .rtc_now_ns = host_rtc_now,
    .rtc_arm = host_rtc_arm,
    .timer_arm = host_timer_arm,
    .random = host_random,
};
