/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of a VM: vmm.c (from its configuration to its guest), vmm_life.c (start, driving,
 * end), vmm_reset.c (a reset that it outlives), vmm_crash.c (a snapshot of a crash),
 * vmm_requests.c (what its owner asks for), vmm_commands.c (what the user asks for by keys),
 * vmm_sources.c (events of the loop), vmm_watch.c (descriptors of others), vmm_console.c (what
 * devices need of the outside: terminal, serial output, clocks), vmm_disk.c, vmm_guest_errors.c,
 * vmm_layers.c, vmm_left.c (what stays when it has ended), vmm_log.c, vmm_metrics.c,
 * vmm_metrics_file.c, vmm_open.c and vmm_outputs.c (files), vmm_vsock.c (sockets), vmm_freeze.c and
 * vmm_save.c (snapshots).
 *
 * Locks: vmm->lock is taken by every public function and around every event of the loop; vCPUs and
 * the thread that saves never take it. Under it the machine's lock may be taken, not the other way
 * round.
 */
#ifndef STASIS_VMM_VMM_INTERNAL_H
#define STASIS_VMM_VMM_INTERNAL_H

#include <stdatomic.h>

#include "stasis/output.h"
#include "stasis/snap.h"
#include "stasis/vmm.h"
#include "vmm/api/config.h"
#include "vmm/api/metrics.h"
#include "vmm/api/vmm_disk.h"
#include "vmm/api/vmm_job.h"
#include "vmm/api/vmm_net.h"
#include "vmm/api/vmm_vsock.h"
#include "vmm/host/bucket.h"
#include "vmm/host/log.h"
#include "vmm/host/loop.h"
#include "vmm/host/match.h"
#include "vmm/host/panic_text.h"
#include "vmm/host/terminal.h"
#include "vmm/machine/machine.h"

/* An event source, whose handler is called with the VM locked. */
struct stasis_vmm_source {
    struct stasis_loop_source loop;
    void (*handle)(struct stasis_vmm *vmm);
    struct stasis_vmm *vmm;
    uint32_t events; /* of the report that is handled */
};

/* Messages and events of them in a second; each takes a place in the queue until the loop tells. */
#define STASIS_VMM_GUEST_ERRORS_RATE 10

/* Invalid accesses of the guest that are to be told. Under the machine's lock. */
struct stasis_vmm_alarms {
    struct stasis_bucket bucket;
    struct {
        struct stasis_guest_access access;
        uint64_t suppressed; /* that came before it */
    } queue[STASIS_VMM_GUEST_ERRORS_RATE];
    unsigned count;
    uint64_t suppressed; /* since the last in the queue */
};

/* The thread that writes the file of the metrics every so often, and takes the VM's lock to read
 * them. Whoever writes holds the lock of the file. */
struct stasis_vmm_metrics_thread {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool ready;   /* lock and stopped are */
    bool running; /* the thread is to be joined */
    bool stop;    /* it is to write no more */
    bool fails;   /* the last write did */
};

/* Files in /proc, where a save may not find them any more; 0: it opens them. */
struct stasis_vmm_proc {
    int maps;
    int pagemap;
    int cpuinfo;
};

struct stasis_vmm_job;
struct stasis_vmm_opener;
struct stasis_vmm_opening;

struct stasis_vmm {
    struct stasis_vmm_config own_config;
    const struct stasis_vmm_config *config;
    struct stasis_vmm_ops ops;
    struct stasis_boot_options boot;
    pthread_mutex_t lock; /* recursive: operations may call functions of the VM */
    struct stasis_machine machine;
    uint64_t generation; /* how often the guest was frozen */
    /* From which machine.dirty counts, while it does: the next snapshot can be a layer on it. Of
     * the thread that saves while a job is under way, else of whoever has the lock. NULL: none. */
    struct stasis_snap *base;
    struct stasis_device_host host;
    struct stasis_vmm_proc proc; /* for snapshots */
    struct stasis_vmm_disks disks;
    struct stasis_vmm_net_host net;
    struct stasis_vmm_vsock_host vsock;
    struct stasis_loop loop;
    struct stasis_cursor cursor;
    bool loop_ready, machine_ready;

