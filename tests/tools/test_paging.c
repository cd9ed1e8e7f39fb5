/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Page tables made by hand: honest ones, and an enemy's.
 */
#include "tests/tools/rig.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

#include "tools/paging.h"

#define P        UINT64_C(1)
#define PS       UINT64_C(0x80)
#define NX       (UINT64_C(1) << 63)
#define ROOT     0x1000
#define KERNEL   UINT64_C(0xffffffff80000000)
#define BOTH     (STASIS_PAGING_LOWER | STASIS_PAGING_UPPER)
#define RAM_SIZE (4u << 20)
#define HIGH_GPA (UINT64_C(1) << 30)

/* Two regions: 4 MiB at 0 and 1 MiB at 1 GiB. Tables are made, then walked in the saved file. */
static struct built built;
static struct stasis_snap *snap;
static struct stasis_inspect_ram ram;
static struct stasis_paging paging;

static void entry(uint64_t table, unsigned index, uint64_t value)
{
    value = htole64(value);
    memcpy(built.ram[0] + table + 8 * index, &value, sizeof(value));
}

static int setup(void **state)
{
    (void)state;
    built_init(&built);
    built_add(&built, 0, RAM_SIZE);
    built_add(&built, HIGH_GPA, 1 << 20);
    return 0;
}

static void open_saved(void)
{
    struct stasis_error err;
    struct image image = image_of(&built);

    snap = image_reopen(&image);
    if (stasis_inspect_ram_init(&ram, snap, &err) || stasis_paging_init(&paging, &ram, &err))
        fail_msg("%s", err.msg);
    image_fini(&image);
}

static int teardown(void **state)
{
    (void)state;
    stasis_paging_fini(&paging);
    stasis_inspect_ram_fini(&ram);
    stasis_snap_free(snap);
    built_fini(&built);
    return 0;
}

static void walk(uint64_t cr3, unsigned levels, unsigned halves)
{
    struct stasis_error err;

    if (stasis_paging_walk(&paging, cr3, levels, halves, &err))
        fail_msg("%s", err.msg);
}

static void expect(size_t count, const struct stasis_paging_range *ranges)
{
    stasis_paging_sort(&paging);
    for (size_t i = 0; i < count && i < paging.count; i++)
        if (memcmp(&paging.ranges[i], &ranges[i], sizeof(ranges[i])) != 0)
            fail_msg("range %zu: 0x%llx -> 0x%llx, 0x%llx bytes", i,
                     (unsigned long long)paging.ranges[i].va,
                     (unsigned long long)paging.ranges[i].gpa,
                     (unsigned long long)paging.ranges[i].len);
    assert_int_equal(paging.count, count);
    assert_false(paging.full);
}

#define EXPECT(...)                                                                                \
    expect(sizeof((struct stasis_paging_range[]){__VA_ARGS__}) /                                   \
               sizeof(struct stasis_paging_range),                                                 \
           (struct stasis_paging_range[]){__VA_ARGS__})

/* The upper tables for one kernel address: entry 511 of the root, entry 510 of the next. */
static void kernel_tables(uint64_t root)
{
    entry(root, 511, 0x2000 | P);
    entry(0x2000, 510, 0x3000 | P);
}

static void pages_of_4_kib(void **state)
{
    (void)state;
    kernel_tables(ROOT);
    entry(0x3000, 1, 0x4000 | P | NX);
    entry(0x4000, 0, 0x8000 | P | NX);
    entry(0x4000, 1, 0x9000 | P | 0x67); /* merged with its neighbour whatever its flags */
    entry(0x4000, 2, 0x20000 | P);
    entry(0x4000, 3, 0x21000); /* not present */
    entry(0x4000, 511, 0x3ff000 | P);
    open_saved();
    walk(ROOT | 0x18, 4, STASIS_PAGING_UPPER);
    EXPECT({KERNEL + 0x200000, 0x8000, 0x2000}, {KERNEL + 0x202000, 0x20000, 0x1000},
           {KERNEL + 0x3ff000, 0x3ff000, 0x1000});
}

/* 2 MiB with the PAT bit set; 1 GiB across the end of RAM, and one that holds two regions' parts.
 */
