/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A machine: the KVM VM, its RAM, its vCPUs, its buses and the devices of its board.
 *
 * Life: stasis_machine_build() makes it from a board, as data, whether that is today's default or
 * one that a snapshot describes. Then it is booted (boot.h) or thawed (thaw.h), and run
 * (stasis_machine_start). Threads: one per vCPU, one per disk and network, and the caller's, which
 * runs the event loop.
 * Devices are touched under `lock` only.
 */
#ifndef STASIS_VMM_MACHINE_H
#define STASIS_VMM_MACHINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "stasis/kvm_slots.h"
#include "vmm/machine/bus.h"
#include "vmm/machine/device.h"
#include "vmm/machine/dirty_pages.h"
#include "vmm/machine/vcpu_thread.h"

/* How long a freeze waits for all vCPUs to stop. A vCPU stops within a few microseconds, unless the
 * host does not run it, or waits on its behalf for a disk. */
#define STASIS_PAUSE_LIMIT_MS 10000u

/* How long an end that waits for memory may take until that memory is lost, and then until the
 * process ends (snapshot/ram_failure.h): an orderly one waits 2 s for a slow reader of the last
 * output. */
#define STASIS_END_LIMIT_MS 5000u

/* Who fills the RAM while the guest runs (snapshot/ram_failure.c). */
struct stasis_ram_ops {
    /* KVM could not reach the memory at `host` (NULL: perhaps, somewhere). True: it is lost, and
     * *ret_err says why. Any thread. */
    bool (*is_lost)(void *ctx, const void *host, struct stasis_error *ret_err);
    /* No vCPU runs any more. KVM may still wait for memory on behalf of one (an asynchronous page
     * fault), and then does not let its VM be closed: sends it away. */
    void (*cancel_waiters)(void *ctx);
    /* The VM is closed, the memory is still mapped: stops every thread and frees ctx. */
    void (*close)(void *ctx);
};

/* Why the guest no longer runs. */
enum stasis_exit_reason {
    STASIS_EXIT_NONE,
    STASIS_EXIT_RESET,     /* the guest asked for a reset: done */
    STASIS_EXIT_POWER_OFF, /* it powered the machine off */
    STASIS_EXIT_CRASHED, /* triple fault, KVM internal error, panic: struct stasis_error says which
                          */
    STASIS_EXIT_INVALID_ACCESS, /* it made an invalid access, and is to be stopped for it: likewise
                                 */
};

struct stasis_machine {
    struct stasis_kvm kvm;
    struct stasis_vm vm;
    struct stasis_slots slots;
    struct stasis_board_state board;
    struct stasis_memory memory;
    struct stasis_dirty_pages dirty;      /* that differ from a snapshot; all zero: nobody asked */
    const struct stasis_ram_ops *ram_ops; /* NULL: RAM needs nobody */
    void *ram_ctx;
    int cpuinfo_fd; /* /proc/cpuinfo, for its snapshots; 0: it is opened for each */
    struct stasis_bus pio;
    struct stasis_bus mmio;
    pthread_mutex_t lock;
    struct stasis_devices devices;
    struct stasis_device_env device_env;
    struct stasis_guest_access access; /* the guest's last; under lock */
    bool in_access;                    /* it is being handled; under lock */
    /* By kind, those of the devices included; added to under lock (base/counter.h). */
    uint64_t guest_errors[STASIS_GUEST_ERROR_COUNT];
    struct stasis_vcpu *vcpus;          /* board.vcpus of them */
    struct stasis_vcpu_thread *threads; /* one each */
    uint32_t vcpu_count;
    /* Of a vCPU's thread, and of a device's, which they are called on, as it begins; NULL: nothing.
     * To be set before the machine is started. */
    int (*vcpu_begins)(void *ctx, struct stasis_error *err);
    int (*io_begins)(void *ctx, struct stasis_error *err);
    void *begins_ctx;
    int kick_signal;            /* that takes a vCPU out of KVM_RUN; 0: the default */
    unsigned pause_limit_ms;    /* STASIS_PAUSE_LIMIT_MS, or what a test wants; and of the end */
    unsigned end_limit_ms;      /* STASIS_END_LIMIT_MS, or what a test wants */
    _Atomic bool holds_devices; /* by a pause, in whose course they were stopped */
    bool is_left;               /* stasis_machine_fini() has left a thread of a disk behind */

