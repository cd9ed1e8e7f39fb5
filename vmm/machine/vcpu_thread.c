/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/vcpu_thread.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "stasis/fault_signals.h"
#include "vmm/base/clock.h"
#include "vmm/base/counter.h"
#include "vmm/machine/kick.h"

/* A kick is given again after that time. One is enough, unless the handler of the signal is put off
 * until a system call returns, as ThreadSanitizer does: KVM_RUN may never return then. */
#define KICK_AGAIN_MS 10

/* The lock is held, but not while the job runs. */
static void do_job(struct stasis_vcpu_thread *thread)
{
    pthread_mutex_unlock(&thread->lock);
    thread->job(thread->job_ctx, thread->vcpu);
    pthread_mutex_lock(&thread->lock);
    thread->job = NULL;
    pthread_cond_broadcast(&thread->changed);
}

/* Does meanwhile what its owner asks for. The lock is held. */
static void wait_for_resume(struct stasis_vcpu_thread *thread)
{
    thread->takes_jobs = true;
    while (thread->job || (atomic_load(&thread->pause_wanted) && !thread->quit_wanted)) {
        if (thread->job)
            do_job(thread);
        else
            pthread_cond_wait(&thread->changed, &thread->lock);
    }
    thread->takes_jobs = false;
}

/* Says that the vCPU is paused and waits until it may go on. False: the thread shall end. */
static bool pause_here(struct stasis_vcpu_thread *thread)
{
    bool go_on;

    /* A guest that dies here has told the machine; the pause stands all the same. */
    (void)!stasis_vcpu_complete_io(thread->vcpu, NULL);
    pthread_mutex_lock(&thread->lock);
    thread->paused = true;
    thread->paused_us = stasis_monotonic_us();
    stasis_counter_add(&thread->pauses, 1);
    pthread_cond_broadcast(&thread->changed);
    wait_for_resume(thread);
    go_on = !thread->quit_wanted;
    if (go_on)
        thread->paused = false;
    stasis_counter_add(&thread->pauses_us, stasis_monotonic_us() - thread->paused_us);
    pthread_mutex_unlock(&thread->lock);
    if (go_on)
        thread->ops->resumes(thread->ctx, thread->vcpu);
    return go_on;
}

static void wait_for_release(struct stasis_vcpu_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    while (thread->held && !thread->quit_wanted)
        pthread_cond_wait(&thread->changed, &thread->lock);
    pthread_mutex_unlock(&thread->lock);
}

/* From the release to the end of the guest, or of the thread. */
static void run(struct stasis_vcpu_thread *thread, const struct stasis_run_handle *handle)
{
    int rc = 0;

    wait_for_release(thread);
    while (rc >= 0 && thread->ops->may_run(thread->ctx)) {
        if (atomic_load(&thread->pause_wanted) && !pause_here(thread))
            break;
        if (!thread->first_run_us)
            stasis_counter_set(&thread->first_run_us, stasis_monotonic_us());
        rc = stasis_run_handle_run(handle, NULL);
        /* This kick has done its work, or came when the thread was paused already and has none:
         * left set, no guest code would ever run again. Atomic, since the look at pause_wanted,
         * which is set before the kick, must come after it. */
        if (rc > 0)
            stasis_vcpu_set_immediate_exit(thread->vcpu, false);
    }
}

static void *run_thread(void *arg)
{
    struct stasis_vcpu_thread *thread = arg;
    struct stasis_run_handle handle;
    struct stasis_error err;

    atomic_store(&thread->tid, (pid_t)syscall(SYS_gettid));
    stasis_kick_begin_thread(thread->kick_signal);
    if (thread->ops->begins(thread->ctx, &err) ||
        stasis_run_handle_take(&handle, thread->vcpu, &err)) {
        thread->ops->failed(thread->ctx, &err);
    } else {
        run(thread, &handle);
        /* A guest that has ended may be saved as it was: behind the access by which it did. */
        (void)!stasis_vcpu_complete_io(thread->vcpu, NULL);
        (void)!stasis_run_handle_give_back(&handle, NULL);
    }
    pthread_mutex_lock(&thread->lock);
    atomic_store(&thread->tid, 0);
    thread->paused = true;
    pthread_cond_broadcast(&thread->changed);
    pthread_mutex_unlock(&thread->lock);
    return NULL;
}

int stasis_vcpu_thread_start(struct stasis_vcpu_thread *thread, struct stasis_error *err)
{
    sigset_t mask, before;
    int rc;

    stasis_kick_acquire(thread->kick_signal);
    /* Signals are for the main thread; the new one lets the kick in when it is ready for it. */
    stasis_signals_all_but_faults(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    pthread_mutex_lock(&thread->lock); /* another vCPU may ask this one to pause */
    thread->held = true;
    thread->quit_wanted = thread->paused = false;
    rc = pthread_create(&thread->id, NULL, run_thread, thread);
    thread->started = !rc;
    pthread_mutex_unlock(&thread->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        stasis_kick_release(thread->kick_signal);
        errno = rc;
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "cannot start a thread for vCPU %" PRIu32
                                 ", for which the limit of threads (ulimit -u, pids.max) may be "
                                 "too low",
                                 thread->vcpu->id);
    }
    return 0;
}

