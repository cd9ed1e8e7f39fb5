/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/fixture.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void every_chunk_is_as_it_was(void **state)
{
    static uint8_t bytes[STASIS_CHUNK_SIZE];
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    snap = image_reopen(&image);
    for (uint32_t r = 0; r < built.region_count; r++) {
        struct stasis_snap_region region = stasis_snap_region_at(snap, r);

        for (uint64_t at = 0; at < region.size; at += STASIS_CHUNK_SIZE) {
            uint64_t index = region.first_chunk + at / STASIS_CHUNK_SIZE;

            memset(bytes, 0xff, sizeof(bytes));
            assert_int_equal(stasis_snap_read_chunk(snap, index, bytes, &err), 0);
            assert_memory_equal(bytes, built.ram[r] + at, stasis_snap_chunk_at(snap, index).size);
        }
    }
    assert_int_equal(stasis_snap_read_chunk(snap, stasis_snap_chunk_count(snap), bytes, &err),
                     STASIS_ERR_ARG);
    assert_int_equal(stasis_snap_read_chunk(built.snap, 0, bytes, &err), STASIS_ERR_ARG);
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

static void ram_comes_back_by_its_place(void **state)
{
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;

    (void)state;
    built_large(&built);
    image = image_of(&built);
    snap = image_reopen(&image);
    for (uint32_t r = 0; r < built.region_count; r++) {
        uint8_t *bytes = malloc(built.size[r]);

        assert_non_null(bytes);
        memset(bytes, 0xa5, built.size[r]); /* of a guest that ran here before */
        assert_int_equal(
            stasis_snap_get_ram(snap, built.gpa[r], bytes, built.size[r], NULL, NULL, &err), 0);
        assert_memory_equal(bytes, built.ram[r], built.size[r]);
        assert_int_equal(
            stasis_snap_get_ram(snap, built.gpa[r], bytes, built.size[r] - 1, NULL, NULL, &err),
            STASIS_ERR_NOT_FOUND);
        assert_int_equal(
            stasis_snap_get_ram(snap, built.gpa[r] + 1, bytes, built.size[r], NULL, NULL, &err),
            STASIS_ERR_NOT_FOUND);
        memset(bytes, 0xa5, built.size[r]);
        assert_int_equal(stasis_snap_load_ram(snap, r, bytes, 2, NULL, NULL, &err), 0);
        assert_memory_equal(bytes, built.ram[r], built.size[r]);
        free(bytes);
    }
    assert_non_null(strstr(err.msg, "test has no RAM of 0x"));
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

static void a_damaged_chunk_is_refused(void **state)
{
    static uint8_t bytes[STASIS_CHUNK_SIZE];
    struct stasis_error err = {0};
    struct stasis_snap *snap;
    struct built built;
    struct image image;

    (void)state;
    built_small(&built);
    image = image_of(&built);
    image.bytes[image.len - 1] ^= 1;
    snap = image_reopen(&image);
    assert_int_equal(stasis_snap_read_chunk(snap, 0, bytes, &err), 0);
    assert_int_equal(stasis_snap_read_chunk(snap, 3, bytes, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "chunk 3, guest address 0x120000"));
    stasis_snap_free(snap);
    image_fini(&image);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_chunk_is_as_it_was),
        cmocka_unit_test(ram_comes_back_by_its_place),
        cmocka_unit_test(a_damaged_chunk_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
