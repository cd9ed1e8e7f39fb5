/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * stasis-vmm: a virtual machine as an object. It boots a kernel or thaws a snapshot, runs the
 * guest, pauses it, saves it to any file while the program goes on, and tells how it ended. It
 * never prints and never exits: what there is to say goes to a table of operations (struct
 * stasis_vmm_ops).
 *
 * Life: stasis_vmm_new() opens a VM: its guest is booted or thawed, and no thread runs yet.
 * stasis_vmm_start() lets the guest run. From then on somebody must drive the VM, in one of two
 * ways:
 * - stasis_vmm_run() waits for events and handles them until the VM has ended, in any thread;
 * - a loop of yours watches stasis_vmm_fd() and calls stasis_vmm_dispatch() when it is readable.
 * stasis_vmm_free() ends the VM, whatever it does.
 *
 * Threads: any thread may call any function but stasis_vmm_new() and stasis_vmm_free(); calls on
 * one VM wait for one another. Operations are called on the thread whose call brings them about
 * (run, dispatch, pause, ...; messages about metrics_every_ms on a thread of the VM's), with the VM
 * locked: they may call functions of this VM, but not free it, and must not wait for another thread
 * that does. Only `fatal` comes from any thread, and from signal handlers. Each VM has threads of
 * its own for its vCPUs, for loading RAM, for saving, for the file of its metrics, and for files
 * that stasis_vmm_begin_snapshot() opens; one of these outlives the VM if the file system does not
 * answer. They block all signals but the kick signal and those of faults.
 *
 * What a VM takes of the process, while it is open:
 * - the signal config.kick_signal; on threads that are not the VM's, its handler calls the one that
 *   you had before, which comes back when the last VM is freed;
 * - SIGBUS and SIGSEGV, for a thawed guest: faults at addresses of its memory are the VM's, all
 *   others go to the handler that you had before;
 * - with serial.kind STDIO, standard input and output and the terminal's mode: one VM at a time;
 * for a terminal also each signal that ends or stops a process and has no handler, and those of
 * faults (SIGSEGV, SIGBUS, ...), whose handlers are called once the terminal is restored;
 * - SIGPIPE and SIGXFSZ are ignored where their action is the default, so that these are errors of
 *   a write; that stays when the VM is freed. A handler of yours stays, too.
 */
#ifndef STASIS_VMM_H
#define STASIS_VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/output.h"
#include "stasis/ram.h"
#include "stasis/vmm_version.h"

STASIS_BEGIN_DECLS

/* ---- configuration ---- */

#define STASIS_VMM_MEMORY_MIB_DEFAULT 256
#define STASIS_VMM_METRICS_MS_MIN     10
#define STASIS_VMM_METRICS_MS_MAX     86400000 /* a day */
#define STASIS_VMM_BLOCK_ID_MAX       20
#define STASIS_VMM_BLOCKS_MAX         8
#define STASIS_VMM_BLOCK_RATE_MAX     (UINT64_C(1) << 30)
#define STASIS_VMM_NET_ID_DEFAULT     "net0"
#define STASIS_VMM_NET_ID_MAX         20
#define STASIS_VMM_NET_MTU_MIN        68
#define STASIS_VMM_NET_MTU_MAX        65535
#define STASIS_VMM_NET_BANDWIDTH_MIN  (UINT64_C(128) << 10)
#define STASIS_VMM_NET_BANDWIDTH_MAX  (UINT64_C(1) << 30)
#define STASIS_VMM_VSOCK_ID_DEFAULT   "vsock0"
#define STASIS_VMM_VSOCK_ID_MAX       20
#define STASIS_VMM_VSOCK_CID_DEFAULT  3
#define STASIS_VMM_VSOCK_CID_MIN      3
#define STASIS_VMM_VSOCK_CID_MAX      UINT64_C(0xfffffffe)
#define STASIS_VMM_BALLOON_ID_MAX     20
#define STASIS_VMM_STREAM             "-" /* as a snapshot's path: standard input or output */

/* STASIS_VMM_CPU_HOST, _BASELINE and so on, which stasis/state/cpu_models.def describes. */
enum stasis_vmm_cpu {
#define STASIS_CPU_MODEL(id, name, since, doc) STASIS_VMM_CPU_##id,
#include "stasis/state/cpu_models.def"
#undef STASIS_CPU_MODEL
};
enum stasis_vmm_rtc { STASIS_VMM_RTC_CMOS = 0, /* the clock of a PC */ STASIS_VMM_RTC_PL031 };
enum stasis_vmm_then { STASIS_VMM_THEN_EXIT = 0, STASIS_VMM_THEN_RESUME };
enum stasis_vmm_prefetch { STASIS_VMM_PREFETCH_ON = 0, STASIS_VMM_PREFETCH_OFF };
enum stasis_vmm_track { STASIS_VMM_TRACK_OFF = 0, STASIS_VMM_TRACK_ON };
enum stasis_vmm_reporting { STASIS_VMM_REPORTING_ON = 0, STASIS_VMM_REPORTING_OFF };
enum stasis_vmm_sync { STASIS_VMM_SYNC_FULL = 0, STASIS_VMM_SYNC_NONE };
enum stasis_vmm_digest { STASIS_VMM_DIGEST_NONE = 0, STASIS_VMM_DIGEST_SHA256 };
enum stasis_vmm_drop { STASIS_VMM_DROP_REFUSE = 0, STASIS_VMM_DROP_ALLOW };
enum stasis_vmm_clock { STASIS_VMM_CLOCK_CONTINUE = 0, STASIS_VMM_CLOCK_ADVANCE };
enum stasis_vmm_serial_kind {
    STASIS_VMM_SERIAL_STDIO = 0, /* standard output, and standard input */
    STASIS_VMM_SERIAL_NONE,      /* what the guest prints is dropped, as in all that follow */
    STASIS_VMM_SERIAL_FILE,      /* when the file holds `limit` bytes */
    STASIS_VMM_SERIAL_RING,      /* when it is older than the last `size` bytes */
    STASIS_VMM_SERIAL_PIPE       /* when nobody reads the named pipe */
};

enum stasis_vmm_block_readonly { STASIS_VMM_BLOCK_READONLY_OFF = 0, STASIS_VMM_BLOCK_READONLY_ON };
enum stasis_vmm_block_cache { STASIS_VMM_BLOCK_CACHE_WRITEBACK = 0, STASIS_VMM_BLOCK_CACHE_NONE };
enum stasis_vmm_block_root { STASIS_VMM_BLOCK_ROOT_ON = 0, STASIS_VMM_BLOCK_ROOT_OFF };

enum stasis_vmm_metrics_format { STASIS_VMM_METRICS_JSON = 0, STASIS_VMM_METRICS_OPENMETRICS };
enum stasis_vmm_on_guest_error {
    STASIS_VMM_GUEST_ERROR_COUNT = 0, /* in the metrics, as the others are, too */
    STASIS_VMM_GUEST_ERROR_EVENT,     /* a message and an event, 10 a second at most */
    STASIS_VMM_GUEST_ERROR_STOP,      /* the end of the VM (STASIS_VMM_INVALID_ACCESS) */
};
enum stasis_vmm_guest_errors_of {
    STASIS_VMM_GUEST_ERRORS_OF_ALL = 0,
    STASIS_VMM_GUEST_ERRORS_OF_DEVICES, /* not those to addresses that no device has */
};

enum stasis_vmm_on_reset {
    STASIS_VMM_ON_RESET_EXIT = 0, /* the VM ends (STASIS_VMM_RESET) */
    STASIS_VMM_ON_RESET_REBOOT    /* the guest is loaded and started anew */
};

/* Each includes those before it. */
enum stasis_vmm_log_level {
    STASIS_VMM_LOG_NONE = 0,
    STASIS_VMM_LOG_ERROR, /* the guest died; a freeze failed */
    STASIS_VMM_LOG_WARN,  /* a freeze was cancelled; invalid accesses, with their action EVENT */
    STASIS_VMM_LOG_INFO,  /* opened, running, paused, freezes, the end */
    STASIS_VMM_LOG_DEBUG, /* messages for the user */
};
enum stasis_vmm_log_time { STASIS_VMM_LOG_TIME_ON = 0, STASIS_VMM_LOG_TIME_OFF };

/* Zero is the default of every member here, of all structs. Strings are copied by stasis_vmm_new();
 * NULL: not given. */
struct stasis_vmm_kernel {
    const char *path;    /* a bzImage or an ELF vmlinux */
    const char *cmdline; /* NULL: the default command line */
    uint64_t load_addr;  /* guest address; 0: where the kernel asks to be */
};

#define STASIS_VMM_ROOT_DIGITS 64

struct stasis_vmm_restore {
    const char *path;   /* a snapshot; "-": standard input */
    const char *root;   /* 64 hexadecimal digits: the root that it must have; NULL: any */
    const char *layers; /* the folder of what a layer lies on; NULL: that of the snapshot */
    enum stasis_vmm_clock clock; /* continue: no time has passed; advance: that since the save */
    enum stasis_ram_mode memory; /* how memory comes from the file */
    enum stasis_vmm_prefetch prefetch; /* whether memory is loaded or verified in the background */
    bool ignore_tsc_rate;              /* thaw although the TSC's rate differs */
    /* Whether it is noted from the start which pages the guest changes, so that the first snapshot
     * with a parent can be a layer on this one; it is, too, if snapshot.save.parent is set. */
    enum stasis_vmm_track track;
    /* A descriptor of /dev/userfaultfd, for loading lazily in a process that may not open that; it
     * stays open, and yours. 0: none. */
    int uffd_fd;
};

struct stasis_vmm_serial {
    enum stasis_vmm_serial_kind kind;
    const char *path; /* FILE, RING, PIPE */
    uint64_t limit;   /* FILE: bytes that it may hold; 0: 64 MiB */
    uint64_t size;    /* RING: bytes that it keeps; 0: 1 MiB */
    uint64_t rate;    /* bytes per second, bursts of up to a second's worth; 0: no limit */
};

/* A disk of the guest: /dev/vda, /dev/vdb and so on. */
struct stasis_vmm_block {
    const char *path; /* a raw file or a block device; NULL: there is no disk */
    /* Its name on the board, and its serial number: 1 to 20 of a-z, 0-9, '-', '_'. A thawed
     * guest gets the disks that have the names of its own. NULL: disk0 for the first, disk1 for the
     * second, and so on. */
    const char *id;
    enum stasis_vmm_block_readonly readonly;
    /* Whether it may be the root of a new guest, whose command line gets root=/dev/vda for the
     * first disk, if it is the first that may. */
    enum stasis_vmm_block_root root;
    /* Whether the host's page cache has its content, or is passed by (O_DIRECT). */
    enum stasis_vmm_block_cache cache;
    uint64_t block_size; /* of the guest's requests: 512 or 4096 bytes; 0: 512 */
    /* Operations and bytes per second, in bursts of up to a second's worth, at most
     * STASIS_VMM_BLOCK_RATE_MAX; 0: no limit. */
    uint64_t iops, bandwidth;
    /* A file that takes what the guest writes, while `path` stays as it is: an overlay
     * (stasis/overlay.h), which is made if it is not there. NULL: the guest writes to `path`. */
    const char *overlay;
};

/* Risks that are taken, for disks by their ids; lists end at the first NULL. */
struct stasis_vmm_allow {
    const char
        *disk_changed[STASIS_VMM_BLOCKS_MAX]; /* thawed, though written to since the freeze */
    /* Writable, though the guest runs on after a snapshot, which is of another time than the disk
     * from then on. */
    const char *disk_shared[STASIS_VMM_BLOCKS_MAX];
};

/* The guest's network: one of tap, passt and fd; none of them: there is none. */
struct stasis_vmm_net {
    const char *tap;   /* name of a tap device of this host */
    const char *passt; /* socket of passt(1) */
    /* Of a tap device, opened and attached by somebody: stays open, and yours. O_NONBLOCK is set,
     * which it shares with its duplicates. */
    int fd;
    /* Its name on the board: 1 to 20 of a-z, 0-9, '-', '_'. A thawed guest gets the network
     * that has the name of its own. NULL: STASIS_VMM_NET_ID_DEFAULT. */
    const char *id;
    /* "02:00:00:00:00:01"; NULL: one made of the names of host, network and id. A thawed guest
     * keeps its own, and must not be given another; nor another MTU. */
    const char *mac;
    uint64_t mtu;       /* bytes of a packet, 68 to 65535; 0: 1500 */
    uint64_t bandwidth; /* bytes per second in each direction, bursts of up to a second's worth:
                         * STASIS_VMM_NET_BANDWIDTH_MIN to _MAX; 0: no limit */
};

/* Sockets between programs of the guest (AF_VSOCK) and of the host (AF_UNIX). Each connection has a
 * descriptor; there are at most 1024, and no more than half of the RLIMIT_NOFILE of the start. */
struct stasis_vmm_vsock {
    /* Programs of the host connect to this socket, which is made, and say "CONNECT <port>\n"; those
     * of the guest that connect to a port of CID 2 come to the socket of this name with "_<port>"
     * behind it. NULL: there are none. */
    const char *path;
    /* Of the guest: STASIS_VMM_VSOCK_CID_MIN to _MAX. 0: STASIS_VMM_VSOCK_CID_DEFAULT, or that
     * which a thawed guest had. */
    uint64_t cid;
    /* Its name on the board: 1 to 20 of a-z, 0-9, '-', '_'. A thawed guest gets the sockets that
     * have the name of its own. NULL: STASIS_VMM_VSOCK_ID_DEFAULT. */
    const char *id;
};

/* The balloon of a new guest, by which the host takes memory from it: stasis_vmm_ask_balloon(). */
struct stasis_vmm_balloon {
    const char *id; /* its name on the board: 1 to 20 of a-z, 0-9, '-', '_'; NULL: there is none */
    enum stasis_vmm_reporting reporting; /* the guest gives its free pages to the host by itself */
};

#define STASIS_VMM_PARENT_AUTO "auto"
#define STASIS_VMM_PARENT_NONE "none"

/* How a snapshot is written. */
struct stasis_vmm_save {
    uint64_t zlib_level;           /* 1 (fast) to 12 (small); 0: memory is not compressed */
    enum stasis_vmm_digest digest; /* of each chunk of memory, beside its CRC */
    enum stasis_vmm_sync sync;
    const char *target; /* name of a release, for a file that it reads; NULL: this one */
    /* Whether it is a layer, which has of memory what differs from another snapshot, its parent:
     * the one that the guest was thawed from, or that was written since, whichever is the last, and
     * its file stays where it is. STASIS_VMM_PARENT_AUTO: if there is one; else a whole snapshot is
     * written, and the next one can be a layer on it. STASIS_VMM_PARENT_NONE: it is whole, and the
     * next one can be a layer on it. 64 hexadecimal digits: on the snapshot with this root, or it
     * fails (STASIS_ERR_STATE). NULL: it is whole. */
    const char *parent;
    enum stasis_vmm_drop drop;  /* whether what the target cannot represent may be left out */
    struct stasis_notes *notes; /* that the file gets; NULL: none */
};

/* The snapshot of the VM: taken by Ctrl-A s, by stasis_vmm_freeze(), and by the events below. */
struct stasis_vmm_snapshot {
    const char *path;      /* "-": standard output */
    const char *on_output; /* when the guest prints this text, of 1 to 255 bytes */
    uint64_t after_ms;     /* so long after the start, if `timed` is set */
    bool timed;
    enum stasis_vmm_then then;
    struct stasis_vmm_save save;
};

enum stasis_vmm_panic_text { STASIS_VMM_PANIC_TEXT_OFF = 0, STASIS_VMM_PANIC_TEXT_ON };

/* When the guest crashes: a triple fault, an error of KVM, a panic that it reports by pvpanic, or
 * what panic_text says. */
struct stasis_vmm_on_crash {
    bool exit;            /* the VM just ends, as by default: there is no `snapshot` */
    const char *snapshot; /* a file that gets the guest as it is then, before the VM ends */
    /* Whether a line of the serial port that begins with "Kernel panic - not syncing", or with time
     * stamps of Linux and this, is a crash. Whoever can write to the guest's console can print it.
     */
    enum stasis_vmm_panic_text panic_text;
};

/* Invalid accesses of the guest: to addresses that no device has, or that a device refuses. */
struct stasis_vmm_guest_errors {
    enum stasis_vmm_on_guest_error action;
    enum stasis_vmm_guest_errors_of of; /* for which the action is; all are counted */
};

/* A line for each event of the VM's life: "2026-11-30T02:14:13.123456Z info: running". What the
 * descriptor does not take at once is dropped and counted. */
struct stasis_vmm_log {
    enum stasis_vmm_log_level level;
    int fd; /* stays open, and yours; 0: standard error */
    enum stasis_vmm_log_time time;
};

/* Exactly one of kernel.path, demo and restore.path is set. What describes the machine
 * (initrd_path, memory_mib, vcpus, cpu, rtc, board_release, balloon) is for a new guest: a thawed
 * one brings its own. */
struct stasis_vmm_config {
    struct stasis_vmm_kernel kernel;
    bool demo; /* boot the small guest that is built in */
    struct stasis_vmm_restore restore;

    const char *initrd_path;
    uint64_t memory_mib; /* up to STASIS_RAM_MAX; 0: STASIS_VMM_MEMORY_MIB_DEFAULT */
    uint64_t vcpus;      /* up to STASIS_VCPUS_MAX; 0: 1 */
    enum stasis_vmm_cpu cpu;
    enum stasis_vmm_rtc rtc;
    const char *board_release; /* the board that this release would make; NULL: this one's */

    bool paused; /* stasis_vmm_start() leaves the guest paused: stasis_vmm_resume() lets it run */
    /* Gets the line "running" when the guest first runs, and is closed; 0: none. Stays yours if
     * stasis_vmm_new() fails, and is the VM's from then on. */
    int ready_fd;
    int kvm_fd;      /* of /dev/kvm, opened by somebody; stays open, and yours; 0: it is opened */
    int kick_signal; /* a real-time signal, which takes a vCPU out of the guest; 0: SIGRTMIN */
    struct stasis_vmm_serial serial;
    struct stasis_vmm_block block[STASIS_VMM_BLOCKS_MAX]; /* ends at the first without a path */
    struct stasis_vmm_allow allow;
    struct stasis_vmm_net net;
    struct stasis_vmm_vsock vsock;
    struct stasis_vmm_balloon balloon;
    struct stasis_vmm_snapshot snapshot;

    /* When the guest resets the machine, or stasis_vmm_reset() does. REBOOT is for a new guest: a
     * snapshot has no kernel that could be loaded. */
    enum stasis_vmm_on_reset on_reset;
    struct stasis_vmm_on_crash on_crash;
    struct stasis_vmm_guest_errors guest_errors;
    struct stasis_vmm_log log;

    const char *metrics_path; /* for stasis_vmm_write_metrics() */
    enum stasis_vmm_metrics_format metrics_format;
    /* STASIS_VMM_METRICS_MS_MIN to _MAX: the file is also replaced so often, from the start on, as
     * a whole; a failure is a message. 0: only stasis_vmm_write_metrics() writes it. */
    uint64_t metrics_every_ms;
    uint64_t start_us; /* CLOCK_MONOTONIC that metrics count from; 0: stasis_vmm_new() */
};

/* ---- what a VM has to say ---- */

enum stasis_vmm_work { STASIS_VMM_SAVING, STASIS_VMM_LOADING };

enum stasis_vmm_reason {
    STASIS_VMM_RESET,          /* the guest reset the machine */
    STASIS_VMM_CRASHED,        /* it died, or lost its memory */
    STASIS_VMM_FROZEN,         /* it was saved, by a request that ends it */
    STASIS_VMM_QUIT,           /* by key */
    STASIS_VMM_STOPPED,        /* by stasis_vmm_stop() */
    STASIS_VMM_INVALID_ACCESS, /* it made an invalid access (STASIS_VMM_GUEST_ERROR_STOP) */
    STASIS_VMM_POWERED_OFF,    /* the guest powered the machine off */
};

/* How a VM ended. Errors have code 0 where there was none. */
struct stasis_vmm_end {
    enum stasis_vmm_reason reason;
    struct stasis_error crash;   /* why the guest died, or was stopped for an access */
    struct stasis_error missing; /* STASIS_ERR_NO_SNAPSHOT: a freeze is outstanding */
    int save_code; /* of the last freeze by key, event or stasis_vmm_freeze(), if it failed */
};

enum stasis_vmm_event_kind {
    STASIS_VMM_EVENT_RUNNING,      /* the guest runs: it was started or resumed */
    STASIS_VMM_EVENT_PAUSED,       /* by a request, or it was started paused */
    STASIS_VMM_EVENT_PAUSE_FAILED, /* of stasis_vmm_begin_pause(): the guest runs on, or has ended
                                    */
    STASIS_VMM_EVENT_SAVING,       /* a save has begun; the guest stands still until its end */
    STASIS_VMM_EVENT_SAVED,        /* and is over: the file is there */
    STASIS_VMM_EVENT_SAVE_FAILED,  /* or not; STASIS_ERR_CANCELLED: it was called off */
    STASIS_VMM_EVENT_KEYS,         /* the user asks for the list of escape keys */
    STASIS_VMM_EVENT_GUEST_ERROR,  /* the guest made an invalid access */
    STASIS_VMM_EVENT_POWER_BUTTON, /* by stasis_vmm_power_button() */
    STASIS_VMM_EVENT_RESET,        /* the machine was reset, and the VM lives on */
    STASIS_VMM_EVENT_ENDING,       /* the end begins: what is asked for now counts as outstanding */
    STASIS_VMM_EVENT_ENDED,        /* the VM has ended; nothing follows */
};

/* An invalid access of the guest. */
struct stasis_vmm_guest_error {
    const char *kind;   /* "unhandled_port": the words are those of the metrics */
    const char *device; /* that refused it; NULL: none has the address */
    const char *text;   /* all of it, as one line */
    uint64_t address;   /* port, or guest physical address */
    uint64_t value;     /* written */
    unsigned len;       /* bytes; 0: the device found it out later, by itself */
    bool is_mmio, is_write;
    uint64_t suppressed; /* how many came since the last one that was told */
};

/* Valid during the call. What does not belong to the event is zero. */
struct stasis_vmm_event {
    enum stasis_vmm_event_kind kind;
    const char *path;                      /* SAVING, SAVED, SAVE_FAILED: as it was given */
    void *request_ctx;                     /* SAVING, SAVED, SAVE_FAILED: that of the request */
    bool to_stream;                        /* SAVING: to standard output, as fast as it is read */
    const struct stasis_save_stats *stats; /* SAVED */
    const uint8_t *root; /* SAVED: of the file, STASIS_DIGEST_SIZE bytes; NULL: of a crash */
    bool layer;          /* SAVED: it is one */
    uint64_t pause_us;   /* SAVED: how long the save has taken so far */
    const struct stasis_error *err;                   /* SAVE_FAILED, PAUSE_FAILED */
    const char *text;                                 /* KEYS: lines, each ending in a newline */
    const struct stasis_vmm_end *end;                 /* ENDED */
    const struct stasis_vmm_guest_error *guest_error; /* GUEST_ERROR */
};

/* The threads of a VM that `thread_begins` is called on. Others keep what limits the thread that
 * starts them: those that open files the one that calls stasis_vmm_begin_snapshot(). */
enum stasis_vmm_thread {
    STASIS_VMM_THREAD_VCPU,
    STASIS_VMM_THREAD_SAVE,    /* pauses the guest and saves it */
    STASIS_VMM_THREAD_RAM,     /* loads or checks RAM behind a guest that runs */
    STASIS_VMM_THREAD_IO,      /* serves a disk or the network of the guest */
    STASIS_VMM_THREAD_LOOP,    /* that calls stasis_vmm_run(), once the vCPUs' threads are there */
    STASIS_VMM_THREAD_METRICS, /* writes the file of metrics_every_ms; on failure it is not written
                                */
};

/* All are optional. */
struct stasis_vmm_ops {
    void *ctx;
    /* One line for the user, without a newline. */
    void (*message)(void *ctx, const char *line);
    void (*event)(void *ctx, const struct stasis_vmm_event *event);
    /* So many bytes are saved, or loaded into memory; false gives the work up, as does
     * stasis_vmm_cancel(). And that is over. */
    bool (*progress)(void *ctx, enum stasis_vmm_work work, uint64_t done, uint64_t total);
    void (*progress_end)(void *ctx);
    /* The process cannot go on, and must not return: threads wait for what will never come. NULL:
     * abort(). Any thread, and a signal handler. */
    void (*fatal)(void *ctx, const struct stasis_error *err);
    /* Called on a thread as it begins, to limit what it can do (seccomp(2), for example). The VM
     * limits nothing by itself; docs/sandbox.md lists the system calls that each makes. An error
     * ends the guest, fails the save, or is that of stasis_vmm_run(). It must not call functions of
     * the VM. */
    int (*thread_begins)(void *ctx, enum stasis_vmm_thread thread, struct stasis_error *err);
    /* Makes the files of requests in a folder_fd, where this process may not. It has a ctx of its
     * own, which outlives threads that the VM leaves behind. */
    struct stasis_output_folders folders;
    /* The process finds no names in /proc any more once the VM is open: what a snapshot reads there
     * (maps, pagemap, cpuinfo) is opened before, as it is with `folders`. */
    bool loses_proc;
};

/* ---- life ---- */

struct stasis_vmm;

/* Boots or thaws the guest, which does not run yet. config and ops are copied.
 * STASIS_ERR_ARG: the configuration contradicts itself; STASIS_ERR_CANCELLED: progress() said so;
 * and what stasis_snap_open() and KVM say. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_new(const struct stasis_vmm_config *config,
                                                   const struct stasis_vmm_ops *ops,
                                                   struct stasis_vmm **ret_vmm,
                                                   struct stasis_error *err);

/* Ends the VM if it has not ended, and a save with it; ends all threads, reports output that was
 * dropped, restores the terminal. A disk that the host does not answer for is waited for 10 s; then
 * its thread is left behind, with memory of the VM and that disk, and a message says so. NULL is
 * fine. */
STASIS_EXPORT void stasis_vmm_free(struct stasis_vmm *vmm);

/* ---- driving ---- */

/* Readable when stasis_vmm_dispatch() has something to do. Stays the VM's. */
STASIS_EXPORT int stasis_vmm_fd(const struct stasis_vmm *vmm);

/* Handles what has come, and does not wait, except at the end of a guest for its vCPUs.
 * STASIS_ERR_IO: the kernel reports no more events; free the VM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_dispatch(struct stasis_vmm *vmm,
                                                        struct stasis_error *err);

/* Starts the VM if it has not been started, handles events until it has ended, and fills *ret_end.
 * At the end it waits up to 2 s for a slow reader of the guest's last output. By one thread at a
 * time. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vmm_run(struct stasis_vmm *vmm, struct stasis_vmm_end *ret_end, struct stasis_error *err);

/* A descriptor of yours that the VM watches along with its own: `ready` is called as an operation
 * is, each time one of `events` (EPOLLIN, EPOLLOUT; hang-up and errors always) is there. 0: watch
 * for nothing, for now. One watch for each descriptor (STASIS_ERR_EXISTS): watch a duplicate (dup)
 * for another. Free it before you close the descriptor and before the VM is freed; also
 * from within `ready`. */
struct stasis_vmm_watch;
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vmm_watch_new(struct stasis_vmm *vmm, int fd, uint32_t events,
                     void (*ready)(void *ctx, uint32_t events), void *ctx,
                     struct stasis_vmm_watch **ret_watch, struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_watch_set(struct stasis_vmm_watch *watch,
                                                         uint32_t events, struct stasis_error *err);
STASIS_EXPORT void stasis_vmm_watch_free(struct stasis_vmm_watch *watch);

/* ---- requests ----
 *
 * STASIS_ERR_STATE: not possible in the state that the VM is in, which the message names. */

enum stasis_vmm_state {
    STASIS_VMM_OPENED,     /* not started */
    STASIS_VMM_RUNNING,    /* the guest runs */
    STASIS_VMM_IS_PAUSING, /* it is being paused by stasis_vmm_begin_pause() */
    STASIS_VMM_PAUSED,
    STASIS_VMM_IS_SAVING, /* the guest stands still while a snapshot is written */
    STASIS_VMM_HAS_ENDED,
};

struct stasis_vmm_status {
    enum stasis_vmm_state state;
    bool paused;                       /* PAUSED, or IS_SAVING and paused afterwards */
    bool opening;                      /* a file is, for stasis_vmm_begin_snapshot() */
    uint64_t generation;               /* how often the guest was frozen */
    uint64_t saved_bytes, total_bytes; /* IS_SAVING: progress */
    bool has_balloon;
    uint64_t balloon_bytes;        /* that it has, says the guest */
    uint64_t balloon_target_bytes; /* that it shall have */
    /* HAS_ENDED: how. Between stasis_vmm_stop() and ENDED `missing` is not yet known. */
    struct stasis_vmm_end end;
};

STASIS_EXPORT void stasis_vmm_status(struct stasis_vmm *vmm, struct stasis_vmm_status *ret_status);
/* "opened", "running", "pausing", "paused", "saving", "ended"; never NULL. */
STASIS_EXPORT const char *stasis_vmm_state_name(enum stasis_vmm_state state);

/* Lets the guest run, or, where config.paused is set, starts it paused. Once. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_start(struct stasis_vmm *vmm,
                                                     struct stasis_error *err);

/* Stops all vCPUs, and waits for that: usually some microseconds. The guest's clocks go on. After
 * 10 s STASIS_ERR_TIMEOUT names the vCPUs that have not stopped, and the guest runs on. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_pause(struct stasis_vmm *vmm,
                                                     struct stasis_error *err);
/* The same without waiting: PAUSED or PAUSE_FAILED tells the end. Until then requests that need a
 * running or a paused guest fail, and freezes by key or event wait. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_begin_pause(struct stasis_vmm *vmm,
                                                           struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_resume(struct stasis_vmm *vmm,
                                                      struct stasis_error *err);

struct stasis_snapshot_request {
    const char *path; /* a file */
    int folder_fd;    /* descriptor of the folder in which path is a name, without /; 0: none */
    bool exit; /* the VM ends when the file is there; else the guest goes on as it was before */
    void *ctx; /* yours: given back in the events of this snapshot, and tells it from others */
    struct stasis_vmm_save save;
};

/* Begins to save the guest, running or paused, to any file, which is opened first: that takes as
 * long as its file system does. What is wrong with the request is said at once; the end comes as an
 * event. The request is copied. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vmm_snapshot(struct stasis_vmm *vmm, const struct stasis_snapshot_request *request,
                    struct stasis_error *err);

/* The same, for a file system that may not answer: the file is opened by a thread, and the guest is
 * saved as soon as it is open and nothing else is under way. What is wrong with the file is told by
 * SAVE_FAILED. The descriptor of the folder is duplicated. STASIS_ERR_FULL: too many files are
 * being opened. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_vmm_begin_snapshot(struct stasis_vmm *vmm, const struct stasis_snapshot_request *request,
                          struct stasis_error *err);

/* Saves as the configuration says, as Ctrl-A s does: if a save is under way, after it. What becomes
 * of it is told in messages, events and struct stasis_vmm_end. */
STASIS_EXPORT void stasis_vmm_freeze(struct stasis_vmm *vmm);

/* Calls off the save that is under way; if there is none, those whose files are being opened. The
 * end of each is an event, SAVED if it came too late. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_cancel(struct stasis_vmm *vmm,
                                                      struct stasis_error *err);

/* Presses the guest's power button, which asks its system to power itself off: whether and when it
 * does is up to it. A paused guest learns of it when it runs. STASIS_ERR_STATE: or its board has no
 * button. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_power_button(struct stasis_vmm *vmm,
                                                            struct stasis_error *err);

/* Asks the guest for so many MiB of its memory, in all, for its balloon; 0: it may have all back.
 * Does not wait for the guest, which may give less, or take some back before it runs out of memory:
 * stasis_vmm_status() tells. STASIS_ERR_STATE: or it has no balloon; STASIS_ERR_ARG: it has less
 * memory. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_ask_balloon(struct stasis_vmm *vmm, uint64_t mib,
                                                           struct stasis_error *err);

/* Resets the machine, as the guest can itself: it has no time for anything. Soon the VM ends with
 * the reason STASIS_VMM_RESET, or the guest boots again (config.on_reset). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_reset(struct stasis_vmm *vmm,
                                                     struct stasis_error *err);

/* The same for the snapshot of one request only, if `request_ctx` is not NULL. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_cancel_request(struct stasis_vmm *vmm,
                                                              const void *request_ctx,
                                                              struct stasis_error *err);

/* Ends the VM, soon: a save under way is given up first. Harmless when it has ended; NULL is fine.
 */
STASIS_EXPORT void stasis_vmm_stop(struct stasis_vmm *vmm);

/* ---- the rest ---- */

/* The metrics of now as text of *ret_len bytes and a NUL, to be freed with free(). JSON is one
 * object; OpenMetrics ends in "# EOF". STASIS_ERR_NOMEM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_metrics_text(struct stasis_vmm *vmm,
                                                            enum stasis_vmm_metrics_format format,
                                                            char **ret_text, size_t *ret_len,
                                                            struct stasis_error *err);

/* Writes what the configuration's metrics_path asks for, if it does. After the end: with
 * metrics_every_ms, this is the last time that the file is written. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vmm_write_metrics(struct stasis_vmm *vmm,
                                                             struct stasis_error *err);

/* Whether the guest has left half a line on the terminal that standard error goes to, so that a
 * message must begin with a newline; from now on it has not. May be called in a signal handler. */
STASIS_EXPORT bool stasis_vmm_leave_line(struct stasis_vmm *vmm);

STASIS_END_DECLS

#endif
