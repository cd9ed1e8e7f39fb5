/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/boot_arch.h"

#include "vmm/boot/elf.h"
#include "vmm/boot/x86/acpi.h"
#include "vmm/boot/x86/bzimage.h"
#include "vmm/boot/x86/linux.h"
#include "vmm/boot/x86/mptable.h"
#include "vmm/boot/x86/protocols.h"
#include "vmm/machine/board.h"

_Static_assert(STASIS_BOOT_HEAD >= STASIS_BZIMAGE_HEAD, "a bzImage cannot be recognized");

_Static_assert(STASIS_BOOT_ACPI + STASIS_BOOT_ACPI_SIZE == STASIS_BOARD_VMGENID &&
                   STASIS_BOARD_VMGENID + STASIS_MEMORY_PAGE <= STASIS_BOOT_MPTABLE,
               "the generation id has a page of its own, which is reserved");

static bool is_multiboot(const struct stasis_boot_file *file, const uint8_t *head, size_t len)
{
    (void)head; /* such a header may lie further back */
    (void)len;
    return stasis_multiboot_detect(file);
}

static int refuse_multiboot(const struct stasis_memory *memory, const struct stasis_boot_file *file,
                            uint64_t load_addr, struct stasis_boot_image *ret_image,
                            struct stasis_error *err)
{
    const char *name = stasis_multiboot_detect(file);

    (void)memory;
    (void)load_addr;
    (void)ret_image;
    return stasis_boot_refuse_protocol(file, name ? name : "Multiboot", err);
}

/* Multiboot before ELF: a Multiboot kernel mostly is an ELF file, too. */
static const struct stasis_boot_format formats[] = {
    {stasis_bzimage_detect, stasis_bzimage_load},
    {is_multiboot, refuse_multiboot},
    {stasis_elf_detect, stasis_elf_load},
    {NULL, NULL},
};

/* From 1 MiB, above our tables, to the MMIO gap, where the identity map ends. */
const struct stasis_boot_arch stasis_boot_arch = {
    .formats = formats,
    .kernels = "an x86-64 vmlinux (ELF) or bzImage",
    .cmdline = "console=ttyS0 reboot=k panic=1",
    .image_start = STASIS_BOOT_HIGH_RAM,
    .image_end = STASIS_MMIO_GAP_START,
    .initrd_max = STASIS_BOOT_INITRD_MAX,
    .cmdline_max = STASIS_BOOT_CMDLINE_MAX,
};

/* Both tables say the same: kernels without ACPI read the first, kernels without MPTable support
 * (Debian's cloud kernel) the second. */
static int write_firmware(const struct stasis_memory *memory,
                          const struct stasis_board_state *board, uint64_t *ret_rsdp,
                          struct stasis_error *err)
{
    uint8_t *mptable =
        stasis_memory_writable(memory, STASIS_BOOT_MPTABLE, STASIS_BOOT_MPTABLE_SIZE);
    uint8_t *acpi = stasis_memory_writable(memory, STASIS_BOOT_ACPI, STASIS_BOOT_ACPI_SIZE);
    int rc;

    if (!mptable || !acpi)
        return stasis_fail(err, STASIS_ERR_ARG,
                           "guest RAM ends below 1 MiB; give more by memory.size_mib");
    rc = stasis_mptable_build(board, STASIS_BOOT_MPTABLE, mptable, STASIS_BOOT_MPTABLE_SIZE, err);
    if (!rc)
        rc = stasis_acpi_build(board, STASIS_BOOT_ACPI, acpi, STASIS_BOOT_ACPI_SIZE, ret_rsdp, err);
    return rc;
}

int stasis_boot_arch_hand_over(const struct stasis_memory *memory,
                               const struct stasis_board_state *board,
                               const struct stasis_boot_image *image,
                               const struct stasis_boot_initrd *initrd, const char *cmdline,
                               struct stasis_arch_entry *ret_entry, struct stasis_error *err)
{
    uint64_t rsdp = 0;
    int rc = write_firmware(memory, board, &rsdp, err);

    if (!rc)
        rc = stasis_linux_params(memory, image, initrd, cmdline, rsdp, err);
    if (!rc)
        rc = stasis_boot_cpu_setup(memory, image->entry, ret_entry, err);
    return rc;
}
