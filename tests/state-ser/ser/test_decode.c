/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "sample.h"
#include "state-ser/ser/encoding.h"
#include "stasis/ser.h"

static int decode(const struct stasis_schema *schema, uint32_t version, const void *fields,
                  size_t len, void *state, struct stasis_error *err)
{
    struct stasis_record record = {.type = "test.it", .instance = "a", .version = version};
    struct stasis_reader reader;

    stasis_reader_init(&reader, fields, len);
    return stasis_decode_fields(&reader, &record, schema, state, err);
}

struct refusal {
    const char *fields;
    size_t len;
    const char *message;
};
#define REFUSAL(literal, message)                                                                  \
    {                                                                                              \
        literal, sizeof(literal) - 1, message                                                      \
    }

/* Of a part: id 1 an integer, id 2 a string of at most 4 bytes. */
static void test_refusals(void **unused)
{
    static const struct refusal cases[] = {
        REFUSAL("\x82\x01\xcc\x05\x02\xa0", ", field value: not in its shortest form"),
        REFUSAL("\x82\xcc\x01\x05\x02\xa0", ", field value: not in its shortest form"),
        REFUSAL("\x82\x01\x05\x02\xd9\x01x", ", field note: not in its shortest form"),
        REFUSAL("\xde\x00\x02\x01\x05\x02\xa0", ": not in its shortest form"),
        REFUSAL("\x82\x01\x05\x01\x05", ", field note: id 1 where id 2 is expected"),
        REFUSAL("\x82\x02\xa0\x01\x05", ", field value: id 2 where id 1 is expected"),
        REFUSAL("\x82\x01\x05\x03\xa0", ", field note: id 3 where id 2 is expected"),
        REFUSAL("\x81\x01\x05", ": 1 fields, version 2 has 2"),
        REFUSAL("\x83\x01\x05\x02\xa0\x03\x00", ": 3 fields, version 2 has 2"),
        REFUSAL("\x82\x01\xa0\x02\xa0", ", field value: not of the type the format asks for"),
        REFUSAL("\x82\x01\xff\x02\xa0", ", field value: not of the type the format asks for"),
        REFUSAL("\x82\x01\xc0\x02\xa0", ", field value: not of the type the format asks for"),
        REFUSAL("\x82\x01\xc3\x02\xa0", ", field value: not of the type the format asks for"),
        REFUSAL("\x82\x01\xca\0\0\0\0\x02\xa0",
                ", field value: not of the type the format asks for"),
        REFUSAL("\x82\x01\x05\x02\xc4\x01x", ", field note: not of the type the format asks for"),
        REFUSAL("\x82\x01\x05\x02\xa1\x00", ", field note: not UTF-8, or with control characters"),
        REFUSAL("\x82\x01\x05\x02\xa2x\x00", ", field note: not UTF-8, or with control characters"),
        REFUSAL("\x82\x01\x05\x02\xa1\xff", ", field note: not UTF-8, or with control characters"),
        REFUSAL("\x82\x01\x05\x02\xa5xxxxx", ", field note: 5 bytes, at most 4"),
        REFUSAL("\x90", ": not of the type the format asks for"),
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_sample_part_state part;
        struct stasis_error err = {0};

        assert_int_equal(
            decode(&stasis_sample_part_schema, 2, cases[i].fields, cases[i].len, &part, &err),
            STASIS_ERR_CORRUPT);
        assert_memory_equal(err.msg, "record test.it a", 16);
        assert_string_equal(err.msg + 16, cases[i].message);
    }
}

/* The golden sample with one piece replaced; returns the new length. */
static size_t replace(uint8_t *ret_fields, const char *from, size_t from_len, const char *to,
                      size_t to_len)
{
    const uint8_t *fields = sample_section + sample_fields_at, *end;
    size_t len = sample_section_len - sample_fields_at, before;
    const uint8_t *found = memmem(fields, len, from, from_len);

    assert_non_null(found);
    end = found + from_len;
    before = (size_t)(found - fields);
    memcpy(ret_fields, fields, before);
    memcpy(ret_fields + before, to, to_len);
    memcpy(ret_fields + before + to_len, end, len - before - from_len);
    return len - from_len + to_len;
}

struct change {
    const char *from;
    size_t from_len;
    const char *to;
    size_t to_len;
    const char *message;
};
#define CHANGE(from, to, message)                                                                  \
    {                                                                                              \
        from, sizeof(from) - 1, to, sizeof(to) - 1, message                                        \
    }
