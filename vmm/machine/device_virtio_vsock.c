/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio socket device (virtio/vsock.c) on a board.
 *
 * All is the event loop's, since only that may open sockets in the sandbox: the driver's
 * notifications reach it without an exit to the VMM (queue_bells.h), where the host's end has a
 * descriptor for them, and else by the device's timer.
 */
#include <string.h>

#include "stasis/virtio_vsock.h"
#include "vmm/machine/adapter.h"
#include "vmm/machine/queue_bells.h"

#define QUEUES 2u /* of packets that come, and that go; the third is told of once a thaw */

struct instance {
    struct stasis_adapter adapter;
    const struct stasis_device_vsock *given;
    struct stasis_virtio_vsock dev;
    struct stasis_virtio_vsock_counters counted;
    struct stasis_queue_bells bells;
};

/* ---- the host's end ---- */

static void *connect_nowhere(void *ctx, uint32_t id, uint32_t port)
{
    (void)ctx, (void)id, (void)port;
    return NULL;
}

/* Where there is none for the device, it has no peers, of which the others would be called. */
static const struct stasis_virtio_vsock_ops nobodys_ops = {.connect = connect_nowhere};
static const struct stasis_device_vsock nobody = {.ops = &nobodys_ops};

static const struct stasis_device_vsock *find_vsock(const struct stasis_device *device)
{
    const struct stasis_device_vsock *vsock = device->env->host->vsock;

    return vsock && !strcmp(vsock->id, device->row->instance) ? vsock : &nobody;
}

static const struct stasis_device_vsock *vsock_of(const struct instance *vsock)
{
    return vsock->given;
}

static void *do_connect(void *ctx, uint32_t id, uint32_t port)
{
    const struct stasis_device_vsock *vsock = vsock_of(ctx);

    return vsock->ops->connect(vsock->ctx, id, port);
}

static void do_opened(void *ctx, void *peer, uint32_t port)
{
    const struct stasis_device_vsock *vsock = vsock_of(ctx);

    vsock->ops->opened(vsock->ctx, peer, port);
}

static size_t do_send(void *ctx, void *peer, const uint8_t *bytes, size_t len)
{
    const struct stasis_device_vsock *vsock = vsock_of(ctx);

    return vsock->ops->send(vsock->ctx, peer, bytes, len);
}

static enum stasis_virtio_vsock_received do_receive(void *ctx, void *peer, uint8_t *bytes,
                                                    size_t *len)
{
    const struct stasis_device_vsock *vsock = vsock_of(ctx);

    return vsock->ops->receive(vsock->ctx, peer, bytes, len);
}

static void do_shutdown(void *ctx, void *peer, unsigned flags)
{
    const struct stasis_device_vsock *vsock = vsock_of(ctx);

    vsock->ops->shutdown(vsock->ctx, peer, flags);
}

static void do_closed(void *ctx, void *peer)
{
    const struct stasis_device_vsock *vsock = vsock_of(ctx);

    vsock->ops->closed(vsock->ctx, peer);
}

static const struct stasis_virtio_vsock_ops vsock_ops = {
    do_connect, do_opened, do_send, do_receive, do_shutdown, do_closed, stasis_adapter_wake};

/* What the model has counted since the last call. */
static void count(struct instance *vsock)
{
    struct stasis_device_counters *counters = stasis_adapter_counters(vsock);
    const struct stasis_virtio_vsock_counters *now = &vsock->dev.counters;
    struct stasis_virtio_vsock_counters *before = &vsock->counted;

    stasis_counter_add(&counters->in_bytes, now->rx_bytes - before->rx_bytes);
    stasis_counter_add(&counters->out_bytes, now->tx_bytes - before->tx_bytes);
    stasis_counter_add(&counters->connections,
                       now->from_host - before->from_host + now->to_host - before->to_host);
    stasis_counter_add(&counters->refused,
                       now->refused - before->refused + now->resets - before->resets);
    *before = *now;
}

/* ---- the device ---- */

