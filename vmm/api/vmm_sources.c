/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/base/clock.h"

/* ---- events ---- */

static void drain_counter(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
}

static void on_ready(void *ctx, uint32_t events)
{
    struct stasis_vmm_source *source = ctx;
    struct stasis_vmm *vmm = source->vmm;

    stasis_vmm_lock(vmm);
    stasis_vmm_watches_reap(vmm);
    source->events = events;
    if (!vmm->done)
        source->handle(vmm);
    stasis_vmm_settle(vmm);
    stasis_vmm_unlock(vmm);
}

void stasis_vmm_source_init(struct stasis_vmm_source *source, struct stasis_vmm *vmm, int fd,
                            void (*handle)(struct stasis_vmm *vmm))
{
    if (source->loop.in_epoll) /* of a start that failed */
        stasis_loop_remove(&vmm->loop, &source->loop);
    *source = (struct stasis_vmm_source){
        .loop = {.fd = fd, .ready = on_ready, .ctx = source}, .handle = handle, .vmm = vmm};
}

int stasis_vmm_source_arm(struct stasis_vmm_source *source, uint32_t events,
                          struct stasis_error *err)
{
    return stasis_loop_arm(&source->vmm->loop, &source->loop, events, err);
}

/* Descriptors of our own can always be armed again. */
static void rearm(struct stasis_vmm_source *source)
{
    (void)!stasis_vmm_source_arm(source, EPOLLIN, NULL);
}

static void on_end(struct stasis_vmm *vmm)
{
    if (stasis_vmm_is_reset(vmm))
        vmm->reset = true;
    else if (stasis_vmm_wants_crash(vmm))
        vmm->saves_crash = true;
    else
        stasis_vmm_stop_soon(vmm);
}

/* The text of on_output waits for the save under way, which may be the one that it asks for. */
static void on_wake(struct stasis_vmm *vmm)
{
    drain_counter(vmm->wake_source.loop.fd);
    stasis_vmm_guest_errors_tell(vmm, false);
    stasis_vmm_openings_take(vmm);
    if (vmm->started && !vmm->job) {
        if (atomic_exchange(&vmm->matched, false))
            stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
        stasis_vmm_console_push_input(vmm);
        stasis_vmm_run_commands(vmm);
    }
    rearm(&vmm->wake_source);
}

static void on_job(struct stasis_vmm *vmm)
{
    struct stasis_vmm_job *job = vmm->job;

    drain_counter(vmm->job_source.loop.fd);
    rearm(&vmm->job_source);
    if (!job)
        return;
    atomic_store(&job->told, false);
    if (atomic_load(&job->total) && vmm->ops.progress &&
        !vmm->ops.progress(vmm->ops.ctx, STASIS_VMM_SAVING, atomic_load(&job->done),
                           atomic_load(&job->total)))
        atomic_store(&job->cancelled, true);
    if (atomic_load(&job->finished))
        stasis_vmm_end_save(vmm);
}

static void on_timer(struct stasis_vmm *vmm)
{
    drain_counter(vmm->timer_source.loop.fd);
    vmm->timer_pending = false;
    stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
    stasis_vmm_run_commands(vmm);
}

static void on_rtc(struct stasis_vmm *vmm)
{
    if (vmm->job)
        return;
    drain_counter(vmm->rtc_source.loop.fd);
    pthread_mutex_lock(&vmm->machine.lock);
    stasis_device_alarm(vmm->rtc);
    pthread_mutex_unlock(&vmm->machine.lock);
    rearm(&vmm->rtc_source);
}

/* ---- devices that wait ---- */

