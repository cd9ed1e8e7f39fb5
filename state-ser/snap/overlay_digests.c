/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The SHA-256 digests of the pages that a sealed file holds, by the page.
 */
#include <stdlib.h>
#include <string.h>

#include "overlay.h"
#include "sha256.h"

struct stasis_overlay_digests *stasis_overlay_digests_new(uint32_t max)
{
    return calloc(1, sizeof(struct stasis_overlay_digests) +
                         (size_t)max * sizeof(struct stasis_overlay_digest));
}

void stasis_overlay_digests_add(struct stasis_overlay_digests *digests, uint32_t page,
                                const uint8_t sum[STASIS_DIGEST_SIZE])
{
    struct stasis_overlay_digest *digest = &digests->list[digests->count++];

    digest->page = page;
    memcpy(digest->sum, sum, STASIS_DIGEST_SIZE);
}

static int compare(const void *page, const void *digest)
{
    uint32_t sought = *(const uint32_t *)page;
    uint32_t found = ((const struct stasis_overlay_digest *)digest)->page;

    return sought < found ? -1 : sought > found;
}

/* Where the index of a file was not read, one above it says of its pages. */
const struct stasis_overlay_digests *stasis_overlay_digests_of(const struct stasis_overlay *overlay,
                                                               uint16_t file)
{
    if (!file)
        return NULL;
    return overlay->below[(file < overlay->whole ? overlay->whole : file) - 1].digests;
}

const uint8_t *stasis_overlay_digests_find(const struct stasis_overlay_digests *digests,
                                           uint32_t page)
{
    const struct stasis_overlay_digest *digest =
        bsearch(&page, digests->list, digests->count, sizeof(*digest), compare);

    return digest ? digest->sum : NULL;
}

bool stasis_overlay_digests_match(const struct stasis_overlay_digests *digests, uint32_t page,
                                  const uint8_t bytes[STASIS_OVERLAY_PAGE])
{
    const uint8_t *expected = stasis_overlay_digests_find(digests, page);
    uint8_t sum[STASIS_DIGEST_SIZE];

    stasis_sha256(bytes, STASIS_OVERLAY_PAGE, sum);
    return expected && !memcmp(expected, sum, sizeof(sum));
}

/* ---- making them ---- */

/* The first page from `page` on that the overlay holds itself, and that is not zero. */
static uint32_t next_own(const struct stasis_overlay_map *map, uint32_t page)
{
    while ((page = stasis_overlay_map_next(map, page, false)) < map->pages &&
           stasis_overlay_map_get(map, page).place < STASIS_PLACE_FIRST)
        page++;
    return page;
}

int stasis_overlay_digests_make(struct stasis_overlay *overlay,
                                struct stasis_overlay_digests **ret_digests,
                                struct stasis_error *err)
{
    const struct stasis_overlay_map *map = &overlay->map;
    struct stasis_overlay_digests *digests;
    uint8_t bytes[STASIS_OVERLAY_PAGE], sum[STASIS_DIGEST_SIZE];
    uint32_t count = 0;
    int rc = 0;

    for (uint32_t page = 0; (page = next_own(map, page)) < map->pages; page++)
        count++;
    digests = stasis_overlay_digests_new(count);
    if (!digests)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the digests of the disk");
    for (uint32_t page = 0; (page = next_own(map, page)) < map->pages; page++) {
        rc = stasis_overlay_read_page(overlay, page, bytes, err);
        if (rc)
            break;
        stasis_sha256(bytes, sizeof(bytes), sum);
        stasis_overlay_digests_add(digests, page, sum);
    }
    if (rc) {
        free(digests);
        return rc;
    }
    *ret_digests = digests;
    return 0;
}