    struct stasis_vmm_source end_source;   /* the guest has ended */
    struct stasis_vmm_source wake_source;  /* a thread has work for the loop */
    struct stasis_vmm_source job_source;   /* the thread that saves has something to tell */
    struct stasis_vmm_source timer_source; /* after_ms */
    struct stasis_vmm_source rtc_source;   /* the RTC's alarm */
    struct stasis_vmm_source wait_source;  /* devices that wait for a time */
    struct stasis_vmm_source input_source, output_source;
    bool told_gone;                            /* that the reader of standard output has gone */
    struct stasis_vmm_source net_source;       /* the network's descriptor */
    struct stasis_vmm_source net_timer_source; /* its next turn */
    struct stasis_vmm_source vsock_source;     /* programs that use sockets of the guest */

    /* Under the machine's lock. */
    struct stasis_serial_sink *out;
    struct stasis_match match;
    bool match_active;
    struct stasis_panic_text panic_text;

    struct stasis_vmm_alarms alarms;

    struct stasis_device *rtc; /* whose alarm is armed */
    /* CLOCK_MONOTONIC, ns, by the number of the device; 0: none. Under the machine's lock. */
    uint64_t wait_until_ns[STASIS_DEVICE_MAX];

    struct stasis_outputs *outputs; /* the files in use; the opener's, if there is one */
    struct stasis_vmm_opener *opener;
    struct stasis_vmm_opening *openings;             /* files of requests that are being opened */
    struct stasis_output *snapshot_file;             /* of snapshot.path, or NULL */
    struct stasis_output *crash_file;                /* of on_crash.snapshot, or NULL */
    struct stasis_output *metrics_file;              /* of metrics_path, or NULL */
    struct stasis_vmm_metrics_thread metrics_thread; /* of metrics_every_ms */

    bool has_kick;  /* kick_signal is taken */
    bool has_stdio; /* no other VM has */
    bool has_input;
    struct stasis_keys_input input;
    struct stasis_metrics metrics;
    struct stasis_log *log;            /* NULL: none */
    struct stasis_keys_queue commands; /* by keys, freeze() and the options, not yet run */
    _Atomic bool matched;              /* the guest has printed on_output; not yet a command */
    bool timer_pending;                /* after_ms has not passed */
    struct stasis_vmm_job *job;        /* the save or pause under way, or NULL */
    struct stasis_vmm_watch *freed;    /* that the loop's thread is to free */
    int ready_fd;                      /* to be told that the guest runs, or -1 */
    int last_output_ms;                /* how long the end waits for a slow reader */

    bool started;
    bool paused;         /* by its owner */
    bool reset;          /* the machine is to be reset, once no save is under way */
    bool saves_crash;    /* the guest is to be saved as it crashed, once no save is under way */
    bool crash_is_saved; /* it is, or crash_failure says why not */
    struct stasis_error crash_failure;
    bool stopping;       /* the end comes, once no save is under way */
    bool done;           /* it has come: `end` is set */
    bool quit;           /* by key */
    bool stopped;        /* by stasis_vmm_stop() */
    bool crashed;        /* the guest, before anything else ended it */
    bool invalid_access; /* likewise: it was stopped for one */
    bool powered_off;
    bool frozen;   /* saved, and the VM is to end */
    int save_code; /* why the last freeze of the configuration's failed, or 0 */
    struct stasis_vmm_end end;
};