/* A thawed guest's CID comes with its state. */
static void vsock_init(void *instance, const struct stasis_device *device)
{
    struct instance *vsock = instance;
    const struct stasis_device_vsock *given = find_vsock(device);
    const struct stasis_virtio_host host = {
        .memory = stasis_adapter_memory(instance),
        .irq = stasis_adapter_raise_irq,
        .guest_error = stasis_adapter_guest_error,
        .ctx = instance,
    };
    uint64_t guest_cid = given->guest_cid ? given->guest_cid : STASIS_VIRTIO_VSOCK_CID_MIN;
    int rc;

    vsock->adapter.device = device;
    vsock->given = given;
    rc = stasis_virtio_vsock_init(&vsock->dev, &host, guest_cid, &vsock_ops, vsock, NULL);
    assert(!rc);
    (void)rc;
}

static uint64_t vsock_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_virtio_mmio_read(&((struct instance *)ctx)->dev.mmio, offset, len);
}

static void follow_queues(struct instance *vsock)
{
    const struct stasis_device_vsock *given = vsock_of(vsock);

    if (given->has_bell)
        stasis_queue_bells_follow(&vsock->bells, vsock->adapter.device, &vsock->dev.mmio, QUEUES,
                                  given->bell_fd);
}

static void vsock_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct instance *vsock = ctx;

    stasis_virtio_mmio_write(&vsock->dev.mmio, offset, len, (uint32_t)value);
    follow_queues(vsock);
}

static void vsock_timer(void *instance)
{
    struct instance *vsock = instance;

    stasis_virtio_vsock_resume(&vsock->dev);
    count(vsock);
}

/* ---- what the host asks for ---- */

static struct stasis_virtio_vsock *dev_of(struct stasis_device *vsock)
{
    return &((struct instance *)vsock->instance)->dev;
}

bool stasis_device_vsock_open(struct stasis_device *vsock, uint32_t port, void *peer,
                              uint32_t *ret_id)
{
    return stasis_virtio_vsock_open(dev_of(vsock), port, peer, ret_id);
}

void stasis_device_vsock_ready(struct stasis_device *vsock, uint32_t id)
{
    stasis_virtio_vsock_ready(dev_of(vsock), id);
}

void stasis_device_vsock_consumed(struct stasis_device *vsock, uint32_t id, size_t len)
{
    stasis_virtio_vsock_consumed(dev_of(vsock), id, len);
}

void stasis_device_vsock_close(struct stasis_device *vsock, uint32_t id)
{
    stasis_virtio_vsock_close(dev_of(vsock), id);
}

void stasis_device_vsock_resume(struct stasis_device *vsock)
{
    vsock_timer(vsock->instance);
}

/* ---- the state ---- */

static void vsock_save(const void *instance, void *ret_state)
{
    stasis_virtio_vsock_save(&((const struct instance *)instance)->dev, ret_state);
}

static int vsock_restore(void *instance, const void *state, struct stasis_error *err)
{
    struct instance *vsock = instance;
    const struct stasis_device_vsock *given = vsock_of(vsock);
    const char *name = vsock->adapter.device->row->instance;

    if (given == &nobody)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the guest's sockets %s are missing; give a path for them by "
                           "vsock.path, with vsock.id=%s",
                           name, name);
    return stasis_virtio_vsock_restore(&vsock->dev, state, given->guest_cid, err);
}

static int vsock_check_memory(const void *instance, struct stasis_error *err)
{
    return stasis_virtio_mmio_check_memory(&((const struct instance *)instance)->dev.mmio, err);
}

static void vsock_post_restore(void *instance)
{
    struct instance *vsock = instance;

    follow_queues(vsock);
    stasis_virtio_vsock_apply_outputs(&vsock->dev);
}

const struct stasis_device_type stasis_device_virtio_vsock_type = {
    .schema = &stasis_virtio_vsock_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {vsock_read, vsock_write},
    .init = vsock_init,
    .save = vsock_save,
    .restore = vsock_restore,
    .check_memory = vsock_check_memory,
    .post_restore = vsock_post_restore,
    .timer = vsock_timer,
};
