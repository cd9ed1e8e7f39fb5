/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Exceptions, interrupts and NMIs in flight (KVM api.rst, 4.31 and 4.32).
 */
#include "vmm/arch/x86/x86.h"

/* Our names against KVM's. */
#define EVENTS(X)                                                                                  \
    X(exception_injected, exception.injected)                                                      \
    X(exception_nr, exception.nr)                                                                  \
    X(exception_has_error_code, exception.has_error_code)                                          \
    X(exception_pending, exception.pending)                                                        \
    X(exception_error_code, exception.error_code)                                                  \
    X(exception_has_payload, exception_has_payload)                                                \
    X(exception_payload, exception_payload)                                                        \
    X(interrupt_injected, interrupt.injected)                                                      \
    X(interrupt_nr, interrupt.nr)                                                                  \
    X(interrupt_soft, interrupt.soft)                                                              \
    X(interrupt_shadow, interrupt.shadow)                                                          \
    X(nmi_injected, nmi.injected)                                                                  \
    X(nmi_pending, nmi.pending)                                                                    \
    X(nmi_masked, nmi.masked)                                                                      \
    X(sipi_vector, sipi_vector)                                                                    \
    X(smi_smm, smi.smm)                                                                            \
    X(smi_pending, smi.pending)                                                                    \
    X(smi_inside_nmi, smi.smm_inside_nmi)                                                          \
    X(smi_latched_init, smi.latched_init)                                                          \
    X(triple_fault_pending, triple_fault.pending)

/* Fields that mean nothing now may hold what an earlier event left: equal states are to be equal
 * bytes, so those become zero. */
static void drop_stale(struct stasis_x86_events_state *events)
{
    if (!events->exception_injected && !events->exception_pending) {
        events->exception_nr = 0;
        events->exception_has_error_code = 0;
        events->exception_has_payload = 0;
    }
    if (!events->exception_has_error_code)
        events->exception_error_code = 0;
    if (!events->exception_has_payload)
        events->exception_payload = 0;
    if (!events->interrupt_injected) {
        events->interrupt_nr = 0;
        events->interrupt_soft = 0;
    }
}

static int events_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_events_state *to = ret_state;
    const struct kvm_sync_regs *synced = stasis_x86_synced(vcpu);
    struct kvm_vcpu_events events = {.flags = 0};
    int rc = synced ? 0 : stasis_vcpu_get_events(vcpu, &events, err);

    if (rc)
        return rc;
    if (synced)
        events = synced->events;
#define GET(ours, kvms)                                                                            \
    _Static_assert(sizeof(to->ours) == sizeof(events.kvms), #ours " differs in width");            \
    to->ours = events.kvms;
    EVENTS(GET)
#undef GET
    drop_stale(to);
    return 0;
}

static int events_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_events_state *from = state;
    const struct stasis_kvm *kvm = vcpu->vm->kvm;
    struct kvm_vcpu_events events = {.flags = KVM_VCPUEVENT_VALID_NMI_PENDING |
                                              KVM_VCPUEVENT_VALID_SIPI_VECTOR |
                                              KVM_VCPUEVENT_VALID_SHADOW};

#define SET(ours, kvms) events.kvms = from->ours;
    EVENTS(SET)
#undef SET
    if (kvm->has_smm)
        events.flags |= KVM_VCPUEVENT_VALID_SMM;
    else if (from->smi_smm || from->smi_pending)
        return stasis_fail(err, STASIS_ERR_HOST,
                           "the guest is in SMM, which this host's KVM lacks");
    if (kvm->has_exception_payload)
        events.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
    else if (from->exception_pending)
        return stasis_fail(err, STASIS_ERR_HOST,
                           "an exception is pending, which this host's KVM cannot restore");
    if (kvm->has_triple_fault_event)
        events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    else if (from->triple_fault_pending)
        return stasis_fail(err, STASIS_ERR_HOST,
                           "a triple fault is pending, which this host's KVM cannot restore");
    return stasis_vcpu_set_events(vcpu, &events, err);
}

const struct stasis_arch_vcpu_record stasis_x86_events_part = {
    .schema = &stasis_x86_events_schema, .get = events_get, .set = events_set};
