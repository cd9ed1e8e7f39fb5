/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "common/x86_lint.h"

#include <stdio.h>

#define BIT(n) (UINT64_C(1) << (n))

#define CR0_PE BIT(0)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR3_HIGH (~(BIT(52) - 1) & ~(BIT(61) | BIT(62))) /* bits 61 and 62 are LAM's */

#define CR4_PAE   BIT(5)
#define CR4_LA57  BIT(12)
#define CR4_PCIDE BIT(17)
#define CR4_HIGH  (~(BIT(33) - 1)) /* bit 32 is FRED's */

#define EFER_LME BIT(8)
#define EFER_LMA BIT(10)
/* SCE, LME, LMA, NXE, and AMD's up to bit 21 (APM 2, 3.1.7). */
#define EFER_KNOWN (BIT(0) | EFER_LME | EFER_LMA | BIT(11) | (BIT(22) - BIT(12)))

#define RFLAGS_VM       BIT(17)
#define RFLAGS_RESERVED (BIT(3) | BIT(5) | BIT(15) | ~(BIT(22) - 1))

#define APIC_BASE_EXTD     BIT(10)
#define APIC_BASE_EN       BIT(11)
#define APIC_BASE_RESERVED UINT64_C(0x2ff)

#define XCR0_SSE    BIT(1)
#define XCR0_AVX    BIT(2)
#define XCR0_MPX    (BIT(3) | BIT(4))
#define XCR0_AVX512 (BIT(5) | BIT(6) | BIT(7))

enum { NMI = 2 }; /* vector */

typedef bool rule_fn(const struct stasis_x86_vcpu_states *s);

/* ---- control registers ---- */

static bool pages_in_long_mode(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->efer & EFER_LME && s->sregs->cr0 & CR0_PG;
}

static bool cr0_high(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->cr0 >> 32;
}

static bool pg_without_pe(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->cr0 & CR0_PG && !(s->sregs->cr0 & CR0_PE);
}

static bool nw_without_cd(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->cr0 & CR0_NW && !(s->sregs->cr0 & CR0_CD);
}

static bool long_without_lma(const struct stasis_x86_vcpu_states *s)
{
    return pages_in_long_mode(s) && !(s->sregs->efer & EFER_LMA);
}

static bool lma_alone(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->efer & EFER_LMA && !pages_in_long_mode(s);
}

static bool long_without_pae(const struct stasis_x86_vcpu_states *s)
{
    return pages_in_long_mode(s) && !(s->sregs->cr4 & CR4_PAE);
}

static bool efer_unknown(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->efer & ~EFER_KNOWN;
}

static bool cr3_high(const struct stasis_x86_vcpu_states *s)
{
    return pages_in_long_mode(s) && s->sregs->cr3 & CR3_HIGH;
}

static bool cr4_high(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->cr4 & CR4_HIGH;
}

static bool pcide_without_long(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->cr4 & CR4_PCIDE && !(s->sregs->efer & EFER_LMA);
}

static bool cr8_high(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->cr8 > 15;
}

/* ---- flags ---- */

static bool rflags_bit_1(const struct stasis_x86_vcpu_states *s)
{
    return !(s->regs->rflags & 2);
}

static bool rflags_reserved(const struct stasis_x86_vcpu_states *s)
{
    return s->regs->rflags & RFLAGS_RESERVED;
}

static bool vm_in_wrong_mode(const struct stasis_x86_vcpu_states *s)
{
    return s->regs->rflags & RFLAGS_VM && (!(s->sregs->cr0 & CR0_PE) || s->sregs->efer & EFER_LMA);
}

/* ---- segments ---- */

static bool is_canonical(const struct stasis_x86_sregs_state *sregs, uint64_t address)
{
    unsigned unused = sregs->cr4 & CR4_LA57 ? 64 - 57 : 64 - 48;

    return (uint64_t)((int64_t)(address << unused) >> unused) == address;
}

static bool l_outside_long(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->cs.l && !pages_in_long_mode(s);
}

