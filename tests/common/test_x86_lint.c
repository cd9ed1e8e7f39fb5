/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Each rule by the smallest state that breaks it, beside states that a CPU can be in.
 */
#include "common/x86_lint.h"

#include "support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

struct vcpu {
    struct stasis_x86_regs_state regs;
    struct stasis_x86_sregs_state sregs;
    struct stasis_x86_lapic_state lapic;
    struct stasis_x86_mp_state_state mp_state;
    struct stasis_x86_events_state events;
    struct stasis_x86_xcrs_state xcrs;
    struct stasis_x86_xsave_state xsave;
    struct stasis_x86_debugregs_state debugregs;
};

static struct vcpu vcpu;
static char found[1024];
static unsigned errors, warnings;

static void note(void *opaque, const struct stasis_x86_lint *lint)
{
    size_t len = strlen(found);

    (void)opaque;
    assert_true(lint->section && *lint->section);
    snprintf(found + len, sizeof(found) - len, "%s\n", lint->text);
    *(lint->is_error ? &errors : &warnings) += 1;
}

static void lint(void)
{
    const struct stasis_x86_vcpu_states states = {&vcpu.regs,     &vcpu.sregs,    &vcpu.lapic,
                                                  &vcpu.mp_state, &vcpu.events,   &vcpu.xcrs,
                                                  &vcpu.xsave,    &vcpu.debugregs};

    found[0] = '\0';
    errors = warnings = 0;
    stasis_x86_lint(&states, note, NULL);
}

static void assert_clean(void)
{
    lint();
    assert_string_equal(found, "");
}

/* ---- states that a CPU can be in ---- */

static struct stasis_x86_segment_state segment(uint8_t type, uint8_t s)
{
    return (struct stasis_x86_segment_state){.limit = 0xffff, .type = type, .present = 1, .s = s};
}

/* SDM 3A, table 9-1. */
static void reset(void)
{
    struct stasis_x86_sregs_state *sregs = &vcpu.sregs;

    stasis_state_init(&stasis_x86_regs_schema, &vcpu.regs);
    stasis_state_init(&stasis_x86_sregs_schema, &vcpu.sregs);
    stasis_state_init(&stasis_x86_lapic_schema, &vcpu.lapic);
    stasis_state_init(&stasis_x86_mp_state_schema, &vcpu.mp_state);
    stasis_state_init(&stasis_x86_events_schema, &vcpu.events);
    stasis_state_init(&stasis_x86_xcrs_schema, &vcpu.xcrs);
    stasis_state_init(&stasis_x86_xsave_schema, &vcpu.xsave);
    stasis_state_init(&stasis_x86_debugregs_schema, &vcpu.debugregs);
    vcpu.regs.rip = 0xfff0;
    sregs->cr0 = 0x60000010;
    sregs->apic_base = 0xfee00900;
    sregs->cs = segment(11, 1);
    sregs->cs.base = 0xffff0000;
    sregs->cs.selector = 0xf000;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = segment(3, 1);
    sregs->tr = segment(11, 0);
    sregs->ldt = segment(2, 0);
}

static void in_long_mode(void)
{
    reset();
    vcpu.regs.rip = UINT64_C(0xffffffff81000000);
    vcpu.sregs.cr0 = 0x80050033;
    vcpu.sregs.cr3 = 0x1000;
    vcpu.sregs.cr4 = 0x6b0;
    vcpu.sregs.efer = 0xd01;
    vcpu.sregs.cs.base = 0;
    vcpu.sregs.cs.limit = 0xffffffff;
    vcpu.sregs.cs.g = vcpu.sregs.cs.l = 1;
    vcpu.sregs.gs.base = UINT64_C(0xffff888000000000);
    vcpu.sregs.tr.base = UINT64_C(0xfffffe0000003000);
    vcpu.sregs.tr.limit = 0x206f;
    vcpu.xcrs.xcr0 = 0xe7;
}

static int setup(void **state)
{
    (void)state;
    in_long_mode();
    return 0;
}

