/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * CPUID: to and from KVM, and what a new guest is shown.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

#define BIT(n) (UINT32_C(1) << (n))

#define EAX STASIS_X86_EAX
#define EBX STASIS_X86_EBX
#define ECX STASIS_X86_ECX
#define EDX STASIS_X86_EDX

uint32_t *stasis_x86_cpuid_reg(struct stasis_x86_cpuid_leaf_state *leaf, enum stasis_x86_reg reg)
{
    uint32_t *const regs[] = {&leaf->eax, &leaf->ebx, &leaf->ecx, &leaf->edx};

    return regs[reg];
}

struct stasis_x86_cpuid_leaf_state *stasis_x86_cpuid_find(struct stasis_x86_cpuid_state *cpuid,
                                                          uint32_t function, uint32_t index)
{
    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        struct stasis_x86_cpuid_leaf_state *leaf = &cpuid->leaves[i];

        if (leaf->function == function && leaf->index == index)
            return leaf;
    }
    return NULL;
}

static int compare_leaf(const void *a, const void *b)
{
    const struct stasis_x86_cpuid_leaf_state *x = a, *y = b;

    if (x->function != y->function)
        return x->function < y->function ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void stasis_x86_cpuid_sort(struct stasis_x86_cpuid_state *cpuid)
{
    qsort(cpuid->leaves, cpuid->leaves_count, sizeof(cpuid->leaves[0]), compare_leaf);
}

/* ---- to and from KVM ---- */

int stasis_x86_cpuid_from_kvm(struct stasis_x86_cpuid_state *to, const struct kvm_cpuid2 *from,
                              struct stasis_error *err)
{
    if (from->nent > STASIS_X86_LEAVES_MAX)
        return stasis_fail(err, STASIS_ERR_RANGE, "KVM lists %u CPUID leaves, more than %u",
                           from->nent, STASIS_X86_LEAVES_MAX);
    memset(to, 0, sizeof(*to));
    to->leaves_count = from->nent;
    for (uint32_t i = 0; i < from->nent; i++) {
        const struct kvm_cpuid_entry2 *leaf = &from->entries[i];
        bool indexed = leaf->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

        to->leaves[i] =
            (struct stasis_x86_cpuid_leaf_state){leaf->function,
                                                 indexed ? leaf->index : 0,
                                                 leaf->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
                                                 leaf->eax,
                                                 leaf->ebx,
                                                 leaf->ecx,
                                                 leaf->edx};
    }
    stasis_x86_cpuid_sort(to);
    return 0;
}

union cpuid_buffer {
    struct kvm_cpuid2 header;
    uint8_t
        room[sizeof(struct kvm_cpuid2) + STASIS_X86_LEAVES_MAX * sizeof(struct kvm_cpuid_entry2)];
};

/* KVM_GET_CPUID2 would give what KVM made of it: bits that mirror CR4, and on some hosts features
 * that nobody promised. The guest is owed what was set. */
static int cpuid_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    const struct stasis_x86_cpuid_state *from = &stasis_x86_of(vcpu)->cpuid;
    struct stasis_x86_cpuid_state *to = ret_state;

    (void)err;
    to->leaves_count = from->leaves_count;
    memcpy(to->leaves, from->leaves, from->leaves_count * sizeof(from->leaves[0]));
    return 0;
}

static int cpuid_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_cpuid_state *from = state;
    union cpuid_buffer buffer = {.header.nent = from->leaves_count};
    int rc;

    for (uint32_t i = 0; i < from->leaves_count; i++) {
        const struct stasis_x86_cpuid_leaf_state *leaf = &from->leaves[i];

        buffer.header.entries[i] = (struct kvm_cpuid_entry2){.function = leaf->function,
                                                             .index = leaf->index,
                                                             .flags = leaf->flags,
                                                             .eax = leaf->eax,
                                                             .ebx = leaf->ebx,
                                                             .ecx = leaf->ecx,
                                                             .edx = leaf->edx};
    }
    rc = stasis_vcpu_set_cpuid(vcpu, &buffer.header, err);
    if (!rc) {
        stasis_x86_of(vcpu)->cpuid = *from;
        stasis_x86_of(vcpu)->readable.count = 0;
    }
    return rc;
}

const struct stasis_arch_vcpu_record stasis_x86_cpuid_part = {
    .schema = &stasis_x86_cpuid_schema,
    .get = cpuid_get,
    .set = cpuid_set,
    .check = stasis_x86_cpuid_check,
    .check_cpu = stasis_x86_cpuid_check_cpu,
    .check_id = stasis_x86_cpuid_check_id,
};

/* ---- what a new guest is shown ---- */

