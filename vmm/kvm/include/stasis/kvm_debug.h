/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Debugging a guest from outside (KVM api.rst, 4.87). What it stops for is an exit `debug`.
 */
#ifndef STASIS_KVM_DEBUG_H
#define STASIS_KVM_DEBUG_H

#include "stasis/kvm_vcpu.h"

STASIS_BEGIN_DECLS

#define STASIS_BREAKPOINT_MAX 4 /* debug registers of an x86 CPU */

/* The values of DR7's R/W fields. */
enum stasis_breakpoint_kind {
    STASIS_BREAK_EXECUTE = 0, /* len is 1 */
    STASIS_BREAK_WRITE = 1,
    STASIS_BREAK_ACCESS = 3, /* read or write */
};

struct stasis_breakpoint {
    uint64_t address; /* linear; aligned to len */
    enum stasis_breakpoint_kind kind;
    uint8_t len; /* 1, 2, 4 or 8 */
};

struct stasis_vcpu_debug {
    bool single_step; /* an exit after each instruction */
    bool software;    /* int3 is an exit, and no exception of the guest's */
    uint32_t count;   /* of breakpoints */
    struct stasis_breakpoint breakpoints[STASIS_BREAKPOINT_MAX];
};

/* KVM_SET_GUEST_DEBUG. NULL: no debugging. While it lasts, the guest's own debug registers have no
 * effect if there are breakpoints. STASIS_ERR_ARG, os_errno EINVAL: more than four breakpoints, or
 * one that the CPU cannot have; KVM is not asked. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_debug(struct stasis_vcpu *vcpu,
                                                          const struct stasis_vcpu_debug *debug,
                                                          struct stasis_error *err);

STASIS_END_DECLS

#endif
