/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The board a new guest gets, as data (stasis/state/board.def). A thawed guest gets the board its
 * file describes instead.
 */
#ifndef STASIS_VMM_BOARD_H
#define STASIS_VMM_BOARD_H

#include "stasis/state.h"

struct stasis_board_options {
    uint64_t memory_bytes;
    uint32_t vcpus;
    const char *cpu_model; /* "host" or "baseline" */
    const char *release;   /* whose default board; NULL: this one's */
};

/* A release's default board. STASIS_ERR_ARG names the option that is out of bounds. */
STASIS_MUST_CHECK int stasis_board_default(const struct stasis_board_options *options,
                                           struct stasis_board_state *ret_board,
                                           struct stasis_error *err);

/* Whether this release can build the board: every device and version, and the number of vCPUs.
 * STASIS_ERR_VERSION names what it lacks. */
STASIS_MUST_CHECK int stasis_board_check(const struct stasis_board_state *board,
                                         struct stasis_error *err);

#endif
