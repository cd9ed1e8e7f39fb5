/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The content of a guest's disk: a raw file, or a block device, of the host. It is locked as others
 * lock theirs (fcntl(2), F_OFD_SETLK), for as long as it is open.
 *
 * Calls are serialized by the caller, and wait for the host's disk.
 */
#ifndef STASIS_VMM_DISK_H
#define STASIS_VMM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "stasis/error.h"
#include "vmm/host/disk_limit.h"
#include "vmm/host/disk_samples.h"

#define STASIS_DISK_SECTOR 512u
#define STASIS_DISK_BOUNCE (UINT32_C(128) << 10) /* bytes of a direct transfer, at most */

/* The system calls; a test has others. */
struct stasis_disk_calls {
    ssize_t (*pread)(int fd, void *bytes, size_t len, off_t offset);
    ssize_t (*pwrite)(int fd, const void *bytes, size_t len, off_t offset);
    int (*fdatasync)(int fd);
    int (*fallocate)(int fd, int mode, off_t offset, off_t len);
    int (*fsync)(int fd);
};

struct stasis_overlay;

struct stasis_disk {
    int fd;
    uint64_t bytes; /* whole sectors; when it was opened */
    bool is_read_only;
    bool is_file;       /* else a block device */
    uint32_t alignment; /* of direct transfers; 0: they go through the page cache */
    uint8_t *bounce;    /* STASIS_DISK_BOUNCE aligned bytes for those, or NULL */
    const struct stasis_disk_calls *calls;
    bool has_lost;    /* what was written, said stasis_disk_settle(); no flush has told yet */
    bool has_samples; /* since stasis_disk_settle() */
    uint8_t samples[STASIS_DISK_DIGEST_SIZE];
    bool only_looks; /* the overlay is not written to */
    struct stasis_overlay
        *overlay;  /* takes what is written (disk_overlay.h); NULL: the file does */
    bool has_root; /* of the overlay, since it was sealed; until it is settled or sealed again */
    uint8_t root[STASIS_DISK_DIGEST_SIZE];
    struct stasis_disk_limit limit; /* none at the start; kept by who asks, not by what is below */
};

/* By which a changed file is known. */
struct stasis_disk_marker {
    uint64_t inode;
    uint64_t mtime_ns; /* 0 and 0 of a block device: nothing tells that its content has changed. Of
                        * an overlay that was written to both stand for its content. */
};

/* is_direct: past the host's page cache (O_DIRECT). STASIS_ERR_ARG: it cannot be opened, or not for
 * that, is no disk, has no whole sectors, or is in use by others. Messages do not begin with the
 * path. */
STASIS_MUST_CHECK int stasis_disk_open(const char *path, bool read_only, bool is_direct,
                                       struct stasis_disk *ret_disk, struct stasis_error *err);
void stasis_disk_close(struct stasis_disk *disk);

/* For a dry run: others may use it again. Until then it is locked. */
void stasis_disk_unlock(const struct stasis_disk *disk);

struct stasis_disk_marker stasis_disk_marker(const struct stasis_disk *disk);

/* False: an I/O error, also where the file has been cut short, or the host's disk is full. The
 * content of the range is then unknown. */
bool stasis_disk_read(const struct stasis_disk *disk, uint64_t offset, void *bytes, size_t len);
bool stasis_disk_write(const struct stasis_disk *disk, uint64_t offset, const void *bytes,
                       size_t len);
/* Of the file itself, whatever an overlay has. */
bool stasis_disk_read_below(const struct stasis_disk *disk, uint64_t offset, void *bytes,
                            size_t len);
/* What was written before survives a crash of the host. False is told once. */
bool stasis_disk_flush(struct stasis_disk *disk);
/* The same, and what its marker is made of; takes samples of it, too, if they can be read. Nobody
 * writes to the disk meanwhile. On failure the next flush fails as well, since the guest has to
 * know, and until then it cannot be settled. errno says why. */
bool stasis_disk_settle(struct stasis_disk *disk);
/* An overlay is settled even where nobody waits for disks: what it has counts by its last flush
 * only. */
/* The disk is about to change, or has. */
void stasis_disk_forget_samples(struct stasis_disk *disk);
/* The content may become anything: where the host cannot drop it, it stays. */
bool stasis_disk_discard(const struct stasis_disk *disk, uint64_t offset, uint64_t len);
/* It reads as zero. may_unmap: the host need not keep room for it. */
bool stasis_disk_zero(const struct stasis_disk *disk, uint64_t offset, uint64_t len,
                      bool may_unmap);

#endif
