/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/tools/rig.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "tools/inspect.h"
#include "tools/picture.h"

static struct run run;

static void draw(const char *locale, const char *columns)
{
    setenv("LC_ALL", locale, 1);
    setenv("COLUMNS", columns, 1);
    run_inspect(&run, NULL, "memory", in_folder("a.snap"), NULL);
    assert_ended(&run, 0, NULL);
}

/* 1 MiB of 16 chunks: one with 16 pages, one with 4, one with 8, one with 12, the rest zero; and a
 * second region of two pages. */
static void build(struct built *built)
{
    built_init(built);
    built_add(built, 0, 1 << 20);
    built_add(built, UINT64_C(1) << 32, 8192);
    fill_random(built->ram[0], 16 * 4096, 1);
    fill_random(built->ram[0] + 2 * STASIS_CHUNK_SIZE, 4 * 4096, 2);
    fill_random(built->ram[0] + 3 * STASIS_CHUNK_SIZE + 4096, 8 * 4096, 3);
    fill_random(built->ram[0] + 4 * STASIS_CHUNK_SIZE, 12 * 4096, 4);
    built->ram[1][8191] = 1;
}

static void picture(void **state)
{
    struct built built;

    (void)state;
    build(&built);
    save_to(&built, in_folder("a.snap"));
    draw("C", "80");
    assert_has(run.out,
               "/a.snap: 1 MiB in 2 regions; each character is 64 KiB\n\n"
               "     0x00000000 #.-+*...........\n\n"
               "    0x100000000 +\n\n"
               "  zero        .\n"
               "  stored      - to 16 KiB, + to 32 KiB, * to 48 KiB, # to 64 KiB not zero\n");
    assert_has(run.out, "\nzero                 12      768 KiB      0 bytes                0\n"
                        "stored                5      264 KiB      264 KiB               41\n"
                        "all                  17        1 MiB      264 KiB               41\n");
    draw("C.UTF-8", "80");
    assert_has(run.out, " █·░▒▓···········\n");
    assert_has(
        run.out,
        "  zero        ·\n  stored      ░ to 16 KiB, ▒ to 32 KiB, ▓ to 48 KiB, █ to 64 KiB not ");
    built_fini(&built);
}

/* A chunk that shrinks looks different; info and json tell of it too, and a core has it whole. */
static void compressed(void **state)
{
    struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1};
    struct stasis_error err;
    struct built built;
    struct image core;

    (void)state;
    build(&built);
    memset(built.ram[0] + 8 * STASIS_CHUNK_SIZE, 'x', 5 * 4096);
    assert_int_equal(getrandom(built.ram[0] + 9 * STASIS_CHUNK_SIZE, STASIS_CHUNK_SIZE, 0),
                     STASIS_CHUNK_SIZE);
    assert_int_equal(stasis_snap_save(built.snap, in_folder("a.snap"), &opts, NULL, &err), 0);
    draw("C", "80");
    assert_has(run.out, " 4.123...2#......\n");
    assert_has(run.out,
               "  compressed  1 to 16 KiB, 2 to 32 KiB, 3 to 48 KiB, 4 to 64 KiB not zero\n");
    assert_has(run.out, "\ncompressed            6      328 KiB ");
    run_inspect(&run, NULL, "info", in_folder("a.snap"), NULL);
    assert_has(run.out, "1 MiB in 2 regions: 64 KiB stored, 328 KiB compressed to ");
    assert_has(run.out, ", 640 KiB zero\n");
    run_inspect(&run, NULL, "json", in_folder("a.snap"), NULL);
    assert_has(run.out,
               "\"chunks_raw\": 1,\n      \"chunks_zlib\": 5,\n      \"chunks_zero\": 10,");
    run_inspect(&run, NULL, "core", in_folder("a.snap"), "-o", in_folder("core"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "ELF core, 0 vCPUs, 1 MiB of RAM (392 KiB not zero)");
    core = image_read(in_folder("core"));
    assert_memory_equal(core.bytes + core.len - built.size[0] - built.size[1], built.ram[0],
                        built.size[0]);
    image_fini(&core);
    built_fini(&built);
}

/* Whatever the width, every row is full but a region's last, and no line is wider. */
static void widths(void **state)
{
    static const struct {
        const char *columns;
        size_t cells;
    } rows[] = {{"20", 16},    {"79", 32}, {"80", 64},  {"200", 128},
                {"9999", 256}, {"-3", 64}, {"none", 64}};
    struct built built;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 32 << 20);
    built.ram[0][12345678] = 1;
    save_to(&built, in_folder("a.snap"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *row;

        draw("C", rows[i].columns);
        row = strstr(run.out, "0x00000000 ") + strlen("0x00000000 ");
        assert_int_equal(strcspn(row, "\n"), rows[i].cells);
    }
    built_fini(&built);
}

/* A cell never holds a level or kind that its chunks have not. */
static void cells(void **state)
{
    struct stasis_error err;
    struct stasis_snap *snap;
    struct built built;

    (void)state;
    build(&built);
    save_to(&built, in_folder("a.snap"));
    assert_int_equal(stasis_snap_open(in_folder("a.snap"), NULL, &snap, &err), 0);
    for (unsigned columns = 1; columns <= 32; columns *= 2) {
        struct stasis_picture_grid grid = stasis_picture_grid_fit(snap, columns, 2);
        struct stasis_picture_cell cell = stasis_picture_grid_cell(&grid, 0, 0);
        uint64_t pages = 16 * grid.cell_chunks;
        uint64_t used = grid.cell_chunks == 1   ? 16
                        : grid.cell_chunks == 2 ? 16
                        : grid.cell_chunks == 4 ? 28
                                                : 40;

        assert_int_equal(grid.cell_chunks, columns >= 16 ? 1 : 16 / columns);
        assert_int_equal(stasis_picture_grid_cells(&grid, 0), 16 / grid.cell_chunks);
        assert_int_equal(stasis_picture_grid_cells(&grid, 1), 1);
        assert_int_equal(cell.kind, STASIS_PICTURE_STORED);
        assert_int_equal(cell.level, (4 * used + pages - 1) / pages);
    }
    stasis_snap_free(snap);
    built_fini(&built);
}