static bool l_and_db(const struct stasis_x86_vcpu_states *s)
{
    return pages_in_long_mode(s) && s->sregs->cs.l && s->sregs->cs.db;
}

/* Type 3 is what real mode leaves there until the first far jump. */
static bool cs_is_data(const struct stasis_x86_vcpu_states *s)
{
    const struct stasis_x86_segment_state *cs = &s->sregs->cs;

    return s->sregs->cr0 & CR0_PE && !cs->unusable && (!cs->s || (cs->type < 8 && cs->type != 3));
}

static bool tr_is_not_busy(const struct stasis_x86_vcpu_states *s)
{
    const struct stasis_x86_segment_state *tr = &s->sregs->tr;

    return pages_in_long_mode(s) && !tr->unusable && (tr->s || tr->type != 11);
}

static bool rip_not_canonical(const struct stasis_x86_vcpu_states *s)
{
    return pages_in_long_mode(s) && s->sregs->cs.l && !is_canonical(s->sregs, s->regs->rip);
}

static bool base_not_canonical(const struct stasis_x86_vcpu_states *s)
{
    const struct stasis_x86_sregs_state *r = s->sregs;

    return pages_in_long_mode(s) &&
           (!is_canonical(r, r->fs.base) || !is_canonical(r, r->gs.base) ||
            !is_canonical(r, r->tr.base) || !is_canonical(r, r->gdt.base) ||
            !is_canonical(r, r->idt.base));
}

/* ---- interrupts and events ---- */

static bool x2apic_disabled(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->apic_base & APIC_BASE_EXTD && !(s->sregs->apic_base & APIC_BASE_EN);
}

static bool apic_base_reserved(const struct stasis_x86_vcpu_states *s)
{
    return s->sregs->apic_base & APIC_BASE_RESERVED;
}

static bool tpr_high(const struct stasis_x86_vcpu_states *s)
{
    return s->lapic->tpr >> 8;
}

static bool tpr_is_not_cr8(const struct stasis_x86_vcpu_states *s)
{
    return (s->lapic->tpr >> 4 & 15) != (s->sregs->cr8 & 15);
}

static bool timer_mode_reserved(const struct stasis_x86_vcpu_states *s)
{
    return (s->lapic->lvt_timer >> 17 & 3) == 3;
}

static bool vector_below_16(const struct stasis_x86_vcpu_states *s)
{
    return (s->lapic->irr0 | s->lapic->isr0) & 0xffff;
}

static bool is_on_its_way(const struct stasis_x86_events_state *events)
{
    return events->exception_injected || events->exception_pending;
}

static bool nmi_as_exception(const struct stasis_x86_vcpu_states *s)
{
    return is_on_its_way(s->events) && s->events->exception_nr == NMI;
}

/* #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP, and AMD's #VC and #SX. */
static bool code_of_none(const struct stasis_x86_vcpu_states *s)
{
    const uint32_t have = 1u << 8 | 0x1fu << 10 | 1u << 17 | 1u << 21 | 1u << 29 | 1u << 30;

    return is_on_its_way(s->events) && s->events->exception_has_error_code &&
           !(have >> (s->events->exception_nr & 31) & 1);
}

static bool init_in_smm(const struct stasis_x86_vcpu_states *s)
{
    uint32_t state = s->mp_state->mp_state;

    return (state == STASIS_MP_STATE_INIT_RECEIVED || state == STASIS_MP_STATE_SIPI_RECEIVED) &&
           (s->events->smi_smm || s->events->smi_pending);
}

static bool sipi_vector_high(const struct stasis_x86_vcpu_states *s)
{
    return s->mp_state->mp_state == STASIS_MP_STATE_SIPI_RECEIVED && s->events->sipi_vector >> 8;
}

/* ---- XSAVE, debug registers ---- */

static bool avx_without_sse(const struct stasis_x86_vcpu_states *s)
{
    return s->xcrs->xcr0 & XCR0_AVX && !(s->xcrs->xcr0 & XCR0_SSE);
}

static bool half_of_mpx(const struct stasis_x86_vcpu_states *s)
{
    uint64_t bits = s->xcrs->xcr0 & XCR0_MPX;

    return bits && bits != XCR0_MPX;
}

