/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio balloon device, after virtio 1.2, 5.5: pages that the guest gives, takes back and reports.
 *
 * A request is taken when it is done, so none is ever in flight: one that takes longer than a turn
 * is looked at anew in the next, and after a thaw from its beginning, which takes away once more
 * what the guest has not got back.
 */
#include <endian.h>

#include "balloon_internal.h"
#include "mmio_internal.h"

#define PAGE      STASIS_VIRTIO_BALLOON_PAGE
#define PART      (UINT64_C(2) << 20) /* of a reported range, at most */
#define PFNS      64u                 /* page numbers read at a time */
#define TURN      256u                /* steps: a page number, or a request */
#define PART_COST 8u                  /* steps of a part of a reported range: it has many pages */

enum outcome {
    DONE,  /* there may be more */
    LATER, /* the turn has no steps left */
    BROKEN,
};

/* ---- pages that are given (5.5.6.1) ---- */

/* Pages that lie one behind the other, in either direction, are one range. */
struct run {
    uint64_t gpa, len;
};

static bool is_ram(const struct stasis_virtio_balloon *balloon, uint64_t gpa, uint64_t len)
{
    const struct stasis_virtio_memory *memory = &balloon->mmio.host.memory;

    return memory->at(memory->ctx, gpa, len) != NULL;
}

static void give(struct stasis_virtio_balloon *balloon, struct run *run)
{
    if (!run->len)
        return;
    balloon->counters.inflated_bytes += run->len;
    balloon->ops->discard(balloon->ctx, run->gpa, run->len);
    run->len = 0;
}

static bool extend(const struct stasis_virtio_balloon *balloon, struct run *run, uint64_t gpa)
{
    bool is_behind = gpa == run->gpa + run->len;
    uint64_t start = is_behind ? run->gpa : gpa;

    if (!run->len || (!is_behind && gpa + PAGE != run->gpa) ||
        !is_ram(balloon, start, run->len + PAGE))
        return false;
    *run = (struct run){start, run->len + PAGE};
    return true;
}

