/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * MAP: runs of stored chunks are mapped privately over the anonymous memory, so that a guest runs
 * at once however much RAM it has, and clones share the page cache. Zero ranges stay anonymous: a
 * hole of a mapped file would be paid twice, and never be a huge page.
 */
#include "ram_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "chunk.h"
#include "io.h"
#include "pool.h"
#include "stasis/bytes.h"

/* Zero chunks between two runs that are worth a mapping. */
#define NEAR_CHUNKS 16u

/* Where in the file guest address 0 would be: equal for chunks that can share a mapping. */
static uint64_t step_of(const struct stasis_snap_chunk *chunk)
{
    return chunk->offset - chunk->gpa;
}

/* End of the range that begins with raw chunk i: raw chunks in step, no far gap between them. What
 * lies in the file between two chunks that follow each other belongs to nobody and is zero, as the
 * chunks between them are; verify_gap() makes sure. */
static uint64_t range_end(const struct stasis_index *index, uint64_t i)
{
    uint64_t stop = stasis_index_region_end(index, i);
    struct stasis_snap_chunk first = stasis_index_get(index, i);
    uint64_t end = i + 1;

    for (uint64_t k = end; k < stop && k - end <= NEAR_CHUNKS; k++) {
        struct stasis_snap_chunk chunk = stasis_index_get(index, k);

        if (chunk.kind == STASIS_CHUNK_ZERO)
            continue;
        if (chunk.kind != STASIS_CHUNK_RAW || step_of(&chunk) != step_of(&first))
            break;
        end = k + 1;
    }
    return end;
}

static enum stasis_chunk_kind kind_of(const struct stasis_index *index, uint64_t i)
{
    return stasis_index_get(index, i).kind;
}

/* 1: more ranges than there may be, or chunks that are not stored as they are in RAM. */
static int plan(struct stasis_ram *ram, struct stasis_error *err)
{
    const struct stasis_index *index = &ram->snap->index;
    /* Not calloc(), which may touch all of it: there are few most of the time. */
    struct stasis_ram_range *ranges = malloc(STASIS_RAM_RANGES_MAX * sizeof(*ranges));
    size_t count = 0;
    uint64_t i = 0;

    if (!ranges)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to plan mappings");
    for (;;) {
        i = stasis_index_zero_end(index, i, index->chunk_count);
        if (i == index->chunk_count || count == STASIS_RAM_RANGES_MAX ||
            kind_of(index, i) != STASIS_CHUNK_RAW)
            break;
        ranges[count] = (struct stasis_ram_range){i, range_end(index, i)};
        i = ranges[count++].end;
    }
    if (i < index->chunk_count) {
        free(ranges);
        return 1;
    }
    ram->ranges = ranges;
    ram->range_count = count;
    return 0;
}

/* ---- verification: of the file, by reading it, not of the mapping, which the guest writes to ----
 */

/* Chunk i is zero, and the file stands in for it. */
static int verify_gap(const struct stasis_ram *ram, const struct stasis_ram_range *range,
                      uint64_t i, uint8_t *buf, struct stasis_error *err)
{
    struct stasis_snap_chunk first = stasis_index_get(&ram->snap->index, range->first);
    struct stasis_snap_chunk chunk = stasis_index_get(&ram->snap->index, i);
    uint64_t offset = chunk.gpa + step_of(&first);
    ssize_t n = stasis_input_read(&ram->snap->input, buf, chunk.size, offset);

    if (n < 0)
        return stasis_snap_chunk_unreadable(ram->snap, i, err);
    if ((uint64_t)n == chunk.size && stasis_is_zero(buf, chunk.size))
        return 0;
    return stasis_snap_chunk_damaged_at(ram->snap, i, offset,
                                        (uint64_t)n < chunk.size
                                            ? "the file has become shorter"
                                            : "bytes that belong to nothing are not zero",
                                        err);
}

