/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h> /* FALLOC_FL_ZERO_RANGE, which musl lacks */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/host/disk_lock.h"
#include "vmm/host/disk_overlay.h"

static const struct stasis_disk_calls real_calls = {pread, pwrite, fdatasync, fallocate, fsync};

/* ---- opening ---- */

static int refuse_open(bool read_only, bool is_direct, struct stasis_error *err)
{
    if (is_direct && errno == EINVAL)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "its file system cannot read and write past the page cache; give "
                           "cache=writeback");
    if (errno == EISDIR)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it is a folder; name a raw file or a block device");
    if (!read_only && (errno == EACCES || errno == EROFS || errno == EPERM))
        return stasis_fail_errno(err, STASIS_ERR_ARG,
                                 "cannot open it for writing; make it writable, or give "
                                 "readonly=on");
    return stasis_fail_errno(err, STASIS_ERR_ARG,
                             "cannot open it; name a raw file or a block device that can be read");
}

static int check_kind(struct stasis_disk *disk, struct stasis_error *err)
{
    struct stat st;

    if (fstat(disk->fd, &st))
        return stasis_fail_errno(err, STASIS_ERR_ARG, "cannot tell what it is");
    disk->is_file = S_ISREG(st.st_mode);
    if (!disk->is_file && !S_ISBLK(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "it is %s; name a raw file or a block device",
                           S_ISDIR(st.st_mode)    ? "a folder"
                           : S_ISFIFO(st.st_mode) ? "a named pipe"
                                                  : "no file");
    return 0;
}

static int check_size(struct stasis_disk *disk, struct stasis_error *err)
{
    off_t end = lseek(disk->fd, 0, SEEK_END);

    if (end < 0)
        return stasis_fail_errno(err, STASIS_ERR_ARG,
                                 "cannot tell its size; name a raw file or a block device");
    if (!end || end % STASIS_DISK_SECTOR)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it has %" PRIu64 " bytes; give it a multiple of %u, at least %u, for "
                           "example by truncate(1)",
                           (uint64_t)end, STASIS_DISK_SECTOR, STASIS_DISK_SECTOR);
    disk->bytes = (uint64_t)end;
    return 0;
}

void stasis_disk_unlock(const struct stasis_disk *disk)
{
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    (void)fcntl(disk->fd, F_OFD_SETLK, &range);
}

#define ALIGNMENT_MAX 4096u

/* What the host wants direct transfers to be aligned to: the smallest with which it reads. The
 * first place that is no multiple of a larger one is looked at. */
static uint32_t find_alignment(const struct stasis_disk *disk)
{
    for (uint32_t at = STASIS_DISK_SECTOR; at <= ALIGNMENT_MAX; at *= 2) {
        if (disk->calls->pread(disk->fd, disk->bounce, at, disk->bytes >= 2 * at ? at : 0) > 0)
            return at;
    }
    return 0;
}

static int begin_direct(struct stasis_disk *disk, struct stasis_error *err)
{
    if (posix_memalign((void **)&disk->bounce, ALIGNMENT_MAX, STASIS_DISK_BOUNCE)) {
        disk->bounce = NULL;
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for its transfers");
    }
    disk->alignment = find_alignment(disk);
    if (!disk->alignment)
        return stasis_fail_errno(err, STASIS_ERR_ARG,
                                 "it cannot be read past the page cache; give cache=writeback");
    if (disk->bytes % disk->alignment)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it has %" PRIu64 " bytes; with cache=none give it a multiple of "
                           "%" PRIu32 ", or give cache=writeback",
                           disk->bytes, disk->alignment);
    return 0;
}

/* O_NONBLOCK: whoever opens a named pipe would wait. It means nothing to what is a disk. */
int stasis_disk_open(const char *path, bool read_only, bool is_direct, struct stasis_disk *ret_disk,
                     struct stasis_error *err)
{
    struct stasis_disk disk = {
        .fd = open(path, (read_only ? O_RDONLY : O_RDWR) | (is_direct ? O_DIRECT : 0) | O_CLOEXEC |
                             O_NOCTTY | O_NONBLOCK),
        .is_read_only = read_only,
        .calls = &real_calls,
    };
    int rc;

