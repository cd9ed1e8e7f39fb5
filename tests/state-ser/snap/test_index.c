/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Index entries that lie, each under right CRCs.
 */
#include "tests/state-ser/snap/fixture.h"

#include <string.h>
#include <unistd.h>

#include "state-ser/snap/index.h"
#include "state-ser/snap/le.h"

/* The small snapshot's index: 2 regions, then 4 chunks: raw (short), raw, zero, raw. */
enum { REGIONS = 8, CHUNKS = 8 + 2 * 16, CHUNK = 24 };

static const struct stasis_save_opts version_1 = {.size = sizeof(version_1), .format_version = 1};
static struct image whole;

static int setup(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    whole = image_of_with(&built, &version_1);
    built_fini(&built);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    image_fini(&whole);
    return 0;
}

static void with(size_t at, unsigned bytes, uint64_t value, const char *words)
{
    struct image image = image_copy(&whole);
    uint8_t *index = image.bytes + section_offset(image_section(&image, STASIS_SECTION_INDEX));
    struct stasis_error err = {0};
    int rc;

    for (unsigned i = 0; i < bytes; i++)
        index[at + i] = (uint8_t)(value >> (8 * i));
    image_reseal(&image);
    rc = check_image(&image, &err);
    if (rc != STASIS_ERR_CORRUPT || err.code != STASIS_ERR_CORRUPT || !strstr(err.msg, words))
        fail_msg("got %d \"%s\", expected \"%s\"", rc, err.msg, words);
    image_fini(&image);
}

static void regions_that_lie_are_refused(void **state)
{
    (void)state;
    with(0, 4, 3, "region 2");
    with(0, 4, 1, "the header says");
    with(0, 4, 65, "cannot hold 65");
    with(0, 4, UINT32_MAX, "cannot hold");
    with(4, 4, 1, "cannot hold");
    with(REGIONS, 8, 1, "whole pages");
    with(REGIONS, 8, UINT64_MAX - 4095, "whole pages");
    with(REGIONS + 8, 8, 0, "whole pages");
    with(REGIONS + 8, 8, UINT64_C(1) << 60, "whole pages");
    with(REGIONS + 8, 8, 4096, "the header says");
    with(REGIONS + 16, 8, 0, "overlaps");
    with(REGIONS, 8, 0x200000, "ascending");
}

static void chunks_that_lie_are_refused(void **state)
{
    const uint64_t data = section_offset(image_section(&whole, STASIS_SECTION_DATA));
    const size_t shortest = CHUNKS;
    const size_t first = CHUNKS + CHUNK;
    const size_t zero = CHUNKS + 2 * CHUNK;
    const size_t last = CHUNKS + 3 * CHUNK;

    (void)state;
    with(first, 1, STASIS_CHUNK_ABSENT, "is absent");
    with(first, 1, 3, "unknown kind");
    with(first, 1, 0xff, "unknown kind");
    with(first, 1, STASIS_CHUNK_ZERO, "zero and yet stored");
    with(first + 1, 1, 1, "reserved");
    with(first + 20, 4, 1, "reserved");
    with(first + 2, 2, 0, "page mask");
    with(shortest + 2, 2, 7, "page mask");
    with(first + 4, 4, 0, "damaged (CRC)");
    with(first + 8, 8, 0, "outside the data section");
    with(first + 8, 8, 1024, "outside the data section");
    with(first + 8, 8, data, "over another chunk");
    with(first + 8, 8, data + 8192 + 1, "page boundary");
    with(first + 8, 8, whole.len - 4096, "outside the data section");
    with(first + 8, 8, whole.len, "outside the data section");
    with(first + 8, 8, UINT64_MAX - 4095, "outside the data section");
    with(first + 8, 8, data + 8192 + 4096, "over another chunk"); /* seen at the next one */
    with(first + 16, 4, 8192, "its length is not");
    with(first + 16, 4, 0, "its length is not");
    with(first + 16, 4, UINT32_MAX, "its length is not");
    with(zero, 1, STASIS_CHUNK_RAW, "its length is not");
    with(zero + 2, 1, 1, "zero and yet stored");
    with(zero + 4, 1, 1, "zero and yet stored");
    with(zero + 8, 1, 1, "zero and yet stored");
    with(zero + 16, 1, 1, "zero and yet stored");
    with(last + 2, 2, 0x4000, "page mask is wrong"); /* only verify can know */
}

