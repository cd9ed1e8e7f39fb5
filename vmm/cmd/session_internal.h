/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of a session: session.c (life and events), session_console.c (what devices need of the
 * outside: terminal, serial output, clocks), session_outputs.c (files), session_snapshot.c
 * (freezing).
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

    struct stasis_outputs *outputs;      /* the files in use */
    struct stasis_output *snapshot_file; /* of --snapshot-out, or NULL */
    struct stasis_output *metrics_file;  /* of --metrics, or NULL */
    bool has_input;
    struct stasis_keys_input input;
    struct stasis_metrics metrics;
    _Atomic bool snapshot_wanted;
    bool frozen;     /* saved, and the process is to end */
    int save_status; /* exit status that the last save deserves, 0 if it went well */
    int killed_by;   /* signal that ends the process, or 0 */
};

/* session.c: whether the signals that end the process wait for the event loop, or end it at once,
 * as they must be able to while the loop does not turn for as long as somebody else pleases. */
void stasis_session_hold_signals(bool hold);

/* The serial port that the terminal is connected to, or NULL. */
struct stasis_device *stasis_session_serial(struct stasis_session *session);

/* session_outputs.c: opens what the options name, before there is a guest, so that what is wrong
 * with a path ends the program with status 2; the serial port's output is opened later. */
STASIS_MUST_CHECK int stasis_session_outputs_open(struct stasis_session *session,
                                                  struct stasis_error *err);
void stasis_session_outputs_close(struct stasis_session *session);

/* Opens the snapshot of --restore. */
STASIS_MUST_CHECK int stasis_session_restore_open(struct stasis_session *session,
                                                  struct stasis_snap **ret_snap,
                                                  struct stasis_error *err);

/* session_console.c: the operations for devices, to be given the session as ctx. */
extern const struct stasis_device_host stasis_session_host;

/* Prepares the console's sources; begins to watch standard input, once there is a machine. */
void stasis_session_console_init(struct stasis_session *session);
STASIS_MUST_CHECK int stasis_session_console_open(struct stasis_session *session,
                                                  struct stasis_error *err);

/* Gives the guest what was typed ahead, as far as it has room. Loop thread. */
void stasis_session_push_input(struct stasis_session *session);

/* The escape keys that have been typed, without giving the guest anything. Loop thread. */
unsigned stasis_session_commands(struct stasis_session *session);

/* Has the loop do its work soon. Any thread. */
void stasis_session_wake(struct stasis_session *session);

/* session_snapshot.c: freezes the guest as the options say. Loop thread. A failure is reported,
 * and the guest goes on. */
void stasis_session_snapshot(struct stasis_session *session);

#endif
