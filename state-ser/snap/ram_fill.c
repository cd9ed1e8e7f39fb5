/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The background work of LAZY: what nobody touches is loaded too, a block of 2 MiB at a time, so
 * that it becomes a huge page. It gives half of the time away while faults come in. It has no lower
 * priority than others: most of what it does takes a lock of the address space, and whoever has the
 * processor instead of it would make the guest, and a freeze, wait for that lock.
 */
#include "ram_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "pool.h"

#define SLEEP_MAX_US 10000u

/* Nobody has touched any of it, and it is one huge page of the host. */
static bool is_whole(const struct stasis_ram *ram, uint64_t first, uint64_t end)
{
    if (end - first != STASIS_BLOCK_CHUNKS ||
        stasis_ram_chunks_len(ram, first, end) != STASIS_HUGE_PAGE ||
        (uintptr_t)stasis_ram_chunk_host(ram, first) % STASIS_HUGE_PAGE)
        return false;
    for (uint64_t i = first; i < end; i++)
        if (atomic_load(&ram->done[i]))
            return false;
    return true;
}

/* Sleeps as long as the last work took. */
static void rest(uint64_t took_us)
{
    stasis_ram_io_sleep_us(took_us < SLEEP_MAX_US ? (unsigned)took_us : SLEEP_MAX_US);
}

/* For faults that have come since. On a busy host this thread has the processor, and the handler
 * may wait for one: who waits for memory gets it here. */
static void give_way(struct stasis_ram *ram, uint64_t faults, uint64_t since_us, uint8_t *scratch)
{
    uint64_t took = stasis_ram_io_now_us() - since_us;

    stasis_ram_serve_waiting(ram, scratch);
    if (atomic_load(&ram->faults) != faults && !atomic_load(&ram->finishing))
        rest(took);
}

/* The pages themselves change hands, if none is there yet and none was taken away. A move that
 * stops on the way leaves the rest in the scratch; false unless all of it has moved. */
static bool move(struct stasis_ram *ram, uint64_t first, uint64_t end, uint8_t *scratch)
{
    bool moved;

    pthread_mutex_lock(&ram->place_lock);
    moved = !stasis_ram_has_taken(ram, first, end) &&
            stasis_uffd_move(&ram->uffd, stasis_ram_chunk_host(ram, first), scratch,
                             STASIS_HUGE_PAGE) == STASIS_HUGE_PAGE;
    pthread_mutex_unlock(&ram->place_lock);
    if (!moved)
        return false;
    for (uint64_t i = first; i < end; i++)
        stasis_ram_loaded(ram, i, STASIS_RAM_MOVED);
    return true;
}

static int copy_chunk(struct stasis_ram *ram, uint64_t i, uint8_t *scratch,
                      struct stasis_error *err)
{
    uint64_t faults = atomic_load(&ram->faults);
    uint64_t now = stasis_ram_io_now_us();
    int rc = stasis_snap_read_chunks(ram->snap, i, i + 1, scratch, err);

    if (!rc)
        rc = stasis_ram_install(ram, i, scratch, err);
    give_way(ram, faults, now, scratch);
    return rc;
}

/* Chunk by chunk, read anew: a move may have taken part of the scratch. */
static int copy(struct stasis_ram *ram, uint64_t first, uint64_t end, uint8_t *scratch,
                struct stasis_error *err)
{
    int rc = 0;

    for (uint64_t i = first; i < end && !rc; i++) {
        if (stasis_index_get(&ram->snap->index, i).kind == STASIS_CHUNK_ZERO ||
            atomic_load(&ram->done[i]))
            continue; /* zero chunks become zero by themselves once nobody watches */
        rc = atomic_load(&ram->stop) ? STASIS_ERR_CANCELLED : copy_chunk(ram, i, scratch, err);
    }
    return rc;
}

/* 1: it is to be copied. */
static int move_block(struct stasis_ram *ram, uint64_t first, uint64_t end, uint8_t *scratch,
                      struct stasis_error *err)
{
    uint64_t faults = atomic_load(&ram->faults);
    uint64_t now = stasis_ram_io_now_us();
    int rc;

    if (!ram->uffd.can_move || !is_whole(ram, first, end))
        return 1;
    stasis_ram_io_scratch_zero(scratch, STASIS_HUGE_PAGE);
    rc = stasis_snap_read_chunks(ram->snap, first, end, scratch, err);
    if (!rc && !move(ram, first, end, scratch))
        rc = 1;
    give_way(ram, faults, now, scratch);
    return rc;
}

static int fill_block(struct stasis_ram *ram, uint64_t first, uint64_t end, uint8_t *scratch,
                      struct stasis_error *err)
{
    int rc;

    if (stasis_ram_is_mapped(ram, first, end))
        return stasis_ram_mixed_verify(ram, first, end, scratch, err);
    rc = move_block(ram, first, end, scratch, err);
    return rc > 0 ? copy(ram, first, end, scratch, err) : rc;
}

/* ---- blocks, counted through all regions ---- */

static uint64_t blocks_of(const struct stasis_snap_region *region)
{
    return (stasis_region_chunks(region) + STASIS_BLOCK_CHUNKS - 1) / STASIS_BLOCK_CHUNKS;
}

static uint64_t block_count(const struct stasis_index *index)
{
    uint64_t count = 0;

    for (uint32_t r = 0; r < index->region_count; r++)
        count += blocks_of(&index->regions[r]);
    return count;
}

