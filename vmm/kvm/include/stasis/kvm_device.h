/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Devices inside KVM, and attributes: of devices, of VMs and of vCPUs, by their descriptors.
 */
#ifndef STASIS_KVM_DEVICE_H
#define STASIS_KVM_DEVICE_H

#include "stasis/kvm_vm.h"

STASIS_BEGIN_DECLS

/* KVM_CREATE_DEVICE, for example KVM_DEV_TYPE_VFIO. *ret_fd is the caller's to close.
 * STASIS_ERR_UNAVAILABLE (ENODEV): KVM has no such device; STASIS_ERR_EXISTS (EEXIST,
 * EBUSY): the VM has one, and takes no second. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_device_create(const struct stasis_vm *vm,
                                                             uint32_t type, int *ret_fd,
                                                             struct stasis_error *err);
/* Whether KVM has such devices; nothing is made. */
STASIS_EXPORT bool stasis_kvm_device_exists(const struct stasis_vm *vm, uint32_t type);

/* KVM_HAS_DEVICE_ATTR: whether the attribute can be used on this descriptor. */
STASIS_EXPORT bool stasis_kvm_attr_has(int fd, uint32_t group, uint64_t attr);
/* `value` is what the attribute is documented to read or write (KVM devices). STASIS_ERR_NOT_FOUND
 * (ENXIO): there is no such attribute, or none on such a descriptor. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_attr_get(int fd, uint32_t group, uint64_t attr,
                                                        void *ret_value, struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_attr_set(int fd, uint32_t group, uint64_t attr,
                                                        const void *value,
                                                        struct stasis_error *err);

STASIS_END_DECLS

#endif
