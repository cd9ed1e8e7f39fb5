/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What every vCPU of a new guest is given before the first runs.
 */
#include "vmm/kvm_guest.h"

#include "vmm/arch/x86/x86.h"

#define COUNT        4
#define RUNNABLE     0
#define WAITS        1 /* KVM_MP_STATE_UNINITIALIZED: for INIT and SIPI */
#define LVT_MASKED   0x10000
#define LVT_NMI      0x400
#define LVT_EXTINT   0x700
#define MTRR_DEFAULT 0x2ff

static struct kvm_guest guest;

static void start_all(void)
{
    struct stasis_arch_entry entry;
    struct stasis_board_state board;
    struct stasis_error err;

    kvm_board(&board, KVM_RAM);
    board.vcpus = COUNT;
    kvm_guest_init(&guest, &board);
    stasis_state_init(&stasis_x86_regs_schema, &entry.regs);
    kvm_ok(stasis_x86_sregs_part.get(&guest.machine.vcpus[0], &entry.sregs, &err), &err);
    entry.regs.rip = 0x1234;
    for (uint32_t i = 0; i < COUNT; i++)
        kvm_ok(stasis_arch_vcpu_start(&guest.machine.vcpus[i], &board, &entry, &err), &err);
}

static void assert_waits(struct stasis_vcpu *vcpu, bool waits)
{
    struct stasis_x86_mp_state_state mp;
    struct stasis_x86_regs_state regs;
    struct stasis_error err;

    kvm_ok(stasis_x86_mp_state_part.get(vcpu, &mp, &err), &err);
    kvm_ok(stasis_x86_regs_part.get(vcpu, &regs, &err), &err);
    assert_int_equal(mp.mp_state, waits ? WAITS : RUNNABLE);
    assert_int_equal(regs.rip, waits ? 0xfff0 : 0x1234);
}

/* The id is the CPUID table's; the PICs reach the first vCPU only. */
static void assert_lapic(struct stasis_vcpu *vcpu)
{
    struct stasis_x86_lapic_state lapic;
    struct stasis_error err;

    kvm_ok(stasis_x86_lapic_part.get(vcpu, &lapic, &err), &err);
    assert_int_equal(lapic.id >> 24, vcpu->id);
    assert_int_equal(lapic.lvt_lint0, vcpu->id ? LVT_MASKED : LVT_EXTINT);
    assert_int_equal(lapic.lvt_lint1, LVT_NMI);
}

static void every_vcpu_is_as_firmware_leaves_it(void)
{
    start_all();
    for (uint32_t i = 0; i < COUNT; i++) {
        struct stasis_vcpu *vcpu = &guest.machine.vcpus[i];
        const struct stasis_x86_cpuid_state *cpuid = &stasis_x86_of(vcpu)->cpuid;
        struct stasis_error err;
        uint64_t mtrr;

        assert_waits(vcpu, i != 0);
        assert_lapic(vcpu);
        kvm_ok(stasis_x86_msr_read(vcpu, MTRR_DEFAULT, &mtrr, &err), &err);
        assert_int_equal(mtrr, 0x806);
        for (uint32_t n = 0; n < cpuid->leaves_count; n++) {
            if (cpuid->leaves[n].function == 1)
                assert_int_equal(cpuid->leaves[n].ebx >> 16, i << 8 | COUNT);
        }
    }
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(every_vcpu_is_as_firmware_leaves_it),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
