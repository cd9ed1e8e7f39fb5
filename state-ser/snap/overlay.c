/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Reading and writing an overlay. A page is never written where it is: it gets another place, and
 * the map changes once it is written. So a write that fails leaves what was there, and what a
 * commit names stays as it was flushed until the next one.
 */
#include "stasis/overlay.h"

#include <inttypes.h>
#include <string.h>

#include "chunk.h"
#include "io.h"
#include "output.h"
#include "overlay.h"

#define PAGE STASIS_OVERLAY_PAGE

static uint64_t offset_of(uint32_t place)
{
    return (uint64_t)place * PAGE;
}

/* ---- reading ---- */

static int read_base(struct stasis_overlay *overlay, uint64_t offset, void *bytes, size_t len,
                     struct stasis_error *err)
{
    const struct stasis_overlay_base *base = &overlay->base;
    size_t there = offset >= base->bytes        ? 0
                   : base->bytes - offset < len ? (size_t)(base->bytes - offset)
                                                : len;

    memset((uint8_t *)bytes + there, 0, len - there);
    if (there && !base->read(base->ctx, offset, bytes, there))
        return stasis_fail_errno(err, STASIS_ERR_READ, "reading what the overlay lies on");
    return 0;
}

/* What page first + n of the disk is: the places and checksums of pages that can be read at once
 * follow each other. */
static uint32_t run_of(const struct stasis_overlay *overlay, uint32_t first, uint32_t count)
{
    struct stasis_overlay_entry entry = stasis_overlay_map_get(&overlay->map, first);
    uint32_t i = 1;

    while (i < count) {
        struct stasis_overlay_entry next = stasis_overlay_map_get(&overlay->map, first + i);
        bool has_place = entry.place >= STASIS_PLACE_FIRST;

        if (next.place != (has_place ? entry.place + i : entry.place) ||
            (has_place && next.file != entry.file))
            break;
        i++;
    }
    return i;
}

/* For messages of one that is only read, of which any file may be the one that is damaged. */
static int name_file(const struct stasis_overlay *overlay, uint16_t file, int rc,
                     struct stasis_error *err)
{
    if (!rc || !overlay->is_for_reading)
        return rc;
    return stasis_wrap(err, rc, "%s", file ? overlay->below[file - 1].name : overlay->name);
}

/* The check that the bytes of a page fail; NULL: none. */
static const char *failed_check(const struct stasis_overlay *overlay, uint32_t page,
                                const struct stasis_overlay_entry *entry, const uint8_t *bytes)
{
    const struct stasis_overlay_digests *digests = stasis_overlay_digests_of(overlay, entry->file);

    if (stasis_crc32(bytes, PAGE) != entry->crc)
        return "CRC";
    return digests && !stasis_overlay_digests_match(digests, page, bytes) ? "SHA-256" : NULL;
}

static int check_pages(const struct stasis_overlay *overlay, uint32_t first, uint32_t count,
                       const uint8_t *bytes, struct stasis_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        struct stasis_overlay_entry entry = stasis_overlay_map_get(&overlay->map, first + i);
        const char *failed = failed_check(overlay, first + i, &entry, bytes + (size_t)i * PAGE);

        if (failed)
            return stasis_fail(err, STASIS_ERR_CORRUPT,
                               "the overlay is damaged at offset 0x%" PRIx64
                               ", which holds the disk's bytes from 0x%" PRIx64 " on (%s)",
                               offset_of(entry.place), offset_of(first + i), failed);
    }
    return 0;
}

static int read_places(struct stasis_overlay *overlay, uint32_t first, uint32_t count,
                       uint8_t *bytes, struct stasis_error *err)
{
    struct stasis_overlay_entry entry = stasis_overlay_map_get(&overlay->map, first);
    int fd = entry.file ? overlay->below[entry.file - 1].fd : overlay->use.fd;
    size_t len = (size_t)count * PAGE;
    ssize_t got = stasis_io_pread(fd, bytes, len, offset_of(entry.place));

    if (got < 0)
        return name_file(overlay, entry.file,
                         stasis_fail_errno(err, STASIS_ERR_READ, "reading the overlay"), err);
    memset(bytes + got, 0, len - (size_t)got); /* it was cut short */
    return name_file(overlay, entry.file, check_pages(overlay, first, count, bytes, err), err);
}