    if (disk.fd < 0)
        return refuse_open(read_only, is_direct, err);
    rc = check_kind(&disk, err);
    if (!rc)
        rc = check_size(&disk, err);
    if (!rc)
        rc = stasis_disk_lock(disk.fd, read_only, err);
    if (!rc && is_direct)
        rc = begin_direct(&disk, err);
    if (rc)
        stasis_disk_close(&disk);
    else
        *ret_disk = disk;
    return rc;
}

void stasis_disk_close(struct stasis_disk *disk)
{
    stasis_disk_close_overlay(disk);
    free(disk->bounce);
    disk->bounce = NULL;
    close(disk->fd);
    disk->fd = -1;
}

struct stasis_disk_marker stasis_disk_marker(const struct stasis_disk *disk)
{
    struct stat st;

    if (disk->overlay && !stasis_disk_overlay_is_new(disk))
        return stasis_disk_overlay_marker(disk);
    if (!disk->is_file || fstat(disk->fd, &st))
        return (struct stasis_disk_marker){0};
    return (struct stasis_disk_marker){.inode = (uint64_t)st.st_ino,
                                       .mtime_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u +
                                                   (uint64_t)st.st_mtim.tv_nsec};
}

/* ---- data ---- */

/* What a call that moves bytes has returned: false, it will move no more. */
static bool goes_on(ssize_t moved)
{
    return moved > 0 || (moved < 0 && errno == EINTR);
}

static bool read_all(const struct stasis_disk *disk, uint64_t offset, void *bytes, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t moved = disk->calls->pread(disk->fd, (uint8_t *)bytes + done, len - done,
                                           (off_t)(offset + done));

        if (!goes_on(moved))
            return false;
        done += moved > 0 ? (size_t)moved : 0;
    }
    return true;
}

static bool write_all(const struct stasis_disk *disk, uint64_t offset, const void *bytes,
                      size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t moved = disk->calls->pwrite(disk->fd, (const uint8_t *)bytes + done, len - done,
                                            (off_t)(offset + done));

        if (!goes_on(moved))
            return false;
        done += moved > 0 ? (size_t)moved : 0;
    }
    return true;
}

/* A direct transfer by way of the aligned bytes: the blocks around a part of the data. */
struct window {
    uint64_t offset; /* on the disk, aligned, as is len */
    size_t len;
    size_t at, part; /* where the data is in it, and how much */
};

static struct window window_of(const struct stasis_disk *disk, uint64_t offset, size_t len)
{
    uint64_t start = offset - offset % disk->alignment;
    size_t at = (size_t)(offset - start);
    size_t part = len < STASIS_DISK_BOUNCE - at ? len : STASIS_DISK_BOUNCE - at;
    size_t rest = (at + part) % disk->alignment;

    return (struct window){start, at + part + (rest ? disk->alignment - rest : 0), at, part};
}

static bool read_window(const struct stasis_disk *disk, const struct window *window, void *bytes)
{
    if (!read_all(disk, window->offset, disk->bounce, window->len))
        return false;
    memcpy(bytes, disk->bounce + window->at, window->part);
    return true;
}

/* What is around the data in its blocks is written back as it was: nobody else writes there. */
static bool write_window(const struct stasis_disk *disk, const struct window *window,
                         const void *bytes)
{
    if (window->part != window->len && !read_all(disk, window->offset, disk->bounce, window->len))
        return false;
    memcpy(disk->bounce + window->at, bytes, window->part);
    return write_all(disk, window->offset, disk->bounce, window->len);
}

bool stasis_disk_read(const struct stasis_disk *disk, uint64_t offset, void *bytes, size_t len)
{
    return disk->overlay ? stasis_disk_overlay_read(disk, offset, bytes, len)
                         : stasis_disk_read_below(disk, offset, bytes, len);
}

