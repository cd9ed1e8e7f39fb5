/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Loads an ELF kernel (vmlinux) by its program headers. Section headers are not looked at.
 */
#ifndef STASIS_VMM_ELF_H
#define STASIS_VMM_ELF_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/boot/image.h"

/* Whether the len first bytes of a file are an ELF file's. */
bool stasis_elf_detect(const struct stasis_boot_file *file, const uint8_t *head, size_t len);

/* Loads every PT_LOAD segment at its physical address, which `load_addr` may name (0: whatever it
 * is) but not change: an ELF kernel is linked to one place. */
STASIS_MUST_CHECK int stasis_elf_load(const struct stasis_memory *memory,
                                      const struct stasis_boot_file *file, uint64_t load_addr,
                                      struct stasis_boot_image *ret_image,
                                      struct stasis_error *err);

#endif
