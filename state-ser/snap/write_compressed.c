/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Compressed saves. Each worker packs a range of chunks into memory of its own, then waits for its
 * turn to learn where they go, and writes them while the next range is packed. Ranges are handed
 * out in ascending order, so whoever waits, waits for work that is under way.
 */
#include <stdlib.h>

#include "chunk.h"
#include "compress.h"
#include "pool.h"
#include "write.h"

void stasis_compression_init(struct stasis_writer *w)
{
    w->pack = (struct stasis_compression){.pos = w->parts[2].offset};
    pthread_mutex_init(&w->pack.lock, NULL);
    stasis_turns_init(&w->pack.moved);
}

void stasis_compression_fini(struct stasis_writer *w)
{
    pthread_mutex_destroy(&w->pack.lock);
    pthread_cond_destroy(&w->pack.moved);
}

/* A slot has room for what a chunk is packed to, and, of a layer that was opened, for its RAM. */
static size_t slot_size(const struct stasis_writer *w)
{
    return stasis_writer_is_opened(w) ? (size_t)2 * STASIS_CHUNK_SIZE : STASIS_CHUNK_SIZE;
}

static const uint8_t *ram_of(const struct stasis_writer *w, uint64_t i, const uint8_t *slot)
{
    return stasis_writer_is_opened(w) ? slot + STASIS_CHUNK_SIZE : stasis_writer_chunk(w, i);
}

/* A chunk that does not shrink stays raw. Slot n is for chunk first + n. */
static int pack_range(struct stasis_writer *w, struct stasis_compressor *compressor, uint64_t first,
                      uint64_t end, uint8_t *slots, struct stasis_error *err)
{
    for (uint64_t i = first; i < end; i++, slots += slot_size(w)) {
        struct stasis_snap_chunk chunk = stasis_index_get(&w->index, i);
        const uint8_t *bytes = ram_of(w, i, slots);
        size_t packed;
        int rc = 0;

        if (chunk.kind != STASIS_CHUNK_RAW)
            continue;
        if (stasis_writer_check(w, err))
            return STASIS_ERR_CANCELLED;
        if (stasis_writer_is_opened(w))
            rc = stasis_writer_read_flat(w, i, slots + STASIS_CHUNK_SIZE, err);
        if (rc)
            return rc;
        packed = stasis_compress(compressor, bytes, chunk.size, slots, chunk.size - 1);
        if (packed) {
            chunk.kind = STASIS_CHUNK_ZLIB;
            chunk.stored_len = (uint32_t)packed;
            bytes = slots;
        }
        chunk.crc = stasis_crc32(bytes, chunk.stored_len);
        stasis_writer_digest(w, i, bytes, chunk.stored_len);
        stasis_index_put(&w->index, i, &chunk);
    }
    return 0;
}

/* Raw chunks lie on page boundaries, here too. */
static void place_range(struct stasis_writer *w, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        struct stasis_snap_chunk chunk = stasis_index_get(&w->index, i);

        if (chunk.kind == STASIS_CHUNK_ZERO)
            continue;
        if (chunk.kind == STASIS_CHUNK_RAW)
            w->pack.pos = stasis_round_up(w->pack.pos, STASIS_PAGE_SIZE);
        chunk.offset = w->pack.pos;
        stasis_index_put(&w->index, i, &chunk);
        w->pack.pos += chunk.stored_len;
        w->header.info.stored_bytes += chunk.stored_len;
    }
}

static int write_range(struct stasis_writer *w, uint64_t first, uint64_t end, const uint8_t *slots,
                       struct stasis_error *err)
{
    uint64_t from = 0;
    uint64_t to = 0;
    int rc = 0;

    for (uint64_t i = first; i < end && !rc; i++, slots += slot_size(w)) {
        struct stasis_snap_chunk chunk = stasis_index_get(&w->index, i);
        const uint8_t *bytes = chunk.kind == STASIS_CHUNK_RAW ? ram_of(w, i, slots) : slots;

        if (chunk.kind == STASIS_CHUNK_ZERO)
            continue;
        rc = stasis_writer_check(w, err);
        if (!rc)
            rc = stasis_writer_put(w->target, bytes, chunk.stored_len, chunk.offset, err);
        from = to ? from : chunk.offset;
        to = chunk.offset + chunk.stored_len;
    }
    return rc ? rc : stasis_writer_push(w, from, to, err);
}

/* A range with its compressed chunks. */
struct packed {
    struct stasis_writer *w;
    const struct stasis_range *range;
    const uint8_t *slots;
};

/* False: the save is given up, and nobody gets a turn any more. */
static bool await_turn(struct stasis_writer *w, uint64_t number, bool *ret_failed)
{
    struct stasis_compression *pack = &w->pack;
    bool keep_on = true;

    pthread_mutex_lock(&pack->lock);
    while (pack->next != number && keep_on) {
        stasis_turns_wait(&pack->moved, &pack->lock);
        pthread_mutex_unlock(&pack->lock);
        keep_on = !w->opts.progress || stasis_writer_keeps_on(w);
        pthread_mutex_lock(&pack->lock);
    }
    *ret_failed = pack->failed;
    pthread_mutex_unlock(&pack->lock);
    return keep_on;
}

static void pass_turn(struct stasis_compression *pack, bool failed)
{
    pthread_mutex_lock(&pack->lock);
    pack->failed |= failed;
    pack->next++;
    pthread_cond_broadcast(&pack->moved);
    pthread_mutex_unlock(&pack->lock);
}

bool stasis_compression_take_turn(struct stasis_writer *w, const struct stasis_turn *turn, int *rc,
                                  struct stasis_error *err)
{
    bool failed;
    bool placed;

    if (!await_turn(w, turn->number, &failed)) {
        *rc = stasis_writer_check(w, err);
        return false;
    }
    placed = !*rc && !failed;
    if (placed)
        turn->place(turn->ctx);
    if (placed && w->target->streamed)
        *rc = turn->write(turn->ctx, err);
    pass_turn(&w->pack, *rc != 0);
    return placed;
}

static void place(void *ctx)
{
    const struct packed *packed = ctx;

    place_range(packed->w, packed->range->first, packed->range->end);
}

static int write_packed(void *ctx, struct stasis_error *err)
{
    const struct packed *packed = ctx;

    return write_range(packed->w, packed->range->first, packed->range->end, packed->slots, err);
}

int stasis_compression_work(struct stasis_writer *w, const struct stasis_range *range,
                            struct stasis_error *err)
{
    struct stasis_compressor *compressor = stasis_compressor_new(w->opts.zlib_level);
    uint8_t *slots = malloc((range->end - range->first) * slot_size(w));
    struct packed packed = {w, range, slots};
    const struct stasis_turn turn = {range->number, place, write_packed, &packed};
    int rc = 0;

    if (compressor && slots)
        rc = pack_range(w, compressor, range->first, range->end, slots, err);
    else
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compress RAM");
    if (stasis_compression_take_turn(w, &turn, &rc, err) && !w->target->streamed)
        rc = write_packed(&packed, err);
    stasis_compressor_free(compressor);
    free(slots);
    return rc;
}
