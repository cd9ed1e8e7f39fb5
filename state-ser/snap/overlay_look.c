/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An overlay that is only read: sealed, or in use by nobody. Which of both it is shows in its
 * slots; if sealing was cut off, both ways to its pages lead to the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "le.h"
#include "overlay.h"

#define PAGE STASIS_OVERLAY_PAGE

/* ---- what it is ---- */

static int named(const struct stasis_overlay *overlay, int rc, struct stasis_error *err)
{
    return rc ? stasis_wrap(err, rc, "%s", overlay->name) : 0;
}

static int read_header(struct stasis_overlay *overlay, uint64_t *ret_len, struct stasis_error *err)
{
    uint8_t bytes[STASIS_HEADER_LEN] = {0};
    struct stat st;

    if (stasis_io_stat(overlay->use.fd, &st))
        return stasis_fail_errno(err, STASIS_ERR_READ, "reading its header");
    if (!S_ISREG(st.st_mode))
        return stasis_fail(err, STASIS_ERR_ARG, "it is no regular file");
    if (stasis_io_pread(overlay->use.fd, bytes, sizeof(bytes), 0) < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "reading its header");
    *ret_len = (uint64_t)st.st_size;
    return stasis_overlay_check_header(overlay, bytes, err);
}

/* The header at the end; false: there is none of this file. */
static int find_trailer(const struct stasis_overlay *overlay, uint64_t len, bool *ret_found,
                        bool *ret_named, struct stasis_error *err)
{
    const char *slash = strrchr(overlay->name, '/');
    uint8_t bytes[STASIS_HEADER_LEN], uuid[STASIS_UUID_SIZE];

    *ret_found = *ret_named = false;
    if (len < STASIS_PLACE_FIRST * PAGE)
        return 0;
    if (stasis_io_pread(overlay->use.fd, bytes, sizeof(bytes), len - sizeof(bytes)) < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "reading its end");
    *ret_found = stasis_header_identify(bytes, uuid) &&
                 !memcmp(uuid, overlay->use.header.info.uuid, sizeof(uuid));
    *ret_named = *ret_found && stasis_overlay_has_sealed_name(slash ? slash + 1 : overlay->name,
                                                              bytes + STASIS_HDR_ROOT);
    return 0;
}

static int lock(const struct stasis_overlay *overlay, struct stasis_error *err)
{
    if (!stasis_io_lock_shared(overlay->use.fd))
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "a guest uses it; end the guest, or name an overlay that is sealed");
    return stasis_fail_errno(err, STASIS_ERR_READ, "locking it");
}

static int find_kind(struct stasis_overlay *overlay, uint64_t len, struct stasis_error *err)
{
    bool has_trailer, has_name, has_slot = false;
    int rc = find_trailer(overlay, len, &has_trailer, &has_name, err);

    if (!rc && !has_name)
        rc = stasis_overlay_find_slot(overlay, &has_slot, err);
    if (rc)
        return rc;
    overlay->is_sealed = has_name || (has_trailer && !has_slot);
    overlay->was_cut_off = has_trailer && !overlay->is_sealed;
    if (overlay->is_sealed || has_slot)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT, "the overlay has neither a log nor an end");
}

/* Whether it is sealed. One that is not is locked, and looked at again: who used it until then may
 * have written to it, or sealed it. */
static int settle_kind(struct stasis_overlay *overlay, uint64_t *len, struct stasis_error *err)
{
    int rc = find_kind(overlay, *len, err);

    if (rc || overlay->is_sealed)
        return rc;
    rc = lock(overlay, err);
    if (!rc)
        rc = read_header(overlay, len, err);
    return rc ? rc : find_kind(overlay, *len, err);
}

/* ---- its pages ---- */

static int load_log(struct stasis_overlay *overlay, const struct stasis_overlay_folder *folder,
                    bool alone, uint64_t len, struct stasis_error *err)
{
    const struct stasis_snap_info *info = &overlay->use.header.info;
    uint8_t uuid[STASIS_UUID_SIZE];
    bool has_slot;
    int rc = 0;

    overlay->use.header.info.file_len = len;
    if (info->layer && !alone)
        rc = stasis_overlay_load_chain(overlay, folder, info->parent_uuid, info->parent_root, uuid,
                                       err);
    return rc ? rc : named(overlay, stasis_overlay_recover(overlay, len, &has_slot, err), err);
}

static int load_from(struct stasis_overlay *overlay, const struct stasis_overlay_folder *folder,
                     bool alone, uint64_t len, struct stasis_error *err)
{
    int fd = overlay->use.fd;

    if (!overlay->is_sealed)
        return load_log(overlay, folder, alone, len, err);
    overlay->use.fd = -1;
    return stasis_overlay_load_sealed(overlay, folder, fd, alone, &overlay->data, err);
}

/* The folders of the file, and of `layers`. */
static int open_folders(const struct stasis_overlay *overlay, const char *layers,
                        struct stasis_overlay_folder folders[2], char **ret_path,
                        struct stasis_error *err)
{
    const char *slash = strrchr(overlay->name, '/');
    size_t len = slash == overlay->name ? 1 : slash ? (size_t)(slash - overlay->name) : 0;

