/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * How CPUID tells a vCPU where it is: in one socket, which has a core of one thread for each vCPU.
 * A vCPU's number is its APIC id. Each vendor has its leaves (SDM 2A, CPUID; APM 3, E.4 and E.5),
 * and old ones beside new ones; kernels differ in which they ask. They all say the same here.
 */
#include <inttypes.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

#define BIT(n) (UINT32_C(1) << (n))

#define CACHES          0x4u
#define LEVELS          0xbu
#define LEVELS_V2       0x1fu
#define AMD_SIZES       0x80000008u
#define AMD_CACHES      0x8000001du
#define AMD_TOPOLOGY    0x8000001eu
#define AMD_LEVELS      0x80000026u
#define AMD_FEATURES    0x80000001u
#define HTT             BIT(28)
#define CMP_LEGACY      BIT(1)
#define CORES_FIELD_MAX 63u /* leaf 4 has six bits; a guest with more cores asks LEVELS */

/* How many bits of the APIC ids number the cores. */
static unsigned core_bits(uint32_t count)
{
    unsigned bits = 0;

    while (UINT32_C(1) << bits < count)
        bits++;
    return bits;
}

/* All that boards of 0.1.0 have. */
static void set_apic_id(struct stasis_x86_cpuid_state *cpuid, uint32_t id, uint32_t count)
{
    struct stasis_x86_cpuid_leaf_state *leaf = stasis_x86_cpuid_find(cpuid, 1, 0);

    if (leaf) {
        leaf->ebx = (leaf->ebx & 0xff00) | id << 24 | (count & 0xff) << 16;
        leaf->edx = count > 1 ? leaf->edx | HTT : leaf->edx & ~HTT;
    }
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        if (cpuid->leaves[i].function == LEVELS || cpuid->leaves[i].function == LEVELS_V2)
            cpuid->leaves[i].edx = id;
    }
}

/* Caches of the first two levels are a core's own; the others are shared by all. */
static void set_caches(struct stasis_x86_cpuid_state *cpuid, uint32_t count)
{
    uint32_t ids = BIT(core_bits(count)) - 1;
    uint32_t cores = ids < CORES_FIELD_MAX ? ids : CORES_FIELD_MAX;

    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        struct stasis_x86_cpuid_leaf_state *leaf = &cpuid->leaves[i];
        uint32_t type = leaf->eax & 0x1f, level = leaf->eax >> 5 & 7;

        if (!type || (leaf->function != CACHES && leaf->function != AMD_CACHES))
            continue;
        leaf->eax = (leaf->eax & 0x3fff) | (level > 2 ? ids << 14 : 0);
        if (leaf->function == CACHES)
            leaf->eax |= cores << 26;
    }
}

/* Returns whether there was one. */
static bool drop_leaf(struct stasis_x86_cpuid_state *cpuid, uint32_t function)
{
    uint32_t kept = 0, count = cpuid->leaves_count;

    for (uint32_t i = 0; i < count; i++) {
        if (cpuid->leaves[i].function != function)
            cpuid->leaves[kept++] = cpuid->leaves[i];
    }
    memset(&cpuid->leaves[kept], 0, (count - kept) * sizeof(cpuid->leaves[0]));
    cpuid->leaves_count = kept;
    return kept != count;
}

/* Threads of a core, cores of the socket, and the end of the list. */
static int set_levels(struct stasis_x86_cpuid_state *cpuid, uint32_t function, uint32_t id,
                      uint32_t count, struct stasis_error *err)
{
    enum { INDEXED = 1, THREAD = 1 << 8, CORE = 2 << 8 };
    const struct stasis_x86_cpuid_leaf_state levels[] = {
        {function, 0, INDEXED, 0, 1, 0 | THREAD, id},
        {function, 1, INDEXED, core_bits(count), count, 1 | CORE, id},
        {function, 2, INDEXED, 0, 0, 2, id},
    };
    uint32_t more = sizeof(levels) / sizeof(levels[0]);

    if (cpuid->leaves_count + more > STASIS_X86_LEAVES_MAX)
        return stasis_fail(err, STASIS_ERR_RANGE,
                           "KVM lists too many CPUID leaves: those that number the vCPUs would "
                           "make more than %u",
                           STASIS_X86_LEAVES_MAX);
    memcpy(&cpuid->leaves[cpuid->leaves_count], levels, sizeof(levels));
    cpuid->leaves_count += more;
    return 0;
}

