/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Saving to a path so that the old file or the whole new one is there, whatever happens between.
 * The new file has no name until it is whole and on the disk (O_TMPFILE), so that a process killed
 * on the way leaves nothing behind; only where it replaces an old one does it bear a temporary name
 * between link and rename. Where that cannot be done, it has that name all along.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "io.h"
#include "object.h"

#define LINKS_MAX  40
#define TRIES_MAX  16
#define OWNER_ONLY 0600

struct target {
    char path[PATH_MAX]; /* of the file itself, symbolic links followed */
    const char *base;    /* its last component */
    int dir;             /* the folder, or -1 */
    int fd;              /* the new file, or -1 */
    bool exists;
    bool placed;        /* the new file has the target's name */
    char temporary[40]; /* the new file's name, or "" while it has none */
};

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Replaces path by what the link at path points to. */
static int follow_link(char path[PATH_MAX], struct stasis_error *err)
{
    char link[PATH_MAX];
    size_t folder = (size_t)(base_of(path) - path);
    ssize_t len = stasis_io_readlink(path, link, sizeof(link) - 1);

    if (len < 0)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "reading the link %s", path);
    if (link[0] == '/')
        folder = 0;
    if (folder + (size_t)len >= PATH_MAX)
        return stasis_fail(err, STASIS_ERR_ARG, "the link %s is too long", path);
    memcpy(path + folder, link, (size_t)len);
    path[folder + (size_t)len] = '\0';
    return 0;
}

/* rename(2) would replace a link, not the file it names: follow links to their end here. */
static int resolve(struct target *target, const char *path, struct stasis_error *err)
{
    size_t len = strlen(path);
    struct stat st;

    if (!len || len >= sizeof(target->path))
        return stasis_fail(err, STASIS_ERR_ARG, "the path is empty or too long");
    memcpy(target->path, path, len + 1);
    for (int links = 0; links < LINKS_MAX; links++) {
        if (stasis_io_stat_at(AT_FDCWD, target->path, &st)) {
            if (errno != ENOENT)
                return stasis_fail_errno(err, STASIS_ERR_WRITE, "looking it up");
            target->exists = false;
            return 0;
        }
        if (!S_ISLNK(st.st_mode)) {
            target->exists = true;
            return S_ISREG(st.st_mode)
                       ? 0
                       : stasis_fail(err, STASIS_ERR_ARG,
                                     "it exists and is not a regular file; name a file");
        }
        int rc = follow_link(target->path, err);
        if (rc)
            return rc;
    }
    return stasis_fail(err, STASIS_ERR_ARG, "too many symbolic links");
}

static int open_folder(struct target *target, struct stasis_error *err)
{
    char folder[PATH_MAX];
    size_t len;

    target->base = base_of(target->path);
    len = (size_t)(target->base - target->path);
    if (!*target->base)
        return stasis_fail(err, STASIS_ERR_ARG, "a folder is no place to save to; name a file");
    memcpy(folder, target->path, len);
    folder[len] = '\0';
    target->dir = stasis_io_open(AT_FDCWD, len ? folder : ".", O_RDONLY | O_DIRECTORY, 0);
    return target->dir < 0 ? stasis_fail_errno(err, STASIS_ERR_WRITE, "opening its folder") : 0;
}

static int pick_temporary(struct target *target, struct stasis_error *err)
{
    uint64_t random;

    if (stasis_io_random(&random, sizeof(random)))
        return stasis_fail_errno(err, STASIS_ERR_IO, "random bytes for a temporary name");
    snprintf(target->temporary, sizeof(target->temporary), ".stasis-%016" PRIx64 ".tmp", random);
    return 0;
}

static int create_named(struct target *target, struct stasis_error *err)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        int rc = pick_temporary(target, err);
        if (rc)
            return rc;
        target->fd =
            stasis_io_open(target->dir, target->temporary, O_RDWR | O_CREAT | O_EXCL, OWNER_ONLY);
        if (target->fd >= 0)
            return 0;
        target->temporary[0] = '\0'; /* whatever bears the name is not ours to remove */
        if (errno != EEXIST)
            break;
    }
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "making a temporary file in its folder");
}

