/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The thread that runs a vCPU, and how it is stopped.
 *
 * Pausing (KVM api.rst, 5, immediate_exit): the request is noted, immediate_exit set and the
 * thread signalled. The thread finishes what it was at, completes a pending I/O by one KVM_RUN
 * with immediate_exit, and only then says that it is paused: registers are whole from there on.
 */
#ifndef STASIS_VMM_VCPU_THREAD_H
#define STASIS_VMM_VCPU_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "stasis/kvm_vcpu.h"

/* All are called on the vCPU's thread, which has its run handle. */
struct stasis_vcpu_thread_ops {
    /* The thread begins: before anything else, to limit it. An error ends it as `failed` does. */
    int (*begins)(void *ctx, struct stasis_error *err);
    /* Whether the guest may run on. Asked before every entry. */
    bool (*may_run)(void *ctx);
    /* A pause ends. By the vCPU's thread, since a vCPU's ioctls wait for its KVM_RUN to end. */
    void (*resumes)(void *ctx, struct stasis_vcpu *vcpu);
    /* The thread cannot run the guest, and ends: another thread has the run handle. */
    void (*failed)(void *ctx, const struct stasis_error *err);
};

/* What a vCPU's thread does while it is paused. */
typedef void stasis_vcpu_job_fn(void *ctx, struct stasis_vcpu *vcpu);

struct stasis_vcpu_thread {
    struct stasis_vcpu *vcpu;
    const struct stasis_vcpu_thread_ops *ops;
    void *ctx; /* of ops */

    int kick_signal; /* 0: the default; to be set before the thread is started */
    pthread_t id;
    _Atomic pid_t tid; /* 0: it has not begun, or has ended */
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic bool pause_wanted; /* under lock; read without it as a hint */
    bool quit_wanted;
    bool held;               /* started, and not yet released */
    bool paused;             /* the thread waits, or has ended */
    bool takes_jobs;         /* it waits */
    stasis_vcpu_job_fn *job; /* that it does now; NULL: none */
    void *job_ctx;
    uint64_t paused_us; /* CLOCK_MONOTONIC when it came to wait; to be read while it is paused */
    /* Any thread may read these (base/counter.h): CLOCK_MONOTONIC when it began to run the guest, 0
     * if it never did; how often it came to wait; and for how long, up to the last resume. */
    uint64_t first_run_us, pauses, pauses_us;
};

/* vcpu, ops and ctx belong to the caller and must outlive the thread. Starts nothing. */
void stasis_vcpu_thread_init(struct stasis_vcpu_thread *thread, struct stasis_vcpu *vcpu,
                             const struct stasis_vcpu_thread_ops *ops, void *ctx);
/* Ends the thread, if there is one. */
void stasis_vcpu_thread_fini(struct stasis_vcpu_thread *thread);

/* Starts the thread, which does not enter the guest before it is released. */
STASIS_MUST_CHECK int stasis_vcpu_thread_start(struct stasis_vcpu_thread *thread,
                                               struct stasis_error *err);
void stasis_vcpu_thread_release(struct stasis_vcpu_thread *thread);

/* Asks for a pause and waits for it; lets the thread go on; ends the thread. A vCPU that asks for
 * its own pause, from within an exit, stops before its next instruction. One that is asked before
 * it is started enters the guest only after a resume. One whose thread was stopped can be started
 * again. */
void stasis_vcpu_thread_request_pause(struct stasis_vcpu_thread *thread);
void stasis_vcpu_thread_wait_paused(struct stasis_vcpu_thread *thread);
/* The same, but for so long at most: whether it is paused. If not, it is asked once more. */
bool stasis_vcpu_thread_wait_paused_ms(struct stasis_vcpu_thread *thread, unsigned ms);
void stasis_vcpu_thread_resume(struct stasis_vcpu_thread *thread);
void stasis_vcpu_thread_stop(struct stasis_vcpu_thread *thread);

/* Has the thread of a paused vCPU do a job, one at a time; finish waits for it. A thread that has
 * ended, or was never started, does none: then begin does it. By who has paused the vCPU. */
void stasis_vcpu_thread_begin_job(struct stasis_vcpu_thread *thread, stasis_vcpu_job_fn *job,
                                  void *ctx);
void stasis_vcpu_thread_finish_job(struct stasis_vcpu_thread *thread);

#endif
