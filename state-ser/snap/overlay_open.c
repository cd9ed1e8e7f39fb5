/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "io.h"
#include "output.h"
#include "overlay.h"
#include "write.h"
#include "stasis/bytes.h"

#define PAGE STASIS_OVERLAY_PAGE

/* ---- making one ---- */

static int make_header(struct stasis_overlay *overlay, const struct stasis_overlay_parent *parent,
                       struct stasis_error *err)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts)};
    struct stasis_snap_info *info = &overlay->use.header.info;

    overlay->use.header = (struct stasis_header){
        .info = {.format_version = STASIS_FORMAT_VERSION,
                 .incompatible = STASIS_FEATURE_TRAILER | STASIS_FEATURE_DISK |
                                 (parent ? STASIS_FEATURE_LAYER : 0),
                 .ram_bytes = (uint64_t)overlay->map.pages * PAGE,
                 .layer = parent,
                 .streamed = true}};
    if (parent) {
        memcpy(info->parent_uuid, parent->uuid, sizeof(info->parent_uuid));
        memcpy(info->parent_root, parent->root, sizeof(info->parent_root));
    }
    return stasis_identity_set(&opts, info, err);
}

static int write_header(struct stasis_overlay *overlay, struct stasis_error *err)
{
    uint8_t page[PAGE] = {0};

    stasis_header_encode(&overlay->use.header, page);
    if (!stasis_io_pwrite(overlay->use.fd, page, sizeof(page), 0) &&
        !stasis_io_sync(overlay->use.fd))
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "writing the overlay's header");
}

/* The header comes last: without it the file is unfinished, and made anew. */
int stasis_overlay_make(struct stasis_overlay *overlay, const struct stasis_overlay_parent *parent,
                        struct stasis_error *err)
{
    int rc = make_header(overlay, parent, err);

    if (!rc)
        rc = stasis_overlay_state_make(overlay, err);
    if (!rc && stasis_io_truncate(overlay->use.fd, 0))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "emptying the unfinished overlay");
    if (!rc && !stasis_overlay_places_init(&overlay->use.places, STASIS_PLACE_FIRST))
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the places of the overlay");
    if (rc)
        return rc;
    (void)!stasis_overlay_places_use(&overlay->use.places, 0, STASIS_PLACE_FIRST);
    rc = stasis_overlay_commit(overlay, err);
    return rc ? rc : write_header(overlay, err);
}

static int load_chain(struct stasis_overlay *overlay, const uint8_t *uuid, const uint8_t *root,
                      uint8_t ret_uuid[STASIS_UUID_SIZE], struct stasis_error *err)
{
    struct stasis_overlay_folder other = {.fd = -1, .path = overlay->base.layers};
    const struct stasis_overlay_folder own = {overlay->output->place.dir, NULL,
                                              other.path ? &other : NULL};
    int rc;

    if (other.path)
        other.fd = stasis_io_open(AT_FDCWD, other.path, O_RDONLY | O_DIRECTORY, 0);
    if (other.path && other.fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "opening the folder %s", other.path);
    rc = stasis_overlay_load_chain(overlay, &own, uuid, root, ret_uuid, err);
    stasis_io_close(other.fd);
    return rc;
}

static int make_new(struct stasis_overlay *overlay, struct stasis_error *err)
{
    const uint8_t *root = overlay->base.root;
    struct stasis_overlay_parent parent;
    int rc = 0;

    if (root) {
        memcpy(parent.root, root, sizeof(parent.root));
        rc = load_chain(overlay, NULL, root, parent.uuid, err);
    }
    if (rc || overlay->only_looks)
        return rc;
    rc = stasis_overlay_make(overlay, root ? &parent : NULL, err);
    return rc ? rc : stasis_output_sync_folder(overlay->output, err);
}

/* ---- opening one ---- */

int stasis_overlay_check_features(const struct stasis_snap_info *info, uint64_t more,
                                  struct stasis_error *err)
{
    uint64_t known = STASIS_FEATURE_TRAILER | STASIS_FEATURE_DISK | STASIS_FEATURE_LAYER | more;

    if (!(info->incompatible & ~known) && !info->compatible)
        return 0;
    return stasis_fail(err, STASIS_ERR_VERSION,
                       "the overlay has features that this release does not know, written by %s",
                       info->producer);
}

