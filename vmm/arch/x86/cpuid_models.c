/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * CPU models that are the same on every host: the baseline, and the levels that the x86-64 psABI
 * (3.1.1, "Processor Architecture") builds on it.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

#define BIT(n)       (UINT32_C(1) << (n))
#define COUNT(table) ((uint32_t)(sizeof(table) / sizeof((table)[0])))

/* x86-64-v1 with CMPXCHG16B, x2APIC and kvmclock: what every KVM host of the last ten years has.
 * Nothing here has the speed of the TSC, which the next host's may not have: guests keep time by
 * kvmclock, which each host corrects, and program their LAPIC timers in its own clock. */
static const struct stasis_x86_cpuid_leaf_state baseline[] = {
    {0, 0, 0, 0xd, 0, 0, 0},
    /* CX16, x2APIC, hypervisor; FPU to SSE2 without what is optional. No VME, which emulated CPUs
     * lack, and no SSE3, which KVM without hardware virtualization hides. */
    {1, 0, 0, 0, 0x800, BIT(13) | BIT(21) | BIT(31), 0x078bfbfd},
    {7, 0, 1, 0, 0, 0, 0},
    {0xd, 0, 1, 0, 0, 0, 0},
    {0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d}, /* "KVMKVMKVM\0\0\0" */
    /* KVM cpuid.rst: clocksource, no I/O delay, clocksource2, stable clocksource */
    {0x40000001, 0, 0, BIT(0) | BIT(1) | BIT(3) | BIT(24), 0, 0, 0},
    {0x80000000, 0, 0, 0x80000008, 0, 0, 0},
    /* LAHF in long mode; SYSCALL, NX, long mode */
    {0x80000001, 0, 0, 0, 0, BIT(0), BIT(11) | BIT(20) | BIT(29)},
    {0x80000007, 0, 0, 0, 0, 0, 0},
    /* 36 bits of physical address, as the smallest CPU of the kind; 48 of linear */
    {0x80000008, 0, 0, 0x3024, 0, 0, 0},
};

/* To boards of 0.1.0 and 0.2.0 it is "StasisVirtCP", which is nobody, of family 6. glibc 2.36 asks
 * such a CPU for no features, and ends programs. */
static const struct stasis_x86_cpuid_leaf_state nobody[] = {
    {0, 0, 0, 0, 0x73617453, 0x50437472, 0x69567369},
    {1, 0, 0, 0x600, 0, 0, 0},
    {0x80000000, 0, 0, 0, 0x73617453, 0x50437472, 0x69567369},
};

/* To others its vendor is one that all programs know. It is not AMD: kernels take AMD's CPUs to be
 * safe from Meltdown, which the host's need not be. */
static const struct stasis_x86_cpuid_leaf_state intel[] = {
    {0, 0, 0, 0, 0x756e6547, 0x6c65746e, 0x49656e69}, /* GenuineIntel */
};

/* Its caches (SDM 2A, CPUID 2 and 4): the first level has 32 KiB for data and 32 for code, 8-way;
 * the second 1 MiB and the third 16 MiB, both 16-way; all of 64-byte lines. Programs choose how
 * they copy by these sizes. */
static const struct stasis_x86_cpuid_leaf_state caches[] = {
    {2, 0, 0, 0x0000ff01, 0xf0, 0, 0}, /* see leaf 4; prefetches 64 bytes */
    {4, 0, 1, 0x121, 0x01c0003f, 63, 0},
    {4, 1, 1, 0x122, 0x01c0003f, 63, 0},
    {4, 2, 1, 0x143, 0x03c0003f, 1023, 0},
    {4, 3, 1, 0x163, 0x03c0003f, 16383, 0},
    {4, 4, 1, 0, 0, 0, 0},
};

/* A CPU that has what the level has, as programs that go by family and model take it for granted:
 * a Pentium 4 (SSE2), a Nehalem (SSE4.2) and a Haswell (AVX2). */
