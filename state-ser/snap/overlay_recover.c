/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Commits, as they are read: the first of the log that a slot leads to, and those behind it, for as
 * long as they are whole. Only the last one may be there in part, after a power cut, and then does
 * not count: with anything else that is not as it was written, the overlay is damaged.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "io.h"
#include "le.h"
#include "overlay.h"
#include "stasis/bytes.h"

#define PAGE STASIS_OVERLAY_PAGE

struct commit {
    uint8_t *bytes;
    uint64_t len;
    uint32_t entries;
    uint32_t state_len;
};

struct recovery {
    struct stasis_overlay *overlay;
    uint32_t end; /* places of the file */
    struct stasis_error *err;
};

static int damaged(struct stasis_error *err, const char *what, uint64_t offset)
{
    return stasis_fail(err, STASIS_ERR_CORRUPT, "the overlay is damaged: %s at offset 0x%" PRIx64,
                       what, offset);
}

static int read_bytes(const struct recovery *r, uint32_t place, void *bytes, size_t len)
{
    ssize_t got = stasis_io_pread(r->overlay->use.fd, bytes, len, (uint64_t)place * PAGE);

    if (got < 0)
        return stasis_fail_errno(r->err, STASIS_ERR_READ, "reading the overlay");
    memset((uint8_t *)bytes + got, 0, len - (size_t)got);
    return 0;
}

/* ---- the slots ---- */

struct slot {
    uint64_t generation; /* 0: it is none */
    struct stasis_overlay_log log;
};

static int read_slot(const struct recovery *r, unsigned number, struct slot *ret_slot)
{
    uint8_t page[PAGE];
    uint64_t offset, len;
    int rc = read_bytes(r, STASIS_PLACE_SLOT + number, page, sizeof(page));

    *ret_slot = (struct slot){0};
    if (rc || memcmp(page, STASIS_SLOT_MAGIC "\0", STASIS_LOG_MAGIC_LEN) != 0 ||
        stasis_le32_get(page + STASIS_SLOT_CRC) !=
            stasis_overlay_crc(page, STASIS_SLOT_LEN, STASIS_SLOT_CRC))
        return rc;
    offset = stasis_le64_get(page + STASIS_SLOT_OFFSET);
    len = stasis_le64_get(page + STASIS_SLOT_LENGTH);
    if (offset % PAGE || len % PAGE || offset / PAGE < STASIS_PLACE_FIRST || !len ||
        offset / PAGE > UINT32_MAX || len / PAGE > UINT32_MAX - offset / PAGE)
        return damaged(r->err, "a slot leads out of the file",
                       (uint64_t)(STASIS_PLACE_SLOT + number) * PAGE);
    ret_slot->generation = stasis_le64_get(page + STASIS_SLOT_GENERATION);
    ret_slot->log.first = (uint32_t)(offset / PAGE);
    ret_slot->log.count = (uint32_t)(len / PAGE);
    memcpy(ret_slot->log.salt, page + STASIS_SLOT_SALT, sizeof(ret_slot->log.salt));
    return 0;
}

static int find_log(const struct recovery *r, bool *ret_found)
{
    struct slot slots[2];
    int rc = read_slot(r, 0, &slots[0]);

    if (!rc)
        rc = read_slot(r, 1, &slots[1]);
    if (!rc) {
        const struct slot *newer = &slots[slots[1].generation > slots[0].generation];

        *ret_found = newer->generation;
        r->overlay->use.generation = newer->generation;
        r->overlay->use.log = newer->log;
    }
    return rc;
}

int stasis_overlay_find_slot(struct stasis_overlay *overlay, bool *ret_has_slot,
                             struct stasis_error *err)
{
    struct recovery r = {.overlay = overlay, .err = err};

    return find_log(&r, ret_has_slot);
}

/* ---- one commit ---- */

/* Whether the page could be the head of this commit, of a disk of so many pages; then its length,
 * and whether that is within the log. */