/* vmm.c: for the client. */
void stasis_vmm_say(const struct stasis_vmm *vmm, const char *fmt, ...) STASIS_PRINTF(2, 3);
void stasis_vmm_tell(const struct stasis_vmm *vmm, const struct stasis_vmm_event *event);
void stasis_vmm_progress_end(const struct stasis_vmm *vmm);
STASIS_MUST_CHECK int stasis_vmm_thread_begins(const struct stasis_vmm *vmm,
                                               enum stasis_vmm_thread thread,
                                               struct stasis_error *err);

/* vmm.c: a progress, while the snapshot is read and loaded. */
bool stasis_vmm_keep_loading(void *ctx, uint64_t done, uint64_t total);

/* vmm_save.c. Only a save will miss what cannot be opened. */
void stasis_vmm_proc_open(struct stasis_vmm *vmm);
void stasis_vmm_proc_close(const struct stasis_vmm_proc *proc);

/* For a new guest, once its disks and its kernel are open; vmm_hints.c. */
void stasis_vmm_say_hints(const struct stasis_vmm *vmm);

/* vmm.c: puts the guest of the configuration into a machine that is in its reset state. */
STASIS_MUST_CHECK int stasis_vmm_load_guest(struct stasis_vmm *vmm, enum stasis_device_start start,
                                            struct stasis_error *err);

/* vmm_reset.c. Whether the guest has ended by a reset that the VM outlives; carries it out. */
bool stasis_vmm_is_reset(const struct stasis_vmm *vmm);
void stasis_vmm_carry_out_reset(struct stasis_vmm *vmm);

/* vmm_crash.c. Whether the guest has crashed and is to be saved as it is; begins that; it has come
 * to its end. What the end of the VM says of the crash. The serial port has printed the text of a
 * panic: under the machine's lock. */
bool stasis_vmm_wants_crash(const struct stasis_vmm *vmm);
void stasis_vmm_begin_crash(struct stasis_vmm *vmm);
void stasis_vmm_end_crash(struct stasis_vmm *vmm, const struct stasis_vmm_job *job);
void stasis_vmm_describe_crash(const struct stasis_vmm *vmm, struct stasis_error *ret_error);
void stasis_vmm_panicked(struct stasis_vmm *vmm);

/* vmm_life.c. Under the lock: the VM ends as soon as no save is under way; ends it if that is due,
 * after each event; how it ends, or has ended; tells that the guest runs (again). */
void stasis_vmm_stop_soon(struct stasis_vmm *vmm);
void stasis_vmm_settle(struct stasis_vmm *vmm);
struct stasis_vmm_end stasis_vmm_end_so_far(const struct stasis_vmm *vmm);
void stasis_vmm_tell_running(struct stasis_vmm *vmm);

void stasis_vmm_lock(struct stasis_vmm *vmm);
void stasis_vmm_unlock(struct stasis_vmm *vmm);

/* ---- vmm_left.c ---- */

/* Once the machine has ended: says what threads are left, and closes the disks that they do not
 * use. */
void stasis_vmm_leave_behind(struct stasis_vmm *vmm);

/* ---- vmm_log.c ---- */

STASIS_MUST_CHECK int stasis_vmm_log_open(struct stasis_vmm *vmm, struct stasis_error *err);
void stasis_vmm_log_opened(const struct stasis_vmm *vmm);
void stasis_vmm_log_event(const struct stasis_vmm *vmm, const struct stasis_vmm_event *event);

/* ---- vmm_guest_errors.c ---- */

/* Has the devices' host do what the configuration says, before there is a machine. */
void stasis_vmm_guest_errors_init(struct stasis_vmm *vmm);
/* Tells what is in the queue; at the end, what is not. Loop thread. */
void stasis_vmm_guest_errors_tell(struct stasis_vmm *vmm, bool at_end);

/* vmm_sources.c. open: all but the one of the guest's end, which watch_end adds once there is a
 * machine. Timers of a VM that is about to run: start_timer. */
