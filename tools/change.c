/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/change.h"

#include <stdlib.h>

#include "tools/guest_ram.h"

#define CHUNK_PAGES (STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE)

const char *const stasis_change_kind_names[STASIS_CHANGE_KINDS] = {"zero", "equal", "differs"};

/* ---- pages ---- */

/* Which pages of the `size` bytes at gpa are not zero in this snapshot. */
static uint16_t pages_used(const struct stasis_snap *snap, uint64_t gpa, uint32_t size)
{
    uint16_t mask = 0;
    uint64_t number;

    for (uint32_t at = 0; at < size; at += STASIS_PAGE_SIZE) {
        struct stasis_snap_chunk chunk;

        if (!stasis_inspect_ram_find(snap, gpa + at, &number))
            continue;
        chunk = stasis_snap_chunk_at(snap, number);
        if (chunk.gpa == gpa && chunk.size == size)
            return chunk.page_mask;
        if (chunk.page_mask >> ((gpa + at - chunk.gpa) / STASIS_PAGE_SIZE) & 1)
            mask |= (uint16_t)(1u << (at / STASIS_PAGE_SIZE));
    }
    return mask;
}

/* Of a chunk of the second snapshot: what is not zero in one of the two, or differs. */
static uint16_t chunk_used(const struct stasis_change *change, uint64_t number)
{
    struct stasis_snap_chunk chunk = stasis_snap_chunk_at(change->b, number);

    return chunk.page_mask | pages_used(change->a, chunk.gpa, chunk.size) | change->differ[number];
}

static void note_range(void *ctx, uint64_t gpa, uint64_t size, enum stasis_diff_where where)
{
    struct stasis_change *change = ctx;
    uint64_t number;

    if (where == STASIS_DIFF_ONLY_A)
        return;
    for (uint64_t end = gpa + size; gpa < end; gpa += STASIS_PAGE_SIZE)
        if (stasis_inspect_ram_find(change->b, gpa, &number))
            change->differ[number] |=
                (uint16_t)(1u << ((gpa - stasis_snap_chunk_at(change->b, number).gpa) /
                                  STASIS_PAGE_SIZE));
}

static void count_pages(struct stasis_change *change, const struct stasis_diff_counts *counts)
{
    uint64_t used = 0, differ = 0;

    for (uint64_t i = 0; i < stasis_snap_chunk_count(change->b); i++) {
        used += (unsigned)__builtin_popcount(chunk_used(change, i));
        differ += (unsigned)__builtin_popcount(change->differ[i]);
    }
    change->pages[STASIS_CHANGE_ZERO] =
        stasis_snap_info(change->b)->ram_bytes / STASIS_PAGE_SIZE - used;
    change->pages[STASIS_CHANGE_EQUAL] = used - differ;
    change->pages[STASIS_CHANGE_DIFFERS] = differ;
    change->pages_gone = counts->pages_only[0];
}

int stasis_change_compare(const struct stasis_snap *a, const struct stasis_snap *b,
                          struct stasis_progress *progress, struct stasis_change *ret_change,
                          struct stasis_error *err)
{
    struct stasis_change change = {.a = a, .b = b};
    struct stasis_diff_counts counts = {0};
    struct stasis_diff_out out = {.range = note_range,
                                  .ctx = &change,
                                  .progress = progress ? stasis_progress_show : NULL,
                                  .progress_ctx = progress};
    int rc;

    change.differ = calloc(stasis_snap_chunk_count(b) + 1, sizeof(*change.differ));
    if (!change.differ)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compare RAM");
    rc = stasis_diff_ram(a, b, &out, &counts, err);
    if (rc) {
        stasis_change_fini(&change);
        return rc;
    }
    count_pages(&change, &counts);
    *ret_change = change;
    return 0;
}

void stasis_change_fini(struct stasis_change *change)
{
    free(change->differ);
    change->differ = NULL;
}

/* ---- rows ---- */

/* Rows of one page a cell, region after region: whether there is anything in them. */
struct fine_rows {
    bool *used;
    unsigned columns;
};

static uint64_t divide_up(uint64_t count, uint64_t by)
{
    return (count + by - 1) / by;
}

static uint64_t fine_rows_of(const struct fine_rows *fine, const struct stasis_snap_region *region)
{
    return divide_up(region->size / STASIS_PAGE_SIZE, fine->columns);
}

static int fine_rows_init(const struct stasis_change *change, unsigned columns,
                          struct fine_rows *ret_fine, struct stasis_error *err)
{
    struct fine_rows fine = {NULL, columns};
    uint64_t base = 0;

    fine.used = calloc(divide_up(stasis_snap_chunk_count(change->b) * CHUNK_PAGES, columns) +
                           stasis_snap_region_count(change->b) + 1,
                       sizeof(*fine.used));
    if (!fine.used)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the picture");
    for (uint32_t i = 0; i < stasis_snap_region_count(change->b); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(change->b, i);

        for (uint64_t k = 0; k < divide_up(region.size, STASIS_CHUNK_SIZE); k++)
            if (chunk_used(change, region.first_chunk + k))
                fine.used[base + k * CHUNK_PAGES / columns] = true;
        base += fine_rows_of(&fine, &region);
    }
    *ret_fine = fine;
    return 0;
}

/* One row of the grid is cell_pages fine ones. */
static bool is_used(const struct fine_rows *fine, uint64_t first, uint64_t end)
{
    while (first < end && !fine->used[first])
        first++;
    return first < end;
}

