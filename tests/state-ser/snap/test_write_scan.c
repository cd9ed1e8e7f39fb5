/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The search for zero RAM: pages that were never touched are not looked at, all others are,
 * whatever kind of memory they are in. Each case is saved by all three methods, and the files are
 * equal, byte by byte.
 */
#include "tests/state-ser/snap/scan_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE (2 * MIB)

/* Does a page that was only read map the page of zeros, as it does on most kernels? */
static bool has_zero_page(void)
{
    volatile uint8_t *at = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    struct stasis_page_range range;
    uint64_t stop;
    bool has;

    assert_int_equal(*at, 0);
    has =
        stasis_ram_io_scan_pagemap(fd, (uintptr_t)at, (uintptr_t)at + PAGE, &range, 1, &stop) == 0;
    close(fd);
    munmap((void *)(uintptr_t)at, PAGE);
    return has;
}

/* ---- anonymous memory ---- */

static void touch_some(struct built *built)
{
    static const size_t pages[] = {0,    1,    15,   16,   31,   33,   511, 512,
                                   4000, 8191, 8192, 8193, 8196, 8200, 8703};
    uint8_t *ram = scan_plain(built, 0, SIZE);

    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        scan_put(ram, pages[i]);
}

static void only_pages_that_were_touched_are_looked_at(void **state)
{
    (void)state;
    scan_save_by_all(touch_some, 15, 15);
}

/* Several in one block of the index, with chunks that are short, and one that is all zero. */
static void make_regions(struct built *built)
{
    scan_plain(built, 0, 5 * PAGE);
    scan_plain(built, MIB, MIB + 3 * PAGE);
    scan_plain(built, 8 * MIB, SIZE);
    scan_plain(built, 8 * MIB + SIZE, MIB);
    scan_put(built->ram[0], 4);
    scan_put(built->ram[1], 0);
    scan_put(built->ram[1], 258);
    scan_put(built->ram[3], 255);
}

static void regions_are_told_apart(void **state)
{
    (void)state;
    scan_save_by_all(make_regions, 4, 4);
}

static void make_huge_page(struct built *built)
{
    uint8_t *ram = stasis_ram_io_scratch(SIZE);

    assert_non_null(ram);
    scan_add(built, 0, ram, SIZE);
    scan_put(ram + 4 * HUGE_PAGE, 3);
}

/* All of it is in memory, so all of it is looked at. */
static void huge_pages_are_looked_at(void **state)
{
    struct built built;
    unsigned pages;

    (void)state;
    built_init(&built);
    make_huge_page(&built);
    pages = scan_pagemap_entry(built.ram[0] + 4 * HUGE_PAGE) >> 63 ? 512 : 1;
    built_fini(&built);
    if (pages == 1)
        printf("left out: there are no huge pages here\n");
    scan_save_by_all(make_huge_page, pages, pages);
}

static void read_many(struct built *built)
{
    volatile uint8_t *ram = scan_plain(built, 0, SIZE);

    for (size_t page = 1000; page < 2000; page++)
        assert_int_equal(ram[page * PAGE], 0);
    scan_put(built->ram[0], 1500);
}

/* PAGEMAP_SCAN tells them apart. */
static void pages_that_were_read_are_zero(void **state)
{
    (void)state;
    if (!has_zero_page())
        printf("left out: pages that are read are not told from others here\n");
    scan_save_by_all(read_many, has_zero_page() ? 1 : 1000, 1000);
}

static void give_back(struct built *built)
{
    uint8_t *ram = scan_plain(built, 0, SIZE);

    for (size_t page = 100; page < 200; page++)
        scan_put(ram, page);
    assert_int_equal(madvise(ram + 110 * PAGE, 80 * PAGE, MADV_DONTNEED), 0);
}

static void pages_that_were_given_back_are_zero(void **state)
{
    (void)state;
    scan_save_by_all(give_back, 20, 20);
}

/* Not on a page boundary: its pages are not those of the kernel. */
static void make_askew(struct built *built)
{
    static uint8_t ram[4 * MIB + PAGE];

    memset(ram, 0, sizeof(ram));
    scan_add(built, 0x20000000, ram + 16 - (uintptr_t)ram % 16, 4 * MIB);
    scan_put(built->ram[0], 700);
}

static void memory_of_any_address_is_saved(void **state)
{
    (void)state;
    scan_save_by_all(make_askew, 1024, 1024);
}

static size_t status_kib(const char *name)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    size_t kib = 0;

    assert_non_null(file);
    while (fgets(line, sizeof(line), file))
        if (!strncmp(line, name, strlen(name)))
            kib = strtoul(line + strlen(name) + 1, NULL, 10);
    fclose(file);
    return kib;
}

