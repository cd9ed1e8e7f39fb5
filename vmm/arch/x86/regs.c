/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Registers of a vCPU. Our lists name their fields as KVM does, so the lists themselves copy; a
 * width that differs does not compile.
 */
#include <inttypes.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

/* ---- several states by one call ---- */

void stasis_arch_vcpu_read_begin(struct stasis_vcpu *vcpu)
{
    stasis_x86_of(vcpu)->is_reading = true;
    stasis_x86_of(vcpu)->is_synced = false;
}

void stasis_arch_vcpu_read_end(struct stasis_vcpu *vcpu)
{
    stasis_x86_of(vcpu)->is_reading = false;
    stasis_x86_of(vcpu)->is_synced = false;
}

const struct kvm_sync_regs *stasis_x86_synced(const struct stasis_vcpu *vcpu)
{
    return stasis_x86_of(vcpu)->is_synced ? &stasis_x86_of(vcpu)->synced : NULL;
}

/* After the run state, the reading of which can change registers. Where KVM cannot, each state is
 * read by itself. */
static void read_synced(struct stasis_vcpu *vcpu)
{
    struct stasis_x86_vcpu *x86 = stasis_x86_of(vcpu);

    if (x86->is_reading)
        x86->is_synced = !stasis_vcpu_get_sync_regs(vcpu, &x86->synced, NULL);
}

/* ---- general registers ---- */

static int regs_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    const struct kvm_sync_regs *synced = stasis_x86_synced(vcpu);
    struct stasis_x86_regs_state *to = ret_state;
    const struct kvm_regs *from;
    struct kvm_regs regs;
    int rc = synced ? 0 : stasis_vcpu_get_regs(vcpu, &regs, err);

    if (rc)
        return rc;
    from = synced ? &synced->regs : &regs;
#define STASIS_INT(id, type, name, since, def, mask, doc) STASIS_X86_COPY(name)
#include "stasis/state/x86_regs.def"
#undef STASIS_INT
    return 0;
}

static int regs_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_regs_state *from = state;
    struct kvm_regs regs, *to = &regs;

#define STASIS_INT(id, type, name, since, def, mask, doc) STASIS_X86_COPY(name)
#include "stasis/state/x86_regs.def"
#undef STASIS_INT
    return stasis_vcpu_set_regs(vcpu, to, err);
}

const struct stasis_arch_vcpu_record stasis_x86_regs_part = {
    .schema = &stasis_x86_regs_schema, .get = regs_get, .set = regs_set};

/* ---- special registers ---- */

static void segment_get(struct stasis_x86_segment_state *to, const struct kvm_segment *from)
{
#define STASIS_INT(id, type, name, since, def, mask, doc) STASIS_X86_COPY(name)
#include "stasis/state/x86_segment.def"
#undef STASIS_INT
}

static void segment_set(struct kvm_segment *to, const struct stasis_x86_segment_state *from)
{
    memset(to, 0, sizeof(*to));
#define STASIS_INT(id, type, name, since, def, mask, doc) STASIS_X86_COPY(name)
#include "stasis/state/x86_segment.def"
#undef STASIS_INT
}

static void dtable_get(struct stasis_x86_dtable_state *to, const struct kvm_dtable *from)
{
    STASIS_X86_COPY(base)
    STASIS_X86_COPY(limit)
}

static void dtable_set(struct kvm_dtable *to, const struct stasis_x86_dtable_state *from)
{
    memset(to, 0, sizeof(*to));
    STASIS_X86_COPY(base)
    STASIS_X86_COPY(limit)
}

/* kvm_sregs and kvm_sregs2 share these members. */
#define SEGMENTS(X) X(cs) X(ds) X(es) X(fs) X(gs) X(ss) X(tr) X(ldt)
#define DTABLES(X)  X(gdt) X(idt)
#define CONTROLS(X) X(cr0) X(cr2) X(cr3) X(cr4) X(cr8) X(efer) X(apic_base)

#define GET_SEGMENT(name) segment_get(&to->name, &from->name);
#define GET_DTABLE(name)  dtable_get(&to->name, &from->name);
#define SET_SEGMENT(name) segment_set(&to->name, &from->name);
#define SET_DTABLE(name)  dtable_set(&to->name, &from->name);

#define GET_COMMON SEGMENTS(GET_SEGMENT) DTABLES(GET_DTABLE) CONTROLS(STASIS_X86_COPY)
#define SET_COMMON SEGMENTS(SET_SEGMENT) DTABLES(SET_DTABLE) CONTROLS(STASIS_X86_COPY)

/* SREGS2 carries the PDPTRs of a PAE guest, which SREGS would reload from memory. */
static int sregs2_get(struct stasis_vcpu *vcpu, struct stasis_x86_sregs_state *to,
                      struct stasis_error *err)
{
    struct kvm_sregs2 sregs, *from = &sregs;
    int rc = stasis_vcpu_get_sregs2(vcpu, from, err);

    if (rc)
        return rc;
    GET_COMMON
    to->pdptrs_valid = from->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID ? 1 : 0;
    for (int i = 0; i < 4; i++)
        to->pdptrs[i] = to->pdptrs_valid ? from->pdptrs[i] : 0;
    return 0;
}

#define CR0_PG   (UINT64_C(1) << 31)
#define CR4_PAE  (UINT64_C(1) << 5)
#define EFER_LMA (UINT64_C(1) << 10)