void stasis_vcpu_thread_release(struct stasis_vcpu_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    thread->held = false;
    pthread_cond_broadcast(&thread->changed);
    pthread_mutex_unlock(&thread->lock);
}

/* Under the lock. A thread that asks for its own pause sees it before it enters the guest again,
 * and so does one that has not begun. Not by pthread_kill(), whose call in musl names no process:
 * a sandbox cannot tell our threads from those of others by it. */
static void kick(const struct stasis_vcpu_thread *thread)
{
    pid_t tid = atomic_load(&thread->tid);

    if (thread->started && tid && !pthread_equal(pthread_self(), thread->id))
        (void)syscall(SYS_tgkill, getpid(), tid, stasis_kick_number(thread->kick_signal));
}

void stasis_vcpu_thread_request_pause(struct stasis_vcpu_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    atomic_store(&thread->pause_wanted, true);
    kick(thread);
    pthread_mutex_unlock(&thread->lock);
}

void stasis_vcpu_thread_wait_paused(struct stasis_vcpu_thread *thread)
{
    while (!stasis_vcpu_thread_wait_paused_ms(thread, KICK_AGAIN_MS))
        ;
}

bool stasis_vcpu_thread_wait_paused_ms(struct stasis_vcpu_thread *thread, unsigned ms)
{
    struct timespec deadline;
    bool paused;
    int rc = 0;

    if (!thread->started)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_nsec += (long)(ms % 1000) * 1000000;
    deadline.tv_sec += (time_t)(ms / 1000) + deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    pthread_mutex_lock(&thread->lock);
    while (!thread->paused && !rc)
        rc = pthread_cond_timedwait(&thread->changed, &thread->lock, &deadline);
    paused = thread->paused;
    if (!paused)
        kick(thread);
    pthread_mutex_unlock(&thread->lock);
    return paused;
}

void stasis_vcpu_thread_resume(struct stasis_vcpu_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    atomic_store(&thread->pause_wanted, false);
    pthread_cond_broadcast(&thread->changed);
    pthread_mutex_unlock(&thread->lock);
}

void stasis_vcpu_thread_begin_job(struct stasis_vcpu_thread *thread, stasis_vcpu_job_fn *job,
                                  void *ctx)
{
    bool takes_it;

    pthread_mutex_lock(&thread->lock);
    takes_it = thread->takes_jobs;
    if (takes_it) {
        thread->job = job;
        thread->job_ctx = ctx;
        pthread_cond_broadcast(&thread->changed);
    }
    pthread_mutex_unlock(&thread->lock);
    if (!takes_it)
        job(ctx, thread->vcpu);
}

void stasis_vcpu_thread_finish_job(struct stasis_vcpu_thread *thread)
{
    pthread_mutex_lock(&thread->lock);
    while (thread->job)
        pthread_cond_wait(&thread->changed, &thread->lock);
    pthread_mutex_unlock(&thread->lock);
}

void stasis_vcpu_thread_stop(struct stasis_vcpu_thread *thread)
{
    bool started, pause_wanted;

    pthread_mutex_lock(&thread->lock);
    thread->quit_wanted = true;
    pause_wanted = atomic_exchange(&thread->pause_wanted, true);
    pthread_cond_broadcast(&thread->changed);
    kick(thread);
    started = thread->started;
    pthread_mutex_unlock(&thread->lock);
    if (!started)
        return;
    stasis_vcpu_thread_wait_paused(thread);
    pthread_mutex_lock(&thread->lock);
    thread->started = false; /* nobody kicks a thread that has been joined */
    pthread_mutex_unlock(&thread->lock);
    pthread_join(thread->id, NULL);
    atomic_store(&thread->pause_wanted, pause_wanted); /* for the next start */
    stasis_kick_release(thread->kick_signal);
}

/* ---- birth and death ---- */

void stasis_vcpu_thread_init(struct stasis_vcpu_thread *thread, struct stasis_vcpu *vcpu,
                             const struct stasis_vcpu_thread_ops *ops, void *ctx)
{
    pthread_condattr_t monotonic;

    memset(thread, 0, sizeof(*thread));
    thread->vcpu = vcpu;
    thread->ops = ops;
    thread->ctx = ctx;
    pthread_mutex_init(&thread->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&thread->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void stasis_vcpu_thread_fini(struct stasis_vcpu_thread *thread)
{
    stasis_vcpu_thread_stop(thread);
    pthread_mutex_destroy(&thread->lock);
    pthread_cond_destroy(&thread->changed);
}
