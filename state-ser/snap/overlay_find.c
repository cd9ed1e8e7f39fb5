/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Sealed files are sought by UUID and root among the regular files of a folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "overlay.h"

/* A link may lead anywhere, and a pipe would be waited for. */
#define OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* Whether it is a sealed disk of this root, and of this UUID (NULL: any). */
static bool is_wanted(int fd, const uint8_t *uuid, const uint8_t *root)
{
    uint8_t bytes[STASIS_HEADER_LEN], found[STASIS_UUID_SIZE];
    struct stat st;

    return !stasis_io_stat(fd, &st) && S_ISREG(st.st_mode) &&
           st.st_size >= (off_t)(2 * sizeof(bytes)) &&
           stasis_io_pread(fd, bytes, sizeof(bytes), (uint64_t)st.st_size - sizeof(bytes)) ==
               (ssize_t)sizeof(bytes) &&
           stasis_header_identify(bytes, found) && (!uuid || !memcmp(found, uuid, sizeof(found))) &&
           !memcmp(bytes + STASIS_HDR_ROOT, root, STASIS_DIGEST_SIZE);
}

static int refuse_folder(const struct stasis_overlay_folder *folder, struct stasis_error *err)
{
    const char *path = folder->path;

    return stasis_fail_errno(err, STASIS_ERR_READ, "reading the folder %s",
                             path ? path : "of the overlay");
}

static int take_name(const struct stasis_overlay_folder *folder, const char *name, char **ret_name,
                     struct stasis_error *err)
{
    *ret_name = NULL;
    if (folder->path && asprintf(ret_name, "%s/%s", folder->path, name) < 0) {
        *ret_name = NULL;
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a chain of overlays");
    }
    return 0;
}

/* The first of the folder's files, whose names end like that, that is the one; -1: none. */
static int look(const struct stasis_overlay_folder *folder, const char *suffix, const uint8_t *uuid,
                const uint8_t *root, int *ret_fd, char **ret_name, struct stasis_error *err)
{
    int fd = stasis_io_open(folder->fd, ".", O_RDONLY | O_DIRECTORY, 0); /* from its start */
    void *list = fd < 0 ? NULL : stasis_io_list_open(fd);
    const char *name;
    int rc = 0, more = list ? 1 : -1;

    *ret_fd = -1;
    while (*ret_fd < 0 && more > 0 && (more = stasis_io_list_next(list, &name)) > 0) {
        size_t len = strlen(name);

        if (len < strlen(suffix) || strcmp(name + len - strlen(suffix), suffix) != 0)
            continue;
        *ret_fd = stasis_io_open(folder->fd, name, OPEN_FLAGS, 0);
        if (*ret_fd < 0 && (errno == EMFILE || errno == ENFILE))
            more = -1; /* it may be the one */
        if (*ret_fd >= 0 && !is_wanted(*ret_fd, uuid, root)) {
            stasis_io_close(*ret_fd);
            *ret_fd = -1;
        }
    }
    if (more < 0)
        rc = refuse_folder(folder, err);
    else if (*ret_fd >= 0)
        rc = take_name(folder, name, ret_name, err);
    stasis_io_list_close(list);
    stasis_io_close(fd);
    return rc;
}

/* By the name that sealing gives it, or by any. */
int stasis_overlay_find(const struct stasis_overlay_folder *folder, const uint8_t *uuid,
                        const uint8_t *root, int *ret_fd, char **ret_name, struct stasis_error *err)
{
    bool is_alone = !folder->next;
    char digits[17] = "";
    int rc = 0;

    for (unsigned i = 0; i < 8; i++)
        snprintf(digits + (size_t)2 * i, 3, "%02x", root[i]);
    *ret_fd = -1;
    for (; !rc && *ret_fd < 0 && folder; folder = folder->next) {
        rc = look(folder, digits, uuid, root, ret_fd, ret_name, err);
        if (!rc && *ret_fd < 0)
            rc = look(folder, "", uuid, root, ret_fd, ret_name, err);
    }
    if (rc && *ret_fd >= 0)
        stasis_io_close(*ret_fd);
    if (rc || *ret_fd >= 0)
        return rc;
    return stasis_fail(err, STASIS_ERR_NOT_FOUND,
                       "it lies on the sealed overlay whose root begins with %s, which is not in "
                       "%s; put it there",
                       digits, is_alone ? "its folder" : "its folder, nor in that of layers");
}