static bool is_intel(struct stasis_x86_cpuid_state *cpuid)
{
    const struct stasis_x86_cpuid_leaf_state *vendor = stasis_x86_cpuid_find(cpuid, 0, 0);

    return vendor && vendor->ebx == 0x756e6547 && vendor->edx == 0x49656e69 &&
           vendor->ecx == 0x6c65746e; /* "GenuineIntel" */
}

/* On Intel's CPUs these fields are reserved. */
static void set_amd(struct stasis_x86_cpuid_state *cpuid, uint32_t id, uint32_t count)
{
    struct stasis_x86_cpuid_leaf_state *leaf = stasis_x86_cpuid_find(cpuid, AMD_FEATURES, 0);

    if (leaf)
        leaf->ecx = count > 1 ? leaf->ecx | CMP_LEGACY : leaf->ecx & ~CMP_LEGACY;
    leaf = stasis_x86_cpuid_find(cpuid, AMD_SIZES, 0);
    if (leaf)
        leaf->ecx = (leaf->ecx & ~UINT32_C(0xf0ff)) | core_bits(count) << 12 | (count - 1);
    leaf = stasis_x86_cpuid_find(cpuid, AMD_TOPOLOGY, 0);
    if (leaf) { /* core `id` with one thread, on the only node */
        leaf->eax = id;
        leaf->ebx = (leaf->ebx & ~UINT32_C(0xffff)) | id;
        leaf->ecx &= ~UINT32_C(0x7ff);
    }
}

int stasis_x86_cpuid_for_vcpu(struct stasis_x86_cpuid_state *cpuid,
                              const struct stasis_board_state *board, uint32_t id,
                              struct stasis_error *err)
{
    const struct stasis_x86_cpuid_leaf_state *last = stasis_x86_cpuid_find(cpuid, 0, 0);
    bool has_levels = last && last->eax >= LEVELS, has_v2;
    int rc = 0;

    set_apic_id(cpuid, id, board->vcpus);
    if (!strcmp(board->release, "0.1.0"))
        return 0;
    set_caches(cpuid, board->vcpus);
    if (!is_intel(cpuid))
        set_amd(cpuid, id, board->vcpus);
    drop_leaf(cpuid, LEVELS);
    drop_leaf(cpuid, AMD_LEVELS); /* kernels take LEVELS instead */
    has_v2 = drop_leaf(cpuid, LEVELS_V2);
    if (has_levels)
        rc = set_levels(cpuid, LEVELS, id, board->vcpus, err);
    if (!rc && has_v2)
        rc = set_levels(cpuid, LEVELS_V2, id, board->vcpus, err);
    stasis_x86_cpuid_sort(cpuid);
    return rc;
}

int stasis_x86_cpuid_check_id(const void *state, uint32_t id, struct stasis_error *err)
{
    const struct stasis_x86_cpuid_state *cpuid = state;

    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *leaf = &cpuid->leaves[i];
        bool is_levels = leaf->function == LEVELS || leaf->function == LEVELS_V2;
        uint32_t shown = is_levels ? leaf->edx : leaf->ebx >> 24;

        if ((is_levels || leaf->function == 1) && shown != id)
            return stasis_fail(err, STASIS_ERR_CORRUPT,
                               "CPUID leaf 0x%" PRIx32 " gives vCPU %" PRIu32
                               " the APIC id %" PRIu32 " instead of its number",
                               leaf->function, id, shown);
    }
    return 0;
}
