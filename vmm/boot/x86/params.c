/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The zero page: struct boot_params of the kernel's own UAPI header.
 */
#include <stddef.h>
#include <string.h>

#include "vmm/boot/boot_arch.h"
#include "vmm/boot/x86/bzimage.h"
#include "vmm/boot/x86/linux.h"

#define E820_RAM      1
#define E820_RESERVED 2
#define VID_NORMAL    0xffff

/* boot.rst, type_of_loader: any but 0, with which Linux takes no initrd. */
#define LOADER_UNKNOWN 0xff
/* CONFIG_PHYSICAL_ALIGN of 64-bit kernels is never less. */
#define KERNEL_ALIGNMENT 0x200000

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
    return stasis_boot_write(memory, STASIS_BOOT_CMDLINE_GPA, cmdline, len + 1,
                             "kernel command line", err);
}

/* What a bzImage states of itself. An ELF kernel has no setup header, so it gets the one that its
 * bzImage would have. */
static struct setup_header header_of(const struct stasis_boot_image *image)
{
    if (image->arch.header.header == STASIS_BZIMAGE_MAGIC)
        return image->arch.header;
    return (struct setup_header){.boot_flag = STASIS_BZIMAGE_BOOT_FLAG,
                                 .header = STASIS_BZIMAGE_MAGIC,
                                 .version = STASIS_BZIMAGE_PROTOCOL_MIN,
                                 .loadflags = LOADED_HIGH,
                                 .xloadflags = XLF_KERNEL_64,
                                 .initrd_addr_max = (uint32_t)image->initrd_max,
                                 .cmdline_size = image->cmdline_max,
                                 .kernel_alignment = KERNEL_ALIGNMENT,
                                 .pref_address = image->start,
                                 .init_size = (uint32_t)(image->end - image->start)};
}

/* What the loader owes every kernel, whatever file it came in. */
static void fill_header(struct boot_params *params, const struct stasis_boot_image *image,
                        const struct stasis_boot_initrd *initrd)
{
    params->hdr = header_of(image);
    params->hdr.vid_mode = VID_NORMAL;
    params->hdr.type_of_loader = LOADER_UNKNOWN;
    params->hdr.code32_start = (uint32_t)image->start;
    params->hdr.cmd_line_ptr = (uint32_t)STASIS_BOOT_CMDLINE_GPA;
    params->ext_cmd_line_ptr = (uint32_t)(STASIS_BOOT_CMDLINE_GPA >> 32);
    params->hdr.ramdisk_image = (uint32_t)initrd->gpa;
    params->ext_ramdisk_image = (uint32_t)(initrd->gpa >> 32);
    params->hdr.ramdisk_size = (uint32_t)initrd->size;
    params->ext_ramdisk_size = (uint32_t)(initrd->size >> 32);
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
    fill_header(&params, image, initrd);
    params.acpi_rsdp_addr = rsdp;
    fill_e820(&params, memory);
    return stasis_boot_write(memory, STASIS_BOOT_ZERO_PAGE, &params, sizeof(params),
                             "boot parameters", err);
}
