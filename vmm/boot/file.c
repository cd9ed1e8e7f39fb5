/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

/* As a snapshot that cannot be read. */
static int cannot_be_read(const struct stasis_boot_file *file, struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_READ,
                             "the %s %s cannot be read (check its disk or network)", file->what,
                             file->path);
}

static int check_kind(struct stasis_boot_file *file, struct stasis_error *err)
{
    struct stat st;

    if (fstat(file->fd, &st))
        return cannot_be_read(file, err);
    if (!S_ISREG(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "%s %s is %s: give a regular file by %s.path",
                           file->what, file->path,
                           S_ISDIR(st.st_mode) ? "a directory" : "not a regular file", file->what);
    if (!st.st_size)
        return stasis_fail(err, STASIS_ERR_ARG, "%s %s is empty: fetch or build it again",
                           file->what, file->path);
    file->size = (uint64_t)st.st_size;
    return 0;
}

int stasis_boot_file_init(struct stasis_boot_file *file, const char *what, const char *path, int fd,
                          struct stasis_error *err)
{
    int rc;

    file->what = what;
    file->path = path;
    file->size = 0;
    /* O_NONBLOCK: a named pipe must be refused below, not waited for. */
    file->fd = fd ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_ARG,
                                 "cannot open the %s %s, give a readable file by %s.path", what,
                                 path, what);
    rc = check_kind(file, err);
    if (rc)
        stasis_boot_file_fini(file);
    return rc;
}

void stasis_boot_file_fini(struct stasis_boot_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

int stasis_boot_file_read(const struct stasis_boot_file *file, uint64_t offset, void *to,
                          uint64_t len, struct stasis_error *err)
{
    uint64_t done = 0;

    if (offset > file->size || len > file->size - offset)
        return stasis_boot_file_truncated(file, offset, len, err);
    while (done < len) {
        ssize_t n = pread(file->fd, (uint8_t *)to + done, len - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return cannot_be_read(file, err);
        if (!n) /* it shrank since it was opened */
            return stasis_boot_file_truncated(file, offset, len, err);
        done += (uint64_t)n;
    }
    return 0;
}

int stasis_boot_file_truncated(const struct stasis_boot_file *file, uint64_t offset, uint64_t len,
                               struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "%s %s is truncated: it ends before the end of the %" PRIu64
                       " bytes needed at offset %" PRIu64 "; fetch or build it again",
                       file->what, file->path, len, offset);
}

int stasis_boot_file_no_room(const struct stasis_boot_file *file, uint64_t gpa, uint64_t len,
                             struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "%s %s does not fit into guest RAM (0x%" PRIx64 " bytes at 0x%" PRIx64
                       "): give more by memory.size_mib",
                       file->what, file->path, len, gpa);
}