static bool is_head(const struct stasis_overlay_log *log, uint32_t pages, const uint8_t *page,
                    uint64_t number, uint32_t room, struct commit *commit)
{
    if (memcmp(page, STASIS_COMMIT_MAGIC "\0\0", STASIS_LOG_MAGIC_LEN) != 0 ||
        memcmp(page + STASIS_COMMIT_SALT, log->salt, sizeof(log->salt)) != 0 ||
        (number && stasis_le64_get(page + STASIS_COMMIT_NUMBER) != number))
        return false;
    commit->entries = stasis_le32_get(page + STASIS_COMMIT_ENTRIES);
    commit->state_len = stasis_le32_get(page + STASIS_COMMIT_STATE_LEN);
    commit->len = stasis_commit_len(commit->entries, commit->state_len);
    return commit->entries <= pages && commit->state_len <= STASIS_STATE_MAX &&
           stasis_commit_places(commit->len) <= room;
}

/* The commit that is `used` places into the log, of this number or, with 0, of any. *ret_found: it
 * is there, and its CRC is right. The caller frees its bytes. */
static int read_commit(const struct recovery *r, uint32_t used, uint64_t number,
                       struct commit *commit, bool *ret_found)
{
    const struct stasis_overlay_log *log = &r->overlay->use.log;
    uint8_t page[PAGE];
    int rc;

    *ret_found = false;
    commit->bytes = NULL;
    if (used >= log->count || log->first + used >= r->end)
        return 0;
    rc = read_bytes(r, log->first + used, page, sizeof(page));
    if (rc || !is_head(log, r->overlay->map.pages, page, number, log->count - used, commit))
        return rc;
    if (commit->len > (uint64_t)(r->end - log->first - used) * PAGE)
        return 0;
    commit->bytes = malloc((size_t)commit->len);
    if (!commit->bytes)
        return stasis_fail(r->err, STASIS_ERR_NOMEM, "no memory for a commit of the overlay");
    rc = read_bytes(r, log->first + used, commit->bytes, (size_t)commit->len);
    *ret_found =
        !rc && stasis_le32_get(commit->bytes + STASIS_COMMIT_CRC) ==
                   stasis_overlay_crc(commit->bytes, (size_t)commit->len, STASIS_COMMIT_CRC);
    if (!*ret_found) {
        free(commit->bytes);
        commit->bytes = NULL;
    }
    return rc;
}

static const uint8_t *entry_of(const struct commit *commit, uint32_t i)
{
    return commit->bytes + STASIS_COMMIT_HEAD_LEN + (commit->state_len + 3) / 4 * 4 +
           (size_t)i * STASIS_COMMIT_ENTRY_LEN;
}

/* Pages in ascending order, with places that a page can have. */
static bool is_valid(const struct stasis_overlay *overlay, const struct commit *commit)
{
    uint64_t next = 0;

    for (uint32_t i = 0; i < commit->entries; i++) {
        const uint8_t *entry = entry_of(commit, i);
        uint32_t page = stasis_le32_get(entry), place = stasis_le32_get(entry + 4);

        if (page < next || page >= overlay->map.pages || place == STASIS_PLACE_BELOW ||
            (place > STASIS_PLACE_ZERO && place < STASIS_PLACE_FIRST) ||
            (place == STASIS_PLACE_ZERO && stasis_le32_get(entry + 8)))
            return false;
        next = (uint64_t)page + 1;
    }
    return true;
}

static int apply(const struct recovery *r, const struct commit *commit)
{
    struct stasis_overlay_map *map = &r->overlay->map;

    for (uint32_t i = 0; i < commit->entries; i++) {
        const uint8_t *entry = entry_of(commit, i);
        uint32_t page = stasis_le32_get(entry);

        if (!stasis_overlay_map_own(map, page, 1))
            return stasis_fail(r->err, STASIS_ERR_NOMEM, "no memory for the pages of the overlay");
        stasis_overlay_map_put(map, page,
                               (struct stasis_overlay_entry){stasis_le32_get(entry + 4),
                                                             stasis_le32_get(entry + 8), 0});
    }
    return 0;
}

