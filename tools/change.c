/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/change.h"

#include <stdlib.h>

#include "tools/guest_ram.h"

const char *const stasis_change_kind_names[STASIS_CHANGE_KINDS] = {"zero", "equal", "differs"};

/* ---- pieces ---- */

struct pieces {
    struct stasis_change_piece *items;
    size_t count;
    size_t room;
    bool no_memory;
};

/* Whether the last piece takes this one in: it ends where this one begins, and began at `low` or
 * behind it. */
static bool is_joined(struct pieces *pieces, uint64_t low, const struct stasis_change_piece *piece)
{
    struct stasis_change_piece *last;

    if (!pieces->count)
        return false;
    last = &pieces->items[pieces->count - 1];
    if (last->gpa < low || last->end != piece->gpa || last->differs != piece->differs)
        return false;
    last->end = piece->end;
    return true;
}

static void put_piece(struct pieces *pieces, uint64_t low, struct stasis_change_piece piece)
{
    size_t room = pieces->room ? pieces->room * 2 : 64;

    if (is_joined(pieces, low, &piece))
        return;
    if (pieces->count == pieces->room) {
        struct stasis_change_piece *items = reallocarray(pieces->items, room, sizeof(*items));

        pieces->no_memory |= !items;
        if (!items)
            return;
        pieces->items = items;
        pieces->room = room;
    }
    pieces->items[pieces->count++] = piece;
}

