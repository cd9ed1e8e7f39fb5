/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The guest of a virtio device that is fuzzed: an input, from which the driver takes its bytes, and
 * RAM that changes also while the device looks at it. For one source file of a target.
 */
#ifndef STASIS_FUZZ_VIRTIO_GUEST_H
#define STASIS_FUZZ_VIRTIO_GUEST_H

#include "fuzz.h"

#include <string.h>

#include "stasis/virtio_mmio.h"

#define RAM      UINT64_C(0x1000)
#define RAM_SIZE 0x4000u

struct guest {
    const uint8_t *next, *end;
    _Alignas(16) uint8_t ram[RAM_SIZE];
};

static struct guest guest;

static inline void guest_start(const uint8_t *bytes, size_t len)
{
    memset(&guest, 0, sizeof(guest));
    guest.next = bytes;
    guest.end = bytes + len;
}

static inline uint8_t byte(void)
{
    return guest.next < guest.end ? *guest.next++ : 0;
}

static inline uint16_t half(void)
{
    uint16_t low = byte();

    return (uint16_t)(low | byte() << 8);
}

/* Two bytes of RAM become others. */
static inline void scribble(void)
{
    uint16_t at = half() % (RAM_SIZE - 1);

    guest.ram[at] = byte();
    guest.ram[at + 1] = byte();
}

static inline void *guest_find(void *ctx, uint64_t gpa, uint64_t len)
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

static inline const void *guest_at(void *ctx, uint64_t gpa, uint64_t len)
{
    return guest_find(ctx, gpa, len);
}

static inline void guest_irq(void *ctx, bool level)
{
    (void)ctx;
    (void)level;
}

static const struct stasis_virtio_host host = {.memory = {guest_at, guest_find, NULL},
                                               .irq = guest_irq};

/* An access to the registers that `what` stands for, below 0xc0 or from 0xe0 on; those below 0x40
 * are writes to RAM. */
static inline void guest_access(struct stasis_virtio_mmio *mmio, uint8_t what)
{
    if (what < 0x40)
        scribble();
    else if (what < 0xc0)
        stasis_virtio_mmio_write(mmio, (what & 0x3fu) * 4, 4, half());
    else if (what < 0xe4)
        (void)stasis_virtio_mmio_read(mmio, half() & 0xfff, byte() % 9);
    else
        stasis_virtio_mmio_write(mmio, half() & 0xfff, byte() % 9, half() | 0x10000u * half());
}

#endif
