/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Rows that must not compile, one for each CASE; case 0 does. bind_refused.sh runs them. The text
 * in quotes behind CASE is what the compiler has to say.
 */
#include "stasis/bind.h"

struct device {
    uint8_t level;
    int narrow;
    double real;
    bool on;
    uint16_t words[4];
    uint16_t *pointer;
    uint8_t bytes[6];
    char label[4];
    uint32_t count;
    uint64_t wide_count;
};

#define D struct device
static const struct stasis_field fields[] = {
#if CASE == 0
    STASIS_BIND_INT(D, level, 1, 1, 3, 0x0f, ""), STASIS_BIND_INT(D, on, 2, 1, 1, 1, ""),
    STASIS_BIND_INTS(D, words, 3, 1, 0xffff, ""), STASIS_BIND_BUF(D, bytes, count, 4, 1, 2, ""),
    STASIS_BIND_STR(D, label, 5, 1, "abc", ""),
#elif CASE == 1  /* "level: default outside mask" */
    STASIS_BIND_INT(D, level, 1, 1, 0x13, 0x0f, ""),
#elif CASE == 2  /* "level: mask wider than the type" */
    STASIS_BIND_INT(D, level, 1, 1, 0, 0x1ff, ""),
#elif CASE == 3  /* "int.*not compatible" */
    STASIS_BIND_INT(D, narrow, 1, 1, 0, 0xff, ""),
#elif CASE == 4  /* "double.*not compatible" */
    STASIS_BIND_INT(D, real, 1, 1, 0, 0xff, ""),
#elif CASE == 5  /* "on: mask wider than the type" */
    STASIS_BIND_INT(D, on, 1, 1, 0, 3, ""),
#elif CASE == 6  /* "pointer is not an array" */
    STASIS_BIND_INTS(D, pointer, 1, 1, 0xff, ""),
#elif CASE == 7  /* "words: mask wider than the type" */
    STASIS_BIND_INTS(D, words, 1, 1, 0x10000, ""),
#elif CASE == 8  /* "bytes is not whole registers" */
    STASIS_BIND_BUF(D, bytes, count, 1, 1, 4, ""),
#elif CASE == 9  /* "short.*not compatible" */
    STASIS_BIND_BUF(D, words, count, 1, 1, 2, ""),
#elif CASE == 10 /* "long.*not compatible" */
    STASIS_BIND_BUF(D, bytes, wide_count, 1, 1, 1, ""),
#elif CASE == 11 /* "label: default longer than the member" */
    STASIS_BIND_STR(D, label, 1, 1, "abcd", ""),
#elif CASE == 12 /* "char.*not compatible" */
    STASIS_BIND_STR(D, bytes, 1, 1, "", ""),
#elif CASE == 13 /* "no member named" */
    STASIS_BIND_INT(D, lost, 1, 1, 0, 0xff, ""),
#endif
};

const struct stasis_field *bound(void);
const struct stasis_field *bound(void)
{
    return fields;
}
