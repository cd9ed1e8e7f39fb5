/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio network device (virtio/net.c) on a board.
 *
 * Frames are moved by the device's thread (io_thread.h), which the driver's notifications reach
 * without an exit to the VMM (queue_bells.h), and by the event loop's when the host is ready; a
 * bounded number at a time, of which the rest is the device's thread's.
 */
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "stasis/virtio_net.h"
#include "vmm/machine/adapter.h"
#include "vmm/machine/queue_bells.h"

#define QUEUES      2u    /* of frames that come, and that go */
#define BUSY_MAX    64u   /* frames and turns, until others are let in */
#define GIVE_WAY_NS 20000 /* little beside a whole turn */

#define MAC_FORMAT    "%02x:%02x:%02x:%02x:%02x:%02x"
#define MAC_BYTES(at) (at)[0], (at)[1], (at)[2], (at)[3], (at)[4], (at)[5]

struct instance {
    struct stasis_adapter adapter;
    struct stasis_virtio_net dev;
    struct stasis_virtio_net_counters counted;
    struct stasis_queue_bells bells;
    uint64_t busy; /* frames that the thread has moved, and its turns, since it last gave way */
};

static const struct stasis_device_net *find_net(const struct stasis_device *device)
{
    const struct stasis_device_net *net = device->env->host->net;

    return net && !strcmp(net->id, device->row->instance) ? net : NULL;
}

static const struct stasis_device_net *net_of(const struct instance *net)
{
    return find_net(net->adapter.device);
}

/* ---- the host's side ---- */

static enum stasis_virtio_net_result do_send(void *ctx, const uint8_t *bytes, size_t len)
{
    const struct stasis_device_net *net = net_of(ctx);

    return net ? net->send(net->ctx, bytes, len) : STASIS_VIRTIO_NET_LOST;
}

static size_t do_receive(void *ctx, uint8_t *bytes, size_t size)
{
    const struct stasis_device_net *net = net_of(ctx);

    return net ? net->receive(net->ctx, bytes, size) : 0;
}

static void do_accept(void *ctx, uint64_t offloads)
{
    const struct stasis_device_net *net = net_of(ctx);

    if (net)
        net->accept(net->ctx, offloads);
}

static void wake(void *ctx)
{
    stasis_io_thread_ring(((struct instance *)ctx)->adapter.device->io);
}

static const struct stasis_virtio_net_ops net_ops = {do_send, do_receive, do_accept, wake};

/* What the model has counted since the last call. */
static void count(struct instance *net)
{
    struct stasis_device_counters *counters = stasis_adapter_counters(net);
    const struct stasis_virtio_net_counters *now = &net->dev.counters;
    struct stasis_virtio_net_counters *before = &net->counted;

    stasis_counter_add(&counters->in_bytes, now->rx_bytes - before->rx_bytes);
    stasis_counter_add(&counters->out_bytes, now->tx_bytes - before->tx_bytes);
    stasis_counter_add(&counters->requests,
                       now->rx_frames - before->rx_frames + now->tx_frames - before->tx_frames);
    stasis_counter_add(&counters->dropped_frames,
                       now->rx_dropped - before->rx_dropped + now->tx_dropped - before->tx_dropped);
    *before = *now;
}

/* ---- the device ---- */

/* Where the host has no network for it there is one that nothing leaves, to which no state can be
 * restored. */
static void net_init(void *instance, const struct stasis_device *device)
{
    static const struct stasis_virtio_net_config none = {.mac = {2}, .mtu = 1500};
    struct instance *net = instance;
    const struct stasis_device_net *given = find_net(device);
    const struct stasis_virtio_host host = {
        .memory = stasis_adapter_memory(instance),
        .irq = stasis_adapter_raise_irq,
        .guest_error = stasis_adapter_guest_error,
        .ctx = instance,
    };
    struct stasis_virtio_net_config config = none;
    int rc;

    if (given) {
        memcpy(config.mac, given->mac, sizeof(config.mac));
        config.mtu = given->mtu;
        config.offloads = given->offloads;
    }
    net->adapter.device = device;
    rc = stasis_virtio_net_init(&net->dev, &host, &config, &net_ops, net, NULL);
    assert(!rc);
    (void)rc;
}

static uint64_t net_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_virtio_mmio_read(&((struct instance *)ctx)->dev.mmio, offset, len);
}

