/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which pages of this process's memory may hold something, without touching any: a page that was
 * never written to costs no time and no page table. A page counts as empty only where that is
 * proved; what is swapped out, of a file, shared, or yet to be loaded may hold something.
 */
#ifndef STASIS_SNAP_POPULATED_H
#define STASIS_SNAP_POPULATED_H

#include "aside.h"
#include "mappings.h"

/* How it is found out; where one is not to be had, the next one is taken. */
enum stasis_populated_by {
    STASIS_POPULATED_BY_SCAN = 0, /* PAGEMAP_SCAN, Linux 6.7: skips what has no page table */
    STASIS_POPULATED_BY_PAGEMAP,  /* /proc/self/pagemap: 8 bytes a page, absent or not */
    STASIS_POPULATED_BY_NOTHING,  /* every page may hold something */
};

/* Files of /proc/self that are open already; 0: they are opened. */
struct stasis_populated_files {
    int mappings; /* smaps or maps, as `from` says */
    int pagemap;
};

struct stasis_populated {
    enum stasis_populated_by by;
    int pagemap;                     /* or -1: nothing is known */
    struct stasis_mappings mappings; /* where an absent page is zero */
};

/* For memory within start..end-1; `by` at best. `from` smaps, unless no userfaultfd fills any of
 * it. The kernel may walk the page tables of all that memory meanwhile: if `watch` (it may be NULL)
 * gives up, nothing is known. */
void stasis_populated_init(struct stasis_populated *populated, enum stasis_populated_by by,
                           enum stasis_mappings_from from,
                           const struct stasis_populated_files *files, uintptr_t start,
                           uintptr_t end, const struct stasis_watch *watch);
void stasis_populated_fini(struct stasis_populated *populated);

/* Calls `found` for the ranges of start..end-1 (whole pages) that may hold something, in ascending
 * order. Many threads may do so at once. */
void stasis_populated_find(const struct stasis_populated *populated, uintptr_t start, uintptr_t end,
                           void (*found)(void *ctx, uintptr_t start, uintptr_t end), void *ctx);

/* Whether an entry of pagemap (admin-guide/mm/pagemap.rst) can be that of an anonymous page that
 * was just written to. */
bool stasis_populated_is_ours(uint64_t entry);

#endif
