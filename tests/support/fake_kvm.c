/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "fake_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#define RUN_SIZE    12288
#define OBJECT_SIZE (1 << 20) /* with the dirty ring of a vCPU behind its struct kvm_run */
#define TSC_KHZ     2000000

struct fake_kvm fake_kvm;

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __real_ioctl(int fd, unsigned long request, ...);
/* With 64-bit file offsets glibc calls open() by another name. */
int __wrap_open64(const char *path, int flags, ...) __attribute__((alias("__wrap_open")));
int __wrap_ioctl(int fd, unsigned long request, ...);

/* Something with a descriptor that can be mapped. */
static int new_object(void)
{
    int fd = memfd_create("kvm", MFD_CLOEXEC);

    return fd < 0 || !ftruncate(fd, OBJECT_SIZE) ? fd : -1;
}

static bool is_next(unsigned long request)
{
    if (fake_kvm.count < FAKE_KVM_CALLS_MAX)
        fake_kvm.calls[fake_kvm.count++] = request;
    if (!fake_kvm.fail_at || fake_kvm.count != fake_kvm.fail_at)
        return false;
    errno = fake_kvm.fail_errno ? fake_kvm.fail_errno : EIO;
    return true;
}

static bool is_turn(unsigned long request)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    bool is;

    pthread_mutex_lock(&lock);
    is = is_next(request);
    pthread_mutex_unlock(&lock);
    return is;
}

bool fake_kvm_fails_system(void)
{
    return fake_kvm.counts_system && is_turn(0);
}

int __wrap_open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    va_list args;

    if (!strcmp(path, fake_kvm.path ? fake_kvm.path : "/dev/kvm")) {
        if (fake_kvm_fails_system())
            return -1;
        if (!(fake_kvm.flaws & FAKE_KVM_NO_DEVICE))
            return new_object();
        errno = ENOENT;
        return -1;
    }
    va_start(args, flags);
    if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
        mode = va_arg(args, mode_t);
    va_end(args);
    return __real_open(path, flags, mode);
}

size_t fake_kvm_first(unsigned long request)
{
    for (size_t i = 0; i < fake_kvm.count; i++) {
        if (fake_kvm.calls[i] == request)
            return i;
    }
    return SIZE_MAX;
}

size_t fake_kvm_last(unsigned long request)
{
    for (size_t i = fake_kvm.count; i > 0; i--) {
        if (fake_kvm.calls[i - 1] == request)
            return i - 1;
    }
    return SIZE_MAX;
}

static bool has(unsigned flaw)
{
    return fake_kvm.flaws & flaw;
}

static int check_extension(unsigned long cap)
{
    switch (cap) {
    case KVM_CAP_XSAVE2:
        return has(FAKE_KVM_LARGE_XSAVE) ? 1 << 24 : has(FAKE_KVM_NO_XSAVE2) ? 0 : 4096;
    case KVM_CAP_SREGS2:
        return !has(FAKE_KVM_NO_SREGS2);
    case KVM_CAP_XCRS:
        return !has(FAKE_KVM_NO_XCRS);
    case KVM_CAP_EXCEPTION_PAYLOAD:
    case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
    case KVM_CAP_X86_SMM:
        return !has(FAKE_KVM_NO_EVENT_CAPS);
    case KVM_CAP_NR_MEMSLOTS:
        return 32764;
    case KVM_CAP_IRQ_ROUTING:
        return 4096;
    case KVM_CAP_DIRTY_LOG_RING:
    case KVM_CAP_DIRTY_LOG_RING_ACQ_REL:
        return 1 << 20;
    case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
        return 3;
    case KVM_CAP_TSC_CONTROL:
        return !has(FAKE_KVM_NO_TSC_CONTROL);
    case KVM_CAP_MAX_VCPUS:
        return has(FAKE_KVM_NO_MAX_VCPUS) ? 0 : has(FAKE_KVM_FEW_VCPUS) ? 8 : 1024;
    case KVM_CAP_NR_VCPUS:
        return has(FAKE_KVM_NO_NR_VCPUS) ? 0 : 2;
    case KVM_CAP_PIT2:
        return !has(FAKE_KVM_LACKS_A_CAP);
    default:
        return 1;
    }
}

/* XSAVE components in Intel's places (SDM 1, 13.4.1). */
static const uint32_t components[][3] = {
    {2, 256, 576},  {3, 64, 960},    {4, 64, 1024}, {5, 64, 1088},
    {6, 512, 1152}, {7, 1024, 1664}, {9, 8, 2688},
};

