/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The order in which a vCPU's state is read and written, and why. Each rule was a bug somewhere.
 */
#include "vmm/arch/x86/x86.h"

const struct stasis_arch_vcpu_record *const stasis_arch_vcpu_save_order[] = {
    /* KVM takes a waiting INIT or SIPI when it is asked for this, which changes registers. Where
     * KVM_RUN can give them, it does so right after it (regs.c): no other vCPU runs that could send
     * an event behind it, and what a timer sends is in the LAPIC until the guest runs. */
    &stasis_x86_mp_state_part,
    &stasis_x86_regs_part,
    &stasis_x86_sregs_part,
    &stasis_x86_xsave_part,
    &stasis_x86_xcrs_part,
    &stasis_x86_debugregs_part,
    /* What the guest was promised, not what this host would promise a new one. */
    &stasis_x86_cpuid_part,
    &stasis_x86_tsc_part,
    /* The deadline before the LAPIC: KVM zeroes it when it moves the expired timer into IRR. Read
     * the other way round, an interrupt that fires in between is in neither (Firecracker #4618). */
    &stasis_x86_msrs_part,
    &stasis_x86_lapic_part,
    /* Last, when nothing above can deliver an event any more. */
    &stasis_x86_events_part,
    NULL,
};

const struct stasis_arch_vcpu_record *const stasis_arch_vcpu_restore_order[] = {
    /* KVM checks CR4, EFER, XCR0, XSAVE and MSRs against it; and refuses it after a KVM_RUN. */
    &stasis_x86_cpuid_part,
    /* Before anything that is counted in it. */
    &stasis_x86_tsc_part,
    /* APIC_BASE says whether there is a LAPIC, and whether its id has x2APIC form. */
    &stasis_x86_sregs_part,
    &stasis_x86_regs_part,
    &stasis_x86_xsave_part,
    &stasis_x86_xcrs_part,
    &stasis_x86_debugregs_part,
    /* Before the deadline, which clocks.c sets after all of these: a write to it is ignored unless
     * LVTT is in deadline mode, and this write cancels the timer (kata dragonball #13798). */
    &stasis_x86_lapic_part,
    &stasis_x86_msrs_part,
    /* SET_REGS drops a pending exception. */
    &stasis_x86_events_part,
    /* Last: an application processor must stay uninitialized until its INIT. */
    &stasis_x86_mp_state_part,
    NULL,
};
