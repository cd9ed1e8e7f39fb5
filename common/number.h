/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Numbers as people write them on a command line.
 */
#ifndef STASIS_COMMON_NUMBER_H
#define STASIS_COMMON_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "stasis/error.h"

/* Decimal, or hexadecimal behind 0x; with `suffix` perhaps K, M, G or T behind it, for powers of
 * 1024. False for anything else, and for what 64 bits do not hold. */
STASIS_MUST_CHECK bool stasis_number_read(const char *text, bool suffix, uint64_t *ret_value);

/* The same, with a suffix and with an error that says what to write. STASIS_ERR_ARG. */
STASIS_MUST_CHECK int stasis_number_parse(const char *text, uint64_t *ret_value,
                                          struct stasis_error *err);

#endif
