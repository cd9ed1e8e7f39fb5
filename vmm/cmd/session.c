/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The main thread runs the event loop; vCPU threads reach it through the machine's lock (devices
 * call the host_* functions below under it) and through descriptors.
 */
#include "vmm/cmd/session.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/machine/board.h"
#include "vmm/base/clock.h"
#include "vmm/cmd/say.h"
#include "vmm/cmd/session_internal.h"
#include "vmm/snapshot/thaw.h"
#include "vmm/arch/arch.h"
#include "vmm/boot/boot.h"
#include "vmm/snapshot/ram_failure.h"

/* How long the end of the VM waits for a slow reader of the last output. */
#define LAST_OUTPUT_MS 2000

/* ---- events ---- */

static void drain_counter(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
}

/* Descriptors of our own can always be armed again. */
static void rearm(struct stasis_session *session, struct stasis_loop_source *source)
{
    (void)!stasis_loop_arm(&session->loop, source, EPOLLIN, NULL);
}

static void on_end(void *ctx, uint32_t events)
{
    struct stasis_session *session = ctx;

    (void)events;
    stasis_loop_stop(&session->loop);
}

static void on_signal(void *ctx, uint32_t events)
{
    struct stasis_session *session = ctx;
    struct signalfd_siginfo info;

    (void)events;
    if (read(session->signal_source.fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGUSR1) {
            stasis_session_snapshot(session);
        } else {
            session->killed_by = (int)info.ssi_signo;
            stasis_loop_stop(&session->loop);
        }
    }
    rearm(session, &session->signal_source);
}

static void on_wake(void *ctx, uint32_t events)
{
    struct stasis_session *session = ctx;

    (void)events;
    drain_counter(session->wake_source.fd);
    stasis_session_push_input(session);
    if (atomic_exchange(&session->snapshot_wanted, false))
        stasis_session_snapshot(session);
    rearm(session, &session->wake_source);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct stasis_session *session = ctx;

    (void)events;
    drain_counter(session->timer_source.fd);
    stasis_session_snapshot(session);
    rearm(session, &session->timer_source);
}

static void on_rtc(void *ctx, uint32_t events)
{
    struct stasis_session *session = ctx;

    (void)events;
    drain_counter(session->rtc_source.fd);
    pthread_mutex_lock(&session->machine.lock);
    stasis_device_pl031_alarm(session->rtc);
    pthread_mutex_unlock(&session->machine.lock);
    rearm(session, &session->rtc_source);
}

/* ---- set-up ---- */

static int add_source(struct stasis_session *session, struct stasis_loop_source *source, int fd,
                      void (*ready)(void *, uint32_t), const char *name, struct stasis_error *err)
{
    *source = (struct stasis_loop_source){.fd = fd, .ready = ready, .ctx = session};
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot make a %s", name);
    return stasis_loop_arm(&session->loop, source, EPOLLIN, err);
}

/* Less what whoever started us has ignored, as nohup does: a blocked signal would come through. */
static sigset_t ending_signals(void)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction now;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!sigaction(all[i], NULL, &now) && now.sa_handler != SIG_IGN)
            sigaddset(&set, all[i]);
    }
    return set;
}

