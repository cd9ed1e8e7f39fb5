/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <inttypes.h>

#include "tools/change.h"
#include "tools/svg.h"
#include "tools/text.h"

enum {
    COLUMNS = 128,
    ROWS = 48,
    CELL = 6,    /* all lengths are pixels */
    LEFT = 130,  /* before the cells: addresses */
    TOP = 40,    /* above them: the title */
    GAP = 16,    /* of memory that is left out */
    LINE = 18,   /* of text */
    MARGIN = 12, /* at the edge */
};

/* Greys and blue for what stayed, orange for what did not: apart also for eyes that do not tell red
 * from green. The classes differ from those of the picture of memory: a page may have both. */
static const char style[] = "<style>\n"
                            ".cb{fill:#ffffff}.ct{fill:#000000}.cz{fill:#eeeeee}.ce{fill:#c6dcf0}"
                            ".c1{fill:#f2a93b}.c2{fill:#e08900}.c3{fill:#b85c00}.c4{fill:#7a2e00}\n"
                            "@media (prefers-color-scheme: dark) {\n"
                            ".cb{fill:#16191d}.ct{fill:#e6e6e6}.cz{fill:#2a2f35}.ce{fill:#2b5580}"
                            ".c1{fill:#a86a10}.c2{fill:#d08a1c}.c3{fill:#f0b24a}.c4{fill:#ffe0a3}\n"
                            "}\n</style>\n";

struct drawing {
    const struct stasis_change *change;
    const struct stasis_change_grid *grid;
    FILE *out;
};

/* Of a cell in the style sheet: "cz", "ce", "c1" to "c4". */
static char class_of(enum stasis_change_kind kind, unsigned level)
{
    return kind == STASIS_CHANGE_DIFFERS ? (char)('0' + level)
           : kind == STASIS_CHANGE_EQUAL ? 'e'
                                         : 'z';
}

static void put_text(FILE *out, unsigned x, unsigned y, const char *text)
{
    fprintf(out, "<text x=\"%u\" y=\"%u\" class=\"ct\">%s</text>\n", x, y, text);
}

/* Cells [first, end) of a row, all alike. */
static void put_cells(const struct drawing *drawing, size_t row, unsigned first, unsigned end,
                      unsigned y)
{
    const struct stasis_change_row *place = &drawing->grid->rows[row];
    const struct stasis_change_cell *cell = &place->cells[first];
    enum stasis_change_kind kind = stasis_change_cell_kind(cell);
    uint64_t bytes = drawing->grid->cell_pages * STASIS_PAGE_SIZE;
    uint64_t size = place->pages * STASIS_PAGE_SIZE;
    uint64_t last = end * bytes < size ? end * bytes : size;
    unsigned level = stasis_change_cell_level(cell);

    fprintf(drawing->out,
            "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" class=\"c%c\"><title>0x%09" PRIx64
            " to 0x%09" PRIx64 ": %s",
            LEFT + first * CELL, y, (end - first) * CELL, CELL - 1, class_of(kind, level),
            place->gpa + first * bytes, place->gpa + last - 1, stasis_change_kind_names[kind]);
    if (kind == STASIS_CHANGE_DIFFERS)
        fprintf(drawing->out, " in %s%u %%", level < 4 ? "up to " : "", 25 * level);
    fputs("</title></rect>\n", drawing->out);
}

static bool is_like(const struct stasis_change_cell *a, const struct stasis_change_cell *b)
{
    return class_of(stasis_change_cell_kind(a), stasis_change_cell_level(a)) ==
           class_of(stasis_change_cell_kind(b), stasis_change_cell_level(b));
}

/* Equal neighbours are one rectangle. */
static void put_row(const struct drawing *drawing, size_t row, unsigned y)
{
    const struct stasis_change_cell *cells = drawing->grid->rows[row].cells;
    unsigned count = stasis_change_row_cells(drawing->grid, row), start = 0;

    for (unsigned i = 1; i <= count; i++) {
        if (i < count && is_like(&cells[start], &cells[i]))
            continue;
        put_cells(drawing, row, start, i, y);
        start = i;
    }
}

