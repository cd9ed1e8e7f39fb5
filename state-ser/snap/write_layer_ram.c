/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The pages of a layer, on their way into the file: those of a chunk one after the other, and
 * chunks one behind the other, with no page between that did not change.
 */
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "compress.h"
#include "write_layer.h"

/* Copies the stored pages of a chunk and returns where the next ones go. */
static uint8_t *gather(const struct stasis_writer *w, const struct stasis_layer_chunk *chunk,
                       uint8_t *to)
{
    const uint8_t *host = stasis_writer_chunk(w, chunk->number);

    for (unsigned page = 0, end; chunk->stored >> page; page = end + 1) {
        while (!(chunk->stored >> page & 1))
            page++;
        for (end = page; chunk->stored >> end & 1; end++)
            ;
        memcpy(to, host + page * STASIS_PAGE_SIZE, (end - page) * STASIS_PAGE_SIZE);
        to += (end - page) * STASIS_PAGE_SIZE;
    }
    return to;
}

static void sum(struct stasis_writer *w, struct stasis_layer_chunk *chunk, const uint8_t *bytes)
{
    size_t n = (size_t)(chunk - w->layer.chunks);

    chunk->crc = stasis_crc32(bytes, chunk->stored_len);
    if (w->layer.digests)
        stasis_sha256(bytes, chunk->stored_len, w->layer.digests + n * STASIS_DIGEST_SIZE);
}

/* ---- raw ---- */

uint64_t stasis_layer_place(struct stasis_writer *w, uint64_t pos)
{
    uint64_t start = pos;

    for (size_t n = 0; n < w->layer.count; n++) {
        w->layer.chunks[n].offset = pos;
        pos += w->layer.chunks[n].stored_len;
    }
    w->header.info.stored_bytes += pos - start;
    return pos;
}

static size_t stored_in(const struct stasis_layer *layer, const struct stasis_range *range)
{
    size_t len = 0;

    for (uint64_t n = range->first; n < range->end; n++)
        len += layer->chunks[n].stored_len;
    return len;
}

int stasis_layer_write_range(struct stasis_writer *w, const struct stasis_range *range,
                             struct stasis_error *err)
{
    size_t len = stored_in(&w->layer, range);
    uint64_t offset = w->layer.chunks[range->first].offset;
    uint8_t *bytes;
    uint8_t *at;
    int rc = stasis_writer_check(w, err);

    if (rc || !len)
        return rc;
    bytes = at = malloc(len);
    if (!bytes)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to write RAM");
    for (uint64_t n = range->first; n < range->end; n++) {
        uint8_t *next = gather(w, &w->layer.chunks[n], at);

        sum(w, &w->layer.chunks[n], at);
        at = next;
    }
    rc = stasis_writer_put(w->target, bytes, len, offset, err);
    free(bytes);
    return rc ? rc : stasis_writer_push(w, offset, offset + len, err);
}

/* ---- compressed ---- */

/* Chunks of a range, each in a slot of its own. */
struct packed {
    struct stasis_writer *w;
    const struct stasis_range *range;
    uint8_t *slots;
};

static uint8_t *slot_of(const struct packed *packed, uint64_t n)
{
    return packed->slots + (n - packed->range->first) * STASIS_CHUNK_SIZE;
}

/* A chunk that does not shrink stays raw. `bytes` is room for its pages. */
static void pack(const struct packed *packed, struct stasis_compressor *compressor, uint64_t n,
                 uint8_t *bytes)
{
    struct stasis_layer_chunk *chunk = &packed->w->layer.chunks[n];
    size_t len;

    if (!chunk->stored)
        return;
    gather(packed->w, chunk, bytes);
    len = stasis_compress(compressor, bytes, chunk->stored_len, slot_of(packed, n),
                          chunk->stored_len - 1);
    if (len) {
        chunk->encoding = STASIS_CHUNK_ZLIB;
        chunk->stored_len = (uint32_t)len;
    } else {
        memcpy(slot_of(packed, n), bytes, chunk->stored_len);
    }
    sum(packed->w, chunk, slot_of(packed, n));
}

static int pack_all(const struct packed *packed, struct stasis_error *err)
{
    struct stasis_compressor *compressor = stasis_compressor_new(packed->w->opts.zlib_level);
    uint8_t *bytes = malloc(STASIS_CHUNK_SIZE);
    int rc = 0;

    if (!compressor || !bytes || !packed->slots)
        rc = stasis_fail(err, STASIS_ERR_NOMEM, "no memory to compress RAM");
    for (uint64_t n = packed->range->first; n < packed->range->end && !rc; n++) {
        rc = stasis_writer_check(packed->w, err);
        if (!rc)
            pack(packed, compressor, n, bytes);
    }
    free(bytes);
    stasis_compressor_free(compressor);
    return rc;
}

/* Raw pages lie on page boundaries, here too. */
static void place(void *ctx)
{
    const struct packed *packed = ctx;
    struct stasis_writer *w = packed->w;

    for (uint64_t n = packed->range->first; n < packed->range->end; n++) {
        struct stasis_layer_chunk *chunk = &w->layer.chunks[n];

        if (!chunk->stored)
            continue;
        if (chunk->encoding == STASIS_CHUNK_RAW)
            w->pack.pos = stasis_round_up(w->pack.pos, STASIS_PAGE_SIZE);
        chunk->offset = w->pack.pos;
        w->pack.pos += chunk->stored_len;
        w->header.info.stored_bytes += chunk->stored_len;
    }
}

static int put(void *ctx, struct stasis_error *err)
{
    const struct packed *packed = ctx;
    uint64_t start = 0;
    uint64_t end = 0;
    int rc = 0;

    for (uint64_t n = packed->range->first; n < packed->range->end && !rc; n++) {
        const struct stasis_layer_chunk *chunk = &packed->w->layer.chunks[n];

        if (!chunk->stored)
            continue;
        rc = stasis_writer_check(packed->w, err);
        if (!rc)
            rc = stasis_writer_put(packed->w->target, slot_of(packed, n), chunk->stored_len,
                                   chunk->offset, err);
        start = end ? start : chunk->offset;
        end = chunk->offset + chunk->stored_len;
    }
    return rc ? rc : stasis_writer_push(packed->w, start, end, err);
}

int stasis_layer_pack_range(struct stasis_writer *w, const struct stasis_range *range,
                            struct stasis_error *err)
{
    struct packed packed = {w, range, malloc((range->end - range->first) * STASIS_CHUNK_SIZE)};
    const struct stasis_turn turn = {range->number, place, put, &packed};
    int rc = pack_all(&packed, err);

    if (stasis_compression_take_turn(w, &turn, &rc, err) && !w->target->streamed)
        rc = put(&packed, err);
    free(packed.slots);
    return rc;
}
