/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A small epoll loop in which a descriptor cannot spin by neglect: a source is armed for one
 * report, and is silent afterwards (also to EPOLLHUP and EPOLLERR, which epoll otherwise reports
 * for ever) until it is armed again. A callback that can go on arms its source again; one that
 * sees end of file, EPOLLHUP or EPOLLERR without anything left to read does not.
 *
 * Descriptors that epoll refuses because they are always ready (regular files, /dev/null) work the
 * same: an armed one is reported on the next turn.
 *
 * Threads: run, dispatch, remove and fini belong to one thread; arm and stop may be called from any
 * thread, with locks held that callbacks take (callbacks are called without any lock).
 */
#ifndef STASIS_VMM_LOOP_H
#define STASIS_VMM_LOOP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "stasis/error.h"

/* The caller's, at a fixed place from the first arm until remove. Set fd, ready and ctx; leave the
 * rest zero. The descriptor stays the caller's: remove the source before closing it. */
struct stasis_loop_source {
    int fd;
    void (*ready)(void *ctx, uint32_t events); /* EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR */
    void *ctx;

    struct stasis_loop_source *next_always_ready; /* private: list of always ready, armed sources */
    uint32_t always_ready_events;                 /* private: 0 when not in that list */
    bool in_epoll;                                /* private: armed before, and not removed */
};

/* Private. */
struct stasis_loop {
    int epoll_fd;
    int wake_fd;
    _Atomic bool stopping;
    pthread_mutex_t lock; /* guards the list, and in_epoll of the sources */
    struct stasis_loop_source *always_ready;
};

/* STASIS_ERR_IO when the process has no descriptors left. */
STASIS_MUST_CHECK int stasis_loop_init(struct stasis_loop *loop, struct stasis_error *err);
void stasis_loop_fini(struct stasis_loop *loop);

/* Asks for one call of source->ready when one of `events` (EPOLLIN, EPOLLOUT) is there, or hang-up
 * or an error. Arming an armed source replaces its events. STASIS_ERR_EXISTS: another source has
 * the descriptor; STASIS_ERR_IO: not a descriptor, or the kernel has no memory. */
STASIS_MUST_CHECK int stasis_loop_arm(struct stasis_loop *loop, struct stasis_loop_source *source,
                                      uint32_t events, struct stasis_error *err);

/* Forgets the source: its callback is not called again. Harmless for one that was never armed. */
void stasis_loop_remove(struct stasis_loop *loop, struct stasis_loop_source *source);

/* Calls callbacks until stop. Returns 0 after a stop; STASIS_ERR_IO when waiting itself fails. */
STASIS_MUST_CHECK int stasis_loop_run(struct stasis_loop *loop, struct stasis_error *err);

/* For a loop around this one: a descriptor that is readable when dispatch has something to do; and
 * dispatch, which calls the callbacks of what has come, not for ever, without waiting. It does not
 * look at stop. */
int stasis_loop_fd(const struct stasis_loop *loop);
STASIS_MUST_CHECK int stasis_loop_dispatch(struct stasis_loop *loop, struct stasis_error *err);

/* Ends run after the callback it is in, or, when it is not running, the next run at once.
 * Async-signal-safe. */
void stasis_loop_stop(struct stasis_loop *loop);

#endif
