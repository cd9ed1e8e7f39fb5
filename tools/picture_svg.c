/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/picture.h"
#include "tools/svg.h"
#include "tools/text.h"

enum {
    COLUMNS = 128,
    ROWS = 128,
    CELL = 6,    /* all lengths are pixels */
    LEFT = 130,  /* before the cells: addresses */
    TOP = 40,    /* above them: the title */
    LINE = 18,   /* of text */
    MARGIN = 12, /* at the edge, and between regions */
};

/* Away from the background by level; the kinds stay apart for eyes that do not tell red from green.
 * The viewer chooses by its own scheme. */
static const struct scheme {
    const char *background, *text;
    const char *colours[STASIS_PICTURE_KINDS][5];
} light = {"#ffffff",
           "#000000",
           {[STASIS_PICTURE_ZERO] = {"#eeeeee"},
            [STASIS_PICTURE_STORED] = {NULL, "#b9d3ee", "#7fb0de", "#3f84c4", "#145a9c"},
            [STASIS_PICTURE_COMPRESSED] = {NULL, "#fbd9a8", "#f5b355", "#dd8a13", "#a86200"}}},
  dark = {"#16191d",
          "#e6e6e6",
          {[STASIS_PICTURE_ZERO] = {"#2a2f35"},
           [STASIS_PICTURE_STORED] = {NULL, "#1f4468", "#2c6aa3", "#4a97dc", "#9cccf7"},
           [STASIS_PICTURE_COMPRESSED] = {NULL, "#57390c", "#8f5f12", "#cf9130", "#f9cf85"}}};

/* The class of a cell in the style sheet. */
static const char *const classes[STASIS_PICTURE_KINDS] = {"z", "s", "c"};

static void put_scheme(FILE *out, const struct scheme *scheme)
{
    fprintf(out, ".b{fill:%s}text{fill:%s}", scheme->background, scheme->text);
    for (unsigned kind = 0; kind < STASIS_PICTURE_KINDS; kind++)
        for (unsigned level = 0; level < 5; level++)
            if (scheme->colours[kind][level])
                fprintf(out, ".%s%u{fill:%s}", classes[kind], level, scheme->colours[kind][level]);
    fputc('\n', out);
}

static void put_style(FILE *out)
{
    fputs("<style>\n", out);
    put_scheme(out, &light);
    fputs("@media (prefers-color-scheme: dark) {\n", out);
    put_scheme(out, &dark);
    fputs("}\n</style>\n", out);
}

static void put_element(FILE *out, const char *name, const char *text)
{
    fprintf(out, "<%s>", name);
    stasis_svg_put(out, text);
    fprintf(out, "</%s>\n", name);
}

static void put_text(FILE *out, unsigned x, unsigned y, const char *text)
{
    fprintf(out, "<text x=\"%u\" y=\"%u\">", x, y);
    stasis_svg_put(out, text);
    fputs("</text>\n", out);
}

/* With a title, which viewers show beside the pointer and readers of the screen read out. */
static void put_rect(FILE *out, unsigned x, unsigned y, unsigned width,
                     struct stasis_picture_cell cell, const char *title)
{
    fprintf(out,
            "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" class=\"%s%u\"><title>%s</title>"
            "</rect>\n",
            x, y, width, CELL - 1, classes[cell.kind], cell.level, title);
}

/* "stored, to 75 % not zero" */
static void describe_cell(struct stasis_picture_cell cell, char *text, size_t size)
{
    if (cell.kind == STASIS_PICTURE_ZERO)
        snprintf(text, size, "%s", stasis_picture_kind_names[cell.kind]);
    else
        snprintf(text, size, "%s, to %u %% not zero", stasis_picture_kind_names[cell.kind],
                 25 * cell.level);
}

/* The cells [first, end) of a region, all alike: "0x000100000 to 0x00013ffff: zero". */
static void put_cells(const struct stasis_picture_grid *grid, uint32_t region, uint64_t first,
                      uint64_t end, unsigned y, FILE *out)
{
    struct stasis_picture_cell cell = stasis_picture_grid_cell(grid, region, first);
    struct stasis_snap_region place = stasis_snap_region_at(grid->snap, region);
    uint64_t bytes = grid->cell_chunks * STASIS_CHUNK_SIZE;
    uint64_t last = end * bytes < place.size ? end * bytes : place.size;
    char title[STASIS_TEXT_MAX + 64];
    char what[STASIS_TEXT_MAX];

    describe_cell(cell, what, sizeof(what));
    snprintf(title, sizeof(title), "0x%09" PRIx64 " to 0x%09" PRIx64 ": %s",
             place.gpa + first * bytes, place.gpa + last - 1, what);
    put_rect(out, LEFT + (unsigned)(first % COLUMNS) * CELL, y, (unsigned)(end - first) * CELL,
             cell, title);
}