STASIS_MUST_CHECK int stasis_vmm_sources_open(struct stasis_vmm *vmm, struct stasis_error *err);
STASIS_MUST_CHECK int stasis_vmm_sources_watch_end(struct stasis_vmm *vmm,
                                                   struct stasis_error *err);
void stasis_vmm_sources_unwatch_end(struct stasis_vmm *vmm);
void stasis_vmm_sources_start_timer(struct stasis_vmm *vmm);
/* Before the machine goes; and the rest. */
void stasis_vmm_sources_unwatch(struct stasis_vmm *vmm);
void stasis_vmm_sources_close(struct stasis_vmm *vmm);
/* Sets up a source without arming it; arms it for `events`. */
void stasis_vmm_source_init(struct stasis_vmm_source *source, struct stasis_vmm *vmm, int fd,
                            void (*handle)(struct stasis_vmm *vmm));
STASIS_MUST_CHECK int stasis_vmm_source_arm(struct stasis_vmm_source *source, uint32_t events,
                                            struct stasis_error *err);
/* What events would do to the guest waits while it is saved: these go on. */
void stasis_vmm_sources_release(struct stasis_vmm *vmm);
/* Devices that wait for a time wait while the guest is paused, too: they go on. */
void stasis_vmm_sources_release_waits(struct stasis_vmm *vmm);
/* Sets the timer to the earliest of wait_until_ns. Under the machine's lock. */
void stasis_vmm_sources_set_wait(struct stasis_vmm *vmm);
/* Has the loop do its work soon. Any thread. */
void stasis_vmm_wake(struct stasis_vmm *vmm);
/* The same for the thread that saves. */
void stasis_vmm_wake_job(struct stasis_vmm *vmm);

/* vmm_net_sources.c. Begins to watch the network, once there is a loop; has it work, once the guest
 * runs; has it go on after a pause; and ends it. All are harmless where there is none. */
STASIS_MUST_CHECK int stasis_vmm_net_watch(struct stasis_vmm *vmm, struct stasis_error *err);
void stasis_vmm_net_release(struct stasis_vmm *vmm);
void stasis_vmm_net_unwatch(struct stasis_vmm *vmm);

/* vmm_vsock.c. Listens, if the configuration says so, once there is a loop; has it work, once the
 * guest runs, and after a pause; and ends it. All but the first are harmless where there is none.
 * STASIS_ERR_ARG, STASIS_ERR_WRITE, STASIS_ERR_NOMEM, STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_vmm_vsock_open(struct stasis_vmm *vmm, struct stasis_error *err);
void stasis_vmm_vsock_release(struct stasis_vmm *vmm);
/* The machine is reset, under its lock. */
void stasis_vmm_vsock_guest_gone(struct stasis_vmm *vmm);
void stasis_vmm_vsock_close(struct stasis_vmm *vmm);

/* vmm_watch.c. Frees the watches that others have freed. By the loop's thread, which has none of
 * them in its hands, or when there is no loop. */
void stasis_vmm_watches_reap(struct stasis_vmm *vmm);

/* vmm_commands.c. Reads keys; text waits for stasis_vmm_console_push_input(). True: more may come.
 */
bool stasis_vmm_take_keys(struct stasis_vmm *vmm);
/* Runs what is in the queue, in order, until a save is under way: that can be called off. */
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

/* Gives standard input, output and the terminal back. */
void stasis_vmm_console_close(struct stasis_vmm *vmm);

/* Gives the guest what was typed ahead, as far as it has room. Loop thread. */
void stasis_vmm_console_push_input(struct stasis_vmm *vmm);

/* The guest has printed these bytes. Under the machine's lock, or when no vCPU runs. */
void stasis_vmm_console_printed(struct stasis_vmm *vmm, const uint8_t *bytes, size_t len);

/* ---- vmm_metrics_file.c ---- */