void stasis_session_hold_signals(bool hold)
{
    sigset_t set = ending_signals();

    pthread_sigmask(hold ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/* Blocked in every thread and read from a descriptor: no handler, no race. SIGUSR1 from the start:
 * one that comes early waits for the guest. Those that end the process only while the loop runs. */
static int open_signals(void)
{
    sigset_t set = ending_signals(), early;

    sigemptyset(&early);
    sigaddset(&early, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &early, NULL);
    sigaddset(&set, SIGUSR1);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int open_sources(struct stasis_session *session, struct stasis_error *err)
{
    int rc = stasis_loop_init(&session->loop, err);

    if (rc)
        return rc;
    session->loop_ready = true;
    rc = add_source(session, &session->signal_source, open_signals(), on_signal, "signalfd", err);
    if (!rc)
        rc = add_source(session, &session->wake_source, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                        on_wake, "eventfd", err);
    if (!rc)
        rc = add_source(session, &session->timer_source,
                        timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), on_timer,
                        "timerfd", err);
    if (!rc)
        rc = add_source(session, &session->rtc_source,
                        timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK), on_rtc,
                        "timerfd", err);
    return rc;
}

static int prepare(struct stasis_session *session, struct stasis_error *err)
{
    const struct stasis_options *options = session->options;
    int rc = stasis_session_outputs_open(session, err);

    if (!rc)
        rc = open_sources(session, err);
    if (!rc && options->snapshot_on_output) {
        rc = stasis_match_init(&session->match, options->snapshot_on_output,
                               strlen(options->snapshot_on_output), err);
        session->match_active = true;
    }
    return rc;
}

static int open_output(struct stasis_session *session, struct stasis_error *err)
{
    struct stasis_serial_sink_options serial = session->options->serial;
    int rc;

    serial.outputs = session->outputs;
    rc = stasis_serial_sink_open(&serial, &session->out, err);

    if (!rc)
        stasis_session_console_init(session);
    return rc;
}

/* ---- the guest: new or thawed ---- */

static int boot(struct stasis_session *session, struct stasis_error *err)
{
    const struct stasis_options *options = session->options;
    struct stasis_machine *machine = &session->machine;
    const struct stasis_board_options board_options = {
        .memory_bytes = options->memory_mib << 20,
        .vcpus = (uint32_t)options->vcpus,
        .cpu_model = options->cpu == STASIS_CLI_CPU_BASELINE ? "baseline" : "host",
        .release = options->board_release,
    };
    const struct stasis_boot_options boot_options = {
        .kernel_path = options->kernel_path,
        .initrd_path = options->initrd_path,
        .cmdline = options->kernel_cmdline,
        .load_addr = options->kernel_load_addr,
    };
    struct stasis_board_state board;
    struct stasis_arch_entry entry;
    int rc = stasis_board_default(&board_options, &board, err);

    if (!rc)
        rc = stasis_machine_build(machine, &board, &session->host, err);
    if (rc)
        return rc;
    session->machine_ready = true;
    rc = stasis_boot_load(&machine->memory, &machine->board, &boot_options, &entry, err);
    if (!rc)
        rc = stasis_arch_vcpu_start(&machine->vcpus[0], &machine->board, &entry, err);
    /* Last: it may empty a file, which a mistyped option above must not cost. */
    return rc ? rc : open_output(session, err);
}

/* Kinds that a newer release added, and made so that an older one may do without. */
static void say_skipped(const char *path, struct stasis_snap *snap)
{
    const struct stasis_records *records = stasis_snap_records(snap);

    for (size_t i = 0; i < stasis_records_count(records); i++) {
        struct stasis_record record = stasis_records_at(records, i);

        if (!record.schema)
            stasis_say("%s: warning: record %s %s is unknown to this release, and skipped: %s "
                       "wrote it as optional",
                       path, record.type, record.instance, stasis_snap_info(snap)->producer);
    }
}

static void say_reason(const char *path, const struct stasis_ram *ram)
{
    if (stasis_ram_reason(ram))
        stasis_say("%s: %s", path, stasis_ram_reason(ram));
}

static int thaw(struct stasis_session *session, struct stasis_error *err)
{
    const struct stasis_options *options = session->options;
    const struct stasis_thaw_options thaw_options = {
        .clock = options->restore_clock == STASIS_CLI_CLOCK_ADVANCE ? STASIS_CLOCK_ADVANCE
                                                                    : STASIS_CLOCK_CONTINUE,
        .allow_tsc = options->allow_tsc,
        .memory = options->restore_memory,
        .no_background = options->restore_background == STASIS_CLI_BACKGROUND_OFF,
    };
    const char *path = options->restore_path;
    uint64_t start = stasis_monotonic_us();
    struct stasis_snap *snap = NULL;
    int rc = stasis_session_restore_open(session, &snap, err);

    /* Before the devices are restored: one may hold bytes that the sink did not take in time. */
    if (!rc)
        rc = open_output(session, err);
    /* KVM reads guest memory in some of the calls to come. */
    stasis_ram_failure_catch(&session->machine);
    if (!rc)
        rc = stasis_thaw(&session->machine, snap, &thaw_options, &session->host, err);
    if (!rc)
        say_skipped(path, snap);
    stasis_snap_free(snap);
    if (rc)
        return rc;
    session->machine_ready = true;
    say_reason(path, stasis_ram_failure_ram(&session->machine));
    stasis_say("thawed %s in %" PRIu64 " ms: generation %" PRIu64 ", %" PRIu64 " MiB of RAM", path,
               (stasis_monotonic_us() - start) / 1000, session->machine.generation,
               stasis_memory_size(&session->machine.memory) >> 20);
    return 0;
}

/* ---- running and ending ---- */

static void arm_snapshot_timer(struct stasis_session *session)
{
    uint64_t ms = session->options->snapshot_after_ms;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000}};

    if (!session->options->snapshot_timed)
        return;
    if (!ms)
        when.it_value.tv_nsec = 1;
    (void)timerfd_settime(session->timer_source.fd, 0, &when, NULL);
}