static void note_range(void *ctx, uint64_t gpa, uint64_t size, enum stasis_diff_where where)
{
    if (where != STASIS_DIFF_ONLY_A)
        put_piece(ctx, 0, (struct stasis_change_piece){gpa, gpa + size, true});
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The chunk at gpa, where there is RAM. */
static struct stasis_snap_chunk chunk_of(const struct stasis_snap *snap, uint64_t gpa)
{
    struct stasis_snap_chunk none = {.gpa = gpa, .size = STASIS_PAGE_SIZE};
    uint64_t number;

    return stasis_inspect_ram_find(snap, gpa, &number) ? stasis_snap_chunk_at(snap, number) : none;
}

static bool has_page(const struct stasis_snap_chunk *chunk, uint64_t gpa)
{
    return chunk->page_mask >> (gpa - chunk->gpa) / STASIS_PAGE_SIZE & 1;
}

/* From gpa to end, or to where it returns, nothing differs: the pages that are not zero. */
static uint64_t put_equal(const struct stasis_change *change, struct pieces *pieces, uint64_t low,
                          uint64_t gpa, uint64_t end)
{
    uint64_t zero_end = earlier(stasis_inspect_ram_zero_end(change->a, gpa),
                                stasis_inspect_ram_zero_end(change->b, gpa));
    struct stasis_snap_chunk a, b;

    if (zero_end > gpa)
        return earlier(zero_end, end);
    a = chunk_of(change->a, gpa);
    b = chunk_of(change->b, gpa);
    end = earlier(end, earlier(a.gpa + a.size, b.gpa + b.size));
    for (; gpa < end; gpa += STASIS_PAGE_SIZE)
        if (has_page(&a, gpa) || has_page(&b, gpa))
            put_piece(pieces, low,
                      (struct stasis_change_piece){gpa, gpa + STASIS_PAGE_SIZE, false});
    return end;
}

/* Of a region of b: what differs, and between that what is equal. *next: of what differs, the first
 * that does not end before the region. */
static void put_region(const struct stasis_change *change, const struct stasis_snap_region *region,
                       const struct pieces *differ, size_t *next, struct pieces *pieces)
{
    uint64_t gpa = region->gpa, end = region->gpa + region->size;

    while (gpa < end && !pieces->no_memory) {
        struct stasis_change_piece piece = {end, end, true};

        while (*next < differ->count && differ->items[*next].end <= gpa)
            ++*next;
        if (*next < differ->count)
            piece = differ->items[*next];
        if (piece.gpa > gpa) {
            gpa = put_equal(change, pieces, region->gpa, gpa, earlier(end, piece.gpa));
            continue;
        }
        piece = (struct stasis_change_piece){gpa, earlier(end, piece.end), true};
        put_piece(pieces, region->gpa, piece);
        gpa = piece.end;
    }
}

static void count_pages(struct stasis_change *change)
{
    uint64_t *pages = change->pages;

    for (size_t i = 0; i < change->piece_count; i++) {
        const struct stasis_change_piece *piece = &change->pieces[i];

        pages[piece->differs ? STASIS_CHANGE_DIFFERS : STASIS_CHANGE_EQUAL] +=
            (piece->end - piece->gpa) / STASIS_PAGE_SIZE;
    }
    pages[STASIS_CHANGE_ZERO] = stasis_snap_info(change->b)->ram_bytes / STASIS_PAGE_SIZE -
                                pages[STASIS_CHANGE_EQUAL] - pages[STASIS_CHANGE_DIFFERS];
}

static int make_pieces(struct stasis_change *change, const struct pieces *differ,
                       struct stasis_error *err)
{
    struct pieces pieces = {.no_memory = differ->no_memory};
    size_t next = 0;

    for (uint32_t i = 0; i < stasis_snap_region_count(change->b); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(change->b, i);

        put_region(change, &region, differ, &next, &pieces);
    }
    if (pieces.no_memory) {
        free(pieces.items);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compare RAM");
    }
    change->pieces = pieces.items;
    change->piece_count = pieces.count;
    count_pages(change);
    return 0;
}

int stasis_change_compare(const struct stasis_snap *a, const struct stasis_snap *b,
                          struct stasis_progress *progress, struct stasis_change *ret_change,
                          struct stasis_error *err)
{
    struct stasis_change change = {.a = a, .b = b};
    struct stasis_diff_counts counts = {0};
    struct pieces differ = {0};
    struct stasis_diff_out out = {.range = note_range,
                                  .ctx = &differ,
                                  .progress = progress ? stasis_progress_show : NULL,
                                  .progress_ctx = progress};
    int rc = stasis_diff_ram(a, b, &out, &counts, err);

    if (!rc)
        rc = make_pieces(&change, &differ, err);
    free(differ.items);
    if (rc)
        return rc;
    change.pages_gone = counts.pages_only[0];
    *ret_change = change;
    return 0;
}

void stasis_change_fini(struct stasis_change *change)
{
    free(change->pieces);
    change->pieces = NULL;
    change->piece_count = 0;
}

/* ---- rows ---- */

static uint64_t divide_up(uint64_t count, uint64_t by)
{
    return (count + by - 1) / by;
}

/* Row `number` of a region, of `pages` pages or what is left of it. */
static struct stasis_change_row row_at(const struct stasis_snap_region *region, uint64_t number,
                                       uint64_t pages)
{
    uint64_t left = region->size / STASIS_PAGE_SIZE - number * pages;

    return (struct stasis_change_row){region->gpa + number * pages * STASIS_PAGE_SIZE,
                                      earlier(pages, left), NULL};
}

/* Counts the rows of a region of `pages` pages each that a piece is in, and writes them to `rows`
 * unless it is NULL. *next: the first piece of the region, then of what follows. */
static size_t list_region(const struct stasis_change *change,
                          const struct stasis_snap_region *region, uint64_t pages, size_t *next,
                          struct stasis_change_row *rows)
{
    uint64_t begin = 0; /* rows in front of it are counted */
    size_t count = 0;

    for (; *next < change->piece_count; ++*next) {
        const struct stasis_change_piece *piece = &change->pieces[*next];
        uint64_t first, end;

        if (piece->gpa - region->gpa >= region->size)
            break;
        first = (piece->gpa - region->gpa) / STASIS_PAGE_SIZE / pages;
        end = divide_up((piece->end - region->gpa) / STASIS_PAGE_SIZE, pages);
        begin = first > begin ? first : begin;
        for (uint64_t i = begin; rows && i < end; i++)
            rows[count + (i - begin)] = row_at(region, i, pages);
        count += end > begin ? end - begin : 0;
        begin = end > begin ? end : begin;
    }
    return count;
}

static size_t list_rows(const struct stasis_change *change, const struct stasis_change_grid *grid,
                        struct stasis_change_row *rows)
{
    size_t count = 0, next = 0;

    for (uint32_t i = 0; i < stasis_snap_region_count(change->b); i++) {
        struct stasis_snap_region region = stasis_snap_region_at(change->b, i);

        count += list_region(change, &region, grid->cell_pages * grid->columns, &next,
                             rows ? rows + count : NULL);
    }
    return count;
}

/* Pages [first, end) of the row are used. */
static void fill_cells(const struct stasis_change_grid *grid, struct stasis_change_row *row,
                       uint64_t first, uint64_t end, bool differs)
{
    while (first < end) {
        struct stasis_change_cell *cell = &row->cells[first / grid->cell_pages];
        uint64_t stop = earlier(end, (first / grid->cell_pages + 1) * grid->cell_pages);

        cell->used += stop - first;
        cell->differ += differs ? stop - first : 0;
        first = stop;
    }
}

/* *next: the first piece that may end in the row or behind it. */
static void fill_row(const struct stasis_change *change, const struct stasis_change_grid *grid,
                     struct stasis_change_row *row, size_t *next)
{
    uint64_t row_end = row->gpa + row->pages * STASIS_PAGE_SIZE;

    for (uint64_t page = 0; page < row->pages; page += grid->cell_pages)
        row->cells[page / grid->cell_pages].pages = earlier(grid->cell_pages, row->pages - page);
    while (*next < change->piece_count && change->pieces[*next].end <= row->gpa)
        ++*next;
    for (size_t i = *next; i < change->piece_count && change->pieces[i].gpa < row_end; i++) {
        const struct stasis_change_piece *piece = &change->pieces[i];
        uint64_t first = piece->gpa > row->gpa ? piece->gpa - row->gpa : 0;

        fill_cells(grid, row, first / STASIS_PAGE_SIZE,
                   (earlier(piece->end, row_end) - row->gpa) / STASIS_PAGE_SIZE, piece->differs);
    }
}

static int fill_grid(const struct stasis_change *change, struct stasis_change_grid *grid,
                     struct stasis_error *err)
{
    struct stasis_change_cell *cells = calloc(grid->row_count * grid->columns + 1, sizeof(*cells));
    size_t next = 0;

    grid->rows = calloc(grid->row_count + 1, sizeof(*grid->rows));
    if (!grid->rows || !cells) {
        free(cells);
        free(grid->rows);
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the picture");
    }
    list_rows(change, grid, grid->rows);
    grid->rows[0].cells = cells; /* also if there is none, for fini */
    for (size_t i = 0; i < grid->row_count; i++) {
        grid->rows[i].cells = cells + i * grid->columns;
        fill_row(change, grid, &grid->rows[i], &next);
    }
    return 0;
}

int stasis_change_grid_fit(const struct stasis_change *change, unsigned columns, size_t max_rows,
                           struct stasis_change_grid *ret_grid, struct stasis_error *err)
{
    struct stasis_change_grid grid = {.columns = columns, .cell_pages = 1};
    int rc;

    if (max_rows < stasis_snap_region_count(change->b))
        max_rows = stasis_snap_region_count(change->b);
    grid.row_count = list_rows(change, &grid, NULL);
    while (grid.row_count > max_rows) {
        grid.cell_pages *= 2;
        grid.row_count = list_rows(change, &grid, NULL);
    }
    rc = fill_grid(change, &grid, err);
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
