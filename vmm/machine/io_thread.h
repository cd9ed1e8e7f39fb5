/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The thread of a device that has much to do, or whose host is slow, as a disk is: the device works
 * there, and neither vCPUs nor the event loop wait for it.
 *
 * The device, its queues and the guest's RAM are touched under the machine's lock, as by everybody.
 * The thread leaves the lock while it waits for the host, and must then look at everything anew.
 * Whoever pauses the machine holds its threads: they finish what they have asked of the host, and
 * touch nothing until they are released. So the queues of a paused machine are the pauser's, and a
 * pause waits for no host.
 */
#ifndef STASIS_VMM_IO_THREAD_H
#define STASIS_VMM_IO_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "stasis/error.h"

struct stasis_io_thread_ops {
    /* On the thread, before anything else; an error is the machine's end. */
    int (*begins)(void *ctx, struct stasis_error *err);
    void (*failed)(void *ctx, const struct stasis_error *err);
};

struct stasis_io_thread {
    pthread_mutex_t *lock; /* the machine's */
    void (*work)(void *instance);
    void *instance;
    const char *name;
    int bell_fd; /* eventfd: readable while there is work */
    pthread_t id;
    const struct stasis_io_thread_ops *ops;
    void *ctx;
    /* Under the lock. */
    pthread_cond_t changed;
    bool started, quits;
    bool is_left; /* behind: it waits for the host, for ever perhaps */
    bool held;
    bool is_away; /* it waits for the host */
};

/* Makes a thread that does not run yet: once it does, it calls work(instance), with the lock, after
 * each ring. STASIS_ERR_UNAVAILABLE: no descriptor. */
STASIS_MUST_CHECK int stasis_io_thread_init(struct stasis_io_thread *thread, pthread_mutex_t *lock,
                                            void (*work)(void *instance), void *instance,
                                            const char *name, struct stasis_error *err);
void stasis_io_thread_fini(struct stasis_io_thread *thread);

/* STASIS_ERR_UNAVAILABLE names the device. Without the lock. It can be stopped and started again.
 */
STASIS_MUST_CHECK int stasis_io_thread_start(struct stasis_io_thread *thread,
                                             const struct stasis_io_thread_ops *ops, void *ctx,
                                             struct stasis_error *err);
/* Waits at most that long for what the thread has asked of the host, without the lock. False: it is
 * left behind, and *thread, the lock, the instance and what it has of the host stay for it; there
 * is no fini then. */
STASIS_MUST_CHECK bool stasis_io_thread_stop(struct stasis_io_thread *thread, unsigned limit_ms);

/* There is work. Any thread, before the start as well. */
void stasis_io_thread_ring(const struct stasis_io_thread *thread);

/* Under the lock, not by the thread. Idle: it asks nothing of the host; waited for at most that
 * long, without the lock meanwhile. */
void stasis_io_thread_hold(struct stasis_io_thread *thread);
void stasis_io_thread_release(struct stasis_io_thread *thread);
bool stasis_io_thread_wait_idle(struct stasis_io_thread *thread, unsigned ms);

/* Whether work() is due again. */
bool stasis_io_thread_is_rung(const struct stasis_io_thread *thread);
/* By the thread, in work(): leaves the lock, and takes it again once it is not held. False: it is
 * to return at once. */
void stasis_io_thread_leave(struct stasis_io_thread *thread);
STASIS_MUST_CHECK bool stasis_io_thread_enter(struct stasis_io_thread *thread);

#endif