static int verify_chunk(struct stasis_ram *ram, uint64_t i, uint8_t *buf, struct stasis_error *err)
{
    const struct stasis_ram_range *range = stasis_ram_range_of(ram, i);
    struct stasis_snap_chunk chunk = stasis_index_get(&ram->snap->index, i);
    int rc = 0;

    if (!range || atomic_load(&ram->done[i]))
        return 0;
    if (chunk.kind == STASIS_CHUNK_ZERO)
        rc = verify_gap(ram, range, i, buf, err);
    else
        rc = stasis_snap_read_chunks(ram->snap, i, i + 1, buf, err);
    if (!rc && stasis_ram_set_done(ram, i, STASIS_RAM_DONE) && chunk.kind != STASIS_CHUNK_ZERO)
        atomic_fetch_add(&ram->verified, chunk.size);
    return rc;
}

static int verify_chunks(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    struct stasis_ram *ram = ctx;
    uint8_t *buf = malloc(STASIS_CHUNK_SIZE);
    int rc = 0;

    if (!buf)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to verify RAM");
    for (uint64_t i = first; i < end && !rc; i++)
        rc = atomic_load(&ram->stop) ? STASIS_ERR_CANCELLED : verify_chunk(ram, i, buf, err);
    free(buf);
    return rc;
}

struct stasis_pool_job stasis_ram_map_job(struct stasis_ram *ram)
{
    return (struct stasis_pool_job){.count = ram->snap->index.chunk_count,
                                    .batch = STASIS_BATCH_CHUNKS,
                                    .threads = ram->opts.threads,
                                    .work = verify_chunks,
                                    .ctx = ram};
}

/* ---- mapping ---- */

static int map_range(struct stasis_ram *ram, const struct stasis_ram_range *range)
{
    struct stasis_snap_chunk first = stasis_index_get(&ram->snap->index, range->first);

    return stasis_ram_io_map(stasis_ram_chunk_host(ram, range->first),
                             stasis_ram_chunks_len(ram, range->first, range->end),
                             ram->snap->input.fd, first.offset);
}

/* 1: the file system cannot map files. A failure further on is final: some is mapped already. */
static int map_ranges(struct stasis_ram *ram, struct stasis_error *err)
{
    for (size_t p = 0; p < ram->range_count; p++) {
        if (!map_range(ram, &ram->ranges[p]))
            continue;
        if (p == 0 && (errno == ENODEV || errno == EACCES || errno == EPERM))
            return 1;
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "%s: mapping RAM", ram->snap->name);
    }
    return 0;
}

static int give_way(struct stasis_ram *ram, const char *why)
{
    free(ram->ranges);
    ram->ranges = NULL;
    ram->range_count = 0;
    snprintf(ram->reason, sizeof(ram->reason), "%s; memory=lazy instead of map", why);
    return 1;
}

int stasis_ram_map(struct stasis_ram *ram, struct stasis_error *err)
{
    int rc;

    if (ram->snap->input.fd < 0)
        return give_way(ram, "the snapshot is not in a file");
    if (ram->snap->index.runs.layered)
        return 1; /* see ram_mixed.c */
    rc = plan(ram, err);
    if (rc > 0)
        return give_way(ram, "the stored memory is compressed, or in more than 4096 ranges");
    if (rc)
        return rc;
    /* EWOULDBLOCK: somebody writes to it. A file system without locks has none to give. */
    if (stasis_ram_io_lock(ram->snap->input.fd) && errno == EWOULDBLOCK)
        return stasis_fail(err, STASIS_ERR_IO,
                           "%s: another program has locked it to write into it; wait for it, or "
                           "thaw a copy",
                           ram->snap->name);
    rc = map_ranges(ram, err);
    if (rc > 0)
        return give_way(ram, "the file system cannot map files");
    if (!rc)
        rc = stasis_ram_done_init(ram, err);
    if (!rc && ram->range_count == 0)
        stasis_ram_complete(ram);
    else if (!rc)
        rc = stasis_ram_start_background(ram, err);
    return rc;
}
