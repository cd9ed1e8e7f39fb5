/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is told of an overlay that is only read, and whether all of it is as it was written.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "io.h"
#include "overlay.h"
#include "stasis/bytes.h"

#define PAGE STASIS_OVERLAY_PAGE
#define RUN  16u /* pages that are read at once */

/* ---- what it is ---- */

/* The sealed file by its number in file_at(); 0, of one that is not sealed, is none. */
static const struct stasis_overlay_below *below_of(const struct stasis_overlay *overlay,
                                                   uint32_t index)
{
    uint32_t from_top = index - !overlay->is_sealed;

    return &overlay->below[overlay->below_count - 1 - from_top];
}

struct stasis_overlay_about stasis_overlay_about(const struct stasis_overlay *overlay)
{
    const struct stasis_disk_state *image = &overlay->image;
    const struct stasis_snap_info *lowest =
        overlay->below_count ? &overlay->below[0].info : &overlay->use.header.info;
    struct stasis_overlay_about about = {
        .disk_bytes = overlay->base.bytes,
        .is_sealed = overlay->is_sealed,
        .has_ended = overlay->is_sealed || overlay->use.is_proven,
        .was_cut_off = overlay->was_cut_off,
        .lies_on_image = !lowest->layer,
        .files = overlay->below_count + !overlay->is_sealed,
    };

    if (about.lies_on_image) {
        about.inode = image->image_inode;
        about.mtime_ns = image->image_mtime_ns;
        about.has_samples = image->image_samples_len == sizeof(about.samples);
        if (about.has_samples)
            memcpy(about.samples, image->image_samples, sizeof(about.samples));
    }
    return about;
}

static uint32_t leaf_end(const struct stasis_overlay_map *map, uint32_t page)
{
    uint64_t end = ((uint64_t)page / STASIS_LEAF_PAGES + 1) * STASIS_LEAF_PAGES;

    return end < map->pages ? (uint32_t)end : map->pages;
}

static void count_pages(const struct stasis_overlay *overlay, uint16_t number,
                        struct stasis_overlay_file *file)
{
    const struct stasis_overlay_map *map = &overlay->map;

    for (uint32_t page = 0, next; page < map->pages; page = next) {
        struct stasis_overlay_entry entry = stasis_overlay_map_get(map, page);

        next = page + 1;
        if (!map->leaves[page / STASIS_LEAF_PAGES]) { /* all of it is alike */
            next = leaf_end(map, page);
            file->zeros +=
                map->zeros[page / STASIS_LEAF_PAGES] == number && number ? next - page : 0;
            continue;
        }
        if (entry.file == number) {
            file->pages += entry.place >= STASIS_PLACE_FIRST;
            file->zeros += entry.place == STASIS_PLACE_ZERO;
        }
    }
}

struct stasis_overlay_file stasis_overlay_file_at(const struct stasis_overlay *overlay,
                                                  uint32_t index)
{
    bool is_own = !index && !overlay->is_sealed;
    const struct stasis_overlay_below *below = is_own ? NULL : below_of(overlay, index);
    struct stasis_overlay_file file = {
        .name = is_own ? overlay->name : below->name,
        .info = is_own ? &overlay->use.header.info : &below->info,
    };

    count_pages(overlay, is_own ? 0 : (uint16_t)(below - overlay->below + 1), &file);
    return file;
}

/* ---- verifying ---- */

/* The first page from `page` on that is stored in one of the files. */
static uint32_t next_page(const struct stasis_overlay_map *map, uint32_t page)
{
    while (page < map->pages) {
        if (!map->leaves[page / STASIS_LEAF_PAGES])
            page = leaf_end(map, page);
        else if (stasis_overlay_map_get(map, page).place >= STASIS_PLACE_FIRST)
            break;
        else
            page++;
    }
    return page;
}

uint64_t stasis_overlay_next(const struct stasis_overlay *overlay, uint64_t offset)
{
    uint64_t next =
        (uint64_t)next_page(&overlay->map, (uint32_t)((offset + PAGE - 1) / PAGE)) * PAGE;

    return next < overlay->base.bytes ? next : overlay->base.bytes;
}

struct verifying {
    struct stasis_overlay *overlay;
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
    uint64_t done, total;
    uint64_t stray; /* where what is not used is not zero; 0: nowhere */
    struct stasis_error *err;
};

