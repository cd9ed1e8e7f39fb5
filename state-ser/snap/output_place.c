/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * From a path to a folder and a name in it. Links are read here only to learn where a file that is
 * replaced has its name; whether they may be followed is what the kernel says.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "output.h"

#define LINKS_MAX    40
#define UNKNOWN_USER 65534 /* of whom this user namespace has no number, or nobody */

/* One that may be written to, and not be listed, is good enough; so it is for a sandbox. */
static int open_folder(int from, const char *folder)
{
    int dir = stasis_io_open(from, folder, O_RDONLY | O_DIRECTORY, 0);

    return dir < 0 && errno == EACCES ? stasis_io_open(from, folder, O_PATH | O_DIRECTORY, 0) : dir;
}

/* Puts the place of `path`, relative to the folder `from`, into *place. */
static int enter(struct stasis_place *place, int from, const char *path, struct stasis_error *err)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t len = (size_t)(base - path);
    char folder[PATH_MAX];
    int dir;

    if (!*path || strlen(path) >= PATH_MAX)
        return stasis_fail(err, STASIS_ERR_ARG, "the path is empty or too long; name a file");
    if (!*base)
        return stasis_fail(err, STASIS_ERR_ARG, "it names a folder; name a file");
    if (strlen(base) > NAME_MAX)
        return stasis_fail(err, STASIS_ERR_ARG, "the name is too long, at most %d bytes", NAME_MAX);
    memcpy(folder, path, len);
    folder[len] = '\0';
    if (place->stays && len)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the link leads to another folder; name the file itself");
    dir = place->stays ? stasis_io_dup(from) : open_folder(from, len ? folder : ".");
    if (dir < 0)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "opening its folder");
    stasis_io_close(place->dir);
    place->dir = dir;
    memcpy(place->base, base, strlen(base) + 1);
    return 0;
}

int stasis_place_init(struct stasis_place *place, int from, bool stays, const char *path,
                      struct stasis_error *err)
{
    *place = (struct stasis_place){.dir = -1, .descriptor = -1, .stays = stays};
    return enter(place, from, path, err);
}

void stasis_place_fini(struct stasis_place *place)
{
    stasis_io_close(place->dir);
    place->dir = -1;
}

int stasis_place_look(struct stasis_place *place, struct stasis_error *err)
{
    bool found = !stasis_io_stat_at(place->dir, place->base, &place->st);

    if (!found && errno != ENOENT)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "looking it up");
    place->exists = found;
    return 0;
}

/* The number that the name is, if its folder is that of our descriptors. */
static int descriptor_here(const struct stasis_place *place)
{
    struct stat own;
    struct stat dir;
    char *end;
    unsigned long number = strtoul(place->base, &end, 10);

    if (!isdigit((unsigned char)place->base[0]) || *end || number > INT_MAX)
        return -1;
    if (stasis_io_stat_at(AT_FDCWD, "/proc/self/fd", &own) || stasis_io_stat(place->dir, &dir))
        return -1;
    return own.st_dev == dir.st_dev && own.st_ino == dir.st_ino ? (int)number : -1;
}

/* Reads the very link whose owner is judged: the name may be given to another at any time. */
static int read_link(const struct stasis_place *place, char text[PATH_MAX], uid_t *ret_owner,
                     struct stasis_error *err)
{
    int link = stasis_io_open(place->dir, place->base, O_PATH | O_NOFOLLOW, 0);
    ssize_t len = -1;
    struct stat st;

    if (link >= 0 && !stasis_io_stat(link, &st))
        len = stasis_io_readlink(link, text, PATH_MAX - 1);
    stasis_io_close(link);
    if (len < 0)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "reading the link");
    text[len] = '\0';
    *ret_owner = st.st_uid;
    return 0;
}

/* Goes on to what the link leads to. *trusted stays true if the link is ours or the folder's
 * owner's. */
static int step(struct stasis_place *place, bool *trusted, struct stasis_error *err)
{
    char text[PATH_MAX];
    struct stat folder;
    uid_t owner = (uid_t)-1; /* nobody */
    int rc = read_link(place, text, &owner, err);

    if (rc)
        return rc;
    if (owner == UNKNOWN_USER || (owner != stasis_io_user() &&
                                  (stasis_io_stat(place->dir, &folder) || owner != folder.st_uid)))
        *trusted = false;
    return enter(place, place->dir, text, err);
}

static int walk(struct stasis_place *place, bool *ret_trusted, struct stasis_error *err)
{
    *ret_trusted = true;
    for (int links = 0; links < LINKS_MAX; links++) {
        int rc = stasis_place_look(place, err);

        if (rc || !place->exists || !S_ISLNK(place->st.st_mode))
            return rc;
        if (place->descriptor < 0)
            place->descriptor = descriptor_here(place);
        rc = step(place, ret_trusted, err);
        if (rc)
            return rc;
    }
    return stasis_fail(err, STASIS_ERR_ARG, "too many symbolic links; name the file itself");
}

/* The kernel has to come from `first` to the same file. Of a link that leads to nothing it cannot
 * be known afterwards whether it was this one that the kernel followed: such a link must be ours.
 */
static int judge(const struct stasis_place *first, const struct stasis_place *end, bool trusted,
                 struct stasis_error *err)
{
    int fd = stasis_io_open(first->dir, first->base, O_PATH, 0);
    struct stat st;
    int rc;

    if (fd < 0 && errno == ENOENT && !end->exists)
        return trusted ? 0
                       : stasis_fail(err, STASIS_ERR_ARG,
                                     "another user's link leads to it; name the file itself");
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "following the link");
    rc = stasis_io_stat(fd, &st);
    stasis_io_close(fd);
    if (rc)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "following the link");
    if (!S_ISREG(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "it exists and is not a regular file; name a file");
    if (!end->exists || st.st_dev != end->st.st_dev || st.st_ino != end->st.st_ino)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the link leads to a file without a name, or has just been changed; "
                           "name the file itself");
    return 0;
}

int stasis_place_follow(struct stasis_place *place, struct stasis_error *err)
{
    struct stasis_place first;
    bool trusted;
    int rc = stasis_place_look(place, err);

    if (rc || !place->exists || !S_ISLNK(place->st.st_mode))
        return rc;
    first = *place;
    first.dir = stasis_io_dup(place->dir);
    if (first.dir < 0)
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "keeping its folder");
    rc = walk(place, &trusted, err);
    if (!rc)
        rc = judge(&first, place, trusted, err);
    stasis_place_fini(&first);
    return rc;
}

int stasis_place_follow_dangling(struct stasis_place *place, struct stasis_error *err)
{
    int fd = stasis_io_open(place->dir, place->base, O_PATH, 0);
    bool dangling = fd < 0 && errno == ENOENT;

    stasis_io_close(fd);
    return dangling ? stasis_place_follow(place, err) : 0;
}

int stasis_place_descriptor(const struct stasis_place *place)
{
    struct stasis_place end = *place;
    bool trusted;

    end.dir = stasis_io_dup(place->dir);
    if (end.dir >= 0)
        (void)!walk(&end, &trusted, NULL); /* the kernel says what is wrong with it */
    stasis_place_fini(&end);
    return end.descriptor;
}