static int supported_cpuid(struct kvm_cpuid2 *cpuid)
{
    static const uint32_t functions[] = {0,          1,          2,          4,          6,
                                         7,          0xd,        0x40000000, 0x40000001, 0x80000000,
                                         0x80000001, 0x80000007, 0x80000008};
    uint32_t all = has(FAKE_KVM_FEW_FEATURES) ? 0 : UINT32_MAX, n = 0;

    if (has(FAKE_KVM_LONG_CPUID) && cpuid->nent < 1024) {
        errno = E2BIG;
        return -1;
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        cpuid->entries[n++] = (struct kvm_cpuid_entry2){
            .function = functions[i], .eax = all, .ebx = all, .ecx = all, .edx = all};
    for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++)
        cpuid->entries[n++] =
            (struct kvm_cpuid_entry2){.function = 0xd,
                                      .index = components[i][0],
                                      .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                                      .eax = has(FAKE_KVM_FEW_FEATURES) ? 0 : components[i][1],
                                      .ebx = components[i][2]};
    cpuid->nent = n;
    return 0;
}

static int msr_list(struct kvm_msr_list *list)
{
    static const uint32_t indices[] = {0x10,  0x11,  0x12,  0x3a,  0x174,
                                       0x175, 0x176, 0x1a0, 0x277, 0x6e0};
    uint32_t count = sizeof(indices) / sizeof(indices[0]);
    bool fits = list->nmsrs >= count;

    list->nmsrs = count;
    if (!fits) {
        errno = E2BIG;
        return -1;
    }
    memcpy(list->indices, indices, sizeof(indices));
    return 0;
}

static int set_msrs(const struct kvm_msrs *msrs)
{
    return has(FAKE_KVM_REFUSES_MSRS) ? (int)(msrs->nmsrs / 2) : (int)msrs->nmsrs;
}

/* The TSC offset is the one thing that is read back. */
static int device_attr(unsigned long request, const struct kvm_device_attr *attr)
{
    static uint64_t offset;
    uint64_t *at = (uint64_t *)(uintptr_t)attr->addr;

    if (has(FAKE_KVM_NO_TSC_OFFSET)) {
        errno = ENXIO;
        return -1;
    }
    if (request == KVM_SET_DEVICE_ATTR && !has(FAKE_KVM_DROPS_TSC_OFFSET))
        offset = *at;
    if (request == KVM_GET_DEVICE_ATTR)
        *at = offset;
    return 0;
}

static int answer(unsigned long request, void *arg)
{
    switch (request) {
    case KVM_GET_API_VERSION:
        return has(FAKE_KVM_OTHER_API) ? 11 : KVM_API_VERSION;
    case KVM_GET_VCPU_MMAP_SIZE:
        return RUN_SIZE;
    case KVM_CHECK_EXTENSION:
        return check_extension((unsigned long)(uintptr_t)arg);
    case KVM_CREATE_VM:
        fake_kvm.tsc_khz = 0;
        return new_object();
    case KVM_CREATE_VCPU:
        return new_object();
    case KVM_GET_SUPPORTED_CPUID:
    case KVM_GET_EMULATED_CPUID:
        return supported_cpuid(arg);
    case KVM_GET_MSR_INDEX_LIST:
    case KVM_GET_MSR_FEATURE_INDEX_LIST:
        return msr_list(arg);
    case KVM_GET_MSRS:
        return (int)((struct kvm_msrs *)arg)->nmsrs;
    case KVM_SET_MSRS:
        return set_msrs(arg);
    case KVM_GET_TSC_KHZ:
        if (fake_kvm.tsc_khz)
            return fake_kvm.tsc_khz;
        return has(FAKE_KVM_OTHER_TSC_RATE) ? TSC_KHZ * 2 : TSC_KHZ;
    case KVM_SET_TSC_KHZ:
        errno = EINVAL;
        if (has(FAKE_KVM_NO_TSC_CONTROL))
            return -1;
        fake_kvm.tsc_khz = (int)(uintptr_t)arg;
        return 0;
    case KVM_HAS_DEVICE_ATTR:
    case KVM_GET_DEVICE_ATTR:
    case KVM_SET_DEVICE_ATTR:
        return device_attr(request, arg);
    case KVM_GET_IRQCHIP:
        memset(&((struct kvm_irqchip *)arg)->chip, 0, sizeof(((struct kvm_irqchip *)arg)->chip));
        return 0;
    default:
        if (_IOC_DIR(request) == _IOC_READ)
            memset(arg, 0, _IOC_SIZE(request)); /* a state of fixed size */
        return 0;
    }
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    int result;
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (_IOC_TYPE(request) != KVMIO)
        return __real_ioctl(fd, request, arg);
    if (is_turn(request))
        return -1;
    if (fake_kvm.answer && fake_kvm.answer(request, arg, &result))
        return result;
    return answer(request, arg);
}