/* The row of `cell_pages` fine ones that begins at this one of its region. */
static struct stasis_change_row row_at(const struct stasis_snap_region *region, uint64_t first_page,
                                       uint64_t pages)
{
    uint64_t left = region->size / STASIS_PAGE_SIZE - first_page;

    return (struct stasis_change_row){region->gpa + first_page * STASIS_PAGE_SIZE,
                                      pages < left ? pages : left, NULL};
}

/* Counts the rows of this height, and writes them to `rows` unless it is NULL. */
static size_t list_rows(const struct stasis_change *change, const struct fine_rows *fine,
                        uint64_t cell_pages, struct stasis_change_row *rows)
{
    uint64_t base = 0;
    size_t count = 0;

    for (uint32_t i = 0; i < stasis_snap_region_count(change->b); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(change->b, i);
        uint64_t height = fine_rows_of(fine, &region);

        for (uint64_t at = 0; at < height; at += cell_pages) {
            uint64_t end = at + cell_pages < height ? at + cell_pages : height;

            if (!is_used(fine, base + at, base + end))
                continue;
            if (rows)
                rows[count] = row_at(&region, at * fine->columns, cell_pages * fine->columns);
            count++;
        }
        base += height;
    }
    return count;
}

/* Of a chunk whose first page is `page` of the row. */
static void fill_cells(const struct stasis_change *change, const struct stasis_change_grid *grid,
                       struct stasis_change_row *row, uint64_t page, uint64_t number)
{
    uint16_t used = chunk_used(change, number), differ = change->differ[number];

    for (uint64_t k = 0; k < CHUNK_PAGES && page + k < row->pages; k++) {
        struct stasis_change_cell *cell = &row->cells[(page + k) / grid->cell_pages];

        cell->pages++;
        cell->used += used >> k & 1;
        cell->differ += differ >> k & 1;
    }
}

static void fill_row(const struct stasis_change *change, const struct stasis_change_grid *grid,
                     struct stasis_change_row *row)
{
    uint64_t number;

    for (uint64_t page = 0; page < row->pages; page += CHUNK_PAGES)
        if (stasis_inspect_ram_find(change->b, row->gpa + page * STASIS_PAGE_SIZE, &number))
            fill_cells(change, grid, row, page, number);
}

static int fill_grid(const struct stasis_change *change, const struct fine_rows *fine,
                     struct stasis_change_grid *grid, struct stasis_error *err)
{
    struct stasis_change_cell *cells = calloc(grid->row_count * grid->columns + 1, sizeof(*cells));

    grid->rows = calloc(grid->row_count + 1, sizeof(*grid->rows));
    if (!grid->rows || !cells) {
        free(cells);
        free(grid->rows);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the picture");
    }
    list_rows(change, fine, grid->cell_pages, grid->rows);
    grid->rows[0].cells = cells; /* also if there is none, for fini */
    for (size_t i = 0; i < grid->row_count; i++) {
        grid->rows[i].cells = cells + i * grid->columns;
        fill_row(change, grid, &grid->rows[i]);
    }
    return 0;
}

int stasis_change_grid_fit(const struct stasis_change *change, unsigned columns, size_t max_rows,
                           struct stasis_change_grid *ret_grid, struct stasis_error *err)
{
    struct stasis_change_grid grid = {.columns = columns, .cell_pages = 1};
    struct fine_rows fine = {NULL, columns};
    int rc = fine_rows_init(change, columns, &fine, err);

    if (rc)
        return rc;
    if (max_rows < stasis_snap_region_count(change->b))
        max_rows = stasis_snap_region_count(change->b);
    grid.row_count = list_rows(change, &fine, 1, NULL);
    while (grid.row_count > max_rows) {
        grid.cell_pages *= 2;
        grid.row_count = list_rows(change, &fine, grid.cell_pages, NULL);
    }
    rc = fill_grid(change, &fine, &grid, err);
    free(fine.used);
    if (!rc)
        *ret_grid = grid;
    return rc;
}

void stasis_change_grid_fini(struct stasis_change_grid *grid)
{
    if (grid->rows)
        free(grid->rows[0].cells);
    free(grid->rows);
    grid->rows = NULL;
}

unsigned stasis_change_row_cells(const struct stasis_change_grid *grid, size_t row)
{
    return (unsigned)divide_up(grid->rows[row].pages, grid->cell_pages);
}

enum stasis_change_kind stasis_change_cell_kind(const struct stasis_change_cell *cell)
{
    if (cell->differ)
        return STASIS_CHANGE_DIFFERS;
    return cell->used ? STASIS_CHANGE_EQUAL : STASIS_CHANGE_ZERO;
}

unsigned stasis_change_cell_level(const struct stasis_change_cell *cell)
{
    return (unsigned)divide_up(4 * cell->differ, cell->pages);
}

uint64_t stasis_change_left_out(const struct stasis_change *change,
                                const struct stasis_change_grid *grid, size_t row)
{
    uint64_t from = 0, to = UINT64_MAX, bytes = 0;

    if (row)
        from = grid->rows[row - 1].gpa + grid->rows[row - 1].pages * STASIS_PAGE_SIZE;
    if (row < grid->row_count)
        to = grid->rows[row].gpa;
    for (uint32_t i = 0; i < stasis_snap_region_count(change->b); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(change->b, i);
        uint64_t first = region.gpa > from ? region.gpa : from;
        uint64_t end = region.gpa + region.size < to ? region.gpa + region.size : to;

        bytes += end > first ? end - first : 0;
    }
    return bytes;
}
