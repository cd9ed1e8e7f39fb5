/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "common/x86_features.h"

#include <inttypes.h>
#include <stdio.h>

#define BIT(n) (UINT32_C(1) << (n))

#define EAX STASIS_X86_EAX
#define EBX STASIS_X86_EBX
#define ECX STASIS_X86_ECX
#define EDX STASIS_X86_EDX

/* ---- names ---- */

/* Registers of feature bits and the names that Linux 6.12 gives them (asm/cpufeatures.h). The bits
 * for speculation control have none of their own there: ibrs, ibpb, stibp and ssbd are what
 * /proc/cpuinfo shows for them. */
static const struct names {
    uint32_t function, index;
    enum stasis_x86_reg reg;
    const char *names[32];
} names[] = {
    {1,
     0,
     EDX,
     {[0] = "fpu",      [1] = "vme",  [2] = "de",    [3] = "pse",  [4] = "tsc",    [5] = "msr",
      [6] = "pae",      [7] = "mce",  [8] = "cx8",   [9] = "apic", [11] = "sep",   [12] = "mtrr",
      [13] = "pge",     [14] = "mca", [15] = "cmov", [16] = "pat", [17] = "pse36", [18] = "pn",
      [19] = "clflush", [21] = "dts", [22] = "acpi", [23] = "mmx", [24] = "fxsr",  [25] = "sse",
      [26] = "sse2",    [27] = "ss",  [28] = "ht",   [29] = "tm",  [30] = "ia64",  [31] = "pbe"}},
    {1, 0, ECX, {[0] = "pni",     [1] = "pclmulqdq",  [2] = "dtes64",  [3] = "monitor",
                 [4] = "ds_cpl",  [5] = "vmx",        [6] = "smx",     [7] = "est",
                 [8] = "tm2",     [9] = "ssse3",      [10] = "cid",    [11] = "sdbg",
                 [12] = "fma",    [13] = "cx16",      [14] = "xtpr",   [15] = "pdcm",
                 [17] = "pcid",   [18] = "dca",       [19] = "sse4_1", [20] = "sse4_2",
                 [21] = "x2apic", [22] = "movbe",     [23] = "popcnt", [24] = "tsc_deadline_timer",
                 [25] = "aes",    [26] = "xsave",     [28] = "avx",    [29] = "f16c",
                 [30] = "rdrand", [31] = "hypervisor"}},
    {6,
     0,
     EAX,
     {[0] = "dtherm",
      [1] = "ida",
      [2] = "arat",
      [4] = "pln",
      [6] = "pts",
      [7] = "hwp",
      [8] = "hwp_notify",
      [9] = "hwp_act_window",
      [10] = "hwp_epp",
      [11] = "hwp_pkg_req",
      [19] = "hfi"}},
    {7, 0, EBX, {[0] = "fsgsbase",    [1] = "tsc_adjust", [2] = "sgx",       [3] = "bmi1",
                 [4] = "hle",         [5] = "avx2",       [7] = "smep",      [8] = "bmi2",
                 [9] = "erms",        [10] = "invpcid",   [11] = "rtm",      [12] = "cqm",
                 [14] = "mpx",        [15] = "rdt_a",     [16] = "avx512f",  [17] = "avx512dq",
                 [18] = "rdseed",     [19] = "adx",       [20] = "smap",     [21] = "avx512ifma",
                 [23] = "clflushopt", [24] = "clwb",      [25] = "intel_pt", [26] = "avx512pf",
                 [27] = "avx512er",   [28] = "avx512cd",  [29] = "sha_ni",   [30] = "avx512bw",
                 [31] = "avx512vl"}},
    {7,
     0,
     ECX,
     {[1] = "avx512vbmi",
      [2] = "umip",
      [3] = "pku",
      [4] = "ospke",
      [5] = "waitpkg",
      [6] = "avx512_vbmi2",
      [8] = "gfni",
      [9] = "vaes",
      [10] = "vpclmulqdq",
      [11] = "avx512_vnni",
      [12] = "avx512_bitalg",
      [13] = "tme",
      [14] = "avx512_vpopcntdq",
      [16] = "la57",
      [22] = "rdpid",
      [24] = "bus_lock_detect",
      [25] = "cldemote",
      [27] = "movdiri",
      [28] = "movdir64b",
      [29] = "enqcmd",
      [30] = "sgx_lc"}},
    {7,
     0,
     EDX,
     {[2] = "avx512_4vnniw",
      [3] = "avx512_4fmaps",
      [4] = "fsrm",
      [8] = "avx512_vp2intersect",
      [10] = "md_clear",
      [14] = "serialize",
      [16] = "tsxldtrk",
      [18] = "pconfig",
      [19] = "arch_lbr",
      [20] = "ibt",
      [22] = "amx_bf16",
      [23] = "avx512_fp16",
      [24] = "amx_tile",
      [25] = "amx_int8",
      [26] = "ibrs",
      [27] = "stibp",
      [28] = "flush_l1d",
      [29] = "arch_capabilities",
      [31] = "ssbd"}},
    {7, 1, EAX, {[4] = "avx_vnni", [5] = "avx512_bf16", [17] = "fred", [26] = "lam"}},
    {0xd, 1, EAX, {[0] = "xsaveopt", [1] = "xsavec", [2] = "xgetbv1", [3] = "xsaves"}},
    {0x80000001,
     0,
     EDX,
     {[11] = "syscall",
      [19] = "mp",
      [20] = "nx",
      [22] = "mmxext",
      [25] = "fxsr_opt",
      [26] = "pdpe1gb",
      [27] = "rdtscp",
      [29] = "lm",
      [30] = "3dnowext",
      [31] = "3dnow"}},
    {0x80000001,
     0,
     ECX,
     {[0] = "lahf_lm",       [1] = "cmp_legacy",  [2] = "svm",    [3] = "extapic",
      [4] = "cr8_legacy",    [5] = "abm",         [6] = "sse4a",  [7] = "misalignsse",
      [8] = "3dnowprefetch", [9] = "osvw",        [10] = "ibs",   [11] = "xop",
      [12] = "skinit",       [13] = "wdt",        [15] = "lwp",   [16] = "fma4",
      [17] = "tce",          [19] = "nodeid_msr", [21] = "tbm",   [22] = "topoext",
      [23] = "perfctr_core", [24] = "perfctr_nb", [26] = "bpext", [27] = "ptsc",
      [28] = "perfctr_llc",  [29] = "mwaitx"}},
    {0x80000007, 0, EBX, {[0] = "overflow_recov", [1] = "succor", [3] = "smca"}},
    {0x80000008,
     0,
     EBX,
     {[0] = "clzero",
      [1] = "irperf",
      [2] = "xsaveerptr",
      [4] = "rdpru",
      [9] = "wbnoinvd",
      [12] = "ibpb",
      [14] = "ibrs",
      [15] = "stibp",
      [23] = "amd_ppin",
      [24] = "ssbd",
      [25] = "virt_ssbd",
      [27] = "cppc",
      [31] = "brs"}},
    {0x8000000a,
     0,
     EDX,
     {[0] = "npt",
      [1] = "lbrv",
      [2] = "svm_lock",
      [3] = "nrip_save",
      [4] = "tsc_scale",
      [5] = "vmcb_clean",
      [6] = "flushbyasid",
      [7] = "decodeassists",
      [10] = "pausefilter",
      [12] = "pfthreshold",
      [13] = "avic",
      [15] = "v_vmsave_vmload",
      [16] = "vgif",
      [18] = "x2avic",
      [20] = "v_spec_ctrl",
      [25] = "vnmi"}},
    {0x8000001f,
     0,
     EAX,
     {[0] = "sme",
      [1] = "sev",
      [3] = "sev_es",
      [4] = "sev_snp",
      [14] = "debug_swap",
      [28] = "svsm"}},
    {0x80860001, 0, EDX, {[0] = "recovery", [1] = "longrun", [3] = "lrti"}},
    {0xc0000001,
     0,
     EDX,
     {[2] = "rng",
      [3] = "rng_en",
      [4] = "sm3 sm4",
      [5] = "sm3_en sm4_en",
      [6] = "ace",
      [7] = "ace_en",
      [8] = "ace2",
      [9] = "ace2_en",
      [10] = "phe",
      [11] = "phe_en",
      [12] = "pmm",
      [13] = "pmm_en",
      [27] = "rsa",
      [28] = "rsa_en"}},
};

