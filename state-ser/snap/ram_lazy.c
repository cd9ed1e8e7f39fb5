/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * LAZY: the memory stays anonymous; userfaultfd stops whoever touches what is not there yet, and
 * the handler reads the chunk, verifies it in a buffer of its own and only then puts it in place.
 *
 * Memory is watched by blocks of 2 MiB, and only blocks that hold something stored: zero ranges get
 * huge pages from the kernel at the first touch, as in a guest that was booted.
 *
 * The handler continues after a failure: chunks that are good let their vCPUs and savers reach an
 * orderly end; a bad one poisons its pages, or, where the kernel cannot, keeps who touched it
 * waiting. Nobody ever sees zeros in place of a chunk.
 */
#include "ram_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "pool.h"

/* ---- what to watch ---- */

bool stasis_ram_is_stored(const struct stasis_ram *ram, uint64_t first, uint64_t end)
{
    return stasis_index_zero_end(&ram->snap->index, first, end) < end;
}

/* Lists the ranges of a region whose gaps are wider than `near` blocks; false: too many. */
static bool plan_region(struct stasis_ram *ram, const struct stasis_snap_region *region,
                        uint64_t near)
{
    uint64_t stop = region->first_chunk + stasis_region_chunks(region);
    struct stasis_ram_range *range = NULL;

    for (uint64_t first = region->first_chunk; first < stop; first += STASIS_BLOCK_CHUNKS) {
        uint64_t end = stop - first < STASIS_BLOCK_CHUNKS ? stop : first + STASIS_BLOCK_CHUNKS;

        if (stasis_ram_is_mapped(ram, first, end))
            range = NULL; /* none may reach over it */
        if (!stasis_ram_is_stored(ram, first, end) || stasis_ram_is_mapped(ram, first, end))
            continue;
        if (range && first - range->end <= near * STASIS_BLOCK_CHUNKS) {
            range->end = end;
            continue;
        }
        if (ram->range_count + ram->mapped_count == STASIS_RAM_RANGES_MAX)
            return false;
        range = &ram->ranges[ram->range_count++];
        *range = (struct stasis_ram_range){first, end};
    }
    return true;
}

/* Every range is a mapping of its own to the kernel: where there would be too many, wider and wider
 * gaps are watched with them, and nothing is mapped beside. A region is one range at the last. */
static void plan_ranges(struct stasis_ram *ram)
{
    const struct stasis_index *index = &ram->snap->index;
    uint64_t near = 0;
    bool fits;

    do {
        ram->range_count = 0;
        fits = true;
        for (uint32_t r = 0; fits && r < index->region_count; r++)
            fits = plan_region(ram, &index->regions[r], near);
        if (!fits && ram->mapped_count)
            ram->mapped_count = 0;
        else
            near = near * 2 + 1;
    } while (!fits);
}

static int plan(struct stasis_ram *ram, struct stasis_error *err)
{
    const struct stasis_index *index = &ram->snap->index;
    int rc = 0;

    ram->ranges = calloc(STASIS_RAM_RANGES_MAX, sizeof(*ram->ranges));
    if (!ram->ranges)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to plan the loading of RAM");
    ram->taken = calloc(index->chunk_count + 1, sizeof(*ram->taken));
    if (!ram->taken)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory to plan the loading of RAM");
    if (stasis_ram_done_init(ram, err))
        return STASIS_ERR_NOMEM;
    if (ram->opts.mode == STASIS_RAM_MAP && index->runs.layered)
        rc = stasis_ram_mixed_plan(ram, err);
    if (!rc)
        plan_ranges(ram);
    return rc;
}

/* What can be mapped is, of a layer that was to be; the rest is watched. */
static int map_beside(struct stasis_ram *ram, struct stasis_error *err)
{
    int rc = stasis_ram_mixed_map(ram, err);

    if (rc > 0) {
        ram->mapped_count = 0;
        plan_ranges(ram);
        rc = 0;
    }
    if (!rc && ram->mapped && !ram->mapped_count)
        snprintf(ram->reason, sizeof(ram->reason),
                 "no 2 MiB of the stored memory can be mapped from one file; memory=lazy instead "
                 "of map");
    return rc;
}

static int watch(struct stasis_ram *ram, struct stasis_error *err)
{
    for (size_t p = 0; p < ram->range_count; p++) {
        const struct stasis_ram_range *range = &ram->ranges[p];
        uint8_t *host = stasis_ram_chunk_host(ram, range->first);
        uint64_t len = stasis_ram_chunks_len(ram, range->first, range->end);

        if (stasis_uffd_watch(&ram->uffd, host, len))
            return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "watching guest RAM");
        stasis_ram_io_fork(host, len, false); /* a child would see zeros */
    }
    return 0;
}

