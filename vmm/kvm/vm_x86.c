/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_x86.h"

#include <inttypes.h>

#include "fail.h"

/* Of the kernel of ChromeOS; others say 0. */
#define CAP_IOAPIC_NUM_PINS 8191u
#define PINS_MAX            120u

/* ---- chips ---- */

static int check_pic(uint32_t chip, struct stasis_error *err)
{
    if (chip != KVM_IRQCHIP_PIC_MASTER && chip != KVM_IRQCHIP_PIC_SLAVE)
        return STASIS_REFUSE(err, EINVAL, STASIS_ERR_RANGE, "there is no PIC %" PRIu32, chip);
    return 0;
}

int stasis_vm_get_pic(const struct stasis_vm *vm, uint32_t chip, struct kvm_pic_state *ret_state,
                      struct stasis_error *err)
{
    struct kvm_irqchip irqchip = {.chip_id = chip};
    int rc = check_pic(chip, err);

    if (!rc)
        rc = STASIS_KVM(vm->fd, KVM_GET_IRQCHIP, &irqchip, err);
    if (!rc)
        *ret_state = irqchip.chip.pic;
    return rc;
}

int stasis_vm_set_pic(const struct stasis_vm *vm, uint32_t chip, const struct kvm_pic_state *state,
                      struct stasis_error *err)
{
    struct kvm_irqchip irqchip = {.chip_id = chip, .chip.pic = *state};
    int rc = check_pic(chip, err);

    return rc ? rc : STASIS_KVM(vm->fd, KVM_SET_IRQCHIP, &irqchip, err);
}

int stasis_vm_get_ioapic(const struct stasis_vm *vm, struct kvm_ioapic_state *ret_state,
                         struct stasis_error *err)
{
    struct kvm_irqchip irqchip = {.chip_id = KVM_IRQCHIP_IOAPIC};
    int rc = STASIS_KVM(vm->fd, KVM_GET_IRQCHIP, &irqchip, err);

    if (!rc)
        *ret_state = irqchip.chip.ioapic;
    return rc;
}

int stasis_vm_set_ioapic(const struct stasis_vm *vm, const struct kvm_ioapic_state *state,
                         struct stasis_error *err)
{
    struct kvm_irqchip irqchip = {.chip_id = KVM_IRQCHIP_IOAPIC, .chip.ioapic = *state};

    return STASIS_KVM(vm->fd, KVM_SET_IRQCHIP, &irqchip, err);
}

int stasis_vm_get_pit(const struct stasis_vm *vm, struct kvm_pit_state2 *ret_state,
                      struct stasis_error *err)
{
    struct kvm_pit_state2 state;
    int rc = STASIS_KVM(vm->fd, KVM_GET_PIT2, &state, err);

    if (!rc)
        *ret_state = state;
    return rc;
}

int stasis_vm_set_pit(const struct stasis_vm *vm, const struct kvm_pit_state2 *state,
                      struct stasis_error *err)
{
    struct kvm_pit_state2 own = *state;

    return STASIS_KVM(vm->fd, KVM_SET_PIT2, &own, err);
}

uint32_t stasis_vm_ioapic_pins(const struct stasis_vm *vm)
{
    uint32_t pins = (uint32_t)stasis_vm_cap(vm, CAP_IOAPIC_NUM_PINS);

    if (pins < KVM_IOAPIC_NUM_PINS)
        return KVM_IOAPIC_NUM_PINS;
    return pins < PINS_MAX ? pins : PINS_MAX;
}

/* ---- time ---- */

int stasis_vm_get_clock(const struct stasis_vm *vm, struct kvm_clock_data *ret_clock,
                        struct stasis_error *err)
{
    struct kvm_clock_data clock = {.flags = 0};
    int rc = STASIS_KVM(vm->fd, KVM_GET_CLOCK, &clock, err);

    if (!rc)
        *ret_clock = clock;
    return rc;
}

int stasis_vm_set_clock(const struct stasis_vm *vm, const struct kvm_clock_data *clock,
                        struct stasis_error *err)
{
    struct kvm_clock_data own = {.clock = clock->clock,
                                 .flags = clock->flags & KVM_CLOCK_REALTIME,
                                 .realtime = clock->realtime};

    if (own.flags)
        own.flags &= (uint32_t)stasis_vm_cap(vm, KVM_CAP_ADJUST_CLOCK);
    return STASIS_KVM(vm->fd, KVM_SET_CLOCK, &own, err);
}

int stasis_vm_set_tsc_khz(const struct stasis_vm *vm, uint32_t khz, struct stasis_error *err)
{
    if (!stasis_vm_cap(vm, KVM_CAP_VM_TSC_CONTROL))
        return STASIS_REFUSE(err, ENOTTY, STASIS_ERR_UNAVAILABLE,
                             "this KVM has no TSC rate of a VM: set each vCPU's");
    if (stasis_kvm_ioctl(vm->fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)khz) < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_SET_TSC_KHZ of %" PRIu32, khz);
    return 0;
}

/* ---- pages ---- */

int stasis_vm_set_tss_addr(const struct stasis_vm *vm, uint64_t address, struct stasis_error *err)
{
    return STASIS_KVM(vm->fd, KVM_SET_TSS_ADDR, (void *)(uintptr_t)address, err);
}

int stasis_vm_set_identity_map_addr(const struct stasis_vm *vm, uint64_t address,
                                    struct stasis_error *err)
{
    return STASIS_KVM(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &address, err);
}
