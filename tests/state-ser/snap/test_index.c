/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Index entries that lie, each under right CRCs.
 */
#include "tests/state-ser/snap/fixture.h"

#include <string.h>

#include "state-ser/snap/le.h"

/* The small snapshot's index: 2 regions, then 4 chunks: raw (short), raw, zero, raw. */
enum { REGIONS = 8, CHUNKS = 8 + 2 * 16, CHUNK = 24 };

static struct image whole;

static int setup(void **state)
{
    struct built built;

    (void)state;
    built_small(&built);
    whole = image_of(&built);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_that_lie_are_refused),
        cmocka_unit_test(chunks_that_lie_are_refused),
        cmocka_unit_test(a_chunk_left_out_is_refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
