/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A limit of a rate: a token bucket that holds the tokens of one second.
 */
#ifndef STASIS_VMM_BUCKET_H
#define STASIS_VMM_BUCKET_H

#include <stdint.h>

struct stasis_bucket {
    uint64_t rate; /* tokens per second, at most 2^30; 0: no limit */
    uint64_t tokens;
    uint64_t last_ns; /* up to when tokens have been given */
};

/* Fills the bucket up to now_ns and says how many of `want` it has tokens for; whoever uses them
 * takes them off `tokens`. */
uint64_t stasis_bucket_fill(struct stasis_bucket *bucket, uint64_t now_ns, uint64_t want);

#endif