static bool has_pdptrs(const struct kvm_sregs *sregs)
{
    return sregs->cr0 & CR0_PG && sregs->cr4 & CR4_PAE && !(sregs->efer & EFER_LMA);
}

static int sregs_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    const struct kvm_sync_regs *synced = stasis_x86_synced(vcpu);
    struct stasis_x86_sregs_state *to = ret_state;
    const struct kvm_sregs *from;
    struct kvm_sregs sregs;
    int rc;

    if (vcpu->vm->kvm->has_sregs2 && (!synced || has_pdptrs(&synced->sregs)))
        return sregs2_get(vcpu, to, err);
    rc = synced ? 0 : stasis_vcpu_get_sregs(vcpu, &sregs, err);
    if (rc)
        return rc;
    from = synced ? &synced->sregs : &sregs;
    GET_COMMON
    to->pdptrs_valid = 0;
    memset(to->pdptrs, 0, sizeof(to->pdptrs));
    return 0;
}

static int sregs2_set(struct stasis_vcpu *vcpu, const struct stasis_x86_sregs_state *from,
                      struct stasis_error *err)
{
    struct kvm_sregs2 sregs = {.flags = 0}, *to = &sregs;

    SET_COMMON
    to->flags = from->pdptrs_valid ? KVM_SREGS2_FLAGS_PDPTRS_VALID : 0;
    memcpy(to->pdptrs, from->pdptrs, sizeof(to->pdptrs));
    return stasis_vcpu_set_sregs2(vcpu, to, err);
}

static int sregs_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_sregs_state *from = state;
    struct kvm_sregs sregs, *to = &sregs;

    if (vcpu->vm->kvm->has_sregs2)
        return sregs2_set(vcpu, from, err);
    /* interrupt_bitmap is for interrupt controllers in user space, which we never have. */
    memset(to, 0, sizeof(*to));
    SET_COMMON
    return stasis_vcpu_set_sregs(vcpu, to, err);
}

const struct stasis_arch_vcpu_record stasis_x86_sregs_part = {
    .schema = &stasis_x86_sregs_schema, .get = sregs_get, .set = sregs_set};

/* ---- extended control, debug, run state ---- */

#define XCR0_X87 1u

static int xcrs_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_xcrs_state *to = ret_state;
    struct kvm_xcrs xcrs = {.nr_xcrs = 0};
    int rc = 0;

    if (vcpu->vm->kvm->has_xcrs)
        rc = stasis_vcpu_get_xcrs(vcpu, &xcrs, err);
    if (rc)
        return rc;
    to->xcr0 = XCR0_X87; /* what a CPU without XSAVE, which lists none, amounts to */
    for (uint32_t i = 0; i < xcrs.nr_xcrs && i < KVM_MAX_XCRS; i++) {
        if (xcrs.xcrs[i].xcr != 0)
            return stasis_fail(err, STASIS_ERR_RANGE, "KVM lists XCR%u, which has no place",
                               xcrs.xcrs[i].xcr);
        to->xcr0 = xcrs.xcrs[i].value;
    }
    return 0;
}

static int xcrs_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_xcrs_state *from = state;
    struct kvm_xcrs xcrs = {.nr_xcrs = 1};

    if (!vcpu->vm->kvm->has_xcrs && from->xcr0 == XCR0_X87)
        return 0;
    if (!vcpu->vm->kvm->has_xcrs)
        return stasis_fail(err, STASIS_ERR_HOST,
                           "the guest has XCR0 = 0x%" PRIx64 ", and this host has no XSAVE",
                           from->xcr0);
    xcrs.xcrs[0].xcr = 0;
    xcrs.xcrs[0].value = from->xcr0;
    return stasis_vcpu_set_xcrs(vcpu, &xcrs, err);
}

const struct stasis_arch_vcpu_record stasis_x86_xcrs_part = {
    .schema = &stasis_x86_xcrs_schema, .get = xcrs_get, .set = xcrs_set};

static int debugregs_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_debugregs_state *to = ret_state;
    struct kvm_debugregs regs, *from = &regs;
    int rc = stasis_vcpu_get_debugregs(vcpu, from, err);

    if (rc)
        return rc;
    memcpy(to->db, from->db, sizeof(to->db));
    STASIS_X86_COPY(dr6)
    STASIS_X86_COPY(dr7)
    return 0;
}

static int debugregs_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_debugregs_state *from = state;
    struct kvm_debugregs regs = {.flags = 0}, *to = &regs;

    memcpy(to->db, from->db, sizeof(to->db));
    STASIS_X86_COPY(dr6)
    STASIS_X86_COPY(dr7)
    return stasis_vcpu_set_debugregs(vcpu, to, err);
}

const struct stasis_arch_vcpu_record stasis_x86_debugregs_part = {
    .schema = &stasis_x86_debugregs_schema, .get = debugregs_get, .set = debugregs_set};

static int mp_state_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_mp_state_state *to = ret_state;
    struct kvm_mp_state mp;
    int rc = stasis_vcpu_get_mp_state(vcpu, &mp, err);

    if (rc)
        return rc;
    to->mp_state = mp.mp_state;
    read_synced(vcpu);
    return 0;
}

static int mp_state_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_mp_state_state *from = state;
    struct kvm_mp_state mp = {.mp_state = from->mp_state};

    return stasis_vcpu_set_mp_state(vcpu, &mp, err);
}

const struct stasis_arch_vcpu_record stasis_x86_mp_state_part = {
    .schema = &stasis_x86_mp_state_schema, .get = mp_state_get, .set = mp_state_set};
