/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What this VMM needs of a host's KVM, beyond what the library needs.
 */
#include "vmm/arch/arch.h"

static int check_caps(const struct stasis_kvm *kvm, struct stasis_error *err)
{
    static const struct {
        unsigned cap;
        const char *name;
    } required[] = {
        {KVM_CAP_IRQCHIP, "an in-kernel interrupt controller"},
        {KVM_CAP_PIT2, "an in-kernel PIT"},
        {KVM_CAP_USER_MEMORY, "user memory slots"},
        {KVM_CAP_IMMEDIATE_EXIT, "immediate_exit"},
        {KVM_CAP_ADJUST_CLOCK, "a settable kvmclock"},
        {KVM_CAP_XSAVE, "XSAVE state"},
        {KVM_CAP_DEBUGREGS, "debug register state"},
        {KVM_CAP_VCPU_EVENTS, "vCPU event state"},
        {KVM_CAP_MP_STATE, "MP state"},
        {KVM_CAP_GET_TSC_KHZ, "the TSC rate"},
    };

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (!stasis_kvm_cap(kvm->fd, required[i].cap))
            return stasis_fail(err, STASIS_ERR_UNAVAILABLE, "/dev/kvm lacks %s; use a newer kernel",
                               required[i].name);
    }
    return 0;
}

int stasis_arch_open_kvm(struct stasis_kvm *ret_kvm, struct stasis_error *err)
{
    struct stasis_kvm kvm;
    int rc = stasis_kvm_open(&kvm, err);

    if (rc)
        return rc;
    rc = check_caps(&kvm, err);
    if (rc)
        stasis_kvm_close(&kvm);
    else
        *ret_kvm = kvm;
    return rc;
}
