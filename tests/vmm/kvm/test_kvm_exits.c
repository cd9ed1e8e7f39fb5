/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Exits that the real KVM can be brought to; test_kvm_exits_unit.c makes up the others.
 */
#include "vcpu_rig.h"

#include <string.h>

#include "stasis/kvm_vcpu_state.h"

static struct rig rig;
static struct stasis_exit_ops ops; /* the rig's, and what the case adds */

/* rdmsr of the index; what it gives goes out at 0x80. #GP (vector 13) goes out at 0x81. */
static const uint8_t msr_payload[] = {
    0x66, 0xb9, 0x99, 0x00, 0x55, 0x00, /* mov ecx, KVM_UNKNOWN_MSR */
    0x66, 0xb8, 0x07, 0x00, 0x00, 0x00, /* mov eax, 7 */
    0x66, 0x31, 0xd2,                   /* xor edx, edx */
    0x0f, 0x30,                         /* wrmsr */
    0x0f, 0x32,                         /* rdmsr */
    0x66, 0xe7, 0x80,                   /* out 0x80, eax */
    0xf4,                               /* hlt */
};
static const uint8_t gp_handler[] = {0xe6, 0x81, 0xf4}; /* out 0x81, al; hlt */

static uint64_t msr_written;
static uint32_t msr_seen;

static bool rdmsr(void *ctx, uint32_t index, uint32_t why, uint64_t *ret_value)
{
    (void)ctx;
    assert_true(why & (KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL));
    msr_seen = index;
    *ret_value = msr_written + 1;
    return true;
}

static bool wrmsr(void *ctx, uint32_t index, uint32_t why, uint64_t value)
{
    (void)ctx;
    (void)index;
    (void)why;
    msr_written = value;
    return true;
}

static void msr_guest(void)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_X86_USER_SPACE_MSR,
                                 .args = {KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL}};

    kvm_skip_if_msrs_are_ignored();
    rig_init(&rig, RIG_NO_CHIPS);
    if (!stasis_kvm_cap(rig.vm.fd, KVM_CAP_X86_USER_SPACE_MSR)) {
        rig_fini(&rig);
        kvm_case_skip("this KVM does not pass MSRs to user space");
    }
    kvm_ok(STASIS_KVM(rig.vm.fd, KVM_ENABLE_CAP, &cap, &rig.err), &rig.err);
    rig_load(&rig, msr_payload, sizeof(msr_payload));
    memcpy(rig_ram(&rig, 0x1800), gp_handler, sizeof(gp_handler));
    rig_vector(&rig, 13, 0x1800);
    ops = *rig.vcpu.ops;
    rig.vcpu.ops = &ops;
}

static void unknown_msrs_are_answered(void)
{
    msr_guest();
    ops.rdmsr = rdmsr;
    ops.wrmsr = wrmsr;
    rig_run(&rig, 1);
    assert_int_equal(msr_seen, KVM_UNKNOWN_MSR);
    assert_int_equal(msr_written, 7);
    assert_int_equal(rig.log[0].at, 0x80);
    assert_int_equal(rig.log[0].value, 8);
    rig_fini(&rig);
}

static void msrs_that_nobody_handles_inject_gp(void)
{
    msr_guest();
    rig_run(&rig, 1);
    assert_int_equal(rig.log[0].at, 0x81);
    rig_fini(&rig);
}

static void hlt_without_irqchip_is_an_event(void)
{
    static const uint8_t payload[] = {0xf4};

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    rig_run_to(&rig, KVM_EXIT_HLT);
    assert_string_equal(rig.exit.name, "hlt");
    rig_fini(&rig);
}

