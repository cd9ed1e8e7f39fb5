/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How a kernel is handed over by Linux's 64-bit boot protocol (boot.rst).
 */
#ifndef STASIS_VMM_BOOT_X86_LINUX_H
#define STASIS_VMM_BOOT_X86_LINUX_H

#include "vmm/arch/arch.h"
#include "vmm/boot/image.h"
#include "vmm/boot/x86/layout.h"

/* Writes command line and zero page. */
STASIS_MUST_CHECK int stasis_linux_params(const struct stasis_memory *memory,
                                          const struct stasis_boot_image *image,
                                          const struct stasis_boot_initrd *initrd,
                                          const char *cmdline, uint64_t rsdp,
                                          struct stasis_error *err);

/* Writes GDT and page tables and fills *ret_cpu: 64-bit mode. */
STASIS_MUST_CHECK int stasis_boot_cpu_setup(const struct stasis_memory *memory, uint64_t entry,
                                            struct stasis_arch_entry *ret_cpu,
                                            struct stasis_error *err);

#endif
