/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest made by hand: two vCPUs in long mode, a kernel in the upper half of their addresses.
 */
#include "tests/tools/rig.h"

#include <elf.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/core.h"

#define P      UINT64_C(1)
#define PS     UINT64_C(0x80)
#define KERNEL UINT64_C(0xffffffff80000000)
#define TEXT   "a string in the kernel"

static struct run run;

static void entry(struct built *built, uint64_t table, unsigned index, uint64_t value)
{
    value = htole64(value);
    memcpy(built->ram[0] + table + 8 * index, &value, sizeof(value));
}

static void add_vcpu(struct built *built, const char *name, uint64_t rip, uint64_t cr3)
{
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_xsave_state xsave;

    stasis_state_init(&stasis_x86_regs_schema, &regs);
    regs.rip = rip;
    regs.rsp = KERNEL + 0x1000;
    regs.rax = 0x1122334455667788;
    regs.r15 = 15;
    add_state(built, &stasis_x86_regs_schema, name, &regs);
    stasis_state_init(&stasis_x86_sregs_schema, &sregs);
    sregs.cr0 = cr3 ? 0x80000001 : 1;
    sregs.efer = cr3 ? 0x500 : 0;
    sregs.cr3 = cr3;
    sregs.cs.selector = 0x10;
    sregs.gs.base = 0xffff888000001000;
    add_state(built, &stasis_x86_sregs_schema, name, &sregs);
    stasis_state_init(&stasis_x86_xsave_schema, &xsave);
    xsave.xstate_bv = 3;
    xsave.st_len = sizeof(xsave.st);
    xsave.xmm_len = sizeof(xsave.xmm);
    xsave.xmm[16] = 0x5a;
    add_state(built, &stasis_x86_xsave_schema, name, &xsave);
}

/* 4 MiB; the kernel's 2 MiB page maps 0x200000; the user's 4 KiB page at 0x400000 maps 0x9000. */
static void build(struct built *built)
{
    built_init(built);
    built_add(built, 0, 4 << 20);
    entry(built, 0x1000, 511, 0x2000 | P);
    entry(built, 0x2000, 510, 0x3000 | P);
    entry(built, 0x3000, 0, 0x200000 | P | PS);
    entry(built, 0x1000, 0, 0x4000 | P);
    entry(built, 0x4000, 0, 0x5000 | P);
    entry(built, 0x5000, 2, 0x6000 | P);
    entry(built, 0x6000, 0, 0x9000 | P);
    memcpy(built->ram[0] + 0x200100, TEXT, sizeof(TEXT));
    memcpy(built->ram[0] + 0x9010, "a process", sizeof("a process"));
    memset(built->ram[0] + 0x200200, 0x90, 16);
}

static Elf64_Phdr header_at(const struct image *core, size_t i)
{
    Elf64_Phdr header;

    memcpy(&header, core->bytes + sizeof(Elf64_Ehdr) + i * sizeof(header), sizeof(header));
    return header;
}

static void assert_load(const struct image *core, size_t i, uint64_t va, uint64_t gpa, uint64_t len)
{
    Elf64_Phdr header = header_at(core, i);

    assert_int_equal(le32toh(header.p_type), PT_LOAD);
    assert_int_equal(le64toh(header.p_vaddr), va);
    assert_int_equal(le64toh(header.p_paddr), gpa);
    assert_int_equal(le64toh(header.p_filesz), len);
    assert_int_equal(le64toh(header.p_memsz), len);
    assert_int_equal(le64toh(header.p_offset), STASIS_CORE_RAM + gpa);
}

static struct image make(struct built *built, const char *option)
{
    struct image image;

    save_to(built, in_folder("a.snap"));
    run_inspect(&run, NULL, "core", in_folder("a.snap"), "-o", in_folder("vm.core"), option, NULL);
    assert_ended(&run, 0, NULL);
    image = image_read(in_folder("vm.core"));
    return image;
}

