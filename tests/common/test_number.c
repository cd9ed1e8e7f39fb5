/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "support/cmocka_all.h"

#include <string.h>

#include "common/number.h"

static void numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } rows[] = {
        {"0", 0},
        {"010", 10},
        {"4096", 4096},
        {"0x1000", 0x1000},
        {"0XaBcD", 0xabcd},
        {"4K", 4096},
        {"0x10K", 0x4000},
        {"3M", 3u << 20},
        {"16G", UINT64_C(16) << 30},
        {"2T", UINT64_C(2) << 40},
        {"18446744073709551615", UINT64_MAX},
        {"0xffffffffffffffff", UINT64_MAX},
        {"0x3fffffffffffffK", UINT64_MAX - 1023},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t value = 1;

        assert_int_equal(stasis_number_parse(rows[i].text, &value, NULL), 0);
        assert_int_equal(value, rows[i].value);
    }
}

static void not_numbers(void **state)
{
    static const char *const rows[] = {
        "",
        "x",
        "0x",
        "K",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1KB",
        "1k",
        "1P",
        "1.5G",
        "0xg",
        "1KK",
        "1e3",
        "0b1",
        "9a",
        "18446744073709551616",
        "0x10000000000000000",
        "0x40000000000000K",
        "16777216T",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct stasis_error err;
        uint64_t value = 77;

        if (stasis_number_parse(rows[i], &value, &err) != STASIS_ERR_ARG || value != 77)
            fail_msg("\"%s\" was taken for %llu", rows[i], (unsigned long long)value);
        assert_non_null(strstr(err.msg, "is not a number"));
    }
}

static void with_and_without_suffix(void **state)
{
    static const struct {
        const char *text;
        bool suffix;
        uint64_t number;
    } cases[] = {
        {"0", false, 0},
        {"256", false, 256},
        {"007", false, 7},
        {"0x1000000", false, 0x1000000},
        {"0xfF", false, 255},
        {"18446744073709551615", false, UINT64_MAX},
        {"0xffffffffffffffff", false, UINT64_MAX},
        {"64", true, 64},
        {"1K", true, 1024},
        {"3M", true, 3u << 20},
        {"2G", true, UINT64_C(2) << 30},
        {"1T", true, UINT64_C(1) << 40},
        {"0x10K", true, 16384},
        {"17179869183G", true, UINT64_C(17179869183) << 30},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t number;

        assert_true(stasis_number_read(cases[i].text, cases[i].suffix, &number));
        assert_true(number == cases[i].number);
    }
}

static void text_that_is_no_number_is_refused(void **state)
{
    static const struct {
        const char *text;
        bool suffix;
    } cases[] = {
        {"", true},
        {"x", true},
        {"0x", true},
        {"-1", true},
        {"+1", true},
        {" 1", true},
        {"1 ", true},
        {"1.5", true},
        {"1e3", true},
        {"12a", true},
        {"1K", false},
        {"K", true},
        {"1KB", true},
        {"1k", true},
        {"1KK", true},
        {"0xg", true},
        {"18446744073709551616", true},
        {"0x10000000000000000", true},
        {"17179869184G", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t number = 42;

        if (stasis_number_read(cases[i].text, cases[i].suffix, &number))
            fail_msg("taken: %s", cases[i].text);
        assert_true(number == 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_and_without_suffix),
        cmocka_unit_test(text_that_is_no_number_is_refused),
        cmocka_unit_test(numbers),
        cmocka_unit_test(not_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
