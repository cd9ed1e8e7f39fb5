/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of RAM restore: ram.c (life, failure, metrics), ram_map.c and ram_lazy.c (the modes),
 * ram_fill.c (the background work of lazy), ram_finish.c (when memory leaves the process),
 * ram_discard.c (memory that is given back).
 */
#ifndef STASIS_SNAP_RAM_H
#define STASIS_SNAP_RAM_H

#include <pthread.h>
#include <stdatomic.h>

#include "object.h"
#include "pool.h"
#include "ram_io.h"
#include "stasis/ram.h"

/* More mappings would make every fault and every munmap() search longer, and a process has 65,530
 * at most (vm.max_map_count). */
#define STASIS_RAM_RANGES_MAX 4096u

#define STASIS_BLOCK_CHUNKS (STASIS_HUGE_PAGE / STASIS_CHUNK_SIZE) /* a huge page of RAM */

/* Chunks first..end-1 of one region. MAP: mapped from the file, at steadily rising offsets. LAZY:
 * watched by userfaultfd, whole blocks. */
struct stasis_ram_range {
    uint64_t first;
    uint64_t end;
};

/* What has become of a chunk. A hint only: at worst work is done twice. */
enum stasis_ram_done {
    STASIS_RAM_TO_DO = 0,
    STASIS_RAM_DONE,  /* MAP: verified; LAZY: in place, in small pages */
    STASIS_RAM_MOVED, /* LAZY: in place with its whole block, as a huge page */
};

struct stasis_ram {
    struct stasis_snap *snap; /* a share of it */
    uint8_t *host[STASIS_RAM_REGION_MAX];
    struct stasis_ram_opts opts;
    enum stasis_ram_mode mode;
    char reason[256]; /* "" or why it is not the mode asked for */

    struct stasis_ram_range *ranges; /* ascending */
    size_t range_count;
    struct stasis_ram_range *mapped; /* LAZY, in place of MAP: what is mapped beside; ascending */
    size_t mapped_count;

    pthread_t background; /* loads and verifies; made and joined by the owner of the object */
    unsigned threads;     /* of the background's, as in struct stasis_pool_job */
    bool has_rest;        /* MAP, LAZY: there was something to load or verify */
    bool has_background;
    _Atomic bool stop;      /* the background shall end; written under `lock` while it runs */
    _Atomic bool finishing; /* the owner waits for what is left: nobody gives way */

    struct stasis_uffd uffd;
    pthread_t handler;
    bool has_handler;
    int stop_fd;
    pthread_mutex_t uffd_lock; /* guards its closing */
    _Atomic uint8_t *done;     /* enum stasis_ram_done, by chunk; NULL for COPY */
    size_t collapsed;          /* LAZY: blocks looked at for it; the background's */

    /* Held by who puts something in place, and by who takes it away; guards what follows. Nobody
     * touches the memory under it: who does may wait for it. */
    pthread_mutex_t place_lock;
    uint16_t *taken;   /* LAZY: pages of each chunk that are zero whatever the file has there */
    unsigned replaced; /* MAP: pieces of the mappings that are anonymous memory since */

    uint64_t stored; /* bytes of RAM */
    _Atomic uint64_t populated, verified, faults;

    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t changed; /* waited for in turns, too */
    bool complete;
    uint64_t complete_ns;
    bool failed;
    bool background_ended;     /* it touches nothing here any more */
    struct stasis_error error; /* if failed */
};

/* ---- ram.c ---- */

/* Where a chunk lies in the host's memory. */
uint8_t *stasis_ram_chunk_host(const struct stasis_ram *ram, uint64_t i);

/* Bytes of RAM that chunks first..end-1 of one region have. */
uint64_t stasis_ram_chunks_len(const struct stasis_ram *ram, uint64_t first, uint64_t end);

/* The range that holds chunk i, or NULL. */
const struct stasis_ram_range *stasis_ram_range_of(const struct stasis_ram *ram, uint64_t i);

const struct stasis_ram_range *stasis_ram_range_in(const struct stasis_ram_range *ranges,
                                                   size_t count, uint64_t i);

/* Notes and reports the first failure. */
void stasis_ram_fail(struct stasis_ram *ram, const struct stasis_error *err);
/* On a thread of the background that begins, what its options say. */
STASIS_MUST_CHECK int stasis_ram_thread_begins(struct stasis_ram *ram, struct stasis_error *err);

/* All is verified, and in place. */
void stasis_ram_complete(struct stasis_ram *ram);
bool stasis_ram_is_complete(struct stasis_ram *ram);

/* The first failure, or 0. */
int stasis_ram_failure(struct stasis_ram *ram, struct stasis_error *err);

/* Memory for ram->done. */
int stasis_ram_done_init(struct stasis_ram *ram, struct stasis_error *err);