static void headers(void **state)
{
    struct built built;
    struct image core;
    Elf64_Ehdr elf;
    Elf64_Phdr notes;

    (void)state;
    build(&built);
    add_vcpu(&built, "cpu0", KERNEL + 0x200, 0x1000);
    core = make(&built, NULL);
    memcpy(&elf, core.bytes, sizeof(elf));
    assert_memory_equal(elf.e_ident, ELFMAG, SELFMAG);
    assert_int_equal(le16toh(elf.e_type), ET_CORE);
    assert_int_equal(le16toh(elf.e_machine), EM_X86_64);
    assert_int_equal(le16toh(elf.e_phnum), 3);
    notes = header_at(&core, 0);
    assert_int_equal(le32toh(notes.p_type), PT_NOTE);
    assert_int_equal(le64toh(notes.p_filesz), 2 * 20 + 336 + 512);
    assert_load(&core, 1, KERNEL, 0x200000, 0x200000);
    assert_load(&core, 2, STASIS_CORE_PHYSICAL, 0, 4 << 20);
    assert_int_equal(core.len, STASIS_CORE_RAM + (4 << 20));
    assert_memory_equal(core.bytes + STASIS_CORE_RAM, built.ram[0], 4 << 20);
    assert_has(run.out, "vm.core: ELF core, 1 vCPU, 4 MiB of RAM (128 KiB not zero), 1 range of "
                        "virtual addresses\n"
                        "physical address A is at 0x200000000000000 + A\n");
    assert_null(strstr(run.out, "Linux"));
    image_fini(&core);
    built_fini(&built);
}

