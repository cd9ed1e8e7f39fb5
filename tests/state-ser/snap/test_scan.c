/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The search for zero RAM: pages that were never touched are not looked at, all others are,
 * whatever kind of memory they are in. Each case is saved by all three methods, and the files are
 * equal, byte by byte.
 */
#include "tests/state-ser/snap/ram_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <unistd.h>

#include "state-ser/snap/object.h"
#include "state-ser/snap/ram_io.h"

#define PAGE      ((size_t)STASIS_PAGE_SIZE)
#define MIB       ((size_t)1 << 20)
#define HUGE_PAGE (2 * MIB)
#define SIZE      (34 * MIB) /* two blocks of the index */

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

static atomic_uint pages_looked_at;

uint16_t __real_stasis_chunk_page_mask_among(const void *bytes, uint16_t among);
uint16_t __wrap_stasis_chunk_page_mask_among(const void *bytes, uint16_t among);
uint16_t __wrap_stasis_chunk_page_mask_among(const void *bytes, uint16_t among)
{
    atomic_fetch_add(&pages_looked_at, (unsigned)__builtin_popcount(among));
    return __real_stasis_chunk_page_mask_among(bytes, among);
}

/* ---- what the kernel can do ---- */

static bool has_pagemap(void)
{
    return sysconf(_SC_PAGESIZE) == STASIS_PAGE_SIZE && !access("/proc/self/pagemap", R_OK) &&
           !access("/proc/self/smaps", R_OK);
}

static bool has_pagemap_scan(void)
{
    struct stasis_page_range range;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t stop;
    bool has = stasis_ram_io_scan_pagemap(fd, 0, PAGE, &range, 1, &stop) >= 0;

    close(fd);
    return has;
}

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

static int setup(void **state)
{
    (void)state;
    if (!has_pagemap())
        printf("left out: how little is looked at; there is no pagemap here\n");
    else if (!has_pagemap_scan())
        printf("left out: PAGEMAP_SCAN; the kernel is older than 6.7\n");
    return 0;
}

/* ---- saving by every method ---- */

static const enum stasis_populated_by methods[] = {
    STASIS_POPULATED_BY_SCAN, STASIS_POPULATED_BY_PAGEMAP, STASIS_POPULATED_BY_NOTHING};

#define METHODS (sizeof(methods) / sizeof(methods[0]))

/* What was saved is what is in memory. */
static void assert_right(const struct image *image, const struct built *built)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    int fd = image_fd(image);

    if (stasis_snap_open_fd(fd, "test", NULL, &snap, &err))
        fail_msg("%s", err.msg);
    for (uint32_t r = 0; r < built->region_count; r++) {
        uint8_t *ram = calloc(1, built->size[r]);

        assert_non_null(ram);
        if (stasis_snap_load_ram(snap, r, ram, 1, &err))
            fail_msg("%s", err.msg);
        assert_true(!memcmp(ram, built->ram[r], built->size[r]));
        free(ram);
    }
    stasis_snap_free(snap);
    close(fd);
}

static void assert_equal(const struct image *a, const struct image *b)
{
    assert_int_equal(a->len, b->len);
    assert_true(!memcmp(a->bytes, b->bytes, a->len));
}

/* Of memory made anew each time, since saving touches what it stores. `scan` and `pagemap`: pages
 * that these methods are to look at. */
static void save_by_all(void (*make)(struct built *built), unsigned scan, unsigned pagemap)
{
    const unsigned pages[METHODS] = {has_pagemap_scan() ? scan : pagemap, pagemap, 0};
    struct image images[METHODS];

    for (size_t i = 0; i < METHODS; i++) {
        struct built built;

        built_init(&built);
        make(&built);
        built.snap->populated_by = methods[i];
        atomic_store(&pages_looked_at, 0);
        images[i] = image_of(&built);
        if (has_pagemap() && pages[i] && atomic_load(&pages_looked_at) != pages[i])
            fail_msg("method %zu looked at %u pages instead of %u", i,
                     atomic_load(&pages_looked_at), pages[i]);
        if (methods[i] == STASIS_POPULATED_BY_NOTHING)
            assert_right(&images[i], &built);
        image_wipe_identity(&images[i]);
        assert_equal(&images[i], &images[0]);
        built_fini(&built);
    }
    for (size_t i = 0; i < METHODS; i++)
        image_fini(&images[i]);
}

static void add(struct built *built, uint64_t gpa, void *ram, size_t size)
{
    struct stasis_error err = {0};
    uint32_t r = built->region_count++;

    assert_ptr_not_equal(ram, MAP_FAILED);
    built->gpa[r] = gpa;
    built->size[r] = size;
    built->ram[r] = ram;
    if (stasis_snap_add_ram(built->snap, gpa, ram, size, &err))
        fail_msg("%s", err.msg);
}

/* Memory of small pages; it is the last region. */
static uint8_t *plain(struct built *built, uint64_t gpa, size_t size)
{
    built_add(built, gpa, size);
    (void)madvise(built->ram[built->region_count - 1], size, MADV_NOHUGEPAGE);
    return built->ram[built->region_count - 1];
}

