/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A layer as bytes, read by hand as docs/snapshot-format.md has it: what the writer's tests compare
 * with, without the reader of the library.
 */
#ifndef STASIS_TESTS_LAYER_RIG_H
#define STASIS_TESTS_LAYER_RIG_H

#include "tests/state-ser/snap/fixture.h"

/* The index of a layer. */
struct layer_view {
    const struct image *image;
    uint32_t file_count, entry_count, extent_count;
    const uint8_t *names, *entries, *extents;
    const uint8_t *digests; /* NULL: none */
};

struct layer_entry {
    uint32_t first, first_extent;
    uint8_t kind, each;
};

struct layer_extent {
    uint64_t offset;
    uint32_t len, crc;
    uint16_t stored, taken, file;
    uint8_t encoding;
};

struct layer_view layer_look(const struct image *image);
struct layer_entry layer_entry(const struct layer_view *view, uint32_t e);
struct layer_extent layer_extent(const struct layer_view *view, uint32_t x);

/* Fails the test where entry or extent is another one. */
void assert_entry(const struct layer_view *view, uint32_t e, uint32_t first, unsigned kind,
                  unsigned each);
void assert_extent(const struct layer_view *view, uint32_t x, unsigned encoding, unsigned pages);

/* Bits of dirty pages, of a range of RAM of at most 32 MiB. */
struct dirty {
    uint64_t words[128];
};

void dirty_add(struct dirty *dirty, unsigned page);

/* A file of the snapshot as it is now becomes its parent. The caller frees it. */
struct stasis_snap *layer_base(struct built *built, const struct stasis_save_opts *opts);

/* Checks all rules of an index, whole or not, that names one file, and puts what the layer stores
 * over the RAM of its parent, `ram`. */
void layer_apply(const struct image *image, const struct built *built, uint8_t *const ram[]);

#endif
