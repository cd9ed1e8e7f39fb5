/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sealed files below an overlay: found, read, and laid onto the map, the lowest first. Indexes
 * are read from the highest down to one that is whole; of the files below it, the header and the
 * record are, so that each is the one that was meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "io.h"
#include "overlay.h"

struct sealed {
    int fd;
    char *name;
    struct stasis_header header; /* the trailer */
    uint8_t *index;
    size_t index_len;
};

struct chain {
    struct stasis_overlay *overlay;
    const struct stasis_overlay_folder *folder;
    struct sealed *files; /* from the highest down */
    unsigned count;
    bool is_told; /* an index that was read says of the files below, whose own are not read */
    bool alone;
    struct stasis_error *err;
};

/* ---- one file ---- */

static int read_bytes(int fd, void *bytes, size_t len, uint64_t offset, struct stasis_error *err)
{
    ssize_t got = stasis_io_pread(fd, bytes, len, offset);

    if (got < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "reading a sealed overlay");
    return (size_t)got == len
               ? 0
               : stasis_fail(err, STASIS_ERR_CORRUPT, "a sealed overlay has been cut short");
}

/* Both headers of a file of `len` bytes. */
static int read_headers(struct sealed *sealed, uint64_t len, struct stasis_error *err)
{
    uint8_t leading[STASIS_HEADER_LEN], trailer[STASIS_HEADER_LEN];
    struct stasis_header header;
    int rc = read_bytes(sealed->fd, leading, sizeof(leading), 0, err);

    if (!rc)
        rc = read_bytes(sealed->fd, trailer, sizeof(trailer), len - sizeof(trailer), err);
    if (!rc)
        rc = stasis_header_decode_disk(leading, &header, err);
    if (!rc && !header.info.streamed)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "a sealed overlay is no stream");
    if (!rc)
        rc = stasis_overlay_check_features(&header.info, 0, err);
    if (!rc)
        rc = stasis_header_check_leading(&header, err);
    if (!rc)
        rc = stasis_header_decode_disk(trailer, &sealed->header, err);
    if (!rc)
        rc = stasis_overlay_check_features(&sealed->header.info, STASIS_FEATURES_DISK_LATE, err);
    if (!rc)
        rc = stasis_header_check_trailer(leading, trailer, err);
    if (!rc && sealed->header.info.file_len != len)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT,
                         "a sealed overlay has %" PRIu64 " bytes, and its header says %" PRIu64,
                         len, sealed->header.info.file_len);
    return rc ? rc : stasis_header_check_sections(&sealed->header, len - STASIS_HEADER_LEN, err);
}

/* A section whose CRC is right; the caller frees it. */
static int read_section(const struct sealed *sealed, enum stasis_section_type type, uint64_t max,
                        uint8_t **ret_bytes, size_t *ret_len, struct stasis_error *err)
{
    const struct stasis_section *section = stasis_header_section(&sealed->header, type);
    uint8_t *bytes;
    int rc;

    if (section->length > max || section->length >= SIZE_MAX)
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "section %d of a sealed overlay is longer than it can be", (int)type);
    bytes = malloc(section->length + 1);
    if (!bytes)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a section of a sealed overlay");
    rc = read_bytes(sealed->fd, bytes, section->length, section->offset, err);
    if (!rc && stasis_crc32(bytes, section->length) != section->crc)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "section %d of a sealed overlay is damaged (CRC)",
                         (int)type);
    if (rc) {
        free(bytes);
        return rc;
    }
    *ret_bytes = bytes;
    *ret_len = section->length;
    return 0;
}

