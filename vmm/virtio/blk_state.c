/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A virtio block device's disk, reset, and state.
 */
#include "blk_internal.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ID_BLOCK 2u

/* struct virtio_blk_config (5.2.4): offsets of what is used. */
enum {
    CAPACITY = 0,
    SEG_MAX = 12,
    BLK_SIZE = 20,
    MAX_DISCARD_SECTORS = 36,
    MAX_DISCARD_SEG = 40,
    DISCARD_SECTOR_ALIGNMENT = 44,
    MAX_WRITE_ZEROES_SECTORS = 48,
    MAX_WRITE_ZEROES_SEG = 52,
    WRITE_ZEROES_MAY_UNMAP = 56,
};

static void put32(struct stasis_virtio_blk *blk, unsigned offset, uint32_t value)
{
    value = htole32(value);
    memcpy(blk->config + offset, &value, sizeof(value));
}

static void make_config(struct stasis_virtio_blk *blk)
{
    uint64_t capacity = htole64(blk->disk.sectors);
    uint32_t range = STASIS_VIRTIO_BLK_RANGE_MAX / STASIS_VIRTIO_BLK_SECTOR;

    memcpy(blk->config + CAPACITY, &capacity, sizeof(capacity));
    put32(blk, SEG_MAX, STASIS_VIRTIO_BLK_REQUESTS - 2); /* beside header and status */
    put32(blk, BLK_SIZE, blk->disk.block_size);
    if (blk->disk.read_only)
        return;
    put32(blk, MAX_DISCARD_SECTORS, range);
    put32(blk, MAX_DISCARD_SEG, 1);
    put32(blk, DISCARD_SECTOR_ALIGNMENT, blk->disk.block_size / STASIS_VIRTIO_BLK_SECTOR);
    put32(blk, MAX_WRITE_ZEROES_SECTORS, range);
    put32(blk, MAX_WRITE_ZEROES_SEG, 1);
    blk->config[WRITE_ZEROES_MAY_UNMAP] = 1;
}

static uint64_t features_of(const struct stasis_virtio_blk_state *disk)
{
    return STASIS_VIRTIO_BLK_F_SEG_MAX | STASIS_VIRTIO_BLK_F_BLK_SIZE | STASIS_VIRTIO_BLK_F_FLUSH |
           (disk->read_only ? STASIS_VIRTIO_BLK_F_RO
                            : STASIS_VIRTIO_BLK_F_DISCARD | STASIS_VIRTIO_BLK_F_WRITE_ZEROES);
}

static void forget(void *device)
{
    struct stasis_virtio_blk *blk = device;

    for (unsigned i = 0; i < STASIS_VIRTIO_BLK_REQUESTS; i++)
        blk->slots[i].is_used = false;
    blk->is_silent = false;
}

static void stopped(void *device, unsigned queue)
{
    (void)queue;
    forget(device);
}

static int take_disk(struct stasis_virtio_blk_state *state,
                     const struct stasis_virtio_blk_disk *disk, struct stasis_error *err)
{
    stasis_state_init(&stasis_virtio_blk_schema, state);
    if (disk->serial && strlen(disk->serial) > STASIS_VIRTIO_BLK_SERIAL_BYTES)
        return stasis_fail(err, STASIS_ERR_ARG, "serial number '%.32s': give at most %u bytes",
                           disk->serial, STASIS_VIRTIO_BLK_SERIAL_BYTES);
    state->sectors = disk->sectors;
    state->block_size = disk->block_size;
    state->read_only = disk->is_read_only;
    snprintf(state->serial, sizeof(state->serial), "%s", disk->serial ? disk->serial : "");
    return stasis_state_check(&stasis_virtio_blk_schema, state, err) ? STASIS_ERR_ARG : 0;
}

int stasis_virtio_blk_init(struct stasis_virtio_blk *blk, const struct stasis_virtio_host *host,
                           const struct stasis_virtio_blk_disk *disk,
                           const struct stasis_virtio_blk_ops *ops, void *ctx,
                           struct stasis_error *err)
{
    int rc;

