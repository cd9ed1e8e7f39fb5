/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/disk_overlay.h"

#include <errno.h>
#include <string.h>

#include "stasis/overlay.h"

static bool read_below(void *ctx, uint64_t offset, void *bytes, size_t len)
{
    return stasis_disk_read_below(ctx, offset, bytes, len);
}

static struct stasis_overlay_base base_of(struct stasis_disk *disk,
                                          const struct stasis_disk_overlay_opts *opts)
{
    const struct stasis_disk_marker marker = stasis_disk_marker(disk);
    struct stasis_overlay_base base = {
        .size = sizeof(base),
        .bytes = disk->bytes,
        .read = read_below,
        .ctx = disk,
        .inode = marker.inode,
        .mtime_ns = marker.mtime_ns,
        .root = opts->root,
        .layers = opts->layers,
        .may_differ = opts->may_differ,
    };

    _Static_assert(sizeof(base.samples) == STASIS_DISK_DIGEST_SIZE, "a digest");
    base.has_samples = stasis_disk_sample(disk->fd, disk->bytes, base.samples);
    return base;
}

int stasis_disk_open_overlay(struct stasis_disk *disk, const char *path,
                             struct stasis_outputs *outputs,
                             const struct stasis_disk_overlay_opts *opts, struct stasis_error *err)
{
    const struct stasis_overlay_base base = base_of(disk, opts);

    return stasis_overlay_open(path, outputs, &base, &disk->overlay, err);
}

int stasis_disk_try_overlay(struct stasis_disk *disk, const char *path,
                            struct stasis_outputs *outputs,
                            const struct stasis_disk_overlay_opts *opts, struct stasis_error *err)
{
    const struct stasis_overlay_base base = base_of(disk, opts);

    disk->only_looks = true;
    return stasis_overlay_try(path, outputs, &base, &disk->overlay, err);
}

void stasis_disk_close_overlay(struct stasis_disk *disk)
{
    if (disk->overlay && !disk->only_looks)
        (void)!stasis_overlay_finish(disk->overlay, NULL); /* the guest has flushed what counts */
    stasis_overlay_free(disk->overlay);
    disk->overlay = NULL;
}

bool stasis_disk_overlay_is_new(const struct stasis_disk *disk)
{
    const struct stasis_overlay_stats stats = stasis_overlay_stats(disk->overlay);

    return !stats.mapped_bytes && !stats.has_root;
}

bool stasis_disk_overlay_is_at(const struct stasis_disk *disk, const uint8_t *root)
{
    const struct stasis_overlay_stats stats = stasis_overlay_stats(disk->overlay);

    return !stats.mapped_bytes && stats.has_root && !memcmp(stats.root, root, sizeof(stats.root));
}

bool stasis_disk_overlay_needs_newer(const struct stasis_disk *disk)
{
    return stasis_overlay_stats(disk->overlay).needs_newer;
}

int stasis_disk_prepare_seal(struct stasis_disk *disk, bool (*keep_on)(void *ctx), void *ctx,
                             struct stasis_error *err)
{
    int rc = stasis_overlay_check_seal(disk->overlay, err);

    return rc ? rc : stasis_overlay_write_back(disk->overlay, keep_on, ctx, err);
}

int stasis_disk_seal_overlay(struct stasis_disk *disk, bool has_digests, bool for_older,
                             struct stasis_error *err)
{
    unsigned how =
        (has_digests ? STASIS_OVERLAY_DIGESTS : 0) | (for_older ? STASIS_OVERLAY_PARTIAL : 0);
    int rc = stasis_overlay_seal(disk->overlay, how, disk->root, &disk->has_root, err);

    _Static_assert(sizeof(disk->root) == STASIS_OVERLAY_ROOT_SIZE, "a root");
    if (rc)
        disk->has_root = false;
    disk->has_samples =
        !rc && !disk->has_root && stasis_disk_sample(disk->fd, disk->bytes, disk->samples);
    return rc;
}

struct stasis_disk_marker stasis_disk_overlay_marker(const struct stasis_disk *disk)
{
    const struct stasis_overlay_stats stats = stasis_overlay_stats(disk->overlay);
    struct stasis_disk_marker marker = {.mtime_ns = stats.commits};

    memcpy(&marker.inode, stats.uuid, sizeof(marker.inode));
    return marker;
}

/* ---- data ---- */

/* errno says why, for the messages of a snapshot. */
static bool done(int rc, const struct stasis_error *err)
{
    if (rc)
        errno = err->os_errno ? err->os_errno : EIO;
    return !rc;
}

bool stasis_disk_overlay_read(const struct stasis_disk *disk, uint64_t offset, void *bytes,
                              size_t len)
{
    struct stasis_error err;

    return done(stasis_overlay_read(disk->overlay, offset, bytes, len, &err), &err);
}

bool stasis_disk_overlay_write(const struct stasis_disk *disk, uint64_t offset, const void *bytes,
                               size_t len)
{
    struct stasis_error err;

    return done(stasis_overlay_write(disk->overlay, offset, bytes, len, &err), &err);
}

bool stasis_disk_overlay_discard(const struct stasis_disk *disk, uint64_t offset, uint64_t len)
{
    stasis_overlay_discard(disk->overlay, offset, len);
    return true;
}

bool stasis_disk_overlay_zero(const struct stasis_disk *disk, uint64_t offset, uint64_t len)
{
    struct stasis_error err;

    return done(stasis_overlay_zero(disk->overlay, offset, len, &err), &err);
}

bool stasis_disk_overlay_flush(const struct stasis_disk *disk)
{
    struct stasis_error err;

    return done(stasis_overlay_flush(disk->overlay, &err), &err);
}

bool stasis_disk_overlay_settle(const struct stasis_disk *disk)
{
    struct stasis_error err;

    return done(stasis_overlay_finish(disk->overlay, &err), &err);
}