/* Content of the k-th page is told apart from that of any other. */
static void put(uint8_t *ram, size_t page)
{
    memset(ram + page * PAGE + 100, (int)(page % 251) + 1, 50);
}

/* ---- anonymous memory ---- */

static void touch_some(struct built *built)
{
    static const size_t pages[] = {0,    1,    15,   16,   31,   33,   511, 512,
                                   4000, 8191, 8192, 8193, 8196, 8200, 8703};
    uint8_t *ram = plain(built, 0, SIZE);

    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
        put(ram, pages[i]);
}

static void only_pages_that_were_touched_are_looked_at(void **state)
{
    (void)state;
    save_by_all(touch_some, 15, 15);
}

/* Several in one block of the index, with chunks that are short, and one that is all zero. */
static void make_regions(struct built *built)
{
    plain(built, 0, 5 * PAGE);
    plain(built, MIB, MIB + 3 * PAGE);
    plain(built, 8 * MIB, SIZE);
    plain(built, 8 * MIB + SIZE, MIB);
    put(built->ram[0], 4);
    put(built->ram[1], 0);
    put(built->ram[1], 258);
    put(built->ram[3], 255);
}

static void regions_are_told_apart(void **state)
{
    (void)state;
    save_by_all(make_regions, 4, 4);
}

static void make_huge_page(struct built *built)
{
    uint8_t *ram = stasis_ram_io_scratch(SIZE);

    assert_non_null(ram);
    add(built, 0, ram, SIZE);
    put(ram + 4 * HUGE_PAGE, 3);
}

static uint64_t pagemap_entry(const uint8_t *at)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t entry = 0;

    (void)!pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)at / PAGE * sizeof(entry)));
    close(fd);
    return entry;
}

/* All of it is in memory, so all of it is looked at. */
static void huge_pages_are_looked_at(void **state)
{
    struct built built;
    unsigned pages;

    (void)state;
    built_init(&built);
    make_huge_page(&built);
    pages = pagemap_entry(built.ram[0] + 4 * HUGE_PAGE) >> 63 ? 512 : 1;
    built_fini(&built);
    if (pages == 1)
        printf("left out: there are no huge pages here\n");
    save_by_all(make_huge_page, pages, pages);
}

static void read_many(struct built *built)
{
    volatile uint8_t *ram = plain(built, 0, SIZE);

    for (size_t page = 1000; page < 2000; page++)
        assert_int_equal(ram[page * PAGE], 0);
    put(built->ram[0], 1500);
}

/* PAGEMAP_SCAN tells them apart. */
static void pages_that_were_read_are_zero(void **state)
{
    (void)state;
    if (!has_zero_page())
        printf("left out: pages that are read are not told from others here\n");
    save_by_all(read_many, has_zero_page() ? 1 : 1000, 1000);
}

static void give_back(struct built *built)
{
    uint8_t *ram = plain(built, 0, SIZE);

    for (size_t page = 100; page < 200; page++)
        put(ram, page);
    assert_int_equal(madvise(ram + 110 * PAGE, 80 * PAGE, MADV_DONTNEED), 0);
}

static void pages_that_were_given_back_are_zero(void **state)
{
    (void)state;
    save_by_all(give_back, 20, 20);
}

/* Not on a page boundary: its pages are not those of the kernel. */
static void make_askew(struct built *built)
{
    static uint8_t ram[4 * MIB + PAGE];

    memset(ram, 0, sizeof(ram));
    add(built, 0x20000000, ram + 16 - (uintptr_t)ram % 16, 4 * MIB);
    put(built->ram[0], 700);
}

