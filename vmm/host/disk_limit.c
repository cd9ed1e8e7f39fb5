/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/host/disk_limit.h"

#define NS_PER_S UINT64_C(1000000000)

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Until the bucket has them. */
static uint64_t wait_for(struct stasis_bucket *bucket, uint64_t now_ns, uint64_t want)
{
    uint64_t owed_ns = bucket->last_ns > now_ns ? bucket->last_ns - now_ns : 0;

    if (!bucket->rate)
        return 0;
    (void)stasis_bucket_fill(bucket, now_ns, 0);
    return bucket->tokens >= want ? 0
                                  : owed_ns + (want - bucket->tokens) * NS_PER_S / bucket->rate + 1;
}

/* What a bucket cannot hold at once is owed: it gets no tokens for as long as these take. */
static void charge(struct stasis_bucket *bucket, uint64_t tokens)
{
    uint64_t paid = least(tokens, bucket->tokens);

    if (!bucket->rate)
        return;
    bucket->tokens -= paid;
    bucket->last_ns += (tokens - paid) * NS_PER_S / bucket->rate;
}

uint64_t stasis_disk_limit_admit(struct stasis_disk_limit *limit, uint64_t now_ns, uint64_t bytes)
{
    uint64_t for_operation = wait_for(&limit->operations, now_ns, 1);
    uint64_t for_bytes = wait_for(&limit->bytes, now_ns, least(bytes, limit->bytes.rate));

    if (for_operation || for_bytes)
        return for_operation > for_bytes ? for_operation : for_bytes;
    charge(&limit->operations, 1);
    charge(&limit->bytes, bytes);
    return 0;
}
