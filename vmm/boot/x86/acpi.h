/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * ACPI tables (ACPI 6.4) for a board: RSDP, XSDT, FADT, FACS, MADT, and a DSDT with every device.
 *
 * The FADT is not a hardware-reduced one, since Linux then takes away the legacy interrupts that
 * serial port and keyboard controller have. It therefore has to name PM1 registers. Boards without
 * them (of release 0.1.0) name ports that nothing answers: a read gives all ones. Linux lives with
 * that because SMI_CMD is 0 (ACPI mode is on and cannot be left), SCI_EN reads as 1, the fixed
 * buttons and the timer are declared absent, no sleep state is offered, and the SCI never fires.
 */
#ifndef STASIS_VMM_ACPI_H
#define STASIS_VMM_ACPI_H

#include "stasis/state.h"

/* Writes the tables to bytes[size], which the guest sees at `gpa` (64-byte aligned, below 4 GiB).
 * *ret_rsdp is the guest address of the RSDP. STASIS_ERR_ARG: a board that cannot be described
 * (too many vCPUs, a device whose memory does not end below 4 GiB); STASIS_ERR_FULL: too little
 * room. bytes[] may have changed on failure. */
STASIS_MUST_CHECK int stasis_acpi_build(const struct stasis_board_state *board, uint64_t gpa,
                                        uint8_t *bytes, size_t size, uint64_t *ret_rsdp,
                                        struct stasis_error *err);

#endif
