/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/field.h"

#include <string.h>

bool stasis_field_fits(const struct stasis_field *field, uint64_t value)
{
    if (field->is_signed)
        return stasis_field_sign_extend(value, field->elem_size) == value;
    return value <= UINT64_MAX >> (64 - 8 * field->elem_size);
}

static size_t count_size(const struct stasis_field *field)
{
    return field->count_size ? field->count_size : sizeof(uint32_t);
}

uint32_t stasis_field_get_count(const struct stasis_field *field, const void *base)
{
    uint64_t count;

    if (field->is_fixed)
        return field->max;
    count = stasis_field_number((const uint8_t *)base + field->count_offset, count_size(field));
    return count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
}

void stasis_field_set_count(const struct stasis_field *field, void *base, uint32_t count)
{
    if (!field->is_fixed)
        stasis_field_set_number((uint8_t *)base + field->count_offset, count_size(field), count);
}

/* Overlong forms, surrogates and values above U+10FFFF are refused through the bounds of the second
 * byte (Unicode 15, table 3-7). */
size_t stasis_utf8_decode(const char *str, size_t left, uint32_t *ret_code)
{
    const uint8_t *s = (const uint8_t *)str;
    uint8_t low = 0x80, high = 0xbf;
    uint32_t code;
    size_t len;

    if (!left)
        return 0;
    if (s[0] < 0x80) {
        *ret_code = s[0];
        return 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf)
        len = 2;
    else if ((s[0] & 0xf0) == 0xe0)
        len = 3;
    else if (s[0] >= 0xf0 && s[0] <= 0xf4)
        len = 4;
    else
        return 0;
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (left < len || s[1] < low || s[1] > high)
        return 0;
    code = s[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s[i] & 0x3fu);
    }
    *ret_code = code;
    return len;
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

bool stasis_char_shown(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0xad, 0xad},       /* soft hyphen */
        {0x61c, 0x61c},     /* Arabic letter mark */
        {0x180e, 0x180e},   /* Mongolian vowel separator */
        {0x200b, 0x200f},   /* zero width; direction marks */
        {0x2028, 0x202e},   /* line and paragraph separator; embeddings and overrides */
        {0x2060, 0x206f},   /* word joiner, invisible operators, isolates */
        {0xfeff, 0xfeff},   /* byte order mark */
        {0xfff9, 0xfffb},   /* interlinear annotation */
        {0xe0000, 0xe007f}, /* tags */
    };

    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        if (code >= hidden[i].first && code <= hidden[i].last)
            return false;
    }
    return !is_control(code);
}

bool stasis_utf8_valid(const char *str, size_t len)
{
    while (len) {
        uint32_t code;
        size_t step = stasis_utf8_decode(str, len, &code);

        if (!step || is_control(code))
            return false;
        str += step;
        len -= step;
    }
    return true;
}
