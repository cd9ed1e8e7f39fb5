/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is behind the data of a sealed overlay: its sections, and the header at its end.
 */
#include <stdlib.h>

#include "chunk.h"
#include "io.h"
#include "overlay.h"

#define PAGE STASIS_OVERLAY_PAGE

static void add_section(struct stasis_header *header, enum stasis_section_type type,
                        uint64_t offset, const void *bytes, uint64_t len)
{
    header->sections[header->section_count++] = (struct stasis_section){
        .type = type,
        .offset = offset,
        .length = len,
        .crc = bytes ? stasis_crc32(bytes, len) : 0,
    };
}

static int write_sections(struct stasis_overlay *overlay, const uint8_t *index, size_t index_len,
                          struct stasis_header *trailer, struct stasis_error *err)
{
    uint64_t end = (uint64_t)overlay->use.places.end * PAGE, state_at = end + index_len;
    uint64_t trailer_at = state_at + overlay->use.state_len;
    uint8_t bytes[STASIS_HEADER_LEN];

    add_section(trailer, STASIS_SECTION_DATA, PAGE, NULL, end - PAGE);
    add_section(trailer, STASIS_SECTION_INDEX, end, index, index_len);
    add_section(trailer, STASIS_SECTION_STATE, state_at, overlay->use.state,
                overlay->use.state_len);
    trailer->info.file_len = trailer_at + sizeof(bytes);
    stasis_header_encode(trailer, bytes);
    if (stasis_io_pwrite(overlay->use.fd, index, index_len, end) ||
        stasis_io_pwrite(overlay->use.fd, overlay->use.state, overlay->use.state_len, state_at) ||
        stasis_io_pwrite(overlay->use.fd, bytes, sizeof(bytes), trailer_at) ||
        stasis_io_truncate(overlay->use.fd, trailer->info.file_len) ||
        stasis_io_sync(overlay->use.fd))
        return stasis_fail_errno(err, STASIS_ERR_WRITE,
                                 "sealing the overlay: writing its sections");
    return 0;
}

static uint64_t stored_bytes(const struct stasis_overlay_map *map)
{
    uint64_t bytes = 0;
    uint32_t page = 0;

    while ((page = stasis_overlay_map_next(map, page, false)) < map->pages)
        bytes += stasis_overlay_map_get(map, page++).place >= STASIS_PLACE_FIRST ? PAGE : 0;
    return bytes;
}

int stasis_overlay_make_trailer(const struct stasis_overlay *overlay, struct stasis_header *trailer,
                                uint8_t **ret_index, size_t *ret_len, struct stasis_error *err)
{
    uint8_t *index = stasis_overlay_index_make(overlay, ret_len);

    if (!index)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to seal the overlay");
    *trailer = overlay->use.header;
    trailer->info.stored_bytes = stored_bytes(&overlay->map);
    stasis_overlay_index_root(index, &trailer->info, overlay->use.state, overlay->use.state_len,
                              trailer->info.root);
    *ret_index = index;
    return 0;
}

int stasis_overlay_write_trailer(struct stasis_overlay *overlay, struct stasis_header *trailer,
                                 struct stasis_error *err)
{
    size_t index_len;
    uint8_t *index;
    int rc = stasis_overlay_make_trailer(overlay, trailer, &index, &index_len, err);

    if (rc)
        return rc;
    rc = write_sections(overlay, index, index_len, trailer, err);
    free(index);
    return rc;
}
