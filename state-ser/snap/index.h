/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The index: which RAM there is, and where each chunk of it is stored. One that is made, and one
 * read from a file of format version 1, is kept as the bytes of that version (24 a chunk), in
 * blocks; one read from a file of version 2 as the bytes of that, with runs (index_runs.h). Both
 * are decoded entry by entry. docs/snapshot-format.md, "Index section", "Index of version 2".
 */
#ifndef STASIS_SNAP_INDEX_H
#define STASIS_SNAP_INDEX_H

#include "header.h"
#include "input.h"

/* Byte layout: counts, regions {gpa, size}, chunks {kind, 0, mask, crc, offset, stored length, 0}.
 */
#define STASIS_INDEX_PREFIX_LEN 8u
#define STASIS_INDEX_REGION_LEN 16u
#define STASIS_INDEX_CHUNK_LEN  24u

#define STASIS_INDEX1_REGION_MAX 64u /* regions that an index of version 1 may have */

/* Version 2: counts, regions, entries {first chunk, first extent, kind, extents a chunk, 0},
 * extents {offset, stored length, crc, stored pages, taken pages, file, encoding, 0}, digests. */
#define STASIS_RUNS_PREFIX_LEN 16u
#define STASIS_RUNS_ENTRY_LEN  12u
#define STASIS_RUNS_EXTENT_LEN 24u

#define STASIS_RUNS_NAME_LEN 48u /* of a layer: {UUID, root} */

#define STASIS_LAYER_NAMES_MAX 4095u /* so that a chain has at most 4096 files */

#define STASIS_INDEX_BLOCK     512u /* chunks: 32 MiB of RAM */
#define STASIS_INDEX_BLOCK_LEN ((size_t)STASIS_INDEX_BLOCK * STASIS_INDEX_CHUNK_LEN)

/* Of a file of version 2: its places in the section. */
struct stasis_index_runs {
    const uint8_t *names;   /* of other files that a layer's own index has; the first: its parent */
    const uint8_t *entries; /* NULL: the index has blocks */
    const uint8_t *extents;
    const uint8_t *digests; /* NULL: none */
    uint32_t name_count;
    uint32_t entry_count;
    uint32_t extent_count;
    bool layered;    /* chunks may have several extents, of several files, or such of a few pages */
    bool partial;    /* layered, and some chunks or pages are as in the parent */
    uint32_t *hints; /* the entry that chunk n << hint_shift is in */
    unsigned hint_shift;
};

struct stasis_index {
    uint32_t region_count;
    struct stasis_snap_region *regions;
    uint64_t chunk_count;
    uint64_t ram_bytes;
    bool may_be_packed; /* the header says that chunks may be compressed */
    size_t len;         /* of the section */
    uint8_t *bytes;     /* NULL until made or read: the section, less what is in it twice */
    uint8_t **blocks;   /* into bytes */
    uint8_t *zero;      /* the block that stands for all whose chunks are all zero, or NULL */
    struct stasis_index_runs runs;
    size_t zero_copies; /* made: as many of it lie one behind the other, for writing them out */
};

/* Appends a region; gpa and size are whole pages. STASIS_ERR_ARG, _EXISTS, _FULL. */
int stasis_index_add(struct stasis_index *index, uint64_t gpa, uint64_t size,
                     struct stasis_error *err);

/* What the greatest lengths depend on: the format version, and whether it is a layer. */
struct stasis_index_form {
    uint32_t version;
    bool layer;
};

static inline struct stasis_index_form stasis_index_form_of(const struct stasis_snap_info *info)
{
    return (struct stasis_index_form){info->format_version, info->layer};
}

/* Length of the section of version 1 for the regions added, and the most that `ram_bytes` of RAM
 * can need. */
uint64_t stasis_index_size(const struct stasis_index *index);
uint64_t stasis_index_size_max(uint64_t ram_bytes, struct stasis_index_form form);

/* The longest that a file of either layout may be: RAM, as much again for its alignment and for
 * optional sections each, the index, and room for all else. What comes out of a pipe is bounded
 * before its length is known, so all readers and the writer have this one bound. */
#define STASIS_FILE_SLACK (UINT64_C(64) << 20)
uint64_t stasis_file_len_max(uint64_t ram_bytes, struct stasis_index_form form);

/* STASIS_ERR_CORRUPT, or for a writer STASIS_ERR_FULL, if it is longer. */
int stasis_file_check_len(uint64_t len, uint64_t ram_bytes, struct stasis_index_form form,
                          enum stasis_err code, struct stasis_error *err);

static inline size_t stasis_index_head_len(uint32_t region_count)
{
    return STASIS_INDEX_PREFIX_LEN + (size_t)region_count * STASIS_INDEX_REGION_LEN;
}

