/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A virtio socket device's configuration, reset, and state.
 */
#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <string.h>

#include "vsock_internal.h"

#define ID_SOCKET  19u
#define QUEUE_SIZE 128u

/* struct virtio_vsock_config (5.10.4). */
static void set_cid(struct stasis_virtio_vsock *vsock, uint32_t guest_cid)
{
    uint64_t cid = htole64(guest_cid);

    vsock->guest_cid = guest_cid;
    memcpy(vsock->config, &cid, sizeof(cid));
}

static int check_cid(uint64_t guest_cid, struct stasis_error *err)
{
    if (guest_cid >= STASIS_VIRTIO_VSOCK_CID_MIN && guest_cid <= STASIS_VIRTIO_VSOCK_CID_MAX)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG, "CID %" PRIu64 " is reserved: give %u to %" PRIu32,
                       guest_cid, STASIS_VIRTIO_VSOCK_CID_MIN, STASIS_VIRTIO_VSOCK_CID_MAX);
}

/* The peers hear of it in resume(). */
static void reset(void *device)
{
    struct stasis_virtio_vsock *vsock = device;

    stasis_virtio_vsock_forget(vsock);
    vsock->ops->wake(vsock->ctx);
}

int stasis_virtio_vsock_init(struct stasis_virtio_vsock *vsock,
                             const struct stasis_virtio_host *host, uint64_t guest_cid,
                             const struct stasis_virtio_vsock_ops *ops, void *ctx,
                             struct stasis_error *err)
{
    int rc = check_cid(guest_cid, err);

    assert(ops->connect && ops->opened && ops->send && ops->receive);
    assert(ops->shutdown && ops->closed && ops->wake);
    if (rc)
        return rc;
    memset(vsock, 0, sizeof(*vsock));
    vsock->ops = ops;
    vsock->ctx = ctx;
    vsock->next_port = STASIS_VIRTIO_VSOCK_PORT_MIN;
    set_cid(vsock, (uint32_t)guest_cid);
    vsock->kind = (struct stasis_virtio_kind){.device_id = ID_SOCKET,
                                              .features = STASIS_VIRTIO_VSOCK_F_STREAM,
                                              .queue_count = STASIS_VIRTIO_VSOCK_QUEUES,
                                              .queue_size = QUEUE_SIZE,
                                              .config = vsock->config,
                                              .config_len = sizeof(vsock->config),
                                              .notify = stasis_virtio_vsock_notify,
                                              .reset = reset};
    stasis_virtio_mmio_init(&vsock->mmio, &vsock->kind, vsock, host);
    return 0;
}

/* ---- save and restore ---- */

void stasis_virtio_vsock_save(const struct stasis_virtio_vsock *vsock,
                              struct stasis_virtio_vsock_state *ret_state)
{
    struct stasis_virtio_mmio_state regs;

    stasis_state_init(&stasis_virtio_vsock_schema, ret_state);
    stasis_virtio_mmio_save(&vsock->mmio, &regs);
    memcpy(&ret_state->mmio, &regs, sizeof(regs));
    ret_state->guest_cid = vsock->guest_cid;
    ret_state->next_port = vsock->next_port;
}

/* A driver that is not ready has no connections. Ports go on where they were, as the driver may
 * hear of a new connection before it has heard of the reset. */
int stasis_virtio_vsock_restore(struct stasis_virtio_vsock *vsock,
                                const struct stasis_virtio_vsock_state *state, uint64_t guest_cid,
                                struct stasis_error *err)
{
    struct stasis_virtio_mmio_state regs;
    int rc = stasis_state_check(&stasis_virtio_vsock_schema, state, err);

    memcpy(&regs, &state->mmio, sizeof(regs));
    if (!rc && guest_cid)
        rc = check_cid(guest_cid, err);
    if (!rc)
        rc = stasis_virtio_mmio_restore(&vsock->mmio, &regs, err);
    if (rc)
        return rc;
    stasis_virtio_vsock_forget(vsock);
    set_cid(vsock, guest_cid ? (uint32_t)guest_cid : state->guest_cid);
    vsock->next_port = state->next_port;
    vsock->is_reset_due = stasis_virtio_is_live(state->mmio.status) &&
                          state->mmio.queues[STASIS_VIRTIO_VSOCK_EVENT].ready;
    return 0;
}

void stasis_virtio_vsock_apply_outputs(struct stasis_virtio_vsock *vsock)
{
    stasis_virtio_mmio_apply_outputs(&vsock->mmio);
    vsock->ops->wake(vsock->ctx);
}
