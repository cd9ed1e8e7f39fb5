/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio block device (virtio/blk.c) on a board.
 *
 * The driver's notification reaches the device's thread without an exit to the VMM (queue_bells.h).
 */
#include <stdio.h>
#include <string.h>

#include "vmm/machine/blk_requests.h"

/* ---- the device ---- */

static const struct stasis_device_disk *find_disk(const struct stasis_device *device)
{
    const struct stasis_device_disk *disk = device->env->host->disks;

    while (disk && strcmp(disk->id, device->row->instance) != 0)
        disk = disk->next;
    return disk;
}

/* Where the host has no disk for it there is an empty one, which no state can be restored to. */
static void blk_init(void *instance, const struct stasis_device *device)
{
    struct stasis_blk *blk = instance;
    const struct stasis_device_disk *disk = find_disk(device);
    const struct stasis_virtio_host host = {
        .memory = stasis_adapter_memory(instance),
        .irq = stasis_adapter_raise_irq,
        .guest_error = stasis_adapter_guest_error,
        .ctx = instance,
    };
    char serial[STASIS_VIRTIO_BLK_SERIAL_BYTES + 1];
    const struct stasis_virtio_blk_disk shape = {
        .sectors = disk ? disk->bytes / STASIS_VIRTIO_BLK_SECTOR : 0,
        .block_size = disk && disk->block_size ? disk->block_size : STASIS_VIRTIO_BLK_SECTOR,
        .is_read_only = !disk || disk->is_read_only,
        .serial = serial,
    };
    int rc;

    /* Names may be longer in a file: its state has the serial number. */
    (void)snprintf(serial, sizeof(serial), "%s", disk ? disk->id : "");
    blk->adapter.device = device;
    blk->disk = disk;
    rc = stasis_virtio_blk_init(&blk->dev, &host, &shape, &stasis_blk_ops, blk, NULL);
    assert(!rc);
    (void)rc;
}

static uint64_t blk_read(void *ctx, uint64_t offset, unsigned len)
{
    return stasis_virtio_mmio_read(&((struct stasis_blk *)ctx)->dev.mmio, offset, len);
}

static void follow_queue(struct stasis_blk *blk)
{
    const struct stasis_device *device = blk->adapter.device;

    stasis_queue_bells_follow(&blk->bells, device, &blk->dev.mmio, 1, device->io->bell_fd);
}

static void blk_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
    struct stasis_blk *blk = ctx;

    stasis_virtio_mmio_write(&blk->dev.mmio, offset, len, (uint32_t)value);
    follow_queue(blk);
    if (blk->has_new)
        stasis_io_thread_ring(stasis_blk_thread(blk));
    blk->has_new = false;
}

/* The host's disk may be asked again. */
static void blk_timer(void *instance)
{
    stasis_io_thread_ring(stasis_blk_thread(instance));
}

/* ---- the state ---- */

static void put_mark(const struct stasis_device_disk *disk, struct stasis_virtio_blk_state *state)
{
    struct stasis_device_disk_mark mark;

    disk->mark(disk->ctx, &mark);
    state->disk_inode = mark.inode;
    state->disk_mtime_ns = mark.mtime_ns;
    state->disk_samples_len = mark.has_samples ? sizeof(mark.samples) : 0;
    if (mark.has_samples)
        memcpy(state->disk_samples, mark.samples, sizeof(mark.samples));
    state->disk_root_len = mark.has_root ? sizeof(mark.root) : 0;
    if (mark.has_root)
        memcpy(state->disk_root, mark.root, sizeof(mark.root));
}

static void blk_save(const void *instance, void *ret_state)
{
    const struct stasis_blk *blk = instance;
    const struct stasis_device_disk *disk = blk->disk;
    struct stasis_virtio_blk_state *state = ret_state;

    stasis_virtio_blk_save(&blk->dev, state);
    /* What the host is still writing moves the time. */
    if (disk && !(blk->is_writing && stasis_blk_thread(blk)->is_away))
        put_mark(disk, state);
}

/* Whether it is the disk that the guest had has been checked by who knows where it comes from. */
static int blk_restore(void *instance, const void *state, struct stasis_error *err)
{
    return stasis_virtio_blk_restore(&((struct stasis_blk *)instance)->dev, state, err);
}

static int blk_check_memory(const void *instance, struct stasis_error *err)
{
    return stasis_virtio_mmio_check_memory(&((const struct stasis_blk *)instance)->dev.mmio, err);
}

static void blk_post_restore(void *instance)
{
    struct stasis_blk *blk = instance;

    follow_queue(blk);
    stasis_virtio_blk_apply_outputs(&blk->dev);
}

const struct stasis_device_type stasis_device_virtio_blk_type = {
    .schema = &stasis_virtio_blk_schema,
    .version = 1,
    .size = sizeof(struct stasis_blk),
    .bus = {blk_read, blk_write},
    .init = blk_init,
    .save = blk_save,
    .restore = blk_restore,
    .check_memory = blk_check_memory,
    .post_restore = blk_post_restore,
    .timer = blk_timer,
    .work = stasis_blk_work,
};
