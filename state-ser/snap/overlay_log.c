/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Commits, as they are written. A commit has the checksum of each page that it names, so pages and
 * commit go to the disk together, and who reads them after a power cut sees whether all arrived.
 * The next commit is written once they have.
 *
 * A log that is full is left for another, whose first commit has all that is mapped. That one is on
 * the disk before a slot leads to it, and the old one is used until the slot is on the disk.
 */
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "io.h"
#include "le.h"
#include "overlay.h"

#define PAGE STASIS_OVERLAY_PAGE

static int no_memory(struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a commit of the overlay");
}

uint32_t stasis_overlay_crc(const uint8_t *bytes, size_t len, size_t at)
{
    static const uint8_t zero[4];
    uint32_t crc = stasis_crc32_more(stasis_crc32(bytes, at), zero, sizeof(zero));

    return stasis_crc32_more(crc, bytes + at + 4, len - at - 4);
}

static int sync_file(struct stasis_overlay *overlay, struct stasis_error *err)
{
    if (!stasis_io_datasync(overlay->use.fd))
        return 0;
    overlay->use.is_suspect = true;
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing the overlay to the disk");
}

/* ---- one commit ---- */

/* With the state: the first one of a log, which has all that is mapped. */
static void encode(const struct stasis_overlay *overlay, const struct stasis_overlay_log *log,
                   bool has_state, uint8_t *p, uint64_t len)
{
    const struct stasis_overlay_map *map = &overlay->map;
    size_t state_len = has_state ? overlay->use.state_len : 0;
    uint8_t *entry = p + STASIS_COMMIT_HEAD_LEN + (state_len + 3) / 4 * 4;
    uint32_t page = 0, count = 0;

    memcpy(p, STASIS_COMMIT_MAGIC, sizeof(STASIS_COMMIT_MAGIC));
    memcpy(p + STASIS_COMMIT_SALT, log->salt, sizeof(log->salt));
    stasis_le64_put(p + STASIS_COMMIT_NUMBER, overlay->use.commits + 1);
    stasis_le32_put(p + STASIS_COMMIT_STATE_LEN, (uint32_t)state_len);
    if (state_len)
        memcpy(p + STASIS_COMMIT_HEAD_LEN, overlay->use.state, state_len);
    while ((page = stasis_overlay_map_next(map, page, !has_state)) < map->pages) {
        struct stasis_overlay_entry at = stasis_overlay_map_get(map, page);

        stasis_le32_put(entry, page++);
        stasis_le32_put(entry + 4, at.place);
        stasis_le32_put(entry + 8, at.crc);
        entry += STASIS_COMMIT_ENTRY_LEN;
        count++;
    }
    stasis_le32_put(p + STASIS_COMMIT_ENTRIES, count);
    stasis_le32_put(p + STASIS_COMMIT_CRC, stasis_overlay_crc(p, len, STASIS_COMMIT_CRC));
}

static int write_commit(struct stasis_overlay *overlay, const struct stasis_overlay_log *log,
                        uint32_t place, bool has_state, struct stasis_error *err)
{
    uint64_t entries = has_state ? overlay->map.mapped : overlay->map.dirty;
    uint64_t len = stasis_commit_len(entries, has_state ? overlay->use.state_len : 0);
    size_t room = stasis_commit_places(len) * PAGE;
    uint8_t *bytes = calloc(1, room);
    int rc = 0;

    if (!bytes)
        return no_memory(err);
    encode(overlay, log, has_state, bytes, len);
    if (stasis_io_pwrite(overlay->use.fd, bytes, room, (uint64_t)place * PAGE))
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "writing a commit to the overlay");
    free(bytes);
    return rc;
}

static int append(struct stasis_overlay *overlay, uint64_t places, struct stasis_error *err)
{
    int rc = write_commit(overlay, &overlay->use.log,
                          overlay->use.log.first + overlay->use.log_used, false, err);

    if (!rc)
        rc = sync_file(overlay, err);
    if (rc)
        return rc; /* the next one is written in its place */
    overlay->use.commits++;
    overlay->use.log_used += (uint32_t)places;
    overlay->use.is_proven = !overlay->map.dirty;
    stasis_overlay_map_clean(&overlay->map);
    stasis_overlay_places_commit(&overlay->use.places);
    return 0;
}

/* ---- another log ---- */

static int write_slot(struct stasis_overlay *overlay, unsigned slot, struct stasis_error *err)
{
    const struct stasis_overlay_log *log = &overlay->use.log;
    uint8_t page[PAGE] = {0};

    memcpy(page, STASIS_SLOT_MAGIC, sizeof(STASIS_SLOT_MAGIC));
    stasis_le64_put(page + STASIS_SLOT_GENERATION, overlay->use.generation);
    stasis_le64_put(page + STASIS_SLOT_OFFSET, (uint64_t)log->first * PAGE);
    stasis_le64_put(page + STASIS_SLOT_LENGTH, (uint64_t)log->count * PAGE);
    memcpy(page + STASIS_SLOT_SALT, log->salt, sizeof(log->salt));
    stasis_le32_put(page + STASIS_SLOT_CRC,
                    stasis_overlay_crc(page, STASIS_SLOT_LEN, STASIS_SLOT_CRC));
    if (!stasis_io_pwrite(overlay->use.fd, page, sizeof(page),
                          (uint64_t)(STASIS_PLACE_SLOT + slot) * PAGE))
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "writing a slot of the overlay");
}

