/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/boot/x86/linux.h"

#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/boot/boot_rig.h"

static struct boot_rig rig;
static struct stasis_arch_entry cpu;

static int setup(void **state)
{
    (void)state;
    boot_rig_init(&rig, BOOT_RIG_RAM);
    assert_int_equal(stasis_boot_cpu_setup(&rig.memory, 0x1000200, &cpu, &rig.err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    boot_rig_fini(&rig);
    return 0;
}

static uint64_t read64(uint64_t gpa)
{
    uint64_t value;

    memcpy(&value, stasis_memory_at(&rig.memory, gpa, 8), 8);
    return value;
}

/* As the boot protocol wants it, and as VMX and SVM check it on entry. */
static void registers_are_64_bit_boot_protocol(void **state)
{
    (void)state;
    assert_int_equal(cpu.regs.rip, 0x1000200);
    assert_int_equal(cpu.regs.rsi, STASIS_BOOT_ZERO_PAGE);
    assert_int_equal(cpu.regs.rflags, 2);
    assert_int_equal(cpu.sregs.cr0 & 0x80000001, 0x80000001);
    assert_int_equal(cpu.sregs.cr4, 0x20);
    assert_int_equal(cpu.sregs.efer, 0x500);
    assert_int_equal(cpu.sregs.cs.selector, 0x10);
    assert_int_equal(cpu.sregs.cs.l, 1);
    assert_int_equal(cpu.sregs.cs.db, 0);
    assert_int_equal(cpu.sregs.ds.selector, 0x18);
    assert_int_equal(cpu.sregs.ss.selector, 0x18);
    assert_int_equal(cpu.sregs.es.selector, 0x18);
    assert_int_equal(cpu.sregs.tr.type, 0xb);
    assert_int_equal(cpu.sregs.tr.present, 1);
    assert_int_equal(cpu.sregs.ldt.unusable, 1);
    assert_int_equal(cpu.sregs.apic_base, 0);
    assert_int_equal(stasis_state_check(&stasis_x86_regs_schema, &cpu.regs, NULL), 0);
    assert_int_equal(stasis_state_check(&stasis_x86_sregs_schema, &cpu.sregs, NULL), 0);
}

static void gdt_agrees_with_the_registers(void **state)
{
    uint64_t gdt = cpu.sregs.gdt.base;

    (void)state;
    assert_int_equal(cpu.sregs.gdt.limit, 6 * 8 - 1);
    assert_int_equal(read64(gdt), 0);
    assert_int_equal(read64(gdt + 0x10), UINT64_C(0x00af9b000000ffff));
    assert_int_equal(read64(gdt + 0x18), UINT64_C(0x00cf93000000ffff));
    assert_int_equal(read64(gdt + 0x20), UINT64_C(0x00008b0000000067));
    assert_int_equal(read64(gdt + 0x28), 0);
}

/* Walks the tables as a CPU does. */
static uint64_t translate(uint64_t virtual)
{
    uint64_t pml4e = read64(cpu.sregs.cr3 + (virtual >> 39 & 511) * 8);
    uint64_t pdpte, pde;

    assert_int_equal(pml4e & 0xfff, 3);
    pdpte = read64((pml4e & ~UINT64_C(0xfff)) + (virtual >> 30 & 511) * 8);
    assert_int_equal(pdpte & 0xfff, 3);
    pde = read64((pdpte & ~UINT64_C(0xfff)) + (virtual >> 21 & 511) * 8);
    assert_int_equal(pde & 0x1fffff, 0x83);
    return (pde & ~UINT64_C(0x1fffff)) | (virtual & 0x1fffff);
}

static void four_gib_are_mapped_to_themselves(void **state)
{
    (void)state;
    for (uint64_t gpa = 0; gpa < UINT64_C(1) << 32; gpa += 0x1fffff)
        assert_int_equal(translate(gpa), gpa);
    assert_int_equal(translate(0xffffffff), 0xffffffff);
    assert_int_equal(read64(cpu.sregs.cr3 + 8), 0);
}

static void needs_ram(void **state)
{
    struct boot_rig small;
    int rc;

    (void)state;
    boot_rig_init(&small, 0x8000);
    rc = stasis_boot_cpu_setup(&small.memory, 0, &cpu, &small.err);
    boot_rig_assert_error(&small, rc, STASIS_ERR_ARG, "page tables", "memory.size_mib");
    boot_rig_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(registers_are_64_bit_boot_protocol, setup, teardown),
        cmocka_unit_test_setup_teardown(gdt_agrees_with_the_registers, setup, teardown),
        cmocka_unit_test_setup_teardown(four_gib_are_mapped_to_themselves, setup, teardown),
        cmocka_unit_test_setup_teardown(needs_ram, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
