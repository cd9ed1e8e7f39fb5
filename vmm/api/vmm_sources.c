/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"

/* ---- events ---- */

static void drain_counter(int fd)
{
    uint64_t count;

    (void)!read(fd, &count, sizeof(count));
}

/* Descriptors of our own can always be armed again. */
static void rearm(struct stasis_vmm *vmm, struct stasis_loop_source *source)
{
    (void)!stasis_loop_arm(&vmm->loop, source, EPOLLIN, NULL);
}

static void on_end(void *ctx, uint32_t events)
{
    struct stasis_vmm *vmm = ctx;

    (void)events;
    stasis_loop_stop(&vmm->loop);
}

static void on_request(void *ctx, uint32_t events)
{
    struct stasis_vmm *vmm = ctx;

    (void)events;
    stasis_vmm_take_requests(vmm);
    stasis_vmm_run_commands(vmm);
    rearm(vmm, &vmm->request_source);
}

static void on_wake(void *ctx, uint32_t events)
{
    struct stasis_vmm *vmm = ctx;

    (void)events;
    drain_counter(vmm->wake_source.fd);
    if (atomic_exchange(&vmm->matched, false))
        stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
    stasis_vmm_console_push_input(vmm);
    stasis_vmm_run_commands(vmm);
    rearm(vmm, &vmm->wake_source);
}

static void on_timer(void *ctx, uint32_t events)
{
    struct stasis_vmm *vmm = ctx;

    (void)events;
    drain_counter(vmm->timer_source.fd);
    vmm->timer_pending = false;
    stasis_keys_queue_put(&vmm->commands, STASIS_KEYS_SNAPSHOT);
    stasis_vmm_run_commands(vmm);
    rearm(vmm, &vmm->timer_source);
}

static void on_rtc(void *ctx, uint32_t events)
{
    struct stasis_vmm *vmm = ctx;

    (void)events;
    drain_counter(vmm->rtc_source.fd);
    pthread_mutex_lock(&vmm->machine.lock);
    stasis_device_pl031_alarm(vmm->rtc);
    pthread_mutex_unlock(&vmm->machine.lock);
    rearm(vmm, &vmm->rtc_source);
}

void stasis_vmm_wake(struct stasis_vmm *vmm)
{
    uint64_t one = 1;

    /* Cannot fail: the counter is far from full. */
    (void)!write(vmm->wake_source.fd, &one, sizeof(one));
}

/* ---- opening and closing ---- */

static int add(struct stasis_vmm *vmm, struct stasis_loop_source *source, int fd,
               void (*ready)(void *, uint32_t), const char *name, struct stasis_error *err)
{
    *source = (struct stasis_loop_source){.fd = fd, .ready = ready, .ctx = vmm};
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot make a %s", name);
    return stasis_loop_arm(&vmm->loop, source, EPOLLIN, err);
}

int stasis_vmm_sources_open(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const int timer_flags = TFD_CLOEXEC | TFD_NONBLOCK;
    int rc = stasis_loop_init(&vmm->loop, err);

    vmm->wake_source.fd = vmm->timer_source.fd = vmm->rtc_source.fd = -1;
    if (rc)
        return rc;
    vmm->loop_ready = true;
    if (vmm->client->request_fd >= 0)
        rc = add(vmm, &vmm->request_source, vmm->client->request_fd, on_request, "request", err);
    if (!rc)
        rc = add(vmm, &vmm->wake_source, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), on_wake, "eventfd",
                 err);
    if (!rc)
        rc = add(vmm, &vmm->timer_source, timerfd_create(CLOCK_MONOTONIC, timer_flags), on_timer,
                 "timerfd", err);
    if (!rc)
        rc = add(vmm, &vmm->rtc_source, timerfd_create(CLOCK_REALTIME, timer_flags), on_rtc,
                 "timerfd", err);
    return rc;
}

int stasis_vmm_sources_watch_end(struct stasis_vmm *vmm, struct stasis_error *err)
{
    return add(vmm, &vmm->end_source, vmm->machine.end_fd, on_end, "eventfd", err);
}

void stasis_vmm_sources_start_timer(struct stasis_vmm *vmm)
{
    uint64_t ms = vmm->config->snapshot_after_ms;
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000}};

    if (!vmm->config->snapshot_timed)
        return;
    vmm->timer_pending = true;
    if (!ms)
        when.it_value.tv_nsec = 1;
    (void)timerfd_settime(vmm->timer_source.fd, 0, &when, NULL);
}

void stasis_vmm_sources_unwatch(struct stasis_vmm *vmm)
{
    if (!vmm->loop_ready)
        return;
    stasis_loop_remove(&vmm->loop, &vmm->end_source);
    stasis_loop_remove(&vmm->loop, &vmm->request_source);
    stasis_loop_remove(&vmm->loop, &vmm->input_source);
    stasis_loop_remove(&vmm->loop, &vmm->output_source);
}

static void close_source(struct stasis_vmm *vmm, struct stasis_loop_source *source)
{
    stasis_loop_remove(&vmm->loop, source);
    if (source->fd >= 0)
        close(source->fd);
}

void stasis_vmm_sources_close(struct stasis_vmm *vmm)
{
    if (!vmm->loop_ready)
        return;
    close_source(vmm, &vmm->wake_source);
    close_source(vmm, &vmm->timer_source);
    close_source(vmm, &vmm->rtc_source);
    stasis_loop_fini(&vmm->loop);
}
