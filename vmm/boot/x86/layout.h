/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Where the loader puts things in guest memory. References: Linux Documentation/arch/x86/boot.rst
 * ("boot.rst") and zero-page.rst.
 */
#ifndef STASIS_VMM_BOOT_X86_LAYOUT_H
#define STASIS_VMM_BOOT_X86_LAYOUT_H

#include <stdint.h>

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
#define STASIS_BOOT_ACPI_SIZE    UINT64_C(0xf000) /* the page behind is the generation id's */
#define STASIS_BOOT_MPTABLE      UINT64_C(0xf0000)
#define STASIS_BOOT_MPTABLE_SIZE UINT64_C(0x10000)
#define STASIS_BOOT_HIGH_RAM     UINT64_C(0x100000)

/* boot.rst, 2.06: what a kernel accepts that has no header to say so (COMMAND_LINE_SIZE - 1), and
 * the initrd limit that every 64-bit kernel states. */
#define STASIS_BOOT_CMDLINE_MAX 2047
#define STASIS_BOOT_INITRD_MAX  UINT64_C(0x7fffffff)

#endif
