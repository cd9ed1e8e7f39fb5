/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Chains of descriptors (virtio 1.2, 2.7.5): collected once, and then copied from and to.
 */
#include <endian.h>
#include <string.h>

#include "queue_internal.h"

#define DESC_F_NEXT     1u
#define DESC_F_WRITE    2u
#define DESC_F_INDIRECT 4u

/* struct virtq_desc */
struct desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags;
    uint16_t next;
};
_Static_assert(sizeof(struct desc) == 16, "struct virtq_desc");

/* Where the walk is: in the queue's table, or in an indirect one. */
struct table {
    uint64_t gpa;
    uint32_t entries;
    bool is_indirect;
};

static bool read_desc(const struct stasis_virtio_memory *memory, const struct table *table,
                      uint32_t index, struct desc *ret_desc)
{
    struct desc raw;
    const void *at;

    if (index >= table->entries)
        return false;
    at = memory->at(memory->ctx, table->gpa + sizeof(raw) * index, sizeof(raw));
    if (!at)
        return false;
    memcpy(&raw, at, sizeof(raw));
    *ret_desc =
        (struct desc){le64toh(raw.addr), le32toh(raw.len), le16toh(raw.flags), le16toh(raw.next)};
    return true;
}

/* 2.7.5.3: negotiated, the last of its chain, not nested, and of whole descriptors; the flag WRITE
 * has no meaning. A table need not be longer than the longest chain. */
static bool enter_indirect(const struct stasis_virtqueue *queue,
                           const struct stasis_virtio_memory *memory, const struct desc *desc,
                           struct table *table)
{
    if (!queue->has_indirect || table->is_indirect || desc->flags & DESC_F_NEXT || !desc->len ||
        desc->len % sizeof(*desc) || desc->len / sizeof(*desc) > queue->state.size ||
        !memory->at(memory->ctx, desc->addr, desc->len))
        return false;
    *table = (struct table){desc->addr, (uint32_t)(desc->len / sizeof(*desc)), true};
    return true;
}

/* A chain has at most as many pieces as the queue has entries (2.7.5.3.1), so one that loops ends
 * here; those that are read come first, and all together have no more than 2^32 bytes (2.7.5). */
static bool add_piece(struct stasis_virtio_chain *chain, const struct stasis_virtqueue *queue,
                      const struct stasis_virtio_memory *memory, const struct desc *desc)
{
    bool is_write = desc->flags & DESC_F_WRITE;

    if (chain->count == queue->state.size || chain->count == STASIS_VIRTQUEUE_SIZE_MAX ||
        (!is_write && chain->reads < chain->count) ||
        chain->read_len + chain->write_len + desc->len > UINT64_C(1) << 32 ||
        (desc->len && !memory->at(memory->ctx, desc->addr, desc->len)))
        return false;
    chain->pieces[chain->count].gpa = desc->addr;
    chain->pieces[chain->count].len = desc->len;
    chain->count++;
    chain->reads = (uint16_t)(chain->reads + !is_write);
    if (is_write)
        chain->write_len += desc->len;
    else
        chain->read_len += desc->len;
    return true;
}

bool stasis_virtio_chain_collect(struct stasis_virtio_chain *chain,
                                 const struct stasis_virtqueue *queue,
                                 const struct stasis_virtio_memory *memory, uint16_t head)
{
    struct table table = {queue->state.desc, queue->state.size, false};
    uint32_t index = head;
    struct desc desc;

    chain->head = head;
    chain->reads = chain->count = 0;
    chain->read_len = chain->write_len = 0;
    for (;;) {
        if (!read_desc(memory, &table, index, &desc))
            return false;
        if (desc.flags & DESC_F_INDIRECT) {
            if (!enter_indirect(queue, memory, &desc, &table))
                return false;
            index = 0;
            continue;
        }
        if (!add_piece(chain, queue, memory, &desc))
            return false;
        if (!(desc.flags & DESC_F_NEXT))
            return true;
        index = desc.next;
    }
}

/* ---- copying ---- */

struct copy {
    const struct stasis_virtio_memory *memory;
    uint64_t skip; /* bytes of the pieces before the first that is wanted */
    size_t len, done;
};

/* The part of a piece that is wanted: how long it is, and where. */
static size_t part_of(struct copy *copy, uint64_t gpa, uint32_t len, uint64_t *ret_gpa)
{
    uint64_t part = copy->len - copy->done;

    if (copy->skip >= len) {
        copy->skip -= len;
        return 0;
    }
    if (part > len - copy->skip)
        part = len - copy->skip;
    *ret_gpa = gpa + copy->skip;
    copy->skip = 0;
    return (size_t)part;
}

size_t stasis_virtio_chain_read(const struct stasis_virtio_chain *chain,
                                const struct stasis_virtio_memory *memory, uint64_t offset,
                                void *bytes, size_t len)
{
    struct copy copy = {memory, offset, len, 0};

    for (unsigned i = 0; i < chain->reads && copy.done < len; i++) {
        uint64_t gpa;
        size_t part = part_of(&copy, chain->pieces[i].gpa, chain->pieces[i].len, &gpa);
        const void *at = part ? memory->at(memory->ctx, gpa, part) : NULL;

        if (part && !at) /* no RAM any more */
            break;
        if (part)
            memcpy((uint8_t *)bytes + copy.done, at, part);
        copy.done += part;
    }
    return copy.done;
}

size_t stasis_virtio_chain_write(const struct stasis_virtio_chain *chain,
                                 const struct stasis_virtio_memory *memory, uint64_t offset,
                                 const void *bytes, size_t len)
{
    struct copy copy = {memory, offset, len, 0};

    for (unsigned i = chain->reads; i < chain->count && copy.done < len; i++) {
        uint64_t gpa;
        size_t part = part_of(&copy, chain->pieces[i].gpa, chain->pieces[i].len, &gpa);
        void *at = part ? memory->writable(memory->ctx, gpa, part) : NULL;

        if (part && !at)
            break;
        if (part)
            memcpy(at, (const uint8_t *)bytes + copy.done, part);
        copy.done += part;
    }
    return copy.done;
}
