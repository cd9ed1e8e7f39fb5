/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio socket device (virtio 1.2, 5.10): stream connections between ports of the driver and ports
 * of the host, with credit in both directions.
 *
 * The host's end of a connection is called a peer. Bytes for the driver stay with it until the
 * driver has room for them; bytes of the driver are given to it at once, and it holds those that it
 * cannot pass on, at most STASIS_VIRTIO_VSOCK_BUFFER, as the driver gets no more credit.
 * Only stasis_virtio_vsock_resume() calls operations other than `wake`: an access to a register
 * never does, so that the host's work is all in the thread that resumes the device.
 *
 * Connections are not part of the state. A driver whose device was restored is told so by the
 * transport reset event (5.10.6.7), as soon as it has a buffer for it;
 * and as it ends all connections then, new ones too, those that the host asks for wait until it has
 * offered a buffer for another event.
 *
 * The caller owns the struct and serializes all calls; operations must not call back.
 */
#ifndef STASIS_VIRTIO_VSOCK_H
#define STASIS_VIRTIO_VSOCK_H

#include "stasis/virtio_mmio.h"

STASIS_BEGIN_DECLS

#define STASIS_VIRTIO_VSOCK_CONNECTIONS  1024u  /* at a time */
#define STASIS_VIRTIO_VSOCK_BUFFER       65536u /* bytes: the credit of the driver, for each */
#define STASIS_VIRTIO_VSOCK_HEADER_BYTES 44u
#define STASIS_VIRTIO_VSOCK_REPLIES      64u

/* What send() returns for a peer that receives nothing, now and later. */
#define STASIS_VIRTIO_VSOCK_REFUSED SIZE_MAX

/* Flags of a shutdown (5.10.6.5). */
#define STASIS_VIRTIO_VSOCK_NO_RECEIVE 1u
#define STASIS_VIRTIO_VSOCK_NO_SEND    2u

enum stasis_virtio_vsock_received {
    STASIS_VIRTIO_VSOCK_DATA,
    STASIS_VIRTIO_VSOCK_NOTHING, /* stasis_virtio_vsock_ready() will tell */
    STASIS_VIRTIO_VSOCK_END,     /* nothing comes any more; the peer may receive yet */
};

struct stasis_virtio_vsock_ops {
    /* The driver connects to a port of the host. Returns the peer, which has the connection `id`;
     * NULL: nobody listens. */
    void *(*connect)(void *ctx, uint32_t id, uint32_t port);
    /* The driver accepted the connection that stasis_virtio_vsock_open() asked for; the host's end
     * has this port. */
    void (*opened)(void *ctx, void *peer, uint32_t port);
    /* Takes all bytes. Returns how many of them are done with; the others are by
     * stasis_virtio_vsock_consumed(). */
    size_t (*send)(void *ctx, void *peer, const uint8_t *bytes, size_t len);
    /* Stores at most *len bytes, at least one, and their number. */
    enum stasis_virtio_vsock_received (*receive)(void *ctx, void *peer, uint8_t *bytes,
                                                 size_t *len);
    /* The driver will not receive, or will send nothing more than what was sent. */
    void (*shutdown)(void *ctx, void *peer, unsigned flags);
    /* The connection has ended. The peer still gets what was sent, but is mentioned no more. */
    void (*closed)(void *ctx, void *peer);
    /* Call stasis_virtio_vsock_resume() soon, once the guest runs. */
    void (*wake)(void *ctx);
};

struct stasis_virtio_vsock_counters {
    uint64_t from_host; /* connections that the host asked for and the driver accepted */
    uint64_t to_host;   /* that the driver asked for and the host accepted */
    uint64_t refused;   /* by either, or as there were too many */
    uint64_t resets;    /* of those that were open */
    uint64_t rx_bytes;  /* to the driver */
    uint64_t tx_bytes;  /* of the driver */
};

enum stasis_virtio_vsock_phase {
    STASIS_VIRTIO_VSOCK_FREE,
    STASIS_VIRTIO_VSOCK_REQUESTED, /* the driver has not answered */
    STASIS_VIRTIO_VSOCK_OPEN,
    STASIS_VIRTIO_VSOCK_CLOSING, /* it has no peer; the driver knows it, or will */
    STASIS_VIRTIO_VSOCK_GONE,    /* the driver does not know it any more; the peer will hear */
};

