/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The whole of stasis_boot_load(); the parts have tests of their own.
 */
#include "vmm/boot/loader.h"

#include "support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/boot/boot_rig.h"
#include "vmm/boot/x86/demo_guest.h"
#include "vmm/boot/x86/layout.h"

static struct boot_rig rig;
static struct boot_rig_file kernel, initrd;
static struct stasis_boot_options options;
static struct stasis_arch_entry cpu;

static int setup(void **state)
{
    uint8_t bytes[BOOT_RIG_BZIMAGE_SIZE];

    (void)state;
    boot_rig_bzimage(bytes);
    boot_rig_init(&rig, BOOT_RIG_RAM);
    boot_rig_file_init(&kernel, bytes, sizeof(bytes));
    boot_rig_file_init(&initrd, "ramdisk", 7);
    memset(&options, 0, sizeof(options));
    memset(&cpu, 0xee, sizeof(cpu));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    boot_rig_file_fini(&kernel);
    boot_rig_file_fini(&initrd);
    boot_rig_fini(&rig);
    return 0;
}

static int load(void)
{
    return stasis_boot_load(&rig.memory, &rig.board, &options, &cpu, &rig.err);
}

static const void *at(uint64_t gpa)
{
    return stasis_memory_at(&rig.memory, gpa, 4096);
}

static struct boot_params params(void)
{
    struct boot_params copy;

    memcpy(&copy, at(STASIS_BOOT_ZERO_PAGE), sizeof(copy));
    return copy;
}

static void a_kernel_finds_everything(void **state)
{
    (void)state;
    options = (struct stasis_boot_options){
        .kernel_path = kernel.path, .initrd_path = initrd.path, .cmdline = "quiet"};
    assert_int_equal(load(), 0);
    assert_int_equal(cpu.regs.rip, BOOT_RIG_BZIMAGE_ADDR + 0x200);
    assert_int_equal(cpu.regs.rsi, STASIS_BOOT_ZERO_PAGE);
    assert_string_equal(at(params().hdr.cmd_line_ptr), "quiet");
    assert_string_equal(at(params().hdr.ramdisk_image), "ramdisk");
    assert_int_equal(params().hdr.ramdisk_size, 7);
    assert_memory_equal(at(params().acpi_rsdp_addr), "RSD PTR ", 8);
    assert_memory_equal(at(STASIS_BOOT_MPTABLE), "_MP_", 4);
    assert_int_equal(params().e820_entries, 4);
}

static void an_elf_kernel_finds_everything_too(void **state)
{
    uint8_t bytes[BOOT_RIG_ELF_SIZE];

    (void)state;
    boot_rig_elf(bytes);
    boot_rig_file_set(&kernel, bytes, sizeof(bytes));
    options = (struct stasis_boot_options){
        .kernel_path = kernel.path, .initrd_path = initrd.path, .cmdline = "quiet"};
    assert_int_equal(load(), 0);
    assert_int_equal(cpu.regs.rip, BOOT_RIG_ELF_CODE + 4);
    assert_int_equal(cpu.regs.rsi, STASIS_BOOT_ZERO_PAGE);
    assert_int_equal(params().hdr.type_of_loader, 0xff); /* or Linux takes no initrd */
    assert_string_equal(at(params().hdr.cmd_line_ptr), "quiet");
    assert_string_equal(at(params().hdr.ramdisk_image), "ramdisk");
    assert_int_equal(params().hdr.ramdisk_size, 7);
}

static void load_addr_is_passed_on(void **state)
{
    (void)state;
    options = (struct stasis_boot_options){.kernel_path = kernel.path, .load_addr = 0x130000};
    assert_int_equal(load(), 0);
    assert_int_equal(cpu.regs.rip, 0x130200);
    assert_string_equal(at(params().hdr.cmd_line_ptr), stasis_boot_arch.cmdline);
    assert_int_equal(params().hdr.ramdisk_size, 0);
}

static void assert_root(unsigned disk, const char *given, const char *expected)
{
    options = (struct stasis_boot_options){
        .kernel_path = kernel.path, .cmdline = given, .root_disk = disk};
    assert_int_equal(load(), 0);
    assert_string_equal(at(params().hdr.cmd_line_ptr), expected);
}

