/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The guest in the golden snapshots with devices: freestanding, in the 64-bit mode that the loader
 * hands over, with interrupts off and plain integer instructions, which every KVM has. It brings up
 * every virtio device of its board. Ten times a second it asks for random bytes, writes a sector of
 * the disk and reads the one before, sends a frame, and prints "tick N nonce=HEX devices=COUNT",
 * where the nonce is the first random bytes that it got, or what was wrong. `q` powers the machine
 * off.
 */
#include "guest.h"

#define TICK (UINT64_C(1) << 28) /* of the TSC */

static struct device devices[DEVICES_MAX];
static unsigned device_count;
static uint8_t nonce[16];

static struct device *find(uint32_t id)
{
    for (unsigned i = 0; i < device_count; i++)
        if (devices[i].id == id)
            return &devices[i];
    return NULL;
}

static void find_devices(void)
{
    for (uint64_t page = FIRST_PAGE; page < LAST_PAGE; page += 0x1000)
        if (mmio_read(page, MAGIC) == MAGIC_VALUE && device_count < DEVICES_MAX)
            device_begin(&devices[device_count], page, device_count), device_count++;
}

static void draw(uint8_t bytes[16])
{
    const struct part part = {buffer(0), 16, true};
    struct device *rng = find(RNG);

    if (!rng)
        return;
    if (!request(rng, 0, &part, 1))
        stop("rng");
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = buffer(0)[i];
}

static bool disk_request(uint32_t type, uint64_t sector)
{
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } *header = (void *)buffer(1);
    const struct part parts[] = {
        {buffer(1), 16, false}, {buffer(2), 512, type == 0}, {buffer(3), 1, true}};

    header->type = type;
    header->reserved = 0;
    header->sector = sector;
    buffer(3)[0] = 0xff;
    return request(find(BLK), 0, parts, 3) && !buffer(3)[0];
}

/* Each sector holds the number of the tick that wrote it, over and over. */
static void use_disk(uint64_t tick)
{
    volatile uint64_t *words = (volatile uint64_t *)buffer(2);

    if (!find(BLK))
        return;
    if (tick > 1) {
        if (!disk_request(0, (tick - 1) * DISK_STRIDE % DISK_SECTORS))
            stop("disk read");
        for (unsigned i = 0; i < 64; i++)
            if (words[i] != tick - 1)
                stop("disk content");
    }
    for (unsigned i = 0; i < 64; i++)
        words[i] = tick;
    if (!disk_request(1, tick * DISK_STRIDE % DISK_SECTORS))
        stop("disk write");
}

/* A frame to nobody, of an experimental type, behind the header of virtio. */
static void send(void)
{
    const struct part part = {buffer(4), 12 + 60, false};

    if (!find(NET))
        return;
    for (unsigned i = 0; i < 12; i++)
        buffer(4)[i] = 0;
    for (unsigned i = 12; i < 12 + 60; i++)
        buffer(4)[i] = i < 18 ? 0xff : i < 24 ? 2 : 0x88;
    if (!request(find(NET), 1, &part, 1))
        stop("net");
}

/* Once: a page goes into the balloon. */
static void give_page(void)
{
    const struct part part = {buffer(5), 4, false};

    if (!find(BALLOON))
        return;
    *(volatile uint32_t *)buffer(5) = GIVEN_PAGE >> 12;
    if (!request(find(BALLOON), 0, &part, 1))
        stop("balloon");
}

/* From now on: a KVM that cannot set the TSC has it jump at a thaw. */
static void wait(uint64_t cycles)
{
    uint64_t begun = rdtsc();

    while (rdtsc() - begun < cycles)
        if (serial_read() == 'q')
            power_off();
}

void guest_main(void)
{
    uint8_t random[16] = {0};

    find_devices();
    draw(nonce);
    give_page();
    for (uint64_t tick = 1;; tick++) {
        draw(random);
        use_disk(tick);
        send();
        print("tick ");
        print_number(tick);
        print(" nonce=");
        for (unsigned i = 0; i < 16; i++)
            print_hex(nonce[i]);
        print(" devices=");
        print_number(device_count);
        print("\n");
        wait(TICK);
    }
}
