// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Preloaded into the vmm: its vCPUs' TSC runs half as fast again as the host's, for KVM's books at
// least (KVM_SET_TSC_KHZ takes a higher rate where the CPU cannot scale, too).
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

typedef int ioctl_function(int fd, unsigned long request, ...);

static void set_rate(ioctl_function *real, int vcpu)
{
    int khz = real(vcpu, KVM_GET_TSC_KHZ);
    if (khz <= 0 || real(vcpu, KVM_SET_TSC_KHZ, (void *)(uintptr_t)(khz + khz / 2)) != 0) {
        perror("KVM_SET_TSC_KHZ");
        exit(1);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    ioctl_function *real = (ioctl_function *)(uintptr_t)dlsym(RTLD_NEXT, "ioctl");
    va_list arguments;
    void *argument;
    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    int result = real(fd, request, argument);
    if (request == KVM_CREATE_VCPU && result >= 0) {
        set_rate(real, result);
    }
    return result;
}
