/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/machine/io_thread.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "stasis/fault_signals.h"

int stasis_io_thread_init(struct stasis_io_thread *thread, pthread_mutex_t *lock,
                          void (*work)(void *instance), void *instance, const char *name,
                          struct stasis_error *err)
{
    pthread_condattr_t monotonic;
    int fd = eventfd(0, EFD_CLOEXEC);

    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "eventfd of device %s", name);
    *thread = (struct stasis_io_thread){
        .lock = lock, .work = work, .instance = instance, .name = name, .bell_fd = fd};
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&thread->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return 0;
}

void stasis_io_thread_fini(struct stasis_io_thread *thread)
{
    pthread_cond_destroy(&thread->changed);
    close(thread->bell_fd);
}

/* Cannot fail: the counter is far from full and the descriptor is ours. */
void stasis_io_thread_ring(const struct stasis_io_thread *thread)
{
    uint64_t one = 1;

    (void)!write(thread->bell_fd, &one, sizeof(one));
}

/* ---- on the thread ---- */

bool stasis_io_thread_is_rung(const struct stasis_io_thread *thread)
{
    struct pollfd bell = {.fd = thread->bell_fd, .events = POLLIN};

    return poll(&bell, 1, 0) == 1;
}

void stasis_io_thread_leave(struct stasis_io_thread *thread)
{
    thread->is_away = true;
    pthread_mutex_unlock(thread->lock);
}

bool stasis_io_thread_enter(struct stasis_io_thread *thread)
{
    pthread_mutex_lock(thread->lock);
    thread->is_away = false;
    pthread_cond_broadcast(&thread->changed);
    while (thread->held && !thread->quits)
        pthread_cond_wait(&thread->changed, thread->lock);
    return !thread->quits;
}

static bool wait_for_bell(struct stasis_io_thread *thread)
{
    uint64_t rings;
    ssize_t got;

    do
        got = read(thread->bell_fd, &rings, sizeof(rings));
    while (got < 0 && errno == EINTR);
    if (stasis_io_thread_enter(thread))
        return true;
    stasis_io_thread_ring(thread); /* for when it is started again */
    return false;
}

static void *run_thread(void *arg)
{
    struct stasis_io_thread *thread = arg;
    struct stasis_error err;

    if (thread->ops->begins(thread->ctx, &err)) {
        thread->ops->failed(thread->ctx, &err);
        return NULL;
    }
    for (bool goes_on = true; goes_on;) {
        goes_on = wait_for_bell(thread);
        if (goes_on)
            thread->work(thread->instance);
        goes_on = !thread->quits;
        pthread_mutex_unlock(thread->lock);
    }
    return NULL;
}

/* ---- start and end ---- */

int stasis_io_thread_start(struct stasis_io_thread *thread, const struct stasis_io_thread_ops *ops,
                           void *ctx, struct stasis_error *err)
{
    sigset_t mask, before;
    int rc;

    thread->ops = ops;
    thread->ctx = ctx;
    thread->quits = false;
    stasis_signals_all_but_faults(&mask);
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    rc = pthread_create(&thread->id, NULL, run_thread, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    thread->started = !rc;
    if (!rc)
        return 0;
    errno = rc;
    return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                             "cannot start a thread for device %s, for which the limit of threads "
                             "(ulimit -u, pids.max) may be too low",
                             thread->name);
}

/* ---- the pause ---- */

void stasis_io_thread_hold(struct stasis_io_thread *thread)
{
    thread->held = true;
}

void stasis_io_thread_release(struct stasis_io_thread *thread)
{
    thread->held = false;
    pthread_cond_broadcast(&thread->changed);
}

bool stasis_io_thread_stop(struct stasis_io_thread *thread, unsigned limit_ms)
{
    if (!thread->started)
        return true;
    pthread_mutex_lock(thread->lock);
    thread->quits = true;
    stasis_io_thread_ring(thread);
    pthread_cond_broadcast(&thread->changed);
    thread->is_left = !stasis_io_thread_wait_idle(thread, limit_ms);
    pthread_mutex_unlock(thread->lock);
    if (thread->is_left)
        pthread_detach(thread->id);
    else
        pthread_join(thread->id, NULL);
    thread->started = false;
    return !thread->is_left;
}

bool stasis_io_thread_wait_idle(struct stasis_io_thread *thread, unsigned ms)
{
    struct timespec deadline;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_nsec += (long)(ms % 1000) * 1000000;
    deadline.tv_sec += (time_t)(ms / 1000) + deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    while (thread->is_away && !rc)
        rc = pthread_cond_timedwait(&thread->changed, thread->lock, &deadline);
    return !thread->is_away;
}