static bool part_of_avx512(const struct stasis_x86_vcpu_states *s)
{
    uint64_t bits = s->xcrs->xcr0 & XCR0_AVX512;

    return bits && (bits != XCR0_AVX512 || !(s->xcrs->xcr0 & XCR0_AVX));
}

static bool mxcsr_high(const struct stasis_x86_vcpu_states *s)
{
    return s->xsave->mxcsr >> 16 & ~2u; /* bit 17 is AMD's (APM 1, 4.2.2) */
}

static bool debug_high(const struct stasis_x86_vcpu_states *s)
{
    return s->debugregs->dr6 >> 32 || s->debugregs->dr7 >> 32;
}

/* ---- the rules ---- */

enum {
    REGS = 1 << 0,
    SREGS = 1 << 1,
    LAPIC = 1 << 2,
    MP_STATE = 1 << 3,
    EVENTS = 1 << 4,
    XCRS = 1 << 5,
    XSAVE = 1 << 6,
    DEBUGREGS = 1 << 7,
};

static const struct rule {
    unsigned needs; /* records */
    bool is_error;
    rule_fn *is_broken;
    const char *text, *section;
} rules[] = {
    {SREGS, true, cr0_high, "CR0 has bits above 31", "SDM 3A, 2.5"},
    {SREGS, true, pg_without_pe, "CR0.PG is set without CR0.PE", "SDM 3A, 2.5"},
    {SREGS, true, nw_without_cd, "CR0.NW is set without CR0.CD", "SDM 3A, 2.5"},
    {SREGS, true, long_without_lma, "EFER.LME and CR0.PG are set without EFER.LMA",
     "SDM 3C, 26.3.1.1"},
    {SREGS, true, lma_alone, "EFER.LMA is set without both EFER.LME and CR0.PG",
     "SDM 3C, 26.3.1.1"},
    {SREGS, true, long_without_pae, "EFER.LME and CR0.PG are set without CR4.PAE", "SDM 3A, 9.8.5"},
    {SREGS, false, efer_unknown, "EFER has reserved bits", "SDM 3A, 2.2.1"},
    {SREGS, true, cr3_high, "CR3 has an address of more than 52 bits", "SDM 3A, 4.5"},
    {SREGS, false, cr4_high, "CR4 has bits above 32", "SDM 3A, 2.5"},
    {SREGS, false, pcide_without_long, "CR4.PCIDE is set outside long mode", "SDM 3A, 4.10.1"},
    {SREGS, false, cr8_high, "CR8 is above 15", "SDM 3A, 10.8.6"},
    {REGS, false, rflags_bit_1, "RFLAGS bit 1 is clear", "SDM 1, 3.4.3"},
    {REGS, false, rflags_reserved, "RFLAGS has reserved bits", "SDM 1, 3.4.3"},
    {REGS | SREGS, false, vm_in_wrong_mode, "RFLAGS.VM is set in real or long mode",
     "SDM 3C, 26.3.1.4"},
    {SREGS, true, l_outside_long, "CS.L is set outside long mode", "SDM 3A, 3.4.5"},
    {SREGS, true, l_and_db, "CS.L and CS.D are both set", "SDM 3A, 3.4.5"},
    {SREGS, false, cs_is_data, "CS is no code segment", "SDM 3C, 26.3.1.2"},
    {SREGS, false, tr_is_not_busy, "TR is no busy 64-bit TSS in long mode", "SDM 3C, 26.3.1.2"},
    {REGS | SREGS, false, rip_not_canonical, "RIP is not canonical", "SDM 3C, 26.3.1.4"},
    {SREGS, false, base_not_canonical, "the base of FS, GS, TR, GDTR or IDTR is not canonical",
     "SDM 3C, 26.3.1.2"},
    {SREGS, true, x2apic_disabled, "APIC_BASE has x2APIC mode without the enable bit",
     "SDM 3A, 10.12.1"},
    {SREGS, true, apic_base_reserved, "APIC_BASE has reserved bits", "SDM 3A, 10.4.4"},
    {LAPIC, false, tpr_high, "the LAPIC's TPR is above 255", "SDM 3A, 10.8.3.1"},
    {LAPIC | SREGS, false, tpr_is_not_cr8, "CR8 is not bits 7:4 of the LAPIC's TPR",
     "SDM 3A, 10.8.6.1"},
    {LAPIC, false, timer_mode_reserved, "the LAPIC's timer is in a reserved mode",
     "SDM 3A, 10.5.4"},
    {LAPIC, false, vector_below_16, "the LAPIC has a vector below 16", "SDM 3A, 10.5.2"},
    {EVENTS, true, nmi_as_exception, "an exception has the vector of the NMI", "api.rst, 4.32"},
    {EVENTS, false, code_of_none, "an exception has an error code that its vector has not",
     "SDM 3A, 6.15"},
    {MP_STATE | EVENTS, false, init_in_smm, "INIT or SIPI was received during an SMI",
     "api.rst, 4.39"},
    {MP_STATE | EVENTS, false, sipi_vector_high, "the vector of the SIPI is above 255",
     "SDM 3A, 10.6.1"},
    {XCRS, true, avx_without_sse, "XCR0 has AVX without SSE", "SDM 1, 13.3"},
    {XCRS, true, half_of_mpx, "XCR0 has one half of MPX", "SDM 1, 13.3"},
    {XCRS, true, part_of_avx512, "XCR0 has AVX-512 in part, or without AVX", "SDM 1, 13.3"},
    {XSAVE, true, mxcsr_high, "MXCSR has reserved bits", "SDM 1, 10.2.3"},
    {DEBUGREGS, true, debug_high, "DR6 or DR7 has bits above 31", "SDM 3B, 17.2"},
};