static void compressed_chunks_that_lie_are_refused(void **state)
{
    const struct stasis_save_opts opts = {
        .size = sizeof(opts), .zlib_level = 1, .format_version = 1};
    const struct image raw = whole;
    const size_t chunk = 8 + 16; /* behind the only region */
    struct stasis_error err = {0};
    struct built built;

    (void)state;
    built_init(&built);
    built_add(&built, 0, STASIS_CHUNK_SIZE);
    memset(built.ram[0], 'x', STASIS_CHUNK_SIZE);
    whole = image_of_with(&built, &opts);
    assert_int_equal(check_image(&whole, &err), 0);
    with(chunk + 16, 4, 0, "is compressed, but not smaller");
    with(chunk + 16, 4, STASIS_CHUNK_SIZE, "is compressed, but not smaller");
    with(chunk + 16, 4, STASIS_CHUNK_SIZE - 1, "outside the data section");
    image_fini(&whole);
    whole = raw;
    built_fini(&built);
}

/* A raw chunk turned into zero: all sums agree, but the data section no longer ends with it. */
static void a_chunk_left_out_is_refused(void **state)
{
    struct image image = image_copy(&whole);
    uint8_t *last = image.bytes + section_offset(image_section(&image, STASIS_SECTION_INDEX)) +
                    CHUNKS + 3 * CHUNK;
    struct stasis_error err = {0};

    (void)state;
    memset(last, 0, CHUNK);
    last[0] = STASIS_CHUNK_ZERO;
    stasis_le64_put(image.bytes + STASIS_HDR_STORED_BYTES, 8192 + 65536);
    image_reseal(&image);
    assert_int_equal(check_image(&image, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "does not end the data section"));
    image_fini(&image);
}

/* ---- blocks of zero chunks, which are kept once ---- */

#define MANY (5 * (uint64_t)STASIS_INDEX_BLOCK) /* chunks of the last region */

/* Chunks that are stored: they leave the second, third and fifth block zero. */
static const uint64_t stored[] = {0, 3 * STASIS_INDEX_BLOCK, 4 * STASIS_INDEX_BLOCK - 1};

/* Short regions in front shift the entries against the bytes of the file, and the chunks against
 * the last region; one chunk is left for a block that is not full. */
static struct image image_of_blocks(uint32_t short_regions)
{
    struct image image;
    struct built built;

    built_init(&built);
    for (uint32_t r = 0; r < short_regions; r++)
        built_add(&built, UINT64_C(0x100000) * r, 8192);
    built_add(&built, 0x1000000, (MANY + 1) * STASIS_CHUNK_SIZE);
    for (size_t i = 0; i < sizeof(stored) / sizeof(stored[0]); i++)
        built.ram[short_regions][stored[i] * STASIS_CHUNK_SIZE] = 1;
    image = image_of_with(&built, &version_1);
    built_fini(&built);
    return image;
}

static void read_back(const struct image *image, struct stasis_index *ret_index)
{
    struct stasis_header header;
    struct stasis_error err;
    int fd = image_fd(image);

    assert_int_equal(stasis_header_decode(image->bytes, &header, &err), 0);
    if (stasis_index_read(&(struct stasis_input){.fd = fd}, &header, ret_index, &err))
        fail_msg("%s", err.msg);
    close(fd);
}

