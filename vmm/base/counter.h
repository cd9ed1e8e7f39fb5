/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Counters that one thread at a time adds to, such as the holder of a lock, and any may read.
 */
#ifndef STASIS_VMM_COUNTER_H
#define STASIS_VMM_COUNTER_H

#include <stdint.h>

static inline uint64_t stasis_counter_get(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static inline void stasis_counter_set(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

/* A load and a store: no lock prefix. */
static inline void stasis_counter_add(uint64_t *counter, uint64_t count)
{
    stasis_counter_set(counter, stasis_counter_get(counter) + count);
}

#endif
