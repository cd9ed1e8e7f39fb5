/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A save of what differs from another file, the parent: which chunks may differ (write_layer.c,
 * write_layer_list.c), the index of it (write_layer_index.c), and the pages (write_layer_ram.c).
 * docs/snapshot-format.md, "Layers".
 */
#ifndef STASIS_SNAP_WRITE_LAYER_H
#define STASIS_SNAP_WRITE_LAYER_H

#include "index_runs.h"
#include "write.h"

/* ---- write_layer.c ---- */

/* STASIS_ERR_ARG: it cannot be saved as a layer, or not with these options. */
int stasis_layer_check(const struct stasis_writer *w, struct stasis_error *err);

/* Its chunks, in batches of about as many bytes as those of a whole save. */
struct stasis_list stasis_layer_list(const struct stasis_writer *w);

/* Lists the chunks that may differ from the parent's, and looks at their dirty pages, and at no
 * others. STASIS_ERR_CANCELLED, STASIS_ERR_NOMEM. */
int stasis_layer_plan(struct stasis_writer *w, struct stasis_error *err);

void stasis_layer_fini(struct stasis_layer *layer);

/* What is not stored, and why; and what is compressed. */
void stasis_layer_count(const struct stasis_writer *w, struct stasis_save_stats *stats);

/* The bitmap of a region's dirty pages, or NULL: any may differ. */
static inline const uint64_t *stasis_layer_bits(const struct stasis_writer *w, uint32_t r)
{
    return w->snap->dirty ? w->snap->dirty[r] : NULL;
}

/* write_layer_list.c: lists the chunks that may differ from the parent's; their `stored` is then
 * what has to be looked at. STASIS_ERR_CANCELLED, STASIS_ERR_NOMEM. */
int stasis_layer_list_chunks(struct stasis_writer *w, struct stasis_error *err);

/* Pages of a chunk as a mask. */
static inline uint16_t stasis_layer_all(const struct stasis_index *index, uint64_t i)
{
    uint32_t r = stasis_index_region_of(index, i);

    return (uint16_t)((1u << stasis_region_chunk_size(&index->regions[r], i) / STASIS_PAGE_SIZE) -
                      1);
}

/* ---- write_layer_same.c ---- */

/* Whether it pays to look for dirty pages that are as in the parent: tries some of the list. */
bool stasis_layer_has_same(const struct stasis_writer *w);

/* Which of a chunk's dirty pages are. Those that cannot be read without waiting, or whose checksum
 * is wrong, are not. `room` holds a chunk. */
uint16_t stasis_layer_same_pages(const struct stasis_writer *w,
                                 const struct stasis_layer_chunk *chunk, uint8_t *room);

/* ---- write_layer_index.c ---- */

/* Makes the section, which has its length from then on; RAM has no place yet. STASIS_ERR_NOMEM. */
int stasis_layer_make_index(struct stasis_writer *w, struct stasis_error *err);

/* Puts places, checksums and digests into the section, and takes its root. */
void stasis_layer_finish_index(struct stasis_writer *w);

/* ---- write_layer_whole.c ---- */

/* Whether the partial index that is made may have to be a whole one: a quick look. */
bool stasis_layer_may_be_whole(const struct stasis_writer *w);

/* Puts a whole index in its place if that is due. STASIS_ERR_FULL, STASIS_ERR_NOMEM. */
int stasis_layer_make_whole(struct stasis_writer *w, struct stasis_error *err);

/* ---- write_layer_ram.c ---- */

/* Raw: gives all pages their places, and returns the end of the data; to be run over the list. */
uint64_t stasis_layer_place(struct stasis_writer *w, uint64_t pos);
int stasis_layer_write_range(struct stasis_writer *w, const struct stasis_range *range,
                             struct stasis_error *err);

/* Compressed: to be run over the list, as stasis_compression_work() over all chunks. */
int stasis_layer_pack_range(struct stasis_writer *w, const struct stasis_range *range,
                            struct stasis_error *err);

#endif
