/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The search for zero RAM in memory that is not all there: swapped out, or loaded from a snapshot.
 */
#include "tests/state-ser/snap/scan_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <unistd.h>

#include "tests/state-ser/snap/ram_rig.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif

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
    uint8_t *ram = scan_plain(built, 0, SIZE);
    uint64_t swapped = 0;

    for (size_t page = 50; page < 150; page++)
        scan_put(ram, page);
    assert_int_equal(madvise(ram, SIZE, MADV_PAGEOUT), 0);
    for (size_t page = 50; page < 150; page++)
        swapped += scan_pagemap_entry(ram + page * PAGE) >> 62 & 1;
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
    scan_save_by_all(swap_out, 100, 100);
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
    ram = scan_plain(built, 0, SIZE);
    fill_random(ram + MIB, 300000, 1);
    fill_random(ram + 20 * MIB, 3 * MIB, 2);
    scan_put(ram, 8500);
}

struct attached {
    enum stasis_ram_mode mode;
    bool background, wait;
    bool source; /* the snapshot knows what loads its RAM */
};

/* The attached memory is saved and is what the guest was. */
static void save_once(const struct image *saved, const struct image *expected,
                      const struct attached *how, const struct scan_method *method)
{
    struct built again;
    struct image image;
    struct rig rig;
    int fd = image_fd(saved);

    rig_attach(&rig, fd, how->mode, how->background);
    close(fd);
    if (how->wait)
        rig_wait(&rig);
    built_init(&again);
    for (uint32_t r = 0; r < rig.region_count; r++)
        scan_add(&again, 0, rig.host[r], rig.size[r]);
    if (how->source)
        stasis_snap_set_ram_source(again.snap, rig.ram);
    image = scan_save(&again, method);
    image_wipe_identity(&image);
    scan_assert_equal(&image, expected);
    /* Far less than all: the shortcut is taken around what came from the file. */
    if (scan_asks(method))
        assert_in_range(atomic_load(&scan_pages_looked_at), 1, SIZE / PAGE / 2);
    /* A promise is not trusted while somebody else's userfaultfd is open. */
    if (scan_asks(method) && (how->source || how->mode != STASIS_RAM_LAZY || how->wait))
        assert_int_equal(atomic_load(&scan_smaps_opened), !method->no_userfaultfd);
    else if (scan_asks(method) && !how->background)
        assert_int_equal(atomic_load(&scan_smaps_opened), 1);
    again.region_count = 0; /* the memory is the rig's */
    built_fini(&again);
    image_fini(&image);
    rig_fini(&rig);
}

static void save_attached(const struct image *saved, const struct image *expected,
                          enum stasis_ram_mode mode, bool background, bool wait)
{
    for (size_t i = 0; i < SCAN_METHODS; i++)
        for (unsigned source = 0; source < 2; source++)
            save_once(saved, expected, &(struct attached){mode, background, wait, source},
                      &scan_methods[i]);
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
        cmocka_unit_test_teardown(pages_that_are_swapped_out_are_looked_at, remove_swap),
        cmocka_unit_test(memory_of_every_mode_is_saved_right),
    };

    return cmocka_run_group_tests(tests, scan_setup, NULL);
}
