/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_debug.h"

#include <errno.h>
#include <inttypes.h>

#include "fail.h"

/* DR7 (SDM 3B, 17.2.4): exact breakpoints, and bit 10, which is always 1. */
#define DR7_BASE      UINT64_C(0x600)
#define DR7_GLOBAL(i) (UINT64_C(2) << 2 * (i))
#define DR7_RW(i)     (16 + 4 * (i))
#define DR7_LEN(i)    (18 + 4 * (i))

static bool is_possible(const struct stasis_breakpoint *point)
{
    switch (point->kind) {
    case STASIS_BREAK_EXECUTE:
        return point->len == 1;
    case STASIS_BREAK_WRITE:
    case STASIS_BREAK_ACCESS:
        return point->len <= 8 && __builtin_popcount(point->len) == 1 &&
               point->address % point->len == 0;
    default:
        return false;
    }
}

static int check(const struct stasis_vcpu_debug *debug, struct stasis_error *err)
{
    if (debug->count > STASIS_BREAKPOINT_MAX)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG, "%" PRIu32 " breakpoints: a CPU has %d",
                             debug->count, STASIS_BREAKPOINT_MAX);
    for (uint32_t i = 0; i < debug->count; i++) {
        if (!is_possible(&debug->breakpoints[i]))
            return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                                 "breakpoint %" PRIu32 " at 0x%" PRIx64
                                 " has a kind, length or address that no CPU takes",
                                 i, debug->breakpoints[i].address);
    }
    return 0;
}

static uint64_t length_field(uint8_t len)
{
    static const uint64_t fields[9] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};

    return fields[len];
}

static void add_breakpoints(struct kvm_guest_debug *to, const struct stasis_vcpu_debug *debug)
{
    uint64_t dr7 = DR7_BASE;

    for (uint32_t i = 0; i < debug->count; i++) {
        const struct stasis_breakpoint *point = &debug->breakpoints[i];

        to->arch.debugreg[i] = point->address;
        dr7 |= DR7_GLOBAL(i) | (uint64_t)point->kind << DR7_RW(i) |
               length_field(point->len) << DR7_LEN(i);
    }
    to->arch.debugreg[7] = dr7;
    to->control |= KVM_GUESTDBG_USE_HW_BP;
}

int stasis_vcpu_set_debug(struct stasis_vcpu *vcpu, const struct stasis_vcpu_debug *debug,
                          struct stasis_error *err)
{
    struct kvm_guest_debug wanted = {.control = 0};
    int rc = debug ? check(debug, err) : 0;

    if (rc)
        return rc;
    if (debug) {
        wanted.control = KVM_GUESTDBG_ENABLE;
        if (debug->single_step)
            wanted.control |= KVM_GUESTDBG_SINGLESTEP;
        if (debug->software)
            wanted.control |= KVM_GUESTDBG_USE_SW_BP;
        if (debug->count)
            add_breakpoints(&wanted, debug);
    }
    return STASIS_KVM(vcpu->fd, KVM_SET_GUEST_DEBUG, &wanted, err);
}
