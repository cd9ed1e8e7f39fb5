/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Packets of a virtio socket device (virtio 1.2, 5.10.6): what those of the driver do to
 * connections, and which ones the driver gets.
 */
#include <assert.h>
#include <endian.h>
#include <string.h>

#include "vsock_internal.h"

#define BOTH_FLAGS (STASIS_VIRTIO_VSOCK_NO_RECEIVE | STASIS_VIRTIO_VSOCK_NO_SEND)

/* ---- from the driver ---- */

/* A reset is never replied to. */
static void refuse(struct stasis_virtio_vsock *vsock,
                   const struct stasis_virtio_vsock_header *header)
{
    if (header->op == STASIS_VIRTIO_VSOCK_OP_REQUEST)
        vsock->counters.refused++;
    if (header->op != STASIS_VIRTIO_VSOCK_OP_RST)
        stasis_virtio_vsock_reply(
            vsock, &(struct stasis_virtio_vsock_reply){header->dst_cid, header->dst_port,
                                                       header->src_port, header->type});
}

static void take_credit(struct stasis_virtio_vsock_connection *conn,
                        const struct stasis_virtio_vsock_header *header)
{
    conn->peer_buf_alloc = header->buf_alloc;
    conn->peer_fwd_cnt = header->fwd_cnt;
    if (stasis_virtio_vsock_credit(conn))
        conn->has_asked = false;
}

static void accept_request(struct stasis_virtio_vsock *vsock,
                           const struct stasis_virtio_vsock_header *header)
{
    struct stasis_virtio_vsock_connection *conn = stasis_virtio_vsock_take(vsock);
    void *peer = conn ? vsock->ops->connect(vsock->ctx, conn->id, header->dst_port) : NULL;

    if (!peer) {
        if (conn)
            stasis_virtio_vsock_free(vsock, conn);
        refuse(vsock, header);
        return;
    }
    conn->peer = peer;
    conn->guest_port = header->src_port;
    conn->host_port = header->dst_port;
    conn->phase = STASIS_VIRTIO_VSOCK_OPEN;
    conn->due = STASIS_VIRTIO_VSOCK_DUE_RESPONSE;
    take_credit(conn, header);
    vsock->counters.to_host++;
}

static void handle_response(struct stasis_virtio_vsock *vsock,
                            struct stasis_virtio_vsock_connection *conn)
{
    if (conn->phase != STASIS_VIRTIO_VSOCK_REQUESTED ||
        conn->due & STASIS_VIRTIO_VSOCK_DUE_REQUEST) {
        stasis_virtio_vsock_reset(vsock, conn);
        return;
    }
    conn->phase = STASIS_VIRTIO_VSOCK_OPEN;
    vsock->counters.from_host++;
    vsock->ops->opened(vsock->ctx, conn->peer, conn->host_port);
}

static void handle_rst(struct stasis_virtio_vsock *vsock,
                       struct stasis_virtio_vsock_connection *conn)
{
    stasis_virtio_vsock_reset(vsock, conn);
    stasis_virtio_vsock_free(vsock, conn);
}

/* 5.10.6.5: when neither end sends any more, a reset confirms it. */
static void handle_shutdown(struct stasis_virtio_vsock *vsock,
                            struct stasis_virtio_vsock_connection *conn,
                            const struct stasis_virtio_vsock_header *header)
{
    conn->guest_flags |= (uint8_t)(header->flags & BOTH_FLAGS);
    if (conn->phase == STASIS_VIRTIO_VSOCK_REQUESTED) {
        stasis_virtio_vsock_reset(vsock, conn);
    } else if (conn->guest_flags == BOTH_FLAGS) {
        if (conn->peer)
            vsock->ops->closed(vsock->ctx, conn->peer);
        conn->peer = NULL;
        conn->phase = STASIS_VIRTIO_VSOCK_CLOSING;
        conn->due = STASIS_VIRTIO_VSOCK_DUE_RST;
    } else if (conn->peer && conn->guest_flags) {
        vsock->ops->shutdown(vsock->ctx, conn->peer, conn->guest_flags);
    }
}

/* Bytes beyond the credit, which they would have to wait for, or after a shutdown. */
static bool may_send(const struct stasis_virtio_vsock_connection *conn, uint32_t len)
{
    uint32_t held = conn->received - conn->consumed;

    return conn->phase == STASIS_VIRTIO_VSOCK_OPEN &&
           !(conn->guest_flags & STASIS_VIRTIO_VSOCK_NO_SEND) &&
           len <= STASIS_VIRTIO_VSOCK_BUFFER - held;
}

static void handle_data(struct stasis_virtio_vsock *vsock,
                        struct stasis_virtio_vsock_connection *conn, uint32_t len)
{
    size_t done = len;

    if (!may_send(conn, len)) {
        stasis_virtio_vsock_reset(vsock, conn);
        return;
    }
    conn->received += len;
    vsock->counters.tx_bytes += len;
    if (len && !(conn->host_flags & STASIS_VIRTIO_VSOCK_NO_RECEIVE))
        done = vsock->ops->send(vsock->ctx, conn->peer, vsock->tx, len);
    if (done == STASIS_VIRTIO_VSOCK_REFUSED) {
        conn->host_flags |= STASIS_VIRTIO_VSOCK_NO_RECEIVE;
        conn->due |= STASIS_VIRTIO_VSOCK_DUE_SHUTDOWN;
        done = len;
    }
    stasis_virtio_vsock_consumed(vsock, conn->id, done);
}

