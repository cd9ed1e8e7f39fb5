/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * RAM restore: choosing the mode, what all modes share, and the end.
 */
#include "ram_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "io.h"
#include "pool.h"

/* ---- places ---- */

uint8_t *stasis_ram_chunk_host(const struct stasis_ram *ram, uint64_t i)
{
    uint32_t r = stasis_index_region_of(&ram->snap->index, i);

    return ram->host[r] + (i - ram->snap->index.regions[r].first_chunk) * STASIS_CHUNK_SIZE;
}

uint64_t stasis_ram_chunks_len(const struct stasis_ram *ram, uint64_t first, uint64_t end)
{
    struct stasis_snap_chunk last = stasis_index_get(&ram->snap->index, end - 1);

    return (end - 1 - first) * STASIS_CHUNK_SIZE + last.size;
}

const struct stasis_ram_range *stasis_ram_range_in(const struct stasis_ram_range *ranges,
                                                   size_t count, uint64_t i)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (ranges[middle].end <= i)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].first <= i ? &ranges[low] : NULL;
}

const struct stasis_ram_range *stasis_ram_range_of(const struct stasis_ram *ram, uint64_t i)
{
    return stasis_ram_range_in(ram->ranges, ram->range_count, i);
}

/* ---- outcomes ---- */

void stasis_ram_fail(struct stasis_ram *ram, const struct stasis_error *err)
{
    bool first;

    pthread_mutex_lock(&ram->lock);
    first = !ram->failed;
    if (first)
        ram->error = *err;
    ram->failed = true;
    pthread_cond_broadcast(&ram->changed);
    pthread_mutex_unlock(&ram->lock);
    if (first && ram->opts.failed)
        ram->opts.failed(ram->opts.ctx, err);
}

int stasis_ram_thread_begins(struct stasis_ram *ram, struct stasis_error *err)
{
    return ram->opts.thread_begins ? ram->opts.thread_begins(ram->opts.ctx, err) : 0;
}

void stasis_ram_complete(struct stasis_ram *ram)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    pthread_mutex_lock(&ram->lock);
    if (!ram->complete)
        ram->complete_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    ram->complete = true;
    pthread_cond_broadcast(&ram->changed);
    pthread_mutex_unlock(&ram->lock);
}

/* The lock is held. */
static int failure(const struct stasis_ram *ram, struct stasis_error *err)
{
    if (!ram->failed)
        return 0;
    if (err)
        *err = ram->error;
    return ram->error.code;
}

int stasis_ram_failure(struct stasis_ram *ram, struct stasis_error *err)
{
    int rc;

    pthread_mutex_lock(&ram->lock);
    rc = failure(ram, err);
    pthread_mutex_unlock(&ram->lock);
    return rc;
}

bool stasis_ram_is_complete(struct stasis_ram *ram)
{
    bool complete;

    pthread_mutex_lock(&ram->lock);
    complete = ram->complete;
    pthread_mutex_unlock(&ram->lock);
    return complete;
}

int stasis_ram_wait(struct stasis_ram *ram, struct stasis_error *err)
{
    int rc;

    pthread_mutex_lock(&ram->lock);
    while (!ram->complete && !ram->failed && ram->has_background && !ram->background_ended &&
           !atomic_load(&ram->stop))
        pthread_cond_wait(&ram->changed, &ram->lock);
    rc = failure(ram, err);
    if (!rc && !ram->complete)
        rc = stasis_fail(err, STASIS_ERR_ARG, "nothing loads this memory in the background");
    pthread_mutex_unlock(&ram->lock);
    return rc;
}

/* ---- attaching ---- */

static int copy(struct stasis_ram *ram, bool fresh, struct stasis_error *err)
{
    struct stasis_snap_load how = {.fresh = fresh,
                                   .threads = ram->opts.threads,
                                   .progress = ram->opts.progress,
                                   .ctx = ram->opts.ctx,
                                   .total = ram->snap->index.ram_bytes};
    int rc = 0;

    for (uint32_t r = 0; !rc && r < ram->snap->index.region_count; r++) {
        rc = stasis_snap_load_region(ram->snap, r, ram->host[r], &how, err);
        how.before += ram->snap->index.regions[r].size;
    }
    if (rc)
        return rc;
    atomic_store(&ram->populated, ram->stored);
    atomic_store(&ram->verified, ram->stored);
    stasis_ram_complete(ram);
    return 0;
}

