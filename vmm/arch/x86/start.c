/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The state in which a vCPU starts a guest that was never frozen: through the same gets and sets
 * that freeze and thaw use.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "vmm/arch/x86/x86.h"

/* KVM's default for KVM_SET_BOOT_CPU_ID. It makes the others wait for INIT and SIPI, in the state
 * after a reset. */
#define BOOT_CPU 0

static int check_memory_fits(const struct stasis_memory *memory,
                             const struct stasis_x86_cpuid_state *cpuid, struct stasis_error *err)
{
    const struct stasis_memory_region *last = &memory->regions[memory->region_count - 1];
    unsigned bits = 36;

    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        if (cpuid->leaves[i].function == 0x80000008)
            bits = cpuid->leaves[i].eax & 0xff;
    }
    if (bits >= 64 || last->gpa + last->size <= UINT64_C(1) << bits)
        return 0;
    return stasis_fail(err, STASIS_ERR_ARG,
                       "the CPU model addresses %u bits: too few for %" PRIu64
                       " MiB of memory; give less by memory.size_mib",
                       bits, stasis_memory_size(memory) >> 20);
}

static int boot_cpuid(struct stasis_vcpu *vcpu, const struct stasis_board_state *board,
                      struct stasis_error *err)
{
    struct stasis_x86_cpuid_state *cpuid = malloc(sizeof(*cpuid));
    int rc;

    if (!cpuid)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for the CPUID table");
    rc = stasis_x86_cpuid_default(vcpu->vm->kvm, board, cpuid, err);
    if (!rc)
        rc = check_memory_fits(vcpu->vm->memory, cpuid, err);
    if (!rc)
        rc = stasis_x86_cpuid_for_vcpu(cpuid, board, vcpu->id, err);
    if (!rc)
        rc = stasis_x86_cpuid_part.set(vcpu, cpuid, err);
    free(cpuid);
    return rc;
}

static int boot_registers(struct stasis_vcpu *vcpu, const struct stasis_arch_entry *entry,
                          struct stasis_error *err)
{
    struct stasis_x86_sregs_state now, sregs = entry->sregs;
    int rc = stasis_x86_sregs_part.get(vcpu, &now, err);

    if (rc)
        return rc;
    sregs.apic_base = now.apic_base;
    sregs.cr8 = now.cr8;
    rc = stasis_x86_sregs_part.set(vcpu, &sregs, err);
    return rc ? rc : stasis_x86_regs_part.set(vcpu, &entry->regs, err);
}

/* LINT1 as NMI; the first CPU's LINT0 as ExtINT, so that the PICs reach it and no other (MP 1.4,
 * 3.6.2.2). */
static int boot_lapic(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    enum { EXTINT = 0x700, NMI = 0x400 };
    struct stasis_x86_lapic_state lapic;
    int rc = stasis_x86_lapic_part.get(vcpu, &lapic, err);

    if (rc)
        return rc;
    if (vcpu->id == BOOT_CPU)
        lapic.lvt_lint0 = EXTINT;
    lapic.lvt_lint1 = NMI;
    return stasis_x86_lapic_part.set(vcpu, &lapic, err);
}

/* What firmware would have done: fast string operations on, memory write-back by default. */
static int boot_msrs(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    struct stasis_x86_msrs_state *msrs = calloc(1, sizeof(*msrs));
    int rc;

    if (!msrs)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for MSRs");
    msrs->msrs[msrs->msrs_count++] = (struct stasis_x86_msr_state){0x1a0, 1};
    msrs->msrs[msrs->msrs_count++] = (struct stasis_x86_msr_state){0x2ff, 1 << 11 | 6};
    rc = stasis_x86_msrs_part.set(vcpu, msrs, err);
    free(msrs);
    return rc;
}

int stasis_arch_vcpu_start(struct stasis_vcpu *vcpu, const struct stasis_board_state *board,
                           const struct stasis_arch_entry *entry, struct stasis_error *err)
{
    int rc = boot_cpuid(vcpu, board, err);

    if (!rc && vcpu->id == BOOT_CPU)
        rc = boot_registers(vcpu, entry, err);
    if (!rc)
        rc = boot_lapic(vcpu, err);
    if (!rc)
        rc = boot_msrs(vcpu, err);
    return rc ? stasis_wrap(err, rc, "starting vCPU %" PRIu32, vcpu->id) : 0;
}
