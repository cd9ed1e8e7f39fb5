/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Loads a Linux bzImage for its 64-bit entry point (boot.rst).
 */
#ifndef STASIS_VMM_BZIMAGE_H
#define STASIS_VMM_BZIMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/boot/image.h"

/* What marks a setup header, and the oldest protocol with a 64-bit entry: xloadflags, which
 * announces it, came with 2.12 (Linux 3.8). */
#define STASIS_BZIMAGE_BOOT_FLAG    0xaa55
#define STASIS_BZIMAGE_MAGIC        0x53726448 /* "HdrS" */
#define STASIS_BZIMAGE_PROTOCOL_MIN 0x020c

/* Bytes from the start of a file that stasis_bzimage_detect() has to see. */
#define STASIS_BZIMAGE_HEAD (0x1f1 + sizeof(struct setup_header))

/* Whether the len first bytes of a file are a bzImage's. */
bool stasis_bzimage_detect(const struct stasis_boot_file *file, const uint8_t *head, size_t len);

/* Loads the protected-mode part at `load_addr`, or where the kernel prefers to be (0).
 * STASIS_ERR_ARG also for a load_addr that this kernel cannot live with. */
STASIS_MUST_CHECK int stasis_bzimage_load(const struct stasis_memory *memory,
                                          const struct stasis_boot_file *file, uint64_t load_addr,
                                          struct stasis_boot_image *ret_image,
                                          struct stasis_error *err);

#endif