static bool same(struct stasis_picture_cell a, struct stasis_picture_cell b)
{
    return a.kind == b.kind && a.level == b.level;
}

/* Equal neighbours are one rectangle. */
static void put_row(const struct stasis_picture_grid *grid, uint32_t region, uint64_t first,
                    unsigned y, FILE *out)
{
    uint64_t end = stasis_picture_grid_cells(grid, region);
    uint64_t start = first;
    struct stasis_picture_cell cell = stasis_picture_grid_cell(grid, region, first);
    char address[STASIS_TEXT_MAX];

    if (end > first + COLUMNS)
        end = first + COLUMNS;
    snprintf(address, sizeof(address), "0x%09" PRIx64,
             stasis_snap_region_at(grid->snap, region).gpa +
                 first * grid->cell_chunks * STASIS_CHUNK_SIZE);
    if (first / COLUMNS % 4 == 0)
        put_text(out, MARGIN, y + CELL, address);
    for (uint64_t i = first + 1; i <= end; i++) {
        struct stasis_picture_cell next = cell;

        if (i < end)
            next = stasis_picture_grid_cell(grid, region, i);
        if (i < end && same(cell, next))
            continue;
        put_cells(grid, region, start, i, y, out);
        start = i;
        cell = next;
    }
}

/* Returns where the next thing goes. */
static unsigned put_regions(const struct stasis_picture_grid *grid, unsigned y, FILE *out)
{
    for (uint32_t region = 0; region < stasis_snap_region_count(grid->snap); region++) {
        uint64_t cells = stasis_picture_grid_cells(grid, region);

        for (uint64_t first = 0; first < cells; first += COLUMNS, y += CELL)
            put_row(grid, region, first, y, out);
        y += MARGIN;
    }
    return y;
}

static void put_sample(FILE *out, struct stasis_picture_cell cell, unsigned y)
{
    char what[STASIS_TEXT_MAX];

    describe_cell(cell, what, sizeof(what));
    put_rect(out, MARGIN + cell.level * 3 * CELL, y, 3 * CELL, cell, what);
}

static unsigned put_legend(const struct stasis_snap *snap, unsigned y, FILE *out)
{
    struct stasis_picture_tally tallies[STASIS_PICTURE_KINDS];

    stasis_picture_count(snap, tallies);
    for (unsigned kind = 0; kind < STASIS_PICTURE_KINDS; kind++) {
        char bytes[STASIS_TEXT_MAX];
        char text[4 * STASIS_TEXT_MAX];

        if (!tallies[kind].chunks)
            continue;
        for (unsigned level = kind ? 1 : 0; level <= (kind ? 4 : 0); level++)
            put_sample(out, (struct stasis_picture_cell){(enum stasis_picture_kind)kind, level}, y);
        stasis_text_size(tallies[kind].bytes, bytes);
        snprintf(text, sizeof(text), "%s: %s, %" PRIu64 " chunks, %" PRIu64 " pages not zero",
                 stasis_picture_kind_names[kind], bytes, tallies[kind].chunks,
                 tallies[kind].not_zero);
        put_text(out, LEFT, y + CELL, text);
        y += LINE;
    }
    return y;
}

/* The title as a string that no terminal and no reader of XML stumbles over. */
static void put_head(const struct stasis_picture_grid *grid, const char *title, FILE *out)
{
    char size[STASIS_TEXT_MAX];
    char *text = NULL;
    size_t len = 0;
    FILE *line = open_memstream(&text, &len);

    if (!line)
        return;
    stasis_text_size(grid->cell_chunks * STASIS_CHUNK_SIZE, size);
    stasis_text_put(line, title);
    fprintf(line, ": a square is %s, the stronger its colour the more of it is not zero", size);
    if (!fclose(line)) {
        put_element(out, "title", text); /* the first child: it is the whole picture's */
        put_style(out);
        fputs("<rect width=\"100%\" height=\"100%\" class=\"b\"/>\n", out);
        put_text(out, MARGIN, TOP / 2, text);
    }
    free(text);
}

void stasis_picture_svg(const struct stasis_snap *snap, const char *title, FILE *out)
{
    struct stasis_picture_grid grid = stasis_picture_grid_fit(snap, COLUMNS, ROWS);
    char *body = NULL;
    size_t len = 0;
    FILE *parts = open_memstream(&body, &len);
    unsigned height;

    if (!parts)
        return;
    put_head(&grid, title, parts);
    height = put_legend(snap, put_regions(&grid, TOP, parts), parts) + MARGIN;
    if (!fclose(parts))
        fprintf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
                "font-family=\"monospace\" font-size=\"11\">\n"
                "%s</svg>\n",
                LEFT + COLUMNS * CELL + MARGIN, height, body);
    free(body);
}