static void large_pages(void **state)
{
    (void)state;
    kernel_tables(ROOT);
    entry(0x3000, 0, 0x200000 | P | PS | 0x1000);
    entry(0x3000, 1, 0x400000 | P | PS);            /* behind RAM */
    entry(0x2000, 511, HIGH_GPA | P | PS | 0x1000); /* 1 MiB of it is RAM */
    entry(ROOT, 256, 0x5000 | P);
    entry(0x5000, 0, 0 | P | PS);
    entry(0x5000, 1, HIGH_GPA | P | PS);
    open_saved();
    walk(ROOT, 4, STASIS_PAGING_UPPER);
    EXPECT({UINT64_C(0xffff800000000000), 0, RAM_SIZE},
           {UINT64_C(0xffff800040000000), HIGH_GPA, 1 << 20}, {KERNEL, 0x200000, 0x200000},
           {KERNEL + HIGH_GPA, HIGH_GPA, 1 << 20});
}

static void five_levels(void **state)
{
    (void)state;
    entry(0x6000, 511, ROOT | P);
    entry(0x6000, 256, 0x7000 | P);
    kernel_tables(ROOT);
    entry(0x3000, 0, 0x4000 | P);
    entry(0x4000, 5, 0x9000 | P);
    entry(0x7000, 0, 0x8000 | P);
    entry(0x8000, 3, 0 | P | PS);
    open_saved();
    walk(0x6000, 5, STASIS_PAGING_UPPER);
    EXPECT({UINT64_C(0xff000000c0000000), 0, RAM_SIZE}, {KERNEL + 0x5000, 0x9000, 0x1000});
}

static void halves(void **state)
{
    (void)state;
    kernel_tables(ROOT);
    entry(0x3000, 0, 0x200000 | P | PS);
    entry(ROOT, 255, 0x5000 | P);
    entry(0x5000, 511, 0 | P | PS);
    entry(ROOT, 0, 0x6000 | P);
    entry(0x6000, 0, 0 | P | PS);
    open_saved();
    walk(ROOT, 4, BOTH);
    EXPECT({0, 0, RAM_SIZE}, {UINT64_C(0x7fffc0000000), 0, RAM_SIZE}, {KERNEL, 0x200000, 0x200000});
}

static void only_the_lower_half(void **state)
{
    (void)state;
    kernel_tables(ROOT);
    entry(0x3000, 0, 0x200000 | P | PS);
    entry(ROOT, 0, 0x6000 | P);
    entry(0x6000, 0, 0 | P | PS);
    open_saved();
    walk(ROOT, 4, STASIS_PAGING_LOWER);
    EXPECT({0, 0, RAM_SIZE});
}

/* Two roots with a kernel in common, as two processes have it: it is there once. */
static void roots_that_share(void **state)
{
    (void)state;
    kernel_tables(ROOT);
    kernel_tables(0x5000);
    entry(0x3000, 0, 0x200000 | P | PS);
    entry(0x5000, 256, 0x6000 | P);
    entry(0x6000, 0, 0 | P | PS);
    open_saved();
    walk(ROOT, 4, STASIS_PAGING_UPPER);
    walk(0x5000, 4, STASIS_PAGING_UPPER);
    walk(0x5000, 4, STASIS_PAGING_UPPER);
    EXPECT({UINT64_C(0xffff800000000000), 0, RAM_SIZE}, {KERNEL, 0x200000, 0x200000});
}

/* Tables that lead back to themselves and to their roots, at every level. */
static void cycles(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 512; i++) {
        entry(ROOT, i, ROOT | P);
        entry(0x2000, i, (i % 2 ? ROOT : 0x2000) | P);
    }
    entry(ROOT, 300, 0x2000 | P);
    open_saved();
    walk(ROOT, 4, BOTH);
    assert_int_equal(paging.count, 0); /* no table of level 1 was reached: each was met before */
}

/* One table a hundred thousand times: its first place alone counts. */
static void aliases(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 512; i++) {
        entry(ROOT, i, 0x2000 | P);
        entry(0x2000, i, 0x3000 | P);
        entry(0x3000, i, 0x4000 | P);
    }
    entry(0x4000, 7, 0x9000 | P);
    open_saved();
    walk(ROOT, 4, STASIS_PAGING_UPPER);
    EXPECT({UINT64_C(0xffff800000007000), 0x9000, 0x1000});
}

