/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A peer of the guest's connections: its bytes in both directions.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/host/vsock_internal.h"

void stasis_vsock_peer_watch(struct stasis_vsock_peer *peer)
{
    uint32_t events =
        (peer->wants_input ? (uint32_t)EPOLLIN : 0) | (peer->held ? (uint32_t)EPOLLOUT : 0);

    if (peer->has_hung_up && !peer->has_ended) /* that would be reported without end */
        return;
    (void)!stasis_loop_arm(&peer->vsock->loop, &peer->source, events, NULL);
}

static void drop_held(struct stasis_vsock_peer *peer)
{
    free(peer->held);
    peer->held = NULL;
    peer->at = peer->end = 0;
    if (peer->ends)
        (void)shutdown(peer->source.fd, SHUT_WR);
}

size_t stasis_vsock_peer_send_now(const struct stasis_vsock_peer *peer, const uint8_t *bytes,
                                  size_t len)
{
    ssize_t sent;

    do
        sent = send(peer->source.fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? 0 : STASIS_VSOCK_REFUSED;
    return (size_t)sent;
}

/* The guest gives no more than there is room for. */
static bool hold(struct stasis_vsock_peer *peer, const uint8_t *bytes, size_t len)
{
    if (!peer->held)
        peer->held = malloc(STASIS_VSOCK_BUFFER);
    if (!peer->held)
        return false;
    assert(len <= STASIS_VSOCK_BUFFER - (peer->end - peer->at));
    if (len > STASIS_VSOCK_BUFFER - peer->end) {
        memmove(peer->held, peer->held + peer->at, peer->end - peer->at);
        peer->end -= peer->at;
        peer->at = 0;
    }
    memcpy(peer->held + peer->end, bytes, len);
    peer->end += len;
    return true;
}

size_t stasis_vsock_send(struct stasis_vsock_peer *peer, const uint8_t *bytes, size_t len)
{
    size_t sent = peer->held ? 0 : stasis_vsock_peer_send_now(peer, bytes, len);

    if (sent == STASIS_VSOCK_REFUSED || sent == len)
        return sent;
    if (!hold(peer, bytes + sent, len - sent)) {
        (void)shutdown(peer->source.fd, SHUT_WR);
        return STASIS_VSOCK_REFUSED;
    }
    stasis_vsock_peer_watch(peer);
    return sent;
}

static void consumed(struct stasis_vsock_peer *peer, size_t len)
{
    if (peer->phase == STASIS_VSOCK_OPEN && len)
        peer->vsock->guest.consumed(peer->vsock->guest.ctx, peer->id, len);
}

/* What a program that has gone will not read is lost. */
void stasis_vsock_peer_flush(struct stasis_vsock_peer *peer)
{
    size_t len = peer->end - peer->at;
    size_t sent = stasis_vsock_peer_send_now(peer, peer->held + peer->at, len);

    if (sent == STASIS_VSOCK_REFUSED)
        sent = len;
    peer->at += sent;
    if (sent == len)
        drop_held(peer);
    consumed(peer, sent);
    if (peer->phase == STASIS_VSOCK_DRAINS && !peer->held)
        stasis_vsock_peer_free(peer);
}

void stasis_vsock_peer_drop(struct stasis_vsock_peer *peer)
{
    size_t len = peer->end - peer->at;

    if (peer->held)
        drop_held(peer);
    consumed(peer, len);
}

int stasis_vsock_receive(struct stasis_vsock_peer *peer, uint8_t *bytes, size_t *len)
{
    ssize_t got;

    do
        got = recv(peer->source.fd, bytes, *len, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got > 0) {
        *len = (size_t)got;
        return 1;
    }
    peer->has_ended = got == 0 || errno != EAGAIN;
    peer->wants_input = !peer->has_ended;
    stasis_vsock_peer_watch(peer);
    return peer->has_ended ? -1 : 0;
}

void stasis_vsock_shutdown(struct stasis_vsock_peer *peer, bool no_receive, bool no_send)
{
    if (no_receive) {
        (void)shutdown(peer->source.fd, SHUT_RD);
        peer->has_ended = true;
        peer->wants_input = false;
        stasis_vsock_peer_watch(peer);
    }
    if (no_send) {
        peer->ends = true;
        if (!peer->held)
            (void)shutdown(peer->source.fd, SHUT_WR);
    }
}

void stasis_vsock_closed(struct stasis_vsock_peer *peer)
{
    peer->phase = STASIS_VSOCK_DRAINS;
    peer->wants_input = false;
    peer->has_ended = true;
    if (peer->held)
        stasis_vsock_peer_watch(peer);
    else
        stasis_vsock_peer_free(peer);
}
