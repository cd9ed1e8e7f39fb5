/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Dirty pages that are as in the parent are not stored again, unless nobody can be sure of it, or
 * would have to wait for it.
 */
#include "tests/state-ser/snap/layer_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state-ser/snap/io.h"
#include "state-ser/snap/object.h"

#define PAGE   STASIS_PAGE_SIZE
#define CHUNKS 200

/* ---- the page cache ---- */

ssize_t __wrap_stasis_io_pread_cached(int fd, void *buf, size_t len, uint64_t offset);

static bool is_cached;
static uint64_t reads, read_bytes;

ssize_t __wrap_stasis_io_pread_cached(int fd, void *buf, size_t len, uint64_t offset)
{
    reads++;
    read_bytes += len;
    errno = EAGAIN;
    return is_cached ? stasis_io_pread(fd, buf, len, offset) : -1;
}

/* ---- a guest, and a file of it ---- */

static struct built built;
static struct stasis_snap *base;
static struct dirty dirty[2];
static struct image layer;
static uint8_t before[CHUNKS * STASIS_CHUNK_SIZE];

/* Chunks 50 to 59 are zero, and page 3 of every other one. */
static void begin(const struct stasis_save_opts *opts)
{
    struct stasis_error err = {0};

    is_cached = true;
    memset(dirty, 0, sizeof(dirty));
    built_init(&built);
    built_add(&built, 0x100000, CHUNKS * STASIS_CHUNK_SIZE);
    fill_random(built.ram[0], built.size[0], 11);
    for (unsigned i = 0; i < CHUNKS; i += 2)
        memset(built.ram[0] + (size_t)i * STASIS_CHUNK_SIZE + 3 * PAGE, 0, PAGE);
    memset(built.ram[0] + 50 * STASIS_CHUNK_SIZE, 0, 10 * STASIS_CHUNK_SIZE);
    base = layer_base(&built, opts);
    memcpy(before, built.ram[0], sizeof(before));
    if (stasis_snap_set_dirty(built.snap, 0, dirty->words, &err))
        fail_msg("%s", err.msg);
}

static void drop_base(void)
{
    assert_int_equal(stasis_snap_set_parent(built.snap, NULL, NULL), 0);
    stasis_snap_free(base);
    base = NULL;
}

static int end(void **state)
{
    (void)state;
    image_fini(&layer);
    stasis_snap_free(base);
    built_fini(&built);
    return 0;
}

static uint8_t *page_at(unsigned page)
{
    return built.ram[0] + (size_t)page * PAGE;
}

static void read_from(unsigned first, unsigned pages)
{
    for (unsigned page = first; page < first + pages; page++)
        dirty_add(dirty, page);
}

static void write_to(unsigned page)
{
    dirty_add(dirty, page);
    page_at(page)[page % PAGE] ^= 1;
}

/* The layer over what was before is the guest; returns the pages that it stores. */
static uint64_t save(const struct stasis_save_opts *opts)
{
    uint8_t *ram[] = {malloc(sizeof(before))};

    image_fini(&layer);
    reads = read_bytes = 0;
    layer = image_of_with(&built, opts);
    assert_non_null(ram[0]);
    memcpy(ram[0], before, sizeof(before));
    layer_apply(&layer, &built, ram);
    assert_memory_equal(ram[0], built.ram[0], sizeof(before));
    free(ram[0]);
    return section_length(image_section(&layer, STASIS_SECTION_DATA)) / PAGE;
}

static void what_is_as_before_is_left_out(void **state)
{
    struct layer_view view;

    (void)state;
    begin(NULL);
    read_from(0, 64 * 16);
    write_to(16 + 3);
    write_to(16 + 9);
    memset(page_at(2 * 16), 0, PAGE); /* zero now; and zero before */
    write_to(55 * 16 + 5);
    assert_int_equal(save(NULL), 3);
    view = layer_look(&layer);
    assert_int_equal(view.entry_count, 5);
    assert_entry(&view, 0, 0, 0, 0);
    assert_entry(&view, 1, 1, 3, 1);
    assert_entry(&view, 2, 3, 0, 0);
    assert_entry(&view, 3, 55, 3, 1);
    assert_entry(&view, 4, 56, 0, 0);
    assert_extent(&view, 0, 2, 1u << 3 | 1u << 9);
    assert_extent(&view, 1, 1, 1);
    assert_extent(&view, 2, 2, 1u << 5);
}

static void a_layer_of_nothing_new_is_empty(void **state)
{
    struct layer_view view;

    (void)state;
    begin(NULL);
    read_from(0, CHUNKS * 16);
    assert_int_equal(save(NULL), 0);
    view = layer_look(&layer);
    assert_int_equal(view.entry_count, 1);
    assert_entry(&view, 0, 0, 0, 0);
}

/* Few pages of an extent are looked at alone before all of it is read. */
static void one_page_of_a_chunk_is_as_good_as_all(void **state)
{
    (void)state;
    begin(NULL);
    for (unsigned chunk = 0; chunk < 40; chunk++)
        read_from(chunk * 16 + chunk % 16, 2);
    write_to(5 * 16 + 7);
    assert_int_equal(save(NULL), 1);
}