int stasis_overlay_check_header(struct stasis_overlay *overlay, const uint8_t *bytes,
                                struct stasis_error *err)
{
    const struct stasis_snap_info *info = &overlay->use.header.info;
    int rc;

    if (!stasis_header_has_magic(bytes, STASIS_HEADER_LEN))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it is no overlay; name a file that is not there yet, or an empty one");
    rc = stasis_header_decode_disk(bytes, &overlay->use.header, err);
    if (rc)
        return rc;
    if (!info->streamed)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it is a disk that was written as a whole, and no overlay");
    rc = stasis_overlay_check_features(info, 0, err);
    return rc ? rc : stasis_header_check_leading(&overlay->use.header, err);
}

int stasis_overlay_refuse_size(const struct stasis_overlay *overlay, uint64_t bytes,
                               struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the overlay was made on a disk of %" PRIu64 " bytes, and its base has "
                       "%" PRIu64 "; give the base that it was made on",
                       bytes, overlay->base.bytes);
}

/* A file that was made, and not finished: a power cut came between. */
static bool is_unfinished(const uint8_t page[PAGE], uint64_t len)
{
    return len <= (STASIS_PLACE_FIRST + 1) * PAGE && stasis_is_zero(page, PAGE);
}

static int refuse_sealed(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the overlay is sealed, or nothing is left of it; name "
                       "a file that is not there yet");
}

static int load_below(struct stasis_overlay *overlay, struct stasis_error *err)
{
    const struct stasis_snap_info *info = &overlay->use.header.info;
    const uint8_t *root = overlay->base.root;
    uint8_t uuid[STASIS_UUID_SIZE];

    if (root && (!info->layer || memcmp(root, info->parent_root, STASIS_DIGEST_SIZE) != 0))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the overlay lies on another state of the disk; name a file that is not "
                           "there yet");
    if (!info->layer)
        return 0;
    return load_chain(overlay, info->parent_uuid, info->parent_root, uuid, err);
}

static int begin(struct stasis_overlay *overlay, struct stasis_error *err)
{
    uint8_t page[PAGE] = {0};
    bool has_slot = false, is_sealed = false;
    struct stat st;
    int rc;

    if (stasis_io_stat(overlay->use.fd, &st) ||
        stasis_io_pread(overlay->use.fd, page, sizeof(page), 0) < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "reading its header");
    if (is_unfinished(page, (uint64_t)st.st_size))
        return make_new(overlay, err);
    rc = stasis_overlay_check_header(overlay, page, err);
    if (!rc)
        rc = overlay->use.header.info.ram_bytes == (uint64_t)overlay->map.pages * PAGE
                 ? 0
                 : stasis_overlay_refuse_size(overlay, overlay->use.header.info.ram_bytes, err);
    if (!rc)
        rc = load_below(overlay, err);
    if (!rc)
        rc = stasis_overlay_state_make(overlay, err);
    if (!rc)
        rc = stasis_overlay_recover(overlay, (uint64_t)st.st_size, &has_slot, err);
    overlay->lacks_name = !overlay->only_looks;
    if (!rc)
        rc = stasis_overlay_keep_name(overlay, err);
    if (!rc && has_slot)
        rc = stasis_overlay_finish_sealing(overlay, (uint64_t)st.st_size, &is_sealed, err);
    return rc || (has_slot && !is_sealed) ? rc : refuse_sealed(err);
}

int stasis_overlay_lock(const struct stasis_overlay *overlay, int fd)
{
    return overlay->only_looks ? stasis_io_lock_test(fd) : stasis_io_lock(fd);
}

static int lock(const struct stasis_overlay *overlay, struct stasis_error *err)
{
    if (!stasis_overlay_lock(overlay, overlay->use.fd))
        return 0;
    if (errno == EAGAIN || errno == EACCES)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "it is in use by another program, or as another disk; end that, or name "
                           "another file");
    return stasis_fail_errno(err, STASIS_ERR_ARG,
                             "it cannot be locked; use a file system that has locks");
}