/* Sets ram->done of chunk i; true: it was to do. */
bool stasis_ram_set_done(struct stasis_ram *ram, uint64_t i, enum stasis_ram_done done);

/* The background work ends after the range that it is at, and is gone; it begins again where it
 * was, if anything is left to do and the options allow it. For the owner of the object. */
void stasis_ram_hold(struct stasis_ram *ram);
/* The same, but asks progress() while it waits: STASIS_ERR_CANCELLED, and the work ends later, or
 * continues if it is released before. */
STASIS_MUST_CHECK int stasis_ram_hold_while(struct stasis_ram *ram,
                                            bool (*progress)(void *ctx, uint64_t done,
                                                             uint64_t total),
                                            void *ctx, struct stasis_error *err);
void stasis_ram_release(struct stasis_ram *ram);

/* stasis_ram_finish() while the background work is held. */
int stasis_ram_finish_held(struct stasis_ram *ram, unsigned threads,
                           bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                           struct stasis_error *err);

/* Starts the background thread, unless the options forbid it. */
int stasis_ram_start_background(struct stasis_ram *ram, struct stasis_error *err);

/* ---- the modes: 1 and a reason when the mode cannot be, and another is to be tried ---- */

int stasis_ram_map(struct stasis_ram *ram, struct stasis_error *err);
int stasis_ram_lazy(struct stasis_ram *ram, struct stasis_error *err);
void stasis_ram_lazy_fini(struct stasis_ram *ram);

/* The work of the mode as a job for a pool, which the caller may change before it runs it. What is
 * done already is skipped. */
struct stasis_pool_job stasis_ram_map_job(struct stasis_ram *ram);
struct stasis_pool_job stasis_ram_fill_job(struct stasis_ram *ram);

/* LAZY, while the background is held: loads the chunks that have a page in these bitmaps, of each
 * region, on the caller's thread. Nearly all are in place already: who changed them has touched
 * them. Pages of others may be missing for good. */
int stasis_ram_fill_dirty(struct stasis_ram *ram, const uint64_t *const *dirty,
                          struct stasis_error *err);

/* LAZY, all is in place: nobody needs to watch any more. */
int stasis_ram_unwatch(struct stasis_ram *ram, struct stasis_error *err);

/* ---- ram_mixed.c: MAP of a layer, as far as it goes, beside LAZY ---- */

/* Lists what can be mapped; nothing, if that is too much. STASIS_ERR_NOMEM. */
int stasis_ram_mixed_plan(struct stasis_ram *ram, struct stasis_error *err);

/* Maps it. 1: the file system cannot map files, and nothing was mapped. */
int stasis_ram_mixed_map(struct stasis_ram *ram, struct stasis_error *err);

/* Are chunks first..end-1, a block, mapped? */
bool stasis_ram_is_mapped(const struct stasis_ram *ram, uint64_t first, uint64_t end);

/* Verifies such a block; `buf` has room for a chunk. STASIS_ERR_CANCELLED. */
int stasis_ram_mixed_verify(struct stasis_ram *ram, uint64_t first, uint64_t end, uint8_t *buf,
                            struct stasis_error *err);

/* ---- ram_lazy.c and ram_fill.c, for each other ---- */

/* Does any of chunks first..end-1 have bytes in the file? */
bool stasis_ram_is_stored(const struct stasis_ram *ram, uint64_t first, uint64_t end);

/* Puts chunk i in place, or zeros for what is zero of it, and wakes who waits for it. `from` is not
 * looked at if all of it is. */
int stasis_ram_install(struct stasis_ram *ram, uint64_t i, const uint8_t *from,
                       struct stasis_error *err);

/* All pages of chunk i have been taken away: what the file has there matters no more. */
bool stasis_ram_is_taken(struct stasis_ram *ram, uint64_t i);

/* Whether any page of chunks first..end-1 has. The caller holds place_lock. */
bool stasis_ram_has_taken(const struct stasis_ram *ram, uint64_t first, uint64_t end);

/* Serves the faults that nobody serves yet; `buf` has room for a chunk. */
void stasis_ram_serve_waiting(struct stasis_ram *ram, uint8_t *buf);

/* Chunk i is in place: counts it once. */
void stasis_ram_loaded(struct stasis_ram *ram, uint64_t i, enum stasis_ram_done how);

/* Whoever touches watched memory from now on waits for ever, or until nobody watches it. */
void stasis_ram_stop_handler(struct stasis_ram *ram);

/* The one place that closes it. */
void stasis_ram_close_uffd(struct stasis_ram *ram);

/* The descriptor by which memory is watched, or -1. */
int stasis_ram_uffd(struct stasis_ram *ram);

/* All is in place: makes huge pages. STASIS_ERR_CANCELLED if the background shall end. */
int stasis_ram_collapse(struct stasis_ram *ram);

#endif
