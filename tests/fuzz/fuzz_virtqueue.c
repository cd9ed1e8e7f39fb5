/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A driver that does anything: accesses to the registers of an entropy device, and writes to RAM in
 * between, also while the device looks at it. The device must come out of each run with a state
 * that can be saved, restored, and is the same again.
 */
#include "fuzz.h"

#include <string.h>

#include "stasis/virtio_rng.h"

#define RAM      UINT64_C(0x1000)
#define RAM_SIZE 0x4000u
#define STEPS    512u

static struct {
    const uint8_t *next, *end;
    _Alignas(16) uint8_t ram[RAM_SIZE];
    uint64_t now;
    uint64_t looks;
} guest;

static uint8_t byte(void)
{
    return guest.next < guest.end ? *guest.next++ : 0;
}

static uint16_t half(void)
{
    uint16_t low = byte();

    return (uint16_t)(low | byte() << 8);
}

/* Two bytes of RAM become others. */
static void scribble(void)
{
    uint16_t at = half() % (RAM_SIZE - 1);

    guest.ram[at] = byte();
    guest.ram[at + 1] = byte();
}

static void *find(void *ctx, uint64_t gpa, uint64_t len)
{
    (void)ctx;
    guest.looks++;
    if (guest.next < guest.end && *guest.next >= 0xf0) { /* while the device looks */
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
    bool *line = ctx;

    FUZZ_ASSERT(*line != level);
    *line = level;
}

static bool on_random(void *ctx, uint8_t *bytes, size_t len)
{
    (void)ctx;
    memset(bytes, 0x5a, len);
    return byte() < 0xe0;
}

static uint64_t on_now(void *ctx)
{
    (void)ctx;
    return guest.now += 1000000;
}

static void on_arm(void *ctx, uint64_t deadline_ns)
{
    (void)ctx;
    (void)deadline_ns;
}

static const struct stasis_virtio_rng_ops ops = {on_random, on_now, on_arm};

/* A saved device is sound, and what is restored from it is the same. */
static void check_state(const struct stasis_virtio_rng *rng, const struct stasis_virtio_host *host)
{
    static struct stasis_virtio_rng other;
    struct stasis_virtio_rng_state saved, again;
    const void *bytes = &saved, *same = &again; /* padding included: a state has none of its own */
    const uint8_t *next = guest.next;

    guest.next = guest.end; /* nobody scribbles */
    stasis_virtio_rng_save(rng, &saved);
    FUZZ_ASSERT(!stasis_state_check(&stasis_virtio_rng_schema, &saved, NULL));
    stasis_virtio_rng_init(&other, host, &ops, &other, 1 << 20);
    FUZZ_ASSERT(!stasis_virtio_rng_restore(&other, &saved, NULL));
    FUZZ_ASSERT(!stasis_virtio_mmio_check_memory(&other.mmio, NULL));
    stasis_virtio_rng_save(&other, &again);
    FUZZ_ASSERT(!memcmp(bytes, same, sizeof(saved)));
    guest.next = next;
}

static void step(struct stasis_virtio_rng *rng)
{
    uint64_t before = guest.looks;
    uint8_t what = byte();

    if (what < 0x40)
        scribble();
    else if (what < 0xc0) /* a register, as a driver writes it */
        stasis_virtio_mmio_write(&rng->mmio, (what & 0x3fu) * 4, 4, half());
    else if (what < 0xd0)
        stasis_virtio_rng_timer(rng);
    else if (what < 0xe0)
        (void)stasis_virtio_mmio_read(&rng->mmio, half() & 0xfff, byte() % 9);
    else
        stasis_virtio_mmio_write(&rng->mmio, half() & 0xfff, byte() % 9,
                                 half() | 0x10000u * half());
    /* 64 requests of 64 pieces each, and their bytes. */
    FUZZ_ASSERT(guest.looks - before < 64 * 512);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct stasis_virtio_rng rng;
    bool line = false;
    const struct stasis_virtio_host host = {
        .memory = {at, find, NULL}, .irq = on_irq, .ctx = &line};

    memset(&guest, 0, sizeof(guest));
    guest.next = bytes;
    guest.end = bytes + len;
    stasis_virtio_rng_init(&rng, &host, &ops, &rng, 1 << 20);
    for (unsigned i = 0; i < STEPS && guest.next < guest.end; i++)
        step(&rng);
    check_state(&rng, &host);
    return 0;
}
