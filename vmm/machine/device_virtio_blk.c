/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio block device (virtio/blk.c) on a board.
 *
 * Requests are carried out one after the other, in the order in which the driver made them, by the
 * thread of the vCPU that notified of them, at most STEPS pieces at a time; the event loop's does
 * the rest, as the device's timer, and one such turn after the other. Whoever freezes the guest
 * waits for a turn, not for a queue: what is left is written down, and asked for again.
 */
#include <inttypes.h>
#include <string.h>

#include "stasis/kvm_memory.h"
#include "stasis/virtio_blk.h"
#include "vmm/base/clock.h"
#include "vmm/machine/adapter.h"

#define PIECE       (UINT32_C(64) << 10) /* of data */
#define RANGE_PIECE (UINT32_C(1) << 20)  /* of a range without data */
#define STEPS       16u                  /* of a turn */

struct pending {
    struct stasis_virtio_blk_request request;
    uint64_t done; /* bytes */
    bool is_used;
};

struct instance {
    struct stasis_adapter adapter;
    struct stasis_virtio_blk dev;
    const struct stasis_device_disk *disk; /* NULL: the host has none for it */
    bool resumes;                          /* the next turn begins by stasis_virtio_blk_resume() */
    struct pending pending[STASIS_VIRTIO_BLK_REQUESTS]; /* by the rest of their id */
    uint8_t piece[PIECE];
};

static const struct stasis_device_disk *find_disk(const struct stasis_device *device)
{
    const struct stasis_device_disk *disk = device->env->host->disks;

    while (disk && strcmp(disk->id, device->row->instance) != 0)
        disk = disk->next;
    return disk;
}

static void run_soon(struct instance *blk)
{
    const struct stasis_device_host *host = stasis_adapter_env(blk)->host;

    host->timer_arm(host->ctx, blk->adapter.device, stasis_monotonic_ns());
}

static void submit(void *ctx, const struct stasis_virtio_blk_request *request)
{
    struct instance *blk = ctx;

    blk->pending[request->id % STASIS_VIRTIO_BLK_REQUESTS] =
        (struct pending){.request = *request, .is_used = true};
}

static void wake(void *ctx)
{
    struct instance *blk = ctx;

    blk->resumes = true;
    run_soon(blk);
}

static const struct stasis_virtio_blk_ops blk_ops = {submit, wake};

/* ---- requests ---- */

/* Ids grow. */
static struct pending *first_of(struct instance *blk)
{
    struct pending *first = NULL;

    for (unsigned i = 0; i < STASIS_VIRTIO_BLK_REQUESTS; i++) {
        struct pending *pending = &blk->pending[i];

        if (pending->is_used && (!first || pending->request.id < first->request.id))
            first = pending;
    }
    return first;
}

static void end(struct instance *blk, struct pending *pending, bool ok)
{
    pending->is_used = false;
    stasis_virtio_blk_done(&blk->dev, pending->request.id,
                           ok ? STASIS_VIRTIO_BLK_OK : STASIS_VIRTIO_BLK_IO_ERROR);
}

static bool read_piece(struct instance *blk, const struct pending *pending, size_t len)
{
    const struct stasis_device_disk *disk = blk->disk;

    if (!disk->read(disk->ctx, pending->request.offset + pending->done, blk->piece, len))
        return false;
    stasis_counter_add(&stasis_adapter_counters(blk)->in_bytes, len);
    return stasis_virtio_blk_store(&blk->dev, pending->request.id, pending->done, blk->piece, len);
}

static bool write_piece(struct instance *blk, const struct pending *pending, size_t len)
{
    const struct stasis_device_disk *disk = blk->disk;

    if (!stasis_virtio_blk_fetch(&blk->dev, pending->request.id, pending->done, blk->piece, len) ||
        !disk->write(disk->ctx, pending->request.offset + pending->done, blk->piece, len))
        return false;
    stasis_counter_add(&stasis_adapter_counters(blk)->out_bytes, len);
    return true;
}

static uint64_t piece_of(const struct pending *pending)
{
    const struct stasis_virtio_blk_request *request = &pending->request;
    uint64_t left = request->len - pending->done;
    uint64_t most = request->op == STASIS_VIRTIO_BLK_READ || request->op == STASIS_VIRTIO_BLK_WRITE
                        ? PIECE
                        : RANGE_PIECE;

    return left < most ? left : most;
}

static bool do_piece(struct instance *blk, const struct pending *pending, uint64_t len)
{
    const struct stasis_device_disk *disk = blk->disk;
    const struct stasis_virtio_blk_request *request = &pending->request;

    switch (request->op) {
    case STASIS_VIRTIO_BLK_READ:
        return read_piece(blk, pending, (size_t)len);
    case STASIS_VIRTIO_BLK_WRITE:
        return write_piece(blk, pending, (size_t)len);
    case STASIS_VIRTIO_BLK_FLUSH:
        return disk->flush(disk->ctx);
    case STASIS_VIRTIO_BLK_DISCARD:
        return disk->discard(disk->ctx, request->offset + pending->done, len);
    case STASIS_VIRTIO_BLK_WRITE_ZEROES:
        return disk->zero(disk->ctx, request->offset + pending->done, len, request->may_unmap);
    }
    return false;
}

static bool make_safe(const struct instance *blk, const struct pending *pending)
{
    const struct stasis_device_disk *disk = blk->disk;

    return !pending->request.must_sync || pending->request.op == STASIS_VIRTIO_BLK_READ ||
           disk->flush(disk->ctx);
}

/* A request that the driver has taken back by a reset must not touch the disk any more. */
static bool is_alive(struct instance *blk, const struct pending *pending)
{
    return stasis_virtio_blk_fetch(&blk->dev, pending->request.id, 0, blk->piece, 0);
}