static void no_page_tables_are_added(void **state)
{
    const size_t size = (size_t)16 << 30;
    struct stasis_error err = {0};
    char path[128];

    (void)state;
    if (!scan_has_pagemap())
        skip();
    snprintf(path, sizeof(path), "%s/snap", folder_make());
    for (size_t i = 0; i < SCAN_METHODS; i++) {
        const struct stasis_save_opts opts = {.size = sizeof(opts),
                                              .no_sync = true,
                                              .no_userfaultfd = scan_methods[i].no_userfaultfd};
        struct built built;
        size_t tables, memory;

        if (!scan_asks(&scan_methods[i]))
            continue;

        built_init(&built);
        built_add(&built, 0, size);
        (void)madvise(built.ram[0], size, MADV_HUGEPAGE);
        built.snap->populated_by = scan_methods[i].by;
        tables = status_kib("VmPTE:");
        memory = status_kib("RssAnon:");
        if (stasis_snap_save(built.snap, path, &opts, NULL, &err))
            fail_msg("%s", err.msg);
        assert_in_range(status_kib("VmPTE:"), 0, tables + 256); /* 32 MiB if all were read */
        assert_in_range(status_kib("RssAnon:"), 0, memory + 8192);
        built_fini(&built);
    }
    folder_remove();
}

/* ---- memory whose absent pages are not zero, or not known to be ---- */

static int file_of(size_t size, size_t page)
{
    int fd = memfd_create("stasis-test", MFD_CLOEXEC);
    uint8_t *bytes;

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(bytes, MAP_FAILED);
    scan_put(bytes, page);
    munmap(bytes, size);
    return fd;
}

static void map_file(struct built *built, int kind)
{
    int fd = file_of(4 * MIB, 777);
    uint8_t *ram = scan_plain(built, 0, SIZE);

    scan_put(ram, 5);
    assert_ptr_equal(mmap(ram + 8 * MIB, 4 * MIB, PROT_READ | PROT_WRITE, kind | MAP_FIXED, fd, 0),
                     ram + 8 * MIB);
    close(fd);
}

static void map_file_privately(struct built *built)
{
    map_file(built, MAP_PRIVATE);
}

static void map_file_shared(struct built *built)
{
    map_file(built, MAP_SHARED);
}

static void pages_of_files_are_looked_at(void **state)
{
    (void)state;
    scan_save_by_all(map_file_privately, 1 + 1024, 1 + 1024);
    scan_save_by_all(map_file_shared, 1 + 1024, 1 + 1024);
}

static void share(struct built *built)
{
    scan_add(built, 0,
             mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
             4 * MIB);
    scan_put(built->ram[0], 10);
}

static void shared_memory_is_looked_at(void **state)
{
    (void)state;
    scan_save_by_all(share, 1024, 1024);
}

struct found {
    uintptr_t start, end;
    unsigned count;
};

static void note(void *ctx, uintptr_t start, uintptr_t end)
{
    struct found *found = ctx;

    *found = (struct found){start, end, found->count + 1};
}

/* What was not loaded when a lazy guest's memory was detached must never be saved as zeros. */
static void memory_that_nobody_may_read_may_hold_something(void **state)
{
    uint8_t *ram = mmap(NULL, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uintptr_t start = (uintptr_t)ram;

    (void)state;
    assert_ptr_not_equal(ram, MAP_FAILED);
    for (size_t i = 0; i < SCAN_METHODS; i++) {
        struct stasis_populated populated;
        struct found found = {0};

        stasis_populated_init(&populated, scan_methods[i].by,
                              scan_methods[i].no_userfaultfd ? STASIS_MAPPINGS_MAPS
                                                             : STASIS_MAPPINGS_SMAPS,
                              &(struct stasis_populated_files){0}, start, start + MIB, NULL);
        stasis_populated_find(&populated, start, start + MIB, note, &found);
        stasis_populated_fini(&populated);
        assert_int_equal(found.count, 1);
        assert_int_equal(found.start, start);
        assert_int_equal(found.end, start + MIB);
    }
    munmap(ram, MIB);
}

/* qemu-user shows a big-endian process the little-endian entries of its host. */
static void entries_in_the_other_byte_order_are_known(void **state)
{
    const uint64_t written = UINT64_C(0x8180) << 48; /* present, exclusive, soft-dirty */
    const unsigned pages = 128;

    (void)state;
    for (uint64_t frame = 0x1230000; frame < 0x1230000 + 1024; frame++) {
        unsigned taken = 0;

        assert_true(stasis_populated_is_ours(written | frame));
        for (unsigned i = 0; i < pages; i++)
            taken += stasis_populated_is_ours(__builtin_bswap64(written | (frame + i)));
        assert_true(taken < pages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_in_the_other_byte_order_are_known),
        cmocka_unit_test(only_pages_that_were_touched_are_looked_at),
        cmocka_unit_test(regions_are_told_apart),
        cmocka_unit_test(huge_pages_are_looked_at),
        cmocka_unit_test(pages_that_were_read_are_zero),
        cmocka_unit_test(pages_that_were_given_back_are_zero),
        cmocka_unit_test(memory_of_any_address_is_saved),
        cmocka_unit_test(no_page_tables_are_added),
        cmocka_unit_test(pages_of_files_are_looked_at),
        cmocka_unit_test(shared_memory_is_looked_at),
        cmocka_unit_test(memory_that_nobody_may_read_may_hold_something),
    };

    return cmocka_run_group_tests(tests, scan_setup, NULL);
}
