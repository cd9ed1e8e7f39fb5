/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWNER_ONLY 0600
#define TEMPORARY  ".stasis-XXXXXX"
#define TRIES_MAX  16

static int fail(const struct stasis_outfile *file, const char *what, struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "%s: %s", file->path, what);
}

/* rename(2) would replace a link, not the file it names. */
static int resolve(struct stasis_outfile *file, const char *path, struct stasis_error *err)
{
    size_t len = strlen(path);
    struct stat st;

    if (len >= sizeof(file->path))
        return stasis_fail(err, STASIS_ERR_ARG, "the name of the output is too long");
    memcpy(file->path, path, len + 1);
    if (lstat(path, &st))
        return errno == ENOENT ? 0 : fail(file, "looking it up", err);
    if (!realpath(path, file->path)) {
        memcpy(file->path, path, len + 1); /* realpath() has written there */
        return fail(file, "following the link", err);
    }
    if (stat(file->path, &st))
        return fail(file, "looking it up", err);
    if (!S_ISREG(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "%s exists and is not a regular file; name a file",
                           path);
    return 0;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* A template for a name beside the target. */
static int pick_temporary(struct stasis_outfile *file)
{
    size_t folder = (size_t)(base_of(file->path) - file->path);

    if (folder + sizeof(TEMPORARY) > sizeof(file->temporary)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(file->temporary, file->path, folder);
    memcpy(file->temporary + folder, TEMPORARY, sizeof(TEMPORARY));
    return 0;
}

static int create(struct stasis_outfile *file, struct stasis_error *err)
{
    char folder[PATH_MAX];
    size_t len = (size_t)(base_of(file->path) - file->path);

    memcpy(folder, len ? file->path : ".", len ? len : 1);
    folder[len ? len : 1] = '\0';
    file->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, OWNER_ONLY);
    if (file->fd < 0 && !pick_temporary(file)) {
        file->fd = mkostemp(file->temporary, O_CLOEXEC);
        if (file->fd < 0)
            file->temporary[0] = '\0'; /* nothing there is ours to remove */
    }
    return file->fd < 0 ? fail(file, "making a file in its folder", err) : 0;
}

int stasis_outfile_open(struct stasis_outfile *file, const char *path, struct stasis_error *err)
{
    int rc;

    file->temporary[0] = '\0';
    file->fd = -1;
    rc = resolve(file, path, err);
    return rc ? rc : create(file, err);
}

int stasis_outfile_put(struct stasis_outfile *file, const void *bytes, size_t len, uint64_t offset,
                       struct stasis_error *err)
{
    const uint8_t *from = bytes;

    while (len) {
        ssize_t n = pwrite(file->fd, from, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fail(file, "writing", err);
        from += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

/* linkat(2) replaces nothing: it takes a name that mkostemp(3) has found to be free. */
static int name_it(struct stasis_outfile *file)
{
    char self[64];

    snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
    for (int i = 0; i < TRIES_MAX; i++) {
        int fd;

        if (pick_temporary(file))
            break;
        fd = mkostemp(file->temporary, O_CLOEXEC);
        if (fd < 0)
            break;
        close(fd);
        (void)unlink(file->temporary);
        if (!linkat(AT_FDCWD, self, AT_FDCWD, file->temporary, AT_SYMLINK_FOLLOW))
            return 0;
        if (errno != EEXIST)
            break;
    }
    file->temporary[0] = '\0';
    return -1;
}

int stasis_outfile_commit(struct stasis_outfile *file, uint64_t len, struct stasis_error *err)
{
    if (ftruncate(file->fd, (off_t)len))
        return fail(file, "setting its length", err);
    if (fsync(file->fd))
        return fail(file, "bringing it to the disk", err);
    if (!file->temporary[0] && name_it(file))
        return fail(file, "giving it a name", err);
    if (rename(file->temporary, file->path))
        return fail(file, "renaming it", err);
    file->temporary[0] = '\0';
    close(file->fd);
    file->fd = -1;
    return 0;
}

void stasis_outfile_discard(struct stasis_outfile *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary[0])
        (void)unlink(file->temporary);
    file->fd = -1;
    file->temporary[0] = '\0';
}
