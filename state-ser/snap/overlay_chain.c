/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sealed files below an overlay: found by UUID and root among the regular files of its folder,
 * read, and laid onto the map, the lowest first.
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

/* A link may lead anywhere, and a pipe would be waited for. */
#define OPEN_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

struct sealed {
    int fd;
    struct stasis_header header; /* the trailer */
    uint8_t *index;
    size_t index_len;
};

struct chain {
    struct stasis_overlay *overlay;
    int folder;
    struct sealed *files; /* from the highest down */
    unsigned count;
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
        rc = stasis_header_check_leading(&header, err);
    if (!rc)
        rc = stasis_header_decode_disk(trailer, &sealed->header, err);
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

    if (section->length > max)
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

/* Its index stays in memory until it is laid; its root is that of what it has. */
static int read_content(const struct chain *chain, struct sealed *sealed)
{
    const struct stasis_snap_info *info = &sealed->header.info;
    uint8_t root[STASIS_DIGEST_SIZE], *state = NULL;
    size_t state_len;
    uint64_t disk_bytes = (uint64_t)chain->overlay->map.pages * STASIS_OVERLAY_PAGE;
    int rc = 0;

    if (info->ram_bytes != disk_bytes)
        rc = stasis_fail(chain->err, STASIS_ERR_ARG,
                         "a sealed overlay is of a disk of %" PRIu64 " bytes, and the base has "
                         "%" PRIu64 "; give the base that it was made on",
                         info->ram_bytes, chain->overlay->base.bytes);
    if (!rc)
        rc = read_section(sealed, STASIS_SECTION_INDEX, stasis_overlay_index_max(disk_bytes),
                          &sealed->index, &sealed->index_len, chain->err);

    if (!rc)
        rc = stasis_overlay_index_check(info, sealed->index, sealed->index_len, chain->err);
    if (!rc)
        rc = read_section(sealed, STASIS_SECTION_STATE, STASIS_STATE_MAX, &state, &state_len,
                          chain->err);
    if (!rc)
        rc = stasis_overlay_state_check(chain->overlay, info->layer, state, state_len, chain->err);
    if (!rc) {
        stasis_overlay_index_root(sealed->index, info, state, state_len, root);
        if (memcmp(root, info->root, sizeof(root)) != 0)
            rc = stasis_fail(chain->err, STASIS_ERR_CORRUPT,
                             "a sealed overlay has another root than its header says");
    }
    free(state);
    return rc;
}

/* ---- finding it ---- */

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

/* The first of the folder's files, whose names end like that, that is the one; -1: none. */
static int look(const struct chain *chain, const char *suffix, const uint8_t *uuid,
                const uint8_t *root, int *ret_fd)
{
    int folder = stasis_io_open(chain->folder, ".", O_RDONLY | O_DIRECTORY, 0); /* from its start */
    void *list = folder < 0 ? NULL : stasis_io_list_open(folder);
    const char *name;
    int more = list ? 1 : -1;

    *ret_fd = -1;
    while (*ret_fd < 0 && more > 0 && (more = stasis_io_list_next(list, &name)) > 0) {
        size_t len = strlen(name);

        if (len < strlen(suffix) || strcmp(name + len - strlen(suffix), suffix) != 0)
            continue;
        *ret_fd = stasis_io_open(chain->folder, name, OPEN_FLAGS, 0);
        if (*ret_fd < 0 && (errno == EMFILE || errno == ENFILE))
            more = -1; /* it may be the one */
        if (*ret_fd >= 0 && !is_wanted(*ret_fd, uuid, root)) {
            stasis_io_close(*ret_fd);
            *ret_fd = -1;
        }
    }
    if (more < 0)
        (void)stasis_fail_errno(chain->err, STASIS_ERR_READ, "reading the folder of the overlay");
    stasis_io_list_close(list);
    stasis_io_close(folder);
    return more < 0 ? STASIS_ERR_READ : 0;
}

/* By the name that sealing gives it, or by any. */
static int find(const struct chain *chain, const uint8_t *uuid, const uint8_t *root, int *ret_fd)
{
    char digits[17] = "";
    int rc;

    for (unsigned i = 0; i < 8; i++)
        snprintf(digits + (size_t)2 * i, 3, "%02x", root[i]);
    rc = look(chain, digits, uuid, root, ret_fd);
    if (!rc && *ret_fd < 0)
        rc = look(chain, "", uuid, root, ret_fd);
    if (rc || *ret_fd >= 0)
        return rc;
    return stasis_fail(chain->err, STASIS_ERR_NOT_FOUND,
                       "it lies on the sealed overlay whose root begins with %s, which is not in "
                       "its folder; put it there",
                       digits);
}

/* ---- all of them ---- */

static int push(struct chain *chain, int fd)
{
    struct sealed *files = reallocarray(chain->files, chain->count + 1, sizeof(*files));
    struct stat st;

    if (files)
        chain->files = files;
    if (!files) {
        stasis_io_close(fd);
        return stasis_fail(chain->err, STASIS_ERR_NOMEM, "no memory for a chain of overlays");
    }
    files[chain->count] = (struct sealed){.fd = fd};
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

/* From the one of this root down to that on the image. */
static int collect(struct chain *chain, const uint8_t *uuid, const uint8_t *root)
{
    const struct stasis_snap_info *info;
    int fd, rc;

    do {
        if (chain->count == STASIS_OVERLAY_CHAIN_MAX || (uuid && is_in(chain, uuid)))
            return stasis_fail(chain->err, STASIS_ERR_CORRUPT,
                               "the chain of overlays is a loop, or has more than %u files",
                               STASIS_OVERLAY_CHAIN_MAX);
        rc = find(chain, uuid, root, &fd);
        if (!rc)
            rc = push(chain, fd);
        if (!rc)
            rc = read_content(chain, &chain->files[chain->count - 1]);
        if (rc)
            return rc;
        info = &chain->files[chain->count - 1].header.info;
        uuid = info->parent_uuid;
        root = info->parent_root;
    } while (info->layer);
    return 0;
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
        const struct stasis_section *data =
            stasis_header_section(&sealed->header, STASIS_SECTION_DATA);
        uint64_t end = (data->offset + data->length) / STASIS_OVERLAY_PAGE;

        overlay->below[overlay->below_count++] = sealed->fd;
        sealed->fd = -1;
        rc = stasis_overlay_index_lay(
            overlay, &sealed->header.info, sealed->index, sealed->index_len,
            end < UINT32_MAX ? (uint32_t)end : UINT32_MAX, overlay->below_count, chain->err);
    }
    return rc;
}

int stasis_overlay_load_chain(struct stasis_overlay *overlay, int folder, const uint8_t *uuid,
                              const uint8_t root[STASIS_DIGEST_SIZE],
                              uint8_t ret_uuid[STASIS_UUID_SIZE], struct stasis_error *err)
{
    struct chain chain = {.overlay = overlay, .folder = folder, .err = err};
    int rc = collect(&chain, uuid, root);

    if (!rc)
        rc = lay(&chain);
    if (!rc)
        memcpy(ret_uuid, chain.files[0].header.info.uuid, STASIS_UUID_SIZE);
    for (unsigned i = 0; i < chain.count; i++) {
        stasis_io_close(chain.files[i].fd);
        free(chain.files[i].index);
    }
    free(chain.files);
    return rc;
}