static int run(struct stasis_session *session, struct stasis_error *err)
{
    uint64_t loaded_us = stasis_monotonic_us();
    int rc =
        add_source(session, &session->end_source, session->machine.end_fd, on_end, "eventfd", err);

    /* Before the console, which hands on faults that are not guest memory's. */
    stasis_ram_failure_restore();
    if (!rc)
        rc = stasis_session_console_open(session, err);
    if (!rc && stasis_ram_failure_ram(&session->machine))
        stasis_ram_failure_catch(&session->machine);
    if (!rc)
        rc = stasis_machine_start(&session->machine, err);
    if (rc)
        return rc;
    session->metrics.loaded_us = loaded_us;
    arm_snapshot_timer(session);
    stasis_session_hold_signals(true);
    return stasis_loop_run(&session->loop, err);
}

/* What the guest had sent when it ended is shown; after a freeze it is in the snapshot. */
static void last_output(struct stasis_session *session)
{
    uint8_t unsent[64];
    size_t len =
        stasis_device_serial_unsent(stasis_session_serial(session), unsent, sizeof(unsent));

    if (len && !session->frozen && !session->killed_by)
        (void)stasis_serial_sink_drain(session->out, unsent, len, LAST_OUTPUT_MS);
}

static int end_status(struct stasis_session *session)
{
    if (atomic_load(&session->machine.end) == STASIS_END_CRASHED && !session->frozen)
        return stasis_say_error(&session->machine.end_error);
    return session->save_status;
}

static int write_metrics(struct stasis_session *session, struct stasis_error *err)
{
    session->metrics.first_instruction_us = atomic_load(&session->machine.first_run_us);
    return stasis_metrics_write(&session->metrics, stasis_ram_failure_ram(&session->machine),
                                session->metrics_file, err);
}

static void close_source(struct stasis_session *session, struct stasis_loop_source *source)
{
    stasis_loop_remove(&session->loop, source);
    if (source->fd >= 0)
        close(source->fd);
}

static void fini(struct stasis_session *session)
{
    char summary[256];

    if (session->loop_ready) {
        stasis_loop_remove(&session->loop, &session->end_source);
        stasis_loop_remove(&session->loop, &session->input_source);
        stasis_loop_remove(&session->loop, &session->output_source);
    }
    if (session->machine_ready)
        stasis_machine_fini(&session->machine);
    stasis_ram_failure_restore();
    if (session->out && stasis_serial_sink_summary(session->out, summary, sizeof(summary)))
        stasis_say("%s", summary);
    stasis_serial_sink_close(session->out);
    stasis_session_outputs_close(session);
    stasis_keys_input_fini(&session->input);
    if (session->loop_ready) {
        close_source(session, &session->signal_source);
        close_source(session, &session->wake_source);
        close_source(session, &session->timer_source);
        close_source(session, &session->rtc_source);
        stasis_loop_fini(&session->loop);
    }
    stasis_terminal_restore();
}

/* The parent is to see the signal, as of a program that does not catch it. */
static void die_by(int signo)
{
    sigset_t set;

    (void)signal(signo, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signo);
    raise(signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

int stasis_session_run(const struct stasis_options *options, uint64_t start_us)
{
    struct stasis_session *session = calloc(1, sizeof(*session));
    struct stasis_error err;
    int rc, status, killed_by;

    if (!session) {
        (void)stasis_fail(&err, STASIS_ERR_NOMEM, "no memory for a session");
        return stasis_say_error(&err);
    }
    session->options = options;
    session->metrics.start_us = start_us;
    session->signal_source.fd = session->wake_source.fd = -1;
    session->timer_source.fd = session->rtc_source.fd = -1;
    session->host = stasis_session_host;
    session->host.ctx = session;
    rc = prepare(session, &err);
    if (!rc)
        rc = options->restore_path ? thaw(session, &err) : boot(session, &err);
    if (!rc)
        rc = run(session, &err);
    if (!rc) {
        stasis_machine_pause(&session->machine);
        last_output(session);
        status = end_status(session);
        if (options->metrics_path)
            rc = write_metrics(session, &err);
    }
    if (rc) {
        status = stasis_say_error(&err);
    }
    killed_by = session->killed_by;
    fini(session);
    free(session);
    if (killed_by)
        die_by(killed_by);
    return status;
}