struct stasis_x86_feature stasis_x86_feature_at(uint32_t function, uint32_t index,
                                                enum stasis_x86_reg reg, unsigned bit)
{
    struct stasis_x86_feature feature = {function, index, reg, bit, NULL};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].function == function && names[i].index == index && names[i].reg == reg)
            feature.name = names[i].names[bit & 31];
    }
    return feature;
}

/* ---- the table ---- */

bool stasis_x86_cpuid_has(const struct stasis_x86_cpuid_state *cpuid, uint32_t function,
                          enum stasis_x86_reg reg, unsigned bit)
{
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *leaf = &cpuid->leaves[i];
        const uint32_t regs[] = {leaf->eax, leaf->ebx, leaf->ecx, leaf->edx};

        if (leaf->function == function && leaf->index == 0)
            return regs[reg] >> bit & 1;
    }
    return false;
}

bool stasis_x86_cpuid_needs_tsc_rate(const struct stasis_x86_cpuid_state *cpuid)
{
    enum { CORE_CRYSTAL = 0x15, FREQUENCIES = 0x16, KVM_FREQUENCIES = 0x40000010 };

    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        uint32_t function = cpuid->leaves[i].function;

        if (function == CORE_CRYSTAL || function == FREQUENCIES || function == KVM_FREQUENCIES)
            return true;
    }
    return stasis_x86_cpuid_has(cpuid, 1, ECX, 24) ||         /* TSC-deadline timer */
           stasis_x86_cpuid_has(cpuid, 0x80000007, EDX, 8) || /* invariant TSC */
           !stasis_x86_cpuid_has(cpuid, 0x40000001, EAX, 3);  /* kvmclock */
}

