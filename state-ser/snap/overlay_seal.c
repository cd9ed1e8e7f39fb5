/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Sealing: the overlay in use becomes a file that nobody changes any more, and a new one takes its
 * place and its name. First the sections behind the data and the new overlay are on the disk, then
 * both names change places at once, and then the slots and the log of what is sealed go. Up to the
 * change the file is the overlay in use, whatever is behind its data; the sections are the same
 * when sealing is begun again, so that they can be written over those of a file that others lie on.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "io.h"
#include "le.h"
#include "output.h"
#include "overlay.h"

#define PAGE       STASIS_OVERLAY_PAGE
#define SUFFIX_LEN 17u /* of the name of a sealed file: a dot, and 16 digits of its root */

static int failed(struct stasis_error *err, const char *what)
{
    return stasis_fail_errno(err, STASIS_ERR_WRITE, "sealing the overlay: %s", what);
}

static bool is_used(const struct stasis_overlay_places *places, uint32_t place)
{
    return places->used[place / 64] >> place % 64 & 1;
}

/* Places that are free hold what was there before. */
static int clear_free(struct stasis_overlay *overlay, struct stasis_error *err)
{
    struct stasis_overlay_places *places = &overlay->use.places;
    uint32_t end;

    if (overlay->use.spare.count)
        stasis_overlay_places_give(places, overlay->use.spare.first, overlay->use.spare.count);
    overlay->use.spare = (struct stasis_overlay_log){0};
    stasis_overlay_places_trim(places);
    for (uint32_t place = STASIS_PLACE_FIRST; place < places->end; place = end) {
        for (end = place; end < places->end && !is_used(places, end);)
            end++;
        if (end > place &&
            stasis_io_zero(overlay->use.fd, (uint64_t)place * PAGE, (uint64_t)(end - place) * PAGE))
            return failed(err, "giving back its room");
        if (end == place)
            end++;
    }
    return 0;
}

/* ---- the new overlay ---- */

/* On a file without a name. Of *next all is the caller's, on failure too. */
static int make_next(const struct stasis_overlay *overlay, const struct stasis_snap_info *sealed,
                     struct stasis_overlay *next, struct stasis_error *err)
{
    struct stasis_overlay_parent parent;
    int rc;

    *next = (struct stasis_overlay){.base = overlay->base, .use.fd = -1};
    memcpy(parent.uuid, sealed->uuid, sizeof(parent.uuid));
    memcpy(parent.root, sealed->root, sizeof(parent.root));
    rc = stasis_output_begin_next(overlay->output, &next->use.fd, err);
    if (!rc && stasis_io_lock(next->use.fd))
        rc = failed(err, "locking the new one");
    if (!rc && !stasis_overlay_map_init(&next->map, overlay->map.pages))
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory to seal the overlay");
    return rc ? rc : stasis_overlay_make(next, &parent, err);
}

/* What is left of *next is freed. */
static void become_next(struct stasis_overlay *overlay, struct stasis_overlay *next)
{
    stasis_overlay_map_seal(&overlay->map, overlay->below_count);
    stasis_overlay_places_fini(&overlay->use.places);
    free(overlay->use.state);
    overlay->use = next->use;
    next->use = (struct stasis_overlay_use){.fd = -1};
}

static void free_next(struct stasis_overlay *next)
{
    stasis_io_close(next->use.fd);
    stasis_overlay_map_fini(&next->map);
    stasis_overlay_places_fini(&next->use.places);
    free(next->use.state);
}

/* ---- */

static int check_room(const struct stasis_overlay *overlay, struct stasis_error *err)
{
    if (overlay->below_count < STASIS_OVERLAY_CHAIN_MAX)
        return 0;
    return stasis_fail(err, STASIS_ERR_FULL,
                       "the overlay lies on %u sealed ones, which is the most; end the guest, and "
                       "make one image of them",
                       STASIS_OVERLAY_CHAIN_MAX);
}

