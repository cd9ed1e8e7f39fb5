/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One index out of that of a layer and that of what it lies on.
 */
#ifndef STASIS_SNAP_INDEX_MERGE_H
#define STASIS_SNAP_INDEX_MERGE_H

#include "index_runs.h"

struct stasis_index_part {
    const struct stasis_index *index;
    const uint16_t *files; /* the new number of each file that its extents name; NULL: the same */
};

/* What a reader of `above` finds, which lies on `below`: both of version 2 and of the same regions,
 * checked, and both with digests or none. `below` may be partial: so is the result then. NULL:
 * nothing is below, and `above` is whole. The result is a section as a layer has it, with these
 * names of files (STASIS_RUNS_NAME_LEN bytes each, copied); without names, a section of no file,
 * whose extents have the numbers that `files` give. STASIS_ERR_NOMEM. */
int stasis_index_merge(const struct stasis_index_part *below, const struct stasis_index_part *above,
                       const uint8_t *names, uint32_t name_count, struct stasis_index *ret_index,
                       struct stasis_error *err);

#endif
