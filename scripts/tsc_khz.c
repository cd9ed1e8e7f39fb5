/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
/* Prints the rate of this host's TSC in kHz, by CLOCK_MONOTONIC. scripts/nested makes and runs it.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

enum { TRIES = 1000, APART_NS = 200000000 };

struct pair {
    uint64_t tsc;
    int64_t ns;
};

static int64_t now_ns(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Both clocks at one time: of many pairs the one that took least, as the host may be busy. */
static struct pair read_pair(void)
{
    struct pair best = {0, 0};
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < TRIES; i++) {
        uint64_t before = __rdtsc();
        int64_t ns = now_ns();
        uint64_t took = __rdtsc() - before;

        if (took < least) {
            least = took;
            best = (struct pair){before + took / 2, ns};
        }
    }
    return best;
}

int main(void)
{
    struct pair first = read_pair(), last;

    do
        last = read_pair();
    while (last.ns - first.ns < APART_NS);
    printf("%" PRIu64 "\n",
           (uint64_t)((double)(last.tsc - first.tsc) * 1e6 / (double)(last.ns - first.ns)));
    return 0;
}
