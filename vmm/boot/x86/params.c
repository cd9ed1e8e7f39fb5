/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The zero page: struct boot_params of the kernel's own UAPI header.
 */
#include <stddef.h>
#include <string.h>

#include "vmm/boot/loader.h"

#define E820_RAM      1
#define E820_RESERVED 2
#define VID_NORMAL    0xffff

static void add_e820(struct boot_params *params, uint64_t start, uint64_t end, uint32_t type)
{
    if (start >= end)
        return;
    params->e820_table[params->e820_entries++] =
        (struct boot_e820_entry){.addr = start, .size = end - start, .type = type};
}

/* RAM, less the hole that every PC has between 640 KiB and 1 MiB. */
static void fill_e820(struct boot_params *params, const struct stasis_memory *memory)
{
    const struct stasis_memory_region *low = &memory->regions[0];

    add_e820(params, 0, STASIS_BOOT_EBDA, E820_RAM);
    add_e820(params, STASIS_BOOT_EBDA, STASIS_BOOT_VIDEO, E820_RESERVED);
    add_e820(params, STASIS_BOOT_ACPI, STASIS_BOOT_HIGH_RAM, E820_RESERVED);
    add_e820(params, STASIS_BOOT_HIGH_RAM, low->gpa + low->size, E820_RAM);
    for (uint32_t i = 1; i < memory->region_count; i++)
        add_e820(params, memory->regions[i].gpa, memory->regions[i].gpa + memory->regions[i].size,
                 E820_RAM);
}

static int write_cmdline(const struct stasis_memory *memory, const struct stasis_boot_image *image,
                         const char *cmdline, struct stasis_error *err)
{
    size_t len = strlen(cmdline);
    size_t max = image->cmdline_max < STASIS_BOOT_CMDLINE_ROOM ? image->cmdline_max
                                                               : STASIS_BOOT_CMDLINE_ROOM - 1;

    if (len > max)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "the kernel command line has %zu bytes where this kernel takes %zu: "
                           "shorten cmdline=",
                           len, max);
    return stasis_memory_write(memory, STASIS_BOOT_CMDLINE_GPA, cmdline, len + 1,
                               "kernel command line", err);
}

int stasis_linux_params(const struct stasis_memory *memory, const struct stasis_boot_image *image,
                        const struct stasis_boot_initrd *initrd, const char *cmdline, uint64_t rsdp,
                        struct stasis_error *err)
{
    struct boot_params params;
    int rc = write_cmdline(memory, image, cmdline, err);

    if (rc)
        return rc;
    memset(&params, 0, sizeof(params));
    params.hdr = image->header;
    params.hdr.vid_mode = VID_NORMAL;
    params.hdr.cmd_line_ptr = (uint32_t)STASIS_BOOT_CMDLINE_GPA;
    params.hdr.ramdisk_image = (uint32_t)initrd->gpa;
    params.hdr.ramdisk_size = (uint32_t)initrd->size;
    params.acpi_rsdp_addr = rsdp;
    fill_e820(&params, memory);
    return stasis_memory_write(memory, STASIS_BOOT_ZERO_PAGE, &params, sizeof(params),
                               "boot parameters", err);
}
