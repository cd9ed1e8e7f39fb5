/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/boot.h"

#include "vmm/boot/x86/acpi.h"
#include "vmm/boot/loader.h"
#include "vmm/boot/x86/mptable.h"

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
                           "guest RAM ends below 1 MiB; give more by --memory size_mib=N");
    rc = stasis_mptable_build(board, STASIS_BOOT_MPTABLE, mptable, STASIS_BOOT_MPTABLE_SIZE, err);
    if (!rc)
        rc = stasis_acpi_build(board, STASIS_BOOT_ACPI, acpi, STASIS_BOOT_ACPI_SIZE, ret_rsdp, err);
    return rc;
}

int stasis_boot_load(const struct stasis_memory *memory, const struct stasis_board_state *board,
                     const struct stasis_boot_options *options, struct stasis_arch_entry *ret_entry,
                     struct stasis_error *err)
{
    const char *cmdline = options->cmdline ? options->cmdline : STASIS_BOOT_CMDLINE;
    struct stasis_boot_initrd initrd = {0};
    struct stasis_boot_image image;
    uint64_t rsdp = 0;
    int rc;

    rc = options->kernel_path
             ? stasis_boot_kernel(memory, options->kernel_path, options->load_addr, &image, err)
             : stasis_boot_demo(memory, board, &image, err);
    if (!rc && options->initrd_path)
        rc = stasis_boot_initrd(memory, options->initrd_path, &image, &initrd, err);
    if (!rc)
        rc = write_firmware(memory, board, &rsdp, err);
    if (!rc)
        rc = stasis_linux_params(memory, &image, &initrd, cmdline, rsdp, err);
    if (!rc)
        rc = stasis_boot_cpu_setup(memory, image.entry, ret_entry, err);
    return rc;
}
