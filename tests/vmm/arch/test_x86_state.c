/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The parts of a vCPU's state alone: what is set is what is got, and what cannot be held is
 * refused by name. (Whole machines: test_freeze.c, test_thaw.c.)
 */
#include "vmm/kvm_guest.h"

#include <stdlib.h>
#include <string.h>

#include "support/reasons.h"
#include "vmm/arch/x86/x86.h"

static struct kvm_guest guest;
static struct stasis_vcpu *vcpu;
static struct stasis_error err;

static void begin(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, "\xf4", 1);
    vcpu = &guest.machine.vcpus[0];
}

static void get(const struct stasis_arch_vcpu_record *part, void *state)
{
    stasis_state_init(part->schema, state);
    kvm_ok(part->get(vcpu, state, &err), &err);
    kvm_ok(stasis_state_check(part->schema, state, &err), &err);
}

static int check_xsave(const struct stasis_kvm *kvm, const struct stasis_x86_xsave_state *xsave)
{
    struct stasis_reasons reasons = {0};
    int rc = stasis_x86_xsave_check(kvm, NULL, xsave, &reasons, &err);

    return reasons_settle(rc, &reasons, &err);
}

static void contains(const struct stasis_arch_vcpu_record *const *order,
                     const struct stasis_arch_vcpu_record *part)
{
    unsigned found = 0;

    for (size_t i = 0; order[i]; i++)
        found += order[i] == part;
    assert_int_equal(found, 1);
}

/* A part that one order forgets is a register file that is lost. */
static void both_orders_have_the_same_parts(void)
{
    for (size_t i = 0; stasis_arch_vcpu_save_order[i]; i++)
        contains(stasis_arch_vcpu_restore_order, stasis_arch_vcpu_save_order[i]);
    for (size_t i = 0; stasis_arch_vcpu_restore_order[i]; i++)
        contains(stasis_arch_vcpu_save_order, stasis_arch_vcpu_restore_order[i]);
}

static void reset_state_goes_through_every_part(void)
{
    begin();
    for (size_t i = 0; stasis_arch_vcpu_save_order[i]; i++) {
        const struct stasis_arch_vcpu_record *part = stasis_arch_vcpu_save_order[i];
        void *state = malloc(part->schema->size);

        assert_non_null(state);
        get(part, state);
        kvm_ok(part->set(vcpu, state, &err), &err);
        free(state);
    }
    kvm_guest_fini(&guest);
}

/* The registers that one KVM_RUN gives are those that ioctls give. */
static void one_run_gives_what_ioctls_give(void)
{
    static const struct stasis_arch_vcpu_record *const parts[] = {
        &stasis_x86_mp_state_part, &stasis_x86_regs_part, &stasis_x86_sregs_part,
        &stasis_x86_events_part};

    begin();
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct stasis_x86_mp_state_state mp;
        uint8_t *apart = malloc(parts[i]->schema->size), *synced = malloc(parts[i]->schema->size);

        assert_true(apart && synced);
        get(parts[i], apart);
        stasis_arch_vcpu_read_begin(vcpu);
        get(&stasis_x86_mp_state_part, &mp); /* the first, as in the order */
        get(parts[i], synced);
        stasis_arch_vcpu_read_end(vcpu);
        assert_memory_equal(synced, apart, parts[i]->schema->size);
        free(apart);
        free(synced);
    }
    kvm_guest_fini(&guest);
}

static void x87_pointers(void)
{
    static struct stasis_x86_xsave_state xsave, back;

    begin();
    get(&stasis_x86_xsave_part, &xsave);
    xsave.xstate_bv |= 1;
    xsave.st_len = sizeof(xsave.st);
    xsave.fop = 0x123;
    xsave.fip = UINT64_C(0x1122334455);
    xsave.fdp = UINT64_C(0x5544332211);
    kvm_ok(stasis_x86_xsave_part.set(vcpu, &xsave, &err), &err);
    get(&stasis_x86_xsave_part, &back);
    assert_int_equal(back.fop, xsave.fop);
    assert_int_equal(back.fip, xsave.fip);
    assert_int_equal(back.fdp, xsave.fdp);
    kvm_guest_fini(&guest);
}

/* Components in their initial state have no bytes, whatever lies in KVM's buffer. */
static void initial_components_are_empty(void)
{
    static struct stasis_x86_xsave_state xsave;

    begin();
    get(&stasis_x86_xsave_part, &xsave);
    xsave.xstate_bv = 0;
    xsave.st_len = xsave.xmm_len = xsave.ymm_high_len = 0;
    kvm_ok(stasis_x86_xsave_part.set(vcpu, &xsave, &err), &err);
    get(&stasis_x86_xsave_part, &xsave);
    assert_int_equal(xsave.st_len, xsave.xstate_bv & 1 ? sizeof(xsave.st) : 0);
    assert_int_equal(xsave.xmm_len, xsave.xstate_bv & 2 ? sizeof(xsave.xmm) : 0);
    assert_int_equal(xsave.fcw, 0x37f);
    kvm_guest_fini(&guest);
}