static void memory_of_any_address_is_saved(void **state)
{
    (void)state;
    save_by_all(make_askew, 1024, 1024);
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
    if (!has_pagemap())
        skip();
    snprintf(path, sizeof(path), "%s/snap", folder_make());
    for (size_t i = 0; i < 2; i++) {
        struct built built;
        size_t tables, memory;

        built_init(&built);
        built_add(&built, 0, size);
        (void)madvise(built.ram[0], size, MADV_HUGEPAGE);
        built.snap->populated_by = methods[i];
        tables = status_kib("VmPTE:");
        memory = status_kib("RssAnon:");
        if (stasis_snap_save(built.snap, path, NULL, NULL, &err))
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
    put(bytes, page);
    munmap(bytes, size);
    return fd;
}

static void map_file(struct built *built, int kind)
{
    int fd = file_of(4 * MIB, 777);
    uint8_t *ram = plain(built, 0, SIZE);

    put(ram, 5);
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
    save_by_all(map_file_privately, 1 + 1024, 1 + 1024);
    save_by_all(map_file_shared, 1 + 1024, 1 + 1024);
}

static void share(struct built *built)
{
    add(built, 0, mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
        4 * MIB);
    put(built->ram[0], 10);
}

static void shared_memory_is_looked_at(void **state)
{
    (void)state;
    save_by_all(share, 1024, 1024);
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
    for (size_t i = 0; i < METHODS; i++) {
        struct stasis_populated populated;
        struct found found = {0};

        stasis_populated_init(&populated, methods[i], start, start + MIB);
        stasis_populated_find(&populated, start, start + MIB, note, &found);
        stasis_populated_fini(&populated);
        assert_int_equal(found.count, 1);
        assert_int_equal(found.start, start);
        assert_int_equal(found.end, start + MIB);
    }
    munmap(ram, MIB);
}

/* ---- swap ---- */

static char swap_path[] = "/var/tmp/stasis-test-swap-XXXXXX";

/* The end of its first page says that it is a swap area. */
static int make_swap(char *path, size_t size)
{
    static uint8_t page[4096];
    uint32_t head[2] = {1, (uint32_t)(size / PAGE) - 1}; /* version, last page */
    int fd = mkstemp(path);

    if (fd < 0)
        return -1;
    for (size_t at = 0; at < size; at += PAGE)
        assert_int_equal(pwrite(fd, page, PAGE, (off_t)at), (ssize_t)PAGE);
    assert_int_equal(pwrite(fd, head, sizeof(head), 1024), (ssize_t)sizeof(head));
    assert_int_equal(pwrite(fd, "SWAPSPACE2", 10, PAGE - 10), 10);
    assert_int_equal(fsync(fd), 0);
    close(fd);
    return swapon(path, 0);
}

static void swap_out(struct built *built)
{
    uint8_t *ram = plain(built, 0, SIZE);
    uint64_t swapped = 0;

    for (size_t page = 50; page < 150; page++)
        put(ram, page);
    assert_int_equal(madvise(ram, SIZE, MADV_PAGEOUT), 0);
    for (size_t page = 50; page < 150; page++)
        swapped += pagemap_entry(ram + page * PAGE) >> 62 & 1;
    if (!swapped)
        printf("left out: nothing was swapped out\n");
}

static void pages_that_are_swapped_out_are_looked_at(void **state)
{
    (void)state;
    if (make_swap(swap_path, 8 * MIB)) {
        printf("skipped: no swap can be made here: %s\n", strerror(errno));
        skip();
    }
    save_by_all(swap_out, 100, 100);
}

static int remove_swap(void **state)
{
    (void)state;
    (void)swapoff(swap_path);
    unlink(swap_path);
    return 0;
}

/* ---- memory that comes from a snapshot ---- */

/* Content here and there. */
static void make_guest(struct built *built)
{
    uint8_t *ram;

    built_init(built);
    ram = plain(built, 0, SIZE);
    fill_random(ram + MIB, 300000, 1);
    fill_random(ram + 20 * MIB, 3 * MIB, 2);
    put(ram, 8500);
}

/* The attached memory is saved by every method and is what the guest was. */
static void save_attached(const struct image *saved, const struct image *expected,
                          enum stasis_ram_mode mode, bool background, bool wait)
{
    for (size_t i = 0; i < METHODS; i++) {
        struct built again;
        struct image image;
        struct rig rig;
        int fd = image_fd(saved);

        rig_attach(&rig, fd, mode, background);
        close(fd);
        if (wait)
            rig_wait(&rig);
        built_init(&again);
        for (uint32_t r = 0; r < rig.region_count; r++)
            add(&again, 0, rig.host[r], rig.size[r]);
        again.snap->populated_by = methods[i];
        atomic_store(&pages_looked_at, 0);
        image = image_of(&again);
        image_wipe_identity(&image);
        assert_equal(&image, expected);
        /* Far less than all: the shortcut is taken around what came from the file. */
        if (has_pagemap() && methods[i] != STASIS_POPULATED_BY_NOTHING)
            assert_in_range(atomic_load(&pages_looked_at), 1, SIZE / PAGE / 2);
        again.region_count = 0; /* the memory is the rig's */
        built_fini(&again);
        image_fini(&image);
        rig_fini(&rig);
    }
}

static void memory_of_every_mode_is_saved_right(void **state)
{
    struct built guest;
    struct image saved, expected;

    (void)state;
    make_guest(&guest);
    saved = image_of(&guest);
    expected = image_copy(&saved);
    image_wipe_identity(&expected);
    save_attached(&saved, &expected, STASIS_RAM_COPY, false, false);
    save_attached(&saved, &expected, STASIS_RAM_MAP, false, false);
    save_attached(&saved, &expected, STASIS_RAM_MAP, true, true);
    if (has_lazy()) {
        save_attached(&saved, &expected, STASIS_RAM_LAZY, false, false);
        save_attached(&saved, &expected, STASIS_RAM_LAZY, true, false); /* while it is loaded */
        save_attached(&saved, &expected, STASIS_RAM_LAZY, true, true);
    }
    image_fini(&saved);
    image_fini(&expected);
    built_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test_teardown(pages_that_are_swapped_out_are_looked_at, remove_swap),
        cmocka_unit_test(memory_of_every_mode_is_saved_right),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
