/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a layer stores of which pages, byte by byte.
 */
#include "tests/state-ser/snap/layer_rig.h"

#include <stdlib.h>
#include <string.h>

#include "state-ser/snap/le.h"
#include "state-ser/snap/object.h"

#define PAGE   STASIS_PAGE_SIZE
#define CHUNKS 40

/* A guest of one range of 40 chunks and 3 pages, all of it filled, and a file of it. */
struct guest {
    struct built built;
    struct dirty dirty;
    struct stasis_snap *base;
};

static void guest_init(struct guest *guest, const struct stasis_save_opts *opts)
{
    struct stasis_error err = {0};

    *guest = (struct guest){0};
    built_init(&guest->built);
    built_add(&guest->built, 0x100000, CHUNKS * STASIS_CHUNK_SIZE + 3 * PAGE);
    fill_random(guest->built.ram[0], guest->built.size[0], 11);
    guest->base = layer_base(&guest->built, opts);
    if (stasis_snap_set_dirty(guest->built.snap, 0, guest->dirty.words, &err))
        fail_msg("%s", err.msg);
}

static void guest_fini(struct guest *guest)
{
    stasis_snap_free(guest->base);
    built_fini(&guest->built);
}

/* The guest writes to a page. */
static void touch(struct guest *guest, unsigned page, bool zero)
{
    uint8_t *ram = guest->built.ram[0] + (size_t)page * PAGE;

    dirty_add(&guest->dirty, page);
    if (zero)
        memset(ram, 0, PAGE);
    else
        fill_random(ram, PAGE, page + 1000);
}

static void a_layer_says_what_it_lies_on(void **state)
{
    struct image image;
    struct guest guest;
    const struct stasis_snap_info *info;

    (void)state;
    guest_init(&guest, NULL);
    touch(&guest, 5, false);
    image = image_of(&guest.built);
    info = stasis_snap_info(guest.base);
    assert_int_equal(stasis_le64_get(image.bytes + STASIS_HDR_INCOMPATIBLE), 16);
    assert_memory_equal(image.bytes + STASIS_HDR_PARENT, info->uuid, STASIS_UUID_SIZE);
    assert_memory_equal(image.bytes + STASIS_HDR_PARENT_ROOT, info->root, STASIS_DIGEST_SIZE);
    assert_memory_equal(layer_look(&image).names, info->uuid, STASIS_UUID_SIZE);
    assert_memory_equal(layer_look(&image).names + STASIS_UUID_SIZE, info->root,
                        STASIS_DIGEST_SIZE);
    assert_int_equal(layer_look(&image).file_count, 1);
    image_fini(&image);
    guest_fini(&guest);
}