/* One that is only waiting for its reset to be sent hears nothing more. */
static void handle_known(struct stasis_virtio_vsock *vsock,
                         struct stasis_virtio_vsock_connection *conn,
                         const struct stasis_virtio_vsock_header *header)
{
    if (header->op == STASIS_VIRTIO_VSOCK_OP_RST) {
        handle_rst(vsock, conn);
        return;
    }
    if (conn->due & STASIS_VIRTIO_VSOCK_DUE_RST)
        return;
    take_credit(conn, header);
    switch (header->op) {
    case STASIS_VIRTIO_VSOCK_OP_RESPONSE:
        handle_response(vsock, conn);
        break;
    case STASIS_VIRTIO_VSOCK_OP_SHUTDOWN:
        handle_shutdown(vsock, conn, header);
        break;
    case STASIS_VIRTIO_VSOCK_OP_RW:
        handle_data(vsock, conn, header->len);
        break;
    case STASIS_VIRTIO_VSOCK_OP_CREDIT_UPDATE:
        break;
    case STASIS_VIRTIO_VSOCK_OP_CREDIT_REQUEST:
        conn->due |= STASIS_VIRTIO_VSOCK_DUE_CREDIT_UPDATE;
        break;
    default: /* no operation, or a second request */
        stasis_virtio_vsock_reset(vsock, conn);
        break;
    }
}

/* 5.10.6.4: the driver is what it says it is, and talks to the host. */
void stasis_virtio_vsock_handle(struct stasis_virtio_vsock *vsock,
                                const struct stasis_virtio_vsock_header *header)
{
    struct stasis_virtio_vsock_connection *conn;

    if (header->dst_cid != STASIS_VIRTIO_VSOCK_HOST_CID ||
        header->type != STASIS_VIRTIO_VSOCK_STREAM) {
        refuse(vsock, header);
        return;
    }
    conn = stasis_virtio_vsock_find(vsock, header->src_port, header->dst_port);
    if (conn)
        handle_known(vsock, conn, header);
    else if (header->op == STASIS_VIRTIO_VSOCK_OP_REQUEST)
        accept_request(vsock, header);
    else
        refuse(vsock, header);
}

/* ---- to the driver ---- */

static bool has_bytes(const struct stasis_virtio_vsock_connection *conn)
{
    return conn->phase == STASIS_VIRTIO_VSOCK_OPEN && conn->is_ready &&
           !(conn->host_flags & STASIS_VIRTIO_VSOCK_NO_SEND) &&
           !(conn->guest_flags & STASIS_VIRTIO_VSOCK_NO_RECEIVE);
}

/* Bytes that wait for credit ask for it, once (5.10.6.3). A request waits until the driver has
 * ended its old connections. */
static bool has_packet(const struct stasis_virtio_vsock *vsock,
                       struct stasis_virtio_vsock_connection *conn)
{
    bool waits = has_bytes(conn) && !stasis_virtio_vsock_credit(conn);

    if (waits && !conn->has_asked) {
        conn->has_asked = true;
        conn->due |= STASIS_VIRTIO_VSOCK_DUE_CREDIT_REQUEST;
    }
    if (conn->due & STASIS_VIRTIO_VSOCK_DUE_REQUEST)
        return !vsock->is_reset_due && !vsock->is_reset_told;
    return conn->due || (has_bytes(conn) && !waits);
}

/* The next in turn, or NULL. */
static struct stasis_virtio_vsock_connection *next_connection(struct stasis_virtio_vsock *vsock)
{
    for (uint32_t i = 0; i < vsock->top; i++) {
        struct stasis_virtio_vsock_connection *conn =
            &vsock->connections[(vsock->cursor + i) % vsock->top];

        if (has_packet(vsock, conn))
            return conn;
    }
    return NULL;
}

bool stasis_virtio_vsock_has_packet(struct stasis_virtio_vsock *vsock)
{
    return vsock->replies_count || next_connection(vsock);
}

static void store_header(uint8_t *bytes, const struct stasis_virtio_vsock_header *header)
{
    const uint64_t cids[] = {htole64(header->src_cid), htole64(header->dst_cid)};
    const uint32_t words[] = {
        htole32(header->src_port), htole32(header->dst_port),
        htole32(header->len),      htole32(header->type | (uint32_t)header->op << 16),
        htole32(header->flags),    htole32(header->buf_alloc),
        htole32(header->fwd_cnt)};

    _Static_assert(sizeof(cids) + sizeof(words) == STASIS_VIRTIO_VSOCK_HEADER_BYTES, "5.10.6");
    memcpy(bytes, cids, sizeof(cids));
    memcpy(bytes + sizeof(cids), words, sizeof(words));
}