static void svg(void **state)
{
    struct built built;
    struct image image;

    (void)state;
    build(&built);
    save_to(&built, in_folder("<&>.snap"));
    run_inspect(&run, NULL, "memory", in_folder("<&>.snap"), "--svg", "-", NULL);
    assert_ended(&run, 2, "-: this output cannot be standard output; name a file");
    assert_int_equal(access("-", F_OK), -1);
    run_inspect(&run, NULL, "memory", in_folder("<&>.snap"), "--svg", in_folder("a.svg"), NULL);
    assert_ended(&run, 0, NULL);
    assert_has(run.out, "each character is 64 KiB");
    image = image_read(in_folder("a.svg"));
    image.bytes[image.len] = '\0';
    assert_has((char *)image.bytes, "<svg xmlns=");
    assert_has((char *)image.bytes, "/&lt;&amp;&gt;.snap: a square is 64 KiB");
    /* The runs of the first region: 1 full, 1 zero, 3 others, 11 zero. */
    assert_has(
        (char *)image.bytes,
        "<rect x=\"130\" y=\"40\" width=\"6\" height=\"5\" class=\"s4\"><title>0x000000000 to "
        "0x00000ffff: stored, to 100 % not zero</title></rect>\n"
        "<rect x=\"136\" y=\"40\" width=\"6\" height=\"5\" class=\"z0\"><title>0x000010000 to "
        "0x00001ffff: zero</title></rect>\n"
        "<rect x=\"142\" y=\"40\" width=\"6\" height=\"5\" class=\"s1\"><title>0x000020000 to "
        "0x00002ffff: stored, to 25 % not zero</title></rect>\n");
    assert_has(
        (char *)image.bytes,
        "<rect x=\"160\" y=\"40\" width=\"66\" height=\"5\" class=\"z0\"><title>0x000050000 to "
        "0x0000fffff: zero</title></rect>\n");
    /* Both schemes have every class; the picture's title comes first. */
    for (size_t n = 0; n < 9; n++) {
        char rule[16];
        const char *first;

        snprintf(rule, sizeof(rule), ".%c%zu{fill:", n ? (n > 4 ? 'c' : 's') : 'z',
                 n > 4 ? n - 4 : n);
        first = strstr((char *)image.bytes, rule);
        assert_non_null(first);
        assert_true(first < strstr((char *)image.bytes, "(prefers-color-scheme: dark)"));
        assert_non_null(strstr(first + 1, rule));
    }
    assert_has((char *)image.bytes, "font-size=\"11\">\n<title>");
    assert_has((char *)image.bytes, "stored: 264 KiB, 5 chunks, 41 pages not zero</text>");
    assert_string_equal((char *)image.bytes + image.len - 7, "</svg>\n");
    image_fini(&image);
    run_inspect(&run, NULL, "memory", in_folder("<&>.snap"), "--svg", in_folder("."), NULL);
    assert_ended(&run, 2, "is not a regular file");
    built_fini(&built);
}

/* Bytes that this process has read so far; 0 where the kernel does not count. */
static uint64_t bytes_read(void)
{
    FILE *file = fopen("/proc/self/io", "re");
    char line[64] = "";
    const char *number;

    if (!file)
        return 0;
    number = fgets(line, sizeof(line), file) ? strchr(line, ' ') : NULL; /* "rchar: 123" */
    fclose(file);
    return number ? strtoull(number, NULL, 10) : 0;
}

/* A gibibyte, of which 8 MiB are stored: header, state and index are read and none of it. */
static void only_the_index_is_read(void **state)
{
    const uint64_t size = UINT64_C(1) << 30;
    const uint64_t stored = 8 << 20;
    const uint64_t index = stored / STASIS_CHUNK_SIZE * 24;
    int (*const commands[])(const struct stasis_inspect_args *, FILE *, struct stasis_error *) = {
        stasis_inspect_info, stasis_inspect_json, stasis_inspect_memory};
    void *ram = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct stasis_error err;
    struct built built;

    (void)state;
    if (ram == MAP_FAILED || !bytes_read())
        skip();
    (void)madvise(ram, size, MADV_HUGEPAGE);
    memset(ram, 0x5a, stored);
    built_init(&built);
    assert_int_equal(stasis_snap_add_ram(built.snap, 0, ram, size, &err), 0);
    save_to(&built, in_folder("large.snap"));
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        char path[256];
        char *const operands[] = {path};
        const struct stasis_inspect_args args = {.operands = operands, .operand_count = 1};
        FILE *out = fopen("/dev/null", "we");
        uint64_t before = bytes_read();
        uint64_t used;

        snprintf(path, sizeof(path), "%s", in_folder("large.snap"));
        assert_int_equal(commands[i](&args, out, &err), 0);
        used = bytes_read() - before;
        fclose(out);
        if (used < index || used > index + (64 << 10))
            fail_msg("command %zu read %" PRIu64 " bytes, the index has %" PRIu64, i, used, index);
    }
    munmap(ram, size);
    built_fini(&built);
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picture), cmocka_unit_test(compressed),
        cmocka_unit_test(widths),  cmocka_unit_test(cells),
        cmocka_unit_test(svg),     cmocka_unit_test(only_the_index_is_read),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
