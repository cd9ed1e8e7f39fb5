/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Memory that runs out. The linker turns malloc and its like into the functions of crash_alloc.c
 * (--wrap), in the libraries under test too; memory checkers stay where they are, behind these.
 */
#ifndef STASIS_TESTS_CRASH_ALLOC_H
#define STASIS_TESTS_CRASH_ALLOC_H

#include <stdbool.h>

/* The n-th allocation from here on, by any thread, fails, and so does making a thread; 0: none. */
void crash_alloc_fail_at(unsigned number);

/* Whether it did; after this none fails. */
bool crash_alloc_failed(void);

/* Blocks that are allocated and not yet freed. */
long crash_alloc_living(void);

#endif
