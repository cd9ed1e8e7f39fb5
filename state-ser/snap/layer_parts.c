/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "layer_parts.h"

#include <stdlib.h>

#include "index_merge.h"

const struct stasis_index *stasis_layer_part_index(const struct stasis_layer_part *part)
{
    return part->borrowed ? part->borrowed : &part->index;
}

void stasis_layer_part_fini(struct stasis_layer_part *part)
{
    stasis_index_fini(&part->index);
    free(part->files);
    *part = (struct stasis_layer_part){.files = NULL};
}

/* `above` over `below` (NULL: nothing is), both given up, in place of `above`. */
static int merge(struct stasis_layer_part *below, struct stasis_layer_part *above,
                 struct stasis_error *err)
{
    struct stasis_index_part lower = {.index = NULL};
    const struct stasis_index_part upper = {stasis_layer_part_index(above), above->files};
    struct stasis_index merged;
    int rc;

    if (below)
        lower = (struct stasis_index_part){stasis_layer_part_index(below), below->files};
    rc = stasis_index_merge(below ? &lower : NULL, &upper, NULL, 0, &merged, err);
    if (rc)
        return rc;
    if (below)
        stasis_layer_part_fini(below);
    stasis_layer_part_fini(above);
    above->index = merged;
    return 0;
}

/* Pairs, and pairs of these: each index is copied as often as the logarithm of their number. */
int stasis_layer_parts_merge(struct stasis_layer_part *parts, uint32_t count,
                             struct stasis_error *err)
{
    uint32_t last = count - 1;
    int rc = 0;

    for (uint32_t gap = 1; gap < last && !rc; gap *= 2)
        for (uint32_t i = 0; i + gap < last && !rc; i += 2 * gap)
            rc = merge(&parts[i + gap], &parts[i], err);
    if (!rc)
        rc = last ? merge(&parts[last], &parts[0], err) : merge(NULL, &parts[0], err);
    return rc;
}