/* One that is called in use but holds its initial value is no other state. */
static void zero_components_are_empty(void)
{
    static struct stasis_x86_xsave_state xsave, back;

    begin();
    get(&stasis_x86_xsave_part, &xsave);
    xsave.xstate_bv |= 4;
    xsave.ymm_high_len = sizeof(xsave.ymm_high);
    memset(xsave.ymm_high, 0, sizeof(xsave.ymm_high));
    if (check_xsave(&guest.machine.kvm, &xsave) == 0) {
        kvm_ok(stasis_x86_xsave_part.set(vcpu, &xsave, &err), &err);
        get(&stasis_x86_xsave_part, &back);
        assert_int_equal(back.xstate_bv & 4, 0);
        assert_int_equal(back.ymm_high_len, 0);
        xsave.ymm_high[255] = 1;
        kvm_ok(stasis_x86_xsave_part.set(vcpu, &xsave, &err), &err);
        get(&stasis_x86_xsave_part, &back);
        assert_memory_equal(back.ymm_high, xsave.ymm_high, sizeof(back.ymm_high));
    }
    kvm_guest_fini(&guest);
}

static void missing_vector_component_is_named(void)
{
    static struct stasis_x86_xsave_state xsave;
    struct stasis_kvm kvm;

    stasis_state_init(&stasis_x86_xsave_schema, &xsave);
    kvm_ok(stasis_kvm_open(&kvm, &err), &err);
    kvm_ok(check_xsave(&kvm, &xsave), &err);
    /* MPX: KVM dropped it with every CPU that has it. */
    xsave.xstate_bv = 1 << 3;
    xsave.bndregs_len = sizeof(xsave.bndregs);
    if (check_xsave(&kvm, &xsave))
        assert_non_null(strstr(err.msg, "bndregs"));
    stasis_kvm_close(&kvm);
}

static void msrs_are_ascending_and_include_the_unlisted(void)
{
    static struct stasis_x86_msrs_state msrs;
    static const uint32_t expected[] = {0x10, 0x174, 0x277, 0x2ff, 0xc0000082, 0xc0000102};
    size_t found = 0;

    begin();
    get(&stasis_x86_msrs_part, &msrs);
    for (uint32_t i = 0; i < msrs.msrs_count && found < sizeof(expected) / sizeof(expected[0]); i++)
        found += msrs.msrs[i].index == expected[found];
    assert_int_equal(found, sizeof(expected) / sizeof(expected[0]));
    kvm_guest_fini(&guest);
}

/* Linux takes memory for uncached where the firmware has left the MTRRs off. */
static void a_new_vcpu_has_write_back_memory(void)
{
    static struct stasis_x86_msrs_state msrs;
    static const uint8_t payload[] = {0xf4};
    uint64_t value = 0;

    begin();
    kvm_guest_real(&guest, payload, sizeof(payload));
    get(&stasis_x86_msrs_part, &msrs);
    for (uint32_t i = 0; i < msrs.msrs_count; i++)
        if (msrs.msrs[i].index == 0x2ff)
            value = msrs.msrs[i].value;
    assert_int_equal(value, 1 << 11 | 6); /* MTRRdefType: on, write-back */
    kvm_guest_fini(&guest);
}

/* 0xc0000000 is nobody's register. */
static void msr_that_kvm_refuses_is_named(void)
{
    static struct stasis_x86_msrs_state msrs;

    begin();
    msrs.msrs_count = 2;
    msrs.msrs[0] = (struct stasis_x86_msr_state){0x174, 5};
    msrs.msrs[1] = (struct stasis_x86_msr_state){0xc0000000, 0x1234};
    assert_int_equal(stasis_x86_msrs_part.set(vcpu, &msrs, &err), STASIS_ERR_HOST);
    assert_non_null(strstr(err.msg, "MSR 0xc0000000 = 0x1234"));
    kvm_guest_fini(&guest);
}

/* One that is refused but holds its value already, as read-only ones do, is no reason to fail; and
 * those behind it are set all the same. */
static void refused_but_equal_msr_is_passed_over(void)
{
    static struct stasis_x86_msrs_state msrs, now;

    begin();
    get(&stasis_x86_msrs_part, &now);
    msrs.msrs_count = 2;
    msrs.msrs[0] = (struct stasis_x86_msr_state){0xfe, 0}; /* MTRRcap, read-only */
    for (uint32_t i = 0; i < now.msrs_count; i++) {
        if (now.msrs[i].index == 0xfe)
            msrs.msrs[0].value = now.msrs[i].value;
    }
    msrs.msrs[1] = (struct stasis_x86_msr_state){0x174, 0x77};
    if (stasis_x86_msrs_part.set(vcpu, &msrs, &err) == 0) {
        get(&stasis_x86_msrs_part, &now);
        for (uint32_t i = 0; i < now.msrs_count; i++) {
            if (now.msrs[i].index == 0x174)
                assert_int_equal(now.msrs[i].value, 0x77);
        }
    }
    kvm_guest_fini(&guest);
}