/* Private. */
struct stasis_virtio_vsock_connection {
    void *peer;
    uint32_t id;
    uint32_t guest_port, host_port;
    uint8_t phase;
    uint8_t due;         /* packets for the driver */
    uint8_t guest_flags; /* of shutdowns */
    uint8_t host_flags;
    bool is_ready;  /* the peer has bytes, or an end */
    bool has_asked; /* for credit, and has none since */
    uint32_t sent;  /* bytes, to the driver: tx_cnt of 5.10.6.3 */
    uint32_t peer_buf_alloc, peer_fwd_cnt;
    uint32_t received; /* bytes, of the driver: its tx_cnt */
    uint32_t consumed; /* of them: fwd_cnt */
    uint32_t told;     /* the last fwd_cnt that the driver has */
};

struct stasis_virtio_vsock_reply {
    uint64_t src_cid;
    uint32_t src_port, dst_port;
    uint16_t type;
};

/* Private but for its size (300 KiB), for the counters, and for the transport: accesses go to
 * stasis_virtio_mmio_read() and stasis_virtio_mmio_write(). */
struct stasis_virtio_vsock {
    struct stasis_virtio_mmio mmio;
    struct stasis_virtio_kind kind;
    const struct stasis_virtio_vsock_ops *ops;
    void *ctx;
    struct stasis_virtio_vsock_counters counters;
    uint32_t guest_cid;
    uint32_t next_port; /* for the host's end of the next connection */
    bool is_reset_due;  /* the driver is to get the transport reset event */
    bool is_reset_told; /* it has it, and has not offered a buffer for another since: */
    uint16_t events_left;
    uint8_t config[8];
    uint32_t serial; /* of the last connection */
    uint32_t top;    /* connections from here on are free */
    uint32_t cursor; /* whose turn it is */
    struct stasis_virtio_vsock_connection connections[STASIS_VIRTIO_VSOCK_CONNECTIONS];
    /* Resets of what is no connection, until the driver has buffers for them. */
    unsigned first_reply, replies_count;
    struct stasis_virtio_vsock_reply replies[STASIS_VIRTIO_VSOCK_REPLIES];
    uint8_t rx[STASIS_VIRTIO_VSOCK_HEADER_BYTES + STASIS_VIRTIO_VSOCK_BUFFER];
    uint8_t tx[STASIS_VIRTIO_VSOCK_BUFFER];
};

/* STASIS_ERR_ARG: the CID is reserved: 0, 1, 2, 2^32 - 1 and more. Calls no operation. `ops` must
 * outlive the device. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_vsock_init(struct stasis_virtio_vsock *vsock, const struct stasis_virtio_host *host,
                         uint64_t guest_cid, const struct stasis_virtio_vsock_ops *ops, void *ctx,
                         struct stasis_error *err);

/* What ops->wake asks for, and what is to be called after the functions below, which call no
 * operation. Moves a bounded number of packets; there are more if ops->wake is called. Harmless at
 * any time. */
STASIS_EXPORT void stasis_virtio_vsock_resume(struct stasis_virtio_vsock *vsock);

/* Asks the driver for a connection to its port. ops->opened or ops->closed follows. False: no
 * driver uses the device, or there are too many connections. */
STASIS_EXPORT STASIS_MUST_CHECK bool stasis_virtio_vsock_open(struct stasis_virtio_vsock *vsock,
                                                              uint32_t port, void *peer,
                                                              uint32_t *ret_id);

/* The peer has bytes, or an end, after receive() found NOTHING, or for the first time. Nothing
 * happens, here and below, to a connection that has ended. */
STASIS_EXPORT void stasis_virtio_vsock_ready(struct stasis_virtio_vsock *vsock, uint32_t id);

/* The peer is done with `len` more bytes of those that send() has kept. */
STASIS_EXPORT void stasis_virtio_vsock_consumed(struct stasis_virtio_vsock *vsock, uint32_t id,
                                                size_t len);

/* The peer has gone, and is mentioned no more. */
STASIS_EXPORT void stasis_virtio_vsock_close(struct stasis_virtio_vsock *vsock, uint32_t id);

STASIS_EXPORT void stasis_virtio_vsock_save(const struct stasis_virtio_vsock *vsock,
                                            struct stasis_virtio_vsock_state *ret_state);

/* As stasis_virtio_mmio_restore(); connections that the device had end. The CID becomes that of the
 * state; or, if guest_cid is not 0, that one, which the driver learns with the reset event.
 * STASIS_ERR_ARG: it is reserved. STASIS_ERR_RANGE: the state contradicts itself. The device is
 * unchanged then. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_virtio_vsock_restore(struct stasis_virtio_vsock *vsock,
                            const struct stasis_virtio_vsock_state *state, uint64_t guest_cid,
                            struct stasis_error *err);

/* Drives the line, and calls ops->wake. */
STASIS_EXPORT void stasis_virtio_vsock_apply_outputs(struct stasis_virtio_vsock *vsock);

STASIS_END_DECLS

#endif