    *ret_path = len ? strndup(overlay->name, len) : strdup(".");
    if (!*ret_path)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the overlay");
    folders[0].path = *ret_path;
    folders[1].path = layers;
    for (unsigned i = 0; i < 2 && folders[i].path; i++) {
        folders[i].fd = stasis_io_open(AT_FDCWD, folders[i].path, O_RDONLY | O_DIRECTORY, 0);
        if (folders[i].fd < 0)
            return stasis_fail_errno(err, STASIS_ERR_READ, "%s: opening the folder",
                                     folders[i].path);
    }
    folders[0].next = layers ? &folders[1] : NULL;
    return 0;
}

static int load(struct stasis_overlay *overlay, const struct stasis_overlay_look *look,
                uint64_t len, struct stasis_error *err)
{
    struct stasis_overlay_folder folders[2] = {{.fd = -1}, {.fd = -1}};
    char *path;
    int rc = open_folders(overlay, look->layers, folders, &path, err);

    if (!rc)
        rc = load_from(overlay, folders, look->alone, len, err);
    stasis_io_close(folders[0].fd);
    stasis_io_close(folders[1].fd);
    free(path);
    return rc;
}

/* ---- opening it ---- */

/* Asked without opening it: that would let in whoever waits to write into a FIFO. */
static bool is_regular_at(const char *path)
{
    int fd = stasis_io_open(AT_FDCWD, path, O_PATH, 0);
    struct stat st;
    bool is_regular = fd >= 0 && !stasis_io_stat(fd, &st) && S_ISREG(st.st_mode);

    stasis_io_close(fd);
    return is_regular;
}

bool stasis_overlay_is_at(const char *path)
{
    const uint64_t features = STASIS_FEATURE_DISK | STASIS_FEATURE_TRAILER;
    uint8_t bytes[STASIS_HEADER_LEN];
    bool is_one;
    int fd;

    if (!is_regular_at(path))
        return false;
    fd = stasis_io_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    is_one = fd >= 0 && stasis_io_pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
             stasis_header_has_magic(bytes, sizeof(bytes)) &&
             stasis_le32_get(bytes + STASIS_HDR_VERSION) > 1 &&
             (stasis_le64_get(bytes + STASIS_HDR_INCOMPATIBLE) & features) == features;
    stasis_io_close(fd);
    return is_one;
}

static int begin(struct stasis_overlay *overlay, uint64_t *ret_len, struct stasis_error *err)
{
    uint64_t ram_bytes;
    int rc = read_header(overlay, ret_len, err);

    if (!rc)
        rc = settle_kind(overlay, ret_len, err);
    if (rc)
        return rc;
    ram_bytes = overlay->use.header.info.ram_bytes;
    if (!ram_bytes || ram_bytes % PAGE)
        return stasis_fail(err, STASIS_ERR_CORRUPT, "the overlay's disk has no whole pages");
    if (overlay->base.bytes && (overlay->base.bytes + PAGE - 1) / PAGE != ram_bytes / PAGE)
        return stasis_overlay_refuse_size(overlay, ram_bytes, err);
    if (!stasis_overlay_map_init(&overlay->map, (uint32_t)(ram_bytes / PAGE)))
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the overlay");
    return 0;
}

static int open_it(struct stasis_overlay *overlay, const char *path, struct stasis_outputs *outputs,
                   const struct stasis_overlay_look *look, struct stasis_error *err)
{
    uint64_t len;
    int rc;

    overlay->name = strdup(path);
    if (!overlay->name)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the overlay");
    rc = stasis_outputs_open_input(outputs, path, "the input", &overlay->use.fd, err);
    if (rc)
        return rc;
    rc = named(overlay, begin(overlay, &len, err), err);
    if (!rc)
        rc = load(overlay, look, len, err);
    if (rc)
        return rc;
    return stasis_overlay_note_below(overlay, overlay->below_count - overlay->is_sealed, outputs,
                                     "a file that the input lies on", err);
}

int stasis_overlay_open_to_read(const char *path, struct stasis_outputs *outputs,
                                const struct stasis_overlay_look *look,
                                struct stasis_overlay **ret_overlay, struct stasis_error *err)
{
    struct stasis_overlay *overlay;
    int rc = 0;

    if (look->size != sizeof(*look))
        return stasis_fail(err, STASIS_ERR_ARG, "options of %zu bytes, expected %zu", look->size,
                           sizeof(*look));
    if (look->base)
        rc = stasis_overlay_check_base(look->base, err);
    if (rc)
        return stasis_wrap(err, rc, "%s", path);
    overlay = calloc(1, sizeof(*overlay));
    if (!overlay)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the overlay");
    overlay->use.fd = -1;
    overlay->is_for_reading = true;
    if (look->base)
        overlay->base = *look->base;
    rc = open_it(overlay, path, outputs, look, err);
    if (rc)
        stasis_overlay_free(overlay);
    else
        *ret_overlay = overlay;
    return rc;
}
