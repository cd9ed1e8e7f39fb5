/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which file is a kernel at all, and where one may go. The two kinds have tests of their own.
 */
#include "vmm/arch/arch.h"
#include "vmm/boot/image.h"

#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/boot/boot_rig.h"

#define MIB (UINT64_C(1) << 20)

static void room_is_between_our_tables_and_the_gap(void **state)
{
    struct boot_rig rig;

    (void)state;
    boot_rig_init(&rig, 8192 * MIB);
    assert_non_null(stasis_boot_room(&rig.memory, MIB, 1));
    assert_null(stasis_boot_room(&rig.memory, MIB - 1, 1));
    assert_null(stasis_boot_room(&rig.memory, 0, 2 * MIB));
    assert_non_null(stasis_boot_room(&rig.memory, STASIS_MMIO_GAP_START - 1, 1));
    assert_null(stasis_boot_room(&rig.memory, STASIS_MMIO_GAP_START - 1, 2));
    assert_null(stasis_boot_room(&rig.memory, STASIS_MMIO_GAP_START, 1));
    /* RAM, but beyond the identity map. */
    assert_non_null(stasis_memory_at(&rig.memory, STASIS_MMIO_GAP_END, 1));
    assert_null(stasis_boot_room(&rig.memory, STASIS_MMIO_GAP_END, 1));
    assert_null(stasis_boot_room(&rig.memory, MIB, UINT64_MAX));
    boot_rig_fini(&rig);
}

static void other_files_are_refused(void **state)
{
    static const char *const contents[] = {"x", "#!/bin/sh\n", "\177EL", "\x1f\x8b\x08"};
    struct stasis_boot_image image;
    struct boot_rig_file file;
    struct boot_rig rig;

    (void)state;
    boot_rig_init(&rig, BOOT_RIG_RAM);
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        int rc;

        boot_rig_file_init(&file, contents[i], strlen(contents[i]));
        rc = stasis_boot_kernel(&rig.memory, file.path, 0, 0, &image, &rig.err);
        boot_rig_assert_error(&rig, rc, STASIS_ERR_ARG, file.path,
                              "is not a kernel: give an x86-64 vmlinux (ELF) or bzImage");
        boot_rig_file_fini(&file);
    }
    boot_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(room_is_between_our_tables_and_the_gap),
        cmocka_unit_test(other_files_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
