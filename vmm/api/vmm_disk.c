/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/api/vmm_disk.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/host/disk_overlay.h"

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

static void do_mark(void *ctx, struct stasis_device_disk_mark *ret_mark)
{
    const struct stasis_disk *disk = ctx;
    const struct stasis_disk_marker marker = stasis_disk_marker(disk);

    _Static_assert(sizeof(ret_mark->samples) == sizeof(disk->samples), "a digest");
    *ret_mark = (struct stasis_device_disk_mark){
        .inode = marker.inode, .mtime_ns = marker.mtime_ns, .has_samples = disk->has_samples};
    memcpy(ret_mark->samples, disk->samples, sizeof(ret_mark->samples));
    if (disk->has_root)
        *ret_mark = (struct stasis_device_disk_mark){.has_root = true};
    memcpy(ret_mark->root, disk->root, sizeof(ret_mark->root));
}

static uint64_t do_admit(void *ctx, uint64_t now_ns, uint64_t bytes)
{
    struct stasis_disk *disk = ctx;

    return stasis_disk_limit_admit(&disk->limit, now_ns, bytes);
}

static int check_blocks(const struct stasis_disk *disk, uint32_t block_size,
                        struct stasis_error *err)
{
    return disk->bytes % block_size
               ? stasis_fail(err, STASIS_ERR_ARG,
                             "it has %" PRIu64 " bytes; give it a multiple of block_size=%" PRIu32
                             ", for example by truncate(1)",
                             disk->bytes, block_size)
               : 0;
}

static struct stasis_vmm_disk *find(struct stasis_vmm_disks *disks, const char *id)
{
    for (unsigned i = 0; i < disks->count; i++)
        if (!strcmp(disks->list[i].device.id, id))
            return &disks->list[i];
    return NULL;
}

/* What a snapshot says that a disk lies on; false: none, or it says nothing. */
static bool read_root(const struct stasis_records *records, const char *id,
                      uint8_t ret_root[STASIS_DISK_DIGEST_SIZE])
{
    struct stasis_virtio_blk_state *state = records ? malloc(sizeof(*state)) : NULL;
    bool has = state && !stasis_records_get(records, &stasis_virtio_blk_schema, id, state, NULL) &&
               state->disk_root_len == sizeof(state->disk_root);

    if (has)
        memcpy(ret_root, state->disk_root, sizeof(state->disk_root));
    free(state);
    return has;
}

static int open_overlay(const struct stasis_vmm_config *config, unsigned index,
                        struct stasis_vmm_disks *disks, const struct stasis_records *records,
                        struct stasis_error *err)
{
    const char *path = config->block[index].overlay, *id = stasis_config_disk_id(config, index);
    struct stasis_vmm_disk *disk = find(disks, id);
    uint8_t root[STASIS_DISK_DIGEST_SIZE];
    bool has_root = read_root(records, id, root);
    const struct stasis_disk_overlay_opts opts = {
        .root = has_root ? root : NULL,
        .layers = config->restore.layers,
        .may_differ = stasis_config_allows(config->allow.disk_changed, id),
    };
    int rc;

    if (!path || !disk || disk->disk.overlay)
        return 0;
    if (disks->only_looks)
        rc = stasis_disk_try_overlay(&disk->disk, path, disks->outputs, &opts, err);
    else
        rc = stasis_disk_open_overlay(&disk->disk, path, disks->outputs, &opts, err);
    return rc ? stasis_wrap(err, rc, "block[%u].overlay=%s", index, path) : 0;
}

int stasis_vmm_disks_open_overlays(const struct stasis_vmm_config *config,
                                   struct stasis_vmm_disks *disks,
                                   const struct stasis_records *records, struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < stasis_config_disks(config); i++)
        rc = open_overlay(config, i, disks, records, err);
    return rc;
}

static int open_path(const struct stasis_vmm_config *config, unsigned index, uint32_t block_size,
                     struct stasis_disk *disk, struct stasis_error *err)
{
    const struct stasis_vmm_block *block = &config->block[index];
    bool read_only = block->overlay || block->readonly == STASIS_VMM_BLOCK_READONLY_ON;
    int rc = stasis_disk_open(block->path, read_only, block->cache == STASIS_VMM_BLOCK_CACHE_NONE,
                              disk, err);

    if (!rc) {
        rc = check_blocks(disk, block_size, err);
        if (rc)
            stasis_disk_close(disk);
    }
    return rc ? stasis_wrap(err, rc, "block[%u].path=%s", index, block->path) : 0;
}

static int open_disk(const struct stasis_vmm_config *config, unsigned index,
                     struct stasis_vmm_disk *disk, struct stasis_error *err)
{
    const struct stasis_vmm_block *block = &config->block[index];
    const uint32_t block_size = block->block_size ? (uint32_t)block->block_size : 512;
    int rc = open_path(config, index, block_size, &disk->disk, err);

