/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What `memory A B` draws.
 */
#include "tests/tools/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/change.h"

static struct run run;

static void draw(const char *locale)
{
    char a[256];

    snprintf(a, sizeof(a), "%s", in_folder("a.snap"));
    setenv("LC_ALL", locale, 1);
    setenv("COLUMNS", "40", 1); /* 16 cells: a chunk in a row */
    run_inspect(&run, NULL, "memory", a, in_folder("b.snap"), NULL);
    assert_ended(&run, 0, NULL);
}

/* 1 MiB with 3 pages in its first chunk and 1 in its fourth; and 5 pages at 4 GiB. */
static void build(struct built *built)
{
    built_init(built);
    built_add(built, 0, 1 << 20);
    built_add(built, UINT64_C(1) << 32, 5 * STASIS_PAGE_SIZE);
    fill_random(built->ram[0], 3 * STASIS_PAGE_SIZE, 1);
    fill_random(built->ram[0] + 3 * STASIS_CHUNK_SIZE, STASIS_PAGE_SIZE, 2);
    fill_random(built->ram[1], 5 * STASIS_PAGE_SIZE, 3);
}

/* A byte that is new, one that changed, a page that became zero. */
static void change(struct built *built)
{
    built->ram[0][5 * STASIS_PAGE_SIZE] = 1;
    built->ram[0][2 * STASIS_PAGE_SIZE - 1] ^= 1;
    memset(built->ram[1] + 4 * STASIS_PAGE_SIZE, 0, STASIS_PAGE_SIZE);
}

static void every_page_is_a_character(void **state)
{
    struct built built;

    (void)state;
    build(&built);
    save_to(&built, in_folder("a.snap"));
    change(&built);
    save_to(&built, in_folder("b.snap"));
    draw("C");
    assert_has(run.out, "/b.snap: what changed in memory; each character is 4 KiB\n\n"
                        "     0x00000000 -#-..#..........\n"
                        "            ... 128 KiB zero\n"
                        "     0x00030000 -...............\n"
                        "            ... 768 KiB zero\n"
                        "    0x100000000 ----#\n\n"
                        "  zero      .    1004 KiB, 251 pages in both\n"
                        "  equal     -      28 KiB, 7 pages\n"
                        "  differs   #      12 KiB, 3 pages\n");
    draw("C.UTF-8");
    assert_has(run.out, " ░█░··█··········\n");
    assert_has(run.out, "\n  differs   █      12 KiB, 3 pages\n");
    built_fini(&built);
}

/* 64 chunks of which each has a page: a row of two chunks. */
static void a_large_guest_has_cells_of_several_pages(void **state)
{
    struct built built;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 64 * STASIS_CHUNK_SIZE);
    for (size_t i = 0; i < 64; i++)
        fill_random(built.ram[0] + i * STASIS_CHUNK_SIZE, STASIS_PAGE_SIZE, (uint32_t)i + 1);
    save_to(&built, in_folder("a.snap"));
    built.ram[0][0] ^= 1;
    fill_random(built.ram[0] + 4 * STASIS_PAGE_SIZE, 2 * STASIS_PAGE_SIZE, 99);
    fill_random(built.ram[0] + 8 * STASIS_PAGE_SIZE, 3 * STASIS_PAGE_SIZE, 99);
    fill_random(built.ram[0] + 12 * STASIS_PAGE_SIZE, 4 * STASIS_PAGE_SIZE, 99);
    save_to(&built, in_folder("b.snap"));
    draw("C");
    assert_has(run.out, "each character is 16 KiB\n\n     0x00000000 +xX#-...-...-...\n"
                        "     0x00040000 -...-...-...-...\n");
    assert_has(run.out, "     0x003c0000 -...-...-...-...\n\n  zero ");
    assert_has(run.out, "\n            + to 4 KiB, x to 8 KiB, X to 12 KiB, # to 16 KiB of a "
                        "character\n");
    built_fini(&built);
}

static void regions_may_differ(void **state)
{
    struct built a, b;

    (void)state;
    built_init(&a);
    built_add(&a, 0x3000, 0x10000);
    memset(a.ram[0], 0x77, 0x10000);
    save_to(&a, in_folder("a.snap"));
    built_init(&b);
    built_add(&b, 0x8000, 0x20000);
    memset(b.ram[0], 0x77, 0x8000);
    save_to(&b, in_folder("b.snap"));
    draw("C");
    /* Up to 0x13000 both have RAM; from 0x10000 on the second one's is zero. */
    assert_has(run.out, "     0x00008000 --------########\n     0x00018000 ################\n\n");
    assert_has(run.out, "\n  5 pages are in /");
    assert_has(run.out, "/a.snap only\n");
    built_fini(&a);
    built_fini(&b);
}

static void equal_and_empty(void **state)
{
    struct built built;

    (void)state;
    build(&built);
    save_to(&built, in_folder("a.snap"));
    save_to(&built, in_folder("b.snap"));
    draw("C");
    assert_has(run.out, "  differs   #     0 bytes, 0 pages\n");
    assert_true(strchr(strstr(run.out, "\n\n"), '#') > strstr(run.out, "\n  differs "));
    built_fini(&built);
    built_init(&built);
    save_to(&built, in_folder("a.snap"));
    save_to(&built, in_folder("b.snap"));
    draw("C");
    assert_has(run.out, "4 KiB\n\n\n  zero      .     0 bytes, 0 pages in both\n");
    built_fini(&built);
}

