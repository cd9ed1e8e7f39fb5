/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every state of a vCPU of the real KVM: set, read back, and what KVM refuses.
 */
#include "vcpu_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/kvm_vcpu_state.h"

#define XSTATE_BV 512
#define MXCSR     24
#define XMM0      160

static struct rig rig;

#define OK(call) kvm_ok(call, &rig.err)

static void start(void)
{
    rig_init(&rig, RIG_NO_CHIPS);
}

static void skip_refused(const char *why)
{
    rig_fini(&rig);
    kvm_case_skip(why);
}

/* ---- registers ---- */

static void regs_round_trip(void)
{
    struct kvm_regs regs, now;

    start();
    OK(stasis_vcpu_get_regs(&rig.vcpu, &regs, &rig.err));
    regs.rax = UINT64_C(0x1122334455667788);
    regs.r15 = 42;
    regs.rip = 0x1234;
    OK(stasis_vcpu_set_regs(&rig.vcpu, &regs, &rig.err));
    OK(stasis_vcpu_get_regs(&rig.vcpu, &now, &rig.err));
    assert_memory_equal(&now, &regs, sizeof(regs));
    rig_fini(&rig);
}

/* What is set includes the APIC base. */
static void sregs_round_trip(void)
{
    struct kvm_sregs sregs, now;

    rig_init(&rig, RIG_CHIPS);
    OK(stasis_vcpu_get_sregs(&rig.vcpu, &sregs, &rig.err));
    sregs.gdt.base = 0x5000;
    sregs.gdt.limit = 0x47;
    sregs.fs.base = 0x7000;
    sregs.cr2 = 0xdead000;
    sregs.apic_base &= ~UINT64_C(0x800); /* disabled */
    OK(stasis_vcpu_set_sregs(&rig.vcpu, &sregs, &rig.err));
    OK(stasis_vcpu_get_sregs(&rig.vcpu, &now, &rig.err));
    assert_int_equal(now.gdt.base, 0x5000);
    assert_int_equal(now.gdt.limit, 0x47);
    assert_int_equal(now.fs.base, 0x7000);
    assert_int_equal(now.cr2, 0xdead000);
    assert_int_equal(now.apic_base, sregs.apic_base);
    rig_fini(&rig);
}

