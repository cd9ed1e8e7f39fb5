/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The connections of a virtio socket device, and what the host does with them.
 */
#include <assert.h>

#include "vsock_internal.h"

/* An id is a place in the table, and a serial number above it, so that an old one finds nothing. */
#define PLACES STASIS_VIRTIO_VSOCK_CONNECTIONS
_Static_assert(!(PLACES & (PLACES - 1)), "ids are taken apart by masks");

/* Ports of the host's ends: those that Firecracker gives, far from what servers listen on. */
#define PORT_MIN STASIS_VIRTIO_VSOCK_PORT_MIN
#define PORT_MAX STASIS_VIRTIO_VSOCK_PORT_MAX

static bool is_known(const struct stasis_virtio_vsock_connection *conn)
{
    return conn->phase != STASIS_VIRTIO_VSOCK_FREE && conn->phase != STASIS_VIRTIO_VSOCK_GONE;
}

struct stasis_virtio_vsock_connection *
stasis_virtio_vsock_find(struct stasis_virtio_vsock *vsock, uint32_t guest_port, uint32_t host_port)
{
    for (uint32_t i = 0; i < vsock->top; i++) {
        struct stasis_virtio_vsock_connection *conn = &vsock->connections[i];

        if (conn->guest_port == guest_port && conn->host_port == host_port && is_known(conn))
            return conn;
    }
    return NULL;
}

static struct stasis_virtio_vsock_connection *by_id(struct stasis_virtio_vsock *vsock, uint32_t id)
{
    struct stasis_virtio_vsock_connection *conn = &vsock->connections[id % PLACES];

    return conn->id == id && conn->peer ? conn : NULL;
}

static struct stasis_virtio_vsock_connection *first_in(struct stasis_virtio_vsock *vsock,
                                                       enum stasis_virtio_vsock_phase phase)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        if (vsock->connections[i].phase == phase)
            return &vsock->connections[i];
    }
    return NULL;
}

/* 5.10.6.5: a driver that does not answer a shutdown is not waited for without end. */
static struct stasis_virtio_vsock_connection *make_room(struct stasis_virtio_vsock *vsock)
{
    struct stasis_virtio_vsock_connection *conn = first_in(vsock, STASIS_VIRTIO_VSOCK_CLOSING);

    if (!conn || !stasis_virtio_vsock_can_reply(vsock))
        return NULL;
    stasis_virtio_vsock_reply(
        vsock, &(struct stasis_virtio_vsock_reply){STASIS_VIRTIO_VSOCK_HOST_CID, conn->host_port,
                                                   conn->guest_port, STASIS_VIRTIO_VSOCK_STREAM});
    stasis_virtio_vsock_free(vsock, conn);
    return conn;
}

struct stasis_virtio_vsock_connection *stasis_virtio_vsock_take(struct stasis_virtio_vsock *vsock)
{
    struct stasis_virtio_vsock_connection *conn = first_in(vsock, STASIS_VIRTIO_VSOCK_FREE);
    uint32_t place;

    if (!conn)
        conn = make_room(vsock);
    if (!conn)
        return NULL;
    place = (uint32_t)(conn - vsock->connections);
    vsock->serial++;
    *conn = (struct stasis_virtio_vsock_connection){.id = vsock->serial * PLACES + place};
    if (place >= vsock->top)
        vsock->top = place + 1;
    return conn;
}

void stasis_virtio_vsock_free(struct stasis_virtio_vsock *vsock,
                              struct stasis_virtio_vsock_connection *conn)
{
    assert(!conn->peer);
    conn->phase = STASIS_VIRTIO_VSOCK_FREE;
    conn->due = 0;
    while (vsock->top && vsock->connections[vsock->top - 1].phase == STASIS_VIRTIO_VSOCK_FREE)
        vsock->top--;
}

void stasis_virtio_vsock_reset(struct stasis_virtio_vsock *vsock,
                               struct stasis_virtio_vsock_connection *conn)
{
    if (conn->phase == STASIS_VIRTIO_VSOCK_OPEN)
        vsock->counters.resets++;
    else if (conn->phase == STASIS_VIRTIO_VSOCK_REQUESTED)
        vsock->counters.refused++;
    if (conn->peer)
        vsock->ops->closed(vsock->ctx, conn->peer);
    conn->peer = NULL;
    conn->phase = STASIS_VIRTIO_VSOCK_CLOSING;
    conn->due = STASIS_VIRTIO_VSOCK_DUE_RST;
}

void stasis_virtio_vsock_forget(struct stasis_virtio_vsock *vsock)
{
    vsock->replies_count = 0;
    vsock->is_reset_due = vsock->is_reset_told = false;
    for (uint32_t i = 0; i < PLACES; i++) {
        struct stasis_virtio_vsock_connection *conn = &vsock->connections[i];

        conn->phase = conn->peer ? STASIS_VIRTIO_VSOCK_GONE : STASIS_VIRTIO_VSOCK_FREE;
        conn->due = 0;
    }
}