static int add_done(struct verifying *v, uint64_t bytes)
{
    v->done += bytes;
    if (v->progress && !v->progress(v->ctx, v->done, v->total))
        return stasis_fail(v->err, STASIS_ERR_CANCELLED, "verifying was cancelled");
    return 0;
}

static int verify_pages(struct verifying *v)
{
    const struct stasis_overlay_map *map = &v->overlay->map;
    uint8_t bytes[RUN * PAGE];
    uint32_t page = 0;
    int rc = 0;

    while (!rc && (page = next_page(map, page)) < map->pages) {
        uint32_t count = 1;

        while (count < RUN && page + count < map->pages &&
               stasis_overlay_map_get(map, page + count).place >= STASIS_PLACE_FIRST)
            count++;
        rc = stasis_overlay_read(v->overlay, (uint64_t)page * PAGE, bytes, (size_t)count * PAGE,
                                 v->err);
        page += count;
        if (!rc)
            rc = add_done(v, (uint64_t)count * PAGE);
    }
    return rc;
}

/* ---- what is not used of a sealed file ---- */

/* Sealing that was cut off at its end leaves slots and a log, so these are no damage. */
static int look_for_zero(struct verifying *v, int fd, uint64_t offset, uint64_t len)
{
    uint8_t bytes[RUN * PAGE];
    int rc = 0;

    while (!rc && len && !v->stray) {
        size_t part = len < sizeof(bytes) ? (size_t)len : sizeof(bytes);
        ssize_t got = stasis_io_pread(fd, bytes, part, offset);

        if (got < 0)
            return stasis_fail_errno(v->err, STASIS_ERR_READ, "%s: reading the overlay",
                                     v->overlay->name);
        if (!stasis_is_zero(bytes, (size_t)got))
            for (uint64_t i = 0; !v->stray; i++)
                v->stray = bytes[i] ? offset + i : 0;
        offset += part;
        len -= part;
        rc = add_done(v, part);
    }
    return rc;
}

/* What its pages have, which are all on top. */
static void mark_used(const struct stasis_overlay *overlay, uint64_t *used)
{
    const struct stasis_overlay_map *map = &overlay->map;

    for (uint32_t page = 0; (page = next_page(map, page)) < map->pages; page++) {
        struct stasis_overlay_entry entry = stasis_overlay_map_get(map, page);

        if (entry.file == overlay->below_count)
            used[entry.place / 64] |= UINT64_C(1) << entry.place % 64;
    }
}

static int look_at_unused(struct verifying *v, const uint64_t *used)
{
    int fd = v->overlay->below[v->overlay->below_count - 1].fd;
    const struct stasis_section *data = &v->overlay->data;
    uint64_t end = (data->offset + data->length) / PAGE, place = data->offset / PAGE, stop;
    int rc = 0;

    for (; !rc && place < end; place = stop + 1) {
        for (stop = place; stop < end && !(used[stop / 64] >> stop % 64 & 1);)
            stop++;
        rc = look_for_zero(v, fd, place * PAGE, (stop - place) * PAGE);
    }
    return rc;
}

static int verify_unused(struct verifying *v)
{
    const struct stasis_overlay *overlay = v->overlay;
    uint64_t end = (overlay->data.offset + overlay->data.length) / PAGE;
    uint64_t *used;
    int rc;

    if (!overlay->is_sealed)
        return 0;
    used = calloc(end / 64 + 1, sizeof(*used));
    if (!used)
        return stasis_fail(v->err, STASIS_ERR_NOMEM, "no memory to verify the overlay");
    mark_used(overlay, used);
    rc = look_at_unused(v, used);
    free(used);
    return rc;
}

int stasis_overlay_verify(struct stasis_overlay *overlay,
                          bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                          uint64_t *ret_stray, struct stasis_error *err)
{
    struct verifying v = {.overlay = overlay, .progress = progress, .ctx = ctx, .err = err};
    const struct stasis_overlay_map *map = &overlay->map;
    int rc;

    for (uint32_t page = 0; (page = next_page(map, page)) < map->pages; page++)
        v.total += PAGE;
    if (overlay->is_sealed)
        v.total += overlay->data.length;
    rc = verify_pages(&v);
    if (!rc)
        rc = verify_unused(&v);
    if (!rc)
        *ret_stray = v.stray;
    return rc;
}