/* Starts the thread that writes the file, if the configuration wants one. */
STASIS_MUST_CHECK int stasis_vmm_metrics_start(struct stasis_vmm *vmm, struct stasis_error *err);
/* It writes no more; and has ended. Without the VM's lock. Harmless where there is none. */
void stasis_vmm_metrics_stop(struct stasis_vmm *vmm);
void stasis_vmm_metrics_join(struct stasis_vmm *vmm);

/* vmm_outputs.c: opens what the configuration names, before there is a guest, so that what is wrong
 * with a path ends the program with status 2. */
STASIS_MUST_CHECK int stasis_vmm_outputs_open(struct stasis_vmm *vmm, struct stasis_error *err);
void stasis_vmm_outputs_close(struct stasis_vmm *vmm);
/* Opens the snapshot to restore. */
STASIS_MUST_CHECK int stasis_vmm_outputs_open_restore(struct stasis_vmm *vmm,
                                                      struct stasis_snap **ret_snap,
                                                      struct stasis_error *err);

/* vmm_outputs.c: opens the file of a request for its job, which owns it on success; `folders` is
 * that of the operations. STASIS_ERR_ARG, STASIS_ERR_WRITE name it. */
STASIS_MUST_CHECK int stasis_vmm_outputs_open_request(struct stasis_outputs *outputs,
                                                      const struct stasis_output_folders *folders,
                                                      const struct stasis_snapshot_request *request,
                                                      struct stasis_vmm_job *job,
                                                      struct stasis_error *err);

/* ---- vmm_open.c: files that threads open ---- */

/* So many at a time, with those that nobody waits for any more. */
#define STASIS_VMM_OPENINGS_MAX 16

/* Owns vmm->outputs from here on. NULL without memory. */
struct stasis_vmm_opener *stasis_vmm_opener_new(struct stasis_vmm *vmm);
/* When all openings are given up. NULL is fine. */
void stasis_vmm_opener_leave(struct stasis_vmm_opener *opener);

/* Begins to open the file of a job, which is the opening's from here on, on failure too. The
 * descriptor is duplicated; 0: there is none. */
STASIS_MUST_CHECK int stasis_vmm_begin_open(struct stasis_vmm *vmm, struct stasis_vmm_job *job,
                                            int folder_fd, struct stasis_error *err);
/* Begins to save to a file that is open by now, unless a job is under way. */
void stasis_vmm_openings_take(struct stasis_vmm *vmm);
/* Gives up those of the request, or all of them (NULL), and tells that if it is to. False: there
 * are none. */
bool stasis_vmm_openings_give_up(struct stasis_vmm *vmm, const void *request_ctx, bool tell);

/* ---- vmm_freeze.c: from a request to what is said of its end ---- */

/* Begins the save that the configuration asks for. A failure is reported, and the guest continues.
 */
void stasis_vmm_begin_freeze(struct stasis_vmm *vmm);
/* Ends the pause of a save, unless the owner has paused the guest, or the guest has printed the
 * text of on_output: then it waits for its freeze, which the loop is about to begin. */
void stasis_vmm_let_run(struct stasis_vmm *vmm);
/* Starts a job that only pauses the guest, and stays paused. */
STASIS_MUST_CHECK int stasis_vmm_begin_pausing(struct stasis_vmm *vmm, struct stasis_error *err);
/* Whether a snapshot is being saved: a job is under way, and not one that only pauses. */
bool stasis_vmm_is_saving(const struct stasis_vmm *vmm);
/* Counts and tells a save that has failed. */
void stasis_vmm_tell_save_failed(struct stasis_vmm *vmm, const struct stasis_vmm_job *job,
                                 const struct stasis_error *err);
/* Starts the job, which stays the caller's when it cannot be started. */
STASIS_MUST_CHECK int stasis_vmm_begin_save(struct stasis_vmm *vmm, struct stasis_vmm_job *job,
                                            struct stasis_error *err);
/* The thread that saves has ended. */
void stasis_vmm_end_save(struct stasis_vmm *vmm);

#endif
