/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/linux.h"

#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/boot/boot_rig.h"

#define MIB  (UINT64_C(1) << 20)
#define GIB4 (UINT64_C(1) << 32)
#define GAP  STASIS_MMIO_GAP_START

enum { RAM = 1, RESERVED = 2 };

static struct boot_rig rig;
static struct boot_params params;

static int write_params(const struct stasis_boot_image *image,
                        const struct stasis_boot_initrd *initrd, const char *cmdline)
{
    int rc = stasis_linux_params(&rig.memory, image, initrd, cmdline, 0xe0000, &rig.err);

    memcpy(&params, stasis_memory_at(&rig.memory, STASIS_BOOT_ZERO_PAGE, sizeof(params)),
           sizeof(params));
    return rc;
}

static void assert_e820(unsigned i, uint64_t start, uint64_t end, uint32_t type)
{
    assert_true(i < params.e820_entries);
    assert_int_equal(params.e820_table[i].addr, start);
    assert_int_equal(params.e820_table[i].size, end - start);
    assert_int_equal(params.e820_table[i].type, type);
}

/* RAM sizes around the MMIO gap; `high` is what has to appear above 4 GiB. */
static const struct {
    uint64_t size;
    uint64_t low_end;
    uint64_t high;
} sizes[] = {
    {2 * MIB, 2 * MIB, 0},   {128 * MIB, 128 * MIB, 0},       {GAP - 4096, GAP - 4096, 0},
    {GAP, GAP, 0},           {GAP + 4096, GAP, 4096},         {GAP + MIB, GAP, MIB},
    {GIB4, GAP, GIB4 - GAP}, {2 * GIB4, GAP, 2 * GIB4 - GAP},
};

static void e820_names_all_ram(void **state)
{
    const struct stasis_boot_image image = {.cmdline_max = 2047};
    const struct stasis_boot_initrd none = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        boot_rig_init(&rig, sizes[i].size);
        assert_int_equal(write_params(&image, &none, ""), 0);
        assert_int_equal(params.e820_entries, sizes[i].high ? 5 : 4);
        assert_e820(0, 0, 0x9fc00, RAM);
        assert_e820(1, 0x9fc00, 0xa0000, RESERVED);
        assert_e820(2, 0xe0000, 0x100000, RESERVED);
        assert_e820(3, 0x100000, sizes[i].low_end, RAM);
        if (sizes[i].high)
            assert_e820(4, GIB4, GIB4 + sizes[i].high, RAM);
        boot_rig_fini(&rig);
    }
}

static void parameters_are_found(void **state)
{
    const struct stasis_boot_image image = {.cmdline_max = 2047,
                                            .start = 0x1200000,
                                            .arch.header = {.header = 0x53726448,
                                                            .version = 0x20f,
                                                            .loadflags = LOADED_HIGH | QUIET_FLAG,
                                                            .pref_address = 0x1000000,
                                                            .kernel_info_offset = 0x1234}};
    const struct stasis_boot_initrd initrd = {.gpa = 0x7000000, .size = 0x1234};

    (void)state;
    boot_rig_init(&rig, 128 * MIB);
    memset(stasis_memory_writable(&rig.memory, 0, 0x30000), 0xaa, 0x30000);
    assert_int_equal(write_params(&image, &initrd, "console=ttyS0"), 0);
    assert_int_equal(params.hdr.version, 0x20f);
    assert_int_equal(params.hdr.loadflags, LOADED_HIGH | QUIET_FLAG);
    assert_int_equal(params.hdr.kernel_info_offset, 0x1234);
    assert_int_equal(params.hdr.pref_address, 0x1000000);
    assert_int_equal(params.hdr.code32_start, 0x1200000);
    assert_int_equal(params.hdr.type_of_loader, 0xff);
    assert_int_equal(params.hdr.ramdisk_image, 0x7000000);
    assert_int_equal(params.hdr.ramdisk_size, 0x1234);
    assert_int_equal(params.ext_ramdisk_image, 0);
    assert_int_equal(params.ext_ramdisk_size, 0);
    assert_int_equal(params.hdr.vid_mode, 0xffff);
    assert_int_equal(params.acpi_rsdp_addr, 0xe0000);
    assert_string_equal(stasis_memory_at(&rig.memory, params.hdr.cmd_line_ptr, 64),
                        "console=ttyS0");
    /* boot.rst: what is not filled in must be 0. */
    assert_int_equal(params.screen_info.orig_video_isVGA, 0);
    assert_int_equal(params.ext_cmd_line_ptr, 0);
    assert_int_equal(params.sentinel, 0);
    boot_rig_fini(&rig);
}

