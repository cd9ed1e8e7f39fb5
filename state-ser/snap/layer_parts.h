/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The indexes of a chain of layers on their way to be one.
 */
#ifndef STASIS_SNAP_LAYER_PARTS_H
#define STASIS_SNAP_LAYER_PARTS_H

#include "index.h"

struct stasis_layer_part {
    struct stasis_index index;
    const struct stasis_index *borrowed; /* instead of it, or NULL */
    uint16_t *files; /* the final number of each file that its extents name; NULL: they are final */
};

const struct stasis_index *stasis_layer_part_index(const struct stasis_layer_part *part);
void stasis_layer_part_fini(struct stasis_layer_part *part);

/* Each lies on the one behind it; the last one is whole. The first one becomes all of them, the
 * others are empty then. STASIS_ERR_NOMEM. */
int stasis_layer_parts_merge(struct stasis_layer_part *parts, uint32_t count,
                             struct stasis_error *err);

#endif
