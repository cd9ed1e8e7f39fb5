/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "parents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_runs.h"
#include "io.h"
#include "le.h"

/* A link may lead anywhere, and a pipe would be waited for. */
#define OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

void stasis_uuid_text(const uint8_t uuid[STASIS_UUID_SIZE], char ret_text[STASIS_UUID_TEXT])
{
    char *at = ret_text;

    for (unsigned i = 0; i < STASIS_UUID_SIZE; i++)
        at += snprintf(at, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
}

void stasis_parents_init(struct stasis_parents *parents, const char *folder)
{
    *parents = (struct stasis_parents){.folder = folder, .fd = -1};
}

void stasis_parents_fini(struct stasis_parents *parents)
{
    for (size_t i = 0; i < parents->count; i++)
        free(parents->known[i].name);
    free(parents->known);
    stasis_io_list_close(parents->list);
    stasis_io_close(parents->fd);
}

static int no_memory(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to look for what it lies on");
}

/* ---- the folder ---- */

static bool is_full(int error)
{
    return error == EMFILE || error == ENFILE;
}

static int too_many(struct stasis_error *err)
{
    return stasis_fail_errno(err, STASIS_ERR_READ,
                             "opening what it lies on (raise the limit of open files, ulimit -n)");
}

static int begin(struct stasis_parents *parents, struct stasis_error *err)
{
    if (parents->fd >= 0)
        return 0;
    parents->fd = stasis_io_open(AT_FDCWD, parents->folder, O_RDONLY | O_DIRECTORY, 0);
    if (parents->fd >= 0)
        parents->list = stasis_io_list_open(parents->fd);
    if (parents->list)
        return 0;
    if (is_full(errno))
        return too_many(err);
    return stasis_fail_errno(err, STASIS_ERR_READ,
                             "looking for what it lies on in %s (name its folder by layers)",
                             parents->folder);
}

static int remember(struct stasis_parents *parents, const char *name,
                    const uint8_t uuid[STASIS_UUID_SIZE], struct stasis_error *err)
{
    struct stasis_parent_name *entry;

    if (parents->count == parents->room) {
        size_t room = parents->room ? parents->room * 2 : 64;
        struct stasis_parent_name *known = realloc(parents->known, room * sizeof(*parents->known));

        if (!known)
            return no_memory(err);
        parents->known = known;
        parents->room = room;
    }
    entry = &parents->known[parents->count];
    entry->name = strdup(name);
    if (!entry->name)
        return no_memory(err);
    memcpy(entry->uuid, uuid, STASIS_UUID_SIZE);
    parents->count++;
    return 0;
}

/* The descriptor of a regular file, or -1: it is none, or cannot be opened. */
static int open_regular(int folder, const char *name)
{
    struct stat st;
    int fd = stasis_io_open(folder, name, OPEN_FLAGS, 0);

    if (fd < 0 || (!stasis_io_stat(fd, &st) && S_ISREG(st.st_mode)))
        return fd;
    stasis_io_close(fd);
    errno = EINVAL;
    return -1;
}

/* Remembers a file that is a snapshot of any version. What cannot be read is nobody's parent. */
static int look_at(struct stasis_parents *parents, const char *name, struct stasis_error *err)
{
    uint8_t bytes[STASIS_HEADER_LEN], uuid[STASIS_UUID_SIZE];
    int fd = open_regular(parents->fd, name);
    bool is_one;

    if (fd < 0)
        return is_full(errno) ? too_many(err) : 0;
    is_one = stasis_io_pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
             stasis_header_identify(bytes, uuid);
    stasis_io_close(fd);
    return is_one ? remember(parents, name, uuid, err) : 0;
}

/* 0, and one more is known; or none is left: *ret_end. */
static int next(struct stasis_parents *parents, bool *ret_end, struct stasis_error *err)
{
    size_t before = parents->count;
    const char *name;
    int rc = 0;

    *ret_end = !parents->list;
    while (!rc && !*ret_end && parents->count == before) {
        int more = stasis_io_list_next(parents->list, &name);

        if (more < 0)
            rc = stasis_fail_errno(err, STASIS_ERR_READ, "reading the folder %s", parents->folder);
        else if (more)
            rc = look_at(parents, name, err);
        else
            *ret_end = true;
    }
    return rc;
}

/* ---- one of them ---- */

static int another_content(const uint8_t *has, const uint8_t *wanted, struct stasis_error *err)
{
    char text[2][17] = {"none", ""};

    for (unsigned i = 0; i < 8; i++) {
        if (has)
            snprintf(text[0] + (size_t)2 * i, 3, "%02x", has[i]);
        snprintf(text[1] + (size_t)2 * i, 3, "%02x", wanted[i]);
    }
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "its root begins with %s, not %s: it is another content; put the right file "
                       "there, or name its folder by layers",
                       text[0], text[1]);
}