/* Allocates blocks for a section of that length, all of it zero. False: no memory. */
bool stasis_index_alloc(struct stasis_index *index, uint64_t len);

/* Makes an index of the same regions and nothing else. False: no memory. */
bool stasis_index_copy_regions(struct stasis_index *index, const struct stasis_index *from);

/* Frees all that an index has. */
void stasis_index_fini(struct stasis_index *index);

/* Allocates the section's bytes and fills in the regions; every chunk is zero. */
int stasis_index_make(struct stasis_index *index, struct stasis_error *err);

/* Before the first stasis_index_put() to a chunk of a made index: gives its block memory of its
 * own. Threads may do so at once for different blocks. */
void stasis_index_own(struct stasis_index *index, uint64_t i);

/* What of the section lies in one piece from byte `pos` on, which is 0 or where the last piece
 * ended: its address and its length, STASIS_INDEX_SPAN_MAX or less; 0 at the end. */
#define STASIS_INDEX_SPAN_MAX (STASIS_INDEX_BLOCK_LEN * 64)
size_t stasis_index_span(const struct stasis_index *index, size_t pos, const uint8_t **ret_bytes);

/* Reads the section out of the file: its CRC, and then all that can be checked without RAM.
 * STASIS_ERR_CORRUPT, _IO, _NOMEM. */
int stasis_index_read(const struct stasis_input *input, const struct stasis_header *header,
                      struct stasis_index *ret_index, struct stasis_error *err);

/* The second half of it: regions and entries of bytes whose CRC is right, of either version. */
int stasis_index_parse(struct stasis_index *index, const struct stasis_header *header,
                       struct stasis_error *err);

/* The chunk of this number, whose region may be known; and kind, page_mask, crc, offset and
 * stored_len written back. */
struct stasis_snap_chunk stasis_index_get(const struct stasis_index *index, uint64_t i);
struct stasis_snap_chunk stasis_index_get_in(const struct stasis_index *index,
                                             const struct stasis_snap_region *region, uint64_t i);
void stasis_index_put(struct stasis_index *index, uint64_t i,
                      const struct stasis_snap_chunk *chunk);

/* Where the bytes of a chunk come from. */
struct stasis_index_extents {
    uint8_t kind; /* STASIS_RUN_...: what pages are that no extent takes */
    uint32_t count;
    struct stasis_snap_extent list[STASIS_EXTENTS_MAX];
    const uint8_t *digests; /* of each, one behind the other; NULL: none */
};

/* The extents of a chunk, of every index; of one without layers one extent, or none for zeros. */
void stasis_index_get_extents(const struct stasis_index *index, uint64_t i,
                              struct stasis_index_extents *ret_extents);

/* With blocks: the bytes of a chunk's entry; and the first chunk behind the block that chunk i is
 * in, if all chunks of that block are zero, else i. */
const uint8_t *stasis_index_entry(const struct stasis_index *index, uint64_t i);
uint64_t stasis_index_skip_zero_block(const struct stasis_index *index, uint64_t i);

/* Chunks of a region. */
static inline uint64_t stasis_region_chunks(const struct stasis_snap_region *region)
{
    return region->size / STASIS_CHUNK_SIZE + (region->size % STASIS_CHUNK_SIZE != 0);
}

/* Bytes of RAM of chunk i, which lies in that region. */
static inline uint32_t stasis_region_chunk_size(const struct stasis_snap_region *region, uint64_t i)
{
    uint64_t left = region->size - (i - region->first_chunk) * STASIS_CHUNK_SIZE;

    return left < STASIS_CHUNK_SIZE ? (uint32_t)left : STASIS_CHUNK_SIZE;
}

/* The region a chunk lies in, and the number behind that region's last chunk. */
uint32_t stasis_index_region_of(const struct stasis_index *index, uint64_t i);
uint64_t stasis_index_region_end(const struct stasis_index *index, uint64_t i);

/* End of the run that starts at chunk i: raw chunks of one region that are stored one behind the
 * other; at most `end`. A chunk that is not raw is a run of its own. */
uint64_t stasis_index_run(const struct stasis_index *index, uint64_t i, uint64_t end);

/* End of the run of zero chunks that starts at chunk i, at most `end`; i itself if that is not
 * zero.
 */
uint64_t stasis_index_zero_end(const struct stasis_index *index, uint64_t i, uint64_t end);

/* End of the run that starts at chunk i, which is below `end`, at most that: of chunks that are all
 * zero, or all as in the parent; or of a chunk that is stored, alone. */
uint64_t stasis_index_run_end(const struct stasis_index *index, uint64_t i, uint64_t end);

#endif