/* That the disk is as large as this one, and on which image it is. */
static int read_state(const struct chain *chain, const struct sealed *sealed, uint8_t **ret_state,
                      size_t *ret_len)
{
    const struct stasis_snap_info *info = &sealed->header.info;
    int rc;

    if (info->ram_bytes != (uint64_t)chain->overlay->map.pages * STASIS_OVERLAY_PAGE)
        return stasis_fail(chain->err, STASIS_ERR_ARG,
                           "a sealed overlay is of a disk of %" PRIu64 " bytes, and the base has "
                           "%" PRIu64 "; give the base that it was made on",
                           info->ram_bytes, chain->overlay->base.bytes);
    rc = read_section(sealed, STASIS_SECTION_STATE, STASIS_STATE_MAX, ret_state, ret_len,
                      chain->err);
    return rc ? rc
              : stasis_overlay_state_check(chain->overlay, info->layer, *ret_state, *ret_len,
                                           chain->err);
}

/* It stays in memory until it is laid; the root is that of what the file has. */
static int read_index(struct chain *chain, struct sealed *sealed, const uint8_t *state,
                      size_t state_len)
{
    const struct stasis_snap_info *info = &sealed->header.info;
    uint8_t root[STASIS_DIGEST_SIZE];
    int rc = read_section(sealed, STASIS_SECTION_INDEX, stasis_overlay_index_max(info->ram_bytes),
                          &sealed->index, &sealed->index_len, chain->err);

    if (!rc)
        rc = stasis_overlay_index_check(info, sealed->index, sealed->index_len, chain->err);
    if (rc)
        return rc;
    stasis_overlay_index_root(sealed->index, info, state, state_len, root);
    if (memcmp(root, info->root, sizeof(root)) != 0)
        return stasis_fail(chain->err, STASIS_ERR_CORRUPT,
                           "a sealed overlay has another root than its header says");
    chain->is_told = info->whole;
    if (!chain->is_told && info->layer)
        chain->overlay->partial_len += sealed->index_len;
    return 0;
}

static int read_content(struct chain *chain, struct sealed *sealed)
{
    uint8_t *state = NULL;
    size_t state_len = 0;
    int rc = read_state(chain, sealed, &state, &state_len);

    if (!rc && !chain->is_told)
        rc = read_index(chain, sealed, state, state_len);
    free(state);
    return rc;
}

/* ---- all of them ---- */

/* Takes descriptor and name. */
static int push(struct chain *chain, int fd, char *name)
{
    struct sealed *files = reallocarray(chain->files, chain->count + 1, sizeof(*files));
    struct stat st;

    if (files)
        chain->files = files;
    if (!files) {
        stasis_io_close(fd);
        free(name);
        return stasis_fail(chain->err, STASIS_ERR_NOMEM, "no memory for a chain of overlays");
    }
    files[chain->count] = (struct sealed){.fd = fd, .name = name};
    chain->count++;
    if (stasis_io_stat(fd, &st))
        return stasis_fail_errno(chain->err, STASIS_ERR_READ, "reading a sealed overlay");
    return read_headers(&files[chain->count - 1], (uint64_t)st.st_size, chain->err);
}

static bool is_in(const struct chain *chain, const uint8_t *uuid)
{
    for (unsigned i = 0; i < chain->count; i++)
        if (!memcmp(chain->files[i].header.info.uuid, uuid, STASIS_UUID_SIZE))
            return true;
    return false;
}

/* Which file it is that is not as it must be. */
static int name_file(const struct chain *chain, int rc)
{
    const char *name = chain->count ? chain->files[chain->count - 1].name : chain->overlay->name;

    return rc && name ? stasis_wrap(chain->err, rc, "%s", name) : rc;
}

static int add(struct chain *chain, int fd, char *name)
{
    int rc = push(chain, fd, name);

    if (!rc)
        rc = read_content(chain, &chain->files[chain->count - 1]);
    return name_file(chain, rc);
}

/* From the one of this root down to that on the image. */
static int collect(struct chain *chain, const uint8_t *uuid, const uint8_t *root)
{
    const struct stasis_snap_info *info;
    char *name;
    int fd, rc;

    do {
        if (chain->count == STASIS_OVERLAY_CHAIN_MAX || (uuid && is_in(chain, uuid)))
            return name_file(chain,
                             stasis_fail(chain->err, STASIS_ERR_CORRUPT,
                                         "the chain of overlays is a loop, or has more than %u "
                                         "files",
                                         STASIS_OVERLAY_CHAIN_MAX));
        rc = stasis_overlay_find(chain->folder, uuid, root, &fd, &name, chain->err);
        rc = rc ? name_file(chain, rc) : add(chain, fd, name);
        if (rc)
            return rc;
        info = &chain->files[chain->count - 1].header.info;
        uuid = info->parent_uuid;
        root = info->parent_root;
    } while (info->layer);
    return 0;
}

