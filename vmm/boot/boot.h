/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Puts a guest into RAM and says how its first vCPU starts (arch.h). Everything a Linux kernel
 * wants to find is written here: kernel, initrd, command line, boot parameters with the e820 map,
 * GDT, page tables, MPTable and ACPI tables for the devices of the board.
 */
#ifndef STASIS_VMM_BOOT_H
#define STASIS_VMM_BOOT_H

#include "vmm/arch/arch.h"
#include "vmm/kvm/memory.h"

struct stasis_boot_options {
    const char *kernel_path; /* NULL: the built-in demo guest */
    const char *initrd_path; /* NULL: none */
    const char *cmdline;     /* NULL: the default, STASIS_BOOT_CMDLINE */
    uint64_t load_addr;      /* 0: where the kernel asks to be */
};

#define STASIS_BOOT_CMDLINE "console=ttyS0 reboot=k panic=1"

/* Errors name the file and the remedy: STASIS_ERR_ARG (missing, not a kernel, truncated, bad
 * options, larger than RAM), STASIS_ERR_IO. */
STASIS_MUST_CHECK int stasis_boot_load(const struct stasis_memory *memory,
                                       const struct stasis_board_state *board,
                                       const struct stasis_boot_options *options,
                                       struct stasis_arch_entry *ret_entry,
                                       struct stasis_error *err);

#endif