static void what_a_cpu_can_be_in_is_clean(void **state)
{
    (void)state;
    assert_clean();
    vcpu.sregs.cr3 |= UINT64_C(3) << 61; /* LAM */
    vcpu.sregs.cs.l = 0;                 /* compatibility mode, where RIP has 32 bits */
    vcpu.sregs.cs.db = 1;
    vcpu.sregs.ds.unusable = 1;
    vcpu.sregs.ds.limit = 0xfffff;
    vcpu.xsave.mxcsr = 0x21f80; /* AMD's */
    assert_clean();
    reset();
    assert_clean();
    vcpu.sregs.cr0 |= 1; /* before the first far jump */
    vcpu.sregs.cs.type = 3;
    assert_clean();
    vcpu.sregs.efer = 0x100; /* LME, before paging is on */
    assert_clean();
    reset();
    vcpu.mp_state.mp_state = STASIS_MP_STATE_SIPI_RECEIVED;
    vcpu.events.sipi_vector = 0x9f;
    assert_clean();
    vcpu.mp_state.mp_state = STASIS_MP_STATE_UNINITIALIZED;
    vcpu.sregs.apic_base = 0xfee00000; /* disabled; then x2APIC */
    assert_clean();
    vcpu.sregs.apic_base = 0xfee00c00;
    vcpu.lapic.tpr = 0xf3;
    vcpu.sregs.cr8 = 15;
    vcpu.events.exception_pending = vcpu.events.exception_has_error_code = 1;
    vcpu.events.exception_nr = 14;
    assert_clean();
}

static void defaults_are_clean(void **state)
{
    (void)state;
    memset(&vcpu, 0, sizeof(vcpu));
    reset();
    stasis_state_init(&stasis_x86_sregs_schema, &vcpu.sregs);
    assert_clean();
}

/* ---- rules, one at a time ---- */

#define BROKEN(error, words, change)                                                               \
    do {                                                                                           \
        in_long_mode();                                                                            \
        change;                                                                                    \
        lint();                                                                                    \
        assert_string_equal(found, words "\n");                                                    \
        assert_int_equal(errors, error);                                                           \
        assert_int_equal(warnings, !(error));                                                      \
    } while (0)

static void control_registers(void **state)
{
    struct stasis_x86_sregs_state *s = &vcpu.sregs;

    (void)state;
    BROKEN(1, "CR0 has bits above 31", s->cr0 |= UINT64_C(1) << 32);
    BROKEN(1, "CR0.PG is set without CR0.PE", s->cr0 &= ~UINT64_C(1));
    BROKEN(1, "CR0.NW is set without CR0.CD", s->cr0 |= 1u << 29);
    BROKEN(1, "EFER.LME and CR0.PG are set without EFER.LMA", s->efer &= ~UINT64_C(0x400));
    BROKEN(1, "EFER.LMA is set without both EFER.LME and CR0.PG",
           (s->efer &= ~UINT64_C(0x100), s->cs.l = 0));
    BROKEN(1, "EFER.LME and CR0.PG are set without CR4.PAE", s->cr4 &= ~UINT64_C(0x20));
    BROKEN(0, "EFER has reserved bits", s->efer |= 2);
    BROKEN(0, "EFER has reserved bits", s->efer |= 1u << 22);
    BROKEN(1, "CR3 has an address of more than 52 bits", s->cr3 |= UINT64_C(1) << 52);
    BROKEN(1, "CR3 has an address of more than 52 bits", s->cr3 |= UINT64_C(1) << 63);
    BROKEN(0, "CR4 has bits above 32", s->cr4 |= UINT64_C(1) << 33);
    BROKEN(0, "CR4.PCIDE is set outside long mode", (s->cr4 |= 1u << 17, s->efer = 0, s->cs.l = 0));
    BROKEN(0, "CR8 is above 15", s->cr8 = 16);
}

static void flags_and_segments(void **state)
{
    struct stasis_x86_sregs_state *s = &vcpu.sregs;

    (void)state;
    BROKEN(0, "RFLAGS bit 1 is clear", vcpu.regs.rflags = 0);
    BROKEN(0, "RFLAGS has reserved bits", vcpu.regs.rflags |= 8);
    BROKEN(0, "RFLAGS has reserved bits", vcpu.regs.rflags |= UINT64_C(1) << 63);
    BROKEN(0, "RFLAGS.VM is set in real or long mode", vcpu.regs.rflags |= 1u << 17);
    BROKEN(0, "RFLAGS.VM is set in real or long mode", (reset(), vcpu.regs.rflags |= 1u << 17));
    BROKEN(1, "CS.L is set outside long mode", (reset(), s->cs.l = 1));
    BROKEN(1, "CS.L and CS.D are both set", s->cs.db = 1);
    BROKEN(0, "CS is no code segment", s->cs.type = 2);
    BROKEN(0, "CS is no code segment", s->cs.s = 0);
    BROKEN(0, "TR is no busy 64-bit TSS in long mode", s->tr.type = 9);
    BROKEN(0, "RIP is not canonical", vcpu.regs.rip = UINT64_C(1) << 47);
    BROKEN(0, "the base of FS, GS, TR, GDTR or IDTR is not canonical",
           s->idt.base = UINT64_C(1) << 63);
    BROKEN(0, "the limit of CS does not go with its granularity", s->cs.limit = 0xfffff000);
    BROKEN(0, "the limit of LDTR does not go with its granularity", s->ldt.limit = 1u << 20);
    in_long_mode();
    s->cr4 |= 1u << 12; /* 57 bits */
    vcpu.regs.rip = UINT64_C(1) << 47;
    assert_clean();
}