static void block_chunks(const struct stasis_index *index, uint64_t block, uint64_t *ret_first,
                         uint64_t *ret_end)
{
    const struct stasis_snap_region *region = index->regions;
    uint64_t left;

    while (block >= blocks_of(region))
        block -= blocks_of(region++);
    left = stasis_region_chunks(region) - block * STASIS_BLOCK_CHUNKS;
    *ret_first = region->first_chunk + block * STASIS_BLOCK_CHUNKS;
    *ret_end = *ret_first + (left < STASIS_BLOCK_CHUNKS ? left : STASIS_BLOCK_CHUNKS);
}

static int fill_blocks(void *ctx, uint64_t block, uint64_t block_end, struct stasis_error *err)
{
    struct stasis_ram *ram = ctx;
    uint8_t *scratch = stasis_ram_io_scratch(STASIS_HUGE_PAGE);
    uint64_t first;
    uint64_t end;
    int rc = 0;

    if (!scratch)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to load guest RAM in the background");
    for (; block < block_end && !rc; block++) {
        block_chunks(&ram->snap->index, block, &first, &end);
        if (!stasis_ram_is_stored(ram, first, end))
            continue;
        rc = atomic_load(&ram->stop) ? STASIS_ERR_CANCELLED
                                     : fill_block(ram, first, end, scratch, err);
    }
    stasis_ram_io_scratch_free(scratch, STASIS_HUGE_PAGE);
    return rc;
}

/* ---- for a layer: what was changed, and little else, is in place already ---- */

static bool has_dirty(const uint64_t *pages, uint64_t chunk)
{
    const unsigned per_chunk = STASIS_CHUNK_SIZE / STASIS_PAGE_SIZE;
    uint64_t first = chunk * per_chunk;

    return pages[first / 64] >> first % 64 & ((UINT64_C(1) << per_chunk) - 1);
}

int stasis_ram_fill_dirty(struct stasis_ram *ram, const uint64_t *const *dirty,
                          struct stasis_error *err)
{
    const struct stasis_index *index = &ram->snap->index;
    uint8_t *buf = malloc(STASIS_CHUNK_SIZE);
    int rc = stasis_ram_failure(ram, err);

    if (!buf)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to load guest RAM");
    for (uint32_t r = 0; !rc && r < index->region_count; r++) {
        const struct stasis_snap_region *region = &index->regions[r];

        for (uint64_t c = 0; !rc && c < stasis_region_chunks(region); c++)
            if (has_dirty(dirty[r], c))
                rc = copy(ram, region->first_chunk + c, region->first_chunk + c + 1, buf, err);
    }
    free(buf);
    if (rc && rc != STASIS_ERR_CANCELLED)
        stasis_ram_fail(ram, err);
    return rc;
}

/* ---- the end: nobody needs to watch any more ---- */

/* The handler first: it must not meet memory that nobody watches. Who waits meanwhile is woken. */
int stasis_ram_unwatch(struct stasis_ram *ram, struct stasis_error *err)
{
    stasis_ram_stop_handler(ram);
    for (size_t p = 0; p < ram->range_count; p++) {
        const struct stasis_ram_range *range = &ram->ranges[p];
        uint8_t *host = stasis_ram_chunk_host(ram, range->first);
        uint64_t len = stasis_ram_chunks_len(ram, range->first, range->end);

        if (stasis_uffd_unwatch(&ram->uffd, host, len))
            return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "%s: leaving guest RAM alone",
                                     ram->snap->name);
        stasis_ram_io_fork(host, len, true);
    }
    stasis_ram_close_uffd(ram);
    return 0;
}

static bool has_taken(struct stasis_ram *ram, uint64_t first, uint64_t end)
{
    bool has;

    pthread_mutex_lock(&ram->place_lock);
    has = stasis_ram_has_taken(ram, first, end);
    pthread_mutex_unlock(&ram->place_lock);
    return has;
}

/* In small pages, since a fault was faster, or the kernel cannot move pages; and all of it is in
 * use: a huge page would take back from the host what was given to it. */
static bool is_small(struct stasis_ram *ram, uint64_t first, uint64_t end)
{
    if (end - first != STASIS_BLOCK_CHUNKS || !stasis_ram_is_stored(ram, first, end) ||
        stasis_ram_is_mapped(ram, first, end) || has_taken(ram, first, end))
        return false;
    for (uint64_t i = first; i < end; i++)
        if (atomic_load(&ram->done[i]) == STASIS_RAM_MOVED)
            return false;
    return true;
}

/* One block at a time, with a pause behind each: the kernel holds a lock of the address space all
 * the while, in which it may wait for every processor. */
int stasis_ram_collapse(struct stasis_ram *ram)
{
    uint64_t count = block_count(&ram->snap->index);

    for (; ram->collapsed < count && !atomic_load(&ram->stop); ram->collapsed++) {
        uint64_t now = stasis_ram_io_now_us();
        uint64_t first;
        uint64_t end;

        block_chunks(&ram->snap->index, ram->collapsed, &first, &end);
        if (!is_small(ram, first, end))
            continue;
        stasis_ram_io_collapse(stasis_ram_chunk_host(ram, first), STASIS_HUGE_PAGE);
        rest(stasis_ram_io_now_us() - now);
    }
    return ram->collapsed < count ? STASIS_ERR_CANCELLED : 0;
}

struct stasis_pool_job stasis_ram_fill_job(struct stasis_ram *ram)
{
    return (struct stasis_pool_job){.count = block_count(&ram->snap->index),
                                    .batch = 4,
                                    .threads = ram->opts.threads,
                                    .work = fill_blocks,
                                    .ctx = ram};
}
