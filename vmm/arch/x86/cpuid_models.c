/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * CPU models that are the same on every host: the baseline, and the levels that the x86-64 psABI
 * (3.1.1, "Processor Architecture") builds on it.
 */
#include <string.h>

#include "vmm/arch/x86/x86.h"

#define BIT(n) (UINT32_C(1) << (n))

/* x86-64-v1 with CMPXCHG16B, x2APIC and kvmclock: what every KVM host of the last ten years has.
 * The vendor is nobody, so that no guest looks for registers of one. Nothing here has the speed of
 * the TSC, which the next host's may not have: guests keep time by kvmclock, which each host
 * corrects, and program their LAPIC timers in its own clock. */
static const struct stasis_x86_cpuid_leaf_state baseline[] = {
    {0, 0, 0, 0xd, 0x73617453, 0x50437472, 0x69567369}, /* STASIS_X86_VENDOR_FIXED */
    /* family 6; CX16, x2APIC, hypervisor; FPU to SSE2 without what is optional. No VME, which
     * emulated CPUs lack, and no SSE3, which KVM without hardware virtualization hides. */
    {1, 0, 0, 0x600, 0x800, BIT(13) | BIT(21) | BIT(31), 0x078bfbfd},
    {7, 0, 1, 0, 0, 0, 0},
    {0xd, 0, 1, 0, 0, 0, 0},
    {0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d}, /* "KVMKVMKVM\0\0\0" */
    /* KVM cpuid.rst: clocksource, no I/O delay, clocksource2, stable clocksource */
    {0x40000001, 0, 0, BIT(0) | BIT(1) | BIT(3) | BIT(24), 0, 0, 0},
    {0x80000000, 0, 0, 0x80000008, 0x73617453, 0x50437472, 0x69567369},
    /* LAHF in long mode; SYSCALL, NX, long mode */
    {0x80000001, 0, 0, 0, 0, BIT(0), BIT(11) | BIT(20) | BIT(29)},
    {0x80000007, 0, 0, 0, 0, 0, 0},
    /* 36 bits of physical address, as the smallest CPU of the kind; 48 of linear */
    {0x80000008, 0, 0, 0x3024, 0, 0, 0},
};

/* What a level adds to the one below. CMPXCHG16B and LAHF, of level 2, are in the baseline. */
static const struct {
    enum stasis_cpu_model_id level;
    uint32_t function, index;
    enum stasis_x86_reg reg;
    uint32_t bits;
} additions[] = {
    /* SSE3, SSSE3, SSE4.1, SSE4.2, POPCNT */
    {STASIS_CPU_V2, 1, 0, STASIS_X86_ECX, BIT(0) | BIT(9) | BIT(19) | BIT(20) | BIT(23)},
    /* FMA, MOVBE, XSAVE, AVX, F16C */
    {STASIS_CPU_V3, 1, 0, STASIS_X86_ECX, BIT(12) | BIT(22) | BIT(26) | BIT(28) | BIT(29)},
    /* BMI1, AVX2, BMI2 */
    {STASIS_CPU_V3, 7, 0, STASIS_X86_EBX, BIT(3) | BIT(5) | BIT(8)},
    /* LZCNT */
    {STASIS_CPU_V3, 0x80000001, 0, STASIS_X86_ECX, BIT(5)},
    /* XSAVE: x87, SSE and AVX; 576 bytes for the first two, 832 for all */
    {STASIS_CPU_V3, 0xd, 0, STASIS_X86_EAX, 7},
    {STASIS_CPU_V3, 0xd, 0, STASIS_X86_EBX, 576},
    {STASIS_CPU_V3, 0xd, 0, STASIS_X86_ECX, 832},
};

/* Where XSAVE puts the AVX registers, on all CPUs. */
static const struct stasis_x86_cpuid_leaf_state avx_place = {0xd, 2, 1, 256, 576, 0, 0};

static void add_features(struct stasis_x86_cpuid_state *cpuid, enum stasis_cpu_model_id level)
{
    for (size_t i = 0; i < sizeof(additions) / sizeof(additions[0]); i++) {
        struct stasis_x86_cpuid_leaf_state *leaf =
            stasis_x86_cpuid_find(cpuid, additions[i].function, additions[i].index);

        if (leaf && additions[i].level <= level)
            *stasis_x86_cpuid_reg(leaf, additions[i].reg) |= additions[i].bits;
    }
    if (level < STASIS_CPU_V3)
        return;
    cpuid->leaves[cpuid->leaves_count++] = avx_place;
    stasis_x86_cpuid_sort(cpuid);
}

bool stasis_x86_cpuid_fixed(const char *model, const char *release,
                            struct stasis_x86_cpuid_state *ret_cpuid)
{
    const struct stasis_cpu_model *found = stasis_cpu_model_find(model);
    struct stasis_x86_cpuid_leaf_state *features;
    size_t count, level = found ? (size_t)(found - stasis_cpu_model_all(&count)) : STASIS_CPU_HOST;

    if (level == STASIS_CPU_HOST)
        return false;
    memset(ret_cpuid, 0, sizeof(*ret_cpuid));
    memcpy(ret_cpuid->leaves, baseline, sizeof(baseline));
    ret_cpuid->leaves_count = sizeof(baseline) / sizeof(baseline[0]);
    /* The board of 0.1.0 has the TSC-deadline timer too. */
    features = stasis_x86_cpuid_find(ret_cpuid, 1, 0);
    if (features && !strcmp(release, "0.1.0"))
        features->ecx |= BIT(24);
    add_features(ret_cpuid, (enum stasis_cpu_model_id)level);
    return true;
}

bool stasis_x86_cpuid_is_fixed(const struct stasis_x86_cpuid_state *cpuid)
{
    char vendor[13];

    return stasis_x86_cpuid_vendor(cpuid, vendor) && !strcmp(vendor, STASIS_X86_VENDOR_FIXED);
}