/* What a bzImage of it would state, and what every loader fills in. */
static void an_elf_kernel_gets_a_header(void **state)
{
    const struct stasis_boot_image image = {.start = 0x1000000,
                                            .end = 0x3e00000,
                                            .entry = 0x1000000,
                                            .initrd_max = 0x7fffffff,
                                            .cmdline_max = 2047};
    const struct stasis_boot_initrd initrd = {.gpa = 0x7000000, .size = 0x1234};

    (void)state;
    boot_rig_init(&rig, 128 * MIB);
    assert_int_equal(write_params(&image, &initrd, "quiet"), 0);
    assert_int_equal(params.hdr.boot_flag, 0xaa55);
    assert_int_equal(params.hdr.header, 0x53726448);
    assert_int_equal(params.hdr.version, 0x20c);
    assert_int_equal(params.hdr.type_of_loader, 0xff);
    assert_int_equal(params.hdr.loadflags, LOADED_HIGH);
    assert_int_equal(params.hdr.xloadflags, XLF_KERNEL_64);
    assert_int_equal(params.hdr.vid_mode, 0xffff);
    assert_int_equal(params.hdr.code32_start, 0x1000000);
    assert_int_equal(params.hdr.pref_address, 0x1000000);
    assert_int_equal(params.hdr.init_size, 0x2e00000);
    assert_int_equal(params.hdr.kernel_alignment, 0x200000);
    assert_int_equal(params.hdr.initrd_addr_max, 0x7fffffff);
    assert_int_equal(params.hdr.cmdline_size, 2047);
    assert_int_equal(params.hdr.ramdisk_image, 0x7000000);
    assert_int_equal(params.hdr.ramdisk_size, 0x1234);
    assert_string_equal(stasis_memory_at(&rig.memory, params.hdr.cmd_line_ptr, 64), "quiet");
    boot_rig_fini(&rig);
}

/* What the kernel states, and what the loader then takes: at most its own room. */
static const struct {
    uint32_t stated;
    size_t taken;
} lengths[] = {{0, 0},           {10, 10},          {2047, 2047},
               {0xffff, 0xffff}, {0x10000, 0xffff}, {UINT32_MAX, 0xffff}};

static void long_command_lines_are_refused(void **state)
{
    const struct stasis_boot_initrd none = {0};
    static char cmdline[0x10002];

    (void)state;
    boot_rig_init(&rig, 128 * MIB);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct stasis_boot_image image = {.cmdline_max = lengths[i].stated};

        memset(cmdline, 'x', sizeof(cmdline));
        cmdline[lengths[i].taken] = '\0';
        assert_int_equal(write_params(&image, &none, cmdline), 0);
        assert_string_equal(stasis_memory_at(&rig.memory, STASIS_BOOT_CMDLINE_GPA, 0x10000),
                            cmdline);
        cmdline[lengths[i].taken] = 'x';
        cmdline[lengths[i].taken + 1] = '\0';
        boot_rig_assert_error(&rig, write_params(&image, &none, cmdline), STASIS_ERR_ARG,
                              "command line", "shorten cmdline=");
    }
    boot_rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(e820_names_all_ram),
        cmocka_unit_test(parameters_are_found),
        cmocka_unit_test(an_elf_kernel_gets_a_header),
        cmocka_unit_test(long_command_lines_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
