/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/bucket.h"

#define NS_PER_S UINT64_C(1000000000)

uint64_t stasis_bucket_fill(struct stasis_bucket *bucket, uint64_t now, uint64_t want)
{
    uint64_t elapsed = now > bucket->last_ns ? now - bucket->last_ns : 0;
    uint64_t fresh;

    if (!bucket->rate)
        return want;
    if (elapsed >= NS_PER_S) {
        bucket->tokens = bucket->rate;
        bucket->last_ns = now;
    } else {
        fresh = elapsed * bucket->rate / NS_PER_S; /* no overflow: rate <= 2^30 */
        bucket->tokens += fresh;
        bucket->last_ns += fresh * NS_PER_S / bucket->rate; /* the rest counts next time */
        if (bucket->tokens > bucket->rate)
            bucket->tokens = bucket->rate;
    }
    return want < bucket->tokens ? want : bucket->tokens;
}
