/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Sockets between the guest and the host. All of it is done by the event loop, under the machine's
 * lock; what it would do to a guest that is paused, or being saved, waits.
 */

#include "vmm/api/vmm_internal.h"
#include "vmm/machine/board.h"

/* ---- from the device to the host ---- */

_Static_assert(STASIS_VSOCK_BUFFER == STASIS_VIRTIO_VSOCK_BUFFER &&
                   STASIS_VSOCK_PEERS_MAX == STASIS_VIRTIO_VSOCK_CONNECTIONS &&
                   STASIS_VSOCK_REFUSED == STASIS_VIRTIO_VSOCK_REFUSED,
               "both ends have the same bounds");

static void *do_connect(void *ctx, uint32_t id, uint32_t port)
{
    const struct stasis_vmm_vsock_host *vsock = ctx;

    return stasis_vsock_connect(vsock->host, id, port);
}

static void do_opened(void *ctx, void *peer, uint32_t port)
{
    (void)ctx;
    stasis_vsock_opened(peer, port);
}

static size_t do_send(void *ctx, void *peer, const uint8_t *bytes, size_t len)
{
    (void)ctx;
    return stasis_vsock_send(peer, bytes, len);
}

static enum stasis_virtio_vsock_received do_receive(void *ctx, void *peer, uint8_t *bytes,
                                                    size_t *len)
{
    int got = stasis_vsock_receive(peer, bytes, len);

    (void)ctx;
    if (got > 0)
        return STASIS_VIRTIO_VSOCK_DATA;
    return got ? STASIS_VIRTIO_VSOCK_END : STASIS_VIRTIO_VSOCK_NOTHING;
}

static void do_shutdown(void *ctx, void *peer, unsigned flags)
{
    (void)ctx;
    stasis_vsock_shutdown(peer, flags & STASIS_VIRTIO_VSOCK_NO_RECEIVE,
                          flags & STASIS_VIRTIO_VSOCK_NO_SEND);
}

static void do_closed(void *ctx, void *peer)
{
    (void)ctx;
    stasis_vsock_closed(peer);
}

static const struct stasis_virtio_vsock_ops device_ops = {
    do_connect, do_opened, do_send, do_receive, do_shutdown, do_closed, NULL};

/* ---- from the host to the device ---- */

static struct stasis_device *device_of(struct stasis_vmm *vmm)
{
    return stasis_device_find(&vmm->machine.devices, &stasis_virtio_vsock_schema,
                              vmm->vsock.device.id);
}

static bool on_open(void *ctx, uint32_t port, struct stasis_vsock_peer *peer, uint32_t *ret_id)
{
    return stasis_device_vsock_open(device_of(ctx), port, peer, ret_id);
}

static void on_readable(void *ctx, uint32_t id)
{
    stasis_device_vsock_ready(device_of(ctx), id);
}

static void on_consumed(void *ctx, uint32_t id, size_t len)
{
    stasis_device_vsock_consumed(device_of(ctx), id, len);
}

static void on_close(void *ctx, uint32_t id)
{
    stasis_device_vsock_close(device_of(ctx), id);
}

/* ---- in the event loop ---- */

static void on_ready(struct stasis_vmm *vmm)
{
    if (vmm->job || vmm->paused || !vmm->started)
        return;
    pthread_mutex_lock(&vmm->machine.lock);
    stasis_vsock_dispatch(vmm->vsock.host);
    stasis_device_vsock_resume(device_of(vmm));
    pthread_mutex_unlock(&vmm->machine.lock);
    (void)!stasis_vmm_source_arm(&vmm->vsock_source, EPOLLIN, NULL);
}

void stasis_vmm_vsock_release(struct stasis_vmm *vmm)
{
    if (vmm->vsock.host)
        (void)!stasis_vmm_source_arm(&vmm->vsock_source, EPOLLIN, NULL);
}

void stasis_vmm_vsock_guest_gone(struct stasis_vmm *vmm)
{
    if (vmm->vsock.host)
        stasis_vsock_guest_gone(vmm->vsock.host);
}

/* ---- its life ---- */

void stasis_vmm_vsock_describe(const struct stasis_vmm_config *config,
                               struct stasis_vmm_vsock_host *vsock)
{
    vsock->device = (struct stasis_device_vsock){.id = stasis_config_vsock_id(config),
                                                 .guest_cid = config->vsock.cid,
                                                 .ops = &device_ops,
                                                 .ctx = vsock};
}

int stasis_vmm_vsock_open(struct stasis_vmm *vmm, struct stasis_error *err)
{
    const struct stasis_vsock_guest guest = {on_open, on_readable, on_consumed, on_close, vmm};
    const char *path = vmm->config->vsock.path;
    int rc = path ? stasis_vsock_open(path, &guest, &vmm->vsock.host, err) : 0;

    if (rc)
        return stasis_wrap(err, rc, "vsock.path=%s", path);
    if (!path)
        return 0;
    stasis_vmm_vsock_describe(vmm->config, &vmm->vsock);
    vmm->vsock.device.has_bell = true;
    vmm->vsock.device.bell_fd = stasis_vsock_bell(vmm->vsock.host);
    vmm->host.vsock = &vmm->vsock.device;
    stasis_vmm_source_init(&vmm->vsock_source, vmm, stasis_vsock_fd(vmm->vsock.host), on_ready);
    return 0;
}

void stasis_vmm_vsock_close(struct stasis_vmm *vmm)
{
    if (!vmm->vsock.host)
        return;
    stasis_loop_remove(&vmm->loop, &vmm->vsock_source.loop);
    stasis_vsock_close(vmm->vsock.host);
    vmm->vsock.host = NULL;
}

int stasis_vmm_vsock_check(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    int rc = config->vsock.path ? stasis_vsock_check(config->vsock.path, err) : 0;

    return rc ? stasis_wrap(err, rc, "vsock.path=%s", config->vsock.path) : 0;
}

int stasis_vmm_vsock_check_board(const struct stasis_vmm_config *config,
                                 const struct stasis_board_state *board, struct stasis_error *err)
{
    const char *id = stasis_config_vsock_id(config);

    if (!config->vsock.path || stasis_board_has(board, stasis_virtio_vsock_schema.type, id))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the guest has no sockets %s; leave out vsock.path, or set vsock.id to the "
                       "name of sockets that it has",
                       id);
}
