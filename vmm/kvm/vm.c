/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_vm.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

int stasis_vm_create(struct stasis_vm *vm, const struct stasis_kvm *kvm,
                     const struct stasis_memory *memory, struct stasis_error *err)
{
    *vm = (struct stasis_vm){.kvm = kvm, .memory = memory};
    vm->fd = stasis_kvm_ioctl(kvm->fd, KVM_CREATE_VM, NULL);
    if (vm->fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "KVM cannot make a VM%s",
                                 errno == EBUSY ? "; is another hypervisor using the CPU?" : "");
    return 0;
}

void stasis_vm_fini(struct stasis_vm *vm)
{
    if (vm->fd >= 0)
        close(vm->fd);
    vm->fd = -1;
}

int stasis_vm_add_memory(struct stasis_vm *vm, struct stasis_error *err)
{
    for (uint32_t i = 0; i < vm->memory->region_count; i++) {
        const struct stasis_memory_region *region = &vm->memory->regions[i];
        struct kvm_userspace_memory_region slot = {
            .slot = i,
            .guest_phys_addr = region->gpa,
            .memory_size = region->size,
            .userspace_addr = (uintptr_t)region->host,
        };

        if (stasis_kvm_ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
            return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                     "KVM does not take %" PRIu64 " MiB of RAM at 0x%" PRIx64
                                     "; give less by --memory size_mib=N",
                                     region->size >> 20, region->gpa);
    }
    return 0;
}

void stasis_vm_set_irq(const struct stasis_vm *vm, uint32_t gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    if (gsi != STASIS_GSI_NONE)
        (void)stasis_kvm_ioctl(vm->fd, KVM_IRQ_LINE, &line);
}