bool stasis_x86_cpuid_vendor(const struct stasis_x86_cpuid_state *cpuid, char ret_vendor[13])
{
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *leaf = &cpuid->leaves[i];
        const uint32_t words[] = {leaf->ebx, leaf->edx, leaf->ecx};

        if (leaf->function != 0 || leaf->index != 0)
            continue;
        for (size_t c = 0; c < 12; c++)
            ret_vendor[c] = (char)(words[c / 4] >> c % 4 * 8 & 0xff);
        ret_vendor[12] = '\0';
        return true;
    }
    return false;
}

/* ---- places ---- */

void stasis_x86_feature_place(const struct stasis_x86_feature *feature,
                              char ret_place[STASIS_X86_PLACE_MAX])
{
    static const char *const regs[] = {"EAX", "EBX", "ECX", "EDX"};

    snprintf(ret_place, STASIS_X86_PLACE_MAX, "CPUID %s%" PRIx32 ".%" PRIu32 " %s bit %u",
             feature->function > 9 ? "0x" : "", feature->function, feature->index,
             regs[feature->reg], feature->bit);
}

const char *stasis_x86_component_name(unsigned bit)
{
    static const char *const components[] = {
        "x87",      "SSE", "AVX",  "BNDREGS", "BNDCSR",   "opmask", "ZMM_Hi256",
        "Hi16_ZMM", "PT",  "PKRU", "PASID",   "CET_U",    "CET_S",  "HDC",
        "UINTR",    "LBR", "HWP",  "TILECFG", "TILEDATA",
    };

    return bit < sizeof(components) / sizeof(components[0]) ? components[bit] : NULL;
}

/* ---- what is missing ---- */

/* Registers whose bits are promises to the guest (SDM 2A, CPUID; KVM cpuid.rst). */
static const struct checked_register {
    uint32_t function, index;
    enum stasis_x86_reg reg;
    uint32_t ignored; /* bits that KVM provides whatever it reports, or that follow other state */
} checked_registers[] = {
    /* hypervisor and deadline are ours; OSXSAVE mirrors CR4; x2APIC and MONITOR need no CPU */
    {1, 0, ECX, BIT(31) | BIT(24) | BIT(27) | BIT(21) | BIT(3)},
    {1, 0, EDX, BIT(28)},
    {7, 0, EBX, 0},
    {7, 0, ECX, BIT(4)}, /* OSPKE mirrors CR4 */
    {7, 0, EDX, 0},
    {7, 1, EAX, 0},
    {7, 1, EDX, 0},
    {7, 2, EDX, 0}, /* bits of SPEC_CTRL */
    {0xd, 0, EAX, 0},
    {0xd, 1, EAX, 0},
    {0x40000001, 0, EAX, 0},
    {0x80000001, 0, ECX, BIT(1)}, /* CmpLegacy says how to count cores */
    {0x80000001, 0, EDX, 0},
    {0x80000008, 0, EBX, 0},
};

_Static_assert(sizeof(checked_registers) / sizeof(checked_registers[0]) * 32 ==
                   STASIS_X86_FEATURES_MAX,
               "STASIS_X86_FEATURES_MAX counts the registers");

/* 0 where there is no such leaf. */
static uint32_t value_of(const struct stasis_x86_cpuid_state *cpuid,
                         const struct checked_register *checked)
{
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *leaf = &cpuid->leaves[i];
        const uint32_t regs[] = {leaf->eax, leaf->ebx, leaf->ecx, leaf->edx};

        if (leaf->function == checked->function && leaf->index == checked->index)
            return regs[checked->reg];
    }
    return 0;
}

void stasis_x86_features_missing(
    const struct stasis_x86_cpuid_state *host, const struct stasis_x86_cpuid_state *promised,
    void (*missing)(void *opaque, const struct stasis_x86_feature *feature), void *opaque)
{
    for (size_t i = 0; i < sizeof(checked_registers) / sizeof(checked_registers[0]); i++) {
        const struct checked_register *checked = &checked_registers[i];
        uint32_t has = host ? value_of(host, checked) : 0;
        uint32_t bits = value_of(promised, checked) & ~has & ~checked->ignored;

        for (unsigned bit = 0; bit < 32; bit++) {
            struct stasis_x86_feature feature =
                stasis_x86_feature_at(checked->function, checked->index, checked->reg, bit);

            if (bits >> bit & 1)
                missing(opaque, &feature);
        }
    }
}
