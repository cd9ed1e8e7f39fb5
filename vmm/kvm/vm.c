/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_vm.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "fail.h"

#define RING_SIZE     UINT32_C(0x10000)
#define RING_SIZE_MIN UINT32_C(0x1000) /* KVM api.rst, 8.29 */
/* KVM keeps 64 entries in reserve, and 512 more where the CPU logs modified pages. */
#define RING_SIZE_SURE UINT32_C(0x4000)

/* ---- making ---- */

static int check_type(const struct stasis_kvm *kvm, unsigned long type, struct stasis_error *err)
{
    if (type >= 32 || !(stasis_kvm_vm_types(kvm) >> type & 1))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_UNAVAILABLE,
                             "this KVM makes no VMs of type %lu (%s)", type,
                             stasis_kvm_vm_type_name(type));
    return 0;
}

static int enable_manual_log(struct stasis_vm *vm, struct stasis_error *err)
{
    const uint64_t args[4] = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE};
    int rc = stasis_vm_enable_cap(vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, args, err);

    if (rc)
        return stasis_wrap(err, rc, "clearing dirty logs in parts");
    vm->dirty_manual = true;
    return 0;
}

/* The capability with the order of accesses in its contract, where KVM has it (Linux 6.1). */
static unsigned ring_cap(const struct stasis_vm *vm)
{
    return stasis_vm_cap(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL) ? KVM_CAP_DIRTY_LOG_RING_ACQ_REL
                                                             : KVM_CAP_DIRTY_LOG_RING;
}

static int enable_ring(struct stasis_vm *vm, uint32_t size, struct stasis_error *err)
{
    unsigned cap = ring_cap(vm);
    uint32_t max = (uint32_t)stasis_vm_cap(vm, cap);
    const uint64_t args[4] = {size ? size : RING_SIZE};
    int rc;

    if (size & (size - 1) || (size && size < RING_SIZE_MIN))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                             "a dirty ring of %" PRIu32
                             " bytes: the size is a power of two, and at least 4096",
                             size);
    if (max && args[0] > max)
        return STASIS_REFUSE(err, E2BIG, STASIS_ERR_RANGE,
                             "a dirty ring of %" PRIu64 " bytes: this KVM's largest has %" PRIu32,
                             args[0], max);
    rc = stasis_vm_enable_cap(vm, cap, args, err);
    if (rc == STASIS_ERR_KVM && errno == EINVAL && size && size < RING_SIZE_SURE)
        return stasis_fail_errno(err, STASIS_ERR_RANGE,
                                 "a dirty ring of %" PRIu32
                                 " bytes is too small for this KVM; use 16 KiB or more",
                                 size);
    if (rc)
        return stasis_wrap(err, rc, "dirty rings");
    vm->dirty_ring_size = (uint32_t)args[0];
    return 0;
}

static int enable_dirty(struct stasis_vm *vm, const struct stasis_vm_config *config,
                        struct stasis_error *err)
{
    vm->dirty = config->dirty;
    if (config->dirty == STASIS_DIRTY_RING)
        return enable_ring(vm, config->dirty_ring_size, err);
    if (config->dirty == STASIS_DIRTY_LOG && config->dirty_manual)
        return enable_manual_log(vm, err);
    return 0;
}

int stasis_vm_create(struct stasis_vm *vm, const struct stasis_kvm *kvm,
                     const struct stasis_vm_config *config, struct stasis_error *err)
{
    static const struct stasis_vm_config standard = {.type = 0};
    int rc;

    if (!config)
        config = &standard;
    *vm = (struct stasis_vm){.fd = -1, .kvm = kvm};
    rc = check_type(kvm, config->type, err);
    if (rc)
        return rc;
    vm->fd = stasis_kvm_ioctl(kvm->fd, KVM_CREATE_VM, (void *)(uintptr_t)config->type);
    if (vm->fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "KVM cannot make a VM%s",
                                 errno == EBUSY ? "; is another hypervisor using the CPU?" : "");
    rc = enable_dirty(vm, config, err);
    if (rc)
        stasis_vm_fini(vm);
    return rc;
}

int stasis_vm_dup(const struct stasis_vm *vm, struct stasis_vm *ret_vm, struct stasis_error *err)
{
    int fd = fcntl(vm->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "duplicating the handle of a VM");
    *ret_vm = *vm;
    ret_vm->fd = fd;
    return 0;
}

void stasis_vm_fini(struct stasis_vm *vm)
{
    if (vm->fd >= 0)
        close(vm->fd);
    vm->fd = -1;
}

/* ---- capabilities ---- */

int stasis_vm_cap(const struct stasis_vm *vm, unsigned cap)
{
    return stasis_kvm_cap(vm->fd, cap);
}

int stasis_vm_enable_cap(const struct stasis_vm *vm, unsigned cap, const uint64_t *args,
                         struct stasis_error *err)
{
    if (!stasis_vm_cap(vm, cap))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_UNAVAILABLE,
                             "this KVM lacks capability %u; use a newer kernel", cap);
    return stasis_kvm_enable_cap(vm->fd, cap, args, err);
}

int stasis_vm_set_boot_cpu(const struct stasis_vm *vm, uint32_t id, struct stasis_error *err)
{
    if (stasis_kvm_ioctl(vm->fd, KVM_SET_BOOT_CPU_ID, (void *)(uintptr_t)id) == 0)
        return 0;
    if (errno == EBUSY)
        return stasis_fail_errno(err, STASIS_ERR_EXISTS,
                                 "vCPU %" PRIu32 " cannot become the first: a vCPU was made", id);
    return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_SET_BOOT_CPU_ID");
}
