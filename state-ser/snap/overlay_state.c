/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The STATE section of a disk file: one record, which says what disk it is, and on which raw image.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "overlay.h"
#include "stasis/state.h"

#define INSTANCE "disk"

int stasis_overlay_state_make(struct stasis_overlay *overlay, struct stasis_error *err)
{
    const struct stasis_overlay_base *base = &overlay->base;
    struct stasis_records *records = stasis_records_new();
    struct stasis_disk_state state = {.sectors = base->bytes / STASIS_OVERLAY_SECTOR};
    bool is_on_image = !overlay->use.header.info.layer;
    int rc;

    _Static_assert(sizeof(state.image_samples) == sizeof(base->samples), "a digest");
    if (!records)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the overlay's record");
    if (is_on_image) {
        state.image_inode = base->inode;
        state.image_mtime_ns = base->mtime_ns;
    }
    if (is_on_image && base->has_samples) {
        state.image_samples_len = sizeof(base->samples);
        memcpy(state.image_samples, base->samples, sizeof(base->samples));
    }
    rc = stasis_records_add(records, &stasis_disk_schema, INSTANCE, &state, err);
    if (!rc)
        rc = stasis_records_encode(records, &overlay->use.state, &overlay->use.state_len, err);
    stasis_records_free(records);
    return rc;
}

/* Why it is not the image that the overlay was made on, or NULL. */
static const char *difference(const struct stasis_overlay_base *base,
                              const struct stasis_disk_state *state)
{
    if (state->image_inode && base->inode && state->image_inode != base->inode)
        return "is another file than";
    if (state->image_inode && base->inode && state->image_mtime_ns != base->mtime_ns)
        return "was written to since it was";
    if (state->image_samples_len && base->has_samples &&
        memcmp(state->image_samples, base->samples, sizeof(base->samples)) != 0)
        return "has another content than";
    return NULL;
}

/* Without a base the first file says how large the disk is, and the others have to say the same. */
static int take_size(struct stasis_overlay *overlay, const struct stasis_disk_state *state,
                     struct stasis_error *err)
{
    const uint64_t per_page = STASIS_OVERLAY_PAGE / STASIS_OVERLAY_SECTOR;
    uint64_t pages = state->sectors / per_page + !!(state->sectors % per_page);

    if (!overlay->base.bytes && pages == overlay->map.pages)
        overlay->base.bytes = state->sectors * STASIS_OVERLAY_SECTOR;
    if (pages == overlay->map.pages &&
        overlay->base.bytes == state->sectors * STASIS_OVERLAY_SECTOR)
        return 0;
    return stasis_fail(err, STASIS_ERR_CORRUPT,
                       "the overlay's record and header disagree about the size of the disk");
}

static int compare(const struct stasis_overlay_base *base, bool is_layer,
                   const struct stasis_disk_state *state, struct stasis_error *err)
{
    const char *what = is_layer ? NULL : difference(base, state);

    if (state->sectors != base->bytes / STASIS_OVERLAY_SECTOR)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the overlay was made on a disk of %" PRIu64 " bytes, and its base has "
                           "%" PRIu64 "; give the base that it was made on",
                           state->sectors * STASIS_OVERLAY_SECTOR, base->bytes);
    if (what && !base->may_differ)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "its base %s the one that the overlay was made on; give that one, as it "
                           "was, or another overlay",
                           what);
    return 0;
}

int stasis_overlay_state_check(struct stasis_overlay *overlay, bool is_layer, const uint8_t *bytes,
                               size_t len, struct stasis_error *err)
{
    struct stasis_records *records;
    struct stasis_disk_state state;
    int rc = stasis_records_parse(bytes, len, NULL, &records, err);

    if (rc)
        return rc;
    if (stasis_records_count(records) != 1)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "an overlay has one record, not %zu",
                         stasis_records_count(records));
    if (!rc)
        rc = stasis_records_get(records, &stasis_disk_schema, INSTANCE, &state, err);
    if (rc == STASIS_ERR_NOT_FOUND)
        rc = stasis_fail(err, STASIS_ERR_CORRUPT, "the overlay has no record of its disk");
    if (!rc && overlay->is_for_reading && !overlay->base.read)
        rc = take_size(overlay, &state, err);
    else if (!rc)
        rc = compare(&overlay->base, is_layer, &state, err);
    if (!rc && !is_layer)
        overlay->image = state;
    stasis_records_free(records);
    return rc;
}