static size_t make_reply(struct stasis_virtio_vsock *vsock)
{
    const struct stasis_virtio_vsock_reply *reply = &vsock->replies[vsock->first_reply];
    const struct stasis_virtio_vsock_header header = {.src_cid = reply->src_cid,
                                                      .dst_cid = vsock->guest_cid,
                                                      .src_port = reply->src_port,
                                                      .dst_port = reply->dst_port,
                                                      .type = reply->type,
                                                      .op = STASIS_VIRTIO_VSOCK_OP_RST};

    vsock->first_reply = (vsock->first_reply + 1) % STASIS_VIRTIO_VSOCK_REPLIES;
    vsock->replies_count--;
    store_header(vsock->rx, &header);
    return STASIS_VIRTIO_VSOCK_HEADER_BYTES;
}

/* The operation of the packet that is due first. */
static uint16_t take_due(struct stasis_virtio_vsock_connection *conn)
{
    static const struct {
        uint8_t due, op;
    } order[] = {
        {STASIS_VIRTIO_VSOCK_DUE_RST, STASIS_VIRTIO_VSOCK_OP_RST},
        {STASIS_VIRTIO_VSOCK_DUE_REQUEST, STASIS_VIRTIO_VSOCK_OP_REQUEST},
        {STASIS_VIRTIO_VSOCK_DUE_RESPONSE, STASIS_VIRTIO_VSOCK_OP_RESPONSE},
        {STASIS_VIRTIO_VSOCK_DUE_CREDIT_UPDATE, STASIS_VIRTIO_VSOCK_OP_CREDIT_UPDATE},
        {STASIS_VIRTIO_VSOCK_DUE_CREDIT_REQUEST, STASIS_VIRTIO_VSOCK_OP_CREDIT_REQUEST},
        {STASIS_VIRTIO_VSOCK_DUE_SHUTDOWN, STASIS_VIRTIO_VSOCK_OP_SHUTDOWN},
    };
    unsigned i = 0;

    while (!(conn->due & order[i].due))
        i++;
    conn->due = (uint8_t)(conn->due & ~order[i].due);
    return order[i].op;
}

/* Bytes of the peer, behind the header. Returns how many. */
static size_t receive(struct stasis_virtio_vsock *vsock,
                      struct stasis_virtio_vsock_connection *conn, size_t room)
{
    uint32_t credit = stasis_virtio_vsock_credit(conn);
    size_t len = room < credit ? room : credit;
    size_t most = len;

    switch (vsock->ops->receive(vsock->ctx, conn->peer,
                                vsock->rx + STASIS_VIRTIO_VSOCK_HEADER_BYTES, &len)) {
    case STASIS_VIRTIO_VSOCK_DATA:
        assert(len && len <= most);
        (void)most;
        conn->sent += (uint32_t)len;
        vsock->counters.rx_bytes += len;
        return len;
    case STASIS_VIRTIO_VSOCK_END:
        conn->host_flags |= STASIS_VIRTIO_VSOCK_NO_SEND;
        conn->due |= STASIS_VIRTIO_VSOCK_DUE_SHUTDOWN;
        break;
    case STASIS_VIRTIO_VSOCK_NOTHING:
        break;
    }
    conn->is_ready = false;
    return 0;
}

static void finish_packet(struct stasis_virtio_vsock *vsock,
                          struct stasis_virtio_vsock_connection *conn, uint16_t op, uint32_t len)
{
    const struct stasis_virtio_vsock_header header = {
        .src_cid = STASIS_VIRTIO_VSOCK_HOST_CID,
        .dst_cid = vsock->guest_cid,
        .src_port = conn->host_port,
        .dst_port = conn->guest_port,
        .len = len,
        .type = STASIS_VIRTIO_VSOCK_STREAM,
        .op = op,
        .flags = op == STASIS_VIRTIO_VSOCK_OP_SHUTDOWN ? conn->host_flags : 0,
        .buf_alloc = STASIS_VIRTIO_VSOCK_BUFFER,
        .fwd_cnt = conn->consumed,
    };

    store_header(vsock->rx, &header);
    conn->told = conn->consumed;
    if (op == STASIS_VIRTIO_VSOCK_OP_RST)
        stasis_virtio_vsock_free(vsock, conn);
}

size_t stasis_virtio_vsock_next_packet(struct stasis_virtio_vsock *vsock, size_t size)
{
    uint16_t op = STASIS_VIRTIO_VSOCK_OP_RW;
    struct stasis_virtio_vsock_connection *conn;
    size_t len = 0;

    if (vsock->replies_count)
        return make_reply(vsock);
    conn = next_connection(vsock);
    if (!conn)
        return 0;
    vsock->cursor = (uint32_t)(conn - vsock->connections) + 1;
    if (size > sizeof(vsock->rx))
        size = sizeof(vsock->rx);
    if (!conn->due)
        len = receive(vsock, conn, size - STASIS_VIRTIO_VSOCK_HEADER_BYTES);
    if (!len && !conn->due)
        return 0;
    if (!len)
        op = take_due(conn);
    finish_packet(vsock, conn, op, (uint32_t)len);
    return STASIS_VIRTIO_VSOCK_HEADER_BYTES + len;
}