    assert(ops->submit && ops->wake);
    memset(blk, 0, sizeof(*blk));
    rc = take_disk(&blk->disk, disk, err);
    if (rc) {
        if (err)
            err->code = STASIS_ERR_ARG;
        return rc;
    }
    blk->ops = ops;
    blk->ctx = ctx;
    make_config(blk);
    blk->kind = (struct stasis_virtio_kind){.device_id = ID_BLOCK,
                                            .features = features_of(&blk->disk),
                                            .queue_count = 1,
                                            .queue_size = STASIS_VIRTIO_BLK_REQUESTS,
                                            .config = blk->config,
                                            .config_len = sizeof(blk->config),
                                            .notify = stasis_virtio_blk_notify,
                                            .reset = forget,
                                            .stopped = stopped};
    stasis_virtio_mmio_init(&blk->mmio, &blk->kind, blk, host);
    return 0;
}

/* ---- save and restore ---- */

/* The request that was taken first of those after `order`. */
static const struct stasis_virtio_blk_slot *next_of(const struct stasis_virtio_blk *blk,
                                                    uint64_t order)
{
    const struct stasis_virtio_blk_slot *next = NULL;

    for (unsigned i = 0; i < STASIS_VIRTIO_BLK_REQUESTS; i++) {
        const struct stasis_virtio_blk_slot *slot = &blk->slots[i];

        if (slot->is_used && slot->order > order && (!next || slot->order < next->order))
            next = slot;
    }
    return next;
}

void stasis_virtio_blk_save(const struct stasis_virtio_blk *blk,
                            struct stasis_virtio_blk_state *ret_state)
{
    const struct stasis_virtio_blk_slot *slot = NULL;
    struct stasis_virtio_mmio_state regs;

    *ret_state = blk->disk;
    stasis_virtio_mmio_save(&blk->mmio, &regs);
    memcpy(&ret_state->mmio, &regs, sizeof(regs));
    while ((slot = next_of(blk, slot ? slot->order : 0)))
        ret_state->requests[ret_state->requests_count++].head = slot->chain.head;
}

static int check_disk(const struct stasis_virtio_blk_state *disk,
                      const struct stasis_virtio_blk_state *state, struct stasis_error *err)
{
    if (state->sectors == disk->sectors && state->block_size == disk->block_size &&
        state->read_only == disk->read_only)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the guest's disk had %" PRIu64 " sectors in blocks of %" PRIu32
                       " bytes%s, this one has %" PRIu64 " in %" PRIu32 "%s: give the guest its "
                       "own disk",
                       state->sectors, state->block_size, state->read_only ? ", read-only" : "",
                       disk->sectors, disk->block_size, disk->read_only ? ", read-only" : "");
}

int stasis_virtio_blk_restore(struct stasis_virtio_blk *blk,
                              const struct stasis_virtio_blk_state *state, struct stasis_error *err)
{
    struct stasis_virtio_mmio_state regs;
    int rc = stasis_state_check(&stasis_virtio_blk_schema, state, err);

    memcpy(&regs, &state->mmio, sizeof(regs));
    if (!rc)
        rc = check_disk(&blk->disk, state, err);
    if (!rc)
        rc = stasis_virtio_mmio_restore(&blk->mmio, &regs, err);
    if (rc)
        return rc;
    memcpy(blk->disk.serial, state->serial, sizeof(blk->disk.serial));
    forget(blk);
    blk->is_silent = true; /* what was answered last may not have been announced */
    for (uint32_t i = 0; i < state->requests_count; i++) {
        blk->slots[i].is_used = true;
        blk->slots[i].is_submitted = false;
        blk->slots[i].order = ++blk->order;
        blk->slots[i].chain.head = state->requests[i].head;
    }
    return 0;
}

void stasis_virtio_blk_apply_outputs(struct stasis_virtio_blk *blk)
{
    stasis_virtio_mmio_apply_outputs(&blk->mmio);
    if (stasis_virtio_mmio_is_active(&blk->mmio, STASIS_VIRTIO_BLK_QUEUE))
        blk->ops->wake(blk->ctx);
}