static void sregs_with_reserved_cr4_bit_einval(void)
{
    struct kvm_sregs sregs;

    start();
    OK(stasis_vcpu_get_sregs(&rig.vcpu, &sregs, &rig.err));
    sregs.cr4 |= UINT64_C(1) << 63;
    rig_refuses(&rig, stasis_vcpu_set_sregs(&rig.vcpu, &sregs, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void sregs_with_lma_without_paging_einval(void)
{
    struct kvm_sregs sregs;

    start();
    OK(stasis_vcpu_get_sregs(&rig.vcpu, &sregs, &rig.err));
    sregs.efer |= UINT64_C(0x400);
    rig_refuses(&rig, stasis_vcpu_set_sregs(&rig.vcpu, &sregs, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void sregs2_round_trip(void)
{
    struct kvm_sregs2 sregs, now;

    start();
    if (!rig.kvm.has_sregs2) {
        assert_int_equal(stasis_vcpu_get_sregs2(&rig.vcpu, &sregs, &rig.err), STASIS_ERR_KVM);
        skip_refused("this KVM has no KVM_GET_SREGS2; it refuses it");
    }
    OK(stasis_vcpu_get_sregs2(&rig.vcpu, &sregs, &rig.err));
    sregs.es.base = 0x9000;
    OK(stasis_vcpu_set_sregs2(&rig.vcpu, &sregs, &rig.err));
    OK(stasis_vcpu_get_sregs2(&rig.vcpu, &now, &rig.err));
    assert_int_equal(now.es.base, 0x9000);
    assert_int_equal(now.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID, 0); /* no PAE paging */
    rig_fini(&rig);
}

static void from_fpu_round_trip(void)
{
    struct kvm_fpu fpu, now;

    start();
    OK(stasis_vcpu_get_fpu(&rig.vcpu, &fpu, &rig.err));
    assert_int_equal(sizeof(fpu.xmm[0]), 16);
    fpu.xmm[15][15] = 42;
    fpu.fpr[7][0] = 24;
    fpu.fcw = 0x37f;
    OK(stasis_vcpu_set_fpu(&rig.vcpu, &fpu, &rig.err));
    OK(stasis_vcpu_get_fpu(&rig.vcpu, &now, &rig.err));
    assert_int_equal(now.xmm[15][15], 42);
    assert_int_equal(now.fpr[7][0], 24);
    assert_int_equal(now.fcw, 0x37f);
    rig_fini(&rig);
}

static void debugregs_round_trip(void)
{
    struct kvm_debugregs regs, now;

    start();
    OK(stasis_vcpu_get_debugregs(&rig.vcpu, &regs, &rig.err));
    regs.db[2] = 0x1000;
    regs.dr7 = 13;
    OK(stasis_vcpu_set_debugregs(&rig.vcpu, &regs, &rig.err));
    OK(stasis_vcpu_get_debugregs(&rig.vcpu, &now, &rig.err));
    assert_int_equal(now.db[2], 0x1000);
    assert_int_equal(now.dr7 & 0xff, 13);
    rig_fini(&rig);
}

static void dr7_bit_40_einval(void)
{
    struct kvm_debugregs regs;

    start();
    OK(stasis_vcpu_get_debugregs(&rig.vcpu, &regs, &rig.err));
    regs.dr7 = UINT64_C(1) << 40;
    rig_refuses(&rig, stasis_vcpu_set_debugregs(&rig.vcpu, &regs, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void xcrs_round_trip(void)
{
    struct kvm_xcrs xcrs, now;

    start();
    if (!rig.kvm.has_xcrs)
        skip_refused("this host's CPU has no XSAVE");
    OK(stasis_vcpu_get_xcrs(&rig.vcpu, &xcrs, &rig.err));
    assert_int_equal(xcrs.nr_xcrs, 1);
    assert_int_equal(xcrs.xcrs[0].xcr, 0);
    xcrs.xcrs[0].value = 3;
    OK(stasis_vcpu_set_xcrs(&rig.vcpu, &xcrs, &rig.err));
    OK(stasis_vcpu_get_xcrs(&rig.vcpu, &now, &rig.err));
    assert_int_equal(now.xcrs[0].value, 3);
    xcrs.xcrs[0].value = 1;
    OK(stasis_vcpu_set_xcrs(&rig.vcpu, &xcrs, &rig.err));
    rig_fini(&rig);
}

/* Without x87; AVX without SSE; a component that no CPU has. */
static void impossible_xcr0_einval(void)
{
    static const uint64_t impossible[] = {0, 5, UINT64_C(1) << 61 | 3};
    struct kvm_xcrs xcrs = {.nr_xcrs = 1};

    start();
    if (!rig.kvm.has_xcrs)
        skip_refused("this host's CPU has no XSAVE");
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        xcrs.xcrs[0].value = impossible[i];
        rig_refuses(&rig, stasis_vcpu_set_xcrs(&rig.vcpu, &xcrs, &rig.err), EINVAL);
    }
    rig_fini(&rig);
}

/* The same as by three ioctls, after an access that is completed by it. */
static void sync_regs_are_those_of_three_ioctls(void)
{
    static const uint8_t payload[] = {0xe4, 0x80, 0xe6, 0x81, 0xeb, 0xfe}; /* in al, 0x80; out */
    struct kvm_sync_regs regs;
    struct kvm_vcpu_events events;
    struct kvm_sregs sregs;
    struct kvm_regs gprs;

    rig_init(&rig, RIG_CHIPS);
    rig_load(&rig, payload, sizeof(payload));
    rig.answer = 0x42;
    assert_int_equal(stasis_vcpu_run_once(&rig.vcpu), 0);
    assert_int_equal(rig.count, 1);
    if ((stasis_kvm_cap(rig.vm.fd, KVM_CAP_SYNC_REGS) & 7) != 7) {
        assert_int_equal(stasis_vcpu_get_sync_regs(&rig.vcpu, &regs, &rig.err),
                         STASIS_ERR_UNAVAILABLE);
        skip_refused("this KVM does not give registers with KVM_RUN");
    }
    OK(stasis_vcpu_get_sync_regs(&rig.vcpu, &regs, &rig.err));
    assert_int_equal(regs.regs.rax & 0xff, 0x42);
    OK(stasis_vcpu_get_regs(&rig.vcpu, &gprs, &rig.err));
    OK(stasis_vcpu_get_sregs(&rig.vcpu, &sregs, &rig.err));
    OK(stasis_vcpu_get_events(&rig.vcpu, &events, &rig.err));
    assert_memory_equal(&regs.regs, &gprs, sizeof(gprs));
    assert_memory_equal(&regs.sregs, &sregs, sizeof(sregs));
    assert_memory_equal(&regs.events, &events, sizeof(events));
    rig_run(&rig, 2); /* and the guest runs on */
    assert_int_equal(rig.log[1].value, 0x42);
    rig_fini(&rig);
}

/* ---- XSAVE ---- */

static uint8_t *read_xsave(size_t *ret_size)
{
    uint8_t *area;

    OK(stasis_vm_xsave_size(&rig.vm, ret_size, &rig.err));
    assert_true(*ret_size >= sizeof(struct kvm_xsave));
    area = calloc(1, *ret_size);
    assert_non_null(area);
    OK(stasis_vcpu_get_xsave(&rig.vcpu, area, *ret_size, &rig.err));
    return area;
}

static void xsave_round_trip(void)
{
    uint8_t *area, *now;
    size_t size = 0;

    start();
    area = read_xsave(&size);
    area[XSTATE_BV] |= 2; /* SSE */
    area[XMM0] = 42;
    OK(stasis_vcpu_set_xsave(&rig.vcpu, area, size, &rig.err));
    now = read_xsave(&size);
    assert_int_equal(now[XMM0], 42);
    free(now);
    assert_int_equal(stasis_vcpu_get_xsave(&rig.vcpu, area, size - 1, &rig.err), STASIS_ERR_ARG);
    assert_int_equal(stasis_vcpu_set_xsave(&rig.vcpu, area, size + 1, &rig.err), STASIS_ERR_ARG);
    free(area);
    rig_fini(&rig);
}

static void bad_xstate_bv_einval(void)
{
    uint8_t *area;
    size_t size = 0;

    start();
    area = read_xsave(&size);
    area[XSTATE_BV + 7] |= 0x20; /* component 61 */
    rig_refuses(&rig, stasis_vcpu_set_xsave(&rig.vcpu, area, size, &rig.err), EINVAL);
    free(area);
    rig_fini(&rig);
}

static void bad_mxcsr_einval(void)
{
    uint8_t *area;
    size_t size = 0;

    start();
    area = read_xsave(&size);
    area[XSTATE_BV] |= 2;
    memset(area + MXCSR, 0xff, 4);
    rig_refuses(&rig, stasis_vcpu_set_xsave(&rig.vcpu, area, size, &rig.err), EINVAL);
    free(area);
    rig_fini(&rig);
}

/* ---- run state, events, LAPIC ---- */

static void mp_state_round_trip(void)
{
    static const uint32_t states[] = {KVM_MP_STATE_HALTED, KVM_MP_STATE_RUNNABLE};
    struct kvm_mp_state mp;

    rig_init(&rig, RIG_CHIPS);
    for (size_t i = 0; i < 2; i++) {
        mp.mp_state = states[i];
        OK(stasis_vcpu_set_mp_state(&rig.vcpu, &mp, &rig.err));
        mp.mp_state = 77;
        OK(stasis_vcpu_get_mp_state(&rig.vcpu, &mp, &rig.err));
        assert_int_equal(mp.mp_state, states[i]);
    }
    rig_fini(&rig);
}

static void mp_state_99_einval(void)
{
    const struct kvm_mp_state mp = {.mp_state = 99};

    rig_init(&rig, RIG_CHIPS);
    rig_refuses(&rig, stasis_vcpu_set_mp_state(&rig.vcpu, &mp, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void mp_state_halted_without_irqchip_einval(void)
{
    const struct kvm_mp_state mp = {.mp_state = KVM_MP_STATE_HALTED};

    start();
    rig_refuses(&rig, stasis_vcpu_set_mp_state(&rig.vcpu, &mp, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void get_lapic_without_irqchip_einval(void)
{
    struct kvm_lapic_state lapic;

    start();
    rig_refuses(&rig, stasis_vcpu_get_lapic(&rig.vcpu, &lapic, &rig.err), EINVAL);
    rig_fini(&rig);
}

static void lapic_state_round_trip(void)
{
    struct kvm_lapic_state lapic, now;

    rig_init(&rig, RIG_CHIPS);
    OK(stasis_vcpu_get_lapic(&rig.vcpu, &lapic, &rig.err));
    assert_int_equal(stasis_lapic_reg(&lapic, 2), 0);           /* id 0 */
    assert_int_equal(stasis_lapic_reg(&lapic, 3) & 0xff, 0x14); /* version */
    stasis_lapic_set_reg(&lapic, 8, 0x20);                      /* TPR */
    stasis_lapic_set_reg(&lapic, 0xf, 0x1ff);                   /* spurious vector, enabled */
    OK(stasis_vcpu_set_lapic(&rig.vcpu, &lapic, &rig.err));
    OK(stasis_vcpu_get_lapic(&rig.vcpu, &now, &rig.err));
    assert_int_equal(stasis_lapic_reg(&now, 8), 0x20);
    assert_int_equal(stasis_lapic_reg(&now, 0xf), 0x1ff);
    rig_fini(&rig);
}

/* NMI and interrupt each in its own member. */
static void vcpu_events_round_trip(void)
{
    struct kvm_vcpu_events events, now;

    rig_init(&rig, RIG_CHIPS);
    OK(stasis_vcpu_get_events(&rig.vcpu, &events, &rig.err));
    for (uint8_t nmi = 0; nmi < 2; nmi++) {
        events.flags = 0;
        events.nmi.injected = nmi;
        events.interrupt.injected = nmi ? 0 : 1;
        events.interrupt.nr = 0x21;
        OK(stasis_vcpu_set_events(&rig.vcpu, &events, &rig.err));
        OK(stasis_vcpu_get_events(&rig.vcpu, &now, &rig.err));
        assert_int_equal(now.nmi.injected, nmi);
        assert_int_equal(now.interrupt.injected, !nmi);
        if (!nmi)
            assert_int_equal(now.interrupt.nr, 0x21);
    }
    rig_fini(&rig);
}

static void events_with_unknown_flags_einval(void)
{
    struct kvm_vcpu_events events;

    rig_init(&rig, RIG_CHIPS);
    OK(stasis_vcpu_get_events(&rig.vcpu, &events, &rig.err));
    events.flags = UINT32_C(1) << 31;
    rig_refuses(&rig, stasis_vcpu_set_events(&rig.vcpu, &events, &rig.err), EINVAL);
    rig_fini(&rig);
}

/* ---- CPUID ---- */

static void cpuid_is_what_was_set(void)
{
    struct kvm_cpuid2 *cpuid = NULL;

    start();
    OK(stasis_vcpu_get_cpuid(&rig.vcpu, &cpuid, &rig.err));
    assert_int_equal(cpuid->nent, rig.kvm.cpuid->nent);
    assert_int_equal(cpuid->entries[0].function, rig.kvm.cpuid->entries[0].function);
    OK(stasis_vcpu_set_cpuid(&rig.vcpu, cpuid, &rig.err));
    free(cpuid);
    rig_fini(&rig);
}

static const uint8_t one_out[] = {0xe6, 0x80, 0xeb, 0xfe};

/* A table that differs is refused by all; the same one is taken by some (Linux 6.1) and not by
 * others (PVM 6.18). */
/* KVM of before Linux 5.16 takes another table even then. */
static void set_cpuid2_after_a_run_einval(void)
{
    int rc;

    start();
    rig_load(&rig, one_out, sizeof(one_out));
    rig_run(&rig, 1);
    rig.kvm.cpuid->entries[0].eax ^= 1; /* leaves that there are */
    rc = stasis_vcpu_set_cpuid(&rig.vcpu, rig.kvm.cpuid, &rig.err);
    if (!rc)
        kvm_case_skip("this KVM takes a table of CPUID after a run (before Linux 5.16)");
    rig_refuses(&rig, rc, EINVAL);
    rig_fini(&rig);
}

static void set_cpuid2_after_an_immediate_exit_run_is_success(void)
{
    start();
    rig_load(&rig, one_out, sizeof(one_out));
    OK(stasis_vcpu_complete_io(&rig.vcpu, &rig.err));
    OK(stasis_vcpu_set_cpuid(&rig.vcpu, rig.kvm.cpuid, &rig.err));
    rig_fini(&rig);
}

static void get_hyperv_cpuid_or_einval(void)
{
    struct kvm_cpuid2 *cpuid = NULL;
    int rc;

    rig_init(&rig, RIG_CHIPS);
    rc = stasis_vcpu_hyperv_cpuid(&rig.vcpu, &cpuid, &rig.err);
    if (rc) {
        rig_refuses(&rig, rc, EINVAL);
        skip_refused("this KVM has no Hyper-V; it refuses it");
    }
    assert_true(cpuid->nent > 1);
    assert_int_equal(cpuid->entries[0].function, 0x40000000);
    free(cpuid);
    rig_fini(&rig);
}

/* ---- nested virtualization ---- */

static void nested_state_round_trip(void)
{
    struct kvm_nested_state *nested = NULL;

    start();
    if (!stasis_kvm_cap(rig.vm.fd, KVM_CAP_NESTED_STATE)) {
        assert_int_equal(stasis_vcpu_get_nested(&rig.vcpu, &nested, &rig.err),
                         STASIS_ERR_UNAVAILABLE);
        skip_refused("this KVM cannot nest; it is unavailable");
    }
    OK(stasis_vcpu_get_nested(&rig.vcpu, &nested, &rig.err));
    assert_int_equal(nested->flags & KVM_STATE_NESTED_GUEST_MODE, 0);
    OK(stasis_vcpu_set_nested(&rig.vcpu, nested, &rig.err));
    free(nested);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(regs_round_trip),
        KVM_CASE(sregs_round_trip),
        KVM_CASE(sregs_with_reserved_cr4_bit_einval),
        KVM_CASE(sregs_with_lma_without_paging_einval),
        KVM_CASE(sregs2_round_trip),
        KVM_CASE(from_fpu_round_trip),
        KVM_CASE(debugregs_round_trip),
        KVM_CASE(dr7_bit_40_einval),
        KVM_CASE(xcrs_round_trip),
        KVM_CASE(impossible_xcr0_einval),
        KVM_CASE(sync_regs_are_those_of_three_ioctls),
        KVM_CASE(xsave_round_trip),
        KVM_CASE(bad_xstate_bv_einval),
        KVM_CASE(bad_mxcsr_einval),
        KVM_CASE(mp_state_round_trip),
        KVM_CASE(mp_state_99_einval),
        KVM_CASE(mp_state_halted_without_irqchip_einval),
        KVM_CASE(get_lapic_without_irqchip_einval),
        KVM_CASE(lapic_state_round_trip),
        KVM_CASE(vcpu_events_round_trip),
        KVM_CASE(events_with_unknown_flags_einval),
        KVM_CASE(cpuid_is_what_was_set),
        KVM_CASE(set_cpuid2_after_a_run_einval),
        KVM_CASE(set_cpuid2_after_an_immediate_exit_run_is_success),
        KVM_CASE(get_hyperv_cpuid_or_einval),
        KVM_CASE(nested_state_round_trip),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