/* The header knows it of a file whose chunks are as long as they are in RAM. */
static uint64_t stored_ram(const struct stasis_snap *snap)
{
    uint64_t stored = 0;
    uint64_t end = snap->index.chunk_count;

    if (!(snap->opened.incompatible & (STASIS_FEATURE_ZLIB | STASIS_FEATURE_LAYER)))
        return snap->opened.stored_bytes;
    for (uint64_t i = stasis_index_zero_end(&snap->index, 0, end); i < end;
         i = stasis_index_zero_end(&snap->index, i + 1, end))
        stored += stasis_index_get(&snap->index, i).size;
    return stored;
}

/* MAP and LAZY leave what the file has as zero to the memory itself, and LAZY stops nobody at a
 * page that is there: both need memory without content. */
static bool discard(struct stasis_ram *ram)
{
    for (uint32_t r = 0; r < ram->snap->index.region_count; r++)
        if (stasis_ram_io_discard(ram->host[r], ram->snap->index.regions[r].size))
            return false;
    return true;
}

/* Each mode falls back to the one behind it. */
static int attach(struct stasis_ram *ram, struct stasis_error *err)
{
    bool fresh = discard(ram);
    int rc = 1;

    ram->mode = ram->opts.mode == STASIS_RAM_AUTO ? STASIS_RAM_LAZY : ram->opts.mode;
    if (!fresh && ram->mode != STASIS_RAM_COPY) {
        snprintf(ram->reason, sizeof(ram->reason),
                 "the memory is locked, or not private anonymous memory; memory=copy instead of %s",
                 stasis_ram_mode_name(ram->mode));
        ram->mode = STASIS_RAM_COPY;
    }
    if (ram->mode == STASIS_RAM_MAP) {
        rc = stasis_ram_map(ram, err);
        if (rc > 0)
            ram->mode = STASIS_RAM_LAZY;
    }
    if (ram->mode == STASIS_RAM_LAZY) {
        rc = stasis_ram_lazy(ram, err);
        if (rc > 0)
            ram->mode = STASIS_RAM_COPY;
    }
    return ram->mode == STASIS_RAM_COPY ? copy(ram, fresh, err) : rc;
}

static int check(const struct stasis_snap *snap, void *const *hosts,
                 const struct stasis_ram_opts *opts, struct stasis_error *err)
{
    int rc;

    if (opts->size != sizeof(*opts) || opts->mode < STASIS_RAM_AUTO || opts->mode > STASIS_RAM_LAZY)
        return stasis_fail(err, STASIS_ERR_ARG, "options of %zu bytes, expected %zu, or mode %d",
                           opts->size, sizeof(*opts), (int)opts->mode);
    rc = stasis_snap_check_ram(snap, err);
    if (rc)
        return rc;
    for (uint32_t r = 0; r < snap->index.region_count; r++)
        if (!hosts[r] || (uintptr_t)hosts[r] % STASIS_PAGE_SIZE)
            return stasis_fail(err, STASIS_ERR_ARG,
                               "memory for region %" PRIu32 " is not on a page boundary", r);
    return 0;
}

int stasis_ram_attach(struct stasis_snap *snap, void *const *hosts,
                      const struct stasis_ram_opts *opts, struct stasis_ram **ret_ram,
                      struct stasis_error *err)
{
    struct stasis_ram *ram;
    int rc = check(snap, hosts, opts, err);

    if (rc)
        return rc;
    ram = calloc(1, sizeof(*ram));
    if (!ram)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to load RAM");
    ram->snap = stasis_snap_share(snap);
    ram->opts = *opts;
    ram->stored = stored_ram(snap);
    ram->uffd.fd = ram->stop_fd = -1;
    for (uint32_t r = 0; r < snap->index.region_count; r++)
        ram->host[r] = hosts[r];
    pthread_mutex_init(&ram->lock, NULL);
    pthread_mutex_init(&ram->uffd_lock, NULL);
    pthread_mutex_init(&ram->place_lock, NULL);
    stasis_turns_init(&ram->changed);
    rc = attach(ram, err);
    if (rc)
        stasis_ram_free(ram);
    else
        *ret_ram = ram;
    return rc;
}