static void pages_are_stored_or_called_zero(void **state)
{
    struct layer_view view;
    struct image image;
    struct guest guest;

    (void)state;
    guest_init(&guest, NULL);
    touch(&guest, 1 * 16 + 3, false); /* two pages of one chunk */
    touch(&guest, 1 * 16 + 9, false);
    touch(&guest, 2 * 16 + 0, true); /* one of each, zeros first; and the other way round */
    touch(&guest, 2 * 16 + 15, false);
    touch(&guest, 3 * 16 + 1, false);
    touch(&guest, 3 * 16 + 2, true);
    touch(&guest, 5 * 16 + 7, true); /* nothing but zeros */
    for (unsigned page = 0; page < 16; page++) {
        touch(&guest, 8 * 16 + page, true); /* whole chunks: zero, stored, stored but for a page */
        touch(&guest, 9 * 16 + page, false);
        touch(&guest, 10 * 16 + page, page == 4);
    }
    for (unsigned page = 0; page < 3; page++)
        touch(&guest, CHUNKS * 16 + page, false); /* all of a short one */
    image = image_of(&guest.built);
    view = layer_look(&image);
    assert_int_equal(view.entry_count, 10);
    assert_entry(&view, 0, 0, 0, 0);
    assert_entry(&view, 1, 1, 3, 1);
    assert_entry(&view, 2, 2, 3, 2);
    assert_entry(&view, 3, 4, 0, 0);
    assert_entry(&view, 4, 5, 3, 1);
    assert_entry(&view, 5, 6, 0, 0);
    assert_entry(&view, 6, 8, 1, 0);
    assert_entry(&view, 7, 9, 2, 1);
    assert_entry(&view, 8, 11, 0, 0);
    assert_entry(&view, 9, CHUNKS, 2, 1);
    assert_int_equal(view.extent_count, 9);
    assert_extent(&view, 0, 2, 1u << 3 | 1u << 9);
    assert_extent(&view, 1, 1, 1u << 0);
    assert_extent(&view, 2, 2, 1u << 15);
    assert_extent(&view, 3, 2, 1u << 1);
    assert_extent(&view, 4, 1, 1u << 2);
    assert_extent(&view, 5, 1, 1u << 7);
    assert_extent(&view, 6, 2, 0xffff);
    assert_extent(&view, 7, 2, 0xffff & ~(1u << 4));
    assert_extent(&view, 8, 2, 7);
    assert_int_equal(section_length(image_section(&image, STASIS_SECTION_DATA)),
                     (2 + 1 + 1 + 16 + 15 + 3) * PAGE);
    image_fini(&image);
    guest_fini(&guest);
}

static void a_layer_of_nothing_has_no_data(void **state)
{
    struct layer_view view;
    struct image image;
    struct guest guest;

    (void)state;
    guest_init(&guest, NULL);
    image = image_of(&guest.built);
    view = layer_look(&image);
    assert_int_equal(view.entry_count, 1);
    assert_entry(&view, 0, 0, 0, 0);
    assert_int_equal(section_length(image_section(&image, STASIS_SECTION_DATA)), 0);
    assert_true(image.len <= 8192);
    image_fini(&image);
    guest_fini(&guest);
}

/* Any of it may differ, and what was never touched is zero. */
static void without_a_bitmap_all_is_stored(void **state)
{
    const uint64_t clean[1] = {0};
    struct stasis_error err = {0};
    struct layer_view view;
    struct built built;
    struct stasis_snap *base;
    struct image image;

    (void)state;
    built_init(&built);
    built_add(&built, 0, 4 * STASIS_CHUNK_SIZE);
    built_add(&built, 0x100000, 4 * STASIS_CHUNK_SIZE);
    fill_random(built.ram[0], built.size[0], 3);
    base = layer_base(&built, NULL);
    memset(built.ram[0], 0, built.size[0]);
    built.ram[1][STASIS_CHUNK_SIZE + PAGE] = 1;
    built.ram[1][STASIS_CHUNK_SIZE + 5 * PAGE] = 1; /* and nothing between the two */
    image = image_of(&built);
    view = layer_look(&image);
    assert_int_equal(view.entry_count, 3);
    assert_entry(&view, 0, 0, 1, 0);
    assert_entry(&view, 1, 5, 2, 1);
    assert_entry(&view, 2, 6, 1, 0);
    assert_extent(&view, 0, 2, 1u << 1 | 1u << 5);
    image_fini(&image);

    /* A bitmap for the first range only; and none again. */
    if (stasis_snap_set_dirty(built.snap, 0, clean, &err))
        fail_msg("%s", err.msg);
    image = image_of(&built);
    view = layer_look(&image);
    assert_entry(&view, 0, 0, 0, 0);
    assert_entry(&view, 1, 4, 1, 0);
    image_fini(&image);
    assert_int_equal(stasis_snap_set_dirty(built.snap, 0, NULL, &err), 0);
    image = image_of(&built);
    assert_int_equal(layer_look(&image).entry_count, 3);
    image_fini(&image);
    assert_int_equal(stasis_snap_set_parent(built.snap, NULL, &err), 0);
    image = image_of(&built);
    assert_int_equal(stasis_le64_get(image.bytes + STASIS_HDR_INCOMPATIBLE), 0);
    image_fini(&image);
    stasis_snap_free(base);
    built_fini(&built);
}