/* Room for one more file below. */
static int reserve_below(struct stasis_overlay *overlay, struct stasis_error *err)
{
    struct stasis_overlay_below *below;
    int rc = check_room(overlay, err);

    if (rc)
        return rc;
    below = realloc(overlay->below, (overlay->below_count + 1u) * sizeof(*below));
    if (!below)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to seal the overlay");
    overlay->below = below;
    return 0;
}

/* Without slots it is sealed. What was there of a log is padding then. */
static int end_use(int fd, const struct stasis_overlay_log *log, struct stasis_error *err)
{
    if (stasis_io_zero(fd, STASIS_PLACE_SLOT * PAGE, UINT64_C(2) * PAGE) ||
        stasis_io_datasync(fd) ||
        stasis_io_zero(fd, (uint64_t)log->first * PAGE, (uint64_t)log->count * PAGE) ||
        stasis_io_sync(fd))
        return failed(err, "ending its use");
    return 0;
}

static void suffix_of(const uint8_t root[STASIS_DIGEST_SIZE], char suffix[SUFFIX_LEN + 1])
{
    suffix[0] = '.';
    for (unsigned i = 0; i < 8; i++)
        snprintf(suffix + 1 + (size_t)2 * i, 3, "%02x", root[i]);
}

/* Whether it is a new overlay on the sealed one, in which nothing was written. A length of 0: any.
 */
static bool is_left_over(int fd, uint64_t len, const struct stasis_snap_info *sealed)
{
    uint8_t bytes[STASIS_HEADER_LEN];
    struct stasis_header header;
    struct stat st;

    return !stasis_io_stat(fd, &st) && S_ISREG(st.st_mode) &&
           (!len || (uint64_t)st.st_size == len) &&
           stasis_io_pread(fd, bytes, sizeof(bytes), 0) == (ssize_t)sizeof(bytes) &&
           !stasis_header_decode_disk(bytes, &header, NULL) && header.info.layer &&
           !memcmp(header.info.parent_uuid, sealed->uuid, sizeof(sealed->uuid)) &&
           !memcmp(header.info.parent_root, sealed->root, sizeof(sealed->root));
}

/* Sealing that was cut off before the exchange leaves the new overlay, with the name of the sealed
 * one. -1: there is none that nobody uses. */
static int open_left_over(const struct stasis_overlay *overlay, const char *suffix, uint64_t len,
                          const struct stasis_snap_info *sealed, char name[NAME_MAX + 1])
{
    int fd;

    if (snprintf(name, NAME_MAX + 1, "%s%s", overlay->output->place.base, suffix) > NAME_MAX)
        return -1;
    fd = stasis_io_open(overlay->output->place.dir, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 || (!stasis_overlay_lock(overlay, fd) && is_left_over(fd, len, sealed)))
        return fd;
    stasis_io_close(fd);
    return -1;
}

/* Another is made. */
static void remove_left_over(const struct stasis_overlay *overlay, const char *suffix,
                             const struct stasis_snap_info *sealed,
                             const struct stasis_overlay *next)
{
    uint64_t len = (uint64_t)(STASIS_PLACE_FIRST + next->use.log_used) * PAGE;
    char name[NAME_MAX + 1];
    int fd = open_left_over(overlay, suffix, len, sealed, name);

    if (fd >= 0)
        stasis_io_unlink(overlay->output->place.dir, name);
    stasis_io_close(fd);
}

/* *ret_exchanged: *overlay is the new one. */
static int exchange(struct stasis_overlay *overlay, struct stasis_overlay_end *end,
                    struct stasis_overlay *next, bool *ret_exchanged, struct stasis_error *err)
{
    const struct stasis_snap_info *sealed = &end->trailer.info;
    const struct stasis_overlay_log log = overlay->use.log;
    char suffix[SUFFIX_LEN + 1];
    int rc, fd = overlay->use.fd;

