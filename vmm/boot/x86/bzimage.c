/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/bzimage.h"

#include <inttypes.h>
#include <string.h>

#include "vmm/boot/x86/layout.h"

#define HEADER_AT   0x1f1
#define HEADER_JUMP 0x201 /* operand of the short jump over the header: says where it ends */
#define SECTOR      UINT64_C(512)
#define PARAGRAPH   UINT64_C(16)
#define ENTRY_64    0x200

bool stasis_bzimage_detect(const struct stasis_boot_file *file, const uint8_t *head, size_t len)
{
    struct setup_header header;

    (void)file;
    if (len < STASIS_BZIMAGE_HEAD)
        return false;
    memcpy(&header, head + HEADER_AT, sizeof(header));
    return header.boot_flag == STASIS_BZIMAGE_BOOT_FLAG && header.header == STASIS_BZIMAGE_MAGIC;
}

/* Fields past the end that the header states belong to the setup code: they read as 0. */
static int read_header(const struct stasis_boot_file *file, struct setup_header *ret_header,
                       struct stasis_error *err)
{
    uint8_t head[STASIS_BZIMAGE_HEAD];
    int rc = stasis_boot_file_read(file, 0, head, sizeof(head), err);
    size_t end;

    if (rc)
        return rc;
    end = 0x202u + head[HEADER_JUMP];
    memset(ret_header, 0, sizeof(*ret_header));
    memcpy(ret_header, head + HEADER_AT,
           (end < sizeof(head) ? end : sizeof(head)) - (size_t)HEADER_AT);
    return 0;
}

static int check_header(const struct stasis_boot_file *file, const struct setup_header *header,
                        struct stasis_error *err)
{
    if (header->version < STASIS_BZIMAGE_PROTOCOL_MIN || !(header->loadflags & LOADED_HIGH) ||
        !(header->xloadflags & XLF_KERNEL_64))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s has no 64-bit entry (boot protocol %u.%02u): give an x86-64 "
                           "kernel of Linux 3.8 or newer",
                           file->path, header->version >> 8, header->version & 0xffu);
    if (header->kernel_alignment & (header->kernel_alignment - 1) || !header->kernel_alignment ||
        header->syssize * PARAGRAPH <= ENTRY_64)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s is damaged: its setup header makes no sense; fetch or build "
                           "it again",
                           file->path);
    return 0;
}

static int choose_address(const struct stasis_boot_file *file, const struct setup_header *header,
                          uint64_t load_addr, uint64_t *ret_addr, struct stasis_error *err)
{
    uint64_t addr = load_addr ? load_addr : header->pref_address;

    if (addr != header->pref_address && !header->relocatable_kernel)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s can only run at 0x%" PRIx64 ": leave kernel_load_addr out",
                           file->path, (uint64_t)header->pref_address);
    if (addr < STASIS_BOOT_HIGH_RAM ||
        (header->relocatable_kernel && addr % header->kernel_alignment))
        return stasis_fail(err, STASIS_ERR_ARG,
                           "kernel %s cannot be loaded at 0x%" PRIx64
                           ": give kernel_load_addr as a multiple of 0x%" PRIx32
                           " from 1 MiB upwards, or leave it out",
                           file->path, addr, header->kernel_alignment);
    *ret_addr = addr;
    return 0;
}

/* syssize counts paragraphs, rounded up, and not every build pads the file to the last one: up to
 * 15 bytes may be missing, and are 0. */
static int load_payload(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                        const struct setup_header *header, uint64_t addr, uint64_t *ret_end,
                        struct stasis_error *err)
{
    /* boot.rst: "if the value is 0, the real value is 4" */
    uint64_t offset = ((header->setup_sects ? header->setup_sects : 4) + UINT64_C(1)) * SECTOR;
    uint64_t size = header->syssize * PARAGRAPH;
    uint64_t need = header->init_size > size ? header->init_size : size;
    uint64_t rest = file->size > offset ? file->size - offset : 0;
    uint64_t there = rest < size ? rest : size;
    uint8_t *to = stasis_boot_room(memory, addr, need);

    if (size - there >= PARAGRAPH)
        return stasis_boot_file_truncated(file, offset, size - (PARAGRAPH - 1), err);
    if (!to)
        return stasis_boot_file_no_room(file, addr, need, err);
    memset(to + there, 0, size - there);
    *ret_end = addr + need;
    return stasis_boot_file_read(file, offset, to, there, err);
}

int stasis_bzimage_load(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                        uint64_t load_addr, struct stasis_boot_image *ret_image,
                        struct stasis_error *err)
{
    struct stasis_boot_image image = {0};
    int rc = read_header(file, &image.arch.header, err);

    if (!rc)
        rc = check_header(file, &image.arch.header, err);
    if (!rc)
        rc = choose_address(file, &image.arch.header, load_addr, &image.start, err);
    if (!rc)
        rc = load_payload(memory, file, &image.arch.header, image.start, &image.end, err);
    if (rc)
        return rc;
    image.entry = image.start + ENTRY_64;
    image.initrd_max = image.arch.header.initrd_addr_max;
    image.cmdline_max = image.arch.header.cmdline_size;
    *ret_image = image;
    return 0;
}