static void user_half(void **state)
{
    static const struct {
        const char *option;
        uint64_t rip;
        bool lower;
    } rows[] = {
        {NULL, KERNEL, false}, {"--user", KERNEL, true}, {NULL, 0x400000, true}, /* at level 0 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct built built;
        struct image core;

        build(&built);
        add_vcpu(&built, "cpu0", rows[i].rip, 0x1000);
        core = make(&built, rows[i].option);
        if (rows[i].lower)
            assert_load(&core, 1, 0x400000, 0x9000, 0x1000);
        assert_load(&core, rows[i].lower ? 2 : 1, KERNEL, 0x200000, 0x200000);
        image_fini(&core);
        built_fini(&built);
    }
}

/* Only the first vCPU's process is mapped, and the kernel once. */
static void two_vcpus(void **state)
{
    struct built built;
    struct image core;

    (void)state;
    build(&built);
    entry(&built, 0x7000, 511, 0x2000 | P);
    entry(&built, 0x7000, 0, 0x4000 | P);
    add_vcpu(&built, "cpu0", KERNEL + 0x200, 0x7000);
    add_vcpu(&built, "cpu1", KERNEL + 0x201, 0x1000);
    core = make(&built, NULL);
    assert_int_equal(le64toh(header_at(&core, 0).p_filesz), 2 * (2 * 20 + 336 + 512));
    assert_load(&core, 1, KERNEL, 0x200000, 0x200000);
    assert_load(&core, 2, STASIS_CORE_PHYSICAL, 0, 4 << 20);
    assert_has(run.out, "2 vCPUs");
    image_fini(&core);
    built_fini(&built);
}

static void without_paging(void **state)
{
    struct built built;
    struct image core;

    (void)state;
    build(&built);
    add_vcpu(&built, "cpu0", 0x200200, 0);
    core = make(&built, NULL);
    assert_load(&core, 1, 0, 0, 4 << 20);
    assert_has(run.out, "addresses are physical\n");
    image_fini(&core);
    built_fini(&built);
}

/* A vCPU that runs a process may have tables without the kernel: VMCOREINFO leads to the others. */
static void vmcoreinfo(void **state)
{
    static const char text[] = "OSRELEASE=6.1.0-test\nPAGESIZE=4096\n"
                               "SYMBOL(swapper_pg_dir)=ffffffff82001000\n"
                               "NUMBER(phys_base)=-33554432\nKERNELOFFSET=1000000\n";
    struct built built;
    struct image core;
    Elf64_Phdr notes;
    const uint8_t *note;

    (void)state;
    build(&built);
    entry(&built, 0x3000, 16, 0 | P | PS); /* 0xffffffff82000000 is at 0, the tables at 0x1000 */
    memcpy(built.ram[0] + 0x30000, text, sizeof(text));
    add_vcpu(&built, "cpu0", 0x400000, 0x8000); /* a root that maps nothing */
    core = make(&built, NULL);
    assert_load(&core, 1, KERNEL, 0x200000, 0x200000);
    assert_load(&core, 2, KERNEL + 0x2000000, 0, 0x200000);
    notes = header_at(&core, 0);
    note = core.bytes + le64toh(notes.p_offset) + 2 * 20 + 336 + 512;
    assert_int_equal(le64toh(notes.p_filesz), 2 * 20 + 336 + 512 + 24 + (sizeof(text) + 2) / 4 * 4);
    assert_string_equal((const char *)note + sizeof(Elf64_Nhdr), "VMCOREINFO");
    assert_memory_equal(note + 24, text, sizeof(text) - 1);
    assert_has(run.out, "\nLinux 6.1.0-test, moved by 0x1000000 (KASLR): ");
    image_fini(&core);
    built_fini(&built);
}

static void zero_chunks_are_holes(void **state)
{
    struct built built;
    struct image core;
    struct stat st;

    (void)state;
    build(&built);
    built_add(&built, UINT64_C(1) << 32, 64 << 20);
    add_vcpu(&built, "cpu0", KERNEL, 0x1000);
    core = make(&built, NULL);
    assert_int_equal(stat(in_folder("vm.core"), &st), 0);
    assert_int_equal(st.st_size, STASIS_CORE_RAM + (68 << 20));
    assert_true(st.st_blocks * 512 < 1 << 20);
    assert_int_equal(st.st_mode & 0777, 0600);
    image_fini(&core);
    built_fini(&built);
}

static void refusals(void **state)
{
    struct built built;
    struct image image;
    struct stasis_error err;
    struct stasis_snap *arm = stasis_snap_new(STASIS_ARCH_AARCH64);

    (void)state;
    build(&built);
    save_to(&built, in_folder("a.snap"));
    run_inspect(&run, NULL, "core", in_folder("a.snap"), NULL);
    assert_ended(&run, 2, "-o is missing");
    run_inspect(&run, NULL, "core", in_folder("a.snap"), "-o", in_folder("no/where"), NULL);
    assert_ended(&run, 7, "opening its folder");
    image = image_read(in_folder("a.snap"));
    image.bytes[image.len - 1] ^= 1;
    write_file(in_folder("bad.snap"), image.bytes, image.len);
    write_file(in_folder("old.core"), "old", 3);
    run_inspect(&run, NULL, "core", in_folder("bad.snap"), "-o", in_folder("old.core"), NULL);
    assert_ended(&run, 3, "damaged (CRC)");
    image_fini(&image);
    image = image_read(in_folder("old.core"));
    assert_int_equal(image.len, 3);
    image_fini(&image);
    assert_int_equal(stasis_snap_save(arm, in_folder("arm.snap"), NULL, NULL, &err), 0);
    run_inspect(&run, NULL, "core", in_folder("arm.snap"), "-o", in_folder("new.core"), NULL);
    assert_ended(&run, 2, "cores are made of x86_64 guests only");
    assert_int_not_equal(access(in_folder("new.core"), F_OK), 0);
    stasis_snap_free(arm);
    built_fini(&built);
}

static void in_gdb(void **state)
{
    const char *const version[] = {STASIS_GDB, "--version", NULL};
    const char *gdb[] = {STASIS_GDB,
                         "-nx",
                         "-batch",
                         "-ex",
                         "core vm.core",
                         "-ex",
                         "printf \"one %lx %lx %ld %lx\\n\", $rip, $rax, $r15, $gs_base",
                         "-ex",
                         "printf \"float %d\\n\", $xmm1.v16_int8[0]",
                         "-ex",
                         "x/s 0xffffffff80000100",
                         "-ex",
                         "x/i $rip",
                         "-ex",
                         "x/s 0x400010",
                         "-ex",
                         "x/s 0x0200000000009010",
                         "-ex",
                         "thread 2",
                         "-ex",
                         "printf \"two %lx\\n\", $rip",
                         NULL};
    char command[300];
    struct built built;
    struct image core;

    (void)state;
    run_program(&run, NULL, version);
    if (run.status) {
        print_message("gdb is not installed\n");
        skip();
    }
    build(&built);
    add_vcpu(&built, "cpu0", KERNEL + 0x200, 0x1000);
    add_vcpu(&built, "cpu1", KERNEL + 0x201, 0x1000);
    core = make(&built, "--user");
    snprintf(command, sizeof(command), "core %s", in_folder("vm.core"));
    gdb[4] = command;
    run_program(&run, NULL, gdb);
    assert_has(run.out, "one ffffffff80000200 1122334455667788 15 ffff888000001000\n");
    assert_has(run.out, "float 90\n");
    assert_has(run.out, "0xffffffff80000100:\t\"" TEXT "\"\n");
    assert_has(run.out, "=> 0xffffffff80000200:\tnop\n");
    assert_has(run.out, "0x400010:\t\"a process\"\n");
    assert_has(run.out, "0x200000000009010:\t\"a process\"\n");
    assert_has(run.out, "two ffffffff80000201\n");
    image_fini(&core);
    built_fini(&built);
}

static int teardown(void **state)
{
    run_fini(&run);
    return teardown_folder(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),    cmocka_unit_test(user_half),
        cmocka_unit_test(two_vcpus),  cmocka_unit_test(without_paging),
        cmocka_unit_test(vmcoreinfo), cmocka_unit_test(zero_chunks_are_holes),
        cmocka_unit_test(refusals),   cmocka_unit_test(in_gdb),
    };

    return cmocka_run_group_tests(tests, setup_folder, teardown);
}