static void step(struct instance *blk, struct pending *pending)
{
    uint64_t len = piece_of(pending);

    if (!is_alive(blk, pending)) {
        pending->is_used = false;
        return;
    }
    if (!do_piece(blk, pending, len)) {
        end(blk, pending, false);
        return;
    }
    pending->done += len;
    if (pending->done == pending->request.len)
        end(blk, pending, make_safe(blk, pending));
}

static void run(struct instance *blk)
{
    struct pending *pending = blk->disk ? first_of(blk) : NULL;

    for (unsigned i = 0; pending && i < STEPS; i++) {
        step(blk, pending);
        pending = first_of(blk);
    }
    if (pending)
        run_soon(blk);
}

/* ---- the device ---- */

static const void *memory_at(void *ctx, uint64_t gpa, uint64_t len)
{
    return stasis_memory_at(stasis_adapter_env(ctx)->memory, gpa, len);
}

static void *memory_writable(void *ctx, uint64_t gpa, uint64_t len)
{
    return stasis_memory_writable(stasis_adapter_env(ctx)->memory, gpa, len);
}

/* Where the host has no disk for it there is an empty one, which no state can be restored to. */
static void blk_init(void *instance, const struct stasis_device *device)
{
    struct instance *blk = instance;
    const struct stasis_device_disk *disk = find_disk(device);
    const struct stasis_virtio_host host = {
        .memory = {memory_at, memory_writable, instance},
        .irq = stasis_adapter_raise_irq,
        .guest_error = stasis_adapter_guest_error,
        .ctx = instance,
    };
    const struct stasis_virtio_blk_disk shape = {
        .sectors = disk ? disk->bytes / STASIS_VIRTIO_BLK_SECTOR : 0,
        .block_size = STASIS_VIRTIO_BLK_SECTOR,
        .is_read_only = !disk || disk->is_read_only,
        .serial = disk ? disk->id : NULL,
    };
    int rc;

    blk->adapter.device = device;
    blk->disk = disk;
    rc = stasis_virtio_blk_init(&blk->dev, &host, &shape, &blk_ops, blk, NULL);
    assert(!rc);
    (void)rc;
}

static uint64_t blk_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_virtio_mmio_read(&((struct instance *)ctx)->dev.mmio, offset, len);
}

static void blk_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct instance *blk = ctx;

    stasis_virtio_mmio_write(&blk->dev.mmio, offset, len, (uint32_t)value);
    run(blk);
}

static void blk_timer(void *instance)
{
    struct instance *blk = instance;

    if (blk->resumes) {
        blk->resumes = false;
        stasis_virtio_blk_resume(&blk->dev);
    }
    run(blk);
}

/* ---- the state ---- */

static void blk_save(const void *instance, void *ret_state)
{
    const struct instance *blk = instance;
    const struct stasis_device_disk *disk = blk->disk;
    struct stasis_virtio_blk_state *state = ret_state;

    stasis_virtio_blk_save(&blk->dev, state);
    if (disk)
        disk->mark(disk->ctx, &state->disk_inode, &state->disk_mtime_ns);
}

static int check_change(const struct stasis_device_disk *disk,
                        const struct stasis_virtio_blk_state *state, struct stasis_error *err)
{
    uint64_t inode = 0, mtime_ns = 0;

    disk->mark(disk->ctx, &inode, &mtime_ns);
    if (disk->may_have_changed || (inode == state->disk_inode && mtime_ns == state->disk_mtime_ns))
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "disk %s has been written to or replaced since the freeze, and the guest "
                       "would damage it; give it as it was, or allow it by allow.disk_changed=%s",
                       disk->id, disk->id);
}

static int check_disk(const struct instance *blk, const struct stasis_virtio_blk_state *state,
                      struct stasis_error *err)
{
    const struct stasis_device_disk *disk = blk->disk;
    const char *name = blk->adapter.device->row->instance;

    if (!disk)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the guest's disk %s is missing; name its file by block.path, with "
                           "block.id=%s",
                           name, name);
    if (disk->bytes / STASIS_VIRTIO_BLK_SECTOR != state->sectors)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "disk %s has %" PRIu64 " bytes and had %" PRIu64 " at the freeze; give "
                           "the file that the guest had",
                           name, disk->bytes, state->sectors * STASIS_VIRTIO_BLK_SECTOR);
    if (disk->is_read_only != state->read_only)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "disk %s was %s at the freeze; set block.readonly "
                           "to %s",
                           name, state->read_only ? "read-only" : "writable",
                           state->read_only ? "on" : "off");
    return check_change(disk, state, err);
}

static int blk_restore(void *instance, const void *state, struct stasis_error *err)
{
    struct instance *blk = instance;
    int rc = check_disk(blk, state, err);

    return rc ? rc : stasis_virtio_blk_restore(&blk->dev, state, err);
}

static int blk_check_memory(const void *instance, struct stasis_error *err)
{
    return stasis_virtio_mmio_check_memory(&((const struct instance *)instance)->dev.mmio, err);
}

static void blk_post_restore(void *instance)
{
    stasis_virtio_blk_apply_outputs(&((struct instance *)instance)->dev);
}

const struct stasis_device_type stasis_device_virtio_blk_type = {
    .schema = &stasis_virtio_blk_schema,
    .version = 1,
    .size = sizeof(struct instance),
    .bus = {blk_read, blk_write},
    .init = blk_init,
    .save = blk_save,
    .restore = blk_restore,
    .check_memory = blk_check_memory,
    .post_restore = blk_post_restore,
    .timer = blk_timer,
};
