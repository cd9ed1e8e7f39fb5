/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Far above what any kernel lists; the kernel never asks for more (E2BIG names the true count). */
#define LIST_MAX 4096u

int stasis_kvm_ioctl(int fd, unsigned long request, void *arg)
{
    int rc;

    do {
        rc = ioctl(fd, request, arg);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

int stasis_kvm_call(int fd, unsigned long request, const char *name, void *arg,
                    struct stasis_error *err)
{
    if (stasis_kvm_ioctl(fd, request, arg) < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "%s", name);
    return 0;
}

int stasis_kvm_cap(int fd, unsigned cap)
{
    int value = stasis_kvm_ioctl(fd, KVM_CHECK_EXTENSION, (void *)(uintptr_t)cap);

    return value < 0 ? 0 : value;
}

static int require_caps(int fd, struct stasis_error *err)
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
        if (!stasis_kvm_cap(fd, required[i].cap))
            return stasis_fail(err, STASIS_ERR_UNAVAILABLE, "/dev/kvm lacks %s; use a newer kernel",
                               required[i].name);
    }
    return 0;
}

static int open_device(struct stasis_error *err)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (fd >= 0)
        return fd;
    switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "no /dev/kvm: enable virtualization in the firmware and load "
                                 "kvm_intel or kvm_amd");
    case EACCES:
    case EPERM:
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "/dev/kvm may not be opened: join the group kvm, or run as root");
    default:
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "/dev/kvm does not open");
    }
}

static int check_device(struct stasis_kvm *kvm, struct stasis_error *err)
{
    int version = stasis_kvm_ioctl(kvm->fd, KVM_GET_API_VERSION, NULL);
    int run_size;

    if (version != KVM_API_VERSION)
        return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                           "/dev/kvm answers API version %d, not %d: is it KVM?", version,
                           KVM_API_VERSION);
    run_size = stasis_kvm_ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
    if (run_size < (int)sizeof(struct kvm_run))
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_VCPU_MMAP_SIZE gives %d", run_size);
    kvm->run_size = (size_t)run_size;
    return require_caps(kvm->fd, err);
}

static int read_cpuid(struct stasis_kvm *kvm, struct stasis_error *err)
{
    for (uint32_t n = 256; n <= LIST_MAX; n *= 2) {
        struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));

        if (!cpuid)
            return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the CPUID table");
        cpuid->nent = n;
        if (!stasis_kvm_ioctl(kvm->fd, KVM_GET_SUPPORTED_CPUID, cpuid)) {
            kvm->cpuid = cpuid;
            return 0;
        }
        free(cpuid);
        if (errno != E2BIG)
            break;
    }
    return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_SUPPORTED_CPUID");
}

int stasis_kvm_open(struct stasis_kvm *ret_kvm, struct stasis_error *err)
{
    struct stasis_kvm kvm = {.fd = open_device(err)};
    int rc;

    if (kvm.fd < 0)
        return kvm.fd;
    rc = check_device(&kvm, err);
    if (!rc)
        rc = read_cpuid(&kvm, err);
    if (rc) {
        close(kvm.fd);
        return rc;
    }
    kvm.has_sregs2 = stasis_kvm_cap(kvm.fd, KVM_CAP_SREGS2);
    kvm.has_exception_payload = stasis_kvm_cap(kvm.fd, KVM_CAP_EXCEPTION_PAYLOAD);
#ifdef KVM_CAP_X86_TRIPLE_FAULT_EVENT
    kvm.has_triple_fault_event = stasis_kvm_cap(kvm.fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT);
#endif
    kvm.has_xcrs = stasis_kvm_cap(kvm.fd, KVM_CAP_XCRS);
    kvm.has_pmu_switch =
        (unsigned)stasis_kvm_cap(kvm.fd, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE;
    kvm.has_smm = stasis_kvm_cap(kvm.fd, KVM_CAP_X86_SMM);
    kvm.has_tsc_deadline = stasis_kvm_cap(kvm.fd, KVM_CAP_TSC_DEADLINE_TIMER);
    kvm.has_tsc_control = stasis_kvm_cap(kvm.fd, KVM_CAP_TSC_CONTROL);
    *ret_kvm = kvm;
    return 0;
}

void stasis_kvm_close(struct stasis_kvm *kvm)
{
    if (kvm->fd >= 0)
        close(kvm->fd);
    kvm->fd = -1;
    free(kvm->cpuid);
    kvm->cpuid = NULL;
}

int stasis_kvm_msr_list(const struct stasis_kvm *kvm, struct kvm_msr_list **ret_list,
                        struct stasis_error *err)
{
    struct kvm_msr_list probe = {.nmsrs = 0};
    struct kvm_msr_list *list;

    /* With no room the kernel answers E2BIG and the true count. */
    if (stasis_kvm_ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, &probe) < 0 &&
        (errno != E2BIG || probe.nmsrs > LIST_MAX))
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_MSR_INDEX_LIST");
    list = calloc(1, sizeof(*list) + probe.nmsrs * sizeof(list->indices[0]));
    if (!list)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the MSR list");
    list->nmsrs = probe.nmsrs;
    if (stasis_kvm_ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, list) < 0) {
        free(list);
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_MSR_INDEX_LIST");
    }
    *ret_list = list;
    return 0;
}