static void tables_that_lead_nowhere_map_nothing(void **state)
{
    (void)state;
    entry(ROOT, 256, 0x000ffffffffff000 | P); /* a table outside RAM */
    entry(ROOT, 257, RAM_SIZE | P);           /* just outside */
    entry(ROOT, 258, 0x2000 | P | PS);        /* reserved at this level */
    entry(ROOT, 259, 0x3000 | P);
    entry(0x2000, 0, 0 | P | PS);
    entry(0x3000, 0, 0x000fffffc0000000 | P | PS); /* 1 GiB at the end of all addresses */
    open_saved();
    walk(ROOT, 4, BOTH);
    walk(UINT64_MAX, 4, BOTH);
    walk(UINT64_C(0x20000000), 5, BOTH);
    assert_int_equal(paging.count, 0);
}

/* 128 tables of pages that are never neighbours: as many ranges as there are entries. */
static void too_many_ranges(void **state)
{
    (void)state;
    entry(ROOT, 256, 0x2000 | P);
    entry(0x2000, 0, 0x3000 | P);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t table = 0x10000 + i * 0x1000;

        entry(0x3000, i, table | P);
        for (unsigned k = 0; k < 512; k++)
            entry(table, k, (k % 2 ? 0x8000u : 0x6000u) | P);
    }
    open_saved();
    walk(ROOT, 4, BOTH);
    assert_true(paging.full);
    assert_int_equal(paging.count, STASIS_PAGING_RANGES_MAX);
}

static void random_tables(void **state)
{
    struct stasis_error err;

    (void)state;
    fill_random(built.ram[0], RAM_SIZE, 9); /* the P bit is set everywhere */
    for (uint64_t at = 0; at < RAM_SIZE; at += 8)
        entry(at, 0, (at * 0x9e3779b97f4a7c15 >> 20 & (RAM_SIZE - 1)) | P);
    open_saved();
    assert_int_equal(stasis_paging_walk(&paging, ROOT, 5, BOTH, &err), 0);
    stasis_paging_sort(&paging);
    for (size_t i = 0; i < paging.count; i++)
        assert_int_equal(
            stasis_inspect_ram_extent(snap, paging.ranges[i].gpa, paging.ranges[i].len),
            paging.ranges[i].len);
}

static void a_damaged_table(void **state)
{
    struct stasis_error err;
    struct image image;

    (void)state;
    kernel_tables(ROOT);
    image = image_of(&built);
    image.bytes[image.len - STASIS_CHUNK_SIZE + 0x2001] ^= 1;
    snap = image_reopen(&image);
    assert_int_equal(stasis_inspect_ram_init(&ram, snap, &err), 0);
    assert_int_equal(stasis_paging_init(&paging, &ram, &err), 0);
    assert_int_equal(stasis_paging_walk(&paging, ROOT, 4, BOTH, &err), STASIS_ERR_CORRUPT);
    image_fini(&image);
}

static void translate(void **state)
{
    uint64_t gpa = 1;

    (void)state;
    entry(0x6000, 511, ROOT | P);
    kernel_tables(ROOT);
    entry(0x3000, 1, 0x4000 | P);
    entry(0x3000, 2, 0x200000 | P | PS);
    entry(0x2000, 511, HIGH_GPA | P | PS);
    entry(0x4000, 3, 0x9000 | P | NX);
    open_saved();
    for (unsigned levels = 4; levels <= 5; levels++) {
        uint64_t root = levels == 4 ? ROOT : 0x6000;

        assert_int_equal(stasis_paging_translate(&ram, root, levels, KERNEL + 0x203123, &gpa, NULL),
                         0);
        assert_int_equal(gpa, 0x9123);
        assert_int_equal(stasis_paging_translate(&ram, root, levels, KERNEL + 0x412345, &gpa, NULL),
                         0);
        assert_int_equal(gpa, 0x212345);
        assert_int_equal(
            stasis_paging_translate(&ram, root, levels, KERNEL + HIGH_GPA + 0x12345, &gpa, NULL),
            0);
        assert_int_equal(gpa, HIGH_GPA + 0x12345);
        assert_int_equal(stasis_paging_translate(&ram, root, levels, KERNEL, &gpa, NULL),
                         STASIS_ERR_NOT_FOUND);
        assert_int_equal(stasis_paging_translate(&ram, UINT64_MAX, levels, KERNEL, &gpa, NULL),
                         STASIS_ERR_NOT_FOUND);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pages_of_4_kib),
        TEST(large_pages),
        TEST(five_levels),
        TEST(halves),
        TEST(only_the_lower_half),
        TEST(roots_that_share),
        TEST(cycles),
        TEST(aliases),
        TEST(tables_that_lead_nowhere_map_nothing),
        TEST(too_many_ranges),
        TEST(random_tables),
        TEST(a_damaged_table),
        TEST(translate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
