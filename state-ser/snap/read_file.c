/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Opening: a file, a descriptor, or functions of the caller's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "object.h"

/* An input of our own that can be read at any offset. */
static int make_seekable(const struct stasis_input *from, const struct stasis_parse_opts *opts,
                         struct stasis_input *ret_input, struct stasis_error *err)
{
    ret_input->is_copy = from->sequential;
    if (from->sequential)
        return stasis_snap_spool(from, opts, &ret_input->fd, err);
    if (from->fd < 0) {
        ret_input->storage = from->storage;
        return 0;
    }
    ret_input->fd = stasis_io_dup(from->fd);
    return ret_input->fd < 0 ? stasis_fail_errno(err, STASIS_ERR_IO, "keeping the descriptor") : 0;
}

/* The object with its one file, which is not read yet. */
static int make(const struct stasis_input *from, const char *name,
                const struct stasis_parse_opts *opts, struct stasis_snap **ret_snap,
                struct stasis_error *err)
{
    struct stasis_snap *snap = calloc(1, sizeof(*snap));

    if (!snap)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to open it");
    *ret_snap = snap;
    snap->input.fd = -1;
    snap->name = strdup(name);
    snap->notes = stasis_notes_new();
    snap->files = calloc(1, sizeof(struct stasis_source *));
    if (snap->files)
        snap->files[0] = stasis_source_new(name);
    if (snap->files && snap->files[0])
        snap->file_count = 1;
    if (!snap->name || !snap->notes || !snap->file_count)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to open it");
    return make_seekable(from, opts, &snap->files[0]->input, err);
}

static int read_file(struct stasis_snap *snap, const struct stasis_parse_opts *opts,
                     const char *folder, struct stasis_error *err)
{
    int rc = stasis_source_read_header(snap->files[0], err);

    snap->input = snap->files[0]->input;
    snap->header = snap->files[0]->header;
    snap->opened = snap->header.info;
    if (!rc)
        rc = stasis_index_read(&snap->input, &snap->header, &snap->index, err);
    if (!rc)
        rc = stasis_snap_read_state(snap, opts, err);
    return rc ? rc : stasis_layers_open(snap, opts, folder, err);
}

static int open_in(const struct stasis_input *from, const char *name,
                   const struct stasis_parse_opts *opts, const char *folder,
                   struct stasis_snap **ret_snap, struct stasis_error *err)
{
    struct stasis_snap *snap = NULL;
    int rc = make(from, name, opts, &snap, err);

    if (!rc)
        rc = read_file(snap, opts, folder, err);
    if (rc) {
        stasis_snap_free(snap);
        return stasis_wrap(err, rc, "%s", name);
    }
    *ret_snap = snap;
    return 0;
}

/* The folder of a path, to be freed; NULL: no memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = strdup(slash ? path : ".");

    if (folder && slash)
        folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

/* `is_path`: its folder counts, where the options name none. */
static int open_input(const struct stasis_input *from, const char *name, bool is_path,
                      const struct stasis_parse_opts *opts, struct stasis_snap **ret_snap,
                      struct stasis_error *err)
{
    bool is_beside = opts && opts->beside;
    char *folder = NULL;
    int rc;

    if (opts && opts->size != sizeof(*opts))
        return stasis_fail(err, STASIS_ERR_ARG, "parse options of %zu bytes, expected %zu",
                           opts->size, sizeof(*opts));
    if (opts && opts->layers)
        return open_in(from, name, opts, opts->layers, ret_snap, err);
    if (is_path || is_beside) {
        folder = folder_of(is_beside ? opts->beside : name);
        if (!folder)
            return stasis_fail(err, STASIS_ERR_NOMEM, "%s: no memory to open it", name);
    }
    rc = open_in(from, name, opts, folder, ret_snap, err);
    free(folder);
    return rc;
}

static int open_fd(int fd, const char *name, bool is_path, const struct stasis_parse_opts *opts,
                   struct stasis_snap **ret_snap, struct stasis_error *err)
{
    struct stasis_input input = {.fd = fd};
    struct stat st;

    if (stasis_io_stat(fd, &st))
        return stasis_fail_errno(err, STASIS_ERR_READ, "%s: asking what it is", name);
    if (S_ISDIR(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "%s: it is a folder; name a snapshot file", name);
    input.sequential = !S_ISREG(st.st_mode);
    return open_input(&input, name, is_path, opts, ret_snap, err);
}

int stasis_snap_open_fd(int fd, const char *name, const struct stasis_parse_opts *opts,
                        struct stasis_snap **ret_snap, struct stasis_error *err)
{
    return open_fd(fd, name, false, opts, ret_snap, err);
}

int stasis_snap_open_storage(const struct stasis_storage *storage,
                             const struct stasis_parse_opts *opts, struct stasis_snap **ret_snap,
                             struct stasis_error *err)
{
    struct stasis_input input = {.fd = -1};
    int rc = stasis_storage_check(storage, err);

    if (rc)
        return rc;
    if (!storage->read)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%s: opening needs the function read of its storage", storage->name);
    input.sequential = storage->sequential;
    input.storage = *storage;
    return open_input(&input, storage->name, false, opts, ret_snap, err);
}

int stasis_snap_open_file(const char *path, int *ret_fd, struct stasis_error *err)
{
    int fd = stasis_io_open(AT_FDCWD, path, O_RDONLY | O_NOCTTY, 0);

    if (fd < 0 && errno == ENOENT)
        return stasis_fail_errno(err, STASIS_ERR_NOT_FOUND, "%s", path);
    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ,
                                 "%s: opening it to read (check its permissions and the disk)",
                                 path);
    *ret_fd = fd;
    return 0;
}

int stasis_snap_open(const char *path, const struct stasis_parse_opts *opts,
                     struct stasis_snap **ret_snap, struct stasis_error *err)
{
    int fd = -1;
    int rc = stasis_snap_open_file(path, &fd, err);

    if (rc)
        return rc;
    rc = open_fd(fd, path, true, opts, ret_snap, err);
    stasis_io_close(fd);
    return rc;
}