static void assert_zero_end(const struct stasis_index *index, uint64_t i, uint64_t end)
{
    uint64_t expected = i;

    while (expected < end && stasis_index_get(index, expected).kind == STASIS_CHUNK_ZERO)
        expected++;
    assert_int_equal(stasis_index_zero_end(index, i, end), expected);
    assert_int_equal(stasis_index_run_end(index, i, end), expected > i ? expected : i + 1);
}

static void every_entry_is_as_in_the_file(void **state)
{
    (void)state;
    for (uint32_t regions = 0; regions < 3; regions++) {
        struct image image = image_of_blocks(regions);
        const uint8_t *entry = image.bytes +
                               section_offset(image_section(&image, STASIS_SECTION_INDEX)) +
                               stasis_index_head_len(regions + 1);
        struct stasis_index index;

        read_back(&image, &index);
        assert_int_equal(index.chunk_count, MANY + 1 + regions);
        assert_non_null(index.zero);
        for (uint64_t i = 0; i < index.chunk_count; i++, entry += STASIS_INDEX_CHUNK_LEN) {
            struct stasis_snap_chunk chunk = stasis_index_get(&index, i);

            assert_int_equal(chunk.kind, entry[0]);
            assert_int_equal(chunk.page_mask, stasis_le16_get(entry + 2));
            assert_int_equal(chunk.crc, stasis_le32_get(entry + 4));
            assert_int_equal(chunk.offset, stasis_le64_get(entry + 8));
            assert_int_equal(chunk.stored_len, stasis_le32_get(entry + 16));
            if (i % 61 == 0) {
                assert_zero_end(&index, i, index.chunk_count);
                assert_zero_end(&index, i, i + 1);
                assert_zero_end(&index, i, i + (index.chunk_count - i) / 2);
            }
        }
        stasis_index_fini(&index);
        image_fini(&image);
    }
}

/* Each byte of the first, a middle and the last entry of a block that would be kept once. */
static void no_lie_hides_among_zero_chunks(void **state)
{
    static const uint64_t entries[] = {STASIS_INDEX_BLOCK, 2 * STASIS_INDEX_BLOCK,
                                       2 * STASIS_INDEX_BLOCK + 300, 3 * STASIS_INDEX_BLOCK - 1,
                                       MANY - 1};
    struct image image = image_of_blocks(0);
    uint8_t *index = image.bytes + section_offset(image_section(&image, STASIS_SECTION_INDEX)) +
                     stasis_index_head_len(1);

    (void)state;
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        for (size_t at = 0; at < STASIS_INDEX_CHUNK_LEN; at++) {
            uint8_t *byte = index + entries[i] * STASIS_INDEX_CHUNK_LEN + at;
            struct stasis_snap *snap;
            struct stasis_error err;
            int fd;

            *byte ^= 0x80;
            image_reseal(&image);
            fd = image_fd(&image);
            assert_int_equal(stasis_snap_open_fd(fd, "lie", NULL, &snap, &err), STASIS_ERR_CORRUPT);
            assert_non_null(strstr(err.msg, "of the index"));
            close(fd);
            *byte ^= 0x80;
        }
    }
    image_fini(&image);
}

static void a_count_of_regions_that_grows_is_damage(void **state)
{
    struct image image = image_of_blocks(0);
    struct stasis_snap *snap;
    struct stasis_error err;
    int fd;

    (void)state;
    image.bytes[section_offset(image_section(&image, STASIS_SECTION_INDEX))] = 64;
    fd = image_fd(&image);
    assert_int_equal(stasis_snap_open_fd(fd, "grown", NULL, &snap, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "the index section is damaged (CRC)"));
    close(fd);
    image_fini(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_that_lie_are_refused),
        cmocka_unit_test(chunks_that_lie_are_refused),
        cmocka_unit_test(compressed_chunks_that_lie_are_refused),
        cmocka_unit_test(a_chunk_left_out_is_refused),
        cmocka_unit_test(every_entry_is_as_in_the_file),
        cmocka_unit_test(no_lie_hides_among_zero_chunks),
        cmocka_unit_test(a_count_of_regions_that_grows_is_damage),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