/* Whether all pages of a commit are on the disk, which was not known when it was written. */
static int check_pages(const struct recovery *r, const struct commit *commit, bool *ret_whole)
{
    int rc = 0;

    *ret_whole = true;
    for (uint32_t i = 0; !rc && *ret_whole && i < commit->entries; i++) {
        const uint8_t *entry = entry_of(commit, i);
        uint32_t place = stasis_le32_get(entry + 4);
        uint8_t page[PAGE];

        if (place < STASIS_PLACE_FIRST)
            continue;
        *ret_whole = place < r->end;
        if (*ret_whole)
            rc = read_bytes(r, place, page, sizeof(page));
        if (*ret_whole && !rc)
            *ret_whole = stasis_crc32(page, sizeof(page)) == stasis_le32_get(entry + 8);
    }
    return rc;
}

/* ---- all of them ---- */

static int read_first(const struct recovery *r)
{
    struct stasis_overlay *overlay = r->overlay;
    uint64_t offset = (uint64_t)overlay->use.log.first * PAGE;
    struct commit commit;
    bool found;
    int rc = read_commit(r, 0, 0, &commit, &found);

    if (!rc && (!found || !commit.state_len || !is_valid(overlay, &commit)))
        rc = damaged(r->err, "its log does not begin with a whole commit", offset);
    if (!rc && overlay->use.log.count > stasis_log_places(stasis_commit_places(commit.len)))
        rc = damaged(r->err, "its log is longer than a log is", offset);
    if (!rc)
        rc = stasis_overlay_state_check(overlay, overlay->use.header.info.layer,
                                        commit.bytes + STASIS_COMMIT_HEAD_LEN, commit.state_len,
                                        r->err);
    if (!rc)
        rc = apply(r, &commit);
    if (!rc) {
        overlay->use.commits = stasis_le64_get(commit.bytes + STASIS_COMMIT_NUMBER);
        overlay->use.log_used = (uint32_t)stasis_commit_places(commit.len);
        overlay->use.is_proven = true;
    }
    free(commit.bytes);
    return rc;
}

/* Whether it begins a commit of this log that is not the next one. */
static bool is_later(const struct stasis_overlay *overlay, const uint8_t *head)
{
    uint64_t number = stasis_le64_get(head + STASIS_COMMIT_NUMBER);

    return !memcmp(head, STASIS_COMMIT_MAGIC "\0\0", STASIS_LOG_MAGIC_LEN) &&
           !memcmp(head + STASIS_COMMIT_SALT, overlay->use.log.salt,
                   sizeof(overlay->use.log.salt)) &&
           number > overlay->use.commits && number - overlay->use.commits > 1;
}

/* Whether a commit begins behind those that were read: one before it was whole, then, since it is
 * written when that is on the disk. That it is whole itself is not asked: a log may be made in
 * which each place begins a commit with all that is behind it, and reading these would take the
 * square of its length. Each place is looked at once, and 64 bytes of it. */
static int find_later(const struct recovery *r, bool *ret_found)
{
    const struct stasis_overlay_log *log = &r->overlay->use.log;
    uint64_t end = (uint64_t)log->first + log->count < r->end ? log->first + log->count : r->end;
    uint8_t head[STASIS_COMMIT_HEAD_LEN];
    int rc = 0;

    *ret_found = false;
    for (uint64_t place = (uint64_t)log->first + r->overlay->use.log_used;
         !rc && !*ret_found && place < end; place++) {
        rc = read_bytes(r, (uint32_t)place, head, sizeof(head));
        *ret_found = !rc && is_later(r->overlay, head);
    }
    return rc;
}

/* What is there of a commit that does not count must not become whole by what is written now. */
static int clear_next(const struct recovery *r)
{
    const struct stasis_overlay *overlay = r->overlay;
    uint32_t place = overlay->use.log.first + overlay->use.log_used;
    uint8_t page[PAGE];
    int rc = 0;

    if (overlay->use.log_used == overlay->use.log.count || place >= r->end)
        return 0;
    rc = read_bytes(r, place, page, sizeof(page));
    if (rc || stasis_is_zero(page, sizeof(page)))
        return rc;
    memset(page, 0, sizeof(page));
    if (stasis_io_pwrite(overlay->use.fd, page, sizeof(page), (uint64_t)place * PAGE))
        rc = stasis_fail_errno(r->err, STASIS_ERR_WRITE, "clearing an unfinished commit");
    return rc;
}

