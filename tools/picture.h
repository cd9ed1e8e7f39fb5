/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is in RAM, from the index alone: a picture of cells, region by region.
 */
#ifndef STASIS_TOOLS_PICTURE_H
#define STASIS_TOOLS_PICTURE_H

#include <stdint.h>
#include <stdio.h>

#include "stasis/snap.h"

enum stasis_picture_kind {
    STASIS_PICTURE_ZERO,
    STASIS_PICTURE_STORED,
    STASIS_PICTURE_COMPRESSED, /* stored in fewer bytes than it has */
    STASIS_PICTURE_KINDS
};

/* The names: "zero", "stored", "compressed". */
extern const char *const stasis_picture_kind_names[STASIS_PICTURE_KINDS];

struct stasis_picture_tally {
    uint64_t chunks;
    uint64_t bytes;    /* of RAM */
    uint64_t in_file;  /* bytes of the file */
    uint64_t not_zero; /* pages */
};

/* Of all RAM; an array of one tally for each kind. */
void stasis_picture_count(const struct stasis_snap *snap,
                          struct stasis_picture_tally ret_tallies[STASIS_PICTURE_KINDS]);

/* A picture of rows of `columns` cells, each of the same number of chunks. */
struct stasis_picture_grid {
    const struct stasis_snap *snap;
    unsigned columns;
    uint64_t cell_chunks; /* a power of two */
};

/* The finest that has at most `rows` rows in all, one for each region at least. */
struct stasis_picture_grid stasis_picture_grid_fit(const struct stasis_snap *snap, unsigned columns,
                                                   uint64_t rows);

/* Cells of a region. */
uint64_t stasis_picture_grid_cells(const struct stasis_picture_grid *grid, uint32_t region);

struct stasis_picture_cell {
    enum stasis_picture_kind kind; /* of most pages that are not zero */
    unsigned level; /* quarters of the pages that are not zero, rounded up: 0 (none) to 4 */
};

struct stasis_picture_cell stasis_picture_grid_cell(const struct stasis_picture_grid *grid,
                                                    uint32_t region, uint64_t cell);

/* Writes the picture as SVG, with `title` in it (escaped here). */
void stasis_picture_svg(const struct stasis_snap *snap, const char *title, FILE *out);

#endif
