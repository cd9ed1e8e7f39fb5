/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A picture of what changed in RAM from one snapshot to another. Long stretches that are zero in
 * both are left out, so that a few pages of a large guest can be seen.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/change.h"
#include "tools/cmd_memory.h"
#include "tools/svg.h"
#include "tools/text.h"

/* What cells look like: zero, equal, and what differs by level. */
struct look {
    const char *zero, *equal;
    const char *differs[5];
};

static const struct look utf8_look = {"·", "░", {"", "▂", "▄", "▆", "█"}};
static const struct look ascii_look = {".", "-", {"", "+", "x", "X", "#"}};

struct picture {
    const char *names[2];
    struct stasis_change change;
    struct stasis_change_grid grid;
    const struct look *look;
    FILE *out;
};

static void put_cell(const struct picture *picture, const struct stasis_change_cell *cell)
{
    const char *const glyphs[STASIS_CHANGE_KINDS] = {
        picture->look->zero, picture->look->equal,
        picture->look->differs[stasis_change_cell_level(cell)]};

    fputs(glyphs[stasis_change_cell_kind(cell)], picture->out);
}

static void put_left_out(const struct picture *picture, size_t row)
{
    uint64_t bytes = stasis_change_left_out(&picture->change, &picture->grid, row);
    char size[STASIS_TEXT_MAX];

    if (!bytes)
        return;
    stasis_text_size(bytes, size);
    fprintf(picture->out, "%*s %s zero\n", STASIS_MEMORY_ADDRESS_WIDTH, "...", size);
}

static void put_rows(const struct picture *picture)
{
    for (size_t row = 0; row < picture->grid.row_count; row++) {
        char address[STASIS_TEXT_MAX];

        put_left_out(picture, row);
        snprintf(address, sizeof(address), "0x%08" PRIx64, picture->grid.rows[row].gpa);
        fprintf(picture->out, "%*s ", STASIS_MEMORY_ADDRESS_WIDTH, address);
        for (unsigned i = 0; i < stasis_change_row_cells(&picture->grid, row); i++)
            put_cell(picture, &picture->grid.rows[row].cells[i]);
        fputc('\n', picture->out);
    }
    put_left_out(picture, picture->grid.row_count);
}

static void put_kind(const struct picture *picture, enum stasis_change_kind kind, const char *glyph)
{
    uint64_t pages = picture->change.pages[kind];
    char size[STASIS_TEXT_MAX];

    stasis_text_size(pages * STASIS_PAGE_SIZE, size);
    fprintf(picture->out, "  %-8s  %s  %10s, %" PRIu64 " page%s%s\n",
            stasis_change_kind_names[kind], glyph, size, pages, pages == 1 ? "" : "s",
            kind == STASIS_CHANGE_ZERO ? " in both" : "");
}

/* If a cell is more than a page, its shade tells how much of it differs. */
static void put_legend(const struct picture *picture)
{
    put_kind(picture, STASIS_CHANGE_ZERO, picture->look->zero);
    put_kind(picture, STASIS_CHANGE_EQUAL, picture->look->equal);
    put_kind(picture, STASIS_CHANGE_DIFFERS, picture->look->differs[4]);
    if (picture->grid.cell_pages > 1) {
        fprintf(picture->out, "%*s", 12, "");
        stasis_memory_put_shades(picture->look->differs,
                                 picture->grid.cell_pages * STASIS_PAGE_SIZE, picture->out);
        fputs(" of a character\n", picture->out);
    }
    if (picture->change.pages_gone) {
        fprintf(picture->out, "  %" PRIu64 " pages are in ", picture->change.pages_gone);
        stasis_text_put(picture->out, picture->names[0]);
        fputs(" only\n", picture->out);
    }
}

static int put_picture(struct picture *picture, struct stasis_error *err)
{
    int rc = stasis_change_grid_fit(&picture->change, stasis_memory_columns(), STASIS_MEMORY_ROWS,
                                    &picture->grid, err);
    char size[STASIS_TEXT_MAX];

    if (rc)
        return rc;
    stasis_text_size(picture->grid.cell_pages * STASIS_PAGE_SIZE, size);
    stasis_text_put(picture->out, picture->names[0]);
    fputs(" -> ", picture->out);
    stasis_text_put(picture->out, picture->names[1]);
    fprintf(picture->out, ": what changed in memory; each character is %s\n\n", size);
    put_rows(picture);
    fputc('\n', picture->out);
    put_legend(picture);
    stasis_change_grid_fini(&picture->grid);
    return 0;
}

static void draw(const void *opaque, FILE *out)
{
    const struct picture *picture = opaque;

    stasis_change_svg(&picture->change, picture->names, out);
}

static int compare(struct stasis_snap *const snaps[2], struct stasis_change *ret_change,
                   struct stasis_error *err)
{
    struct stasis_progress progress;
    int rc;

    stasis_progress_init(&progress, "comparing");
    rc = stasis_change_compare(snaps[0], snaps[1], &progress, ret_change, err);
    stasis_progress_clear(&progress);
    return rc;
}

int stasis_memory_compare(const struct stasis_inspect_args *args, FILE *out,
                          struct stasis_error *err)
{
    struct picture picture = {.names = {args->operands[0], args->operands[1]},
                              .look = stasis_memory_draws_utf8() ? &utf8_look : &ascii_look,
                              .out = out};
    struct stasis_snap *snaps[2] = {NULL, NULL};
    int rc = 0;

    if (!strcmp(picture.names[0], "-") && !strcmp(picture.names[1], "-"))
        return stasis_fail(err, STASIS_ERR_ARG, "memory: standard input is one file; name another");
    for (int i = 0; i < 2 && !rc; i++)
        rc = stasis_inspect_open_any(args, picture.names[i], &snaps[i], err);
    if (!rc)
        rc = compare(snaps, &picture.change, err);
    if (!rc && args->values[STASIS_MEMORY_SVG])
        rc = stasis_svg_write(args->outputs, args->values[STASIS_MEMORY_SVG], draw, &picture, err);
    if (!rc)
        rc = put_picture(&picture, err);
    stasis_change_fini(&picture.change);
    stasis_snap_free(snaps[0]);
    stasis_snap_free(snaps[1]);
    return rc;
}