static int open_file(struct stasis_overlay *overlay, const char *path, bool only_looks,
                     struct stasis_outputs *outputs, struct stasis_error *err)
{
    const struct stasis_output_opts opts = {
        .size = sizeof(opts),
        .kind = STASIS_OUTPUT_IN_PLACE,
        .role = "the overlay of a disk",
        .snapshot = true,
        .only_looks = only_looks,
    };
    int rc = stasis_output_open(outputs, path, &opts, &overlay->output, err);

    if (!rc)
        overlay->use.fd = stasis_output_fd(overlay->output);
    return rc;
}

int stasis_overlay_check_base(const struct stasis_overlay_base *base, struct stasis_error *err)
{
    if (base->size != sizeof(*base))
        return stasis_fail(err, STASIS_ERR_ARG, "a base of %zu bytes, expected %zu", base->size,
                           sizeof(*base));
    if (!base->bytes || base->bytes % STASIS_OVERLAY_SECTOR || base->bytes > STASIS_RAM_MAX)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "its base has %" PRIu64
                           " bytes; give a multiple of %u, at most %" PRIu64,
                           base->bytes, STASIS_OVERLAY_SECTOR, STASIS_RAM_MAX);
    return 0;
}

static int new_overlay(const struct stasis_overlay_base *base, bool only_looks,
                       struct stasis_overlay **ret_overlay, struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    int rc = stasis_overlay_check_base(base, err);

    if (rc)
        return rc;
    overlay = calloc(1, sizeof(*overlay));
    if (!overlay ||
        !stasis_overlay_map_init(&overlay->map, (uint32_t)((base->bytes + PAGE - 1) / PAGE))) {
        free(overlay);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the overlay");
    }
    overlay->base = *base;
    overlay->only_looks = only_looks;
    overlay->use.fd = -1;
    *ret_overlay = overlay;
    return 0;
}

/* Who only looks has no file where there is none. */
static int open_overlay(const char *path, struct stasis_outputs *outputs,
                        const struct stasis_overlay_base *base, bool only_looks,
                        struct stasis_overlay **ret_overlay, struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    int rc = new_overlay(base, only_looks, &overlay, err);

    if (rc)
        return rc;
    rc = open_file(overlay, path, only_looks, outputs, err);
    if (!rc && overlay->use.fd >= 0)
        rc = lock(overlay, err);
    if (!rc)
        rc = overlay->use.fd >= 0 ? begin(overlay, err) : make_new(overlay, err);
    if (!rc)
        rc = stasis_overlay_note_below(overlay, overlay->below_count, outputs,
                                       STASIS_OVERLAY_BELOW_ROLE, err);
    if (rc) {
        stasis_overlay_free(overlay);
        return rc;
    }
    overlay->base.root = NULL; /* the caller's, as is layers */
    overlay->base.layers = NULL;
    *ret_overlay = overlay;
    return 0;
}

int stasis_overlay_open(const char *path, struct stasis_outputs *outputs,
                        const struct stasis_overlay_base *base, struct stasis_overlay **ret_overlay,
                        struct stasis_error *err)
{
    int rc = open_overlay(path, outputs, base, false, ret_overlay, err);

    if (!rc)
        stasis_output_keep((*ret_overlay)->output);
    return rc;
}

int stasis_overlay_try(const char *path, struct stasis_outputs *outputs,
                       const struct stasis_overlay_base *base, struct stasis_overlay **ret_overlay,
                       struct stasis_error *err)
{
    struct stasis_overlay *overlay = NULL;
    int rc = open_overlay(path, outputs, base, true, &overlay, err);

    if (rc)
        return rc;
    if (!overlay->use.header.info.format_version) { /* there is none */
        stasis_overlay_free(overlay);
        overlay = NULL;
    }
    *ret_overlay = overlay;
    return 0;
}

void stasis_overlay_free(struct stasis_overlay *overlay)
{
    if (!overlay)
        return;
    stasis_output_close(overlay->output);
    stasis_overlay_map_fini(&overlay->map);
    stasis_overlay_places_fini(&overlay->use.places);
    for (unsigned i = 0; i < overlay->below_count; i++) {
        stasis_io_close(overlay->below[i].fd);
        free(overlay->below[i].name);
        free(overlay->below[i].digests);
    }
    free(overlay->below);
    free(overlay->name);
    if (overlay->is_for_reading)
        stasis_io_close(overlay->use.fd);
    free(overlay->use.state);
    free(overlay);
}