static void follow_queues(struct instance *net)
{
    const struct stasis_device *device = net->adapter.device;

    stasis_queue_bells_follow(&net->bells, device, &net->dev.mmio, QUEUES, device->io->bell_fd);
}

static void net_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct instance *net = ctx;

    stasis_virtio_mmio_write(&net->dev.mmio, offset, len, (uint32_t)value);
    follow_queues(net);
    count(net);
}

static void resume(struct instance *net)
{
    stasis_virtio_net_resume(&net->dev);
    count(net);
}

/* ---- on its thread ---- */

static uint64_t count_frames(const struct instance *net)
{
    const struct stasis_virtio_net_counters *counters = &net->dev.counters;

    return counters->tx_frames + counters->tx_dropped + counters->rx_frames + counters->rx_dropped;
}

/* The lock is not fair: who waits for it would hardly get it between one turn of a driver that
 * floods the network, by few frames or by many, and the next. */
static void give_way(struct instance *net)
{
    struct stasis_io_thread *io = net->adapter.device->io;

    net->busy = 0;
    if (!stasis_io_thread_is_rung(io)) /* it will wait for the bell, without the lock */
        return;
    stasis_io_thread_leave(io);
    (void)nanosleep(&(struct timespec){.tv_nsec = GIVE_WAY_NS}, NULL);
    (void)!stasis_io_thread_enter(io); /* it returns all the same */
}

static void net_work(void *instance)
{
    struct instance *net = instance;
    uint64_t frames_before = count_frames(net);

    stasis_counter_add(&stasis_adapter_counters(net)->wakes, 1);
    resume(net);
    net->busy += 1 + count_frames(net) - frames_before;
    if (net->busy > BUSY_MAX)
        give_way(net);
}

/* ---- by the event loop ---- */

void stasis_device_net_resume(struct stasis_device *net)
{
    resume(net->instance);
}

void stasis_device_net_set_link(struct stasis_device *net, bool is_up)
{
    stasis_virtio_net_set_link(&((struct instance *)net->instance)->dev, is_up);
}

/* ---- the state ---- */

static void net_save(const void *instance, void *ret_state)
{
    stasis_virtio_net_save(&((const struct instance *)instance)->dev, ret_state);
}

static int check_mac(const struct stasis_device_net *net,
                     const struct stasis_virtio_net_state *state, struct stasis_error *err)
{
    uint8_t mac[6];

    for (unsigned i = 0; i < sizeof(mac); i++)
        mac[i] = (uint8_t)(state->mac >> 8 * i);
    if (!net->is_mac_given || !memcmp(mac, net->mac, sizeof(mac)))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "network %s had MAC address " MAC_FORMAT " at the freeze, and keeps it; "
                       "leave out net.mac",
                       net->id, MAC_BYTES(mac));
}

static int check_net(const struct instance *instance, const struct stasis_virtio_net_state *state,
                     struct stasis_error *err)
{
    const struct stasis_device_net *net = net_of(instance);
    const char *name = instance->adapter.device->row->instance;

    if (!net)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the guest's network %s is missing; connect it by net.tap or "
                           "net.passt, with net.id=%s",
                           name, name);
    if (net->is_mtu_given && net->mtu != state->mtu)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "network %s had MTU %u at the freeze, and keeps it; leave out net.mtu",
                           name, state->mtu);
    return check_mac(net, state, err);
}

static int net_restore(void *instance, const void *state, struct stasis_error *err)
{
    struct instance *net = instance;
    int rc = check_net(net, state, err);

    return rc ? rc : stasis_virtio_net_restore(&net->dev, state, err);
}

static int net_check_memory(const void *instance, struct stasis_error *err)
{
    return stasis_virtio_mmio_check_memory(&((const struct instance *)instance)->dev.mmio, err);
}

static void net_post_restore(void *instance)
{
    struct instance *net = instance;

    follow_queues(net);
    stasis_virtio_net_apply_outputs(&net->dev);
}

const struct stasis_device_type stasis_device_virtio_net_type = {
    .schema = &stasis_virtio_net_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {net_read, net_write},
    .init = net_init,
    .save = net_save,
    .restore = net_restore,
    .check_memory = net_check_memory,
    .post_restore = net_post_restore,
    .work = net_work,
};
