/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is different between two snapshots: the parts of the command `diff`. Differences go to a
 * sink one at a time, as they are found; nothing is gathered that a hostile file could make large.
 */
#ifndef STASIS_TOOLS_DIFF_H
#define STASIS_TOOLS_DIFF_H

#include "stasis/snap.h"

/* One side of a difference. */
struct stasis_diff_value {
    enum { STASIS_DIFF_ABSENT, STASIS_DIFF_UNSIGNED, STASIS_DIFF_SIGNED, STASIS_DIFF_TEXT } kind;
    uint64_t number;
    char text[160]; /* UTF-8; what is longer is cut, and ends in "..." */
};

struct stasis_diff_sink {
    void *ctx;
    /* A field by its path, "cs.base" or "msrs[0x10].value". */
    void (*field)(void *ctx, const char *path, const struct stasis_diff_value *a,
                  const struct stasis_diff_value *b);
    /* Pages from gpa on that are not the same, or that one side does not have. */
    void (*pages)(void *ctx, uint64_t gpa, uint64_t pages);
};

/* Two states of one record type, each with the schema it was decoded by. */
void stasis_diff_state(const struct stasis_diff_sink *sink, const struct stasis_schema *a_schema,
                       const void *a, const struct stasis_schema *b_schema, const void *b);

struct stasis_diff_pages {
    uint64_t compared;  /* pages that both have */
    uint64_t different; /* of them */
    uint64_t alone;     /* pages that one side does not have */
};

/* All RAM, each chunk verified before it is compared. */
STASIS_MUST_CHECK int stasis_diff_memory(const struct stasis_diff_sink *sink,
                                         const struct stasis_snap *a, const struct stasis_snap *b,
                                         struct stasis_diff_pages *ret_pages,
                                         struct stasis_error *err);

#endif