/* 64-bit mode with the first 2 MiB mapped, and no IDT. */
static void enter_64_bit_mode(void)
{
    static const uint64_t tables[] = {0x2000, 0x3000, 0x4000};
    const uint64_t entries[] = {0x3003, 0x4003, 0x83}; /* present, writable; 2 MiB */
    struct kvm_sregs sregs;

    for (size_t i = 0; i < 3; i++)
        memcpy(rig_ram(&rig, tables[i]), &entries[i], sizeof(entries[i]));
    kvm_ok(stasis_vcpu_get_sregs(&rig.vcpu, &sregs, &rig.err), &rig.err);
    sregs.cs = (struct kvm_segment){
        .selector = 0x10, .limit = UINT32_MAX, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1};
    sregs.ds = (struct kvm_segment){
        .selector = 0x18, .limit = UINT32_MAX, .type = 0x3, .present = 1, .db = 1, .s = 1, .g = 1};
    sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
    sregs.tr = (struct kvm_segment){.selector = 0x20, .limit = 0x67, .type = 0xb, .present = 1};
    sregs.idt = (struct kvm_dtable){.limit = 0};
    sregs.cr0 = 0x80000031; /* PG, NE, ET, PE */
    sregs.cr3 = tables[0];
    sregs.cr4 = 0x20;   /* PAE */
    sregs.efer = 0x500; /* LMA, LME */
    kvm_ok(stasis_vcpu_set_sregs(&rig.vcpu, &sregs, &rig.err), &rig.err);
}

/* Without an IDT the first exception becomes the third. Not in real mode: KVM that emulates it does
 * not look at the IDT's limit. */
static void triple_fault_is_a_shutdown(void)
{
    static const uint8_t payload[] = {0x0f, 0x0b}; /* ud2 */

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    enter_64_bit_mode();
    rig_run_to(&rig, KVM_EXIT_SHUTDOWN);
    rig_fini(&rig);
}

/* Code that lies in no memory at all: MMIO cannot be executed. */
static void code_outside_ram_is_an_internal_error(void)
{
    static const uint8_t payload[] = {0xea, 0x00, 0x00, 0x00, 0x20}; /* jmp 0x2000:0 */

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    rig_run_to(&rig, KVM_EXIT_INTERNAL_ERROR);
    assert_int_equal(rig.exit.internal_error.suberror, KVM_INTERNAL_ERROR_EMULATION);
    assert_in_range(rig.exit.internal_error.count, 0, STASIS_VCPU_EXIT_DATA_MAX);
    rig_fini(&rig);
}

/* More elements than a register has bytes, in one exit. */
static void rep_ins_of_more_than_8_bytes(void)
{
    static const uint8_t payload[] = {
        0xfc, 0xbf, 0x00, 0x30,             /* cld; mov di, 0x3000 */
        0xb9, 0x14, 0x00, 0xba, 0x80, 0x00, /* mov cx, 20; mov dx, 0x80 */
        0xf3, 0x6c, 0xf4,                   /* rep insb; hlt */
    };

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    rig.answer = 0x40;
    rig_run_to(&rig, KVM_EXIT_HLT);
    assert_int_equal(rig.count, 20);
    for (uint8_t i = 0; i < 20; i++)
        assert_int_equal(((uint8_t *)rig_ram(&rig, 0x3000))[i], 0x40 + i);
    rig_fini(&rig);
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static void an_owner_that_says_no_ends_the_run(void)
{
    static const uint8_t payload[] = {0xe6, 0x80, 0xeb, 0xfc};

    rig_init(&rig, RIG_NO_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    ops = *rig.vcpu.ops;
    ops.may_run = never;
    rig.vcpu.ops = &ops;
    assert_int_equal(stasis_vcpu_run_once(&rig.vcpu), -1);
    assert_int_equal(rig.count, 1);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(unknown_msrs_are_answered),
        KVM_CASE(msrs_that_nobody_handles_inject_gp),
        KVM_CASE(hlt_without_irqchip_is_an_event),
        KVM_CASE(triple_fault_is_a_shutdown),
        KVM_CASE(code_outside_ram_is_an_internal_error),
        KVM_CASE(rep_ins_of_more_than_8_bytes),
        KVM_CASE(an_owner_that_says_no_ends_the_run),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
