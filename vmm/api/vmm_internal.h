/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of a session: session.c (life and events), session_console.c (what devices need of the
 * outside: terminal, serial output, clocks), session_snapshot.c (freezing).
 */
#ifndef STASIS_VMM_SESSION_INTERNAL_H
#define STASIS_VMM_SESSION_INTERNAL_H

#include <stdatomic.h>

#include "vmm/host/terminal.h"
#include "vmm/host/loop.h"
#include "vmm/machine/machine.h"
#include "vmm/host/match.h"
#include "vmm/api/metrics.h"
#include "vmm/cmd/session.h"

struct stasis_session {
    const struct stasis_options *options;
    struct stasis_machine machine;
    struct stasis_device_host host;
    struct stasis_loop loop;
    bool loop_ready, machine_ready;

    struct stasis_loop_source end_source;    /* the guest has ended */
    struct stasis_loop_source signal_source; /* signalfd */
    struct stasis_loop_source wake_source;   /* a vCPU thread has work for the loop */
    struct stasis_loop_source timer_source;  /* after_ms */
    struct stasis_loop_source rtc_source;    /* the RTC's alarm */
    struct stasis_loop_source input_source, output_source;

    /* Under the machine's lock. */
    struct stasis_serial_sink *out;
    struct stasis_match match;
    bool match_active;

    struct stasis_device *rtc; /* whose alarm is armed */

    bool has_input;
    struct stasis_keys_input input;
    struct stasis_metrics metrics;
    struct stasis_keys_queue commands; /* by keys, signals and the options, not yet run */
    _Atomic bool matched;              /* the guest has printed on_output; not yet a command */
    bool timer_pending;                /* after_ms has not passed */
    bool saving;                       /* a snapshot is being written */
    bool quit;                         /* by key */
    bool frozen;                       /* saved, and the process is to end */
    int save_status; /* exit status that the last save deserves, 0 if it went well */
    int killed_by;   /* signal that ends the process, or 0 */
};

/* session_commands.c. Loop thread. Collects what keys and signals have asked for since: commands
 * for the queue, or the end of the process by a signal. */
void stasis_session_take_requests(struct stasis_session *session);
/* The same of signals only. */
void stasis_session_take_signals(struct stasis_session *session);
/* The same while a snapshot is saved. False: the save is to be given up. */
bool stasis_session_may_go_on(struct stasis_session *session);
/* Runs what is in the queue, in order. */
void stasis_session_run_commands(struct stasis_session *session);

/* The serial port that the terminal is connected to, or NULL. */
struct stasis_device *stasis_session_serial(struct stasis_session *session);

/* session_console.c: the operations for devices, to be given the session as ctx. */
extern const struct stasis_device_host stasis_session_host;

/* Prepares the console's sources; begins to watch standard input, once there is a machine. */
void stasis_session_console_init(struct stasis_session *session);
STASIS_MUST_CHECK int stasis_session_console_open(struct stasis_session *session,
                                                  struct stasis_error *err);

/* Gives the guest what was typed ahead, as far as it has room, and runs the commands. Loop thread.
 */
void stasis_session_push_input(struct stasis_session *session);

/* The guest has printed these bytes. Under the machine's lock, or when no vCPU runs. */
void stasis_session_printed(struct stasis_session *session, const uint8_t *bytes, size_t len);

/* Has the loop do its work soon. Any thread. */
void stasis_session_wake(struct stasis_session *session);

/* session_snapshot.c: freezes the guest as the options say. Loop thread. A failure is reported,
 * and the guest goes on. */
void stasis_session_snapshot(struct stasis_session *session);

#endif
