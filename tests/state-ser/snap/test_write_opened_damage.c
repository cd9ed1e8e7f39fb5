/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Damaged snapshots that were opened and are saved again: the damage is found, and no file comes
 * out that passes for a complete one.
 */
#include "tests/state-ser/snap/memory_rig.h"

#include <string.h>

#include "state-ser/snap/chunk.h"
#include "state-ser/snap/le.h"

static const struct stasis_save_opts packed = {
    .size = sizeof(packed), .no_sync = true, .zlib_level = 1, .threads = 1};
static const struct stasis_save_opts plain = {.size = sizeof(plain), .no_sync = true};

/* Opens the image, which is damaged somewhere that opening does not see. */
static void expect_refused(const struct image *image, int code, const char *what)
{
    struct stasis_snap *snap = image_reopen(image);

    for (unsigned streamed = 0; streamed < 2; streamed++) {
        struct stasis_error err = {0};
        struct image again = {0};

        assert_int_equal(image_try_save(snap, streamed, &plain, &again, &err), code);
        if (strncmp(err.msg, "saving ", 7) != 0 || !strstr(err.msg, what))
            fail_msg("%s", err.msg);
        assert_true(!again.len || check_image(&again, NULL) == STASIS_ERR_CORRUPT);
        image_fini(&again);
    }
    stasis_snap_free(snap);
}

static struct stasis_snap_chunk last_chunk(const struct image *image)
{
    struct stasis_snap *snap = image_reopen(image);
    struct stasis_snap_chunk chunk = stasis_snap_chunk_at(snap, stasis_snap_chunk_count(snap) - 1);

    stasis_snap_free(snap);
    return chunk;
}

static void damaged_ram_is_found_in_every_chunk(void **state)
{
    struct built built;

    (void)state;
    built_large(&built); /* more than one chunk in a batch */
    for (unsigned level = 0; level < 2; level++) {
        struct image whole = image_save(built.snap, false, level ? &packed : &plain);
        struct stasis_snap *snap = image_reopen(&whole);

        for (uint64_t i = 0; i < stasis_snap_chunk_count(snap); i += 7) {
            struct stasis_snap_chunk chunk = stasis_snap_chunk_at(snap, i);

            if (chunk.kind == STASIS_CHUNK_ZERO)
                continue;
            whole.bytes[chunk.offset + chunk.stored_len - 1] ^= 1;
            expect_refused(&whole, STASIS_ERR_CORRUPT, "damaged (CRC)");
            whole.bytes[chunk.offset + chunk.stored_len - 1] ^= 1;
        }
        stasis_snap_free(snap);
        image_fini(&whole);
    }
    built_fini(&built);
}

/* The index's extent of the last chunk. */
static uint8_t *last_extent(struct image *image)
{
    const uint8_t *index = image_section(image, STASIS_SECTION_INDEX);

    return image->bytes + section_offset(index) + section_length(index) - 24;
}

static void damaged_ram_is_refused(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    for (unsigned level = 0; level < 2; level++) {
        struct image whole = image_save(built.snap, false, level ? &packed : &plain);
        struct stasis_snap_chunk chunk = last_chunk(&whole);

        assert_int_equal(chunk.kind, level ? STASIS_CHUNK_ZLIB : STASIS_CHUNK_RAW);
        whole.bytes[chunk.offset + 10] ^= 1;
        expect_refused(&whole, STASIS_ERR_CORRUPT, "damaged (CRC)");
        stasis_le32_put(last_extent(&whole) + 12,
                        stasis_crc32(whole.bytes + chunk.offset, chunk.stored_len));
        image_reseal(&whole);
        if (level) /* else that is another RAM */
            expect_refused(&whole, STASIS_ERR_CORRUPT, "does not unpack to one chunk");
        image_fini(&whole);
    }
    built_fini(&built);
}

static void a_wrong_page_mask_is_refused(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    for (unsigned level = 0; level < 2; level++) {
        struct image whole = image_save(built.snap, false, level ? &packed : &plain);

        last_extent(&whole)[18] ^= 1;
        image_reseal(&whole);
        expect_refused(&whole, STASIS_ERR_CORRUPT, "its page mask is wrong");
        image_fini(&whole);
    }
    built_fini(&built);
}

static void damaged_sections_are_refused(void **state)
{
    struct built built;
    struct image whole, image;

    (void)state;
    built_small(&built);
    whole = image_of(&built);
    image_add_section(&whole, 77, 70000);
    image_add_section(&whole, 78, 10);
    image = image_copy(&whole);
    image.bytes[image.len - 11] ^= 1; /* not the last section */
    expect_refused(&image, STASIS_ERR_CORRUPT, "the section of type 77 is damaged (CRC)");
    image_fini(&image);
    image = image_copy(&whole);
    image.bytes[section_offset(image_section(&image, STASIS_SECTION_SCHEMA)) + 5] ^= 1;
    expect_refused(&image, STASIS_ERR_CORRUPT, "the schema section is damaged (CRC)");
    image_fini(&image);
    image = image_copy(&whole);
    image.bytes[STASIS_HDR_COMPATIBLE] = 4;
    image_reseal(&image);
    expect_refused(&image, STASIS_ERR_VERSION,
                   "compatible feature bit 2, which would be lost; use a newer release of stasis");
    image_fini(&image);
    image_fini(&whole);
    built_fini(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_ram_is_refused),
        cmocka_unit_test(damaged_ram_is_found_in_every_chunk),
        cmocka_unit_test(a_wrong_page_mask_is_refused),
        cmocka_unit_test(damaged_sections_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