    if (rc)
        return rc;
    disk->disk.is_read_only = block->readonly == STASIS_VMM_BLOCK_READONLY_ON;
    disk->device = (struct stasis_device_disk){
        .id = stasis_config_disk_id(config, index),
        .bytes = disk->disk.bytes,
        .block_size = block_size,
        .is_read_only = disk->disk.is_read_only,
        .ctx = &disk->disk,
        .read = do_read,
        .write = do_write,
        .flush = do_flush,
        .discard = do_discard,
        .zero = do_zero,
        .mark = do_mark,
        .admit = do_admit,
    };
    disk->disk.limit =
        (struct stasis_disk_limit){.operations.rate = block->iops, .bytes.rate = block->bandwidth};
    return 0;
}

int stasis_vmm_disks_add(const struct stasis_vmm_config *config, unsigned index,
                         struct stasis_vmm_disks *disks, struct stasis_device_host *host,
                         struct stasis_error *err)
{
    struct stasis_vmm_disk *disk = &disks->list[disks->count];
    int rc = open_disk(config, index, disk, err);

    if (rc)
        return rc;
    disk->device.next = host->disks;
    host->disks = &disk->device;
    disks->count++;
    return 0;
}

int stasis_vmm_disks_open(const struct stasis_vmm_config *config, struct stasis_vmm_disks *disks,
                          struct stasis_device_host *host, struct stasis_error *err)
{
    const unsigned count = stasis_config_disks(config);
    int rc = 0;

    for (unsigned i = 0; !rc && i < count; i++)
        rc = stasis_vmm_disks_add(config, i, disks, host, err);
    return rc;
}

void stasis_vmm_disks_unlock(const struct stasis_vmm_disks *disks)
{
    for (unsigned i = 0; i < disks->count; i++)
        stasis_disk_unlock(&disks->list[i].disk);
}

void stasis_vmm_disks_close(struct stasis_vmm_disks *disks)
{
    while (disks->count)
        stasis_disk_close(&disks->list[--disks->count].disk);
}

bool stasis_vmm_disks_need_settling(const struct stasis_vmm_disks *disks)
{
    for (unsigned i = 0; i < disks->count; i++)
        if (disks->list[i].disk.overlay)
            return true;
    return false;
}

/* 0.1.0 has no disks. */
bool stasis_vmm_reads_older_disks(const char *release)
{
    return release && strverscmp(release, "0.2.0") >= 0 && strverscmp(release, "0.3.0") < 0;
}

int stasis_vmm_disks_check_target(const struct stasis_vmm_disks *disks, const char *release,
                                  struct stasis_error *err)
{
    for (unsigned i = 0; stasis_vmm_reads_older_disks(release) && i < disks->count; i++) {
        const struct stasis_vmm_disk *disk = &disks->list[i];

        if (disk->disk.overlay && stasis_disk_overlay_needs_newer(&disk->disk))
            return stasis_fail(err, STASIS_ERR_ARG,
                               "disk %s lies on an overlay with digests, or with an index of all "
                               "overlays, which release %s does not read; leave out the target",
                               disk->device.id, release);
    }
    return 0;
}

int stasis_vmm_disks_check_own_target(const struct stasis_vmm_config *config,
                                      const struct stasis_vmm_disks *disks,
                                      struct stasis_error *err)
{
    const char *target = config->snapshot.save.target;
    int rc = stasis_vmm_disks_check_target(disks, target, err);

    return rc ? stasis_wrap(err, rc, "snapshot.target=%.40s", target) : 0;
}

static int settle(struct stasis_vmm_disk *disk, struct stasis_error *err)
{
    if (stasis_disk_settle(&disk->disk))
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_IO,
                             "disk %s cannot keep what the guest wrote, which the snapshot "
                             "would count on; check the host's disk",
                             disk->device.id);
}

int stasis_vmm_disks_prepare_seal(struct stasis_vmm_disks *disks, bool (*keep_on)(void *ctx),
                                  void *ctx, struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < disks->count; i++) {
        struct stasis_vmm_disk *disk = &disks->list[i];

        if (disk->disk.overlay)
            rc = stasis_disk_prepare_seal(&disk->disk, keep_on, ctx, err);
        if (rc)
            rc = stasis_wrap(err, rc, "disk %s", disk->device.id);
    }
    return rc;
}

static int seal(struct stasis_vmm_disk *disk, unsigned how, struct stasis_error *err)
{
    int rc = stasis_disk_seal_overlay(&disk->disk, how & STASIS_VMM_SETTLE_DIGESTS,
                                      how & STASIS_VMM_SETTLE_PARTIAL, err);

    return rc ? stasis_wrap(err, rc, "disk %s", disk->device.id) : 0;
}

int stasis_vmm_disks_settle(struct stasis_vmm_disks *disks, unsigned how, struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; !rc && i < disks->count; i++) {
        struct stasis_vmm_disk *disk = &disks->list[i];

        if (disk->disk.overlay && how & STASIS_VMM_SETTLE_SEALS)
            rc = seal(disk, how, err);
        else if (disk->disk.overlay || !(how & STASIS_VMM_SETTLE_OVERLAYS))
            rc = settle(disk, err);
        else
            stasis_disk_forget_samples(&disk->disk);
    }
    return rc;
}
