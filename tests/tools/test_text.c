/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "tools/text.h"

static void sizes(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0 bytes"},
        {1023, "1023 bytes"},
        {1024, "1 KiB"},
        {8192, "8 KiB"},
        {1536, "1.5 KiB"},
        {(1 << 20) - 1, "1023.9 KiB"},
        {UINT64_C(16) << 30, "16 GiB"},
        {UINT64_MAX, "15.9 EiB"},
    };
    char text[STASIS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        stasis_text_size(rows[i].bytes, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void ages(void **state)
{
    static const struct {
        uint64_t then, now;
        const char *text;
    } rows[] = {
        {100, 100, "0 s ago"},
        {0, 119, "119 s ago"},
        {0, 120, "2 min ago"},
        {0, 7199, "119 min ago"},
        {0, 7200, "2 hours ago"},
        {0, 2 * 86400, "2 days ago"},
        {300, 0, "5 min ahead of this clock"},
    };
    char text[STASIS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        stasis_text_age(rows[i].then * 1000000000, rows[i].now * 1000000000, text);
        assert_string_equal(text, rows[i].text);
    }
    stasis_text_age(0, UINT64_MAX, text);
    assert_string_equal(text, "213503 days ago");
}

static void times(void **state)
{
    char text[STASIS_TEXT_MAX];

    (void)state;
    stasis_text_time(0, text);
    assert_string_equal(text, "1970-01-01 00:00:00 UTC");
    stasis_text_time(UINT64_C(1700000000999999999), text);
    assert_string_equal(text, "2023-11-14 22:13:20 UTC");
    stasis_text_time(UINT64_MAX, text);
    assert_string_equal(text, "2554-07-21 23:34:33 UTC");
}

/* Writes len bytes and compares; returns what the function said. */
static size_t escaped(const char *bytes, size_t len, const char *allowed, int more,
                      const char *expected)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    size_t used;

    assert_non_null(file);
    used = stasis_text_put_bytes(file, bytes, len, allowed, more);
    fclose(file);
    assert_string_equal(text, expected);
    free(text);
    return used;
}

static void escapes(void **state)
{
    (void)state;
    assert_int_equal(escaped("a\x1b[2J\x07\x7f", 7, "", 0, "a\\x1b[2J\\x07\\x7f"), 7);
    /* C1 as UTF-8, and as a bare byte; what is no UTF-8 */
    escaped("\xc2\x9b\x9b\xff\xed\xa0\x80", 7, "", 0, "\\xc2\\x9b\\x9b\\xff\\xed\\xa0\\x80");
    escaped("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "", 0,
            "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    /* without a glyph: U+200E, U+200B, U+FEFF, U+E0041; U+2027 has one */
    escaped("\xe2\x80\x8e\xe2\x80\x8b\xef\xbb\xbf\xf3\xa0\x81\x81", 13, "", 0,
            "\\xe2\\x80\\x8e\\xe2\\x80\\x8b\\xef\\xbb\\xbf\\xf3\\xa0\\x81\\x81");
    escaped("\xe2\x80\xa7", 3, "", 0, "\xe2\x80\xa7");
    escaped("a\0b", 3, "\n", 0, "a\\x00b");
    escaped("a\nb\t\r", 5, "\n\t", 0, "a\nb\t\\x0d");
    escaped("", 0, "", 0, "");
}

static void unfinished_characters_wait(void **state)
{
    (void)state;
    assert_int_equal(escaped("ab\xf0\x9f\x98", 5, "", 1, "ab"), 2);
    assert_int_equal(escaped("ab\xf0\x9f\x98", 5, "", 0, "ab\\xf0\\x9f\\x98"), 5);
    assert_int_equal(escaped("\x1b", 1, "", 1, "\\x1b"), 1);
}

static void names(void **state)
{
    static const uint8_t uuid[STASIS_UUID_SIZE] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
                                                   0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
    char text[STASIS_TEXT_MAX];

    (void)state;
    stasis_text_uuid(uuid, text);
    assert_string_equal(text, "01234567-89ab-cdef-0123-456789abcdef");
    assert_string_equal(stasis_text_arch_name(STASIS_ARCH_X86_64), "x86_64");
    assert_string_equal(stasis_text_arch_name(STASIS_ARCH_AARCH64), "aarch64");
    assert_string_equal(stasis_text_arch_name(243), "riscv");
    assert_string_equal(stasis_text_arch_name(4), "m68k");
    assert_string_equal(stasis_text_arch_name(2), "sparc");
    assert_string_equal(stasis_text_arch_name(0x9026), "alpha");
    assert_null(stasis_text_arch_name(0));
    assert_null(stasis_text_arch_name(UINT32_MAX));
    stasis_text_arch(243, text);
    assert_string_equal(text, "riscv");
    stasis_text_arch(UINT32_MAX, text);
    assert_string_equal(text, "ELF machine 4294967295");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(ages),
        cmocka_unit_test(times),
        cmocka_unit_test(escapes),
        cmocka_unit_test(unfinished_characters_wait),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
