/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Random numbers that are the same in every run (Knuth's MMIX generator, its upper half).
 */
#ifndef STASIS_TESTS_RANDOM_H
#define STASIS_TESTS_RANDOM_H

#include <stdint.h>

static inline uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 32);
}

#endif
