/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A socket device under a driver that does anything, and a host that connects, closes and answers
 * when it likes. Only peers that there are hear of anything, each hears once that it is closed, and
 * is given no more bytes than it has room for; and at each step the device can be saved, and
 * restored as it was.
 */
#include "virtio_guest.h"

#include "stasis/virtio_vsock.h"

#define STEPS 256u
#define PEERS 8u
#define CID   42u

struct peer {
    bool is_open;
    uint32_t id;
    size_t held;
};

static struct peer peers[PEERS];
static struct stasis_virtio_vsock vsock, other;

static struct peer *free_peer(void)
{
    unsigned i = 0;

    while (i < PEERS && peers[i].is_open)
        i++;
    return i < PEERS ? &peers[i] : NULL;
}

static struct peer *open_peer(void *peer)
{
    FUZZ_ASSERT(((struct peer *)peer)->is_open);
    return peer;
}

static void *on_connect(void *ctx, uint32_t id, uint32_t port)
{
    struct peer *peer = port == 0xffff ? NULL : free_peer();

    (void)ctx;
    if (peer)
        *peer = (struct peer){.is_open = true, .id = id};
    return peer;
}

static void on_opened(void *ctx, void *peer, uint32_t port)
{
    (void)ctx;
    (void)open_peer(peer);
    FUZZ_ASSERT(port >= STASIS_VIRTIO_VSOCK_PORT_MIN && port <= STASIS_VIRTIO_VSOCK_PORT_MAX);
}

static size_t on_send(void *ctx, void *ptr, const uint8_t *bytes, size_t len)
{
    struct peer *peer = open_peer(ptr);
    uint8_t how = byte();
    unsigned sum = 0;

    (void)ctx;
    for (size_t i = 0; i < len; i++) /* all of them can be read */
        sum += bytes[i];
    FUZZ_ASSERT(len && sum <= len * 255);
    FUZZ_ASSERT(len <= STASIS_VIRTIO_VSOCK_BUFFER - peer->held);
    if (how & 1)
        return len;
    if (how & 2)
        return STASIS_VIRTIO_VSOCK_REFUSED;
    peer->held += len;
    return 0;
}

static enum stasis_virtio_vsock_received on_receive(void *ctx, void *peer, uint8_t *bytes,
                                                    size_t *len)
{
    uint8_t how = byte();

    (void)ctx;
    (void)open_peer(peer);
    FUZZ_ASSERT(*len && *len <= STASIS_VIRTIO_VSOCK_BUFFER);
    memset(bytes, 0x5a, *len);
    if (how > 0x80)
        *len = 1;
    return how % 4 < 2 ? STASIS_VIRTIO_VSOCK_DATA
                       : (enum stasis_virtio_vsock_received)(how % 4 - 1);
}

static void on_shutdown(void *ctx, void *peer, unsigned flags)
{
    (void)ctx;
    (void)open_peer(peer);
    FUZZ_ASSERT(flags == STASIS_VIRTIO_VSOCK_NO_RECEIVE || flags == STASIS_VIRTIO_VSOCK_NO_SEND);
}

static void on_closed(void *ctx, void *peer)
{
    (void)ctx;
    open_peer(peer)->is_open = false;
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

static const struct stasis_virtio_vsock_ops ops = {on_connect,  on_opened, on_send, on_receive,
                                                   on_shutdown, on_closed, on_wake};

/* ---- the host ---- */

static void connect_to_guest(uint32_t port)
{
    struct peer *peer = free_peer();

    if (peer && stasis_virtio_vsock_open(&vsock, port, peer, &peer->id)) {
        peer->is_open = true;
        peer->held = 0;
    }
}

static void act(uint8_t what)
{
    struct peer *peer = &peers[what >> 2 & (PEERS - 1)];

    if (what & 1) {
        stasis_virtio_vsock_ready(&vsock, peer->id);
    } else if (peer->is_open && what & 2) {
        stasis_virtio_vsock_close(&vsock, peer->id);
        peer->is_open = false;
    } else if (peer->is_open) {
        stasis_virtio_vsock_consumed(&vsock, peer->id, peer->held);
        peer->held = 0;
    }
}

/* ---- the state ---- */

static struct stasis_virtio_vsock_state saved, again;

/* `other` takes over from `vsock`. */
static void check_state(void)
{
    const void *bytes = &saved, *same = &again;
    const uint8_t *next = guest.next;

    guest.next = guest.end; /* nobody scribbles */
    stasis_virtio_vsock_save(&vsock, &saved);
    FUZZ_ASSERT(!stasis_state_check(&stasis_virtio_vsock_schema, &saved, NULL));
    FUZZ_ASSERT(!stasis_virtio_vsock_init(&other, &host, CID, &ops, NULL, NULL));
    FUZZ_ASSERT(!stasis_virtio_vsock_restore(&other, &saved, 0, NULL));
    FUZZ_ASSERT(!stasis_virtio_mmio_check_memory(&other.mmio, NULL));
    stasis_virtio_vsock_save(&other, &again);
    FUZZ_ASSERT(!memcmp(bytes, same, sizeof(saved)));
    guest.next = next;
}

static void change_over(void)
{
    check_state();
    memset(peers, 0, sizeof(peers));
    FUZZ_ASSERT(!stasis_virtio_vsock_init(&vsock, &host, CID, &ops, NULL, NULL));
    FUZZ_ASSERT(!stasis_virtio_vsock_restore(&vsock, &saved, 0, NULL));
    stasis_virtio_vsock_apply_outputs(&vsock);
}

static void step(void)
{
    uint8_t what = byte();

    if (what < 0xc0)
        guest_access(&vsock.mmio, what);
    else if (what < 0xd0)
        stasis_virtio_vsock_resume(&vsock);
    else if (what < 0xd4)
        connect_to_guest(byte());
    else if (what < 0xd8)
        act(byte());
    else if (what < 0xdc)
        change_over();
    else if (what < 0xe0)
        check_state();
    else
        guest_access(&vsock.mmio, what);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    unsigned open = 0;

    memset(peers, 0, sizeof(peers));
    guest_start(bytes, len);
    FUZZ_ASSERT(!stasis_virtio_vsock_init(&vsock, &host, CID, &ops, NULL, NULL));
    for (unsigned i = 0; i < STEPS && guest.next < guest.end; i++)
        step();
    check_state();
    stasis_virtio_mmio_write(&vsock.mmio, 0x70, 4, 0);
    stasis_virtio_vsock_resume(&vsock);
    for (unsigned i = 0; i < PEERS; i++)
        open += peers[i].is_open;
    FUZZ_ASSERT(!open && !vsock.top);
    return 0;
}
