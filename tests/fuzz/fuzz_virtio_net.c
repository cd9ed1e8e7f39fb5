/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A network device under a driver that does anything, and a host whose frames have any header. The
 * host is given only frames whose checksum is within, and with no more than the driver has
 * accepted; and at each step the device can be saved, and restored as it was.
 */
#include "virtio_guest.h"

#include "stasis/virtio_net.h"

#define STEPS  256u
#define HEADER STASIS_VIRTIO_NET_HEADER_BYTES

static struct {
    uint64_t accepted;
} seen;

static struct stasis_virtio_net net, other;

static unsigned le16(const uint8_t *bytes)
{
    return bytes[0] | (unsigned)bytes[1] << 8;
}

static enum stasis_virtio_net_result on_send(void *ctx, const uint8_t *bytes, size_t len)
{
    uint64_t features = net.mmio.regs.driver_features;

    (void)ctx;
    FUZZ_ASSERT(len >= HEADER + 14 && len <= STASIS_VIRTIO_NET_BYTES_MAX);
    FUZZ_ASSERT(bytes[0] <= (features & STASIS_VIRTIO_NET_F_CSUM));
    FUZZ_ASSERT(!bytes[1] || bytes[0]);
    FUZZ_ASSERT(!bytes[0] || le16(bytes + 6) + le16(bytes + 8) + 2 <= len - HEADER);
    FUZZ_ASSERT(!bytes[1] == !le16(bytes + 4) && le16(bytes + 2) <= len - HEADER);
    FUZZ_ASSERT(!(bytes[1] & 0x80) || features & STASIS_VIRTIO_NET_F_HOST_ECN);
    FUZZ_ASSERT(bytes[10] == 0 && bytes[11] == 0);
    return byte() % 3;
}

static size_t on_receive(void *ctx, uint8_t *bytes, size_t size)
{
    size_t len = byte();

    (void)ctx;
    if (len > 0xf0)
        len *= 256;
    if (len > size)
        len = size;
    memset(bytes, 0x5a, len);
    for (size_t i = 0; i < len && i < 10; i++)
        bytes[i] = byte();
    return len;
}

static void on_accept(void *ctx, uint64_t offloads)
{
    (void)ctx;
    FUZZ_ASSERT(!(offloads & ~STASIS_VIRTIO_NET_GUEST_OFFLOADS));
    FUZZ_ASSERT(stasis_virtio_net_features_agree(offloads));
    seen.accepted = offloads;
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

static const struct stasis_virtio_net_ops ops = {on_send, on_receive, on_accept, on_wake};
static const struct stasis_virtio_net_config config = {
    .mac = {2}, .mtu = 1500, .offloads = STASIS_VIRTIO_NET_OFFLOADS};

static struct stasis_virtio_net_state saved, again;

/* `other` takes over from `net`. */
static void check_state(void)
{
    const void *bytes = &saved, *same = &again;
    const uint8_t *next = guest.next;

    guest.next = guest.end; /* nobody scribbles */
    stasis_virtio_net_save(&net, &saved);
    FUZZ_ASSERT(!stasis_state_check(&stasis_virtio_net_schema, &saved, NULL));
    FUZZ_ASSERT(!stasis_virtio_net_init(&other, &host, &config, &ops, NULL, NULL));
    FUZZ_ASSERT(!stasis_virtio_net_restore(&other, &saved, NULL));
    FUZZ_ASSERT(!stasis_virtio_mmio_check_memory(&other.mmio, NULL));
    stasis_virtio_net_save(&other, &again);
    FUZZ_ASSERT(!memcmp(bytes, same, sizeof(saved)));
    guest.next = next;
}

static void change_over(void)
{
    check_state();
    FUZZ_ASSERT(!stasis_virtio_net_init(&net, &host, &config, &ops, NULL, NULL));
    FUZZ_ASSERT(!stasis_virtio_net_restore(&net, &saved, NULL));
    stasis_virtio_net_apply_outputs(&net);
    FUZZ_ASSERT(!(seen.accepted & ~net.mmio.regs.driver_features));
}

static void step(void)
{
    uint8_t what = byte();

    if (what < 0xc0)
        guest_access(&net.mmio, what);
    else if (what < 0xd4)
        stasis_virtio_net_resume(&net);
    else if (what < 0xd8)
        stasis_virtio_net_set_link(&net, what & 1);
    else if (what < 0xdc)
        change_over();
    else if (what < 0xe0)
        check_state();
    else
        guest_access(&net.mmio, what);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    memset(&seen, 0, sizeof(seen));
    guest_start(bytes, len);
    FUZZ_ASSERT(!stasis_virtio_net_init(&net, &host, &config, &ops, NULL, NULL));
    for (unsigned i = 0; i < STEPS && guest.next < guest.end; i++)
        step();
    check_state();
    return 0;
}
