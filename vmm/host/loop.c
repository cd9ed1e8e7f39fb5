/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * EPOLLONESHOT is what makes a source silent after each report. Events are taken one at a time, so
 * that a callback can remove any source without a report of it waiting in an array; epoll itself
 * serves ready descriptors in turn.
 */
#include "vmm/host/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What a loop around this one waits for at most, where events do not end. */
#define DISPATCH_TURNS_MAX 64

int stasis_loop_init(struct stasis_loop *loop, struct stasis_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    if (epoll_fd < 0 || wake_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event)) {
        stasis_fail_errno(err, STASIS_ERR_IO, "cannot make an event loop");
        if (epoll_fd >= 0)
            close(epoll_fd);
        if (wake_fd >= 0)
            close(wake_fd);
        return STASIS_ERR_IO;
    }
    loop->epoll_fd = epoll_fd;
    loop->wake_fd = wake_fd;
    atomic_init(&loop->stopping, false);
    loop->always_ready = NULL;
    pthread_mutex_init(&loop->lock, NULL);
    return 0;
}

void stasis_loop_fini(struct stasis_loop *loop)
{
    close(loop->epoll_fd);
    close(loop->wake_fd);
    pthread_mutex_destroy(&loop->lock);
}

/* Makes the wait return, so that the loop looks at its flag and its list. */
static void wake(const struct stasis_loop *loop)
{
    const uint64_t one = 1;
    /* Refused only when the counter is full, and then the loop is being woken already. */
    ssize_t ignored = write(loop->wake_fd, &one, sizeof(one));

    (void)ignored;
}

static void clear_wake(const struct stasis_loop *loop)
{
    uint64_t count;
    ssize_t ignored = read(loop->wake_fd, &count, sizeof(count));

    (void)ignored;
}

static void unlink_always_ready(struct stasis_loop *loop, struct stasis_loop_source *source)
{
    struct stasis_loop_source **at = &loop->always_ready;

    while (*at && *at != source)
        at = &(*at)->next_always_ready;
    if (*at)
        *at = source->next_always_ready;
    source->next_always_ready = NULL;
    source->always_ready_events = 0;
}

static void arm_always_ready(struct stasis_loop *loop, struct stasis_loop_source *source,
                             uint32_t events)
{
    struct stasis_loop_source **end = &loop->always_ready;

    pthread_mutex_lock(&loop->lock);
    unlink_always_ready(loop, source);
    while (*end)
        end = &(*end)->next_always_ready;
    *end = source;
    source->always_ready_events = events;
    pthread_mutex_unlock(&loop->lock);
    wake(loop);
}

/* As epoll_ctl(), which must not replace another source of the same descriptor. */
static int put_into_epoll(struct stasis_loop *loop, struct stasis_loop_source *source,
                          struct epoll_event *event)
{
    int rc;

    pthread_mutex_lock(&loop->lock);
    rc = epoll_ctl(loop->epoll_fd, source->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, source->fd,
                   event);
    source->in_epoll = source->in_epoll || !rc;
    pthread_mutex_unlock(&loop->lock);
    return rc;
}

int stasis_loop_arm(struct stasis_loop *loop, struct stasis_loop_source *source, uint32_t events,
                    struct stasis_error *err)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data.ptr = source};

    if (!put_into_epoll(loop, source, &event))
        return 0;
    if (errno == EPERM) {
        arm_always_ready(loop, source, events);
        return 0;
    }
    if (errno == EEXIST)
        return stasis_fail(err, STASIS_ERR_EXISTS,
                           "descriptor %d is being watched; watch a duplicate of it (dup)",
                           source->fd);
    return stasis_fail_errno(err, STASIS_ERR_IO, "cannot watch descriptor %d", source->fd);
}

void stasis_loop_remove(struct stasis_loop *loop, struct stasis_loop_source *source)
{
    pthread_mutex_lock(&loop->lock);
    unlink_always_ready(loop, source);
    if (source->in_epoll)
        (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
    source->in_epoll = false;
    pthread_mutex_unlock(&loop->lock);
}

/* Takes the first always ready source off its list: the report it was armed for. */
static struct stasis_loop_source *take_always_ready(struct stasis_loop *loop, uint32_t *ret_events)
{
    struct stasis_loop_source *source;

    pthread_mutex_lock(&loop->lock);
    source = loop->always_ready;
    if (source) {
        *ret_events = source->always_ready_events;
        unlink_always_ready(loop, source);
    }
    pthread_mutex_unlock(&loop->lock);
    return source;
}

static bool has_always_ready(struct stasis_loop *loop)
{
    bool has;

    pthread_mutex_lock(&loop->lock);
    has = loop->always_ready != NULL;
    pthread_mutex_unlock(&loop->lock);
    return has;
}

static bool report_always_ready(struct stasis_loop *loop)
{
    uint32_t events = 0;
    struct stasis_loop_source *source = take_always_ready(loop, &events);

    if (source)
        source->ready(source->ctx, events);
    return source != NULL;
}

/* One wait: how many reports there were, at most one; -1: it failed. A callback may remove the
 * always ready source that kept the wait short, so that is taken only when its turn has come. */
static int wait_once(struct stasis_loop *loop, int timeout)
{
    struct epoll_event event;
    struct stasis_loop_source *source;
    int count = epoll_wait(loop->epoll_fd, &event, 1, has_always_ready(loop) ? 0 : timeout);

    if (count < 0)
        return errno == EINTR ? 0 : -1;
    if (count > 0) {
        source = event.data.ptr;
        if (source)
            source->ready(source->ctx, event.events);
        else
            clear_wake(loop);
    }
    return count;
}

int stasis_loop_run(struct stasis_loop *loop, struct stasis_error *err)
{
    while (!atomic_exchange(&loop->stopping, false)) {
        if (wait_once(loop, -1) < 0)
            return stasis_fail_errno(err, STASIS_ERR_IO, "waiting for events");
        if (!atomic_load(&loop->stopping))
            (void)report_always_ready(loop);
    }
    return 0;
}

int stasis_loop_fd(const struct stasis_loop *loop)
{
    return loop->epoll_fd;
}

int stasis_loop_dispatch(struct stasis_loop *loop, struct stasis_error *err)
{
    int reports = 1;

    for (unsigned turns = 0; reports > 0 && turns < DISPATCH_TURNS_MAX; turns++) {
        reports = wait_once(loop, 0);
        if (reports >= 0)
            reports += report_always_ready(loop);
    }
    if (reports < 0)
        return stasis_fail_errno(err, STASIS_ERR_IO, "waiting for events");
    if (has_always_ready(loop)) /* epoll does not know of it */
        wake(loop);
    return 0;
}

void stasis_loop_stop(struct stasis_loop *loop)
{
    atomic_store(&loop->stopping, true);
    wake(loop);
}
