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

#include "vmm/arch/x86/x86.h"

/* Three pages for KVM's own use on Intel CPUs without unrestricted guest, and one for its identity
 * map (KVM api.rst, 4.36 and 4.60): in the gap, below where firmware would be. */
#define TSS_ADDR          UINT64_C(0xfffbd000)
#define IDENTITY_MAP_ADDR UINT64_C(0xfffbc000)

/* What KVM runs when it does not say (KVM api.rst, 4.7). */
#define VCPUS_UNSAID 4

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
    if (strcmp(board->cpu_model, "host") != 0 && strcmp(board->cpu_model, "baseline") != 0)
        return stasis_fail(err, STASIS_ERR_VERSION, "the board has the unknown CPU model \"%s\"",
                           board->cpu_model);
    return 0;
}

/* KVM_CAP_NR_VCPUS is advice; where KVM_CAP_MAX_VCPUS is unknown it is all there is. */
int stasis_arch_host_check(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                           struct stasis_error *err)
{
    int max = stasis_kvm_cap(kvm->fd, KVM_CAP_MAX_VCPUS);

    if (!max)
        max = stasis_kvm_cap(kvm->fd, KVM_CAP_NR_VCPUS);
    if (!max)
        max = VCPUS_UNSAID;
    if (board->vcpus <= (uint32_t)max)
        return 0;
    return stasis_fail(err, STASIS_ERR_HOST,
                       "the guest has %" PRIu32 " vCPUs, and this host's KVM runs at most %d in a "
                       "VM; use a host whose KVM runs more, or start guests with fewer by "
                       "--vcpu num=N",
                       board->vcpus, max);
}

/* Pending exceptions with their payload, and triple faults, are part of a vCPU's state only once
 * asked for (KVM api.rst, 7.16, 7.32). AMD's first performance counters have no CPUID bit that
 * could hide them (8.35). */
static int enable_caps(struct stasis_vm *vm, struct stasis_error *err)
{
    struct kvm_enable_cap payload = {.cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = {1}};
    int rc = 0;

    if (vm->kvm->has_exception_payload)
        rc = STASIS_KVM(vm->fd, KVM_ENABLE_CAP, &payload, err);
    if (!rc && vm->kvm->has_pmu_switch) {
        struct kvm_enable_cap pmu = {.cap = KVM_CAP_PMU_CAPABILITY, .args = {KVM_PMU_CAP_DISABLE}};

        rc = STASIS_KVM(vm->fd, KVM_ENABLE_CAP, &pmu, err);
    }
#ifdef KVM_CAP_X86_TRIPLE_FAULT_EVENT
    if (!rc && vm->kvm->has_triple_fault_event) {
        struct kvm_enable_cap fault = {.cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = {1}};

        rc = STASIS_KVM(vm->fd, KVM_ENABLE_CAP, &fault, err);
    }
#endif
    return rc;
}

int stasis_arch_vm_create(struct stasis_vm *vm, const struct stasis_board_state *board,
                          struct stasis_error *err)
{
    struct kvm_pit_config pit = {.flags = board->pit_speaker_dummy ? KVM_PIT_SPEAKER_DUMMY : 0};
    uint64_t identity_map = board->identity_map_addr;
    int rc = enable_caps(vm, err);

    if (!rc)
        rc = STASIS_KVM(vm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map, err);
    if (!rc)
        rc = STASIS_KVM(vm->fd, KVM_SET_TSS_ADDR, (void *)(uintptr_t)board->tss_addr, err);
    if (!rc)
        rc = STASIS_KVM(vm->fd, KVM_CREATE_IRQCHIP, NULL, err);
    if (!rc)
        rc = STASIS_KVM(vm->fd, KVM_CREATE_PIT2, &pit, err);
    return rc;
}

/* Whether the TSC offset can be set exactly (KVM_VCPU_TSC_CTRL, kernel 5.16). */
static bool probe_tsc_offset(int fd)
{
    struct kvm_device_attr attr = {.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET};

    return stasis_kvm_ioctl(fd, KVM_HAS_DEVICE_ATTR, &attr) == 0;
}

int stasis_arch_vcpu_create(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    struct stasis_x86_vcpu *x86 = calloc(1, sizeof(*x86));

    if (!x86)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for vCPU %" PRIu32, vcpu->id);
    x86->has_tsc_offset = probe_tsc_offset(vcpu->fd);
    vcpu->arch = x86;
    return 0;
}

void stasis_arch_vcpu_destroy(struct stasis_vcpu *vcpu)
{
    free(vcpu->arch);
    vcpu->arch = NULL;
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