    int end_fd;                    /* eventfd: readable once the guest has ended */
    _Atomic bool end_claimed;      /* somebody writes the two below */
    struct stasis_error end_error; /* to be read once `end` is not STASIS_EXIT_NONE */
    _Atomic int end;               /* enum stasis_exit_reason; set before end_fd is signalled */
};

/* Builds a machine that does not run yet: KVM VM, interrupt controllers, PIT, RAM (zero), vCPUs
 * (in KVM's reset state, no CPUID), devices in their reset state. `host` gives the devices what
 * they need of the outside and must outlive the machine. On failure nothing is left behind. */
STASIS_MUST_CHECK int stasis_machine_build(struct stasis_machine *machine,
                                           const struct stasis_board_state *board,
                                           const struct stasis_device_host *host,
                                           struct stasis_error *err);

/* The same by a descriptor of /dev/kvm, which stays the caller's; 0: it is opened. */
STASIS_MUST_CHECK int stasis_machine_build_by(struct stasis_machine *machine, int kvm_fd,
                                              const struct stasis_board_state *board,
                                              const struct stasis_device_host *host,
                                              struct stasis_error *err);
STASIS_MUST_CHECK int stasis_machine_open_kvm(int kvm_fd, struct stasis_kvm *ret_kvm,
                                              struct stasis_error *err);

/* The same on a KVM that is open already, and which it takes over, on failure too. */
STASIS_MUST_CHECK int stasis_machine_build_on(struct stasis_machine *machine,
                                              const struct stasis_kvm *kvm,
                                              const struct stasis_board_state *board,
                                              const struct stasis_device_host *host,
                                              struct stasis_error *err);

/* Stops the threads and frees everything. A disk's thread that the host has not answered within
 * pause_limit_ms is left behind, which is_left tells: then *machine, and the disks that its host
 * has, must stay. */
void stasis_machine_fini(struct stasis_machine *machine);

/* Resets a machine whose guest has ended: makes it anew, as stasis_machine_build() does, with its
 * board, KVM and host, and with what its devices keep over a reset. RAM is zero and end_fd another
 * descriptor. On failure nothing is left but `lock`, `end`, `end_error`, and what is_left says, and
 * the guest has ended with STASIS_EXIT_CRASHED. */
STASIS_MUST_CHECK int stasis_machine_reset(struct stasis_machine *machine,
                                           struct stasis_error *err);

/* Starts the threads of vCPUs and devices. No vCPU enters the guest, and no device asks its host
 * for anything, before there are all. On failure there is none, and it can be tried again. */
STASIS_MUST_CHECK int stasis_machine_start(struct stasis_machine *machine,
                                           struct stasis_error *err);

/* Stops all vCPUs at an instruction boundary with no I/O half done, and the devices' threads where
 * they are, and lets them go on. A machine that was never started is paused, and starts so; pausing
 * one whose guest has ended is fine. What a disk has been asked for is not waited for: it ends at
 * the host, and the device hears of it after the resume. */
void stasis_machine_pause(struct stasis_machine *machine);
/* The same, for pause_limit_ms at most, and asking go_on() every few milliseconds: a vCPU may wait
 * for memory that never comes. STASIS_ERR_TIMEOUT names the vCPUs that have not stopped;
 * STASIS_ERR_CANCELLED: go_on() said no. On failure the pause is still asked for, by others perhaps
 * too: the caller knows whether to resume, and then nothing is lost. */
STASIS_MUST_CHECK int stasis_machine_pause_while(struct stasis_machine *machine,
                                                 bool (*go_on)(void *ctx), void *ctx,
                                                 struct stasis_error *err);
/* Of a paused machine: waits for what the disks have been asked for, some milliseconds. False: ask
 * again. */
bool stasis_machine_wait_disks(struct stasis_machine *machine);
/* Asks the vCPUs for it without waiting. Any thread, also from a device's operation: a vCPU that
 * asks so executes no further instruction. */
void stasis_machine_request_pause(struct stasis_machine *machine);
void stasis_machine_resume(struct stasis_machine *machine);

/* Has each vCPU's own thread call job() for its vCPU, all at the same time, and waits for all. The
 * machine is paused. Where there is no thread, or only one, the caller's does it. */
void stasis_machine_on_vcpus(struct stasis_machine *machine, stasis_vcpu_job_fn *job, void *ctx);

/* The guest has ended: remembers the first reason and wakes the event loop. Any thread. */
void stasis_machine_shutdown(struct stasis_machine *machine, enum stasis_exit_reason end,
                             const struct stasis_error *error);

#endif
