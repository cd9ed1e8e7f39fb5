/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A network device under a driver that does anything, and a host whose frames have any header. The
 * host is given only frames whose checksum is within, and with no more than the driver has
 * accepted; and at each step the device can be saved, and restored as it was.
 */
#include "fuzz.h"

#include <string.h>

#include "stasis/virtio_net.h"

#define RAM      UINT64_C(0x1000)
#define RAM_SIZE 0x4000u
#define STEPS    256u
#define HEADER   STASIS_VIRTIO_NET_HEADER_BYTES

static struct {
    const uint8_t *next, *end;
    _Alignas(16) uint8_t ram[RAM_SIZE];
    uint64_t accepted;
} guest;

static struct stasis_virtio_net net, other;

static uint8_t byte(void)
{
    return guest.next < guest.end ? *guest.next++ : 0;
}

static uint16_t half(void)
{
    uint16_t low = byte();

    return (uint16_t)(low | byte() << 8);
}

static void scribble(void)
{
    uint16_t at = half() % (RAM_SIZE - 1);

    guest.ram[at] = byte();
    guest.ram[at + 1] = byte();
}

static void *find(void *ctx, uint64_t gpa, uint64_t len)
{
    (void)ctx;
    if (guest.next < guest.end && *guest.next >= 0xf8) { /* while the device looks */
        guest.next++;
        scribble();
    }
    if (gpa < RAM || gpa - RAM > RAM_SIZE || len > RAM_SIZE - (gpa - RAM))
        return NULL;
    return guest.ram + (gpa - RAM);
}

static const void *at(void *ctx, uint64_t gpa, uint64_t len)
{
    return find(ctx, gpa, len);
}

static void on_irq(void *ctx, bool level)
{
    (void)ctx;
    (void)level;
}

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
    guest.accepted = offloads;
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

static const struct stasis_virtio_net_ops ops = {on_send, on_receive, on_accept, on_wake};
static const struct stasis_virtio_host host = {.memory = {at, find, NULL}, .irq = on_irq};
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
    FUZZ_ASSERT(!(guest.accepted & ~net.mmio.regs.driver_features));
}

static void step(void)
{
    uint8_t what = byte();

    if (what < 0x40)
        scribble();
    else if (what < 0xc0)
        stasis_virtio_mmio_write(&net.mmio, (what & 0x3fu) * 4, 4, half());
    else if (what < 0xd4)
        stasis_virtio_net_resume(&net);
    else if (what < 0xd8)
        stasis_virtio_net_set_link(&net, what & 1);
    else if (what < 0xdc)
        change_over();
    else if (what < 0xe0)
        check_state();
    else if (what < 0xe4)
        (void)stasis_virtio_mmio_read(&net.mmio, half() & 0xfff, byte() % 9);
    else
        stasis_virtio_mmio_write(&net.mmio, half() & 0xfff, byte() % 9, half() | 0x10000u * half());
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    memset(&guest, 0, sizeof(guest));
    guest.next = bytes;
    guest.end = bytes + len;
    FUZZ_ASSERT(!stasis_virtio_net_init(&net, &host, &config, &ops, NULL, NULL));
    for (unsigned i = 0; i < STEPS && guest.next < guest.end; i++)
        step();
    check_state();
    return 0;
}
