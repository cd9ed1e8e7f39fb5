/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A picture of RAM for people, from the index: RAM is not read, so that a large guest takes no
 * longer than a small one.
 */
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/cmd_memory.h"
#include "tools/picture.h"
#include "tools/svg.h"
#include "tools/text.h"

enum { WIDTH_DEFAULT = 80, COLUMNS_MIN = 16, COLUMNS_MAX = 256 };

/* What a cell of a kind and level looks like. */
typedef const char *const glyphs[STASIS_PICTURE_KINDS][5];

static glyphs utf8_glyphs = {{"·"}, {"", "░", "▒", "▓", "█"}, {"", "▁", "▃", "▅", "▇"}};
static glyphs ascii_glyphs = {{"."}, {"", "-", "+", "*", "#"}, {"", "1", "2", "3", "4"}};

/* Asked of the environment and not by setlocale(), which would change how all else is printed. */
bool stasis_memory_draws_utf8(void)
{
    locale_t locale = newlocale(LC_CTYPE_MASK, "", NULL);
    bool utf8 = locale && !strcmp(nl_langinfo_l(CODESET, locale), "UTF-8");

    if (locale)
        freelocale(locale);
    return utf8;
}

/* Cells in a row: a power of two, so that the addresses of rows are round. */
unsigned stasis_memory_columns(void)
{
    const char *text = getenv("COLUMNS");
    struct winsize size;
    unsigned width = WIDTH_DEFAULT;
    unsigned columns = COLUMNS_MIN;

    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        width = size.ws_col;
    else if (text && strtoul(text, NULL, 10) > 0 && strtoul(text, NULL, 10) < 10000)
        width = (unsigned)strtoul(text, NULL, 10);
    while (columns < COLUMNS_MAX && STASIS_MEMORY_ADDRESS_WIDTH + 1 + 2 * columns <= width)
        columns *= 2;
    return columns;
}

static void print_region(const struct stasis_picture_grid *grid, uint32_t index, glyphs *look,
                         FILE *out)
{
    struct stasis_snap_region region = stasis_snap_region_at(grid->snap, index);
    uint64_t cells = stasis_picture_grid_cells(grid, index);

    for (uint64_t i = 0; i < cells; i++) {
        struct stasis_picture_cell cell = stasis_picture_grid_cell(grid, index, i);
        char address[STASIS_TEXT_MAX];

        if (i % grid->columns == 0) {
            snprintf(address, sizeof(address), "0x%08" PRIx64,
                     region.gpa + i * grid->cell_chunks * STASIS_CHUNK_SIZE);
            fprintf(out, "%*s ", STASIS_MEMORY_ADDRESS_WIDTH, address);
        }
        fputs((*look)[cell.kind][cell.level], out);
        if ((i + 1) % grid->columns == 0 || i + 1 == cells)
            fputc('\n', out);
    }
    fputc('\n', out);
}

/* How much of a cell's memory is not zero: "░ to 16 KiB, ▒ to 32 KiB, ...". */
void stasis_memory_put_shades(const char *const levels[5], uint64_t cell, FILE *out)
{
    for (unsigned level = 1; level <= 4; level++) {
        char size[STASIS_TEXT_MAX];

        stasis_text_size(cell * level / 4, size);
        fprintf(out, "%s%s to %s", level > 1 ? ", " : "", levels[level], size);
    }
}

static void print_legend(const struct stasis_picture_tally *tallies, uint64_t cell, glyphs *look,
                         FILE *out)
{
    for (unsigned kind = 0; kind < STASIS_PICTURE_KINDS; kind++) {
        if (!tallies[kind].chunks)
            continue;
        fprintf(out, "  %-10s  ", stasis_picture_kind_names[kind]);
        if (kind == STASIS_PICTURE_ZERO)
            fputs((*look)[kind][0], out);
        else
            stasis_memory_put_shades((*look)[kind], cell, out);
        fputs(kind == STASIS_PICTURE_ZERO ? "\n" : " not zero\n", out);
    }
    fputc('\n', out);
}

static void print_tally(const char *name, const struct stasis_picture_tally *tally, FILE *out)
{
    char bytes[STASIS_TEXT_MAX];
    char in_file[STASIS_TEXT_MAX];

    stasis_text_size(tally->bytes, bytes);
    stasis_text_size(tally->in_file, in_file);
    fprintf(out, "%-10s %12" PRIu64 " %12s %12s %16" PRIu64 "\n", name, tally->chunks, bytes,
            in_file, tally->not_zero);
}

static void print_totals(const struct stasis_picture_tally *tallies, FILE *out)
{
    struct stasis_picture_tally all = {0};

    fprintf(out, "%-10s %12s %12s %12s %16s\n", "", "chunks", "RAM", "in the file",
            "pages not zero");
    for (unsigned kind = 0; kind < STASIS_PICTURE_KINDS; kind++) {
        all.chunks += tallies[kind].chunks;
        all.bytes += tallies[kind].bytes;
        all.in_file += tallies[kind].in_file;
        all.not_zero += tallies[kind].not_zero;
        if (tallies[kind].chunks)
            print_tally(stasis_picture_kind_names[kind], &tallies[kind], out);
    }
    print_tally("all", &all, out);
}

static void print_picture(const struct stasis_snap *snap, const char *name, FILE *out)
{
    struct stasis_picture_grid grid =
        stasis_picture_grid_fit(snap, stasis_memory_columns(), STASIS_MEMORY_ROWS);
    struct stasis_picture_tally tallies[STASIS_PICTURE_KINDS];
    glyphs *look = stasis_memory_draws_utf8() ? &utf8_glyphs : &ascii_glyphs;
    uint32_t regions = stasis_snap_region_count(snap);
    char total[STASIS_TEXT_MAX];
    char cell[STASIS_TEXT_MAX];

    stasis_text_size(stasis_snap_info(snap)->ram_bytes, total);
    stasis_text_size(grid.cell_chunks * STASIS_CHUNK_SIZE, cell);
    stasis_text_put(out, name);
    fprintf(out, ": %s in %" PRIu32 " region%s; each character is %s\n\n", total, regions,
            regions == 1 ? "" : "s", cell);
    for (uint32_t i = 0; i < regions; i++)
        print_region(&grid, i, look, out);
    stasis_picture_count(snap, tallies);
    print_legend(tallies, grid.cell_chunks * STASIS_CHUNK_SIZE, look, out);
    print_totals(tallies, out);
}

struct drawing {
    const struct stasis_snap *snap;
    const char *name;
};

static void draw(const void *opaque, FILE *out)
{
    const struct drawing *drawing = opaque;

    stasis_picture_svg(drawing->snap, drawing->name, out);
}

int stasis_inspect_memory(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err)
{
    struct stasis_snap *snap;
    int rc;

    if (args->operand_count > 1)
        return stasis_memory_compare(args, out, err);
    rc = stasis_inspect_open_any(args, args->operands[0], &snap, err);
    if (rc)
        return rc;
    if (args->values[STASIS_MEMORY_SVG])
        rc = stasis_svg_write(args->outputs, args->values[STASIS_MEMORY_SVG], draw,
                              &(struct drawing){snap, args->operands[0]}, err);
    if (!rc)
        print_picture(snap, args->operands[0], out);
    stasis_snap_free(snap);
    return rc;
}