static int read_pages(struct stasis_overlay *overlay, uint32_t first, uint32_t count,
                      uint8_t *bytes, struct stasis_error *err)
{
    int rc = 0;

    while (!rc && count) {
        uint32_t run = run_of(overlay, first, count);
        uint32_t place = stasis_overlay_map_get(&overlay->map, first).place;
        size_t len = (size_t)run * PAGE;

        if (place == STASIS_PLACE_BELOW)
            rc = read_base(overlay, offset_of(first), bytes, len, err);
        else if (place == STASIS_PLACE_ZERO)
            memset(bytes, 0, len);
        else
            rc = read_places(overlay, first, run, bytes, err);
        first += run;
        count -= run;
        bytes += len;
    }
    return rc;
}

int stasis_overlay_read_page(struct stasis_overlay *overlay, uint32_t page, uint8_t *ret_bytes,
                             struct stasis_error *err)
{
    return read_pages(overlay, page, 1, ret_bytes, err);
}

/* ---- writing ---- */

static void put(struct stasis_overlay *overlay, uint32_t page, struct stasis_overlay_entry entry)
{
    struct stasis_overlay_entry old = stasis_overlay_map_get(&overlay->map, page);
    bool has_place = old.place >= STASIS_PLACE_FIRST && !old.file;

    if (has_place && stasis_overlay_map_is_dirty(&overlay->map, page))
        stasis_overlay_places_give(&overlay->use.places, old.place, 1);
    else if (has_place)
        stasis_overlay_places_leave(&overlay->use.places, old.place);
    stasis_overlay_map_put(&overlay->map, page, entry);
}

static int write_run(struct stasis_overlay *overlay, uint32_t first, uint32_t count,
                     const uint8_t *bytes, uint32_t *ret_got, struct stasis_error *err)
{
    uint32_t place = stasis_overlay_places_take(&overlay->use.places, count, ret_got);

    if (!place)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for more pages of the overlay");
    if (stasis_io_pwrite(overlay->use.fd, bytes, (size_t)*ret_got * PAGE, offset_of(place))) {
        stasis_overlay_places_give(&overlay->use.places, place, *ret_got);
        return stasis_fail_errno(err, STASIS_ERR_WRITE, "writing to the overlay");
    }
    for (uint32_t i = 0; i < *ret_got; i++)
        put(overlay, first + i,
            (struct stasis_overlay_entry){place + i, stasis_crc32(bytes + (size_t)i * PAGE, PAGE),
                                          0});
    return 0;
}

int stasis_overlay_write_pages(struct stasis_overlay *overlay, uint32_t first, uint32_t count,
                               const uint8_t *bytes, struct stasis_error *err)
{
    if (!stasis_overlay_map_own(&overlay->map, first, count))
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for more pages of the overlay");
    while (count) {
        uint32_t got;
        int rc = write_run(overlay, first, count, bytes, &got, err);

        if (rc)
            return rc;
        first += got;
        count -= got;
        bytes += (size_t)got * PAGE;
    }
    return 0;
}

/* ---- any bytes ---- */

/* Of a range the next part: whole pages, or some of one. */
struct part {
    uint32_t page, count; /* pages; 0: a part of `page` */
    size_t at, len;       /* bytes, from its first page on */
};

static struct part next_part(uint64_t offset, uint64_t len)
{
    struct part part = {.page = (uint32_t)(offset / PAGE), .at = (size_t)(offset % PAGE)};
    size_t left = PAGE - part.at;

    if (!part.at && len >= PAGE) {
        part.count = (uint32_t)(len / PAGE < UINT16_MAX ? len / PAGE : UINT16_MAX);
        part.len = (size_t)part.count * PAGE;
    } else {
        part.len = len < left ? (size_t)len : left;
    }
    return part;
}

int stasis_overlay_read(struct stasis_overlay *overlay, uint64_t offset, void *bytes, size_t len,
                        struct stasis_error *err)
{
    uint8_t *to = bytes;
    int rc = 0;

    while (!rc && len) {
        struct part part = next_part(offset, len);

        if (part.count) {
            rc = read_pages(overlay, part.page, part.count, to, err);
        } else {
            rc = read_pages(overlay, part.page, 1, overlay->page, err);
            if (!rc)
                memcpy(to, overlay->page + part.at, part.len);
        }
        offset += part.len;
        to += part.len;
        len -= part.len;
    }
    return rc;
}

/* Whether it is all that the disk has of the page, which need not be read then. */
static bool is_all(const struct stasis_overlay *overlay, const struct part *part)
{
    return !part->at && offset_of(part->page) + part->len == overlay->base.bytes;
}

/* NULL: zeros. */
static int write_part(struct stasis_overlay *overlay, const struct part *part, const uint8_t *bytes,
                      struct stasis_error *err)
{
    int rc = 0;