/* Says what is left out in front of a row. Returns where the next thing goes. */
static unsigned put_gap(const struct drawing *drawing, size_t row, unsigned y)
{
    uint64_t bytes = stasis_change_left_out(drawing->change, drawing->grid, row);
    char size[STASIS_TEXT_MAX], text[STASIS_TEXT_MAX + 32];

    if (!bytes)
        return y;
    stasis_text_size(bytes, size);
    snprintf(text, sizeof(text), "%s zero in both", size);
    put_text(drawing->out, LEFT, y + GAP - 5, text);
    return y + GAP;
}

/* Every fourth row, and each behind a gap, has its address. */
static unsigned put_rows(const struct drawing *drawing, unsigned y)
{
    unsigned since_gap = 0;

    for (size_t row = 0; row < drawing->grid->row_count; row++, y += CELL) {
        unsigned begin = y;
        char address[STASIS_TEXT_MAX];

        y = put_gap(drawing, row, y);
        since_gap = y == begin ? since_gap : 0;
        snprintf(address, sizeof(address), "0x%09" PRIx64, drawing->grid->rows[row].gpa);
        if (since_gap++ % 4 == 0)
            put_text(drawing->out, MARGIN, y + CELL, address);
        put_row(drawing, row, y);
    }
    return put_gap(drawing, drawing->grid->row_count, y);
}

static unsigned put_legend(const struct drawing *drawing, unsigned y)
{
    for (unsigned kind = 0; kind < STASIS_CHANGE_KINDS; kind++, y += LINE) {
        uint64_t pages = drawing->change->pages[kind];
        char size[STASIS_TEXT_MAX], text[2 * STASIS_TEXT_MAX];
        unsigned levels = kind == STASIS_CHANGE_DIFFERS ? 4 : 1;

        for (unsigned level = 1; level <= levels; level++)
            fprintf(drawing->out,
                    "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" class=\"c%c\"/>\n",
                    MARGIN + (level - 1) * 3 * CELL, y, 3 * CELL, CELL - 1, class_of(kind, level));
        stasis_text_size(pages * STASIS_PAGE_SIZE, size);
        snprintf(text, sizeof(text), "%s%s: %s, %" PRIu64 " pages", stasis_change_kind_names[kind],
                 kind == STASIS_CHANGE_ZERO ? " in both" : "", size, pages);
        put_text(drawing->out, LEFT, y + CELL, text);
    }
    return y;
}

static void put_names(const char *const names[2], FILE *out)
{
    fputs("What changed in memory from ", out);
    stasis_svg_put(out, names[0]);
    fputs(" to ", out);
    stasis_svg_put(out, names[1]);
}

/* The title comes first: it is the whole picture's. */
static void put_head(const struct drawing *drawing, const char *const names[2])
{
    FILE *out = drawing->out;
    char size[STASIS_TEXT_MAX];

    stasis_text_size(drawing->grid->cell_pages * STASIS_PAGE_SIZE, size);
    fputs("<title>", out);
    put_names(names, out);
    fprintf(out,
            "</title>\n%s<rect width=\"100%%\" height=\"100%%\" class=\"cb\"/>\n"
            "<text x=\"%u\" y=\"%u\" class=\"ct\">",
            style, MARGIN, TOP / 2);
    put_names(names, out);
    fprintf(out, ": a square is %s</text>\n", size);
}

/* How high it will be: as put_rows() and put_legend() go on. */
static unsigned height_of(const struct drawing *drawing)
{
    unsigned height = TOP + (unsigned)drawing->grid->row_count * CELL + MARGIN;

    for (size_t row = 0; row <= drawing->grid->row_count; row++)
        if (stasis_change_left_out(drawing->change, drawing->grid, row))
            height += GAP;
    return height + STASIS_CHANGE_KINDS * LINE;
}

void stasis_change_svg(const struct stasis_change *change, const char *const names[2], FILE *out)
{
    struct stasis_change_grid grid;
    struct drawing drawing = {change, &grid, out};

    if (stasis_change_grid_fit(change, COLUMNS, ROWS, &grid, NULL))
        return;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
            "font-family=\"monospace\" font-size=\"11\">\n",
            LEFT + COLUMNS * CELL + MARGIN, height_of(&drawing));
    put_head(&drawing, names);
    put_legend(&drawing, put_rows(&drawing, TOP) + MARGIN);
    fputs("</svg>\n", out);
    stasis_change_grid_fini(&grid);
}
