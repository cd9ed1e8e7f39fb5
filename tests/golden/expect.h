/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What make.sh has written beside a golden snapshot.
 */
#ifndef STASIS_TESTS_GOLDEN_EXPECT_H
#define STASIS_TESTS_GOLDEN_EXPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "support/cmocka_all.h"

#define GOLDEN_OPTIONS_MAX 12

struct golden_expect {
    unsigned tick; /* the last one that was printed */
    char nonce[33];
    char target[16]; /* release that the file is for; "": its own */
    char root[65];   /* "": format 1 has none */
    char options[GOLDEN_OPTIONS_MAX][128];
    unsigned option_count;
};

/* False: no such file, as beside snapshots that hold no guest. A line that is none of make.sh's
 * fails the test. */
bool golden_expect_read(const char *path, struct golden_expect *ret_expect);

#endif