    memset(overlay->page, 0, sizeof(overlay->page));
    if (!is_all(overlay, part))
        rc = read_pages(overlay, part->page, 1, overlay->page, err);
    if (rc)
        return rc;
    if (bytes)
        memcpy(overlay->page + part->at, bytes, part->len);
    else
        memset(overlay->page + part->at, 0, part->len);
    return stasis_overlay_write_pages(overlay, part->page, 1, overlay->page, err);
}

int stasis_overlay_write(struct stasis_overlay *overlay, uint64_t offset, const void *bytes,
                         size_t len, struct stasis_error *err)
{
    const uint8_t *from = bytes;
    int rc = 0;

    while (!rc && len) {
        struct part part = next_part(offset, len);

        rc = part.count ? stasis_overlay_write_pages(overlay, part.page, part.count, from, err)
                        : write_part(overlay, &part, from, err);
        offset += part.len;
        from += part.len;
        len -= part.len;
    }
    return rc;
}

static int zero_pages(struct stasis_overlay *overlay, uint32_t first, uint32_t count,
                      struct stasis_error *err)
{
    if (!stasis_overlay_map_own(&overlay->map, first, count))
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for more pages of the overlay");
    for (uint32_t page = first; page < first + count; page++)
        if (stasis_overlay_map_get(&overlay->map, page).place != STASIS_PLACE_ZERO)
            put(overlay, page, (struct stasis_overlay_entry){STASIS_PLACE_ZERO, 0, 0});
    return 0;
}

int stasis_overlay_zero(struct stasis_overlay *overlay, uint64_t offset, uint64_t len,
                        struct stasis_error *err)
{
    int rc = 0;

    while (!rc && len) {
        struct part part = next_part(offset, len);

        rc = part.count ? zero_pages(overlay, part.page, part.count, err)
                        : write_part(overlay, &part, NULL, err);
        offset += part.len;
        len -= part.len;
    }
    return rc;
}

/* Of those of a sealed file nothing is gained. */
void stasis_overlay_discard(struct stasis_overlay *overlay, uint64_t offset, uint64_t len)
{
    uint32_t end = (uint32_t)((offset + len) / PAGE);
    uint32_t page = (uint32_t)((offset + PAGE - 1) / PAGE);

    for (; page < end; page++) {
        page = stasis_overlay_map_next(&overlay->map, page, false);
        if (page < end && stasis_overlay_map_get(&overlay->map, page).place != STASIS_PLACE_ZERO)
            put(overlay, page, (struct stasis_overlay_entry){STASIS_PLACE_ZERO, 0, 0});
    }
}

/* ---- flushing ---- */

int stasis_overlay_keep_name(struct stasis_overlay *overlay, struct stasis_error *err)
{
    int rc = overlay->lacks_name ? stasis_output_sync_folder(overlay->output, err) : 0;

    overlay->lacks_name = rc;
    return rc;
}

int stasis_overlay_flush(struct stasis_overlay *overlay, struct stasis_error *err)
{
    int rc = stasis_overlay_keep_name(overlay, err);

    if (rc)
        return rc;
    if (!overlay->map.dirty && !overlay->use.is_suspect && !overlay->use.lacks_slot)
        return 0;
    return stasis_overlay_commit(overlay, err);
}

int stasis_overlay_finish(struct stasis_overlay *overlay, struct stasis_error *err)
{
    int rc = stasis_overlay_flush(overlay, err);

    /* One without pages is either whole or not there. */
    return rc || overlay->use.is_proven ? rc : stasis_overlay_commit(overlay, err);
}

struct stasis_overlay_stats stasis_overlay_stats(const struct stasis_overlay *overlay)
{
    struct stasis_overlay_stats stats = {
        .mapped_bytes = overlay->map.mapped * PAGE,
        .file_bytes = offset_of(overlay->use.places.end),
        .free_bytes = overlay->use.places.free * PAGE,
        .commits = overlay->use.commits,
    };
    uint64_t features = overlay->foreseen;

    memcpy(stats.uuid, overlay->use.header.info.uuid, sizeof(stats.uuid));
    stats.has_root = overlay->use.header.info.layer;
    memcpy(stats.root, overlay->use.header.info.parent_root, sizeof(stats.root));
    for (unsigned i = 0; i < overlay->below_count; i++)
        features |= overlay->below[i].info.incompatible;
    stats.needs_newer = features & STASIS_FEATURES_DISK_LATE;
    return stats;
}
