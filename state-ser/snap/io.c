/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "stasis/fd_path.h"

/* True if the transfer that just failed should be tried again. */
static bool again(int fd, short events)
{
    if (errno == EINTR)
        return true;
    if (errno != EAGAIN)
        return false;
    return poll(&(struct pollfd){.fd = fd, .events = events}, 1, -1) >= 0 || errno == EINTR;
}

/* At *offset, or where the descriptor stands if offset is NULL. */
static ssize_t read_all(int fd, uint8_t *buf, size_t len, const uint64_t *offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = offset ? pread(fd, buf + done, len - done, (off_t)(*offset + done))
                           : read(fd, buf + done, len - done);
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (!again(fd, POLLIN))
            return -1;
    }
    return (ssize_t)done;
}

ssize_t stasis_io_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    return read_all(fd, buf, len, &offset);
}

/* By system call: musl has no function for it. The offset comes in two halves. */
ssize_t stasis_io_pread_cached(int fd, void *buf, size_t len, uint64_t offset)
{
    const struct iovec part = {.iov_base = buf, .iov_len = len};

    return syscall(SYS_preadv2, fd, &part, 1, (unsigned long)offset, 0, RWF_NOWAIT);
}

ssize_t stasis_io_read(int fd, void *buf, size_t len)
{
    return read_all(fd, buf, len, NULL);
}

bool stasis_io_wait_readable(int fd, int ms)
{
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, ms) > 0;
}

ssize_t stasis_io_read_some(int fd, void *buf, size_t len)
{
    ssize_t n;

    do {
        n = read(fd, buf, len);
    } while (n < 0 && again(fd, POLLIN));
    return n;
}

static int write_all(int fd, const uint8_t *buf, size_t len, const uint64_t *offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = offset ? pwrite(fd, buf + done, len - done, (off_t)(*offset + done))
                           : write(fd, buf + done, len - done);
        if (n == 0)
            errno = EIO; /* a device that takes nothing would keep us here for ever */
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || !again(fd, POLLOUT))
            return -1;
    }
    return 0;
}

int stasis_io_pwrite(int fd, const void *buf, size_t len, uint64_t offset)
{
    return write_all(fd, buf, len, &offset);
}

int stasis_io_write(int fd, const void *buf, size_t len)
{
    return write_all(fd, buf, len, NULL);
}

