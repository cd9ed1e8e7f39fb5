/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_device.h"

#include <inttypes.h>

#include "fail.h"

int stasis_kvm_device_create(const struct stasis_vm *vm, uint32_t type, int *ret_fd,
                             struct stasis_error *err)
{
    struct kvm_create_device device = {.type = type};

    if (stasis_kvm_ioctl(vm->fd, KVM_CREATE_DEVICE, &device) == 0) {
        *ret_fd = (int)device.fd;
        return 0;
    }
    switch (errno) {
    case ENODEV:
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "a KVM device of type %" PRIu32,
                                 type);
    case EEXIST:
    case EBUSY:
        return stasis_fail_errno(err, STASIS_ERR_EXISTS, "a second KVM device of type %" PRIu32,
                                 type);
    default:
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_CREATE_DEVICE of type %" PRIu32, type);
    }
}

bool stasis_kvm_device_exists(const struct stasis_vm *vm, uint32_t type)
{
    struct kvm_create_device device = {.type = type, .flags = KVM_CREATE_DEVICE_TEST};

    return stasis_kvm_ioctl(vm->fd, KVM_CREATE_DEVICE, &device) == 0;
}

bool stasis_kvm_attr_has(int fd, uint32_t group, uint64_t attr)
{
    struct kvm_device_attr device_attr = {.group = group, .attr = attr};

    return stasis_kvm_ioctl(fd, KVM_HAS_DEVICE_ATTR, &device_attr) == 0;
}

static int call(int fd, unsigned long request, const struct kvm_device_attr *attr,
                struct stasis_error *err)
{
    struct kvm_device_attr own = *attr;

    if (stasis_kvm_ioctl(fd, request, &own) == 0)
        return 0;
    return stasis_fail_errno(err, errno == ENXIO ? STASIS_ERR_NOT_FOUND : STASIS_ERR_KVM,
                             "KVM attribute %" PRIu32 ":%" PRIu64, own.group, (uint64_t)own.attr);
}

int stasis_kvm_attr_get(int fd, uint32_t group, uint64_t attr, void *ret_value,
                        struct stasis_error *err)
{
    const struct kvm_device_attr device_attr = {
        .group = group, .attr = attr, .addr = (uintptr_t)ret_value};

    return call(fd, KVM_GET_DEVICE_ATTR, &device_attr, err);
}

int stasis_kvm_attr_set(int fd, uint32_t group, uint64_t attr, const void *value,
                        struct stasis_error *err)
{
    const struct kvm_device_attr device_attr = {
        .group = group, .attr = attr, .addr = (uintptr_t)value};

    return call(fd, KVM_SET_DEVICE_ATTR, &device_attr, err);
}
