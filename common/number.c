/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "common/number.h"

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

bool stasis_number_read(const char *text, bool suffix, uint64_t *ret_value)
{
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *at = text + (hex ? 2 : 0);
    uint64_t value;
    int shift;

    if (!digits(&at, hex ? 16 : 10, &value) || (*at && !suffix))
        return false;
    shift = shift_of(at);
    if (shift < 0 || value > UINT64_MAX >> shift)
        return false;
    *ret_value = value << shift;
    return true;
}

int stasis_number_parse(const char *text, uint64_t *ret_value, struct stasis_error *err)
{
    return stasis_number_read(text, true, ret_value)
               ? 0
               : stasis_fail(err, STASIS_ERR_ARG,
                             "%.60s is not a number of 64 bits; write 4096, 0x1000 or 4K", text);
}
