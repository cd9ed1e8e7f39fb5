/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * virtio block device, after virtio 1.2, 5.2; names are its.
 *
 * A request is: a header that the device reads, data, and a byte that the device writes last.
 */
#include "blk_internal.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "queue_internal.h"

enum {
    VIRTIO_BLK_T_IN = 0,
    VIRTIO_BLK_T_OUT = 1,
    VIRTIO_BLK_T_FLUSH = 4,
    VIRTIO_BLK_T_GET_ID = 8,
    VIRTIO_BLK_T_DISCARD = 11,
    VIRTIO_BLK_T_WRITE_ZEROES = 13,
};

#define S_OK     0u
#define S_IOERR  1u
#define S_UNSUPP 2u
#define SUBMIT   0xffu /* the host will say */

struct header {
    uint32_t type;
    uint32_t reserved;
    uint64_t sector;
};
struct range {
    uint64_t sector;
    uint32_t num_sectors;
    uint32_t flags; /* bit 0: unmap */
};
_Static_assert(sizeof(struct header) == 16 && sizeof(struct range) == 16, "5.2.6");

static struct stasis_virtqueue *requestq(struct stasis_virtio_blk *blk)
{
    return &blk->mmio.queues[STASIS_VIRTIO_BLK_QUEUE];
}

static bool has(const struct stasis_virtio_blk *blk, uint64_t feature)
{
    return blk->mmio.regs.driver_features & feature;
}

/* ---- the end of a request ---- */

/* How many bytes of the buffer have been written, from its begin on (2.7.8.2): behind data that was
 * not, the status does not count. */
static uint32_t written_of(const struct stasis_virtio_blk_slot *slot, unsigned status)
{
    uint64_t data = status == S_OK ? slot->answer_len : 0;

    return (uint32_t)(data == slot->chain.write_len - 1 ? slot->chain.write_len : data);
}

/* False: the queue is broken, and the request stays. */
static bool finish(struct stasis_virtio_blk *blk, struct stasis_virtio_blk_slot *slot,
                   unsigned status)
{
    const uint8_t byte = (uint8_t)status;
    const struct stasis_virtio_memory *memory = &blk->mmio.host.memory;

    slot->is_submitted = false;
    if (stasis_virtio_chain_write(&slot->chain, memory, slot->chain.write_len - 1, &byte, 1) != 1 ||
        !stasis_virtqueue_put(requestq(blk), memory, slot->chain.head, written_of(slot, status)))
        return false;
    slot->is_used = false;
    blk->is_silent = true;
    return true;
}

static struct stasis_virtio_blk_slot *find(struct stasis_virtio_blk *blk, uint64_t id)
{
    struct stasis_virtio_blk_slot *slot = &blk->slots[id % STASIS_VIRTIO_BLK_REQUESTS];

    return slot->is_used && slot->is_submitted && slot->order == id / STASIS_VIRTIO_BLK_REQUESTS &&
                   stasis_virtio_mmio_is_active(&blk->mmio, STASIS_VIRTIO_BLK_QUEUE)
               ? slot
               : NULL;
}

void stasis_virtio_blk_answer(struct stasis_virtio_blk *blk, uint64_t id,
                              enum stasis_virtio_blk_result result)
{
    static const unsigned status[] = {[STASIS_VIRTIO_BLK_OK] = S_OK,
                                      [STASIS_VIRTIO_BLK_IO_ERROR] = S_IOERR,
                                      [STASIS_VIRTIO_BLK_UNSUPPORTED] = S_UNSUPP};
    struct stasis_virtio_blk_slot *slot = find(blk, id);