#define ZEROS_21 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void test_refusals_name_the_place(void **unused)
{
    static const struct change cases[] = {
        CHANGE("\x01\xcc\xff", "\x01\xcd\x01\x05", ", field small: 0x105 is outside its mask 0xff"),
        CHANGE("\xd1\xff\x7f", "\xcf\x80\0\0\0\0\0\0\0",
               ", field offset: larger than a signed integer"),
        CHANGE("\x93\x00\x7f\xcc\x80", "\x92\x00\x7f", ", field table: 2 elements, must be 3"),
        CHANGE("\x93\x00\x7f\xcc\x80", "\x94\x00\x7f\x01\x02",
               ", field table: 4 elements, must be 3"),
        CHANGE("\x7f\xcc\x80", "\x7f\xcd\x10\x00",
               ", field table: 0x1000 is outside its mask 0xfff"),
        CHANGE("\xc4\x02\x0a\x0b", "\xc4\x09qwertzuio", ", field raw: 9 bytes, at most 8"),
        CHANGE("\xc4\x02\x0a\x0b", "\xc5\x00\x02\x0a\x0b", ", field raw: not in its shortest form"),
        CHANGE("\xc4\x08\1\2\3\4\5\6\7\x8", "\xc4\x03\1\2\3",
               ": regs has 3 bytes, not whole registers of 4"),
        CHANGE("\xd9\x20", "\xd9\x29xxxxxxxxx", ", field label: 41 bytes, at most 40"),
        CHANGE("\x02\xa0", "\x02\xc0", ", field part.note: not of the type the format asks for"),
        CHANGE("\x92\x82\x01\x00", "\xdc\x00\x15" ZEROS_21,
               ", field parts: 21 elements, at most 20"),
        CHANGE("\x92\x82\x01\x00", "\xdd\x10\x00\x00\x00\x82\x01\x00",
               ", field parts: more elements than bytes left"),
        CHANGE("\xa3one", "\xa5three", ", field parts[0].note: 5 bytes, at most 4"),
        CHANGE("\xa4"
               "four",
               "\xa5"
               "fives",
               ", field parts[1].note: 5 bytes, at most 4"),
        CHANGE("\x82\x01\xcd", "\x81\x01\xcd", ", field parts[1]: 1 fields, version 2 has 2"),
        CHANGE("\x82\x01\xcd", "\x93\x01\xcd",
               ", field parts[1]: not of the type the format asks for"),
    };
    uint8_t fields[256];

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct change *change = &cases[i];
        size_t len = replace(fields, change->from, change->from_len, change->to, change->to_len);
        struct stasis_sample_state state;
        struct stasis_error err = {0};

        assert_int_equal(decode(&stasis_sample_schema, 2, fields, len, &state, &err),
                         STASIS_ERR_CORRUPT);
        assert_memory_equal(err.msg, "record test.it a", 16);
        assert_string_equal(err.msg + 16, change->message);
    }
}

static void test_every_prefix_is_refused(void **unused)
{
    const uint8_t *fields = sample_section + sample_fields_at;
    size_t len = sample_section_len - sample_fields_at;
    struct stasis_sample_state state, want;

    (void)unused;
    for (size_t i = 0; i < len; i++)
        assert_int_equal(decode(&stasis_sample_schema, 2, fields, i, &state, NULL),
                         STASIS_ERR_CORRUPT);
    assert_int_equal(decode(&stasis_sample_schema, 2, fields, len, &state, NULL), 0);
    sample_fill(&want);
    assert_memory_equal(&state, &want, sizeof(want));
}

/* clang-format off */
static const uint8_t version_1[] = {
    0x87,
    0x01, 0x01,                         /* small */
    0x02, 0x00,                         /* offset */
    0x04, 0x93, 0x00, 0x00, 0x00,       /* table */
    0x05, 0xc4, 0x00,                   /* raw */
    0x07, 0xa1, 'x',                    /* label */
    0x08, 0x81, 0x01, 0x05,             /* part, without its note */
    0x09, 0x91, 0x81, 0x01, 0x06,       /* parts, without their notes */
};
/* clang-format on */

static void test_older_version_takes_defaults(void **unused)
{
    struct stasis_sample_state state, want;

    (void)unused;
    stasis_state_init(&stasis_sample_schema, &want);
    want.small = 1;
    want.offset = 0;
    strncpy(want.label, "x", sizeof(want.label)); /* fills with zeros over the default "none" */
    want.part.value = 5;
    want.parts_count = 1;
    stasis_state_init(&stasis_sample_part_schema, &want.parts[0]);
    want.parts[0].value = 6;
    assert_int_equal(want.added, 9);
    assert_string_equal(want.part.note, "new");
    memset(&state, 0xa5, sizeof(state));
    assert_int_equal(decode(&stasis_sample_schema, 1, version_1, sizeof(version_1), &state, NULL),
                     0);
    assert_memory_equal(&state, &want, sizeof(want));
}

static void test_version_rules_which_fields(void **unused)
{
    const uint8_t *fields = sample_section + sample_fields_at;
    size_t len = sample_section_len - sample_fields_at;
    struct stasis_error err = {0};
    struct stasis_sample_state state;

    (void)unused;
    assert_int_equal(decode(&stasis_sample_schema, 1, fields, len, &state, &err),
                     STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "record test.it a: 9 fields, version 1 has 7");
    assert_int_equal(decode(&stasis_sample_schema, 2, version_1, sizeof(version_1), &state, &err),
                     STASIS_ERR_CORRUPT);
    assert_string_equal(err.msg, "record test.it a: 7 fields, version 2 has 9");
    assert_int_equal(decode(&stasis_sample_schema, 3, fields, len, &state, &err),
                     STASIS_ERR_VERSION);
    assert_string_equal(err.msg, "record test.it a has version 3, this release reads up to 2: use "
                                 "the program that wrote it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refusals_name_the_place),
        cmocka_unit_test(test_every_prefix_is_refused),
        cmocka_unit_test(test_older_version_takes_defaults),
        cmocka_unit_test(test_version_rules_which_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
