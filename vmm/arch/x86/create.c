/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What a VM and its vCPUs are made of on x86, in the order KVM asks for (api.rst, 4.24, 4.36, 4.60,
 * 4.71), and the boards that can be built.
 */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stasis/kvm_device.h"
#include "stasis/kvm_irq.h"
#include "stasis/kvm_x86.h"
#include "vmm/arch/x86/x86.h"

/* Three pages for KVM's own use on Intel CPUs without unrestricted guest, and one for its identity
 * map (KVM api.rst, 4.36 and 4.60): in the gap, below where firmware would be. */
#define TSS_ADDR          UINT64_C(0xfffbd000)
#define IDENTITY_MAP_ADDR UINT64_C(0xfffbc000)

const uint32_t stasis_arch_number = EM_X86_64;
const char stasis_arch_name[] = "x86-64";

void stasis_arch_board_init(struct stasis_board_state *board)
{
    board->tss_addr = TSS_ADDR;
    board->identity_map_addr = IDENTITY_MAP_ADDR;
}

int stasis_arch_board_check(const struct stasis_board_state *board, struct stasis_error *err)
{
    if (board->vcpus > STASIS_VCPUS_MAX)
        return stasis_fail(err, STASIS_ERR_VERSION,
                           "the board has %" PRIu32 " vCPUs, this release builds %d", board->vcpus,
                           STASIS_VCPUS_MAX);
    if (!stasis_cpu_model_find(board->cpu_model))
        return stasis_fail(err, STASIS_ERR_VERSION, "the board has the unknown CPU model \"%s\"",
                           board->cpu_model);
    return 0;
}

/* Pending exceptions with their payload, and triple faults, are part of a vCPU's state only once
 * asked for (KVM api.rst, 7.16, 7.32). AMD's first performance counters have no CPUID bit that
 * could hide them (8.35). */
static int enable_caps(struct stasis_vm *vm, struct stasis_error *err)
{
    static const uint64_t on[4] = {1}, no_pmu[4] = {KVM_PMU_CAP_DISABLE};
    int rc = 0;

    if (vm->kvm->has_exception_payload)
        rc = stasis_kvm_enable_cap(vm->fd, KVM_CAP_EXCEPTION_PAYLOAD, on, err);
    if (!rc && vm->kvm->has_pmu_switch)
        rc = stasis_kvm_enable_cap(vm->fd, KVM_CAP_PMU_CAPABILITY, no_pmu, err);
#ifdef KVM_CAP_X86_TRIPLE_FAULT_EVENT
    if (!rc && vm->kvm->has_triple_fault_event)
        rc = stasis_kvm_enable_cap(vm->fd, KVM_CAP_X86_TRIPLE_FAULT_EVENT, on, err);
#endif
    return rc;
}

int stasis_arch_vm_create(struct stasis_vm *vm, const struct stasis_board_state *board,
                          struct stasis_error *err)
{
    int rc = enable_caps(vm, err);

    if (!rc)
        rc = stasis_vm_set_identity_map_addr(vm, board->identity_map_addr, err);
    if (!rc)
        rc = stasis_vm_set_tss_addr(vm, board->tss_addr, err);
    if (!rc)
        rc = stasis_vm_create_irqchip(vm, err);
    if (!rc)
        rc = stasis_vm_create_pit(vm, board->pit_speaker_dummy ? KVM_PIT_SPEAKER_DUMMY : 0, err);
    return rc;
}

/* Whether the TSC offset can be set exactly (KVM_VCPU_TSC_CTRL, kernel 5.16). */
static bool probe_tsc_offset(int fd)
{
    return stasis_kvm_attr_has(fd, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET);
}

int stasis_arch_vcpu_create(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    struct stasis_x86_vcpu *x86 = calloc(1, sizeof(*x86));
    int rc;

    if (!x86)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for vCPU %" PRIu32, vcpu->id);
    rc = stasis_x86_xsave_area_init(vcpu->vm, &x86->xsave, err);
    if (rc) {
        free(x86);
        return rc;
    }
    x86->has_tsc_offset = probe_tsc_offset(vcpu->fd);
    vcpu->arch = x86;
    return 0;
}

void stasis_arch_vcpu_destroy(struct stasis_vcpu *vcpu)
{
    struct stasis_x86_vcpu *x86 = stasis_x86_of(vcpu);

    if (x86)
        stasis_x86_xsave_area_fini(&x86->xsave);
    free(x86);
    vcpu->arch = NULL;
}

void stasis_arch_vcpu_report(struct stasis_vcpu *vcpu, struct stasis_reasons *reasons)
{
    stasis_x86_of(vcpu)->reasons = reasons;
}

int stasis_x86_refuse(struct stasis_vcpu *vcpu, const struct stasis_reasons *reasons,
                      struct stasis_error *err)
{
    for (size_t i = 0; stasis_x86_of(vcpu)->reasons && i < reasons->count; i++)
        stasis_reasons_add(stasis_x86_of(vcpu)->reasons, &reasons->list[i]);
    return stasis_reasons_fail(reasons, err);
}

void stasis_arch_vcpu_ignore_tsc_rate(struct stasis_vcpu *vcpu, bool ignore)
{
    stasis_x86_of(vcpu)->ignore_tsc_rate = ignore;
}

/* EINVAL: the guest has no kvmclock (Firecracker #5494). */
void stasis_arch_vcpu_resumes(const struct stasis_vcpu *vcpu)
{
    (void)!stasis_vcpu_kvmclock_ctrl(vcpu, NULL);
}

/* KVM for AMD has reset a vCPU by the time it reports a triple fault: every guest would seem to
 * have died where an x86 CPU starts (SDM 3A, 10.1.4). */
static bool is_in_reset(const struct stasis_vcpu *vcpu, const struct kvm_regs *regs)
{
    struct kvm_sregs sregs;

    return regs->rip == 0xfff0 && stasis_kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) == 0 &&
           sregs.cs.base == 0xffff0000;
}

void stasis_arch_vcpu_describe(const struct stasis_vcpu *vcpu, char *ret_text, size_t size)
{
    struct kvm_regs regs;

    if (stasis_kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 || is_in_reset(vcpu, &regs))
        ret_text[0] = '\0';
    else
        snprintf(ret_text, size, " near RIP 0x%llx", regs.rip);
}
