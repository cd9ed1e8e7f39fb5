/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the parts of the host's end of sockets share.
 */
#ifndef STASIS_VMM_HOST_VSOCK_INTERNAL_H
#define STASIS_VMM_HOST_VSOCK_INTERNAL_H

#include "vmm/host/loop.h"
#include "vmm/host/socket.h"
#include "vmm/host/vsock.h"
#include "vmm/host/vsock_line.h"

enum stasis_vsock_phase {
    STASIS_VSOCK_FREE,
    STASIS_VSOCK_ASKS,   /* the program has not said where it wants to go */
    STASIS_VSOCK_WAITS,  /* for the guest to accept */
    STASIS_VSOCK_OPEN,   /* both have it */
    STASIS_VSOCK_DRAINS, /* the guest has gone; the program is given the rest */
};

struct stasis_vsock_peer {
    struct stasis_loop_source source;
    struct stasis_vsock *vsock;
    enum stasis_vsock_phase phase;
    uint64_t order; /* in which programs came */
    uint32_t id;
    struct stasis_vsock_line line;
    bool wants_input;
    bool has_hung_up; /* the program has closed its end; there may be bytes of it */
    bool has_ended;   /* there are none any more, or the guest does not want them */
    bool ends;        /* the guest sends nothing after what is held */
    uint8_t *held;    /* bytes of the guest, [at, end); NULL: none */
    size_t at, end;
};

struct stasis_vsock {
    struct stasis_vsock_guest guest;
    struct stasis_socket socket;
    struct stasis_loop loop;
    struct stasis_loop_source listener;
    bool is_deaf; /* there was no room for another program; looked at again by: */
    struct stasis_loop_source timer;
    struct stasis_loop_source bell; /* eventfd: the guest's */
    bool is_rung;                   /* it has been read, and is not armed */
    uint64_t order;
    unsigned places; /* of peers[] that are used */
    struct stasis_vsock_peer peers[STASIS_VSOCK_PEERS_MAX];
};

/* vsock.c */
void stasis_vsock_peer_free(struct stasis_vsock_peer *peer);

/* ---- vsock_peer.c ---- */

/* Has the loop report what the peer waits for, and its end. */
void stasis_vsock_peer_watch(struct stasis_vsock_peer *peer);
/* Returns how many bytes were sent; STASIS_VSOCK_REFUSED: no more can be. */
size_t stasis_vsock_peer_send_now(const struct stasis_vsock_peer *peer, const uint8_t *bytes,
                                  size_t len);
/* Sends what is held. A peer of which the guest knows no more is freed when it has all. */
void stasis_vsock_peer_flush(struct stasis_vsock_peer *peer);
/* The program has closed its end: what is held is lost. */
void stasis_vsock_peer_drop(struct stasis_vsock_peer *peer);

#endif
