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

int stasis_overlay_end_write(struct stasis_overlay *overlay, struct stasis_overlay_end *end,
                             struct stasis_error *err)
{
    uint64_t index_at = (uint64_t)overlay->use.places.end * PAGE;
    uint64_t state_at = index_at + end->index_len, trailer_at = state_at + overlay->use.state_len;
    struct stasis_header *trailer = &end->trailer;
    uint8_t bytes[STASIS_HEADER_LEN];

    add_section(trailer, STASIS_SECTION_DATA, PAGE, NULL, index_at - PAGE);
    add_section(trailer, STASIS_SECTION_INDEX, index_at, end->index, end->index_len);
    add_section(trailer, STASIS_SECTION_STATE, state_at, overlay->use.state,
                overlay->use.state_len);
    trailer->info.file_len = trailer_at + sizeof(bytes);
    stasis_header_encode(trailer, bytes);
    if (stasis_io_pwrite(overlay->use.fd, end->index, end->index_len, index_at) ||
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

int stasis_overlay_end_make(struct stasis_overlay *overlay, uint64_t features,
                            struct stasis_overlay_end *ret_end, struct stasis_error *err)
{
    struct stasis_overlay_end end = {.trailer = overlay->use.header};
    struct stasis_snap_info *info = &end.trailer.info;
    bool has_digests = features & STASIS_FEATURE_DISK_DIGESTS;
    int rc = has_digests ? stasis_overlay_digests_make(overlay, &end.digests, err) : 0;

    if (rc)
        return rc;
    end.index = stasis_overlay_index_make(overlay, end.digests,
                                          features & STASIS_FEATURE_DISK_WHOLE, &end.index_len);
    if (!end.index) {
        free(end.digests);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to seal the overlay");
    }
    info->digests = has_digests;
    info->whole = features & STASIS_FEATURE_DISK_WHOLE;
    info->incompatible |= features;
    info->stored_bytes = stored_bytes(&overlay->map);
    stasis_overlay_index_root(end.index, info, overlay->use.state, overlay->use.state_len,
                              info->root);
    *ret_end = end;
    return 0;
}

void stasis_overlay_end_fini(struct stasis_overlay_end *end)
{
    free(end->index);
    free(end->digests);
}
