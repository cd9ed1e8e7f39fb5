/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Stored RAM back into memory, each chunk checked before it counts.
 */
#include <inttypes.h>

#include "chunk.h"
#include "io.h"
#include "object.h"
#include "pool.h"

struct load {
    const struct stasis_snap *snap;
    const struct stasis_snap_region *region;
    uint8_t *host;
};

int stasis_snap_read_run(const struct stasis_snap *snap, uint64_t first, uint64_t end,
                         uint8_t *host, struct stasis_error *err)
{
    struct stasis_snap_chunk start = stasis_index_get(&snap->index, first);
    struct stasis_snap_chunk last = stasis_index_get(&snap->index, end - 1);
    uint64_t len = last.offset + last.stored_len - start.offset;
    ssize_t n = stasis_io_pread(snap->fd, host, len, start.offset);

    if (n < 0)
        return stasis_fail_errno(err, STASIS_ERR_IO, "%s: reading RAM at 0x%" PRIx64, snap->name,
                                 start.gpa);
    for (uint64_t i = first; i < end; i++) {
        struct stasis_snap_chunk chunk = stasis_index_get(&snap->index, i);
        uint64_t at = chunk.offset - start.offset;
        bool there = at + chunk.size <= (uint64_t)n;

        if (!there || stasis_crc32(host + at, chunk.size) != chunk.crc)
            return stasis_fail(err, STASIS_ERR_CORRUPT,
                               "%s: chunk %" PRIu64 ", guest address 0x%" PRIx64
                               ", file offset %" PRIu64 ": %s",
                               snap->name, i, chunk.gpa, chunk.offset,
                               there ? "damaged (CRC)" : "the file has become shorter");
    }
    return 0;
}

int stasis_snap_read_chunks(const struct stasis_snap *snap, uint64_t first, uint64_t end,
                            uint8_t *host, struct stasis_error *err)
{
    int rc = 0;

    while (first < end && !rc) {
        uint64_t stop = stasis_index_run(&snap->index, first, end);

        if (stasis_index_get(&snap->index, first).kind == STASIS_CHUNK_RAW)
            rc = stasis_snap_read_run(snap, first, stop, host, err);
        host += (stop - first) * STASIS_CHUNK_SIZE;
        first = stop;
    }
    return rc;
}

static int load_chunks(void *ctx, uint64_t first, uint64_t end, struct stasis_error *err)
{
    const struct load *load = ctx;
    uint64_t base = load->region->first_chunk;

    return stasis_snap_read_chunks(load->snap, base + first, base + end,
                                   load->host + first * STASIS_CHUNK_SIZE, err);
}

int stasis_snap_load_ram(struct stasis_snap *snap, uint32_t region, void *host, unsigned threads,
                         struct stasis_error *err)
{
    struct load load = {.snap = snap, .host = host};
    struct stasis_pool_job job = {
        .grain = STASIS_GRAIN, .threads = threads, .work = load_chunks, .ctx = &load};

    if (snap->fd < 0 || region >= snap->index.region_count)
        return stasis_fail(err, STASIS_ERR_ARG, "no region %" PRIu32 " in an opened snapshot",
                           region);
    load.region = &snap->index.regions[region];
    job.count = stasis_region_chunks(load.region);
    return stasis_pool_run(&job, err);
}