/* Of a process that was killed the kernel may have a commit and a slot that are not on the disk.
 * What they freed is written to from now on, so they have to be. */
static int keep_what_counts(const struct recovery *r)
{
    int rc = clear_next(r);

    if (!rc && stasis_io_datasync(r->overlay->use.fd))
        rc = stasis_fail_errno(r->err, STASIS_ERR_WRITE, "bringing the overlay to the disk");
    return rc;
}

/* Reads the commit behind the last one; false: there is none, or it is there in part. */
static int read_next(const struct recovery *r, bool *ret_more)
{
    struct stasis_overlay *overlay = r->overlay;
    struct commit commit, next;
    bool is_last = false;
    int rc = read_commit(r, overlay->use.log_used, overlay->use.commits + 1, &commit, ret_more);

    if (rc || !*ret_more)
        return rc;
    if (commit.state_len || !is_valid(overlay, &commit))
        rc = damaged(r->err, "a commit is none",
                     (uint64_t)(overlay->use.log.first + overlay->use.log_used) * PAGE);
    if (!rc)
        rc = read_commit(r, overlay->use.log_used + (uint32_t)stasis_commit_places(commit.len),
                         overlay->use.commits + 2, &next, &is_last);
    if (!rc) {
        is_last = !is_last;
        free(next.bytes);
    }
    if (!rc && is_last)
        rc = check_pages(r, &commit, ret_more);
    if (!rc && *ret_more)
        rc = apply(r, &commit);
    if (!rc && *ret_more) {
        overlay->use.commits++;
        overlay->use.log_used += (uint32_t)stasis_commit_places(commit.len);
        overlay->use.is_proven = !commit.entries;
    }
    free(commit.bytes);
    return rc;
}

/* Each place has one use. */
static int use_places(const struct recovery *r)
{
    struct stasis_overlay *overlay = r->overlay;
    const struct stasis_overlay_log *log = &overlay->use.log;
    struct stasis_overlay_places *places = &overlay->use.places;
    uint32_t end = log->first + log->count > r->end ? log->first + log->count : r->end;
    uint32_t page = 0;

    stasis_overlay_places_fini(places);
    if (!stasis_overlay_places_init(places, end))
        return stasis_fail(r->err, STASIS_ERR_NOMEM, "no memory for the places of the overlay");
    (void)!stasis_overlay_places_use(places, 0, STASIS_PLACE_FIRST);
    (void)!stasis_overlay_places_use(places, log->first, log->count);
    while ((page = stasis_overlay_map_next(&overlay->map, page, false)) < overlay->map.pages) {
        uint32_t place = stasis_overlay_map_get(&overlay->map, page++).place;

        if (place != STASIS_PLACE_ZERO &&
            (place >= r->end || !stasis_overlay_places_use(places, place, 1)))
            return damaged(r->err, "a page has no place of its own", (uint64_t)place * PAGE);
    }
    return 0;
}

int stasis_overlay_recover(struct stasis_overlay *overlay, uint64_t len, bool *ret_has_slot,
                           struct stasis_error *err)
{
    uint64_t places = (len + PAGE - 1) / PAGE;
    struct recovery r = {overlay, places < UINT32_MAX ? (uint32_t)places : UINT32_MAX, err};
    bool more = true, later;
    int rc = find_log(&r, ret_has_slot);

    if (rc || !*ret_has_slot)
        return rc;
    rc = read_first(&r);
    while (!rc && more)
        rc = read_next(&r, &more);
    if (!rc)
        rc = find_later(&r, &later);
    if (!rc && later)
        rc = damaged(err, "a commit is not what was written",
                     (uint64_t)(overlay->use.log.first + overlay->use.log_used) * PAGE);
    if (!rc)
        rc = use_places(&r);
    if (!rc && !overlay->is_for_reading && !overlay->only_looks)
        rc = keep_what_counts(&r);
    stasis_overlay_map_clean(&overlay->map);
    return rc;
}
