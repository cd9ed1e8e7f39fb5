/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * States of a vCPU that no CPU can be in. The rules of a field or a record alone are the format's
 * (state/checks.c); these compare registers with each other, by the manuals: SDM is Intel's
 * Software Developer's Manual (volume, section), api.rst KVM's.
 *
 * A rule is an error if KVM refuses the state, or the guest would crash before its first
 * instruction, on every host. What some CPU or some KVM may tolerate, or repair, is a warning.
 */
#ifndef STASIS_COMMON_X86_LINT_H
#define STASIS_COMMON_X86_LINT_H

#include <stdbool.h>

#include "stasis/state.h"

/* The records of one vCPU; NULL: not there, and rules that need it are left out. */
struct stasis_x86_vcpu_states {
    const struct stasis_x86_regs_state *regs;
    const struct stasis_x86_sregs_state *sregs;
    const struct stasis_x86_lapic_state *lapic;
    const struct stasis_x86_mp_state_state *mp_state;
    const struct stasis_x86_events_state *events;
    const struct stasis_x86_xcrs_state *xcrs;
    const struct stasis_x86_xsave_state *xsave;
    const struct stasis_x86_debugregs_state *debugregs;
};

struct stasis_x86_lint {
    bool is_error;
    char text[96];       /* "CR0.PG is set without CR0.PE" */
    const char *section; /* "SDM 3A, 2.5" */
};

/* Calls `found` for each rule that is broken, in a fixed order. */
void stasis_x86_lint(const struct stasis_x86_vcpu_states *states,
                     void (*found)(void *opaque, const struct stasis_x86_lint *lint), void *opaque);

#endif
