/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Boot protocols that start a kernel in 32-bit mode. None is supported; they are recognized so that
 * such a kernel is refused by name instead of dying at its first instructions.
 */
#ifndef STASIS_VMM_PROTOCOLS_H
#define STASIS_VMM_PROTOCOLS_H

#include <elf.h>
#include <stdbool.h>

#include "vmm/boot/file.h"

/* "Multiboot" or "Multiboot2" when the file has such a header where its specification wants it,
 * NULL when not. */
const char *stasis_multiboot_detect(const struct stasis_boot_file *file);

/* Whether a PT_NOTE segment of the file states a PVH entry (XEN_ELFNOTE_PHYS32_ENTRY). A segment
 * that is damaged states none. */
bool stasis_pvh_detect(const struct stasis_boot_file *file, const Elf64_Phdr *notes,
                       uint64_t *ret_entry);

/* STASIS_ERR_ARG that says by which protocol the kernel starts. */
int stasis_boot_refuse_protocol(const struct stasis_boot_file *file, const char *protocol,
                                struct stasis_error *err);

#endif
