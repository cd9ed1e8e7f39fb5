/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Guest RAM. stasis_memory_at() is the only place where a guest physical address becomes a
 * pointer: it checks the whole range first, so a guest cannot name a byte outside its RAM.
 *
 * Threads: the layout is fixed after init; the bytes are shared with running vCPUs.
 */
#ifndef STASIS_VMM_MEMORY_H
#define STASIS_VMM_MEMORY_H

#include "stasis/state.h"

/* RAM below the gap ends here at the latest and goes on at 4 GiB; devices, the I/O APIC and the
 * local APIC live in between. */
#define STASIS_MMIO_GAP_START UINT64_C(0xd0000000)
#define STASIS_MMIO_GAP_END   UINT64_C(0x100000000)

#define STASIS_MEMORY_REGION_MAX 8

struct stasis_memory_region {
    uint64_t gpa;
    uint64_t size;
    uint8_t *host;
};

struct stasis_memory {
    struct stasis_memory_region regions[STASIS_MEMORY_REGION_MAX];
    uint32_t region_count;
};

/* Describes `size` bytes of RAM (a multiple of 4 KiB) in *board: one region, or two around the
 * gap. STASIS_ERR_ARG when the size is 0, unaligned or beyond 2^46. */
STASIS_MUST_CHECK int stasis_memory_layout(uint64_t size, struct stasis_board_state *board,
                                           struct stasis_error *err);

/* Maps zero-filled anonymous memory for every region of the board: 2 MiB-aligned, huge pages
 * advised, kept out of core dumps. STASIS_ERR_UNAVAILABLE when the host has too little. */
STASIS_MUST_CHECK int stasis_memory_init(struct stasis_memory *memory,
                                         const struct stasis_board_state *board,
                                         struct stasis_error *err);
void stasis_memory_fini(struct stasis_memory *memory);

/* Host address of [gpa, gpa + len), or NULL unless all of it is RAM of one region. */
void *stasis_memory_at(const struct stasis_memory *memory, uint64_t gpa, uint64_t len);

/* Copies into guest RAM. STASIS_ERR_ARG names `what` when the range is not RAM. */
STASIS_MUST_CHECK int stasis_memory_write(const struct stasis_memory *memory, uint64_t gpa,
                                          const void *bytes, uint64_t len, const char *what,
                                          struct stasis_error *err);

uint64_t stasis_memory_size(const struct stasis_memory *memory);

#endif
