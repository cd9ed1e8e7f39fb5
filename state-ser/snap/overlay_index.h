/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What making and reading the INDEX section of a sealed overlay share.
 */
#ifndef STASIS_SNAP_OVERLAY_INDEX_H
#define STASIS_SNAP_OVERLAY_INDEX_H

#include "index_runs.h"
#include "overlay.h"

#define PAGE   STASIS_OVERLAY_PAGE
#define CHUNK  (STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE) /* pages */
#define RAW    2u
#define ZEROES 1u

enum { FILE_NUMBER = 20, ENCODING = 22 }; /* of an extent */

/* Bytes before the entries. */
static inline size_t stasis_overlay_index_head(bool is_layer)
{
    return STASIS_RUNS_PREFIX_LEN + STASIS_INDEX_REGION_LEN + (is_layer ? STASIS_RUNS_NAME_LEN : 0);
}

/* Of an extent, with its digest. */
static inline size_t stasis_overlay_index_each(bool has_digests)
{
    return STASIS_RUNS_EXTENT_LEN + (has_digests ? STASIS_DIGEST_SIZE : 0);
}

#endif
