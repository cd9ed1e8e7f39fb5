/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The steps of the loader that are the same for every architecture: kernel and initrd into RAM.
 */
#ifndef STASIS_VMM_BOOT_IMAGE_H
#define STASIS_VMM_BOOT_IMAGE_H

#include "vmm/boot/file.h"
#include "vmm/boot/x86/image.h"
#include "stasis/kvm_memory.h"

/* What was put into RAM to run. */
struct stasis_boot_image {
    uint64_t start; /* RAM it needs: [start, end) */
    uint64_t end;
    uint64_t entry;
    uint64_t initrd_max;  /* highest address the initrd may touch */
    uint32_t cmdline_max; /* bytes, NUL not counted */
    struct stasis_boot_arch_image arch;
};

struct stasis_boot_initrd {
    uint64_t gpa;
    uint64_t size; /* 0: none */
};

/* Pointer to [gpa, gpa + len) when it lies in RAM where the architecture lets images be, else NULL:
 * no image overwrites the loader's own tables. */
void *stasis_boot_room(const struct stasis_memory *memory, uint64_t gpa, uint64_t len);

/* Whether the file is of a kind that can be loaded. */
STASIS_MUST_CHECK int stasis_boot_kernel_check(const char *path, struct stasis_error *err);

/* Loads the kernel file, whatever its kind, by its path or, unless that is 0, by a descriptor. */
STASIS_MUST_CHECK int stasis_boot_kernel(const struct stasis_memory *memory, const char *path,
                                         int fd, uint64_t load_addr,
                                         struct stasis_boot_image *ret_image,
                                         struct stasis_error *err);

/* Loads the file as high as the kernel allows, on a page boundary and beside the image. */
STASIS_MUST_CHECK int stasis_boot_initrd(const struct stasis_memory *memory, const char *path,
                                         int fd, const struct stasis_boot_image *image,
                                         struct stasis_boot_initrd *ret_initrd,
                                         struct stasis_error *err);

#endif