static void assert_cmdline(const char *given, const char *expected)
{
    assert_root(1, given, expected);
}

static void the_disk_is_the_root_unless_another_is_named(void **state)
{
    (void)state;
    assert_cmdline("quiet", "quiet root=/dev/vda");
    assert_cmdline("", "root=/dev/vda");
    assert_cmdline("root=/dev/ram0", "root=/dev/ram0");
    assert_cmdline("quiet root=UUID=1", "quiet root=UUID=1");
    assert_cmdline("myroot=1 x", "myroot=1 x root=/dev/vda");
    assert_cmdline(NULL, "console=ttyS0 reboot=k panic=1 root=/dev/vda");
    assert_root(8, "quiet", "quiet root=/dev/vdh");
    assert_root(0, "quiet", "quiet");
}

static void the_demo_leaves_its_initrd_alone(void **state)
{
    (void)state;
    options.initrd_path = initrd.path;
    assert_int_equal(load(), 0);
    assert_int_equal(cpu.regs.rip, STASIS_DEMO_BASE + STASIS_DEMO_ENTRY);
    assert_string_equal(at(BOOT_RIG_RAM - 4096), "ramdisk");
}

static void refuse(enum stasis_err code, const char *object, const char *remedy)
{
    struct stasis_arch_entry untouched = cpu;

    boot_rig_assert_error(&rig, load(), code, object, remedy);
    assert_memory_equal(&cpu, &untouched, sizeof(cpu));
}

static void failures_name_their_cause(void **state)
{
    static char cmdline[3000];

    (void)state;
    options.kernel_path = "/nonexistent";
    refuse(STASIS_ERR_ARG, "/nonexistent", "kernel.path");
    options.kernel_path = "/tmp";
    refuse(STASIS_ERR_ARG, "/tmp", "directory");
    options.kernel_path = initrd.path;
    refuse(STASIS_ERR_ARG, initrd.path, "give an x86-64 vmlinux (ELF) or bzImage");
    options.kernel_path = kernel.path;
    options.initrd_path = "/nonexistent";
    refuse(STASIS_ERR_ARG, "/nonexistent", "initrd.path");
    options.initrd_path = NULL;
    options.cmdline = memset(cmdline, 'x', sizeof(cmdline) - 1);
    refuse(STASIS_ERR_ARG, "command line", "shorten");
    options.cmdline = NULL;
    rig.board.vcpus = 254; /* the tables have room */
    assert_int_equal(load(), 0);
    memset(&cpu, 0, sizeof(cpu));
    rig.board.vcpus = 255;
    refuse(STASIS_ERR_ARG, "255 vCPUs", "vcpu.num");
}

/* Nothing that a kernel can be named blocks, is read without end, or is taken for one. */
static void kernel_that_is_no_file_is_refused(void **state)
{
    char fifo[] = "/tmp/test_bootXXXXXX";

    (void)state;
    options.kernel_path = "/dev/zero";
    refuse(STASIS_ERR_ARG, "/dev/zero", "give a regular file by kernel.path");
    assert_non_null(mkdtemp(fifo));
    assert_int_equal(rmdir(fifo), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    options.kernel_path = fifo;
    refuse(STASIS_ERR_ARG, fifo, "give a regular file by kernel.path");
    unlink(fifo);
    options.kernel_path = kernel.path;
    boot_rig_file_set(&kernel, "", 0);
    refuse(STASIS_ERR_ARG, kernel.path, "is empty");
    assert_int_equal(ftruncate(kernel.fd, (off_t)1 << 40), 0);
    refuse(STASIS_ERR_ARG, kernel.path, "is not a kernel");
}

static void ram_below_1_mib(void **state)
{
    (void)state;
    boot_rig_fini(&rig);
    boot_rig_init(&rig, 0x80000);
    options.kernel_path = kernel.path;
    refuse(STASIS_ERR_ARG, kernel.path, "memory.size_mib");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_kernel_finds_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(an_elf_kernel_finds_everything_too, setup, teardown),
        cmocka_unit_test_setup_teardown(load_addr_is_passed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(the_disk_is_the_root_unless_another_is_named, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_demo_leaves_its_initrd_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(failures_name_their_cause, setup, teardown),
        cmocka_unit_test_setup_teardown(kernel_that_is_no_file_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(ram_below_1_mib, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