static void tsc_rates(void)
{
    assert_true(stasis_x86_tsc_close(2000000, 2000000));
    assert_true(stasis_x86_tsc_close(2000500, 2000000));
    assert_false(stasis_x86_tsc_close(2000501, 2000000));
    assert_true(stasis_x86_tsc_close(1999500, 2000000));
    assert_false(stasis_x86_tsc_close(1999499, 2000000));
    assert_false(stasis_x86_tsc_close(UINT32_MAX, 1));
    assert_false(stasis_x86_tsc_close(1, UINT32_MAX));
}

/* An exception that waits with its payload, and what SET_REGS would do to it. */
static void events_in_flight(void)
{
    struct stasis_x86_events_state events, back;

    begin();
    stasis_state_init(&stasis_x86_events_schema, &events);
    if (guest.machine.kvm.has_exception_payload) {
        events.exception_pending = 1;
        events.exception_nr = 14;
        events.exception_has_error_code = 1;
        events.exception_error_code = 6;
        events.exception_has_payload = 1;
        events.exception_payload = 0x123456;
    }
    events.interrupt_shadow = 1;
    events.nmi_pending = 1;
    events.nmi_masked = 1;
    kvm_ok(stasis_x86_events_part.set(vcpu, &events, &err), &err);
    get(&stasis_x86_events_part, &back);
    /* How it was interrupted is told apart only where the CPU does. */
    assert_true(back.interrupt_shadow);
    back.interrupt_shadow = 1;
    assert_memory_equal(&back, &events, sizeof(back));
    kvm_guest_fini(&guest);
}

static void mp_states(void)
{
    static const uint32_t values[] = {0, 3}; /* runnable, halted */
    struct stasis_x86_mp_state_state mp;

    begin();
    for (size_t i = 0; i < 2; i++) {
        mp.mp_state = values[i];
        kvm_ok(stasis_x86_mp_state_part.set(vcpu, &mp, &err), &err);
        get(&stasis_x86_mp_state_part, &mp);
        assert_int_equal(mp.mp_state, values[i]);
    }
    mp.mp_state = 99;
    assert_int_equal(stasis_x86_mp_state_part.set(vcpu, &mp, &err), STASIS_ERR_KVM);
    assert_non_null(strstr(err.msg, "KVM_SET_MP_STATE"));
    kvm_guest_fini(&guest);
}

/* Values that KVM refuses: the message names the call. */
static void nonsense_is_refused(void)
{
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_xcrs_state xcrs = {.xcr0 = 0};
    struct stasis_x86_debugregs_state debug;
    static struct stasis_x86_xsave_state xsave;

    begin();
    get(&stasis_x86_sregs_part, &sregs);
    sregs.cr4 = UINT64_C(1) << 63;
    assert_int_equal(stasis_x86_sregs_part.set(vcpu, &sregs, &err), STASIS_ERR_KVM);
    assert_non_null(strstr(err.msg, "KVM_SET_SREGS"));
    assert_int_equal(stasis_x86_xcrs_part.set(vcpu, &xcrs, &err), STASIS_ERR_KVM);
    get(&stasis_x86_debugregs_part, &debug);
    debug.dr7 = UINT64_C(1) << 40;
    assert_int_equal(stasis_x86_debugregs_part.set(vcpu, &debug, &err), STASIS_ERR_KVM);
    get(&stasis_x86_xsave_part, &xsave);
    xsave.xstate_bv |= 2;
    xsave.xmm_len = sizeof(xsave.xmm);
    xsave.mxcsr = UINT32_MAX;
    assert_int_equal(stasis_x86_xsave_part.set(vcpu, &xsave, &err), STASIS_ERR_KVM);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(both_orders_have_the_same_parts),
        KVM_CASE(reset_state_goes_through_every_part),
        KVM_CASE(one_run_gives_what_ioctls_give),
        KVM_CASE(x87_pointers),
        KVM_CASE(initial_components_are_empty),
        KVM_CASE(zero_components_are_empty),
        KVM_CASE(missing_vector_component_is_named),
        KVM_CASE(msrs_are_ascending_and_include_the_unlisted),
        KVM_CASE(a_new_vcpu_has_write_back_memory),
        KVM_CASE(msr_that_kvm_refuses_is_named),
        KVM_CASE(refused_but_equal_msr_is_passed_over),
        KVM_CASE(tsc_rates),
        KVM_CASE(events_in_flight),
        KVM_CASE(mp_states),
        KVM_CASE(nonsense_is_refused),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
