/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/vmm_disk.h"

#include <string.h>

static bool do_read(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    return stasis_disk_read(ctx, offset, bytes, len);
}

static bool do_write(void *ctx, uint64_t offset, const void *bytes, size_t len)
{
    return stasis_disk_write(ctx, offset, bytes, len);
}

static bool do_flush(void *ctx)
{
    return stasis_disk_flush(ctx);
}

static bool do_discard(void *ctx, uint64_t offset, uint64_t len)
{
    return stasis_disk_discard(ctx, offset, len);
}

static bool do_zero(void *ctx, uint64_t offset, uint64_t len, bool may_unmap)
{
    return stasis_disk_zero(ctx, offset, len, may_unmap);
}

static void do_mark(void *ctx, uint64_t *ret_inode, uint64_t *ret_mtime_ns)
{
    const struct stasis_disk_marker marker = stasis_disk_marker(ctx);

    *ret_inode = marker.inode;
    *ret_mtime_ns = marker.mtime_ns;
}

int stasis_vmm_disk_open(const struct stasis_vmm_config *config, struct stasis_vmm_disk *disk,
                         struct stasis_device_host *host, struct stasis_error *err)
{
    const struct stasis_vmm_block *block = &config->block;
    int rc;

    if (!block->path)
        return 0;
    rc = stasis_disk_open(block->path, block->readonly == STASIS_VMM_BLOCK_READONLY_ON, &disk->disk,
                          err);
    if (rc)
        return stasis_wrap(err, rc, "block.path=%s", block->path);
    disk->is_open = true;
    disk->device = (struct stasis_device_disk){
        .id = stasis_config_block_id(config),
        .bytes = disk->disk.bytes,
        .is_read_only = disk->disk.is_read_only,
        .may_have_changed = block->changed == STASIS_VMM_BLOCK_ALLOW,
        .ctx = &disk->disk,
        .read = do_read,
        .write = do_write,
        .flush = do_flush,
        .discard = do_discard,
        .zero = do_zero,
        .mark = do_mark,
    };
    host->disks = &disk->device;
    return 0;
}

void stasis_vmm_disk_close(struct stasis_vmm_disk *disk)
{
    if (disk->is_open)
        stasis_disk_close(&disk->disk);
    disk->is_open = false;
}

int stasis_vmm_disk_settle(const struct stasis_vmm_disk *disk, struct stasis_error *err)
{
    if (!disk->is_open || stasis_disk_settle(&disk->disk))
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_IO,
                             "disk %s cannot keep what the guest wrote, which the snapshot would "
                             "count on; check the host's disk",
                             disk->device.id);
}

int stasis_vmm_disk_check_board(const struct stasis_vmm_config *config,
                                const struct stasis_board_state *board, struct stasis_error *err)
{
    const char *id = stasis_config_block_id(config);

    if (!config->block.path)
        return 0;
    for (uint32_t i = 0; i < board->devices_count; i++)
        if (!strcmp(board->devices[i].type, stasis_virtio_blk_schema.type) &&
            !strcmp(board->devices[i].instance, id))
            return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the guest has no disk %s; leave out block.path, or set block.id to the "
                       "name of a disk that it has",
                       id);
}

int stasis_vmm_disk_check_resume(const struct stasis_vmm_config *config, struct stasis_error *err)
{
    const struct stasis_vmm_block *block = &config->block;

    if (!block->path || block->readonly == STASIS_VMM_BLOCK_READONLY_ON ||
        block->shared == STASIS_VMM_BLOCK_ALLOW)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the guest would run on and write to disk %s, which the snapshot then does "
                       "not fit; have the snapshot end the guest, or set block.readonly to on, or "
                       "block.shared to allow",
                       stasis_config_block_id(config));
}