    suffix_of(sealed->root, suffix);
    remove_left_over(overlay, suffix, sealed, next);
    rc = stasis_output_check_next(overlay->output, suffix, err);
    if (!rc)
        rc = stasis_output_exchange(overlay->output, suffix, next->use.fd,
                                    STASIS_OVERLAY_BELOW_ROLE, err);
    if (rc)
        return rc;
    *ret_exchanged = true;
    overlay->below[overlay->below_count++] = (struct stasis_overlay_below){
        .fd = fd, .info = *sealed, .end = overlay->use.places.end, .digests = end->digests};
    end->digests = NULL;
    if (sealed->whole)
        overlay->partial_len = 0;
    else if (sealed->layer)
        overlay->partial_len += end->index_len;
    become_next(overlay, next);
    overlay->lacks_name = true;
    rc = stasis_overlay_keep_name(overlay, err);
    return rc ? rc : end_use(fd, &log, err);
}

/* What is written from now on would be before a trailer that says something else. */
static int give_up(struct stasis_overlay *overlay, int rc)
{
    (void)!stasis_io_truncate(overlay->use.fd, (uint64_t)overlay->use.places.end * PAGE);
    return rc;
}

static int seal(struct stasis_overlay *overlay, uint64_t features,
                uint8_t ret_root[STASIS_OVERLAY_ROOT_SIZE], struct stasis_error *err)
{
    struct stasis_overlay next = {.use.fd = -1};
    struct stasis_overlay_end end;
    bool exchanged = false;
    int rc = reserve_below(overlay, err);

    if (!rc)
        rc = clear_free(overlay, err);
    if (!rc)
        rc = stasis_overlay_end_make(overlay, features, &end, err);
    if (rc)
        return rc;
    rc = stasis_overlay_end_write(overlay, &end, err);
    if (!rc)
        rc = make_next(overlay, &end.trailer.info, &next, err);
    if (!rc)
        rc = exchange(overlay, &end, &next, &exchanged, err);
    free_next(&next);
    if (!rc)
        memcpy(ret_root, end.trailer.info.root, STASIS_OVERLAY_ROOT_SIZE);
    stasis_overlay_end_fini(&end);
    return rc && !exchanged ? give_up(overlay, rc) : rc;
}

/* ---- what comes before it ---- */

int stasis_overlay_check_seal(const struct stasis_overlay *overlay, struct stasis_error *err)
{
    return overlay->map.mapped ? check_room(overlay, err) : 0;
}

/* The kernel may tell the thread that is left behind, and nobody else, of what it could not write.
 */
int stasis_overlay_write_back(struct stasis_overlay *overlay, bool (*keep_on)(void *ctx), void *ctx,
                              struct stasis_error *err)
{
    const struct stasis_watch watch = {keep_on, ctx};
    int rc = overlay->map.dirty ? stasis_output_sync(overlay->use.fd, &watch, err) : 0;

    overlay->use.is_suspect |= rc != 0;
    if (rc != STASIS_ERR_CANCELLED)
        return rc;
    return stasis_fail(err, rc, "cancelled while the overlay was brought to the disk");
}

/* ---- */

static int finish_and_seal(struct stasis_overlay *overlay, uint64_t features, bool may_be_whole,
                           uint8_t ret_root[STASIS_OVERLAY_ROOT_SIZE], bool *ret_has_root,
                           struct stasis_error *err)
{
    int rc = stasis_overlay_finish(overlay, err);

    if (rc)
        return rc;
    if (!overlay->map.mapped) { /* what it lies on is all that there is */
        *ret_has_root = overlay->use.header.info.layer;
        memcpy(ret_root, overlay->use.header.info.parent_root, STASIS_OVERLAY_ROOT_SIZE);
        return 0;
    }
    if (may_be_whole &&
        stasis_overlay_index_is_due(overlay, features & STASIS_FEATURE_DISK_DIGESTS))
        features |= STASIS_FEATURE_DISK_WHOLE;
    rc = seal(overlay, features, ret_root, err);
    if (!rc)
        *ret_has_root = true;
    return rc;
}

int stasis_overlay_seal(struct stasis_overlay *overlay, unsigned how,
                        uint8_t ret_root[STASIS_OVERLAY_ROOT_SIZE], bool *ret_has_root,
                        struct stasis_error *err)
{
    uint64_t features = how & STASIS_OVERLAY_DIGESTS ? STASIS_FEATURE_DISK_DIGESTS : 0;