/* Whatever the grid: its cells have all pages that are not zero in both, and each once. */
static void cells_add_up(void **state)
{
    struct stasis_change change;
    struct stasis_change_grid grid;
    struct stasis_snap *snaps[2];
    struct stasis_error err;
    struct built built;

    (void)state;
    built_large(&built);
    save_to(&built, in_folder("a.snap"));
    fill_random(built.ram[1] + 12345, 54321, 7);
    save_to(&built, in_folder("b.snap"));
    assert_int_equal(stasis_snap_open(in_folder("a.snap"), NULL, &snaps[0], &err), 0);
    assert_int_equal(stasis_snap_open(in_folder("b.snap"), NULL, &snaps[1], &err), 0);
    assert_int_equal(stasis_change_compare(snaps[0], snaps[1], NULL, &change, &err), 0);
    assert_true(change.pages[STASIS_CHANGE_DIFFERS] >= 13);
    for (size_t rows = 1; rows < 200; rows = 2 * rows + 1) {
        uint64_t pages = 0, used = 0, differ = 0;

        assert_int_equal(stasis_change_grid_fit(&change, 32, rows, &grid, &err), 0);
        assert_true(grid.row_count <= rows || grid.row_count <= 2);
        for (size_t row = 0; row < grid.row_count; row++) {
            pages += stasis_change_left_out(&change, &grid, row) / STASIS_PAGE_SIZE;
            for (unsigned i = 0; i < stasis_change_row_cells(&grid, row); i++) {
                pages += grid.rows[row].cells[i].pages;
                used += grid.rows[row].cells[i].used;
                differ += grid.rows[row].cells[i].differ;
            }
        }
        pages += stasis_change_left_out(&change, &grid, grid.row_count) / STASIS_PAGE_SIZE;
        assert_int_equal(pages, stasis_snap_info(snaps[1])->ram_bytes / STASIS_PAGE_SIZE);
        assert_int_equal(differ, change.pages[STASIS_CHANGE_DIFFERS]);
        assert_int_equal(used - differ, change.pages[STASIS_CHANGE_EQUAL]);
        stasis_change_grid_fini(&grid);
    }
    stasis_change_fini(&change);
    stasis_snap_free(snaps[0]);
    stasis_snap_free(snaps[1]);
    built_fini(&built);
}

static void svg(void **state)
{
    struct built built;
    struct image image;
    char a[256], b[256];

    (void)state;
    build(&built);
    snprintf(a, sizeof(a), "%s", in_folder("<&>.snap"));
    snprintf(b, sizeof(b), "%s", in_folder("\"b\".snap"));
    save_to(&built, a);
    change(&built);
    save_to(&built, b);
    run_inspect(&run, NULL, "memory", a, b, "--svg", in_folder("a.svg"), NULL);
    assert_ended(&run, 0, NULL);
    image = image_read(in_folder("a.svg"));
    image.bytes[image.len] = '\0';
    assert_has((char *)image.bytes, "<title>What changed in memory from /");
    assert_has((char *)image.bytes, "/&lt;&amp;&gt;.snap to /");
    assert_has((char *)image.bytes, "b&quot;.snap: a square is 4 KiB</text>\n");
    assert_has((char *)image.bytes,
               "<rect x=\"130\" y=\"40\" width=\"6\" height=\"5\" class=\"ce\"><title>0x000000000 "
               "to 0x000000fff: equal</title></rect>\n"
               "<rect x=\"136\" y=\"40\" width=\"6\" height=\"5\" class=\"c4\"><title>0x000001000 "
               "to 0x000001fff: differs in 100 %</title></rect>\n"
               "<rect x=\"142\" y=\"40\" width=\"6\" height=\"5\" class=\"ce\"><title>0x000002000 "
               "to 0x000002fff: equal</title></rect>\n"
               "<rect x=\"148\" y=\"40\" width=\"12\" height=\"5\" class=\"cz\">");
    assert_has((char *)image.bytes, ">512 KiB zero in both</text>\n");
    assert_has((char *)image.bytes, ">differs: 12 KiB, 3 pages</text>\n");
    for (const char *name = "btze1234"; *name; name++) {
        char rule[] = ".cX{fill:";
        const char *first;

        rule[2] = *name;
        first = strstr((char *)image.bytes, rule);
        assert_non_null(first);
        assert_non_null(strstr(first + 1, rule)); /* in both schemes */
    }
    assert_string_equal((char *)image.bytes + image.len - 7, "</svg>\n");
    image_fini(&image);
    built_fini(&built);
}

static void what_cannot_be_compared(void **state)
{
    (void)state;
    run_inspect(&run, NULL, "memory", "-", "-", NULL);
    assert_ended(&run, 2, "memory: standard input is one file; name another");
    run_inspect(&run, NULL, "memory", in_folder("a.snap"), in_folder("none.snap"), NULL);
    assert_ended(&run, 2, "none.snap");
    run_inspect(&run, NULL, "memory", "a", "b", "c", NULL);
    assert_ended(&run, 2, "memory");
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_page_is_a_character),
        cmocka_unit_test(a_large_guest_has_cells_of_several_pages),
        cmocka_unit_test(regions_may_differ),
        cmocka_unit_test(equal_and_empty),
        cmocka_unit_test(cells_add_up),
        cmocka_unit_test(svg),
        cmocka_unit_test(what_cannot_be_compared),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