    if (!slot)
        return;
    if (!finish(blk, slot, status[result]))
        stasis_virtio_mmio_fail(&blk->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
}

void stasis_virtio_blk_announce(struct stasis_virtio_blk *blk)
{
    if (blk->is_silent && stasis_virtio_mmio_is_active(&blk->mmio, STASIS_VIRTIO_BLK_QUEUE))
        stasis_virtio_mmio_used(&blk->mmio, STASIS_VIRTIO_BLK_QUEUE);
    blk->is_silent = false;
}

void stasis_virtio_blk_done(struct stasis_virtio_blk *blk, uint64_t id,
                            enum stasis_virtio_blk_result result)
{
    stasis_virtio_blk_answer(blk, id, result);
    stasis_virtio_blk_announce(blk);
}

/* ---- data ---- */

static bool is_copied(struct stasis_virtio_blk *blk, struct stasis_virtio_blk_slot *slot,
                      size_t copied, size_t len)
{
    if (copied == len)
        return true;
    slot->is_submitted = false;
    stasis_virtio_mmio_fail(&blk->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
    return false;
}

bool stasis_virtio_blk_fetch(struct stasis_virtio_blk *blk, uint64_t id, uint64_t offset,
                             void *bytes, size_t len)
{
    struct stasis_virtio_blk_slot *slot = find(blk, id);

    if (!slot)
        return false;
    assert(offset <= slot->data_len && len <= slot->data_len - offset);
    return is_copied(blk, slot,
                     stasis_virtio_chain_read(&slot->chain, &blk->mmio.host.memory,
                                              sizeof(struct header) + offset, bytes, len),
                     len);
}

bool stasis_virtio_blk_store(struct stasis_virtio_blk *blk, uint64_t id, uint64_t offset,
                             const void *bytes, size_t len)
{
    struct stasis_virtio_blk_slot *slot = find(blk, id);

    if (!slot)
        return false;
    assert(offset <= slot->data_len && len <= slot->data_len - offset);
    return is_copied(
        blk, slot,
        stasis_virtio_chain_write(&slot->chain, &blk->mmio.host.memory, offset, bytes, len), len);
}

/* ---- the begin of a request: each returns its status, or SUBMIT ---- */

/* 5.2.6.1: whole blocks, within the capacity. */
static bool is_in_range(const struct stasis_virtio_blk *blk, uint64_t sector, uint64_t len)
{
    uint64_t capacity = blk->disk.sectors;

    return len && len % blk->disk.block_size == 0 && sector <= capacity &&
           sector % (blk->disk.block_size / STASIS_VIRTIO_BLK_SECTOR) == 0 &&
           len / STASIS_VIRTIO_BLK_SECTOR <= capacity - sector;
}

static unsigned begin_transfer(const struct stasis_virtio_blk *blk, uint64_t sector, uint64_t len,
                               struct stasis_virtio_blk_request *request)
{
    if (!is_in_range(blk, sector, len) ||
        (blk->disk.read_only && request->op == STASIS_VIRTIO_BLK_WRITE))
        return S_IOERR;
    request->offset = sector * STASIS_VIRTIO_BLK_SECTOR;
    request->len = len;
    return SUBMIT;
}

/* 5.2.6.2: one range, as the configuration says; unmap is not for a discard. */
static unsigned begin_range(const struct stasis_virtio_blk *blk,
                            const struct stasis_virtio_chain *chain,
                            struct stasis_virtio_blk_request *request)
{
    struct range range;
    uint32_t flags;

    if (chain->read_len != sizeof(struct header) + sizeof(range) ||
        stasis_virtio_chain_read(chain, &blk->mmio.host.memory, sizeof(struct header), &range,
                                 sizeof(range)) != sizeof(range))
        return S_IOERR;
    flags = le32toh(range.flags);
    if (flags & ~(request->op == STASIS_VIRTIO_BLK_WRITE_ZEROES ? 1u : 0u))
        return S_UNSUPP;
    request->may_unmap = flags & 1;
    if (blk->disk.read_only ||
        le32toh(range.num_sectors) > STASIS_VIRTIO_BLK_RANGE_MAX / STASIS_VIRTIO_BLK_SECTOR ||
        !is_in_range(blk, le64toh(range.sector),
                     (uint64_t)le32toh(range.num_sectors) * STASIS_VIRTIO_BLK_SECTOR))
        return S_IOERR;
    request->offset = le64toh(range.sector) * STASIS_VIRTIO_BLK_SECTOR;
    request->len = (uint64_t)le32toh(range.num_sectors) * STASIS_VIRTIO_BLK_SECTOR;
    return SUBMIT;
}

static unsigned answer_id(const struct stasis_virtio_blk *blk, struct stasis_virtio_blk_slot *slot)
{
    const struct stasis_virtio_chain *chain = &slot->chain;
    char serial[STASIS_VIRTIO_BLK_SERIAL_BYTES] = {0};
    size_t len = sizeof(serial);

    memcpy(serial, blk->disk.serial, strlen(blk->disk.serial));
    if (len > chain->write_len - 1)
        len = (size_t)(chain->write_len - 1);
    slot->answer_len = len;
    return stasis_virtio_chain_write(chain, &blk->mmio.host.memory, 0, serial, len) == len
               ? S_OK
               : S_IOERR;
}

static unsigned begin(struct stasis_virtio_blk *blk, struct stasis_virtio_blk_slot *slot,
                      const struct header *header, struct stasis_virtio_blk_request *request)
{
    const struct stasis_virtio_chain *chain = &slot->chain;

    switch (le32toh(header->type)) {
    case VIRTIO_BLK_T_IN:
        request->op = STASIS_VIRTIO_BLK_READ;
        slot->data_len = slot->answer_len = chain->write_len - 1;
        return begin_transfer(blk, le64toh(header->sector), slot->data_len, request);
    case VIRTIO_BLK_T_OUT:
        request->op = STASIS_VIRTIO_BLK_WRITE;
        slot->data_len = chain->read_len - sizeof(*header);
        return begin_transfer(blk, le64toh(header->sector), slot->data_len, request);
    case VIRTIO_BLK_T_FLUSH:
        request->op = STASIS_VIRTIO_BLK_FLUSH;
        return has(blk, STASIS_VIRTIO_BLK_F_FLUSH) ? SUBMIT : S_UNSUPP;
    case VIRTIO_BLK_T_GET_ID:
        return answer_id(blk, slot);
    case VIRTIO_BLK_T_DISCARD:
        request->op = STASIS_VIRTIO_BLK_DISCARD;
        return has(blk, STASIS_VIRTIO_BLK_F_DISCARD) ? begin_range(blk, chain, request) : S_UNSUPP;
    case VIRTIO_BLK_T_WRITE_ZEROES:
        request->op = STASIS_VIRTIO_BLK_WRITE_ZEROES;
        return has(blk, STASIS_VIRTIO_BLK_F_WRITE_ZEROES) ? begin_range(blk, chain, request)
                                                          : S_UNSUPP;
    default:
        return S_UNSUPP;
    }
}

/* False: the queue is broken, as of a request without header or status. */
static bool start(struct stasis_virtio_blk *blk, struct stasis_virtio_blk_slot *slot)
{
    struct stasis_virtio_blk_request request = {.id = slot->order * STASIS_VIRTIO_BLK_REQUESTS +
                                                      (uint64_t)(slot - blk->slots),
                                                .must_sync = !has(blk, STASIS_VIRTIO_BLK_F_FLUSH)};
    struct header header;
    unsigned status;

    slot->data_len = slot->answer_len = 0;
    if (!slot->chain.write_len ||
        stasis_virtio_chain_read(&slot->chain, &blk->mmio.host.memory, 0, &header,
                                 sizeof(header)) != sizeof(header))
        return false;
    status = begin(blk, slot, &header, &request);
    if (status != SUBMIT)
        return finish(blk, slot, status);
    slot->is_submitted = true;
    blk->ops->submit(blk->ctx, &request);
    return true;
}

/* ---- the queue ---- */

/* There is one: the queue has no more entries. */
static struct stasis_virtio_blk_slot *free_slot(struct stasis_virtio_blk *blk)
{
    unsigned i = 0;

    while (i < STASIS_VIRTIO_BLK_REQUESTS - 1 && blk->slots[i].is_used)
        i++;
    assert(!blk->slots[i].is_used);
    return &blk->slots[i];
}

static bool serve_one(struct stasis_virtio_blk *blk, bool *ret_more)
{
    struct stasis_virtio_blk_slot *slot;
    enum stasis_virtqueue_result taken;
    struct stasis_virtio_chain chain;

    *ret_more = true;
    taken = stasis_virtqueue_take(requestq(blk), &blk->mmio.host.memory, &chain);
    if (taken == STASIS_VIRTQUEUE_EMPTY)
        *ret_more = stasis_virtqueue_await(requestq(blk), &blk->mmio.host.memory);
    if (taken != STASIS_VIRTQUEUE_TAKEN)
        return taken == STASIS_VIRTQUEUE_EMPTY;
    slot = free_slot(blk);
    slot->chain = chain;
    slot->is_used = true;
    slot->is_submitted = false;
    slot->order = ++blk->order;
    return start(blk, slot);
}

/* At most a queue's size of requests at a time. */
static bool serve(struct stasis_virtio_blk *blk)
{
    unsigned left = requestq(blk)->state.size;
    bool more = true, whole = true;

    for (; whole && more && left; left--)
        whole = serve_one(blk, &more);
    if (whole && more)
        blk->ops->wake(blk->ctx);
    return whole;
}

static struct stasis_virtio_blk_slot *first_restored(struct stasis_virtio_blk *blk)
{
    struct stasis_virtio_blk_slot *first = NULL;

    for (unsigned i = 0; i < STASIS_VIRTIO_BLK_REQUESTS; i++) {
        struct stasis_virtio_blk_slot *slot = &blk->slots[i];

        if (slot->is_used && !slot->is_submitted && (!first || slot->order < first->order))
            first = slot;
    }
    return first;
}

/* Their descriptors are read again: what has been read of them is not saved. */
static bool start_restored(struct stasis_virtio_blk *blk)
{
    struct stasis_virtio_blk_slot *slot;

    while ((slot = first_restored(blk))) {
        if (!stasis_virtio_chain_collect(&slot->chain, requestq(blk), &blk->mmio.host.memory,
                                         slot->chain.head) ||
            !start(blk, slot))
            return false;
    }
    return true;
}

static void work(struct stasis_virtio_blk *blk)
{
    bool whole = start_restored(blk) && serve(blk);

    stasis_virtio_blk_announce(blk);
    if (!whole)
        stasis_virtio_mmio_fail(&blk->mmio, STASIS_GUEST_ERROR_BAD_QUEUE);
}

void stasis_virtio_blk_resume(struct stasis_virtio_blk *blk)
{
    if (stasis_virtio_mmio_is_active(&blk->mmio, STASIS_VIRTIO_BLK_QUEUE))
        work(blk);
}

void stasis_virtio_blk_notify(void *device, unsigned queue)
{
    (void)queue;
    work(device);
}
