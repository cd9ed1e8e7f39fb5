/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Layers of much RAM of which all may have changed: what they take of memory follows from what
 * there is, and they are what RAM was.
 */
#include "tests/state-ser/snap/layer_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE  STASIS_PAGE_SIZE
#define CHUNK STASIS_CHUNK_SIZE

static size_t most; /* bytes that a list was made to hold */

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    most = size > most ? size : most;
    return __real_realloc(old, size);
}

/* 8 GiB have 131072 chunks. */
static void a_list_has_no_chunks_that_are_not_there(void **state)
{
    const size_t size = (size_t)8 << 30;
    const size_t whole[] = {4, 5, size / CHUNK - 1}; /* that were not zero, so that all differs */
    uint64_t *bits = mmap(NULL, size / PAGE / 8, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct stasis_error err = {0};
    struct stasis_snap *base;
    struct layer_view view;
    struct built built;
    struct image image;

    (void)state;
    built_init(&built);
    built_add(&built, 0, size);
    assert_int_equal(madvise(built.ram[0], size, MADV_NOHUGEPAGE), 0);
    for (size_t i = 0; i < 3; i++)
        memset(built.ram[0] + whole[i] * CHUNK, 9, CHUNK);
    for (size_t chunk = 8; chunk < 40; chunk++)
        built.ram[0][chunk * CHUNK] = 1;
    base = layer_base(&built, NULL);
    for (size_t i = 0; i < 3; i++)
        memset(built.ram[0] + whole[i] * CHUNK, 0, CHUNK);
    built.ram[0][5 * CHUNK] = 1;
    assert_ptr_not_equal(bits, MAP_FAILED);
    memset(bits, 0xff, size / PAGE / 8);
    bits[1] = 0xffff0000ffff0fff;           /* of chunk 4 a part, and nothing of chunk 6 */
    memset(bits + 2, 0, 8 * sizeof(*bits)); /* nor of those up to 39 */
    built.ram[0][size - 1] = 1;
    assert_int_equal(stasis_snap_set_dirty(built.snap, 0, bits, &err), 0);
    most = 0;
    image = image_of(&built);
    assert_in_range(most, 1, 65536);
    view = layer_look(&image);
    assert_int_equal(view.entry_count, 8);
    assert_entry(&view, 0, 0, 1, 0); /* zero */
    assert_entry(&view, 1, 4, 3, 1); /* in part */
    assert_extent(&view, 0, 1, 0x0fff);
    assert_entry(&view, 2, 5, 2, 1);
    assert_entry(&view, 3, 6, 0, 0); /* as below */
    assert_entry(&view, 4, 7, 1, 0);
    assert_entry(&view, 5, 8, 0, 0);
    assert_entry(&view, 6, 40, 1, 0);
    assert_entry(&view, 7, (uint32_t)(size / CHUNK - 1), 2, 1);
    image_fini(&image);
    stasis_snap_free(base);
    munmap(bits, size / PAGE / 8);
    built_fini(&built);
}

/* ---- what the list leaves out ---- */

#define SIZE                                                                                       \
    (((size_t)1 << 30) + (200u << 20) + 3 * PAGE) /* two windows; the last chunk is short */

struct large {
    struct built built;
    uint64_t bits[SIZE / PAGE / 64 + 1];
    uint32_t seed;
};

static uint32_t draw(struct large *large, uint32_t below)
{
    large->seed = large->seed * 1664525 + 1013904223;
    return (large->seed >> 8) % below;
}

static void write_pages(struct large *large, unsigned count, bool is_noted)
{
    for (unsigned i = 0; i < count; i++) {
        size_t page = i ? draw(large, SIZE / PAGE) : SIZE / PAGE - 1;

        if (!is_noted || large->bits[page / 64] >> page % 64 & 1)
            fill_random(large->built.ram[0] + page * PAGE, PAGE, large->seed | 1);
    }
}

/* Runs of dirty pages, some of whole chunks, were taken away, and some of them written to. */
static void change(struct large *large, uint32_t clean)
{
    uint8_t *ram = large->built.ram[0];

    memset(large->bits, 0xff, sizeof(large->bits));
    for (uint32_t i = 0; i < clean; i++) {
        size_t first = draw(large, SIZE / PAGE), len = 1 + draw(large, i % 2 ? 20 : 4000);

        for (size_t page = first; page < first + len && page < SIZE / PAGE; page++)
            large->bits[page / 64] &= ~(UINT64_C(1) << page % 64);
    }
    for (size_t page = 0, end; page < SIZE / PAGE; page = end + 1) {
        for (end = page; end < SIZE / PAGE && large->bits[end / 64] >> end % 64 & 1;)
            end++;
        assert_int_equal(madvise(ram + page * PAGE, (end - page) * PAGE, MADV_DONTNEED), 0);
    }
    write_pages(large, 200, true);
}

/* What is there in neither of both is zero, and stays away. */
static void assert_same(const uint8_t *one, const uint8_t *other)
{
    static unsigned char there[2][SIZE / PAGE];
    size_t compared = 0;

    assert_int_equal(mincore((void *)(uintptr_t)one, SIZE, there[0]), 0);
    assert_int_equal(mincore((void *)(uintptr_t)other, SIZE, there[1]), 0);
    for (size_t page = 0; page < SIZE / PAGE; page++) {
        if (!((there[0][page] | there[1][page]) & 1))
            continue;
        assert_memory_equal(one + page * PAGE, other + page * PAGE, PAGE);
        compared++;
    }
    assert_in_range(compared, 100, SIZE / PAGE);
}

static void assert_saved(struct large *large, const char *folder, const struct stasis_snap *base)
{
    struct stasis_save_stats stats;
    struct stasis_snap *saved = NULL;
    const struct stasis_save_opts opts = {.size = sizeof(opts), .saved = &saved, .no_sync = true};
    struct stasis_error err;
    uint8_t *found = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char path[200];

    assert_ptr_not_equal(found, MAP_FAILED);
    assert_int_equal(stasis_snap_set_dirty(large->built.snap, 0, large->bits, &err), 0);
    snprintf(path, sizeof(path), "%s/layer", folder);
    if (stasis_snap_save(large->built.snap, path, &opts, &stats, &err) ||
        stasis_snap_load_ram(saved, 0, found, 2, NULL, NULL, &err))
        fail_msg("%s", err.msg);
    assert_same(found, large->built.ram[0]);
    assert_int_equal(stats.stored_bytes + stats.zero_bytes + stats.below_bytes, SIZE);
    assert_int_not_equal(stasis_snap_info(saved)->layer, stasis_snap_info(base)->layer);
    stasis_snap_free(saved);
    munmap(found, SIZE);
}

static void a_layer_is_what_ram_was(void **state)
{
    const char *folder = folder_make();
    struct large *large = malloc(sizeof(*large));
    struct stasis_snap *base;

    (void)state;
    assert_non_null(large);
    large->seed = 1;
    built_init(&large->built);
    built_add(&large->built, 0, SIZE);
    assert_int_equal(madvise(large->built.ram[0], SIZE, MADV_NOHUGEPAGE), 0);
    write_pages(large, 300, false);
    base = layer_base(&large->built, NULL);
    change(large, 100); /* more than half of the first window is dirty */
    assert_saved(large, folder, base);
    stasis_snap_free(base);
    built_fini(&large->built);
    free(large);
    folder_remove();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_has_no_chunks_that_are_not_there),
        cmocka_unit_test(a_layer_is_what_ram_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
