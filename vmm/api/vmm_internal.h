/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of a VM: vmm.c (its life), vmm_sources.c (events of the loop), vmm_commands.c (what the
 * user asks for), vmm_console.c (what devices need of the outside: terminal, serial output,
 * clocks), vmm_outputs.c (files), vmm_freeze.c (snapshots).
 */
#ifndef STASIS_VMM_VMM_INTERNAL_H
#define STASIS_VMM_VMM_INTERNAL_H

#include <stdatomic.h>

#include "stasis/output.h"
#include "stasis/snap.h"
#include "vmm/api/metrics.h"
#include "vmm/api/vmm.h"
#include "vmm/host/loop.h"
#include "vmm/host/match.h"
#include "vmm/host/terminal.h"
#include "vmm/machine/machine.h"

struct stasis_vmm {
    const struct stasis_config *config;
    const struct stasis_vmm_client *client;
    struct stasis_machine machine;
    uint64_t generation; /* how often the guest was frozen */
    struct stasis_device_host host;
    struct stasis_loop loop;
    bool loop_ready, machine_ready;

    struct stasis_loop_source end_source;     /* the guest has ended */
    struct stasis_loop_source request_source; /* the client's */
    struct stasis_loop_source wake_source;    /* a vCPU thread has work for the loop */
    struct stasis_loop_source timer_source;   /* after_ms */
    struct stasis_loop_source rtc_source;     /* the RTC's alarm */
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
    struct stasis_keys_queue commands; /* by keys, the client and the options, not yet run */
    _Atomic bool matched;              /* the guest has printed on_output; not yet a command */
    bool timer_pending;                /* after_ms has not passed */
    bool saving;                       /* a snapshot is being written */
    bool quit;                         /* by key */
    bool ended;                        /* by the client */
    bool crashed;                      /* the guest, before anything else ended it */
    bool frozen;                       /* saved, and the VM is to end */
    int save_code;                     /* why the last save failed, or 0 */
};

/* vmm.c: a line for the client. */
void stasis_vmm_say(const struct stasis_vmm *vmm, const char *fmt, ...) STASIS_PRINTF(2, 3);

/* vmm_metrics.c: the metrics of now as text, to be freed with free(). Loop thread. */
STASIS_MUST_CHECK int stasis_vmm_metrics_text(struct stasis_vmm *vmm,
                                              enum stasis_metrics_format format, char **ret_text,
                                              size_t *ret_len, struct stasis_error *err);

/* vmm_sources.c. open: all but the one of the guest's end, which watch_end adds once there is a
 * machine. Timers of a VM that is about to run: start_timer. */
STASIS_MUST_CHECK int stasis_vmm_sources_open(struct stasis_vmm *vmm, struct stasis_error *err);
STASIS_MUST_CHECK int stasis_vmm_sources_watch_end(struct stasis_vmm *vmm,
                                                   struct stasis_error *err);
void stasis_vmm_sources_start_timer(struct stasis_vmm *vmm);
/* Before the machine goes; and the rest. */
void stasis_vmm_sources_unwatch(struct stasis_vmm *vmm);
void stasis_vmm_sources_close(struct stasis_vmm *vmm);
/* Has the loop do its work soon. Any thread. */
void stasis_vmm_wake(struct stasis_vmm *vmm);

/* vmm_commands.c. Loop thread. Collects what the client has asked for since; and keys too, whose
 * text then waits for stasis_vmm_console_push_input(). */
void stasis_vmm_take_requests(struct stasis_vmm *vmm);

/* vmm.c. A progress: while the snapshot is read and loaded, when the loop does not run yet. */
bool stasis_vmm_keep_loading(void *ctx, uint64_t done, uint64_t total);
void stasis_vmm_take_all(struct stasis_vmm *vmm);
/* The same while a snapshot is saved. False: the save is to be given up. */
bool stasis_vmm_may_save_on(struct stasis_vmm *vmm);
/* Runs what is in the queue, in order. */
void stasis_vmm_run_commands(struct stasis_vmm *vmm);

/* vmm_console.c: the operations for devices, to be given the VM as ctx. */
extern const struct stasis_device_host stasis_vmm_device_host;

/* The serial port that the terminal is connected to, or NULL. */
struct stasis_device *stasis_vmm_console_port(struct stasis_vmm *vmm);

/* Whether this VM has something for each device of the board to be connected to: there is one
 * terminal, and one alarm clock. STASIS_ERR_VERSION names the device that would be left out. */
STASIS_MUST_CHECK int stasis_vmm_console_check_board(const struct stasis_board_state *board,
                                                     struct stasis_error *err);

/* Opens the serial output, which holds back what the guest prints until it is started, once there
 * is a machine: only then a file is emptied. Begins to watch standard input, when all else is done.
 */
STASIS_MUST_CHECK int stasis_vmm_console_open_output(struct stasis_vmm *vmm,
                                                     struct stasis_error *err);
STASIS_MUST_CHECK int stasis_vmm_console_start_output(struct stasis_vmm *vmm,
                                                      struct stasis_error *err);
STASIS_MUST_CHECK int stasis_vmm_console_open_input(struct stasis_vmm *vmm,
                                                    struct stasis_error *err);

/* Gives the guest what was typed ahead, as far as it has room. Loop thread. */
void stasis_vmm_console_push_input(struct stasis_vmm *vmm);

/* The guest has printed these bytes. Under the machine's lock, or when no vCPU runs. */
void stasis_vmm_console_printed(struct stasis_vmm *vmm, const uint8_t *bytes, size_t len);

/* vmm_outputs.c: opens what the configuration names, before there is a guest, so that what is wrong
 * with a path ends the program with status 2. */
STASIS_MUST_CHECK int stasis_vmm_outputs_open(struct stasis_vmm *vmm, struct stasis_error *err);
void stasis_vmm_outputs_close(struct stasis_vmm *vmm);
/* Opens the snapshot to restore. */
STASIS_MUST_CHECK int stasis_vmm_outputs_open_restore(struct stasis_vmm *vmm,
                                                      struct stasis_snap **ret_snap,
                                                      struct stasis_error *err);

/* vmm_freeze.c: freezes the guest as the configuration says. Loop thread. A failure is reported,
 * and the guest continues. */
void stasis_vmm_freeze(struct stasis_vmm *vmm);

#endif
