/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What an x86-64 guest's page tables map to its RAM: 4- and 5-level paging (Intel SDM 3A, 4.5).
 *
 * The tables are the guest's, who may be an enemy. So each page of them is followed once only, by
 * its lowest virtual address: that ends cycles, and keeps alone one of the thousands of aliases
 * that e.g. Linux's espfix area makes of one table. What is not RAM is left out, and the number of
 * ranges is bounded.
 */
#ifndef STASIS_TOOLS_PAGING_H
#define STASIS_TOOLS_PAGING_H

#include <stdbool.h>

#include "tools/guest_ram.h"

/* Fewer than PN_XNUM, so that an ELF header can count them and a few more. */
#define STASIS_PAGING_RANGES_MAX 61000u

struct stasis_paging_range {
    uint64_t va;
    uint64_t gpa;
    uint64_t len;
};

struct stasis_paging {
    struct stasis_inspect_ram *ram;
    struct stasis_paging_range *ranges; /* contiguous in both addresses: merged */
    size_t count;
    size_t capacity;
    bool full;        /* there was more than could be kept */
    uint16_t *walked; /* for each chunk, which of its pages were followed as tables */
};

enum stasis_paging_half { STASIS_PAGING_LOWER = 1, STASIS_PAGING_UPPER = 2 };

/* `ram` must stay. STASIS_ERR_NOMEM. */
STASIS_MUST_CHECK int stasis_paging_init(struct stasis_paging *paging,
                                         struct stasis_inspect_ram *ram, struct stasis_error *err);
void stasis_paging_fini(struct stasis_paging *paging); /* fine for one that is all zero */

/* Adds what the tables under `cr3` map in these halves (a set of enum stasis_paging_half) of the
 * address space; `levels` is 4 or 5. Several roots may be walked; tables they share, or that lie
 * outside RAM, are passed over. STASIS_ERR_NOMEM, and what reading RAM can fail with. */
STASIS_MUST_CHECK int stasis_paging_walk(struct stasis_paging *paging, uint64_t cr3,
                                         unsigned levels, unsigned halves,
                                         struct stasis_error *err);

/* Sorts the ranges by virtual address and merges what has become contiguous. */
void stasis_paging_sort(struct stasis_paging *paging);

/* Where one address leads. STASIS_ERR_NOT_FOUND: nowhere. */
STASIS_MUST_CHECK int stasis_paging_translate(struct stasis_inspect_ram *ram, uint64_t cr3,
                                              unsigned levels, uint64_t va, uint64_t *ret_gpa,
                                              struct stasis_error *err);

#endif