/* Layers on layers: extents of single pages, of several files. */
static void extents_of_layers_are_compared(void **state)
{
    const char *folder = folder_make();
    struct stasis_error err = {0};
    struct stasis_snap *second;
    char path[96], below[96];

    (void)state;
    begin(NULL);
    drop_base();
    snprintf(below, sizeof(below), "%s/0", folder);
    snprintf(path, sizeof(path), "%s/1", folder);
    assert_int_equal(stasis_snap_save(built.snap, below, NULL, NULL, &err), 0);
    assert_int_equal(stasis_snap_open(below, NULL, &base, &err), 0);
    assert_int_equal(stasis_snap_set_parent(built.snap, base, &err), 0);
    write_to(16 + 3);
    write_to(17 + 9);
    assert_int_equal(stasis_snap_save(built.snap, path, NULL, NULL, &err), 0);
    if (stasis_snap_open(path, NULL, &second, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(stasis_snap_set_parent(built.snap, second, &err), 0);
    stasis_snap_free(second);
    memcpy(before, built.ram[0], sizeof(before));
    memset(dirty, 0, sizeof(dirty));
    read_from(16, 32);
    write_to(17 + 9);
    image_fini(&layer);
    layer = image_of(&built);
    assert_int_equal(section_length(image_section(&layer, STASIS_SECTION_DATA)), PAGE);
    folder_remove();
}

/* ---- what is not sure ---- */

/* Damage that makes the file equal to what the guest has now must not pass for it. */
static void damage_hides_no_change(const struct stasis_save_opts *opts)
{
    static uint8_t bytes[STASIS_CHUNK_SIZE];
    struct stasis_snap_extent extent;
    int fd;

    begin(opts);
    read_from(0, 20 * 16);
    write_to(7 * 16 + 4);
    extent = stasis_snap_extent_at(base, 7, 0);
    fd = base->files[0]->input.fd;
    assert_int_equal(pwrite(fd, page_at(7 * 16 + 4), PAGE, (off_t)extent.offset + 4 * PAGE), PAGE);
    assert_int_equal(pread(fd, bytes, sizeof(bytes), (off_t)extent.offset), sizeof(bytes));
    assert_memory_equal(bytes, page_at(7 * 16), sizeof(bytes)); /* as it is now */
    assert_int_equal(save(opts), 16);
    end(NULL);
}

static void what_is_damaged_is_stored(void **state)
{
    static const struct stasis_save_opts opts = {.size = sizeof(opts), .digests = true};

    (void)state;
    damage_hides_no_change(NULL);
    damage_hides_no_change(&opts);
    begin(NULL);
}

static void what_is_compressed_is_stored(void **state)
{
    static const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 1};

    (void)state;
    begin(NULL);
    drop_base();
    for (unsigned page = 0; page < CHUNKS * 16; page++)
        memset(page_at(page) + 64, 1, PAGE - 64);
    base = layer_base(&built, &opts);
    memcpy(before, built.ram[0], sizeof(before));
    read_from(0, 20 * 16);
    assert_int_equal(save(NULL), 20 * 16);
    assert_int_equal(reads, 0);
}

static void what_is_not_in_the_page_cache_is_stored(void **state)
{
    (void)state;
    begin(NULL);
    read_from(0, 20 * 16);
    is_cached = false;
    assert_int_equal(save(NULL), 20 * 16 - 10); /* zeros need no look */
    is_cached = true;
    assert_int_equal(save(NULL), 0);
}

/* It may differ anywhere, and is stored as a whole. */
static void a_range_without_a_bitmap_is_not_compared(void **state)
{
    struct stasis_error err = {0};

    (void)state;
    begin(NULL);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 0, NULL, &err), 0);
    assert_true(save(NULL) > (CHUNKS - 11) * 16 - CHUNKS / 2);
    assert_int_equal(reads, 0);
}

/* ---- what it costs ---- */

/* Some chunks are looked at, by single pages, and no more: the guest stands still meanwhile. */
static void where_all_has_changed_little_is_read(void **state)
{
    (void)state;
    begin(NULL);
    for (unsigned chunk = 0; chunk < CHUNKS; chunk++)
        write_to(chunk * 16 + 5);
    assert_int_equal(save(NULL), CHUNKS);
    assert_in_range(reads, 30, 64);
    assert_int_equal(read_bytes, reads * PAGE);
}

static void all_numbers_of_threads_give_equal_bytes(void **state)
{
    static const uint8_t uuid[STASIS_UUID_SIZE] = {1};
    static const uint64_t created = 1;
    struct stasis_save_opts opts = {.size = sizeof(opts), .uuid = uuid, .created_ns = &created};
    struct image first = {0};

    (void)state;
    begin(NULL);
    read_from(0, 100 * 16);
    for (unsigned page = 0; page < 100 * 16; page += 7)
        write_to(page);
    for (opts.threads = 1; opts.threads < 5; opts.threads++) {
        assert_int_equal(save(&opts), (100 * 16 + 6) / 7);
        if (!first.bytes)
            first = image_copy(&layer);
        assert_int_equal(layer.len, first.len);
        assert_memory_equal(layer.bytes, first.bytes, first.len);
    }
    image_fini(&first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(what_is_as_before_is_left_out, end),
        cmocka_unit_test_teardown(a_layer_of_nothing_new_is_empty, end),
        cmocka_unit_test_teardown(one_page_of_a_chunk_is_as_good_as_all, end),
        cmocka_unit_test_teardown(extents_of_layers_are_compared, end),
        cmocka_unit_test_teardown(what_is_damaged_is_stored, end),
        cmocka_unit_test_teardown(what_is_compressed_is_stored, end),
        cmocka_unit_test_teardown(what_is_not_in_the_page_cache_is_stored, end),
        cmocka_unit_test_teardown(a_range_without_a_bitmap_is_not_compared, end),
        cmocka_unit_test_teardown(where_all_has_changed_little_is_read, end),
        cmocka_unit_test_teardown(all_numbers_of_threads_give_equal_bytes, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
