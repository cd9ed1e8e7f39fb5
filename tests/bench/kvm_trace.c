/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "bench/kvm_trace.h"

#include <string.h>
#include <sys/ioctl.h>

#define ROW(name)                                                                                  \
    {                                                                                              \
        name, #name, 0, 0                                                                          \
    }
#define LIST(name, head, item)                                                                     \
    {                                                                                              \
        name, #name, sizeof(head), sizeof(item)                                                    \
    }

/* `item` is not 0 where a list follows: its count is the structure's first word. */
static const struct {
    unsigned long request;
    const char *name;
    size_t head;
    size_t item;
} rows[] = {
    ROW(KVM_CHECK_EXTENSION),
    ROW(KVM_CREATE_IRQCHIP),
    ROW(KVM_CREATE_PIT2),
    ROW(KVM_CREATE_VCPU),
    ROW(KVM_CREATE_VM),
    ROW(KVM_ENABLE_CAP),
    ROW(KVM_GET_CLOCK),
    ROW(KVM_GET_DEBUGREGS),
    ROW(KVM_GET_DEVICE_ATTR),
    ROW(KVM_GET_IRQCHIP),
    ROW(KVM_GET_LAPIC),
    ROW(KVM_GET_MP_STATE),
    ROW(KVM_GET_PIT2),
    ROW(KVM_GET_REGS),
    ROW(KVM_GET_SREGS),
    ROW(KVM_GET_SREGS2),
    ROW(KVM_GET_TSC_KHZ),
    ROW(KVM_GET_VCPU_EVENTS),
    ROW(KVM_GET_XCRS),
    ROW(KVM_GET_XSAVE),
    ROW(KVM_GET_XSAVE2),
    ROW(KVM_KVMCLOCK_CTRL),
    ROW(KVM_RUN),
    LIST(KVM_GET_MSRS, struct kvm_msrs, struct kvm_msr_entry),
    LIST(KVM_GET_MSR_INDEX_LIST, struct kvm_msr_list, uint32_t),
    LIST(KVM_GET_SUPPORTED_CPUID, struct kvm_cpuid2, struct kvm_cpuid_entry2),
    LIST(KVM_SET_CPUID2, struct kvm_cpuid2, struct kvm_cpuid_entry2),
    LIST(KVM_SET_MSRS, struct kvm_msrs, struct kvm_msr_entry),
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

size_t kvm_trace_len(unsigned long request, const void *arg)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        uint32_t count;

        if (rows[i].request != request || !rows[i].item)
            continue;
        memcpy(&count, arg, sizeof(count));
        return rows[i].head + count * rows[i].item;
    }
    return _IOC_DIR(request) == _IOC_NONE ? 0 : _IOC_SIZE(request);
}

const char *kvm_trace_name(unsigned long request)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (rows[i].request == request)
            return rows[i].name;
    }
    return "an ioctl";
}
