/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The checks of an index that is read: index_parse.c (those of both versions, and version 1) and
 * index_parse_runs.c (version 2). All but stasis_index_bad_chunk() return 0, STASIS_ERR_CORRUPT or
 * STASIS_ERR_NOMEM.
 */
#ifndef STASIS_SNAP_INDEX_CHECK_H
#define STASIS_SNAP_INDEX_CHECK_H

#include "index_runs.h"

/* Where the stored bytes of chunks may lie. */
struct stasis_index_places {
    uint64_t pos; /* first byte that a later chunk may be stored at */
    uint64_t end;
    uint64_t stored; /* sum of what is stored */
};

/* STASIS_ERR_CORRUPT: `what` is wrong with chunk i. */
int stasis_index_bad_chunk(uint64_t i, const char *what, struct stasis_error *err);

/* Takes the next place: in the data section, behind the ones before. */
int stasis_index_place(struct stasis_index_places *places, uint64_t i, uint64_t offset,
                       uint64_t len, struct stasis_error *err);

/* A chunk that is stored in full, and takes its place. */
int stasis_index_check_stored(const struct stasis_index *index,
                              const struct stasis_snap_chunk *chunk, uint64_t i,
                              struct stasis_index_places *places, struct stasis_error *err);

/* Regions, their sum, and the length of the section. */
int stasis_index_add_regions(struct stasis_index *index, const uint8_t *bytes, uint32_t count,
                             struct stasis_error *err);
int stasis_index_check_ram(const struct stasis_index *index, const struct stasis_snap_info *info,
                           struct stasis_error *err);
int stasis_index_check_length(const struct stasis_index *index, uint64_t len,
                              struct stasis_error *err);

/* All that version 2 says of a section, but for the sums. */
int stasis_index_parse_runs(struct stasis_index *index, const struct stasis_snap_info *info,
                            struct stasis_index_places *places, struct stasis_error *err);

#endif
