/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The host's end of a guest's socket device, as Firecracker and Cloud Hypervisor have it: a program
 * connects to the Unix socket PATH, says "CONNECT <port>\n", and hears "OK <port>\n" once the guest
 * has accepted; a guest that connects to a port of the host is connected to the socket PATH_<port>.
 *
 * No call waits. There are at most STASIS_VSOCK_PEERS_MAX peers, and no more than half of the
 * descriptors that the process may have; each holds at most STASIS_VSOCK_BUFFER bytes of the guest.
 * When there is no room for another program, the oldest of those that have not said where they want
 * to go makes it, or of those whose guest has gone and that do not read. All is done by the
 * descriptor of PATH's folder, so that it works in a process that has lost sight of that.
 *
 * Threads: calls are serialized by the caller. Those to the guest's end come from dispatch() alone.
 */
#ifndef STASIS_VMM_HOST_VSOCK_H
#define STASIS_VMM_HOST_VSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"

#define STASIS_VSOCK_PEERS_MAX 1024u
#define STASIS_VSOCK_BUFFER    65536u
#define STASIS_VSOCK_NAME_MAX  72u /* bytes of PATH's last part, behind which is the port */

/* What send() returns when a peer receives nothing more. */
#define STASIS_VSOCK_REFUSED SIZE_MAX

struct stasis_vsock;
struct stasis_vsock_peer;

/* The guest's end. Connections have an id there. */
struct stasis_vsock_guest {
    /* Asks the guest for a connection to its port; opened() or closed() follows. False: there can
     * be none. */
    bool (*open)(void *ctx, uint32_t port, struct stasis_vsock_peer *peer, uint32_t *ret_id);
    /* The peer has something to receive. */
    void (*ready)(void *ctx, uint32_t id);
    /* The peer is done with so many of the bytes that send() has kept. */
    void (*consumed)(void *ctx, uint32_t id, size_t len);
    /* The peer has gone. */
    void (*close)(void *ctx, uint32_t id);
    void *ctx;
};

/* Listens at PATH, with mode 0600; a socket there that nobody listens on is replaced. Messages
 * do not begin with the path. STASIS_ERR_ARG, STASIS_ERR_WRITE: as
 * stasis_socket_listen(), and the name may be too long; STASIS_ERR_NOMEM, STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_vsock_open(const char *path, const struct stasis_vsock_guest *guest,
                                        struct stasis_vsock **ret_vsock, struct stasis_error *err);
/* The same of what can be told without making anything. */
STASIS_MUST_CHECK int stasis_vsock_check(const char *path, struct stasis_error *err);
/* Ends all, and removes PATH. NULL is fine. */
void stasis_vsock_close(struct stasis_vsock *vsock);

/* The guest has gone, and with it all connections; another one may follow. */
void stasis_vsock_guest_gone(struct stasis_vsock *vsock);

/* Readable when dispatch() has something to do, which is bounded. */
int stasis_vsock_fd(const struct stasis_vsock *vsock);
/* An eventfd: once somebody has written to it, dispatch() is due. */
int stasis_vsock_bell(const struct stasis_vsock *vsock);
void stasis_vsock_dispatch(struct stasis_vsock *vsock);

/* ---- by the guest's end ---- */

/* The guest connects to a port of the host; NULL: nobody listens there, or there is no room. */
struct stasis_vsock_peer *stasis_vsock_connect(struct stasis_vsock *vsock, uint32_t id,
                                               uint32_t port);
/* The guest has accepted; the host's end has this port. */
void stasis_vsock_opened(struct stasis_vsock_peer *peer, uint32_t port);
/* Takes all bytes, of which the peer keeps at most STASIS_VSOCK_BUFFER. Returns how many it is done
 * with. */
size_t stasis_vsock_send(struct stasis_vsock_peer *peer, const uint8_t *bytes, size_t len);
/* Stores at most *len bytes and their number. 1: there are some; 0: there are none now, and
 * guest->ready() will tell; -1: none will come. */
int stasis_vsock_receive(struct stasis_vsock_peer *peer, uint8_t *bytes, size_t *len);
/* The guest receives nothing more, or sends nothing more. */
void stasis_vsock_shutdown(struct stasis_vsock_peer *peer, bool no_receive, bool no_send);
/* The connection has ended. The peer is given what was sent, and is mentioned no more. */
void stasis_vsock_closed(struct stasis_vsock_peer *peer);

#endif
