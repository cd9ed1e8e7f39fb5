/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which pages of RAM a save of a layer does not touch.
 */
#include "tests/state-ser/snap/layer_rig.h"

#include <string.h>
#include <sys/mman.h>

#define PAGE STASIS_PAGE_SIZE

static void clean_pages_are_not_touched(void **state)
{
    static const unsigned written[] = {3 * 16 + 3, 7 * 16};
    struct dirty dirty = {0};
    struct stasis_error err = {0};
    struct stasis_snap *base;
    struct image image;
    struct built built;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 40 * STASIS_CHUNK_SIZE);
    fill_random(built.ram[0], built.size[0], 1);
    base = layer_base(&built, NULL);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 0, dirty.words, &err), 0);
    assert_int_equal(mprotect(built.ram[0], built.size[0], PROT_NONE), 0);
    for (size_t i = 0; i < 2; i++) {
        uint8_t *page = built.ram[0] + written[i] * PAGE;

        assert_int_equal(mprotect(page, PAGE, PROT_READ | PROT_WRITE), 0);
        fill_random(page, PAGE, 2);
        dirty_add(&dirty, written[i]);
    }
    image = image_of(&built);
    assert_int_equal(layer_look(&image).extent_count, 2);
    image_fini(&image);
    stasis_snap_free(base);
    built_fini(&built);
}

static size_t resident(const uint8_t *ram, size_t size)
{
    static unsigned char pages[128 << 20 >> 12];
    size_t count = 0;

    assert_int_equal(mincore((void *)(uintptr_t)ram, size, pages), 0);
    for (size_t i = 0; i < size / PAGE; i++)
        count += pages[i] & 1;
    return count;
}

/* All of it was taken away, and some of that is in use again. */
static void dirty_pages_that_are_not_there_stay_away(void **state)
{
    static uint64_t bits[128 << 20 >> 12 >> 6];
    struct stasis_error err = {0};
    struct stasis_snap *base;
    struct layer_view view;
    struct image image;
    struct built built;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 128 << 20);
    assert_int_equal(madvise(built.ram[0], built.size[0], MADV_NOHUGEPAGE), 0);
    base = layer_base(&built, NULL);
    memset(bits, 0xff, sizeof(bits) / 2 + 8); /* a little more than half, without page 7 */
    bits[0] &= ~(UINT64_C(1) << 7);
    memset(built.ram[0], 1, PAGE);
    memset(built.ram[0] + 3 * PAGE, 1, PAGE);
    memset(built.ram[0] + 70 * PAGE, 1, PAGE);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 0, bits, &err), 0);
    image = image_of(&built);
    assert_int_equal(resident(built.ram[0], built.size[0]), 3);
    view = layer_look(&image);
    assert_int_equal(view.entry_count, 4); /* a whole index: the parent holds nothing */
    assert_entry(&view, 0, 0, 2, 1);
    assert_extent(&view, 0, 2, 1u << 0 | 1u << 3);
    assert_entry(&view, 1, 1, 1, 0);
    assert_entry(&view, 2, 4, 2, 1);
    assert_extent(&view, 1, 2, 1u << 6);
    assert_entry(&view, 3, 5, 1, 0);
    image_fini(&image);
    stasis_snap_free(base);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean_pages_are_not_touched),
        cmocka_unit_test(dirty_pages_that_are_not_there_stay_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
