/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A fuzz target is one function in a file of its own. libFuzzer calls it, or driver.c, which runs
 * it over a corpus. It aborts on what must never be.
 */
#ifndef STASIS_TESTS_FUZZ_H
#define STASIS_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct stasis_records;

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

#define FUZZ_ASSERT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy of exactly this length, so that a sanitizer sees the first byte beyond. */
uint8_t *fuzz_copy(const uint8_t *bytes, size_t len);

/* Writes the records as JSON, which must go well. */
void fuzz_show(const struct stasis_records *set);

/* A file in memory that holds the bytes. */
int fuzz_file(const uint8_t *bytes, size_t len);

#endif
