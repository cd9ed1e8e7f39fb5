/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rows that must not compile, one for each CASE; case 0 does. bind_refused.sh runs them. The text
 * in quotes behind CASE is what the compiler has to say.
 */
#include "stasis/bind.h"

struct part {
    uint32_t at;
};

struct device {
    uint8_t level;
    int8_t narrow;
    int plain;
    double real;
    bool on;
    char letter;
    unsigned bit : 1;
    union {
        int whole;
        char parts[4];
    } either;
    uint16_t words[4];
    uint16_t *pointer;
    uint16_t *pointers[4];
    uint16_t grid[2][3];
    int16_t signs[3];
    double reals[2];
    uint8_t bytes[6];
    uint8_t *behind;
    char *text;
    char label[4];
    char labels[2][4];
    struct part part, parts[3], *far, *fars[2], (*rows)[3];
    uint32_t count;
    uint64_t wide_count;
    uint8_t small_count;
    signed char signed_count;
};

static const struct stasis_field part_fields[] = {
    STASIS_BIND_INT(struct part, at, 1, 1, 0, UINT32_MAX, "")};
static const struct stasis_schema part_schema = {
    .type = "part", .version = 1, STASIS_BIND_FIELDS(struct part, part_fields), .doc = ""};

#define D struct device
static const struct stasis_field fields[] = {
#if CASE == 0
    STASIS_BIND_INT(D, level, 1, 1, 3, 0x0f, ""),
    STASIS_BIND_INT(D, on, 2, 1, 1, 1, ""),
    STASIS_BIND_INTS(D, words, 3, 1, 0xffff, ""),
    STASIS_BIND_BUF(D, bytes, count, 4, 1, 2, ""),
    STASIS_BIND_STR(D, label, 5, 1, "abc", ""),
    STASIS_BIND_INT(D, narrow, 6, 1, INT8_MIN, -1, ""),
    STASIS_BIND_INT(D, plain, 7, 1, INT32_MAX, INT32_MAX, ""),
    STASIS_BIND_INTS(D, grid, 8, 1, 0xffff, ""),
    STASIS_BIND_INTS(D, signs, 9, 1, -1, ""),
    STASIS_BIND_BUF_PTR(D, behind, wide_count, 4096, 10, 1, 8, ""),
    STASIS_BIND_INTS_PTR(D, pointer, small_count, 255, 11, 1, ""),
    STASIS_BIND_LIST_PTR(D, far, signed_count, 127, 12, 1, part_schema, ""),
    STASIS_BIND_STRUCT(D, part, 13, 1, part_schema, ""),
    STASIS_BIND_STRUCTS(D, parts, struct part, 14, 1, part_schema, ""),
    STASIS_BIND_LIST(D, parts, count, 15, 1, part_schema, ""),
#elif CASE == 1  /* "level: default outside mask" */
    STASIS_BIND_INT(D, level, 1, 1, 0x13, 0x0f, ""),
#elif CASE == 2  /* "level: mask wider than the type" */
    STASIS_BIND_INT(D, level, 1, 1, 0, 0x1ff, ""),
#elif CASE == 3  /* "narrow: mask wider than the type .-1 for all of a signed one" */
    STASIS_BIND_INT(D, narrow, 1, 1, 0, 0xff, ""),
#elif CASE == 4  /* "real is a floating-point number: save its bits as an integer" */
    STASIS_BIND_INT(D, real, 1, 1, 0, 0xff, ""),
#elif CASE == 5  /* "on: mask wider than the type" */
    STASIS_BIND_INT(D, on, 1, 1, 0, 3, ""),
#elif CASE == 6  /* "pointer is not an array: .* STASIS_BIND_INTS_PTR" */
    STASIS_BIND_INTS(D, pointer, 1, 1, 0xff, ""),
#elif CASE == 7  /* "words: mask wider than the type" */
    STASIS_BIND_INTS(D, words, 1, 1, 0x10000, ""),
#elif CASE == 8  /* "bytes is not whole registers" */
    STASIS_BIND_BUF(D, bytes, count, 1, 1, 4, ""),
#elif CASE == 9  /* "words does not consist of uint8_t" */
    STASIS_BIND_BUF(D, words, count, 1, 1, 2, ""),
#elif CASE == 10 /* "real: the count is no integer" */
    STASIS_BIND_BUF(D, bytes, real, 1, 1, 1, ""),
#elif CASE == 11 /* "label: default longer than the member" */
    STASIS_BIND_STR(D, label, 1, 1, "abcd", ""),
#elif CASE == 12 /* "bytes is no array of char .bytes: STASIS_BIND_BUF" */
    STASIS_BIND_STR(D, bytes, 1, 1, "", ""),
#elif CASE == 13 /* "no member named" */
    STASIS_BIND_INT(D, lost, 1, 1, 0, 0xff, ""),
#elif CASE == 14 /* "narrow: default wider than the type" */
    STASIS_BIND_INT(D, narrow, 1, 1, -129, -1, ""),
#elif CASE == 15 /* "narrow: default wider than the type" */
    STASIS_BIND_INT(D, narrow, 1, 1, 128, -1, ""),
#elif CASE == 16 /* "plain: mask wider than the type" */
    STASIS_BIND_INT(D, plain, 1, 1, 0, UINT32_MAX, ""),
#elif CASE == 17 /* "pointer is a pointer or an array, no integer" */
    STASIS_BIND_INT(D, pointer, 1, 1, 0, 0xff, ""),
#elif CASE == 18 /* "words is a pointer or an array, no integer" */
    STASIS_BIND_INT(D, words, 1, 1, 0, 0xff, ""),
#elif CASE == 19 /* "part is a struct or a union: use STASIS_BIND_STRUCT" */
    STASIS_BIND_INT(D, part, 1, 1, 0, 0xff, ""),
#elif CASE == 20 /* "either is a struct or a union" */
    STASIS_BIND_INT(D, either, 1, 1, 0, 0xff, ""),
#elif CASE == 21 /* "letter is no integer of 8 to 64 bits .plain char: make it signed char" */
    STASIS_BIND_INT(D, letter, 1, 1, 0, 0x7f, ""),
#elif CASE == 22 /* "bit-field" */
    STASIS_BIND_INT(D, bit, 1, 1, 0, 1, ""),
#elif CASE == 23 /* "pointers: an array of pointers cannot be saved" */
    STASIS_BIND_INTS(D, pointers, 1, 1, 0xffff, ""),
#elif CASE == 24 /* "reals is no array of integers" */
    STASIS_BIND_INTS(D, reals, 1, 1, 0xff, ""),
#elif CASE == 25 /* "signs: an array of signed integers has the mask -1" */
    STASIS_BIND_INTS(D, signs, 1, 1, 0x7f, ""),
#elif CASE == 26 /* "grid: mask wider than the type" */
    STASIS_BIND_INTS(D, grid, 1, 1, 0x1ffff, ""),
#elif CASE == 27 /* "parts is no struct .an array of structs: STASIS_BIND_STRUCTS" */
    STASIS_BIND_STRUCT(D, parts, 1, 1, part_schema, ""),
#elif CASE == 28 /* "far is no struct" */
    STASIS_BIND_STRUCT(D, far, 1, 1, part_schema, ""),
#elif CASE == 29 /* "fars: an array of pointers cannot be saved" */
    STASIS_BIND_STRUCTS(D, fars, struct part, 1, 1, part_schema, ""),
#elif CASE == 30 /* "words is no array of struct part" */
    STASIS_BIND_STRUCTS(D, words, struct part, 1, 1, part_schema, ""),
#elif CASE == 31 /* "far is not an array: for a pointer and a count use STASIS_BIND_LIST_PTR" */
    STASIS_BIND_STRUCTS(D, far, struct part, 1, 1, part_schema, ""),
#elif CASE == 32 /* "far is not an array: for a pointer and a count use STASIS_BIND_LIST_PTR" */
    STASIS_BIND_LIST(D, far, count, 1, 1, part_schema, ""),
#elif CASE == 33 /* "fars: its elements are pointers or arrays, not structs" */
    STASIS_BIND_LIST(D, fars, count, 1, 1, part_schema, ""),
#elif CASE == 34 /* "parts is not a pointer: for an array use STASIS_BIND_LIST" */
    STASIS_BIND_LIST_PTR(D, parts, count, 3, 1, 1, part_schema, ""),
#elif CASE == 35 /* "bytes is not a pointer: for an array use STASIS_BIND_BUF" */
    STASIS_BIND_BUF_PTR(D, bytes, count, 6, 1, 1, 1, ""),
#elif CASE == 36 /* "behind: its maximum is not whole registers" */
    STASIS_BIND_BUF_PTR(D, behind, count, 6, 1, 1, 4, ""),
#elif CASE == 37 /* "text does not consist of uint8_t" */
    STASIS_BIND_BUF_PTR(D, text, count, 6, 1, 1, 1, ""),
#elif CASE == 38 /* "text does not point to integers of 8 to 64 bits .text and plain char" */
    STASIS_BIND_INTS_PTR(D, text, count, 6, 1, 1, ""),
#elif CASE == 39 /* "words is not a pointer: for an array use STASIS_BIND_INTS" */
    STASIS_BIND_INTS_PTR(D, words, count, 4, 1, 1, ""),
#elif CASE == 40 /* "small_count: the count is too small for the maximum" */
    STASIS_BIND_BUF_PTR(D, behind, small_count, 256, 1, 1, 1, ""),
#elif CASE == 41 /* "signed_count: the count is too small for the maximum" */
    STASIS_BIND_BUF_PTR(D, behind, signed_count, 128, 1, 1, 1, ""),
#elif CASE == 42 /* "on: the count is no integer" */
    STASIS_BIND_BUF_PTR(D, behind, on, 1, 1, 1, 1, ""),
#elif CASE == 43 /* "labels is no array of char .*several strings: STASIS_BIND_STRUCTS" */
    STASIS_BIND_STR(D, labels, 1, 1, "", ""),
#elif CASE == 44 /* "text is not an array: for a pointer and a count" */
    STASIS_BIND_STR(D, text, 1, 1, "", ""),
#elif CASE == 45 /* "behind is not an array: for a pointer and a count use STASIS_BIND_BUF_PTR" */
    STASIS_BIND_BUF(D, behind, count, 1, 1, 1, ""),
#elif CASE == 46 /* "rows: its elements are pointers or arrays, not structs" */
    STASIS_BIND_LIST_PTR(D, rows, count, 1, 1, 1, part_schema, ""),
#endif
};

const struct stasis_field *bound(void);
const struct stasis_field *bound(void)
{
    return fields;
}