void stasis_vmm_sources_set_wait(struct stasis_vmm *vmm)
{
    struct itimerspec when = {.it_value = {.tv_sec = 0}};
    uint64_t first = 0;

    for (size_t i = 0; i < STASIS_DEVICE_MAX; i++) {
        if (vmm->wait_until_ns[i] && (!first || vmm->wait_until_ns[i] < first))
            first = vmm->wait_until_ns[i];
    }
    when.it_value.tv_sec = (time_t)(first / 1000000000);
    when.it_value.tv_nsec = (long)(first % 1000000000);
    (void)timerfd_settime(vmm->wait_source.loop.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void on_wait(struct stasis_vmm *vmm)
{
    uint64_t now = stasis_monotonic_ns();

    if (vmm->job || vmm->paused)
        return;
    drain_counter(vmm->wait_source.loop.fd);
    pthread_mutex_lock(&vmm->machine.lock);
    for (uint32_t i = 0; i < vmm->machine.devices.count; i++) {
        if (!vmm->wait_until_ns[i] || vmm->wait_until_ns[i] > now)
            continue;
        vmm->wait_until_ns[i] = 0;
        stasis_device_timer(&vmm->machine.devices.list[i]);
    }
    stasis_vmm_sources_set_wait(vmm);
    pthread_mutex_unlock(&vmm->machine.lock);
    rearm(&vmm->wait_source);
}

void stasis_vmm_sources_release_waits(struct stasis_vmm *vmm)
{
    rearm(&vmm->wait_source);
    stasis_vmm_net_release(vmm);
    stasis_vmm_vsock_release(vmm);
}

/* A counter that is armed again reports what it holds. */
void stasis_vmm_sources_release(struct stasis_vmm *vmm)
{
    rearm(&vmm->rtc_source);
    rearm(&vmm->wait_source);
    stasis_vmm_net_release(vmm);
    stasis_vmm_vsock_release(vmm);
    (void)!stasis_vmm_source_arm(&vmm->output_source, EPOLLOUT, NULL);
    stasis_vmm_wake(vmm);
}

static void write_counter(const struct stasis_vmm_source *source)
{
    uint64_t one = 1;

    /* Cannot fail: the counter is far from full. */
    (void)!write(source->loop.fd, &one, sizeof(one));
}

void stasis_vmm_wake(struct stasis_vmm *vmm)
{
    write_counter(&vmm->wake_source);
}

void stasis_vmm_wake_job(struct stasis_vmm *vmm)
{
    write_counter(&vmm->job_source);
}

/* ---- opening and closing ---- */

static int add(struct stasis_vmm *vmm, struct stasis_vmm_source *source, int fd,
               void (*handle)(struct stasis_vmm *), const char *name, struct stasis_error *err)
{
    stasis_vmm_source_init(source, vmm, fd, handle);
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot make a %s", name);
    return stasis_vmm_source_arm(source, EPOLLIN, err);
}

int stasis_vmm_sources_open(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const int event_flags = EFD_CLOEXEC | EFD_NONBLOCK;
    const int timer_flags = TFD_CLOEXEC | TFD_NONBLOCK;
    int rc = stasis_loop_init(&vmm->loop, err);

    vmm->wake_source.loop.fd = vmm->job_source.loop.fd = -1;
    vmm->timer_source.loop.fd = vmm->rtc_source.loop.fd = vmm->wait_source.loop.fd = -1;
    if (rc)
        return rc;
    vmm->loop_ready = true;
    rc = add(vmm, &vmm->wake_source, eventfd(0, event_flags), on_wake, "eventfd", err);
    if (!rc)
        rc = add(vmm, &vmm->job_source, eventfd(0, event_flags), on_job, "eventfd", err);
    if (!rc)
        rc = add(vmm, &vmm->timer_source, timerfd_create(CLOCK_MONOTONIC, timer_flags), on_timer,
                 "timerfd", err);
    if (!rc)
        rc = add(vmm, &vmm->rtc_source, timerfd_create(CLOCK_REALTIME, timer_flags), on_rtc,
                 "timerfd", err);
    if (!rc)
        rc = add(vmm, &vmm->wait_source, timerfd_create(CLOCK_MONOTONIC, timer_flags), on_wait,
                 "timerfd", err);
    return rc;
}

int stasis_vmm_sources_watch_end(struct stasis_vmm *vmm, struct stasis_error *err)
{
    return add(vmm, &vmm->end_source, vmm->machine.end_fd, on_end, "eventfd", err);
}

void stasis_vmm_sources_unwatch_end(struct stasis_vmm *vmm)
{
    stasis_loop_remove(&vmm->loop, &vmm->end_source.loop);
}

void stasis_vmm_sources_start_timer(struct stasis_vmm *vmm)
{
    uint64_t ms = vmm->config->snapshot.after_ms;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000}};

    if (!vmm->config->snapshot.timed)
        return;
    vmm->timer_pending = true;
    if (!ms)
        when.it_value.tv_nsec = 1;
    (void)timerfd_settime(vmm->timer_source.loop.fd, 0, &when, NULL);
}

void stasis_vmm_sources_unwatch(struct stasis_vmm *vmm)
{
    if (!vmm->loop_ready)
        return;
    stasis_vmm_sources_unwatch_end(vmm);
    stasis_loop_remove(&vmm->loop, &vmm->input_source.loop);
    stasis_loop_remove(&vmm->loop, &vmm->output_source.loop);
}

static void close_source(struct stasis_vmm *vmm, struct stasis_vmm_source *source)
{
    stasis_loop_remove(&vmm->loop, &source->loop);
    if (source->loop.fd >= 0)
        close(source->loop.fd);
}

void stasis_vmm_sources_close(struct stasis_vmm *vmm)
{
    if (!vmm->loop_ready)
        return;
    close_source(vmm, &vmm->wake_source);
    close_source(vmm, &vmm->job_source);
    close_source(vmm, &vmm->timer_source);
    close_source(vmm, &vmm->rtc_source);
    close_source(vmm, &vmm->wait_source);
    stasis_loop_fini(&vmm->loop);
}
