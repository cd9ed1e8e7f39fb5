/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Whether this CPU can show a guest the CPUID that it was promised, where there is no KVM to ask:
 * by the CPUID instruction. What the CPU lacks KVM lacks, too, but for what it makes by itself.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

#define EBX STASIS_X86_EBX
#define ECX STASIS_X86_ECX
#define EDX STASIS_X86_EDX

/* What some KVM gives to guests though the CPU lacks it, or names it by another bit (Linux 6.12,
 * arch/x86/kvm/cpuid.c). What no check looks at (common/x86_features.c) is not here. */
static const struct {
    uint32_t function, index;
    enum stasis_x86_reg reg;
    uint32_t bits;
} made_by_kvm[] = {
    {7, 0, EBX, UINT32_C(1) << 1},                                 /* tsc_adjust */
    {7, 0, ECX, UINT32_C(1) << 2},                                 /* umip */
    {7, 0, EDX, UINT32_C(1) << 26 | UINT32_C(1) << 27},            /* ibrs, stibp */
    {7, 0, EDX, UINT32_C(1) << 29 | UINT32_C(1) << 31},            /* arch_capabilities, ssbd */
    {7, 2, EDX, UINT32_MAX},                                       /* bits of SPEC_CTRL */
    {0x80000001, 0, EDX, UINT32_C(1) << 26},                       /* pdpe1gb */
    {0x80000008, 0, EBX, UINT32_MAX & ~((UINT32_C(1) << 12) - 1)}, /* ibpb and its like */
};

static bool is_the_cpus(uint32_t function)
{
    return function <= 1 || function == 7 || function == 0xd || function == 0x80000001 ||
           function == 0x80000008;
}

static void read_leaf(struct stasis_x86_cpuid_leaf_state *leaf)
{
    struct stasis_x86_cpuid_leaf_state wanted = *leaf;

    if (!is_the_cpus(leaf->function))
        return;
    *leaf = stasis_x86_cpuid_read(wanted.function, wanted.index);
    leaf->flags = wanted.flags;
    for (size_t i = 0; i < sizeof(made_by_kvm) / sizeof(made_by_kvm[0]); i++) {
        if (made_by_kvm[i].function == wanted.function && made_by_kvm[i].index == wanted.index)
            *stasis_x86_cpuid_reg(leaf, made_by_kvm[i].reg) |=
                *stasis_x86_cpuid_reg(&wanted, made_by_kvm[i].reg) & made_by_kvm[i].bits;
    }
}

bool stasis_arch_host_virtualizes(void)
{
    return stasis_x86_cpuid_read(1, 0).ecx & UINT32_C(1) << 5 ||        /* vmx */
           stasis_x86_cpuid_read(0x80000001, 0).ecx & UINT32_C(1) << 2; /* svm */
}

int stasis_x86_cpuid_check_cpu(const struct stasis_board_state *board, const void *cpuid,
                               struct stasis_reasons *reasons, struct stasis_error *err)
{
    struct stasis_x86_cpuid_state *cpu = malloc(sizeof(*cpu));

    if (!cpu)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for CPUID tables");
    memcpy(cpu, cpuid, sizeof(*cpu));
    for (uint32_t i = 0; i < cpu->leaves_count; i++)
        read_leaf(&cpu->leaves[i]);
    stasis_x86_cpuid_compare(cpu, board, cpuid, reasons);
    free(cpu);
    return 0;
}