/* A page that is none of RAM is an error of the guest, and no more. */
static void add(struct stasis_virtio_balloon *balloon, struct run *run, uint64_t gpa)
{
    if (extend(balloon, run, gpa))
        return;
    give(balloon, run);
    if (is_ram(balloon, gpa, PAGE))
        *run = (struct run){gpa, PAGE};
    else
        stasis_virtio_mmio_guest_error(&balloon->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
}

static enum outcome inflate(struct stasis_virtio_balloon *balloon,
                            const struct stasis_virtio_chain *chain, uint64_t *done, unsigned *left)
{
    uint64_t len = chain->read_len - chain->read_len % sizeof(uint32_t);
    struct run run = {0};

    while (*done < len && *left) {
        uint32_t pfns[PFNS];
        uint64_t count = (len - *done) / sizeof(pfns[0]);
        size_t want;

        count = count < PFNS ? count : PFNS;
        count = count < *left ? count : *left;
        want = (size_t)count * sizeof(pfns[0]);
        if (stasis_virtio_chain_read(chain, &balloon->mmio.host.memory, *done, pfns, want) != want)
            return BROKEN;
        for (uint64_t i = 0; i < count; i++)
            add(balloon, &run, le32toh(pfns[i]) * PAGE);
        *done += want;
        *left -= (unsigned)count;
    }
    give(balloon, &run);
    return *done < len ? LATER : DONE;
}

/* ---- pages that are reported (5.5.6.7) ---- */

static bool reports(const struct stasis_virtio_balloon *balloon)
{
    return balloon->mmio.regs.driver_features & STASIS_VIRTIO_BALLOON_F_PAGE_REPORTING;
}

/* Pages that hold something else must keep it (5.5.6.7.2). */
static bool may_zero(const struct stasis_virtio_balloon *balloon)
{
    return !(balloon->mmio.regs.driver_features & STASIS_VIRTIO_BALLOON_F_PAGE_POISON) ||
           !balloon->poison_val;
}

/* Of the piece at [gpa, gpa + len), the part from `from` on: the whole pages in it are taken away.
 * Where it ends. */
static uint64_t report_part(struct stasis_virtio_balloon *balloon, uint64_t gpa, uint64_t len,
                            uint64_t from)
{
    uint64_t first = (gpa + from + PAGE - 1) / PAGE * PAGE;
    uint64_t end = (gpa + len) / PAGE * PAGE;
    uint64_t next = (first / PART + 1) * PART;

    if (end > next)
        end = next;
    if (first >= end)
        return len;
    if (is_ram(balloon, first, end - first)) {
        balloon->counters.reported_bytes += end - first;
        balloon->ops->discard(balloon->ctx, first, end - first);
    }
    return end - gpa;
}

static enum outcome report(struct stasis_virtio_balloon *balloon,
                           const struct stasis_virtio_chain *chain, uint64_t *done, unsigned *left)
{
    uint64_t before = 0; /* bytes of the pieces before this one */

    for (unsigned i = 0; i < chain->count && may_zero(balloon); i++) {
        uint64_t len = chain->pieces[i].len;

        while (*done < before + len) {
            if (*left < PART_COST)
                return LATER;
            *left -= PART_COST;
            *done = before + report_part(balloon, chain->pieces[i].gpa, len, *done - before);
        }
        before += len;
    }
    return DONE;
}

/* ---- requests ---- */

/* Page numbers are to be read, and reported pages could be written to; those that leave the balloon
 * are there already. */
static enum outcome carry_out(struct stasis_virtio_balloon *balloon, unsigned number,
                              const struct stasis_virtio_chain *chain, unsigned *left)
{
    uint64_t *done = &balloon->done[number];

    if (number >= STASIS_VIRTIO_BALLOON_REPORT)
        return reports(balloon) && !chain->reads ? report(balloon, chain, done, left) : BROKEN;
    if (chain->reads < chain->count)
        return BROKEN;
    if (number == STASIS_VIRTIO_BALLOON_INFLATE)
        return inflate(balloon, chain, done, left);
    return DONE;
}

static enum outcome answer(struct stasis_virtio_balloon *balloon, unsigned number,
                           const struct stasis_virtio_chain *chain, unsigned *left)
{
    struct stasis_virtqueue *queue = &balloon->mmio.queues[number];
    enum outcome outcome = carry_out(balloon, number, chain, left);

    if (outcome == DONE) {
        balloon->done[number] = 0;
        if (!stasis_virtqueue_put(queue, &balloon->mmio.host.memory, chain->head, 0))
            outcome = BROKEN;
    }
    if (outcome != DONE)
        stasis_virtqueue_untake(queue);
    return outcome;
}

/* The next request. *ret_more: there may be another. */
static enum outcome serve_one(struct stasis_virtio_balloon *balloon, unsigned number,
                              unsigned *left, bool *ret_more)
{
    struct stasis_virtqueue *queue = &balloon->mmio.queues[number];
    const struct stasis_virtio_memory *memory = &balloon->mmio.host.memory;
    struct stasis_virtio_chain chain;
    enum stasis_virtqueue_result taken = stasis_virtqueue_take(queue, memory, &chain);

    *ret_more = true;
    --*left;
    if (taken == STASIS_VIRTQUEUE_TAKEN)
        return answer(balloon, number, &chain, left);
    if (taken == STASIS_VIRTQUEUE_BROKEN)
        return BROKEN;
    *ret_more = stasis_virtqueue_await(queue, memory);
    return DONE;
}

/* Until the queue is empty, or the turn ends. True: it goes on. */
static bool serve(struct stasis_virtio_balloon *balloon, unsigned number, unsigned *left)
{
    const struct stasis_virtqueue *queue = &balloon->mmio.queues[number];
    uint16_t used_before = queue->state.next_used;
    enum outcome outcome = DONE;
    bool more = true;

    while (outcome == DONE && more && *left)
        outcome = serve_one(balloon, number, left, &more);
    if (queue->state.next_used != used_before)
        stasis_virtio_mmio_used(&balloon->mmio, number);
    if (outcome == BROKEN)
        stasis_virtio_mmio_fail(&balloon->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
    return outcome != BROKEN && more;
}

void stasis_virtio_balloon_notify(void *device, unsigned queue)
{
    struct stasis_virtio_balloon *balloon = device;
    unsigned left = TURN;

    if (serve(balloon, queue, &left))
        balloon->ops->wake(balloon->ctx);
}

void stasis_virtio_balloon_resume(struct stasis_virtio_balloon *balloon)
{
    unsigned left = TURN;
    bool more = false;

    for (unsigned i = 0; i < balloon->kind.queue_count; i++) {
        if (stasis_virtio_mmio_is_active(&balloon->mmio, i))
            more |= serve(balloon, i, &left);
    }
    if (more)
        balloon->ops->wake(balloon->ctx);
}
