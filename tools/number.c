/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tools/number.h"

#include <stdbool.h>
#include <string.h>

#define DIGITS "0123456789abcdef"

static int digit_of(char c)
{
    const char *at = c ? strchr(DIGITS, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;

    return at ? (int)(at - DIGITS) : -1;
}

/* Reads digits up to the first other character, where it leaves *text. */
static bool digits(const char **text, unsigned base, uint64_t *ret_value)
{
    const char *start = *text;
    uint64_t value = 0;
    int digit;

    while ((digit = digit_of(**text)) >= 0 && (unsigned)digit < base) {
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, (unsigned)digit, &value))
            return false;
        (*text)++;
    }
    *ret_value = value;
    return *text != start;
}

/* Powers of two that a suffix stands for; -1 for what is none. */
static int shift_of(const char *suffix)
{
    static const char units[] = "KMGT";
    const char *unit = *suffix ? strchr(units, *suffix) : NULL;

    if (!*suffix)
        return 0;
    return unit && !suffix[1] ? 10 * (int)(unit - units + 1) : -1;
}

int stasis_number_parse(const char *text, uint64_t *ret_value, struct stasis_error *err)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *at = text + (hex ? 2 : 0);
    uint64_t value;
    int shift;

    if (!digits(&at, hex ? 16 : 10, &value) || (shift = shift_of(at)) < 0 ||
        value > UINT64_MAX >> shift)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "%.60s is not a number of 64 bits; write 4096, 0x1000 or 4K", text);
    *ret_value = value << shift;
    return 0;
}
