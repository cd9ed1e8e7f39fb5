/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/disk_lock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Bytes of QEMU's locks (its block/file-posix.c), which are all for reading. A user of the image
 * holds one for each thing that it does, writing among them, and one for each that others may not
 * do; who begins to do that looks whether there is a lock. */
#define QEMU_READS      100 /* the first */
#define QEMU_WRITES     101
#define QEMU_NO_READERS 200
#define QEMU_NO_WRITERS 201

/* len 0: all that follows. */
static int lock_range(int fd, short type, off_t start, off_t len)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, F_OFD_SETLK, &range);
}

/* A lock that has bytes before QEMU's is that of one who reads the disk, and locks all of it. */
static int refuse_qemu_writer(int fd)
{
    struct flock other = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = QEMU_WRITES, .l_len = 1};

    if (fcntl(fd, F_OFD_GETLK, &other))
        return -1;
    if (other.l_type == F_UNLCK || (other.l_type == F_RDLCK && other.l_start < QEMU_READS))
        return 0;
    errno = EAGAIN;
    return -1;
}

/* All bytes but those by which QEMU's readers would take this one for a writer, or for one that
 * shares with nobody. Locks come first, as QEMU's do: of two that begin at once one sees the
 * other. */
static int lock_for_reading(int fd)
{
    static_assert(QEMU_NO_WRITERS == QEMU_NO_READERS + 1, "what lies between is not locked");

    if (lock_range(fd, F_RDLCK, 0, QEMU_WRITES) || lock_range(fd, F_RDLCK, QEMU_NO_WRITERS, 0))
        return -1;
    return refuse_qemu_writer(fd);
}

int stasis_disk_lock(int fd, bool read_only, struct stasis_error *err)
{
    if (!(read_only ? lock_for_reading(fd) : lock_range(fd, F_WRLCK, 0, 0)))
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it is in use%s by another program, or as another disk of this guest; "
                           "end that, or give a copy",
                           read_only ? " for writing" : "");
    return stasis_fail_errno(err, STASIS_ERR_ARG,
                             "cannot lock it; use a file system that has locks");
}