/* The room that the last log but one had, if it is enough; else other places. */
static int make_log(struct stasis_overlay *overlay, uint64_t places, struct stasis_overlay_log *log,
                    struct stasis_error *err)
{
    uint64_t count = stasis_log_places(places);

    *log = overlay->use.spare;
    overlay->use.spare = (struct stasis_overlay_log){0};
    if (log->count && log->count < places + STASIS_LOG_ROOM / 4) {
        stasis_overlay_places_give(&overlay->use.places, log->first, log->count);
        log->count = 0;
    }
    if (!log->count && count <= UINT32_MAX) {
        log->first = stasis_overlay_places_append(&overlay->use.places, (uint32_t)count);
        log->count = log->first ? (uint32_t)count : 0;
    }
    if (!log->count)
        return no_memory(err);
    /* Only who can read the file knows it: what a guest writes is never taken for a commit. */
    if (stasis_io_random(log->salt, sizeof(log->salt)))
        return stasis_fail_errno(err, STASIS_ERR_IO, "random bytes for a log of the overlay");
    return 0;
}

/* A slot may lead to the new log as soon as one is written, whether or not the disk then says so:
 * the last commit of the old log and the first of the new one both count until it does. */
static int finish_slot(struct stasis_overlay *overlay, struct stasis_error *err)
{
    int rc = write_slot(overlay, overlay->use.generation & 1, err);

    if (!rc && stasis_io_datasync(overlay->use.fd)) {
        overlay->use.is_suspect = true; /* with the slot, what was written since the last commit */
        rc = stasis_fail_errno(err, STASIS_ERR_WRITE, "bringing a slot of the overlay to the disk");
    }
    if (rc)
        return rc;
    overlay->use.lacks_slot = false;
    /* Both say the same from here on, so that either may be damaged; one is enough. */
    (void)!write_slot(overlay, !(overlay->use.generation & 1), NULL);
    return 0;
}

static int begin_log(struct stasis_overlay *overlay, struct stasis_error *err)
{
    uint64_t places =
        stasis_commit_places(stasis_commit_len(overlay->map.mapped, overlay->use.state_len));
    struct stasis_overlay_log log;
    int rc = make_log(overlay, places, &log, err);

    if (!rc)
        rc = write_commit(overlay, &log, log.first, true, err);
    if (!rc)
        rc = sync_file(overlay, err);
    if (rc) {
        overlay->use.spare = log;
        return rc;
    }
    overlay->use.spare = overlay->use.log;
    overlay->use.log = log;
    overlay->use.log_used = (uint32_t)places;
    overlay->use.generation++;
    overlay->use.commits++;
    overlay->use.is_proven = true;
    overlay->use.lacks_slot = true;
    stasis_overlay_map_clean(&overlay->map);
    rc = finish_slot(overlay, err);
    if (!rc)
        stasis_overlay_places_commit(&overlay->use.places);
    return rc;
}

/* ---- */

/* The kernel tells of what it could not write once, and may have dropped it: what can still be read
 * is written anew, elsewhere. */
static int rewrite_dirty(struct stasis_overlay *overlay, struct stasis_error *err)
{
    uint32_t page = 0;
    int rc = 0;

    while (!rc &&
           (page = stasis_overlay_map_next(&overlay->map, page, true)) < overlay->map.pages) {
        struct stasis_overlay_entry entry = stasis_overlay_map_get(&overlay->map, page);

        if (entry.place >= STASIS_PLACE_FIRST)
            rc = stasis_overlay_read_page(overlay, page, overlay->page, err);
        if (!rc && entry.place >= STASIS_PLACE_FIRST)
            rc = stasis_overlay_write_pages(overlay, page, 1, overlay->page, err);
        page++;
    }
    return rc;
}

int stasis_overlay_commit(struct stasis_overlay *overlay, struct stasis_error *err)
{
    int rc = overlay->use.lacks_slot ? finish_slot(overlay, err) : 0;
    uint64_t places;

    if (!rc && overlay->use.is_suspect)
        rc = rewrite_dirty(overlay, err);
    if (rc)
        return rc;
    overlay->use.is_suspect = false;
    places = stasis_commit_places(stasis_commit_len(overlay->map.dirty, 0));
    if (places <= overlay->use.log.count - overlay->use.log_used)
        return append(overlay, places, err);
    return begin_log(overlay, err);
}