static void interrupts_and_events(void **state)
{
    struct stasis_x86_events_state *e = &vcpu.events;

    (void)state;
    BROKEN(1, "APIC_BASE has x2APIC mode without the enable bit",
           vcpu.sregs.apic_base = 0xfee00400);
    BROKEN(1, "APIC_BASE has reserved bits", vcpu.sregs.apic_base |= 1);
    BROKEN(0, "the LAPIC's TPR is above 255", vcpu.lapic.tpr = 0x100);
    BROKEN(0, "CR8 is not bits 7:4 of the LAPIC's TPR", vcpu.lapic.tpr = 0x20);
    BROKEN(0, "the LAPIC's timer is in a reserved mode", vcpu.lapic.lvt_timer = 3u << 17);
    BROKEN(0, "the LAPIC has a vector below 16", vcpu.lapic.irr0 = 1u << 15);
    BROKEN(0, "the LAPIC has a vector below 16", vcpu.lapic.isr0 = 1);
    BROKEN(1, "an exception has the vector of the NMI",
           (e->exception_injected = 1, e->exception_nr = 2));
    BROKEN(0, "an exception has an error code that its vector has not",
           (e->exception_pending = 1, e->exception_has_error_code = 1, e->exception_nr = 6));
    BROKEN(0, "INIT or SIPI was received during an SMI",
           (vcpu.mp_state.mp_state = STASIS_MP_STATE_INIT_RECEIVED, e->smi_pending = 1));
    BROKEN(0, "the vector of the SIPI is above 255",
           (vcpu.mp_state.mp_state = STASIS_MP_STATE_SIPI_RECEIVED, e->sipi_vector = 0x100));
}

static void xsave_and_debug_registers(void **state)
{
    (void)state;
    BROKEN(1, "XCR0 has AVX without SSE", vcpu.xcrs.xcr0 = 5);
    BROKEN(1, "XCR0 has one half of MPX", vcpu.xcrs.xcr0 = 0xf);
    BROKEN(1, "XCR0 has AVX-512 in part, or without AVX", vcpu.xcrs.xcr0 = 0x67);
    BROKEN(1, "XCR0 has AVX-512 in part, or without AVX", vcpu.xcrs.xcr0 = 0xe3);
    BROKEN(1, "MXCSR has reserved bits", vcpu.xsave.mxcsr = 0x10000);
    BROKEN(1, "DR6 or DR7 has bits above 31", vcpu.debugregs.dr7 = UINT64_C(1) << 32);
    BROKEN(1, "DR6 or DR7 has bits above 31", vcpu.debugregs.dr6 = UINT64_C(1) << 63);
}

/* Files of others than vmm. */
static void records_that_are_not_there_break_no_rule(void **state)
{
    struct stasis_x86_vcpu_states states = {0};

    (void)state;
    found[0] = '\0';
    stasis_x86_lint(&states, note, NULL);
    assert_string_equal(found, "");
    vcpu.lapic.tpr = 0x20;
    vcpu.lapic.irr0 = 1;
    states.lapic = &vcpu.lapic;
    stasis_x86_lint(&states, note, NULL);
    assert_string_equal(found, "the LAPIC has a vector below 16\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_a_cpu_can_be_in_is_clean, setup),
        cmocka_unit_test_setup(defaults_are_clean, setup),
        cmocka_unit_test_setup(control_registers, setup),
        cmocka_unit_test_setup(flags_and_segments, setup),
        cmocka_unit_test_setup(interrupts_and_events, setup),
        cmocka_unit_test_setup(xsave_and_debug_registers, setup),
        cmocka_unit_test_setup(records_that_are_not_there_break_no_rule, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
