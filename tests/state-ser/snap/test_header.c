/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The header's bytes, written out: later versions must find every field where it is today.
 */
#include "support/cmocka_all.h"

#include <string.h>

#include "state-ser/snap/header.h"

static const uint8_t golden[] = {
    0x89, 'S',  'T',  'A',  'S',  'I',  'S',  '\n', /* magic */
    0x00, 0x04, 0x00, 0x00,                         /* length */
    0x00, 0x00, 0x00, 0x00,                         /* CRC, looked at apart */
    0x01, 0x00, 0x00, 0x00,                         /* format version */
    0x3e, 0x00, 0x00, 0x00,                         /* architecture */
    0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* incompatible features */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x80, /* compatible features */
    's',  't',  'a',  's',  'i',  's',  ' ',  'x',  /* producer */
    0,    0,    0,    0,    0,    0,    0,    0,    /* */
    0,    0,    0,    0,    0,    0,    0,    0,    /* */
    0,    0,    0,    0,    0,    0,    0,    0,    /* */
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, /* UUID */
    0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, /* */
    0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, /* created */
    0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* file length */
    0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, /* RAM */
    0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* stored */
    0x00, 0x00, 0x01, 0x00,                         /* chunk size */
    0x00, 0x10, 0x00, 0x00,                         /* page size */
};

static const uint8_t golden_table[] = {
    0x01, 0x00, 0x00, 0x00,                         /* section count */
    0x20, 0x00, 0x00, 0x00,                         /* entry size */
    0,    0,    0,    0,    0,    0,    0,    0,    /* reserved */
    0x03, 0x00, 0x00, 0x00,                         /* type */
    0x01, 0x00, 0x00, 0x00,                         /* flags */
    0x00, 0x10, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* offset */
    0x00, 0x0c, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, /* length */
    0x78, 0x56, 0x34, 0x12,                         /* CRC */
    0,    0,    0,    0,                            /* reserved */
};

static struct stasis_header sample(void)
{
    struct stasis_header header = {
        .info = {.format_version = 1,
                 .incompatible = STASIS_FEATURE_TRAILER,
                 .compatible = UINT64_C(1) << 63,
                 .producer = "stasis x",
                 .arch = STASIS_ARCH_X86_64,
                 .created_ns = UINT64_C(0x0102030405060708),
                 .file_len = 8192,
                 .ram_bytes = 128 << 20,
                 .stored_bytes = 4096,
                 .streamed = true},
        .section_count = 1,
        .sections = {{STASIS_SECTION_DATA, 1, 4096, UINT64_C(0x100000c00), 0x12345678}},
    };

    for (uint8_t i = 0; i < 16; i++)
        header.info.uuid[i] = (uint8_t)(0x10 + i);
    return header;
}

static void every_field_has_its_place(void **state)
{
    struct stasis_header header = sample();
    uint8_t bytes[STASIS_HEADER_LEN];
    static const uint8_t crc_place[4];

    (void)state;
    stasis_header_encode(&header, bytes);
    memcpy(bytes + 12, crc_place, 4);
    assert_memory_equal(bytes, golden, sizeof(golden));
    assert_memory_equal(bytes + 208, golden_table, sizeof(golden_table));
    for (size_t i = sizeof(golden); i < 208; i++)
        assert_int_equal(bytes[i], 0);
    for (size_t i = 208 + sizeof(golden_table); i < sizeof(bytes); i++)
        assert_int_equal(bytes[i], 0);
}

static void header_encoded_is_decoded_as_it_was(void **state)
{
    struct stasis_header header = sample();
    struct stasis_header back;
    struct stasis_error err = {0};
    uint8_t bytes[STASIS_HEADER_LEN];
    uint8_t again[STASIS_HEADER_LEN];

    (void)state;
    stasis_header_encode(&header, bytes);
    if (stasis_header_decode(bytes, &back, &err))
        fail_msg("%s", err.msg);
    assert_string_equal(back.info.producer, "stasis x");
    assert_true(back.info.streamed);
    stasis_header_encode(&back, again);
    assert_memory_equal(bytes, again, sizeof(bytes));
}

static void any_flipped_bit_breaks_the_crc(void **state)
{
    struct stasis_header header = sample();
    struct stasis_header back;
    uint8_t bytes[STASIS_HEADER_LEN];

    (void)state;
    stasis_header_encode(&header, bytes);
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(stasis_header_decode(bytes, &back, NULL), STASIS_ERR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_trailer_repeats_its_header(void **state)
{
    struct stasis_header header = sample();
    uint8_t leading[STASIS_HEADER_LEN];
    uint8_t trailer[STASIS_HEADER_LEN];

    (void)state;
    stasis_header_encode(&header, trailer);
    header.section_count = 0;
    header.info.file_len = 0;
    header.info.stored_bytes = 0;
    stasis_header_encode(&header, leading);
    assert_int_equal(stasis_header_check_leading(&header, NULL), 0);
    assert_int_equal(stasis_header_check_trailer(leading, trailer, NULL), 0);
    header.info.uuid[15] ^= 1;
    stasis_header_encode(&header, leading);
    assert_int_equal(stasis_header_check_trailer(leading, trailer, NULL), STASIS_ERR_CORRUPT);
    header = sample();
    assert_int_equal(stasis_header_check_leading(&header, NULL), STASIS_ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_has_its_place),
        cmocka_unit_test(header_encoded_is_decoded_as_it_was),
        cmocka_unit_test(any_flipped_bit_breaks_the_crc),
        cmocka_unit_test(a_trailer_repeats_its_header),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