static const uint32_t signatures[STASIS_CPU_MODEL_COUNT] = {
    [STASIS_CPU_BASELINE] = 0xf29,
    [STASIS_CPU_V2] = 0x106a5,
    [STASIS_CPU_V3] = 0x306c3,
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

static void append(struct stasis_x86_cpuid_state *cpuid,
                   const struct stasis_x86_cpuid_leaf_state *leaves, uint32_t count)
{
    memcpy(&cpuid->leaves[cpuid->leaves_count], leaves, count * sizeof(*leaves));
    cpuid->leaves_count += count;
    stasis_x86_cpuid_sort(cpuid);
}

static void add_features(struct stasis_x86_cpuid_state *cpuid, enum stasis_cpu_model_id level)
{
    for (size_t i = 0; i < COUNT(additions); i++) {
        struct stasis_x86_cpuid_leaf_state *leaf =
            stasis_x86_cpuid_find(cpuid, additions[i].function, additions[i].index);

        if (leaf && additions[i].level <= level)
            *stasis_x86_cpuid_reg(leaf, additions[i].reg) |= additions[i].bits;
    }
    if (level >= STASIS_CPU_V3)
        append(cpuid, &avx_place, 1);
}

/* Sets bits of leaves that are there. */
static void merge(struct stasis_x86_cpuid_state *cpuid,
                  const struct stasis_x86_cpuid_leaf_state *leaves, uint32_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct stasis_x86_cpuid_leaf_state *leaf =
            stasis_x86_cpuid_find(cpuid, leaves[i].function, leaves[i].index);

        for (unsigned reg = STASIS_X86_EAX; leaf && reg <= STASIS_X86_EDX; reg++) {
            struct stasis_x86_cpuid_leaf_state from = leaves[i];

            *stasis_x86_cpuid_reg(leaf, reg) |= *stasis_x86_cpuid_reg(&from, reg);
        }
    }
}

/* The name that /proc/cpuinfo and lscpu show: 48 characters in three leaves. */
static void add_name(struct stasis_x86_cpuid_state *cpuid, const char *model)
{
    char name[3 * 16] = "";
    struct stasis_x86_cpuid_leaf_state leaves[3] = {{0x80000002}, {0x80000003}, {0x80000004}};

    snprintf(name, sizeof(name), "Stasis %s CPU", model);
    for (size_t i = 0; i < COUNT(leaves); i++) {
        for (unsigned reg = STASIS_X86_EAX; reg <= STASIS_X86_EDX; reg++)
            memcpy(stasis_x86_cpuid_reg(&leaves[i], reg), &name[16 * i + 4 * reg], 4);
    }
    append(cpuid, leaves, COUNT(leaves));
}

static void add_identity(struct stasis_x86_cpuid_state *cpuid, const char *model,
                         enum stasis_cpu_model_id level)
{
    const struct stasis_x86_cpuid_leaf_state signature = {1, 0, 0, signatures[level], 0, 0, 0};

    merge(cpuid, intel, COUNT(intel));
    merge(cpuid, &signature, 1);
    append(cpuid, caches, COUNT(caches));
    add_name(cpuid, model);
}

/* As the boards of two releases have it, for ever. */
static bool is_of_nobody(const char *release)
{
    return !strcmp(release, "0.1.0") || !strcmp(release, "0.2.0");
}

bool stasis_x86_cpuid_fixed(const char *model, const char *release,
                            struct stasis_x86_cpuid_state *ret_cpuid)
{
    const struct stasis_cpu_model *found = stasis_cpu_model_find(model);
    size_t count, level = found ? (size_t)(found - stasis_cpu_model_all(&count)) : STASIS_CPU_HOST;
    /* The board of 0.1.0 has the TSC-deadline timer too. */
    const struct stasis_x86_cpuid_leaf_state deadline = {1, 0, 0, 0, 0, BIT(24), 0};

    if (level == STASIS_CPU_HOST)
        return false;
    memset(ret_cpuid, 0, sizeof(*ret_cpuid));
    append(ret_cpuid, baseline, COUNT(baseline));
    add_features(ret_cpuid, (enum stasis_cpu_model_id)level);
    if (!strcmp(release, "0.1.0"))
        merge(ret_cpuid, &deadline, 1);
    if (is_of_nobody(release))
        merge(ret_cpuid, nobody, COUNT(nobody));
    else
        add_identity(ret_cpuid, found->name, (enum stasis_cpu_model_id)level);
    return true;
}