void stasis_ram_free(struct stasis_ram *ram)
{
    if (!ram)
        return;
    stasis_ram_hold(ram);
    stasis_ram_lazy_fini(ram);
    stasis_snap_free(ram->snap);
    pthread_cond_destroy(&ram->changed);
    pthread_mutex_destroy(&ram->place_lock);
    pthread_mutex_destroy(&ram->uffd_lock);
    pthread_mutex_destroy(&ram->lock);
    free(ram->taken);
    free(ram->done);
    free(ram->ranges);
    free(ram->mapped);
    free(ram);
}

/* ---- asking ---- */

enum stasis_ram_mode stasis_ram_mode(const struct stasis_ram *ram)
{
    return ram->mapped_count ? STASIS_RAM_MAP : ram->mode;
}

const char *stasis_ram_reason(const struct stasis_ram *ram)
{
    return ram->reason[0] ? ram->reason : NULL;
}

const char *stasis_ram_mode_name(enum stasis_ram_mode mode)
{
    static const char *const names[] = {"auto", "copy", "map", "lazy"};

    return names[mode];
}

void stasis_ram_get_metrics(const struct stasis_ram *ram, struct stasis_ram_metrics *ret_metrics)
{
    struct stasis_ram *own = (struct stasis_ram *)(uintptr_t)ram; /* for the lock */

    pthread_mutex_lock(&own->lock);
    *ret_metrics = (struct stasis_ram_metrics){
        .stored_bytes = ram->stored,
        .populated_bytes = atomic_load(&ram->populated),
        .verified_bytes = atomic_load(&ram->verified),
        .faults = atomic_load(&ram->faults),
        .ranges = ram->range_count + ram->mapped_count,
        .complete = ram->complete,
        .complete_ns = ram->complete_ns,
        .failed = ram->failed,
    };
    pthread_mutex_unlock(&own->lock);
}

/* The chunk that `address` lies in, or -1. */
static int64_t chunk_at(const struct stasis_ram *ram, const void *address)
{
    for (uint32_t r = 0; r < ram->snap->index.region_count; r++) {
        const struct stasis_snap_region *region = &ram->snap->index.regions[r];
        uintptr_t at = (uintptr_t)address - (uintptr_t)ram->host[r];

        if ((uintptr_t)address >= (uintptr_t)ram->host[r] && at < region->size)
            return (int64_t)(region->first_chunk + at / STASIS_CHUNK_SIZE);
    }
    return -1;
}

/* The length of the file that was asked last. */
struct file_len {
    uint32_t file;
    uint64_t len;
};

/* Does a file no longer have what this chunk needs? *ret_extent is that, or some of the chunk. */
static bool is_cut(const struct stasis_ram *ram, uint64_t i, struct file_len *known,
                   struct stasis_snap_extent *ret_extent)
{
    struct stasis_index_extents extents;

    stasis_index_get_extents(&ram->snap->index, i, &extents);
    for (unsigned k = 0; k < extents.count; k++) {
        *ret_extent = extents.list[k];
        if (known->file != ret_extent->file) {
            known->file = ret_extent->file;
            known->len = 0;
            (void)!stasis_input_length(&ram->snap->files[known->file]->input, &known->len);
        }
        if (ret_extent->offset + ret_extent->stored_len > known->len)
            return true;
    }
    return false;
}

bool stasis_ram_describe_failure(const struct stasis_ram *ram, const void *address,
                                 struct stasis_error *err)
{
    struct file_len known = {.file = UINT32_MAX};
    struct stasis_snap_extent extent = {0};
    int64_t i = chunk_at(ram, address);
    bool cut = i >= 0 && is_cut(ram, (uint64_t)i, &known, &extent);

    if (address && i < 0)
        return false;
    for (uint64_t k = 0;
         i < 0 && stasis_ram_mode(ram) == STASIS_RAM_MAP && k < ram->snap->index.chunk_count; k++) {
        cut = is_cut(ram, k, &known, &extent);
        if (cut)
            i = (int64_t)k;
    }
    if (i < 0)
        return false;
    stasis_snap_extent_damaged(
        ram->snap, (uint64_t)i, &extent,
        cut ? "the file has become shorter" : "damaged, or it cannot be read", err);
    return true;
}
