/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/snapshot/hostile_host.h"

#include <stdlib.h>
#include <string.h>

#include "stasis/kvm_memory.h"
#include "vmm/kvm_guest.h"
#include "vmm/snapshot/hostile_rings.h"

/* ---- the host: what devices write is never a descriptor ---- */

#define FILLER 0xa5

static enum stasis_virtio_net_result send_frame(void *ctx, const uint8_t *bytes, size_t len)
{
    static unsigned count;

    (void)ctx, (void)bytes, (void)len;
    return count++ % 16 ? STASIS_VIRTIO_NET_SENT : STASIS_VIRTIO_NET_BUSY;
}

static size_t receive_frame(void *ctx, uint8_t *bytes, size_t size)
{
    static unsigned count;
    size_t len = STASIS_VIRTIO_NET_HEADER_BYTES + 60 + count % 1400;

    (void)ctx;
    if (count++ % 8 == 0 || len > size)
        return 0;
    memset(bytes, FILLER, len);
    memset(bytes, 0, STASIS_VIRTIO_NET_HEADER_BYTES);
    return len;
}

static void accept_offloads(void *ctx, uint64_t offloads)
{
    (void)ctx, (void)offloads;
}

const struct stasis_device_net hostile_network = {.id = "net0",
                                                  .mac = {2, 0, 0, 0, 0, 1},
                                                  .mtu = 1500,
                                                  .send = send_frame,
                                                  .receive = receive_frame,
                                                  .accept = accept_offloads};

static bool read_disk(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    (void)ctx, (void)offset;
    memset(bytes, FILLER, len);
    return true;
}

static bool write_disk(void *ctx, uint64_t offset, const void *bytes, size_t len)
{
    (void)ctx, (void)bytes, (void)len;
    return offset != 0; /* which is an I/O error */
}

static bool flush_disk(void *ctx)
{
    return !ctx;
}

static bool discard_disk(void *ctx, uint64_t offset, uint64_t len)
{
    return !ctx && offset < offset + len;
}

static bool zero_disk(void *ctx, uint64_t offset, uint64_t len, bool may_unmap)
{
    return may_unmap || discard_disk(ctx, offset, len);
}

static void mark_disk(void *ctx, struct stasis_device_disk_mark *ret_mark)
{
    (void)ctx;
    *ret_mark = (struct stasis_device_disk_mark){.inode = 1, .mtime_ns = 1};
}

const struct stasis_device_disk hostile_disk = {.id = "root",
                                                .bytes = 64 * 512,
                                                .read = read_disk,
                                                .write = write_disk,
                                                .flush = flush_disk,
                                                .discard = discard_disk,
                                                .zero = zero_disk,
                                                .mark = mark_disk};

/* Each does what comes next, of a peer that is any. */
static int anybody;

static void *connect_peer(void *ctx, uint32_t id, uint32_t port)
{
    (void)ctx;
    return (id + port) % 3 ? &anybody : NULL;
}

static void hear_peer(void *ctx, void *peer, uint32_t port)
{
    (void)ctx, (void)peer, (void)port;
}

static size_t send_peer(void *ctx, void *peer, const uint8_t *bytes, size_t len)
{
    static unsigned count;

    (void)ctx, (void)peer, (void)bytes;
    return count++ % 8 ? len : STASIS_VIRTIO_VSOCK_REFUSED;
}

static enum stasis_virtio_vsock_received receive_peer(void *ctx, void *peer, uint8_t *bytes,
                                                      size_t *len)
{
    static unsigned count;

    (void)ctx, (void)peer;
    memset(bytes, FILLER, *len);
    return ++count % 3 ? STASIS_VIRTIO_VSOCK_DATA
           : count % 2 ? STASIS_VIRTIO_VSOCK_END
                       : STASIS_VIRTIO_VSOCK_NOTHING;
}

static void shut_peer(void *ctx, void *peer, unsigned flags)
{
    (void)ctx, (void)peer, (void)flags;
}

static void close_peer(void *ctx, void *peer)
{
    (void)ctx, (void)peer;
}

static const struct stasis_virtio_vsock_ops peers = {.connect = connect_peer,
                                                     .opened = hear_peer,
                                                     .send = send_peer,
                                                     .receive = receive_peer,
                                                     .shutdown = shut_peer,
                                                     .closed = close_peer};
const struct stasis_device_vsock hostile_sockets = {
    .id = "vsock0", .guest_cid = RINGS_CID, .ops = &peers};

/* What a guest gives away is gone, be it its own code: it loses the pages that it may lose. */
uint64_t hostile_discards;

int __real_stasis_memory_discard(const struct stasis_memory *memory, uint64_t gpa, uint64_t len,
                                 struct stasis_error *err);
int __wrap_stasis_memory_discard(const struct stasis_memory *memory, uint64_t gpa, uint64_t len,
                                 struct stasis_error *err);

int __wrap_stasis_memory_discard(const struct stasis_memory *memory, uint64_t gpa, uint64_t len,
                                 struct stasis_error *err)
{
    if (gpa % STASIS_MEMORY_PAGE || len % STASIS_MEMORY_PAGE || gpa + len > KVM_RAM)
        abort(); /* on a thread that cmocka does not know */
    if (gpa < RINGS_DATA || gpa + len > RINGS_DATA_END)
        return 0;
    hostile_discards++;
    return __real_stasis_memory_discard(memory, gpa, len, err);
}
