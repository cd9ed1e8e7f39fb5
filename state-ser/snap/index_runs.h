/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The index of format version 2: an entry for each run of chunks, and an extent for each chunk that
 * is stored. docs/snapshot-format.md, "Index of version 2".
 */
#ifndef STASIS_SNAP_INDEX_RUNS_H
#define STASIS_SNAP_INDEX_RUNS_H

#include "index.h"
#include "sha256.h"

enum {
    STASIS_RUN_BELOW = 0, /* of layers: as in the parent */
    STASIS_RUN_ZERO = 1,
    STASIS_RUN_STORED = 2, /* pages that no extent takes are zero */
    STASIS_RUN_PARTLY = 3, /* of layers: pages that no extent takes are as in the parent */
};

static inline bool stasis_run_is_partial(uint8_t kind)
{
    return kind == STASIS_RUN_BELOW || kind == STASIS_RUN_PARTLY;
}

/* One bit for each page of a chunk of that size. */
static inline uint32_t stasis_pages_of(uint32_t size)
{
    return (1u << size / STASIS_PAGE_SIZE) - 1;
}

/* Chunks of one kind, first..end-1. */
struct stasis_run {
    uint64_t first;
    uint64_t end;
    uint32_t first_extent;
    uint8_t kind;
    uint8_t each; /* extents of a chunk */
    uint16_t reserved;
};

/* Number of the first extent of chunk i of a run, which may be its end. */
static inline uint64_t stasis_run_extent(const struct stasis_run *run, uint64_t i)
{
    return run->first_extent + (i - run->first) * run->each;
}

#define STASIS_RUNS_HINT_SHIFT 5u /* a hint for 32 chunks, or for more: never more than entries */

/* ---- of a section that was read ---- */

/* Entry e as it is in the section; not checked. */
struct stasis_run stasis_run_at(const struct stasis_index *index, uint32_t e);

/* UUID and root of a file, whose number is from 1 on. */
const uint8_t *stasis_index_name(const struct stasis_index *index, uint32_t n);

/* Makes chunks quick to find, once the entries are right. False: no memory. */
bool stasis_runs_make_hints(struct stasis_index *index);

/* Fills in all but gpa and size; and see stasis_index_zero_end() and stasis_index_run_end(). */
void stasis_runs_get(const struct stasis_index *index, uint64_t i, struct stasis_snap_chunk *chunk);
uint64_t stasis_runs_zero_end(const struct stasis_index *index, uint64_t i, uint64_t end);
uint64_t stasis_runs_run_end(const struct stasis_index *index, uint64_t i, uint64_t end);

struct stasis_snap_extent stasis_extent_at(const uint8_t bytes[STASIS_RUNS_EXTENT_LEN]);

/* The extent of that number. */
struct stasis_snap_extent stasis_runs_extent(const struct stasis_index *index, uint64_t number);

/* All but gpa and size of a chunk that has this extent, and no other. */
void stasis_extent_decode(const uint8_t extent[STASIS_RUNS_EXTENT_LEN],
                          struct stasis_snap_chunk *chunk);

/* The digest of a stored chunk that has one extent, or NULL; of an index with blocks always NULL.
 */
const uint8_t *stasis_runs_digest(const struct stasis_index *index, uint64_t i);

/* ---- the root ("Root") ---- */

/* All that comes before the section (of *info architecture and root of the parent), and an extent
 * without its place. */
void stasis_root_begin(struct stasis_sha256 *sum, const struct stasis_snap_info *info,
                       const uint8_t state_digest[STASIS_DIGEST_SIZE]);
void stasis_root_add_extent(struct stasis_sha256 *sum,
                            const uint8_t extent[STASIS_RUNS_EXTENT_LEN]);

/* The root of a section that was read. */
void stasis_runs_root(const struct stasis_index *index, const struct stasis_snap_info *info,
                      const uint8_t state_digest[STASIS_DIGEST_SIZE],
                      uint8_t ret_root[STASIS_DIGEST_SIZE]);

/* ---- making the section, out of an index with blocks ---- */

/* The run that begins with chunk i, but for its extents. */
struct stasis_run stasis_run_from(const struct stasis_index *index, uint64_t i);

/* Entries and stored chunks of all of it, which do not change any more. */
void stasis_runs_count(const struct stasis_index *index, uint32_t *ret_entries,
                       uint32_t *ret_extents);

void stasis_run_encode(const struct stasis_run *run, uint8_t ret_bytes[STASIS_RUNS_ENTRY_LEN]);
void stasis_extent_encode(const struct stasis_snap_chunk *chunk,
                          uint8_t ret_bytes[STASIS_RUNS_EXTENT_LEN]);

#endif
