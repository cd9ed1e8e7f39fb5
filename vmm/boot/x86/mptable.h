/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Intel MultiProcessor Specification 1.4 table: processors, one ISA bus, the I/O APIC, and how
 * interrupts reach it.
 */
#ifndef STASIS_VMM_MPTABLE_H
#define STASIS_VMM_MPTABLE_H

#include "stasis/state.h"

/* Writes floating pointer and table to bytes[size], which the guest sees at `gpa` (16-byte
 * aligned, below 4 GiB). STASIS_ERR_ARG: too many vCPUs; STASIS_ERR_FULL: too little room. */
STASIS_MUST_CHECK int stasis_mptable_build(const struct stasis_board_state *board, uint64_t gpa,
                                           uint8_t *bytes, size_t size, struct stasis_error *err);

#endif
