/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The host's clocks as plain numbers.
 */
#ifndef STASIS_VMM_BASE_CLOCK_H
#define STASIS_VMM_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* CLOCK_REALTIME, ns since 1970. */
static inline uint64_t stasis_realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* CLOCK_MONOTONIC, in nanoseconds and in microseconds. */
static inline uint64_t stasis_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline uint64_t stasis_monotonic_us(void)
{
    return stasis_monotonic_ns() / 1000;
}

#endif