/* The header that has the root, of a file of any version, in *ret_root; false: it has none. */
static bool read_root(const struct stasis_input *input, uint8_t ret_root[STASIS_DIGEST_SIZE])
{
    uint8_t bytes[STASIS_HEADER_LEN], uuid[STASIS_UUID_SIZE];
    uint64_t len = 0;
    bool streamed;

    if (stasis_input_length(input, &len) || len < sizeof(bytes) ||
        stasis_input_read(input, bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return false;
    streamed = stasis_le64_get(bytes + STASIS_HDR_INCOMPATIBLE) & STASIS_FEATURE_TRAILER;
    if (streamed && stasis_input_read(input, bytes, sizeof(bytes), len - sizeof(bytes)) !=
                        (ssize_t)sizeof(bytes))
        return false;
    memcpy(ret_root, bytes + STASIS_HDR_ROOT, STASIS_DIGEST_SIZE);
    return stasis_header_identify(bytes, uuid);
}

/* Its root is looked at first: a damaged file, or one of a later version, is to blame only if it is
 * the right one. */
static int read_it(struct stasis_source *source, const uint8_t *name, struct stasis_error *err)
{
    const struct stasis_snap_info *info = &source->header.info;
    const uint8_t *wanted = name + STASIS_UUID_SIZE;
    uint8_t root[STASIS_DIGEST_SIZE];
    bool has = read_root(&source->input, root);
    int rc;

    if (!has || memcmp(root, wanted, sizeof(root)) != 0)
        return another_content(has ? root : NULL, wanted, err);
    rc = stasis_source_read_header(source, err);
    if (!rc && (memcmp(info->uuid, name, STASIS_UUID_SIZE) != 0 ||
                memcmp(info->root, wanted, STASIS_DIGEST_SIZE) != 0))
        rc = another_content(info->root, wanted, err); /* it has changed meanwhile, or has none */
    return rc;
}

/* Its name is the path, for messages. */
static struct stasis_source *new_source(const char *folder, const char *name)
{
    size_t len = strlen(folder) + strlen(name) + 2;
    char *path = malloc(len);
    struct stasis_source *source = NULL;

    if (path) {
        snprintf(path, len, "%s/%s", strcmp(folder, "/") ? folder : "", name);
        source = stasis_source_new(path);
    }
    free(path);
    return source;
}

static int try(const struct stasis_parents *parents, const struct stasis_parent_name *known,
               const uint8_t *name, struct stasis_source **ret_source, struct stasis_error *err)
{
    struct stasis_source *source = new_source(parents->folder, known->name);
    int rc;

    if (!source)
        return no_memory(err);
    source->input.fd = open_regular(parents->fd, known->name);
    if (source->input.fd >= 0)
        rc = read_it(source, name, err);
    else
        rc = is_full(errno) ? too_many(err)
                            : stasis_fail_errno(err, STASIS_ERR_READ,
                                                "opening it to read (check its permissions and "
                                                "the disk)");
    if (!rc) {
        *ret_source = source;
        return 0;
    }
    rc = stasis_wrap(err, rc, "it lies on %s", source->name);
    stasis_source_free(source);
    return rc;
}

static int not_found(const struct stasis_parents *parents, const uint8_t *name,
                     struct stasis_error *err)
{
    char text[STASIS_UUID_TEXT];

    stasis_uuid_text(name, text);
    if (!parents->folder)
        return stasis_fail(err, STASIS_ERR_NOT_FOUND,
                           "it lies on the snapshot %s; name its folder by layers", text);
    return stasis_fail(err, STASIS_ERR_NOT_FOUND,
                       "it lies on the snapshot %s, which is not in %s: put it there, or name its "
                       "folder by layers",
                       text, strcmp(parents->folder, ".") ? parents->folder : "this folder");
}

int stasis_parents_find(struct stasis_parents *parents, const uint8_t *name,
                        struct stasis_source **ret_source, struct stasis_error *err)
{
    struct stasis_error why = {0}; /* the first one that has the UUID is no good */
    struct stasis_error now;
    bool end = false;
    int rc;

    if (!parents->folder)
        return not_found(parents, name, err);
    rc = begin(parents, err);
    for (size_t i = 0; !rc && !end; i++) {
        if (i == parents->count)
            rc = next(parents, &end, err);
        if (rc || end || memcmp(parents->known[i].uuid, name, STASIS_UUID_SIZE) != 0)
            continue;
        if (!try(parents, &parents->known[i], name, ret_source, &now))
            return 0;
        if (!why.code)
            why = now;
    }
    if (rc)
        return rc;
    if (!why.code)
        return not_found(parents, name, err);
    if (err)
        *err = why;
    return why.code;
}
