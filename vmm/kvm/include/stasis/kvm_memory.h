/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Guest RAM. stasis_memory_at() is the only place where a guest physical address becomes a
 * pointer: it checks the whole range first, so a guest cannot name a byte outside its RAM. The
 * pointer is for reading; who writes asks stasis_memory_writable() or stasis_memory_write().
 *
 * Threads: the layout is fixed after init; the bytes are shared with running vCPUs.
 */
#ifndef STASIS_KVM_MEMORY_H
#define STASIS_KVM_MEMORY_H

#include <stdint.h>

#include "stasis/error.h"

STASIS_BEGIN_DECLS

#define STASIS_MEMORY_REGION_MAX 8

#define STASIS_MEMORY_PAGE UINT64_C(4096) /* regions of guest RAM are whole pages */

struct stasis_memory_region {
    uint64_t gpa;
    uint64_t size;
    uint8_t *host;
};

/* Who fills the memory while it is in use. */
struct stasis_memory_source {
    /* These bytes shall read as zero from now on, whatever the source would put there: whole pages
     * of one region. Any thread. */
    int (*discard)(void *ctx, void *host, uint64_t len, struct stasis_error *err);
    void *ctx;
};

/* Who is to know what this process changes in guest RAM; KVM's log or rings tell the rest. */
struct stasis_memory_watcher {
    /* These bytes of one region are about to be changed; not called for bytes that the source
     * loads. On the thread that changes them, and any other at the same time. */
    void (*changes)(void *ctx, uint64_t gpa, uint64_t len);
    void *ctx;
};

struct stasis_memory {
    struct stasis_memory_region regions[STASIS_MEMORY_REGION_MAX];
    uint32_t region_count;
    struct stasis_memory_source source; /* all zero: there is none; set by it, before first use */
    /* All zero: there is none; set while no thread changes the memory. */
    struct stasis_memory_watcher watcher;
};

/* Maps zero-filled anonymous memory: 2 MiB-aligned, huge pages advised, kept out of core dumps.
 * `layout` gives gpa and size of each region, at most STASIS_MEMORY_REGION_MAX; its host is not
 * read. After a failure there is no memory, and stasis_memory_fini() does nothing. Errors:
 *   STASIS_ERR_ARG (EINVAL)       too many regions, or one that is empty or not whole pages
 *   STASIS_ERR_RANGE (EOVERFLOW)  a region ends behind the last address
 *   STASIS_ERR_UNAVAILABLE        the host has too little */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_memory_init(struct stasis_memory *memory,
                                                       const struct stasis_memory_region *layout,
                                                       uint32_t count, struct stasis_error *err);
STASIS_EXPORT void stasis_memory_fini(struct stasis_memory *memory);

/* Host address of [gpa, gpa + len) for reading, or NULL unless all of it is RAM of one region. */
STASIS_EXPORT const void *stasis_memory_at(const struct stasis_memory *memory, uint64_t gpa,
                                           uint64_t len);

/* The same for writing. With stasis_memory_write() and stasis_memory_discard() the only way by
 * which this process changes guest RAM, so that one place learns of every change: the watcher has
 * been told on return, so do not keep the pointer for a later write. */
STASIS_EXPORT STASIS_MUST_CHECK void *stasis_memory_writable(const struct stasis_memory *memory,
                                                             uint64_t gpa, uint64_t len);

/* Copies into guest RAM. STASIS_ERR_ARG names `what` when the range is not RAM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_memory_write(const struct stasis_memory *memory,
                                                        uint64_t gpa, const void *bytes,
                                                        uint64_t len, const char *what,
                                                        struct stasis_error *err);

/* Gives whole pages of one region back to the host. They read as zero from then on, until somebody
 * writes to them; zeros are written where the host takes nothing back. STASIS_ERR_ARG: these are
 * not whole pages of RAM; errors of the source. Any thread. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_memory_discard(const struct stasis_memory *memory,
                                                          uint64_t gpa, uint64_t len,
                                                          struct stasis_error *err);

STASIS_EXPORT uint64_t stasis_memory_size(const struct stasis_memory *memory);

STASIS_END_DECLS

#endif