/* Whether the unnamed file can get a name once it is whole, which a jail without /proc may forbid.
 * The name "." is always taken, so EEXIST says that nothing else stands in the way. */
static bool can_be_named(const struct target *target)
{
    return stasis_io_link(target->fd, target->dir, ".") && errno == EEXIST;
}

static int create(struct target *target, struct stasis_error *err)
{
    int rc = 0;

    target->fd = stasis_io_open(target->dir, ".", O_RDWR | O_TMPFILE, OWNER_ONLY);
    if (target->fd >= 0 && !can_be_named(target)) {
        stasis_io_close(target->fd);
        target->fd = -1;
    }
    if (target->fd < 0)
        rc = create_named(target, err);
    if (!rc && stasis_io_chmod(target->fd, OWNER_ONLY)) /* a umask may have taken from it */
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "setting its mode");
    return rc;
}

/* Gives an unnamed file the target's name if that is free, else a temporary one. */
static int name_it(struct target *target, struct stasis_error *err)
{
    if (!stasis_io_link(target->fd, target->dir, target->base)) {
        target->placed = true;
        return 0;
    }
    for (int i = 0; errno == EEXIST && i < TRIES_MAX; i++) {
        int rc = pick_temporary(target, err);
        if (rc)
            return rc;
        if (!stasis_io_link(target->fd, target->dir, target->temporary))
            return 0;
        target->temporary[0] = '\0';
    }
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "giving the new file its name");
}

static int publish(struct target *target, bool sync, struct stasis_error *err)
{
    int rc = 0;

    if (sync && stasis_io_sync(target->fd))
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing it to the disk");
    if (!target->temporary[0])
        rc = name_it(target, err);
    if (rc)
        return rc;
    if (!target->placed) {
        if (stasis_io_rename(target->dir, target->temporary, target->base))
            return stasis_fail_errno(err, STASIS_ERR_WRITE, "renaming the new file");
        target->placed = true;
    }
    /* EINVAL: the file system cannot sync folders, and whoever chose it knows. */
    if (sync && stasis_io_sync(target->dir) && errno != EINVAL)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing its folder to the disk");
    return 0;
}

static const char *what_is_left(const struct target *target)
{
    if (target->placed)
        return "the new file is in place, but may not survive a power cut";
    if (target->exists)
        return "the old file is whole";
    /* Before that, it may not even be known whether there is an old file. */
    return target->fd < 0 ? "nothing was written" : "nothing is left of it";
}

int stasis_snap_save(struct stasis_snap *snap, const char *path,
                     const struct stasis_save_opts *opts, struct stasis_save_stats *ret_stats,
                     struct stasis_error *err)
{
    struct target target = {.dir = -1, .fd = -1};
    struct stasis_save_opts chosen;
    struct stasis_snap_sink sink;
    struct stasis_snap_written written;
    int rc = stasis_save_opts_get(opts, &chosen, err);

    if (!rc)
        rc = resolve(&target, path, err);
    if (!rc)
        rc = open_folder(&target, err);
    if (!rc)
        rc = create(&target, err);
    if (!rc) {
        sink = (struct stasis_snap_sink){.fd = target.fd};
        rc = stasis_snap_write(snap, &sink, &chosen, &written, err);
    }
    if (!rc)
        rc = publish(&target, !chosen.no_sync, err);
    if (!rc) {
        stasis_snap_saved(snap, &written, ret_stats);
    } else {
        if (target.temporary[0] && !target.placed)
            stasis_io_unlink(target.dir, target.temporary);
        rc = stasis_wrap(err, rc, "saving %s (%s)", path, what_is_left(&target));
    }
    stasis_io_close(target.fd);
    stasis_io_close(target.dir);
    return rc;
}