/* ---- over its parent, a layer is the guest ---- */

static void fill_large(struct built *built, unsigned round)
{
    for (uint32_t r = 0; r < built->region_count; r++)
        for (size_t at = 0; at < built->size[r]; at += PAGE)
            if ((at / PAGE * 7 + round * 5 + r) % 11 == 0)
                memset(built->ram[r] + at, (at / PAGE + round) % 3 ? (int)(round + r + 1) : 0,
                       PAGE);
            else if ((at / PAGE + round * 3) % 13 == 0)
                fill_random(built->ram[r] + at, PAGE, (uint32_t)(at + round));
}

static void mark_changes(const struct built *built, uint8_t *const before[], struct dirty *dirty)
{
    for (uint32_t r = 0; r < built->region_count; r++)
        for (size_t at = 0; at < built->size[r]; at += PAGE)
            if (memcmp(before[r] + at, built->ram[r] + at, PAGE) != 0)
                dirty_add(&dirty[r], (unsigned)(at / PAGE));
}

static void copy_ram(const struct built *built, uint8_t *const from[], uint8_t *ret_ram[])
{
    for (uint32_t r = 0; r < built->region_count; r++) {
        ret_ram[r] = malloc(built->size[r]);
        assert_non_null(ret_ram[r]);
        memcpy(ret_ram[r], from[r], built->size[r]);
    }
}

static void assert_layer_is_guest(const struct image *image, const struct built *built,
                                  uint8_t *const before[])
{
    uint8_t *ram[4] = {0};

    copy_ram(built, before, ram);
    layer_apply(image, built, ram);
    for (uint32_t r = 0; r < built->region_count; r++) {
        assert_memory_equal(ram[r], built->ram[r], built->size[r]);
        free(ram[r]);
    }
}

static void a_layer_over_its_parent_is_the_guest(const struct stasis_save_opts *opts)
{
    struct dirty dirty[4] = {0};
    uint8_t *before[4] = {0};
    struct stasis_error err = {0};
    struct stasis_snap *base;
    struct image file, stream;
    struct built built;

    built_large(&built);
    base = layer_base(&built, opts);
    copy_ram(&built, built.ram, before);
    for (uint32_t r = 0; r < built.region_count; r++) {
        assert_int_equal(stasis_snap_set_dirty(built.snap, r, dirty[r].words, &err), 0);
    }
    for (unsigned round = 0; round < 2; round++) {
        fill_large(&built, round);
        mark_changes(&built, before, dirty);
        file = image_of_with(&built, opts);
        stream = image_of_stream_with(&built, opts);
        assert_layer_is_guest(&file, &built, before);
        assert_layer_is_guest(&stream, &built, before);
        assert_memory_equal(file.bytes + STASIS_HDR_ROOT,
                            stream.bytes + image_header(&stream) + STASIS_HDR_ROOT,
                            STASIS_DIGEST_SIZE);
        image_fini(&file);
        image_fini(&stream);
    }
    for (uint32_t r = 0; r < built.region_count; r++)
        free(before[r]);
    stasis_snap_free(base);
    built_fini(&built);
}

static void layers_hold_what_differs(void **state)
{
    struct stasis_save_opts opts = {.size = sizeof(opts)};

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        opts.zlib_level = i & 1 ? 1 : 0;
        opts.digests = i & 2;
        opts.threads = i == 1 || i == 2 ? 1 : 3;
        a_layer_over_its_parent_is_the_guest(&opts);
    }
}