/* Features whose state this release does not save: nested virtualization, AMX, APX, SGX, shadow
 * stacks, protection keys for supervisor pages, user interrupts, performance counters, processor
 * trace; and memory encryption, which no host but its own could undo. */
static const struct {
    uint32_t function, index;
    enum stasis_x86_reg reg;
    uint32_t bits;
} unsaved_leaves[] = {
    {1, 0, ECX, BIT(5) | BIT(15)},                               /* VMX, performance counters */
    {6, 0, ECX, BIT(3)},                                         /* energy bias hint */
    {7, 0, EBX, BIT(2) | BIT(25)},                               /* SGX, trace */
    {7, 0, ECX, BIT(7) | BIT(30) | BIT(31)},                     /* shadow stacks, SGX_LC, PKS */
    {7, 0, EDX, BIT(5) | BIT(20) | BIT(22) | BIT(24) | BIT(25)}, /* UINTR, IBT, AMX */
    {7, 1, EAX, BIT(17) | BIT(21)},                              /* FRED, AMX-FP16 */
    {7, 1, EDX, BIT(8) | BIT(18) | BIT(21)},                     /* AMX, shadow stacks, APX */
    {0xd, 0, EAX, ~UINT32_C(0x2ff)},                             /* components without a place */
    {0xd, 1, ECX, UINT32_MAX},                                   /* supervisor components */
    {0x80000001, 0, ECX, BIT(2) | BIT(23) | BIT(24) | BIT(28)},  /* SVM, performance counters */
};

/* Whole leaves that describe what has just been taken away. */
static bool is_unsaved_leaf(const struct stasis_x86_cpuid_leaf_state *leaf)
{
    switch (leaf->function) {
    case 0xa:  /* performance counters */
    case 0x12: /* SGX */
    case 0x14: /* trace */
    case 0x1d: /* AMX */
    case 0x1e:
    case 0x8000000a: /* SVM */
    case 0x8000001f: /* memory encryption */
    case 0x80000022: /* performance counters */
        return true;
    case 0xd: /* a component without a place */
        return leaf->index >= 2 && (leaf->index > 31 || !(UINT32_C(0x2ff) >> leaf->index & 1));
    default:
        return false;
    }
}

static void strip_unsaved(struct stasis_x86_cpuid_state *cpuid)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < cpuid->leaves_count; i++) {
        if (!is_unsaved_leaf(&cpuid->leaves[i]))
            cpuid->leaves[kept++] = cpuid->leaves[i];
    }
    memset(&cpuid->leaves[kept], 0, (cpuid->leaves_count - kept) * sizeof(cpuid->leaves[0]));
    cpuid->leaves_count = kept;
    for (size_t i = 0; i < sizeof(unsaved_leaves) / sizeof(unsaved_leaves[0]); i++) {
        struct stasis_x86_cpuid_leaf_state *leaf =
            stasis_x86_cpuid_find(cpuid, unsaved_leaves[i].function, unsaved_leaves[i].index);

        if (leaf)
            *stasis_x86_cpuid_reg(leaf, unsaved_leaves[i].reg) &= ~unsaved_leaves[i].bits;
    }
}

static int host_cpuid(const struct stasis_kvm *kvm, struct stasis_x86_cpuid_state *ret_cpuid,
                      struct stasis_error *err)
{
    struct stasis_x86_cpuid_leaf_state *leaf;
    int rc = stasis_x86_cpuid_from_kvm(ret_cpuid, kvm->cpuid, err);

    if (rc)
        return rc;
    strip_unsaved(ret_cpuid);
    leaf = stasis_x86_cpuid_find(ret_cpuid, 1, 0);
    if (leaf) {
        /* Without the hypervisor bit Linux does not look for kvmclock and hangs calibrating. KVM
         * does not report the deadline timer as CPUID: it depends on the in-kernel LAPIC. */
        leaf->ecx |= BIT(31);
        if (kvm->has_tsc_deadline)
            leaf->ecx |= BIT(24);
    }
    return 0;
}

int stasis_x86_cpuid_default(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                             struct stasis_x86_cpuid_state *ret_cpuid, struct stasis_error *err)
{
    char names[STASIS_CPU_MODEL_NAMES_SIZE];

    if (stasis_cpu_model_is_host(board->cpu_model))
        return host_cpuid(kvm, ret_cpuid, err);
    if (stasis_x86_cpuid_fixed(board->cpu_model, board->release, ret_cpuid))
        return 0;
    stasis_cpu_model_names(NULL, names, sizeof(names));
    return stasis_fail(err, STASIS_ERR_ARG, "no CPU model \"%s\": use %s", board->cpu_model, names);
}
