/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/loader.h"

#include "vmm/boot/elf.h"
#include "vmm/boot/x86/bzimage.h"
#include "vmm/boot/x86/protocols.h"

void *stasis_boot_room(const struct stasis_memory *memory, uint64_t gpa, uint64_t len)
{
    if (gpa < STASIS_BOOT_HIGH_RAM || gpa >= STASIS_MMIO_GAP_START)
        return NULL;
    return stasis_memory_writable(memory, gpa, len);
}

static int load(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                uint64_t load_addr, struct stasis_boot_image *ret_image, struct stasis_error *err)
{
    uint8_t head[STASIS_BZIMAGE_HEAD];
    size_t len = file->size < sizeof(head) ? (size_t)file->size : sizeof(head);
    int rc = stasis_boot_file_read(file, 0, head, len, err);
    const char *protocol;

    if (rc)
        return rc;
    if (stasis_bzimage_detect(head, len))
        return stasis_bzimage_load(memory, file, load_addr, ret_image, err);
    protocol = stasis_multiboot_detect(file);
    if (protocol)
        return stasis_boot_refuse_protocol(file, protocol, err);
    if (stasis_elf_detect(head, len))
        return stasis_elf_load(memory, file, load_addr, ret_image, err);
    return stasis_fail(err, STASIS_ERR_ARG,
                       "kernel %s is not a kernel: give an x86-64 vmlinux (ELF) or bzImage",
                       file->path);
}

int stasis_boot_kernel(const struct stasis_memory *memory, const char *path, uint64_t load_addr,
                       struct stasis_boot_image *ret_image, struct stasis_error *err)
{
    struct stasis_boot_file file;
    int rc = stasis_boot_file_init(&file, "kernel", path, err);

    if (rc)
        return rc;
    rc = load(memory, &file, load_addr, ret_image, err);
    stasis_boot_file_fini(&file);
    return rc;
}