static void all_numbers_of_threads_give_equal_bytes(void **state)
{
    static const uint8_t uuid[STASIS_UUID_SIZE] = {1};
    static const uint64_t created = 1;
    struct stasis_save_opts opts = {.size = sizeof(opts), .uuid = uuid, .created_ns = &created};
    struct guest guest;

    (void)state;
    guest_init(&guest, NULL);
    for (unsigned page = 0; page < CHUNKS * 16; page += 3)
        touch(&guest, page, page % 4 == 1);
    for (unsigned level = 0; level < 2; level++) {
        struct image first = {0};

        opts.zlib_level = level;
        for (opts.threads = 1; opts.threads < 5; opts.threads++) {
            struct image image = image_of_with(&guest.built, &opts);

            if (!first.bytes)
                first = image_copy(&image);
            assert_int_equal(image.len, first.len);
            assert_memory_equal(image.bytes, first.bytes, first.len);
            image_fini(&image);
        }
        image_fini(&first);
    }
    guest_fini(&guest);
}

/* On a page boundary behind what did shrink. */
static void what_does_not_shrink_stays_raw(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .zlib_level = 6};
    struct layer_view view;
    struct guest guest;
    struct image image;
    uint32_t x = 1;

    (void)state;
    guest_init(&guest, NULL);
    touch(&guest, 3, false);
    touch(&guest, 19, false);
    for (unsigned i = 0; i < PAGE; i++) {
        x = x * 1664525 + 1013904223;
        guest.built.ram[0][19 * PAGE + i] = (uint8_t)(x >> 24);
    }
    image = image_of_with(&guest.built, &opts);
    view = layer_look(&image);
    assert_extent(&view, 0, 3, 1u << 3);
    assert_extent(&view, 1, 2, 1u << 3);
    layer_apply(&image, &guest.built, guest.built.ram);
    image_fini(&image);
    guest_fini(&guest);
}

static void a_layer_has_digests_if_its_parent_has(void **state)
{
    const struct stasis_save_opts opts = {.size = sizeof(opts), .digests = true};
    struct guest guest;
    struct image image;

    (void)state;
    guest_init(&guest, &opts);
    touch(&guest, 1, false);
    touch(&guest, 2, true);
    image = image_of(&guest.built);
    assert_non_null(layer_look(&image).digests);
    layer_apply(&image, &guest.built, guest.built.ram);
    image_fini(&image);
    guest_fini(&guest);
}

static void what_was_left_out_is_counted(void **state)
{
    const struct stasis_save_opts compressed = {.size = sizeof(compressed), .zlib_level = 1};
    struct stasis_save_stats stats;
    struct stasis_error err = {0};
    struct guest guest;
    char path[96];

    (void)state;
    guest_init(&guest, NULL);
    touch(&guest, 17, false);
    touch(&guest, 18, true);
    snprintf(path, sizeof(path), "%s/layer", folder_make());
    if (stasis_snap_save(guest.built.snap, path, NULL, &stats, &err))
        fail_msg("%s", err.msg);
    assert_int_equal(stats.stored_bytes, PAGE);
    assert_int_equal(stats.zero_bytes, PAGE);
    assert_int_equal(stats.below_bytes, guest.built.size[0] - 2 * PAGE);
    assert_int_equal(stats.index_bytes, 16 + 16 + 48 + 3 * 12 + 2 * 24);
    assert_false(stats.whole_index);
    touch(&guest, 40, true); /* a chunk that has nothing to be compressed */
    assert_int_equal(stasis_snap_save(guest.built.snap, path, &compressed, &stats, &err), 0);
    assert_in_range(stats.compressed_bytes, 1, PAGE - 1);
    assert_int_equal(stats.compressed_bytes, stats.stored_bytes);
    folder_remove();
    guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_says_what_it_lies_on),
        cmocka_unit_test(pages_are_stored_or_called_zero),
        cmocka_unit_test(a_layer_of_nothing_has_no_data),
        cmocka_unit_test(without_a_bitmap_all_is_stored),
        cmocka_unit_test(layers_hold_what_differs),
        cmocka_unit_test(all_numbers_of_threads_give_equal_bytes),
        cmocka_unit_test(what_does_not_shrink_stays_raw),
        cmocka_unit_test(a_layer_has_digests_if_its_parent_has),
        cmocka_unit_test(what_was_left_out_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