/* ---- serving ---- */

/* `address` is in watched memory: the kernel says so. */
static uint64_t chunk_of(const struct stasis_ram *ram, uint64_t address)
{
    const struct stasis_index *index = &ram->snap->index;
    uint32_t r = 0;

    while (r + 1 < index->region_count &&
           address - (uintptr_t)ram->host[r] >= index->regions[r].size)
        r++;
    return index->regions[r].first_chunk + (address - (uintptr_t)ram->host[r]) / STASIS_CHUNK_SIZE;
}

void stasis_ram_loaded(struct stasis_ram *ram, uint64_t i, enum stasis_ram_done how)
{
    struct stasis_snap_chunk chunk = stasis_index_get(&ram->snap->index, i);

    if (chunk.kind == STASIS_CHUNK_ZERO || !stasis_ram_set_done(ram, i, how))
        return;
    atomic_fetch_add(&ram->populated, chunk.size);
    atomic_fetch_add(&ram->verified, chunk.size);
}

/* Pages that were taken away are zero, the others come from `from`, in runs of one kind. */
static int put_pages(const struct stasis_ram *ram, const struct stasis_snap_chunk *chunk,
                     uint8_t *host, const uint8_t *from, unsigned taken)
{
    size_t at = 0;
    int rc = 0;

    while (!rc && at < chunk->size) {
        bool is_taken = taken >> at / STASIS_PAGE_SIZE & 1;
        size_t end = at;

        while (end < chunk->size && (taken >> end / STASIS_PAGE_SIZE & 1) == is_taken)
            end += STASIS_PAGE_SIZE;
        rc = stasis_uffd_copy(&ram->uffd, host + at, is_taken ? NULL : from + at, end - at);
        at = end;
    }
    return rc;
}

static int put(struct stasis_ram *ram, uint64_t i, const struct stasis_snap_chunk *chunk,
               const uint8_t *from)
{
    uint8_t *host = stasis_ram_chunk_host(ram, i);
    int rc;

    pthread_mutex_lock(&ram->place_lock);
    if (chunk->kind == STASIS_CHUNK_ZERO)
        rc = stasis_uffd_copy(&ram->uffd, host, NULL, chunk->size);
    else
        rc = put_pages(ram, chunk, host, from, ram->taken[i]);
    pthread_mutex_unlock(&ram->place_lock);
    return rc;
}

int stasis_ram_install(struct stasis_ram *ram, uint64_t i, const uint8_t *from,
                       struct stasis_error *err)
{
    struct stasis_snap_chunk chunk = stasis_index_get(&ram->snap->index, i);

    if (put(ram, i, &chunk, from))
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "%s: chunk %" PRIu64 ", guest address 0x%" PRIx64
                                 ": putting it in place",
                                 ram->snap->name, i, chunk.gpa);
    stasis_ram_loaded(ram, i, STASIS_RAM_DONE);
    return 0;
}

/* Without a look at `done`: at worst a chunk is read twice, and what is in place stays. */
static void serve(struct stasis_ram *ram, uint64_t address, uint8_t *buf)
{
    uint64_t i = chunk_of(ram, address);
    struct stasis_snap_chunk chunk = stasis_index_get(&ram->snap->index, i);
    struct stasis_error err = {0};
    int rc = 0;

    atomic_fetch_add(&ram->faults, 1);
    if (!stasis_ram_is_taken(ram, i))
        rc = stasis_snap_read_chunks(ram->snap, i, i + 1, buf, &err);
    if (!rc)
        rc = stasis_ram_install(ram, i, buf, &err);
    if (!rc)
        return;
    stasis_ram_fail(ram, &err);
    (void)!stasis_uffd_poison(&ram->uffd, stasis_ram_chunk_host(ram, i), chunk.size);
}

/* What goes wrong here the handler meets, too. */
void stasis_ram_serve_waiting(struct stasis_ram *ram, uint8_t *buf)
{
    uint64_t address;

    while (stasis_uffd_take(&ram->uffd, &address) > 0)
        serve(ram, address, buf);
}

static void *handle(void *arg)
{
    struct stasis_ram *ram = arg;
    struct stasis_error err;
    uint8_t *buf = stasis_ram_io_scratch(STASIS_CHUNK_SIZE);
    uint64_t address;
    int rc = -1;

    stasis_ram_io_hurry();
    if (stasis_ram_thread_begins(ram, &err)) {
        stasis_ram_fail(ram, &err);
        goto out;
    }
    if (!buf)
        errno = ENOMEM;
    while (buf && (rc = stasis_uffd_wait(&ram->uffd, ram->stop_fd, &address)) > 0)
        serve(ram, address, buf);
    if (rc < 0) {
        stasis_fail_errno(&err, STASIS_ERR_UNAVAILABLE,
                          "%s: the loader of guest memory lost its connection to the kernel",
                          ram->snap->name);
        stasis_ram_fail(ram, &err);
    }
out:
    stasis_ram_io_scratch_free(buf, STASIS_CHUNK_SIZE);
    return NULL;
}

