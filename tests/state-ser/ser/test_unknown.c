/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "state-ser/ser/encoding.h"

struct refusal {
    const char *bytes;
    size_t len;
    const char *fault;
};
#define REFUSAL(literal, fault)                                                                    \
    {                                                                                              \
        literal, sizeof(literal) - 1, fault                                                        \
    }
#define IDS "field ids are not ascending from 1"

static const char *walk(const char *bytes, size_t len)
{
    struct stasis_reader reader;

    stasis_reader_init(&reader, (const uint8_t *)bytes, len);
    stasis_unknown_walk(&reader, NULL);
    if (!reader.fault)
        assert_ptr_equal(reader.pos, reader.end);
    return reader.fault;
}

static void test_refusals(void **unused)
{
    static const struct refusal cases[] = {
        REFUSAL("", "cut off"),
        REFUSAL("\x90", "not of the type the format asks for"),
        REFUSAL("\x81\x00\x05", IDS),
        REFUSAL("\x82\x01\x05\x01\x05", IDS),
        REFUSAL("\x82\x02\x05\x01\x05", IDS),
        REFUSAL("\x81\x01\x82\x03\x05\x03\x05", IDS),
        REFUSAL("\x81\xff\x05", "not of the type the format asks for"),
        REFUSAL("\x81\x01\xcc\x05", "not in its shortest form"),
        REFUSAL("\x81\x01\xd0\x05", "not in its shortest form"),
        REFUSAL("\x81\x01\xc0", "of a type that the format does not have"),
        REFUSAL("\x81\x01\xc2", "of a type that the format does not have"),
        REFUSAL("\x81\x01\xca\0\0\0\0", "of a type that the format does not have"),
        REFUSAL("\x81\x01\xd4\x01\x01", "of a type that the format does not have"),
        REFUSAL("\x81\x01\xa1\x00", "a string is not UTF-8, or has control characters"),
        REFUSAL("\x81\x01\xdd\x10\x00\x00\x00", "more elements than bytes left"),
        REFUSAL("\x81\x01\xdf\x10\x00\x00\x00", "more elements than bytes left"),
        REFUSAL("\x82\x01\x91\x05\x02", "cut off"),
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *fault = walk(cases[i].bytes, cases[i].len);

        assert_non_null(fault);
        assert_string_equal(fault, cases[i].fault);
    }
}

static void test_depth_is_bounded(void **unused)
{
    char bytes[3 + 100000];

    (void)unused;
    memset(bytes, 0x91, sizeof(bytes)); /* arrays of one */
    bytes[0] = (char)0x81;
    bytes[1] = 0x01;
    assert_string_equal(walk(bytes, sizeof(bytes)), "nested too deeply");
    bytes[2 + STASIS_UNKNOWN_DEPTH_MAX - 1] = 0x05;
    assert_null(walk(bytes, 2 + STASIS_UNKNOWN_DEPTH_MAX));
    bytes[2 + STASIS_UNKNOWN_DEPTH_MAX - 1] = (char)0x91;
    bytes[2 + STASIS_UNKNOWN_DEPTH_MAX] = 0x05;
    assert_string_equal(walk(bytes, 3 + STASIS_UNKNOWN_DEPTH_MAX), "nested too deeply");
}

static void test_shown_by_id(void **unused)
{
    static const char bytes[] = "\x86\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x02\xd0\x80\x03\xa2hi"
                                "\x04\xc4\x02\xab\xcd\x05\x92\x01\x80\x06\x81\x07\x90";
    static const char want[] = "{\n"
                               "  \"1\": 18446744073709551615,\n"
                               "  \"2\": -128,\n"
                               "  \"3\": \"hi\",\n"
                               "  \"4\": \"abcd\",\n"
                               "  \"5\": [\n    1,\n    {}\n  ],\n"
                               "  \"6\": {\n    \"7\": []\n  }\n"
                               "}\n";
    struct stasis_reader reader;
    struct stasis_json json;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)unused;
    stasis_reader_init(&reader, (const uint8_t *)bytes, sizeof(bytes) - 1);
    stasis_json_init(&json, out);
    stasis_unknown_walk(&reader, &json);
    assert_null(reader.fault);
    assert_int_equal(stasis_json_finish(&json), 0);
    assert_string_equal(text, want);
    fclose(out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_shown_by_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
