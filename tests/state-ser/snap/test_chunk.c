/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <string.h>

#include "state-ser/snap/chunk.h"
#include "stasis/snap.h"

static uint8_t chunk[STASIS_CHUNK_SIZE];

/* Every page has bytes at every place of a word, also where an emulated machine tries fewer. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BYTE_STEP 13
#else
#define BYTE_STEP 1
#endif

static void page_mask_names_the_page_of_every_byte(void **state)
{
    (void)state;
    assert_int_equal(stasis_chunk_page_mask(chunk, sizeof(chunk)), 0);
    for (size_t i = 0; i < sizeof(chunk); i += BYTE_STEP) {
        chunk[i] = 0x80;
        assert_int_equal(stasis_chunk_page_mask(chunk, sizeof(chunk)), 1u << (i / 4096));
        chunk[i] = 0;
    }
    memset(chunk, 1, sizeof(chunk));
    assert_int_equal(stasis_chunk_page_mask(chunk, sizeof(chunk)), 0xffff);
    assert_int_equal(stasis_chunk_page_mask(chunk, 2 * 4096), 3);
    memset(chunk, 0, sizeof(chunk));
}

static void crc_is_the_one_of_the_specification(void **state)
{
    (void)state;
    assert_int_equal(stasis_crc32("123456789", 9), 0xcbf43926);
    assert_int_equal(stasis_crc32(NULL, 0), 0);
    assert_int_equal(stasis_crc32_more(stasis_crc32("1234", 4), "56789", 5), 0xcbf43926);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(page_mask_names_the_page_of_every_byte),
        cmocka_unit_test(crc_is_the_one_of_the_specification),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