/* ---- beginning and end ---- */

static int start_handler(struct stasis_ram *ram, struct stasis_error *err)
{
    ram->stop_fd = stasis_ram_io_event();
    if (ram->stop_fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "an eventfd for guest RAM");
    errno = stasis_thread_create(&ram->handler, handle, ram);
    if (errno)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "starting a thread for guest RAM");
    ram->has_handler = true;
    return 0;
}

/* What other files say to a call that they do not know: EIO a VM of another process, EBADFD a tap
 * device that has no name yet. */
static bool is_of_another(int error)
{
    return error == ENOTTY || error == EBADF || error == EINVAL || error == EIO || error == EBADFD;
}

static int open_uffd(int device, struct stasis_uffd *ret_uffd, struct stasis_error *err)
{
    if (!stasis_uffd_open(device, ret_uffd))
        return 0;
    if (device && is_of_another(errno))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "descriptor %d is not /dev/userfaultfd: open that, and pass it as "
                           "uffd_fd",
                           device);
    return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                       "userfaultfd is not permitted (%s): let this user open /dev/userfaultfd, "
                       "or pass a descriptor of it as uffd_fd",
                       strerror(errno));
}

int stasis_ram_check_lazy(int uffd_fd, struct stasis_error *err)
{
    struct stasis_uffd uffd;
    int rc = open_uffd(uffd_fd, &uffd, err);

    if (!rc)
        stasis_uffd_close(&uffd);
    return rc;
}

static int not_permitted(struct stasis_ram *ram, const struct stasis_error *why)
{
    size_t used = strlen(ram->reason);

    snprintf(ram->reason + used, sizeof(ram->reason) - used,
             "%s%.200s; memory=copy instead of lazy", used ? "; " : "", why->msg);
    return 1;
}

int stasis_ram_lazy(struct stasis_ram *ram, struct stasis_error *err)
{
    struct stasis_error why;
    int rc;

    rc = open_uffd(ram->opts.uffd_fd, &ram->uffd, &why);
    if (rc == STASIS_ERR_ARG) {
        if (err)
            *err = why;
        return rc;
    }
    if (rc)
        return not_permitted(ram, &why);
    rc = plan(ram, err);
    if (!rc)
        rc = map_beside(ram, err);
    if (!rc)
        rc = watch(ram, err);
    if (!rc && ram->range_count + ram->mapped_count == 0) {
        stasis_uffd_close(&ram->uffd);
        stasis_ram_complete(ram);
        return 0;
    }
    if (!rc)
        rc = start_handler(ram, err);
    if (!rc)
        rc = stasis_ram_start_background(ram, err);
    return rc;
}

void stasis_ram_stop_handler(struct stasis_ram *ram)
{
    if (!ram->has_handler)
        return;
    stasis_ram_io_signal(ram->stop_fd);
    pthread_join(ram->handler, NULL);
    ram->has_handler = false;
}

/* Forbidden first: who is woken meets a fault, where missing pages would be zeros. The threads of
 * the engine are left alone: one may hang in a read for ever, and who ends them is free(). */
void stasis_ram_cancel_waiters(struct stasis_ram *ram)
{
    pthread_mutex_lock(&ram->uffd_lock);
    for (size_t p = 0; ram->uffd.fd >= 0 && p < ram->range_count; p++) {
        const struct stasis_ram_range *range = &ram->ranges[p];
        uint8_t *host = stasis_ram_chunk_host(ram, range->first);
        uint64_t len = stasis_ram_chunks_len(ram, range->first, range->end);

        stasis_ram_io_forbid(host, len);
        stasis_uffd_wake(&ram->uffd, host, len);
    }
    pthread_mutex_unlock(&ram->uffd_lock);
}

void stasis_ram_close_uffd(struct stasis_ram *ram)
{
    pthread_mutex_lock(&ram->uffd_lock);
    stasis_uffd_close(&ram->uffd);
    pthread_mutex_unlock(&ram->uffd_lock);
}

int stasis_ram_uffd(struct stasis_ram *ram)
{
    int fd;

    pthread_mutex_lock(&ram->uffd_lock);
    fd = ram->uffd.fd;
    pthread_mutex_unlock(&ram->uffd_lock);
    return fd;
}

void stasis_ram_lazy_fini(struct stasis_ram *ram)
{
    stasis_ram_stop_handler(ram);
    stasis_ram_cancel_waiters(ram);
    stasis_ram_close_uffd(ram);
    stasis_io_close(ram->stop_fd);
}
