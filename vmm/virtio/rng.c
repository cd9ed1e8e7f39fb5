/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio entropy device, after virtio 1.2, 5.4.
 */
#include "stasis/virtio_rng.h"

#include <assert.h>

#define ID_ENTROPY 4u
#define REQUESTQ   0u
#define QUEUE_SIZE 64u
#define PART       256u /* bytes made at a time, on the stack */
#define COST_MIN   64u  /* bytes that a request counts for, at least */

#define NS_PER_S     UINT64_C(1000000000)
#define ASK_AGAIN_NS (NS_PER_S / 10)

/* ---- the rate ---- */

static void count_tokens(struct stasis_virtio_rng *rng, uint64_t now)
{
    uint64_t elapsed = now > rng->last_ns ? now - rng->last_ns : 0;
    uint64_t fresh;

    if (elapsed >= NS_PER_S) {
        rng->tokens = rng->rate;
        rng->last_ns = now;
        return;
    }
    fresh = elapsed * rng->rate / NS_PER_S; /* no overflow: the rate is at most 2^30 */
    rng->tokens = rng->tokens + fresh < rng->rate ? rng->tokens + fresh : rng->rate;
    rng->last_ns += fresh * NS_PER_S / rng->rate; /* the rest counts next time */
}

/* False: not yet, and the timer is armed for when there are so many. */
static bool may_give(struct stasis_virtio_rng *rng, uint64_t cost)
{
    uint64_t now = rng->ops->now_ns(rng->ctx);

    count_tokens(rng, now);
    if (cost <= rng->tokens)
        return true;
    rng->ops->arm(rng->ctx, now + (cost - rng->tokens) * NS_PER_S / rng->rate + 1);
    return false;
}

/* ---- requests ---- */

enum outcome {
    ANSWERED,
    WAITS, /* for the timer */
    BROKEN,
};

static enum outcome fill(struct stasis_virtio_rng *rng, const struct stasis_virtio_chain *chain,
                         size_t len)
{
    uint8_t bytes[PART];

    for (size_t done = 0; done < len;) {
        size_t part = len - done < sizeof(bytes) ? len - done : sizeof(bytes);

        if (!rng->ops->random(rng->ctx, bytes, part)) {
            rng->ops->arm(rng->ctx, rng->ops->now_ns(rng->ctx) + ASK_AGAIN_NS);
            return WAITS;
        }
        if (stasis_virtio_chain_write(chain, &rng->mmio.host.memory, done, bytes, part) != part)
            return BROKEN;
        done += part;
    }
    return ANSWERED;
}

/* 5.4.6.1: there is nothing to read in a request. */
static enum outcome answer(struct stasis_virtio_rng *rng, const struct stasis_virtio_chain *chain)
{
    uint64_t len = chain->write_len;
    enum outcome outcome;
    uint64_t cost;

    if (len > STASIS_VIRTIO_RNG_REQUEST_MAX)
        len = STASIS_VIRTIO_RNG_REQUEST_MAX;
    if (chain->reads)
        return BROKEN;
    cost = len > COST_MIN ? len : COST_MIN;
    outcome = may_give(rng, cost) ? fill(rng, chain, (size_t)len) : WAITS;
    if (outcome != ANSWERED)
        return outcome;
    rng->tokens -= cost;
    return stasis_virtqueue_put(&rng->mmio.queues[REQUESTQ], &rng->mmio.host.memory, chain->head,
                                (uint32_t)len)
               ? ANSWERED
               : BROKEN;
}

/* A request that has no answer is not taken: none is ever in flight. */
static enum outcome serve_taken(struct stasis_virtio_rng *rng,
                                const struct stasis_virtio_chain *chain)
{
    enum outcome outcome = answer(rng, chain);

    if (outcome != ANSWERED)
        stasis_virtqueue_untake(&rng->mmio.queues[REQUESTQ]);
    return outcome;
}

/* The next request. *ret_more: there may be another. */
static enum outcome serve_one(struct stasis_virtio_rng *rng, bool *ret_more)
{
    struct stasis_virtqueue *queue = &rng->mmio.queues[REQUESTQ];
    struct stasis_virtio_chain chain;

    enum stasis_virtqueue_result taken =
        stasis_virtqueue_take(queue, &rng->mmio.host.memory, &chain);

    *ret_more = true;
    if (taken == STASIS_VIRTQUEUE_TAKEN)
        return serve_taken(rng, &chain);
    if (taken == STASIS_VIRTQUEUE_BROKEN)
        return BROKEN;
    *ret_more = stasis_virtqueue_await(queue, &rng->mmio.host.memory);
    return ANSWERED;
}

/* At most a queue's size of requests at a time; the timer brings the others. */
static void serve(struct stasis_virtio_rng *rng)
{
    struct stasis_virtqueue *queue = &rng->mmio.queues[REQUESTQ];
    uint16_t used_before = queue->state.next_used;
    enum outcome outcome = ANSWERED;
    unsigned left = queue->state.size;
    bool more = true;

    for (; outcome == ANSWERED && more && left; left--)
        outcome = serve_one(rng, &more);
    if (queue->state.next_used != used_before)
        stasis_virtio_mmio_used(&rng->mmio, REQUESTQ);
    if (outcome == BROKEN)
        stasis_virtio_mmio_fail(&rng->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
    else if (outcome == ANSWERED && more)
        rng->ops->arm(rng->ctx, rng->ops->now_ns(rng->ctx));
}

static void notify(void *device, unsigned queue)
{
    (void)queue;
    serve(device);
}

static const struct stasis_virtio_kind kind = {
    .device_id = ID_ENTROPY, .queue_count = 1, .queue_size = QUEUE_SIZE, .notify = notify};

void stasis_virtio_rng_init(struct stasis_virtio_rng *rng, const struct stasis_virtio_host *host,
                            const struct stasis_virtio_rng_ops *ops, void *ctx,
                            uint32_t bytes_per_s)
{
    assert(ops->random && ops->now_ns && ops->arm);
    assert(bytes_per_s >= STASIS_VIRTIO_RNG_REQUEST_MAX && bytes_per_s <= UINT32_C(1) << 30);
    *rng = (struct stasis_virtio_rng){
        .ops = ops, .ctx = ctx, .rate = bytes_per_s, .tokens = bytes_per_s};
    rng->last_ns = ops->now_ns(ctx);
    stasis_virtio_mmio_init(&rng->mmio, &kind, rng, host);
}

void stasis_virtio_rng_timer(struct stasis_virtio_rng *rng)
{
    if (stasis_virtio_mmio_is_active(&rng->mmio, REQUESTQ))
        serve(rng);
}

/* ---- the state ---- */

void stasis_virtio_rng_save(const struct stasis_virtio_rng *rng,
                            struct stasis_virtio_rng_state *ret_state)
{
    stasis_state_init(&stasis_virtio_rng_schema, ret_state);
    stasis_virtio_mmio_save(&rng->mmio, &ret_state->mmio);
}

int stasis_virtio_rng_restore(struct stasis_virtio_rng *rng,
                              const struct stasis_virtio_rng_state *state, struct stasis_error *err)
{
    int rc = stasis_state_check(&stasis_virtio_rng_schema, state, err);

    return rc ? rc : stasis_virtio_mmio_restore(&rng->mmio, &state->mmio, err);
}

void stasis_virtio_rng_apply_outputs(struct stasis_virtio_rng *rng)
{
    stasis_virtio_mmio_apply_outputs(&rng->mmio);
    if (stasis_virtio_mmio_is_active(&rng->mmio, REQUESTQ))
        rng->ops->arm(rng->ctx, rng->ops->now_ns(rng->ctx));
}