bool stasis_disk_read_below(const struct stasis_disk *disk, uint64_t offset, void *bytes,
                            size_t len)
{
    if (!disk->alignment)
        return read_all(disk, offset, bytes, len);
    for (size_t done = 0; done < len;) {
        const struct window window = window_of(disk, offset + done, len - done);

        if (!read_window(disk, &window, (uint8_t *)bytes + done))
            return false;
        done += window.part;
    }
    return true;
}

bool stasis_disk_write(const struct stasis_disk *disk, uint64_t offset, const void *bytes,
                       size_t len)
{
    if (disk->overlay)
        return stasis_disk_overlay_write(disk, offset, bytes, len);
    if (!disk->alignment)
        return write_all(disk, offset, bytes, len);
    for (size_t done = 0; done < len;) {
        const struct window window = window_of(disk, offset + done, len - done);

        if (!write_window(disk, &window, (const uint8_t *)bytes + done))
            return false;
        done += window.part;
    }
    return true;
}

/* Not tried again: the kernel may have dropped what it could not write. It says so once for each
 * descriptor, so what a settling was told is kept for the guest. */
bool stasis_disk_flush(struct stasis_disk *disk)
{
    bool has_lost = disk->has_lost;

    if (disk->overlay)
        return stasis_disk_overlay_flush(disk);
    if (disk->is_read_only)
        return true;
    disk->has_lost = false;
    return !disk->calls->fdatasync(disk->fd) && !has_lost;
}

/* What is lost stays so, though the kernel finds nothing to complain of the second time. */
bool stasis_disk_settle(struct stasis_disk *disk)
{
    errno = EIO;
    disk->has_root = false;
    if (disk->has_lost || (disk->overlay && !stasis_disk_overlay_settle(disk)))
        return false;
    disk->has_lost = !disk->overlay && !disk->is_read_only && disk->calls->fsync(disk->fd);
    if (disk->has_lost)
        return false;
    disk->has_samples = (!disk->overlay || stasis_disk_overlay_is_new(disk)) &&
                        stasis_disk_sample(disk->fd, disk->bytes, disk->samples);
    return true;
}

void stasis_disk_forget_samples(struct stasis_disk *disk)
{
    disk->has_samples = false;
}

static bool allocate(const struct stasis_disk *disk, int mode, uint64_t offset, uint64_t len)
{
    int failed;

    do
        failed =
            disk->calls->fallocate(disk->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
    while (failed && errno == EINTR);
    return !failed;
}

static bool is_unknown(int number)
{
    return number == EOPNOTSUPP || number == ENOSYS || number == EINVAL;
}

bool stasis_disk_discard(const struct stasis_disk *disk, uint64_t offset, uint64_t len)
{
    if (disk->overlay)
        return stasis_disk_overlay_discard(disk, offset, len);
    return allocate(disk, FALLOC_FL_PUNCH_HOLE, offset, len) || is_unknown(errno);
}

static bool write_zeroes(const struct stasis_disk *disk, uint64_t offset, uint64_t len)
{
    static const uint8_t zeroes[16384];

    for (uint64_t done = 0; done < len; done += sizeof(zeroes)) {
        uint64_t left = len - done;

        if (!stasis_disk_write(disk, offset + done, zeroes,
                               left < sizeof(zeroes) ? (size_t)left : sizeof(zeroes)))
            return false;
    }
    return true;
}

bool stasis_disk_zero(const struct stasis_disk *disk, uint64_t offset, uint64_t len, bool may_unmap)
{
    if (disk->overlay)
        return stasis_disk_overlay_zero(disk, offset, len);
    if (may_unmap && allocate(disk, FALLOC_FL_PUNCH_HOLE, offset, len))
        return true;
    if (allocate(disk, FALLOC_FL_ZERO_RANGE, offset, len))
        return true;
    return is_unknown(errno) && write_zeroes(disk, offset, len);
}
