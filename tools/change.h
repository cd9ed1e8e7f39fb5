/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What differs in the RAM of two snapshots, as rows of cells over the RAM of the second one.
 */
#ifndef STASIS_TOOLS_CHANGE_H
#define STASIS_TOOLS_CHANGE_H

#include <stdio.h>

#include "common/progress.h"
#include "tools/diff.h"

/* A page of RAM, and what a cell shows: the last of these that one of its pages is. */
enum stasis_change_kind {
    STASIS_CHANGE_ZERO, /* in both */
    STASIS_CHANGE_EQUAL,
    STASIS_CHANGE_DIFFERS, /* or is in the second snapshot only */
    STASIS_CHANGE_KINDS
};

/* The names: "zero", "equal", "differs". */
extern const char *const stasis_change_kind_names[STASIS_CHANGE_KINDS];

/* Pages of the second snapshot that all differ, or are all equal and not zero. */
struct stasis_change_piece {
    uint64_t gpa;
    uint64_t end;
    bool differs;
};

struct stasis_change {
    const struct stasis_snap *a, *b; /* they stay the caller's */
    /* Ascending, none in two regions: what is zero in both is in none, so that their number grows
     * with what is stored, not with what a file claims to have. */
    struct stasis_change_piece *pieces;
    size_t piece_count;
    uint64_t pages[STASIS_CHANGE_KINDS];
    uint64_t pages_gone; /* in the first snapshot only */
};

/* Compares all RAM. `progress` may be NULL. The errors of stasis_diff_ram(). */
STASIS_MUST_CHECK int stasis_change_compare(const struct stasis_snap *a,
                                            const struct stasis_snap *b,
                                            struct stasis_progress *progress,
                                            struct stasis_change *ret_change,
                                            struct stasis_error *err);
void stasis_change_fini(struct stasis_change *change); /* fine for one that is all zero */

/* Rows of `columns` cells, ascending: without those that are zero in both snapshots. */
struct stasis_change_grid {
    unsigned columns;
    uint64_t cell_pages; /* a power of two */
    size_t row_count;
    struct stasis_change_row *rows;
};

struct stasis_change_row {
    uint64_t gpa;
    uint64_t pages; /* fewer than the others have at the end of a region */
    struct stasis_change_cell *cells;
};

struct stasis_change_cell {
    uint64_t pages;
    uint64_t used; /* pages that are not zero in both */
    uint64_t differ;
};

/* The finest grid of at most `max_rows` rows, or one for each region. `columns`: a multiple of the
 * pages of a chunk. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_change_grid_fit(const struct stasis_change *change, unsigned columns,
                                             size_t max_rows, struct stasis_change_grid *ret_grid,
                                             struct stasis_error *err);
void stasis_change_grid_fini(struct stasis_change_grid *grid);

/* How many cells of a row there are: of the last one of a region perhaps fewer than columns. */
unsigned stasis_change_row_cells(const struct stasis_change_grid *grid, size_t row);

/* What the cell shows; and of one that differs, quarters of its pages, rounded up: 1 to 4. */
enum stasis_change_kind stasis_change_cell_kind(const struct stasis_change_cell *cell);
unsigned stasis_change_cell_level(const struct stasis_change_cell *cell);

/* Bytes of RAM in front of this row that are left out, or behind the last one if row is their
 * number. */
uint64_t stasis_change_left_out(const struct stasis_change *change,
                                const struct stasis_change_grid *grid, size_t row);

/* Writes a picture as SVG, of snapshots with these names (escaped here); nothing if there is no
 * memory for it. */
void stasis_change_svg(const struct stasis_change *change, const char *const names[2], FILE *out);

#endif
