/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The board a new guest gets, as data (stasis/state/board.def). A thawed guest gets the board its
 * file describes instead.
 */
#ifndef STASIS_VMM_BOARD_H
#define STASIS_VMM_BOARD_H

#include "stasis/state.h"
#include "stasis/kvm_memory.h"

/* The page of guest RAM that the generation id has on the board of 0.2.0. */
#define STASIS_BOARD_VMGENID UINT64_C(0xef000)

/* How many optional devices a board has place for. */
#define STASIS_BOARD_SLOTS 12

/* A device that a board has on request only: one of virtio. */
struct stasis_board_optional {
    const char *type;     /* of its record */
    const char *instance; /* its name */
};

struct stasis_board_options {
    uint64_t memory_bytes;
    uint32_t vcpus;
    const char *cpu_model;                        /* board.def names them */
    bool pl031;                                   /* its clock is a PL031 */
    const char *release;                          /* whose default board; NULL: this one's */
    const struct stasis_board_optional *optional; /* in the order of their places */
    uint32_t optional_count;
};

/* Whether boards of the release have places for optional devices; not of one that is unknown. NULL:
 * this release. */
bool stasis_board_takes_optional(const char *release);

/* Describes `size` bytes of RAM (a multiple of 4 KiB) in *board: one region, or two around the
 * gap. STASIS_ERR_ARG when the size is 0, unaligned or beyond 2^46. */
STASIS_MUST_CHECK int stasis_board_set_ram(uint64_t size, struct stasis_board_state *board,
                                           struct stasis_error *err);

/* Copies the error `why` of a call that returned rc, with the remedy when the host refused memory
 * (STASIS_ERR_UNAVAILABLE). Returns rc. */
STASIS_MUST_CHECK int stasis_board_refuse_memory(int rc, const struct stasis_error *why,
                                                 struct stasis_error *err);

/* Maps the board's RAM (stasis_memory_init). */
STASIS_MUST_CHECK int stasis_board_map_ram(const struct stasis_board_state *board,
                                           struct stasis_memory *ret_memory,
                                           struct stasis_error *err);

/* A release's default board. STASIS_ERR_ARG names the option that is out of bounds, or the optional
 * device that has no place, or the name of another. */
STASIS_MUST_CHECK int stasis_board_default(const struct stasis_board_options *options,
                                           struct stasis_board_state *ret_board,
                                           struct stasis_error *err);

/* The first device of that type on that bus (STASIS_BUS_PIO, STASIS_BUS_MMIO), or NULL. */
const struct stasis_board_device_state *stasis_board_find(const struct stasis_board_state *board,
                                                          const char *type, uint32_t bus);

/* Whether it has a device of that type and name. */
bool stasis_board_has(const struct stasis_board_state *board, const char *type,
                      const char *instance);

/* Whether this release can build the board: every device and version, and the number of vCPUs.
 * STASIS_ERR_VERSION names what it lacks, STASIS_ERR_CORRUPT a name or an address that two devices
 * have. */
STASIS_MUST_CHECK int stasis_board_check(const struct stasis_board_state *board,
                                         struct stasis_error *err);

#endif