void stasis_virtio_vsock_drop_gone(struct stasis_virtio_vsock *vsock)
{
    for (uint32_t i = vsock->top; i-- > 0;) {
        struct stasis_virtio_vsock_connection *conn = &vsock->connections[i];

        if (conn->phase != STASIS_VIRTIO_VSOCK_GONE)
            continue;
        vsock->ops->closed(vsock->ctx, conn->peer);
        conn->peer = NULL;
        conn->phase = STASIS_VIRTIO_VSOCK_FREE;
    }
    while (vsock->top && vsock->connections[vsock->top - 1].phase == STASIS_VIRTIO_VSOCK_FREE)
        vsock->top--;
}

/* A driver that says that it has consumed more than it got has none. */
uint32_t stasis_virtio_vsock_credit(const struct stasis_virtio_vsock_connection *conn)
{
    uint32_t flying = conn->sent - conn->peer_fwd_cnt;

    return flying < conn->peer_buf_alloc ? conn->peer_buf_alloc - flying : 0;
}

/* ---- resets of what is no connection ---- */

/* A request may make room by one, and be refused by another. */
bool stasis_virtio_vsock_can_reply(const struct stasis_virtio_vsock *vsock)
{
    return vsock->replies_count + 2 <= STASIS_VIRTIO_VSOCK_REPLIES;
}

void stasis_virtio_vsock_reply(struct stasis_virtio_vsock *vsock,
                               const struct stasis_virtio_vsock_reply *reply)
{
    unsigned at = (vsock->first_reply + vsock->replies_count) % STASIS_VIRTIO_VSOCK_REPLIES;

    if (vsock->replies_count == STASIS_VIRTIO_VSOCK_REPLIES)
        return;
    vsock->replies[at] = *reply;
    vsock->replies_count++;
}

/* ---- the host's calls ---- */

/* One that no connection with this port of the driver has. There are more of them than places. */
static uint32_t free_port(struct stasis_virtio_vsock *vsock, uint32_t guest_port)
{
    uint32_t port;

    do {
        port = vsock->next_port;
        vsock->next_port = port == PORT_MAX ? PORT_MIN : port + 1;
    } while (stasis_virtio_vsock_find(vsock, guest_port, port));
    return port;
}

bool stasis_virtio_vsock_open(struct stasis_virtio_vsock *vsock, uint32_t port, void *peer,
                              uint32_t *ret_id)
{
    struct stasis_virtio_vsock_connection *conn = NULL;

    assert(peer);
    if (stasis_virtio_is_live(vsock->mmio.regs.status))
        conn = stasis_virtio_vsock_take(vsock);
    if (!conn) {
        vsock->counters.refused++;
        return false;
    }
    conn->guest_port = port;
    conn->host_port = free_port(vsock, port);
    conn->peer = peer;
    conn->phase = STASIS_VIRTIO_VSOCK_REQUESTED;
    conn->due = STASIS_VIRTIO_VSOCK_DUE_REQUEST;
    *ret_id = conn->id;
    return true;
}

void stasis_virtio_vsock_ready(struct stasis_virtio_vsock *vsock, uint32_t id)
{
    struct stasis_virtio_vsock_connection *conn = by_id(vsock, id);

    if (conn)
        conn->is_ready = true;
}

/* The driver is told early enough that it need not stop (5.10.6.3). */
void stasis_virtio_vsock_consumed(struct stasis_virtio_vsock *vsock, uint32_t id, size_t len)
{
    struct stasis_virtio_vsock_connection *conn = by_id(vsock, id);

    if (!conn)
        return;
    assert(len <= conn->received - conn->consumed);
    conn->consumed += (uint32_t)len;
    if (conn->phase == STASIS_VIRTIO_VSOCK_OPEN && conn->consumed != conn->told &&
        conn->received - conn->told > STASIS_VIRTIO_VSOCK_BUFFER / 2)
        conn->due |= STASIS_VIRTIO_VSOCK_DUE_CREDIT_UPDATE;
}

/* The driver says goodbye by a reset, and may read until then what it has got. */
void stasis_virtio_vsock_close(struct stasis_virtio_vsock *vsock, uint32_t id)
{
    struct stasis_virtio_vsock_connection *conn = by_id(vsock, id);

    if (!conn)
        return;
    conn->peer = NULL;
    if (conn->phase == STASIS_VIRTIO_VSOCK_GONE || (conn->phase == STASIS_VIRTIO_VSOCK_REQUESTED &&
                                                    conn->due & STASIS_VIRTIO_VSOCK_DUE_REQUEST)) {
        stasis_virtio_vsock_free(vsock, conn);
    } else if (conn->phase == STASIS_VIRTIO_VSOCK_REQUESTED) {
        stasis_virtio_vsock_reset(vsock, conn);
    } else {
        conn->phase = STASIS_VIRTIO_VSOCK_CLOSING;
        conn->host_flags = STASIS_VIRTIO_VSOCK_NO_RECEIVE | STASIS_VIRTIO_VSOCK_NO_SEND;
        conn->due |= STASIS_VIRTIO_VSOCK_DUE_SHUTDOWN;
    }
}
