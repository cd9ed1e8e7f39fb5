/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A block device under a driver that does anything, and a host that answers requests late, in any
 * order, twice, and after a reset. The host sees only whole blocks of the disk, RAM is written only
 * for requests that are in flight, and at each step the device can be saved, and restored as it
 * was.
 */
#include "virtio_guest.h"

#include "stasis/virtio_blk.h"

#define STEPS   256u
#define PENDING 16u
#define BLOCK   1024u
#define BYTES   (UINT64_C(64) * 512)

static struct {
    struct stasis_virtio_blk_request pending[PENDING]; /* the last ones */
    unsigned submitted;
} seen;

static struct stasis_virtio_blk blk, other;

static void on_submit(void *ctx, const struct stasis_virtio_blk_request *request)
{
    (void)ctx;
    FUZZ_ASSERT(request->offset % BLOCK == 0 && request->len % BLOCK == 0);
    FUZZ_ASSERT(request->offset <= BYTES && request->len <= BYTES - request->offset);
    FUZZ_ASSERT(!request->len == (request->op == STASIS_VIRTIO_BLK_FLUSH));
    seen.pending[seen.submitted++ % PENDING] = *request;
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

static const struct stasis_virtio_blk_ops ops = {on_submit, on_wake};
static const struct stasis_virtio_blk_disk disk = {
    .sectors = BYTES / 512, .block_size = BLOCK, .serial = "fuzz"};

static struct stasis_virtio_blk_state saved, again;

/* `other` takes over from `blk`. */
static void check_state(void)
{
    const void *bytes = &saved, *same = &again;
    const uint8_t *next = guest.next;

    guest.next = guest.end; /* nobody scribbles */
    stasis_virtio_blk_save(&blk, &saved);
    FUZZ_ASSERT(!stasis_state_check(&stasis_virtio_blk_schema, &saved, NULL));
    FUZZ_ASSERT(!stasis_virtio_blk_init(&other, &host, &disk, &ops, NULL, NULL));
    FUZZ_ASSERT(!stasis_virtio_blk_restore(&other, &saved, NULL));
    FUZZ_ASSERT(!stasis_virtio_mmio_check_memory(&other.mmio, NULL));
    stasis_virtio_blk_save(&other, &again);
    FUZZ_ASSERT(!memcmp(bytes, same, sizeof(saved)));
    guest.next = next;
}

/* The thaw: what was in flight is asked for again. */
static void change_over(void)
{
    check_state();
    FUZZ_ASSERT(!stasis_virtio_blk_init(&blk, &host, &disk, &ops, NULL, NULL));
    FUZZ_ASSERT(!stasis_virtio_blk_restore(&blk, &saved, NULL));
    stasis_virtio_blk_apply_outputs(&blk);
    stasis_virtio_blk_resume(&blk);
}

static void answer(void)
{
    const struct stasis_virtio_blk_request *request = &seen.pending[byte() % PENDING];
    uint8_t data[BLOCK] = {1};
    uint8_t how = byte();
    bool goes_on = true;

    if (request->len && request->op == STASIS_VIRTIO_BLK_READ)
        goes_on = stasis_virtio_blk_store(&blk, request->id, request->len - BLOCK, data, BLOCK);
    else if (request->len && request->op == STASIS_VIRTIO_BLK_WRITE)
        goes_on = stasis_virtio_blk_fetch(&blk, request->id, request->len - BLOCK, data, BLOCK);
    if (!goes_on && !(how & 0x80))
        return;
    if (how & 0x40)
        stasis_virtio_blk_answer(&blk, request->id, how % 3); /* announced with another one */
    else
        stasis_virtio_blk_done(&blk, request->id, how % 3);
}

static void step(void)
{
    uint8_t what = byte();

    if (what < 0xc0)
        guest_access(&blk.mmio, what);
    else if (what < 0xd8)
        answer();
    else if (what < 0xdc)
        change_over();
    else if (what < 0xe0)
        check_state();
    else
        guest_access(&blk.mmio, what);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    memset(&seen, 0, sizeof(seen));
    guest_start(bytes, len);
    FUZZ_ASSERT(!stasis_virtio_blk_init(&blk, &host, &disk, &ops, NULL, NULL));
    for (unsigned i = 0; i < STEPS && guest.next < guest.end; i++)
        step();
    check_state();
    return 0;
}