static uint32_t end_of_data(const struct stasis_header *header)
{
    const struct stasis_section *data = stasis_header_section(header, STASIS_SECTION_DATA);
    uint64_t end = (data->offset + data->length) / STASIS_OVERLAY_PAGE;

    return end < UINT32_MAX ? (uint32_t)end : UINT32_MAX;
}

/* The overlay has the descriptors from here on. */
static int lay(struct chain *chain)
{
    struct stasis_overlay *overlay = chain->overlay;
    int rc = 0;

    overlay->below = calloc(chain->count, sizeof(*overlay->below));
    if (!overlay->below)
        return stasis_fail(chain->err, STASIS_ERR_NOMEM, "no memory for a chain of overlays");
    for (unsigned i = chain->count; !rc && i-- > 0;) {
        struct sealed *sealed = &chain->files[i];

        overlay->below[overlay->below_count++] = (struct stasis_overlay_below){
            sealed->fd, sealed->name, sealed->header.info, end_of_data(&sealed->header), NULL};
        sealed->fd = -1;
        sealed->name = NULL;
        if (sealed->index && sealed->header.info.whole)
            overlay->whole = overlay->below_count;
        if (sealed->index)
            rc = stasis_overlay_index_lay(overlay, sealed->index, sealed->index_len, chain->alone,
                                          chain->err);
    }
    return rc;
}

static int finish(struct chain *chain, int rc)
{
    if (!rc)
        rc = lay(chain);
    for (unsigned i = 0; i < chain->count; i++) {
        stasis_io_close(chain->files[i].fd);
        free(chain->files[i].name);
        free(chain->files[i].index);
    }
    return rc;
}

int stasis_overlay_load_chain(struct stasis_overlay *overlay,
                              const struct stasis_overlay_folder *folder, const uint8_t *uuid,
                              const uint8_t root[STASIS_DIGEST_SIZE],
                              uint8_t ret_uuid[STASIS_UUID_SIZE], struct stasis_error *err)
{
    struct chain chain = {.overlay = overlay, .folder = folder, .err = err};
    int rc = finish(&chain, collect(&chain, uuid, root));

    if (!rc)
        memcpy(ret_uuid, chain.files[0].header.info.uuid, STASIS_UUID_SIZE);
    free(chain.files);
    return rc;
}

int stasis_overlay_load_sealed(struct stasis_overlay *overlay,
                               const struct stasis_overlay_folder *folder, int fd, bool alone,
                               struct stasis_section *ret_data, struct stasis_error *err)
{
    struct chain chain = {.overlay = overlay, .folder = folder, .alone = alone, .err = err};
    char *name = strdup(overlay->name);
    const struct stasis_snap_info *info;
    int rc = 0;

    if (!name) {
        stasis_io_close(fd);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a chain of overlays");
    }
    rc = add(&chain, fd, name);
    if (!rc) {
        info = &chain.files[0].header.info;
        *ret_data = *stasis_header_section(&chain.files[0].header, STASIS_SECTION_DATA);
        if (info->layer && !alone)
            rc = collect(&chain, info->parent_uuid, info->parent_root);
    }
    rc = finish(&chain, rc);
    free(chain.files);
    return rc;
}

int stasis_overlay_note_below(const struct stasis_overlay *overlay, unsigned count,
                              struct stasis_outputs *outputs, const char *role,
                              struct stasis_error *err)
{
    int rc = 0;

    for (unsigned i = 0; i < count && !rc; i++)
        rc = stasis_outputs_add_input(outputs, overlay->below[i].fd, role, err);
    return rc ? stasis_wrap(err, rc, "a file that it lies on") : 0;
}
