/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Stored RAM back into memory, each chunk checked before it counts.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "compress.h"
#include "index_runs.h"
#include "io.h"
#include "object.h"
#include "pool.h"
#include "read_extents.h"
#include "stasis/bytes.h"

struct load {
    const struct stasis_snap *snap;
    const struct stasis_snap_region *region;
    uint8_t *host;
    const struct stasis_snap_load *how;
};

/* What is wrong with the stored bytes of a chunk, or NULL. */
static const char *damage(const struct stasis_snap *snap, uint64_t i, const uint8_t *bytes,
                          const struct stasis_snap_chunk *chunk)
{
    const uint8_t *expected = stasis_runs_digest(&snap->index, i);
    uint8_t digest[STASIS_DIGEST_SIZE];

    if (stasis_crc32(bytes, chunk->stored_len) != chunk->crc)
        return "damaged (CRC)";
    if (!expected)
        return NULL;
    stasis_sha256(bytes, chunk->stored_len, digest);
    return memcmp(digest, expected, sizeof(digest)) ? "damaged (SHA-256)" : NULL;
}

int stasis_snap_read_run(const struct stasis_snap *snap, uint64_t first, uint64_t end,
                         uint8_t *host, struct stasis_error *err)
{
    struct stasis_snap_chunk start = stasis_index_get(&snap->index, first);
    struct stasis_snap_chunk last = stasis_index_get(&snap->index, end - 1);
    uint64_t len = last.offset + last.stored_len - start.offset;
    ssize_t n = stasis_input_read(&snap->input, host, len, start.offset);

    if (n < 0)
        return stasis_snap_chunk_unreadable(snap, first, err);
    for (uint64_t i = first; i < end; i++) {
        struct stasis_snap_chunk chunk = stasis_index_get(&snap->index, i);
        uint64_t at = chunk.offset - start.offset;
        bool there = at + chunk.size <= (uint64_t)n;
        const char *wrong =
            there ? damage(snap, i, host + at, &chunk) : "the file has become shorter";

        if (wrong)
            return stasis_snap_chunk_damaged(snap, i, wrong, err);
    }
    return 0;
}

int stasis_snap_read_stored(const struct stasis_snap *snap, uint64_t index, uint8_t *ret_bytes,
                            struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_index_get(&snap->index, index);
    const char *wrong;
    ssize_t n = stasis_input_read(&snap->input, ret_bytes, chunk.stored_len, chunk.offset);

    if (n < 0)
        return stasis_snap_chunk_unreadable(snap, index, err);
    if ((size_t)n < chunk.stored_len)
        return stasis_snap_chunk_damaged(snap, index, "the file has become shorter", err);
    wrong = damage(snap, index, ret_bytes, &chunk);
    return wrong ? stasis_snap_chunk_damaged(snap, index, wrong, err) : 0;
}

static int no_memory_to_unpack(const struct stasis_snap *snap, struct stasis_error *err)
{
    return stasis_fail(err, STASIS_ERR_NOMEM, "%s: no memory to unpack RAM", snap->name);
}

int stasis_snap_unpack(const struct stasis_snap *snap, uint64_t index, const uint8_t *stored,
                       uint8_t *host, struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_index_get(&snap->index, index);
    bool nomem = false;

    if (stasis_decompress(stored, chunk.stored_len, host, chunk.size, &nomem))
        return 0;
    return nomem ? no_memory_to_unpack(snap, err)
                 : stasis_snap_chunk_damaged(snap, index, "does not unpack to one chunk", err);
}

int stasis_snap_read_compressed(const struct stasis_snap *snap, uint64_t index, uint8_t *host,
                                struct stasis_error *err)
{
    uint8_t *stored = malloc(STASIS_CHUNK_SIZE);
    int rc =
        stored ? stasis_snap_read_stored(snap, index, stored, err) : no_memory_to_unpack(snap, err);

    if (!rc)
        rc = stasis_snap_unpack(snap, index, stored, host, err);
    free(stored);
    return rc;
}

