/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A balloon device under a driver that does anything. Only whole pages of RAM are taken away, its
 * rings with them, and a bounded number at a time; and at each step the device can be saved, and
 * restored as it was.
 */
#include "virtio_guest.h"

#include "stasis/virtio_balloon.h"

#define STEPS    256u
#define TURN_MAX 256u /* pages or parts of a call */

static struct stasis_virtio_balloon balloon, other;
static unsigned taken;

static void on_discard(void *ctx, uint64_t gpa, uint64_t len)
{
    (void)ctx;
    FUZZ_ASSERT(len && gpa % 4096 == 0 && len % 4096 == 0);
    FUZZ_ASSERT(gpa >= RAM && gpa - RAM <= RAM_SIZE && len <= RAM_SIZE - (gpa - RAM));
    memset(guest.ram + (gpa - RAM), 0, len);
    taken++;
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

static const struct stasis_virtio_balloon_ops ops = {on_discard, on_wake};

static struct stasis_virtio_balloon_state saved, again;

/* `other` takes over from `balloon`. */
static void check_state(void)
{
    const void *bytes = &saved, *same = &again;
    const uint8_t *next = guest.next;

    guest.next = guest.end; /* nobody scribbles */
    stasis_virtio_balloon_save(&balloon, &saved);
    FUZZ_ASSERT(!stasis_state_check(&stasis_virtio_balloon_schema, &saved, NULL));
    stasis_virtio_balloon_init(&other, &host, false, &ops, NULL);
    FUZZ_ASSERT(!stasis_virtio_balloon_restore(&other, &saved, NULL));
    FUZZ_ASSERT(!stasis_virtio_mmio_check_memory(&other.mmio, NULL));
    stasis_virtio_balloon_save(&other, &again);
    FUZZ_ASSERT(!memcmp(bytes, same, sizeof(saved)));
    guest.next = next;
}

static void change_over(void)
{
    check_state();
    stasis_virtio_balloon_init(&balloon, &host, false, &ops, NULL);
    FUZZ_ASSERT(!stasis_virtio_balloon_restore(&balloon, &saved, NULL));
    stasis_virtio_balloon_apply_outputs(&balloon);
}

static void step(void)
{
    uint8_t what = byte();

    taken = 0;
    if (what < 0xc0 || what >= 0xe0)
        guest_access(&balloon.mmio, what);
    else if (what < 0xd4)
        stasis_virtio_balloon_resume(&balloon);
    else if (what < 0xd8)
        stasis_virtio_balloon_ask(&balloon, half());
    else if (what < 0xdc)
        change_over();
    else
        check_state();
    FUZZ_ASSERT(taken <= TURN_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    guest_start(bytes, len);
    stasis_virtio_balloon_init(&balloon, &host, true, &ops, NULL);
    for (unsigned i = 0; i < STEPS && guest.next < guest.end; i++)
        step();
    check_state();
    return 0;
}
