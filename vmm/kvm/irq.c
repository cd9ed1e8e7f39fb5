/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_irq.h"

#include <inttypes.h>

#include "fail.h"

/* ---- controllers ---- */

int stasis_vm_create_irqchip(const struct stasis_vm *vm, struct stasis_error *err)
{
    if (stasis_kvm_ioctl(vm->fd, KVM_CREATE_IRQCHIP, NULL) == 0)
        return 0;
    if (errno == EEXIST)
        return stasis_fail_errno(err, STASIS_ERR_EXISTS, "the VM has interrupt controllers");
    return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_CREATE_IRQCHIP");
}

int stasis_vm_create_split_irqchip(const struct stasis_vm *vm, uint32_t pins,
                                   struct stasis_error *err)
{
    const uint64_t args[4] = {pins};
    int rc = stasis_vm_enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, args, err);

    if (rc == STASIS_ERR_KVM && errno == EEXIST)
        return stasis_fail_errno(err, STASIS_ERR_EXISTS, "the VM has interrupt controllers");
    return rc ? stasis_wrap(err, rc, "interrupt controllers outside the kernel") : 0;
}

int stasis_vm_create_pit(const struct stasis_vm *vm, uint32_t flags, struct stasis_error *err)
{
    struct kvm_pit_config config = {.flags = flags};

    if (stasis_kvm_ioctl(vm->fd, KVM_CREATE_PIT2, &config) == 0)
        return 0;
    switch (errno) {
    case ENOENT:
        return stasis_fail_errno(err, STASIS_ERR_NOT_FOUND,
                                 "the PIT needs interrupt controllers in the kernel");
    case EEXIST:
        return stasis_fail_errno(err, STASIS_ERR_EXISTS, "the VM has a PIT");
    default:
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_CREATE_PIT2");
    }
}

/* ---- lines ---- */

int stasis_vm_irq_line(const struct stasis_vm *vm, uint32_t gsi, bool level,
                       struct stasis_error *err)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    return STASIS_KVM(vm->fd, KVM_IRQ_LINE, &line, err);
}

int stasis_vm_irq_line_status(const struct stasis_vm *vm, uint32_t gsi, bool level, int *ret_status,
                              struct stasis_error *err)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};
    int rc = STASIS_KVM(vm->fd, KVM_IRQ_LINE_STATUS, &line, err);

    if (!rc)
        *ret_status = line.status;
    return rc;
}

void stasis_vm_set_irq(const struct stasis_vm *vm, uint32_t gsi, bool level)
{
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    if (gsi != STASIS_GSI_NONE)
        (void)stasis_kvm_ioctl(vm->fd, KVM_IRQ_LINE, &line);
}

int stasis_vm_signal_msi(const struct stasis_vm *vm, uint64_t address, uint32_t data,
                         bool *ret_delivered, struct stasis_error *err)
{
    struct kvm_msi msi = {
        .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data};
    int delivered = stasis_kvm_ioctl(vm->fd, KVM_SIGNAL_MSI, &msi);

    if (delivered < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_SIGNAL_MSI");
    *ret_delivered = delivered > 0;
    return 0;
}

/* ---- irqfd ---- */

static int call_irqfd(const struct stasis_vm *vm, struct kvm_irqfd *irqfd, struct stasis_error *err)
{
    if (stasis_kvm_ioctl(vm->fd, KVM_IRQFD, irqfd) == 0)
        return 0;
    switch (errno) {
    case EBUSY:
        return stasis_fail_errno(err, STASIS_ERR_EXISTS, "the descriptor raises a line already");
    case EBADF:
        return stasis_fail_errno(err, STASIS_ERR_ARG, "a descriptor for interrupt line %" PRIu32,
                                 irqfd->gsi);
    default:
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_IRQFD of line %" PRIu32, irqfd->gsi);
    }
}

int stasis_irqfd_assign(const struct stasis_vm *vm, uint32_t gsi, int fd, struct stasis_error *err)
{
    struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi};

    return call_irqfd(vm, &irqfd, err);
}

int stasis_irqfd_assign_resample(const struct stasis_vm *vm, uint32_t gsi, int fd, int resample_fd,
                                 struct stasis_error *err)
{
    struct kvm_irqfd irqfd = {.fd = (uint32_t)fd,
                              .gsi = gsi,
                              .flags = KVM_IRQFD_FLAG_RESAMPLE,
                              .resamplefd = (uint32_t)resample_fd};

    if (!stasis_vm_cap(vm, KVM_CAP_IRQFD_RESAMPLE))
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_UNAVAILABLE,
                             "this KVM does not say when a line's interrupt has ended");
    return call_irqfd(vm, &irqfd, err);
}

int stasis_irqfd_deassign(const struct stasis_vm *vm, uint32_t gsi, int fd,
                          struct stasis_error *err)
{
    struct kvm_irqfd irqfd = {.fd = (uint32_t)fd, .gsi = gsi, .flags = KVM_IRQFD_FLAG_DEASSIGN};

    return call_irqfd(vm, &irqfd, err);
}
