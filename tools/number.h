/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Numbers as people write them on a command line.
 */
#ifndef STASIS_TOOLS_NUMBER_H
#define STASIS_TOOLS_NUMBER_H

#include <stdint.h>

#include "stasis/error.h"

/* Decimal, or hexadecimal behind 0x, then perhaps K, M, G or T for powers of 1024. STASIS_ERR_ARG
 * for anything else, and for what 64 bits do not hold. */
STASIS_MUST_CHECK int stasis_number_parse(const char *text, uint64_t *ret_value,
                                          struct stasis_error *err);

#endif