static unsigned records_of(const struct stasis_x86_vcpu_states *s)
{
    return (s->regs ? REGS : 0u) | (s->sregs ? SREGS : 0u) | (s->lapic ? LAPIC : 0u) |
           (s->mp_state ? MP_STATE : 0u) | (s->events ? EVENTS : 0u) | (s->xcrs ? XCRS : 0u) |
           (s->xsave ? XSAVE : 0u) | (s->debugregs ? DEBUGREGS : 0u);
}

/* The granularity follows from the limit (SDM 3C, 26.3.1.2). */
static void check_limits(const struct stasis_x86_sregs_state *sregs,
                         void (*found)(void *opaque, const struct stasis_x86_lint *lint),
                         void *opaque)
{
    const struct {
        const char *name;
        const struct stasis_x86_segment_state *segment;
    } segments[] = {
        {"CS", &sregs->cs}, {"DS", &sregs->ds}, {"ES", &sregs->es}, {"FS", &sregs->fs},
        {"GS", &sregs->gs}, {"SS", &sregs->ss}, {"TR", &sregs->tr}, {"LDTR", &sregs->ldt},
    };

    for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++) {
        const struct stasis_x86_segment_state *segment = segments[i].segment;
        struct stasis_x86_lint lint = {.section = "SDM 3C, 26.3.1.2"};

        if (segment->unusable || !segment->present ||
            (segment->g ? (segment->limit & 0xfff) == 0xfff : segment->limit >> 20 == 0))
            continue;
        snprintf(lint.text, sizeof(lint.text), "the limit of %s does not go with its granularity",
                 segments[i].name);
        found(opaque, &lint);
    }
}

void stasis_x86_lint(const struct stasis_x86_vcpu_states *states,
                     void (*found)(void *opaque, const struct stasis_x86_lint *lint), void *opaque)
{
    unsigned records = records_of(states);

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct rule *rule = &rules[i];
        struct stasis_x86_lint lint = {.is_error = rule->is_error, .section = rule->section};

        if ((rule->needs & records) != rule->needs || !rule->is_broken(states))
            continue;
        snprintf(lint.text, sizeof(lint.text), "%s", rule->text);
        found(opaque, &lint);
    }
    if (states->sregs)
        check_limits(states->sregs, found, opaque);
}
