/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A vCPU: its KVM descriptor, its thread, and how it is stopped.
 *
 * Pausing (KVM api.rst, 5, immediate_exit): the request is noted, immediate_exit set and the
 * thread signalled. The thread finishes what it was at, completes a pending I/O by one KVM_RUN
 * with immediate_exit, and only then says that it is paused: registers are whole from there on.
 */
#ifndef STASIS_VMM_VCPU_H
#define STASIS_VMM_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "stasis/state.h"
#include "vmm/kvm/kvm.h"

struct stasis_machine;

struct stasis_vcpu {
    struct stasis_machine *machine;
    uint32_t id;
    int fd;
    struct kvm_run *run;
    bool has_tsc_offset;
    struct stasis_x86_cpuid_state cpuid; /* as it was set: what the guest was promised */

    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic bool pause_wanted; /* under lock; read without it as a hint */
    bool quit_wanted;
    bool paused;        /* the thread waits, or has ended */
    uint64_t paused_us; /* CLOCK_MONOTONIC when it came to wait */
};

STASIS_MUST_CHECK int stasis_vcpu_init(struct stasis_vcpu *vcpu, struct stasis_machine *machine,
                                       uint32_t id, struct stasis_error *err);
void stasis_vcpu_fini(struct stasis_vcpu *vcpu);

STASIS_MUST_CHECK int stasis_vcpu_start(struct stasis_vcpu *vcpu, struct stasis_error *err);

/* Asks for a pause and waits for it; lets the thread go on; ends the thread. */
void stasis_vcpu_request_pause(struct stasis_vcpu *vcpu);
void stasis_vcpu_wait_paused(struct stasis_vcpu *vcpu);
void stasis_vcpu_resume(struct stasis_vcpu *vcpu);
void stasis_vcpu_stop(struct stasis_vcpu *vcpu);

/* Completes an I/O whose exit has been handled, without running guest code: needed before
 * registers are read (KVM api.rst, 5, KVM_EXIT_IO). For a vCPU whose thread does not run. */
STASIS_MUST_CHECK int stasis_vcpu_complete_io(struct stasis_vcpu *vcpu, struct stasis_error *err);

/* KVM_RUN once and handles the exit. 0: go on; 1: interrupted; negative: the guest has ended (the
 * machine knows why). Used by the thread, and by tests that step a guest by hand. */
int stasis_vcpu_run_once(struct stasis_vcpu *vcpu);

/* True on a thread that stasis_vcpu_start() has made. Async-signal-safe. */
bool stasis_vcpu_is_current_thread(void);

#endif
