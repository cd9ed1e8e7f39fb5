/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/scan_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

atomic_uint scan_pages_looked_at;

uint16_t __real_stasis_chunk_page_mask_among(const void *bytes, uint16_t among);
uint16_t __wrap_stasis_chunk_page_mask_among(const void *bytes, uint16_t among);
uint16_t __wrap_stasis_chunk_page_mask_among(const void *bytes, uint16_t among)
{
    atomic_fetch_add(&scan_pages_looked_at, (unsigned)__builtin_popcount(among));
    return __real_stasis_chunk_page_mask_among(bytes, among);
}

atomic_uint scan_smaps_opened;

int __real_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode);
int __wrap_stasis_io_open(int dir, const char *path, int flags, mode_t mode)
{
    if (strcmp(path, "/proc/self/smaps") == 0)
        atomic_fetch_add(&scan_smaps_opened, 1);
    return __real_stasis_io_open(dir, path, flags, mode);
}

/* ---- what the kernel can do ---- */

bool scan_has_pagemap(void)
{
    return sysconf(_SC_PAGESIZE) == STASIS_PAGE_SIZE && !access("/proc/self/pagemap", R_OK) &&
           !access("/proc/self/smaps", R_OK);
}

bool scan_has_pagemap_scan(void)
{
    struct stasis_page_range range;
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t stop;
    bool has = stasis_ram_io_scan_pagemap(fd, 0, PAGE, &range, 1, &stop) >= 0;

    close(fd);
    return has;
}

uint64_t scan_pagemap_entry(const uint8_t *at)
{
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t entry = 0;

    (void)!pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)at / PAGE * sizeof(entry)));
    close(fd);
    return entry;
}

int scan_setup(void **state)
{
    (void)state;
    if (!scan_has_pagemap())
        printf("left out: how little is looked at; there is no pagemap here\n");
    else if (!scan_has_pagemap_scan())
        printf("left out: PAGEMAP_SCAN; the kernel is older than 6.7\n");
    return 0;
}

/* ---- saving by every method ---- */

const struct scan_method scan_methods[SCAN_METHODS] = {
    {STASIS_POPULATED_BY_SCAN, false},    {STASIS_POPULATED_BY_SCAN, true},
    {STASIS_POPULATED_BY_PAGEMAP, false}, {STASIS_POPULATED_BY_PAGEMAP, true},
    {STASIS_POPULATED_BY_NOTHING, false},
};

bool scan_asks(const struct scan_method *method)
{
    return scan_has_pagemap() && method->by != STASIS_POPULATED_BY_NOTHING;
}

struct image scan_save(struct built *built, const struct scan_method *method)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .no_sync = true, .no_userfaultfd = method->no_userfaultfd};

    built->snap->populated_by = method->by;
    atomic_store(&scan_pages_looked_at, 0);
    atomic_store(&scan_smaps_opened, 0);
    return image_of_with(built, &opts);
}

/* What was saved is what is in memory. */
static void assert_right(const struct image *image, const struct built *built)
{
    struct stasis_snap *snap = image_reopen(image);

    assert_same_ram(snap, built, 1);
    stasis_snap_free(snap);
}

void scan_assert_equal(const struct image *a, const struct image *b)
{
    assert_int_equal(a->len, b->len);
    assert_true(!memcmp(a->bytes, b->bytes, a->len));
}

/* Of memory made anew each time, since saving touches what it stores. `scan` and `pagemap`: pages
 * that these scan_methods are to look at. */
void scan_save_by_all(void (*make)(struct built *built), unsigned scan, unsigned pagemap)
{
    const unsigned by_scan = scan_has_pagemap_scan() ? scan : pagemap;
    struct image images[SCAN_METHODS];

    for (size_t i = 0; i < SCAN_METHODS; i++) {
        const struct scan_method *method = &scan_methods[i];
        unsigned pages = method->by == STASIS_POPULATED_BY_SCAN ? by_scan : pagemap;
        struct built built;

        built_init(&built);
        make(&built);
        images[i] = scan_save(&built, method);
        if (scan_asks(method) && atomic_load(&scan_pages_looked_at) != pages)
            fail_msg("method %zu looked at %u pages instead of %u", i,
                     atomic_load(&scan_pages_looked_at), pages);
        if (scan_asks(method))
            assert_int_equal(atomic_load(&scan_smaps_opened), !method->no_userfaultfd);
        if (method->by == STASIS_POPULATED_BY_NOTHING)
            assert_right(&images[i], &built);
        image_wipe_identity(&images[i]);
        scan_assert_equal(&images[i], &images[0]);
        built_fini(&built);
    }
    for (size_t i = 0; i < SCAN_METHODS; i++)
        image_fini(&images[i]);
}

void scan_add(struct built *built, uint64_t gpa, void *ram, size_t size)
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

uint8_t *scan_plain(struct built *built, uint64_t gpa, size_t size)
{
    built_add(built, gpa, size);
    (void)madvise(built->ram[built->region_count - 1], size, MADV_NOHUGEPAGE);
    return built->ram[built->region_count - 1];
}

void scan_put(uint8_t *ram, size_t page)
{
    memset(ram + page * PAGE + 100, (int)(page % 251) + 1, 50);
}
