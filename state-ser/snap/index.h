/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The index: which RAM there is, and where each chunk of it is stored. Kept as the bytes of the
 * file (24 a chunk) and decoded entry by entry. docs/snapshot-format.md, "Index section".
 */
#ifndef STASIS_SNAP_INDEX_H
#define STASIS_SNAP_INDEX_H

#include "stasis/snap.h"

struct stasis_index {
    uint32_t region_count;
    struct stasis_snap_region regions[STASIS_RAM_REGION_MAX];
    uint64_t chunk_count;
    uint64_t ram_bytes;
    bool may_be_packed; /* the header says that chunks may be compressed */
    uint8_t *bytes;     /* NULL until made or read */
    size_t len;
};

/* Appends a region; gpa and size are whole pages. STASIS_ERR_ARG, _EXISTS, _FULL. */
int stasis_index_add(struct stasis_index *index, uint64_t gpa, uint64_t size,
                     struct stasis_error *err);

/* Length of the section for the regions added, and the most that `ram_bytes` of RAM can need. */
uint64_t stasis_index_size(const struct stasis_index *index);
uint64_t stasis_index_size_max(uint64_t ram_bytes);

/* Allocates the section's bytes and fills in the regions; every chunk is absent. */
int stasis_index_make(struct stasis_index *index, struct stasis_error *err);

/* Takes `bytes` over (on success only), and checks everything that can be checked without RAM:
 * `info` has the sums, `data` is the data section. STASIS_ERR_CORRUPT. */
int stasis_index_parse(uint8_t *bytes, size_t len, const struct stasis_snap_info *info,
                       uint64_t data_offset, uint64_t data_len, struct stasis_index *ret_index,
                       struct stasis_error *err);

/* The chunk of this number; and kind, page_mask, crc, offset and stored_len written back. */
struct stasis_snap_chunk stasis_index_get(const struct stasis_index *index, uint64_t i);
void stasis_index_put(struct stasis_index *index, uint64_t i,
                      const struct stasis_snap_chunk *chunk);

/* Chunks of a region. */
static inline uint64_t stasis_region_chunks(const struct stasis_snap_region *region)
{
    return region->size / STASIS_CHUNK_SIZE + (region->size % STASIS_CHUNK_SIZE != 0);
}

/* The region a chunk lies in, and the number behind that region's last chunk. */
uint32_t stasis_index_region_of(const struct stasis_index *index, uint64_t i);
uint64_t stasis_index_region_end(const struct stasis_index *index, uint64_t i);

/* End of the run that starts at chunk i: raw chunks of one region that are stored one behind the
 * other; at most `end`. A chunk that is not raw is a run of its own. */
uint64_t stasis_index_run(const struct stasis_index *index, uint64_t i, uint64_t end);

#endif
