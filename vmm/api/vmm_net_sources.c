/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The network in the event loop. What it would do to a guest that is paused, or being saved, waits.
 */
#include <sys/timerfd.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"

/* ---- asked for under the machine's lock, by any thread ---- */

/* EPOLLPRI does not come, but a tap device that is removed wakes those only that wait for frames or
 * for that. */
static void watch(void *ctx)
{
    struct stasis_vmm *vmm = ctx;

    (void)!stasis_vmm_source_arm(&vmm->net_source, vmm->net.wanted | EPOLLPRI, NULL);
}

static void turn_at(void *ctx, uint64_t at_ns)
{
    const struct stasis_vmm *vmm = ctx;
    const struct itimerspec when = {.it_value = {.tv_sec = (time_t)(at_ns / 1000000000),
                                                 .tv_nsec = (long)(at_ns % 1000000000)}};

    (void)timerfd_settime(vmm->net_timer_source.loop.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* ---- done by the loop ---- */

static struct stasis_device *device_of(struct stasis_vmm *vmm)
{
    return stasis_device_find(&vmm->machine.devices, &stasis_virtio_net_schema, vmm->net.device.id);
}

static bool waits(const struct stasis_vmm *vmm)
{
    return vmm->job || vmm->paused || !vmm->started;
}

static void on_ready(struct stasis_vmm *vmm)
{
    if (waits(vmm))
        return;
    pthread_mutex_lock(&vmm->machine.lock);
    stasis_vmm_net_ready(&vmm->net, device_of(vmm), vmm->net_source.events & (EPOLLHUP | EPOLLERR));
    pthread_mutex_unlock(&vmm->machine.lock);
}

static void drop(void *ctx)
{
    struct stasis_vmm *vmm = ctx;

    stasis_loop_remove(&vmm->loop, &vmm->net_source.loop);
}

/* A connection that was made again has another descriptor. */
static void take_turn(struct stasis_vmm *vmm)
{
    stasis_vmm_net_turn(&vmm->net, device_of(vmm), drop);
    if (vmm->net_source.loop.fd == stasis_vmm_net_fd(&vmm->net))
        return;
    stasis_vmm_source_init(&vmm->net_source, vmm, stasis_vmm_net_fd(&vmm->net), on_ready);
    if (!vmm->net.is_gone)
        watch(vmm);
}

static void on_turn(struct stasis_vmm *vmm)
{
    bool was_up = vmm->net.link_is_up;
    uint64_t count;

    if (waits(vmm))
        return;
    (void)!read(vmm->net_timer_source.loop.fd, &count, sizeof(count));
    pthread_mutex_lock(&vmm->machine.lock);
    take_turn(vmm);
    pthread_mutex_unlock(&vmm->machine.lock);
    (void)!stasis_vmm_source_arm(&vmm->net_timer_source, EPOLLIN, NULL);
    if (was_up && !vmm->net.link_is_up)
        stasis_vmm_say(vmm, "the other side of network %s has gone: the guest's link is down%s",
                       vmm->net.device.id,
                       vmm->net.is_passt
                           ? " until passt is back"
                           : "; freeze the guest, and thaw it with another tap device");
    else if (!was_up && vmm->net.link_is_up)
        stasis_vmm_say(vmm, "network %s is connected again: the guest's link is up",
                       vmm->net.device.id);
}

/* ---- its life ---- */

int stasis_vmm_net_watch(struct stasis_vmm *vmm, struct stasis_error *err)
{
    int timer;

    if (!vmm->net.is_open)
        return 0;
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "cannot make a timerfd");
    stasis_vmm_source_init(&vmm->net_timer_source, vmm, timer, on_turn);
    stasis_vmm_source_init(&vmm->net_source, vmm, stasis_vmm_net_fd(&vmm->net), on_ready);
    vmm->net.watch = watch;
    vmm->net.turn_at = turn_at;
    vmm->net.ctx = vmm;
    return 0;
}

void stasis_vmm_net_release(struct stasis_vmm *vmm)
{
    if (!vmm->net.is_open)
        return;
    pthread_mutex_lock(&vmm->machine.lock);
    if (!vmm->net.is_gone)
        watch(vmm);
    turn_at(vmm, 1);
    pthread_mutex_unlock(&vmm->machine.lock);
    (void)!stasis_vmm_source_arm(&vmm->net_timer_source, EPOLLIN, NULL);
}

void stasis_vmm_net_unwatch(struct stasis_vmm *vmm)
{
    if (!vmm->net_timer_source.vmm)
        return;
    stasis_loop_remove(&vmm->loop, &vmm->net_source.loop);
    stasis_loop_remove(&vmm->loop, &vmm->net_timer_source.loop);
    close(vmm->net_timer_source.loop.fd);
    vmm->net_timer_source.vmm = NULL;
}