int stasis_snap_read_chunks(const struct stasis_snap *snap, uint64_t first, uint64_t end,
                            uint8_t *host, struct stasis_error *err)
{
    int rc = 0;

    while (first < end && !rc) {
        uint64_t stop = stasis_index_run(&snap->index, first, end);

        switch (stasis_index_get(&snap->index, first).kind) {
        case STASIS_CHUNK_RAW:
            rc = stasis_snap_read_run(snap, first, stop, host, err);
            break;
        case STASIS_CHUNK_ZLIB:
            rc = stasis_snap_read_compressed(snap, first, host, err);
            break;
        case STASIS_CHUNK_EXTENTS:
            rc = stasis_extents_read(snap, first, end, host, &stop, err);
            break;
        case STASIS_CHUNK_ZERO:
        case STASIS_CHUNK_ABSENT:
            break;
        }
        host += (stop - first) * STASIS_CHUNK_SIZE;
        first = stop;
    }
    return rc;
}

/* Looks before it writes, so that pages that are zero already are not made dirty. */
static void clear_zero_chunks(const struct load *load, uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        struct stasis_snap_chunk chunk = stasis_index_get(&load->snap->index, i);
        uint8_t *at = load->host + (i - load->region->first_chunk) * STASIS_CHUNK_SIZE;

        if (chunk.kind == STASIS_CHUNK_ZERO && !stasis_is_zero(at, chunk.size))
            memset(at, 0, chunk.size);
    }
}

static int load_chunks(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    const struct load *load = ctx;
    uint64_t base = load->region->first_chunk;

    if (!load->how->fresh)
        clear_zero_chunks(load, base + first, base + end);
    return stasis_snap_read_chunks(load->snap, base + first, base + end,
                                   load->host + first * STASIS_CHUNK_SIZE, err);
}

static uint64_t skip_zeros(void *ctx, uint64_t next)
{
    const struct load *load = ctx;
    uint64_t base = load->region->first_chunk;

    return stasis_index_zero_end(&load->snap->index, base + next,
                                 base + stasis_region_chunks(load->region)) -
           base;
}

/* The last chunk may be short. */
static bool report(void *ctx, uint64_t chunks)
{
    const struct load *load = ctx;
    uint64_t done = chunks * STASIS_CHUNK_SIZE;

    if (done > load->region->size)
        done = load->region->size;
    return load->how->progress(load->how->ctx, load->how->before + done, load->how->total);
}

static int load_region(struct load *load, struct stasis_error *err)
{
    const struct stasis_pool_job job = {.count = stasis_region_chunks(load->region),
                                        .batch = STASIS_BATCH_CHUNKS,
                                        .threads = load->how->threads,
                                        .work = load_chunks,
                                        .progress = load->how->progress ? report : NULL,
                                        .skip = load->how->fresh ? skip_zeros : NULL,
                                        .ctx = load};
    int rc = stasis_pool_run(&job, err);

    return rc == STASIS_ERR_CANCELLED
               ? stasis_fail(err, rc, "%s: loading the memory was cancelled", load->snap->name)
               : rc;
}

int stasis_snap_load_region(const struct stasis_snap *snap, uint32_t region, void *host,
                            const struct stasis_snap_load *how, struct stasis_error *err)
{
    struct load load = {.snap = snap, .host = host, .how = how};
    int rc;

    if (!stasis_input_is_open(&snap->input) || region >= snap->index.region_count)
        return stasis_fail(err, STASIS_ERR_ARG, "no region %" PRIu32 " in an opened snapshot",
                           region);
    rc = stasis_snap_check_ram(snap, err);
    if (rc)
        return rc;
    load.region = &snap->index.regions[region];
    return load_region(&load, err);
}

int stasis_snap_load_ram(struct stasis_snap *snap, uint32_t region, void *host, unsigned threads,
                         bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                         struct stasis_error *err)
{
    const struct stasis_snap_load how = {
        .threads = threads,
        .progress = progress,
        .ctx = ctx,
        .total = region < snap->index.region_count ? snap->index.regions[region].size : 0};

    return stasis_snap_load_region(snap, region, host, &how, err);
}

int stasis_snap_get_ram(struct stasis_snap *snap, uint64_t gpa, void *host, uint64_t size,
                        bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                        struct stasis_error *err)
{
    for (uint32_t i = 0; i < snap->index.region_count; i++) {
        if (snap->index.regions[i].gpa == gpa && snap->index.regions[i].size == size)
            return stasis_snap_load_ram(snap, i, host, 0, progress, ctx, err);
    }
    return stasis_fail(err, STASIS_ERR_NOT_FOUND,
                       "%s has no RAM of 0x%" PRIx64 " bytes at 0x%" PRIx64, snap->name, size, gpa);
}
