/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * cmocka needs these four headers before its own.
 */
#ifndef STASIS_TESTS_CMOCKA_ALL_H
#define STASIS_TESTS_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* ctest's SKIP_RETURN_CODE: the program has printed why. */
#define STASIS_TEST_SKIPPED 77

#endif