    if (how & ~(unsigned)(STASIS_OVERLAY_DIGESTS | STASIS_OVERLAY_PARTIAL))
        return stasis_fail(err, STASIS_ERR_ARG, "no such way to seal an overlay: 0x%x", how);
    return finish_and_seal(overlay, features, !(how & STASIS_OVERLAY_PARTIAL), ret_root,
                           ret_has_root, err);
}

/* ---- sealing that was cut off ---- */

bool stasis_overlay_has_sealed_name(const char *name, const uint8_t root[STASIS_DIGEST_SIZE])
{
    char suffix[SUFFIX_LEN + 1];
    size_t len = strlen(name);

    suffix_of(root, suffix);
    return len >= SUFFIX_LEN && !strcmp(name + len - SUFFIX_LEN, suffix);
}

/* The overlay as it will be. */
static void become_foreseen(struct stasis_overlay *overlay, const struct stasis_snap_info *sealed)
{
    struct stasis_snap_info *info = &overlay->use.header.info;

    info->layer = true;
    memcpy(info->parent_uuid, sealed->uuid, sizeof(info->parent_uuid));
    memcpy(info->parent_root, sealed->root, sizeof(info->parent_root));
    memset(info->uuid, 0, sizeof(info->uuid));
    overlay->foreseen = sealed->incompatible;
    overlay->map.mapped = 0;
}

static int foresee(struct stasis_overlay *overlay, uint64_t features, struct stasis_error *err)
{
    struct stasis_overlay_end end;
    const struct stasis_snap_info *sealed = &end.trailer.info;
    char suffix[SUFFIX_LEN + 1], name[NAME_MAX + 1];
    int left, rc;

    if (!overlay->map.mapped)
        return 0;
    rc = check_room(overlay, err);
    if (!rc)
        rc = stasis_overlay_end_make(overlay, features, &end, err);
    if (rc)
        return rc;
    stasis_overlay_end_fini(&end);
    suffix_of(sealed->root, suffix);
    left = open_left_over(overlay, suffix, 0, sealed, name);
    if (left < 0)
        rc = stasis_output_check_next(overlay->output, suffix, err);
    stasis_io_close(left);
    if (!rc)
        become_foreseen(overlay, sealed);
    return rc;
}

/* As it was begun, or the root would be another. */
static int seal_again(struct stasis_overlay *overlay, uint64_t features, struct stasis_error *err)
{
    uint8_t root[STASIS_DIGEST_SIZE];
    bool has_root;

    features &= STASIS_FEATURES_DISK_LATE;
    if (features & STASIS_FEATURE_DISK_WHOLE &&
        !stasis_overlay_index_can_be_whole(overlay, features & STASIS_FEATURE_DISK_DIGESTS))
        return stasis_fail(err, STASIS_ERR_CORRUPT,
                           "its sealing was cut off, and its end is not that of such an overlay");
    return overlay->only_looks ? foresee(overlay, features, err)
                               : finish_and_seal(overlay, features, false, root, &has_root, err);
}

int stasis_overlay_finish_sealing(struct stasis_overlay *overlay, uint64_t len, bool *ret_is_sealed,
                                  struct stasis_error *err)
{
    uint8_t trailer[STASIS_HEADER_LEN], uuid[STASIS_UUID_SIZE];
    ssize_t got;

    *ret_is_sealed = false;
    if (len < STASIS_PLACE_FIRST * PAGE)
        return 0;
    got = stasis_io_pread(overlay->use.fd, trailer, sizeof(trailer), len - sizeof(trailer));
    if (got < 0)
        return stasis_fail_errno(err, STASIS_ERR_READ, "reading the end of the overlay");
    if (got != (ssize_t)sizeof(trailer) || !stasis_header_identify(trailer, uuid) ||
        memcmp(uuid, overlay->use.header.info.uuid, sizeof(uuid)) != 0)
        return 0;
    *ret_is_sealed =
        stasis_overlay_has_sealed_name(overlay->output->place.base, trailer + STASIS_HDR_ROOT);
    return *ret_is_sealed
               ? 0
               : seal_again(overlay, stasis_le64_get(trailer + STASIS_HDR_INCOMPATIBLE), err);
}