int stasis_io_write_now(int fd, const void *buf, size_t len)
{
    const uint8_t *from = buf;

    while (len) {
        ssize_t n = write(fd, from, len);
        if (n == 0)
            errno = EIO;
        if (n > 0) {
            from += n;
            len -= (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return -1;
        }
    }
    return 0;
}

int stasis_io_open(int dir, const char *path, int flags, mode_t mode)
{
    int fd;

    do {
        fd = openat(dir, path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR); /* a FIFO waits for its writer */
    return fd;
}

int stasis_io_dup(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

void stasis_io_close(int fd)
{
    int saved = errno;

    if (fd >= 0)
        close(fd);
    errno = saved;
}

int stasis_io_stat(int fd, struct stat *ret_stat)
{
    return fstat(fd, ret_stat);
}

int stasis_io_stat_at(int dir, const char *name, struct stat *ret_stat)
{
    return fstatat(dir, name, ret_stat, AT_SYMLINK_NOFOLLOW);
}

ssize_t stasis_io_readlink(int fd, char *buf, size_t size)
{
    return readlinkat(fd, "", buf, size);
}

int stasis_io_seek(int fd, uint64_t offset, int whence, uint64_t *ret_offset)
{
    off_t pos = lseek(fd, (off_t)offset, whence);

    if (pos < 0)
        return -1;
    *ret_offset = (uint64_t)pos;
    return 0;
}

int stasis_io_truncate(int fd, uint64_t len)
{
    int rc;

    do {
        rc = ftruncate(fd, (off_t)len);
    } while (rc && errno == EINTR);
    return rc;
}

int stasis_io_chmod(int fd, mode_t mode)
{
    return fchmod(fd, mode);
}

int stasis_io_lock(int fd)
{
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &range);
}

int stasis_io_lock_shared(int fd)
{
    struct flock range = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &range);
}

int stasis_io_lock_test(int fd)
{
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    return stasis_io_lock(fd) ? -1 : fcntl(fd, F_OFD_SETLK, &range);
}

static int write_zeros(int fd, uint64_t offset, uint64_t len)
{
    static const uint8_t zeros[16384];

    while (len) {
        size_t part = len < sizeof(zeros) ? (size_t)len : sizeof(zeros);

        if (stasis_io_pwrite(fd, zeros, part, offset))
            return -1;
        offset += part;
        len -= part;
    }
    return 0;
}

int stasis_io_zero(int fd, uint64_t offset, uint64_t len)
{
    int rc;

    do {
        rc = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
    } while (rc && errno == EINTR);
    return rc ? write_zeros(fd, offset, len) : 0;
}

int stasis_io_sync(int fd)
{
    int rc;

    do {
        rc = fsync(fd);
    } while (rc && errno == EINTR);
    return rc;
}

int stasis_io_datasync(int fd)
{
    int rc;

    do {
        rc = fdatasync(fd);
    } while (rc && errno == EINTR);
    return rc;
}

void stasis_io_start_sync(int fd, uint64_t offset, uint64_t len)
{
    (void)!sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

/* fsync(2) does the work then. Any other error is the disk's: file systems report errors of their
 * own (ENODATA, ETIMEDOUT, EREMOTEIO), and the kernel reports each once, not again by fsync(2). */
static bool cannot_be_asked(int error)
{
    return error == ENOSYS || error == EINVAL || error == ESPIPE || error == EPERM ||
           error == EOPNOTSUPP;
}

int stasis_io_wait_sync(int fd, uint64_t offset, uint64_t len)
{
    if (!sync_file_range(fd, (off_t)offset, (off_t)len, SYNC_FILE_RANGE_WAIT_BEFORE))
        return 0;
    return cannot_be_asked(errno) ? 0 : -1;
}

int stasis_io_link(int fd, int dir, const char *name)
{
    char path[STASIS_FD_PATH_MAX];

    /* AT_EMPTY_PATH needs a capability on most kernels, the other way needs /proc. */
    if (!linkat(fd, "", dir, name, AT_EMPTY_PATH))
        return 0;
    if (errno == EEXIST)
        return -1;
    stasis_fd_path(fd, path);
    return linkat(AT_FDCWD, path, dir, name, AT_SYMLINK_FOLLOW);
}

int stasis_io_rename(int dir, const char *from, const char *to)
{
    return renameat(dir, from, dir, to);
}

#define EXCHANGE 2u /* RENAME_EXCHANGE of linux/fs.h */

int stasis_io_exchange(int dir, const char *one, const char *other)
{
    return (int)syscall(SYS_renameat2, dir, one, dir, other, EXCHANGE); /* musl has no other way */
}

int stasis_io_unlink(int dir, const char *name)
{
    int saved = errno;
    int rc = unlinkat(dir, name, 0);

    errno = saved; /* it cleans up after the failure that counts */
    return rc;
}

int stasis_io_mkfifo(int dir, const char *name, mode_t mode)
{
    return mkfifoat(dir, name, mode);
}

void *stasis_io_list_open(int folder)
{
    int fd = stasis_io_dup(folder);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);

    if (!list)
        stasis_io_close(fd);
    return list;
}

int stasis_io_list_next(void *list, const char **ret_name)
{
    struct dirent *entry;

    do {
        errno = 0;
        entry = readdir(list);
    } while (entry && entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN);
    if (!entry)
        return errno ? -1 : 0;
    *ret_name = entry->d_name;
    return 1;
}

void stasis_io_list_close(void *list)
{
    if (list)
        closedir(list);
}

uid_t stasis_io_user(void)
{
    return geteuid();
}

bool stasis_io_owns_all(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

    return !syscall(SYS_capget, &header, sets) &&
           sets[CAP_TO_INDEX(CAP_FOWNER)].effective & CAP_TO_MASK(CAP_FOWNER);
}

int stasis_io_random(void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = getrandom((uint8_t *)buf + done, len - done, 0);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            return -1;
    }
    return 0;
}

int stasis_io_now_ns(uint64_t *ret_ns)
{
    struct timespec now;

    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    *ret_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    return 0;
}
