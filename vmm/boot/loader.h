/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Where the boot loader puts things in guest memory, and the steps it is made of. References:
 * Linux Documentation/arch/x86/boot.rst ("boot.rst") and zero-page.rst.
 */
#ifndef STASIS_VMM_BOOT_INTERNAL_H
#define STASIS_VMM_BOOT_INTERNAL_H

#include <asm/bootparam.h>

#include "vmm/boot/boot.h"
#include "vmm/boot/file.h"

/* Below 640 KiB; all of it is free for the kernel once it has copied what it wants. */
#define STASIS_BOOT_GDT          UINT64_C(0x500)
#define STASIS_BOOT_ZERO_PAGE    UINT64_C(0x7000)
#define STASIS_BOOT_STACK_TOP    UINT64_C(0x8ff0)
#define STASIS_BOOT_PAGE_TABLES  UINT64_C(0x9000) /* six pages */
#define STASIS_BOOT_CMDLINE_GPA  UINT64_C(0x20000)
#define STASIS_BOOT_CMDLINE_ROOM UINT64_C(0x10000)

/* Not RAM in the e820 map, as on a PC: EBDA, video, and the BIOS area, where kernels look for the
 * RSDP (16-byte steps from 0xe0000) and the MP floating pointer (from 0xf0000). */
#define STASIS_BOOT_EBDA         UINT64_C(0x9fc00)
#define STASIS_BOOT_VIDEO        UINT64_C(0xa0000)
#define STASIS_BOOT_ACPI         UINT64_C(0xe0000)
#define STASIS_BOOT_ACPI_SIZE    UINT64_C(0x10000)
#define STASIS_BOOT_MPTABLE      UINT64_C(0xf0000)
#define STASIS_BOOT_MPTABLE_SIZE UINT64_C(0x10000)
#define STASIS_BOOT_HIGH_RAM     UINT64_C(0x100000)

/* boot.rst, 2.06: what a kernel accepts that has no header to say so (COMMAND_LINE_SIZE - 1), and
 * the initrd limit that every 64-bit kernel states. */
#define STASIS_BOOT_CMDLINE_MAX 2047
#define STASIS_BOOT_INITRD_MAX  UINT64_C(0x7fffffff)

/* What was put into RAM to run. */
struct stasis_boot_image {
    uint64_t start; /* RAM it needs: [start, end) */
    uint64_t end;
    uint64_t entry;
    uint64_t initrd_max;        /* highest address the initrd may touch */
    uint32_t cmdline_max;       /* bytes, NUL not counted */
    struct setup_header header; /* all 0 unless a bzImage gave it */
};

struct stasis_boot_initrd {
    uint64_t gpa;
    uint64_t size; /* 0: none */
};

/* Pointer to [gpa, gpa + len) when it lies in RAM at 1 MiB or above and below the MMIO gap, so that
 * no image overwrites our tables or leaves the identity map; else NULL. */
void *stasis_boot_room(const struct stasis_memory *memory, uint64_t gpa, uint64_t len);

/* Loads the kernel file, whatever its kind. */
STASIS_MUST_CHECK int stasis_boot_kernel(const struct stasis_memory *memory, const char *path,
                                         uint64_t load_addr, struct stasis_boot_image *ret_image,
                                         struct stasis_error *err);

/* Loads the demo guest and draws its nonce. */
STASIS_MUST_CHECK int stasis_boot_demo(const struct stasis_memory *memory,
                                       const struct stasis_board_state *board,
                                       struct stasis_boot_image *ret_image,
                                       struct stasis_error *err);

/* Loads the file as high as the kernel allows, on a page boundary and beside the image. */
STASIS_MUST_CHECK int stasis_boot_initrd(const struct stasis_memory *memory, const char *path,
                                         const struct stasis_boot_image *image,
                                         struct stasis_boot_initrd *ret_initrd,
                                         struct stasis_error *err);

/* Writes command line and zero page. */
STASIS_MUST_CHECK int stasis_linux_params(const struct stasis_memory *memory,
                                          const struct stasis_boot_image *image,
                                          const struct stasis_boot_initrd *initrd,
                                          const char *cmdline, uint64_t rsdp,
                                          struct stasis_error *err);

/* Writes GDT and page tables and fills *ret_cpu: 64-bit mode, as boot.rst's "64-bit boot protocol"
 * asks for it. */
STASIS_MUST_CHECK int stasis_boot_cpu_setup(const struct stasis_memory *memory, uint64_t entry,
                                            struct stasis_arch_entry *ret_cpu,
                                            struct stasis_error *err);

#endif
