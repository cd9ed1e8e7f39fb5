/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Model-specific registers. The TSC and its deadline are read here and set in clocks.c.
 *
 * What to save: KVM's index list, and the registers that the list leaves out though guests set
 * them (KVM api.rst, 4.3 says so of MTRRs and machine checks). Each is tried; what this KVM cannot
 * read does not exist for the guest either.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

#define MSR_MAX STASIS_X86_MSR_MAX

/* AMD's (APM 2, 15.30.5): each KVM of SVM lists it, with this in it, and no KVM of VMX takes it. */
#define TSC_RATIO  0xc0000104
#define RATIO_OF_1 (UINT64_C(1) << 32)
#define SVM_LEAF   0x8000000a
#define HAS_RATIO  4 /* bit of EDX there: a guest has the register */

#define VMX 5 /* bit of CPUID 1 ECX */

#define WALL_CLOCK_LEN 12 /* struct pvclock_wall_clock */

/* Beyond the index list: first, last. */
static const struct {
    uint32_t first, last;
} unlisted[] = {
    {0x48, 0x48},   /* SPEC_CTRL */
    {0xe1, 0xe1},   /* UMWAIT_CONTROL */
    {0x122, 0x122}, /* TSX_CTRL */
    {0x140, 0x140}, /* MISC_FEATURES_ENABLES */
    {0x17a, 0x17b}, /* MCG_STATUS, MCG_CTL */
    {0x200, 0x20f}, /* MTRR base and mask */
    {0x250, 0x250}, /* fixed MTRRs */
    {0x258, 0x259},
    {0x268, 0x26f},
    {0x277, 0x277},           /* PAT */
    {0x2ff, 0x2ff},           /* MTRRdefType */
    {0x400, 0x47f},           /* machine check banks */
    {0xda0, 0xda0},           /* XSS */
    {0x4b564d00, 0x4b564d08}, /* KVM's own */
    {0xc0000102, 0xc0000103}, /* KERNEL_GS_BASE, TSC_AUX */
};

/* Hyper-V's (TLFS, appendix C): listed by KVM, some with clocks in them, but no guest of ours is
 * told by CPUID that it could use them. */
static bool is_hyperv(uint32_t index)
{
    return index >= 0x40000000 && index <= 0x400001ff;
}

bool stasis_x86_msr_find(const struct stasis_x86_msrs_state *msrs, uint32_t index,
                         uint64_t *ret_value)
{
    for (uint32_t i = 0; i < msrs->msrs_count; i++) {
        if (msrs->msrs[i].index == index) {
            *ret_value = msrs->msrs[i].value;
            return true;
        }
    }
    return false;
}

static int compare_index(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void sort_unique(struct stasis_x86_msr_set *set)
{
    uint32_t kept = 0;

    qsort(set->index, set->count, sizeof(set->index[0]), compare_index);
    for (uint32_t i = 0; i < set->count; i++) {
        if (!kept || set->index[i] != set->index[kept - 1])
            set->index[kept++] = set->index[i];
    }
    set->count = kept;
}

static int candidates(const struct stasis_kvm *kvm, struct stasis_x86_msr_set *ret_set,
                      struct stasis_error *err)
{
    struct kvm_msr_list *list = NULL;
    int rc = stasis_kvm_msr_list(kvm, &list, err);

    if (rc)
        return rc;
    ret_set->count = 0;
    for (uint32_t i = 0; i < list->nmsrs && ret_set->count < MSR_MAX; i++) {
        if (!is_hyperv(list->indices[i]))
            ret_set->index[ret_set->count++] = list->indices[i];
    }
    free(list);
    for (size_t i = 0; i < sizeof(unlisted) / sizeof(unlisted[0]); i++) {
        for (uint32_t msr = unlisted[i].first; msr <= unlisted[i].last && ret_set->count < MSR_MAX;
             msr++)
            ret_set->index[ret_set->count++] = msr;
    }
    if (ret_set->count == MSR_MAX)
        return stasis_fail(err, STASIS_ERR_RANGE, "this host's KVM lists more MSRs than %u",
                           MSR_MAX);
    sort_unique(ret_set);
    return 0;
}

/* A register that is not here, such as the other vendor's, reads as 0: what the guest was promised,
 * CPUID has checked. */
int stasis_x86_msr_read(struct stasis_vcpu *vcpu, uint32_t index, uint64_t *ret_value,
                        struct stasis_error *err)
{
    struct kvm_msr_entry entry = {.index = index};
    uint32_t count = 1;
    int rc = stasis_vcpu_get_msrs_present(vcpu, &entry, &count, err);

    if (!rc)
        *ret_value = count ? entry.data : 0;
    return rc;
}

/* Registers that a guest without the feature never looks at, though KVM fills them from the host:
 * saved, they would keep a guest from a host with other values. No SMI reaches a guest of ours. */
static bool is_for_guest(const struct stasis_x86_cpuid_state *cpuid, uint32_t index)
{
    switch (index) {
    case 0x3a: /* FEATURE_CONTROL: kernels lock it in vain, and AMD's CPUs have none */
        return stasis_x86_cpuid_has(cpuid, 1, STASIS_X86_ECX, VMX);
    case 0x9e: /* SMBASE */
        return false;
    case 0x10a: /* ARCH_CAPABILITIES */
        return stasis_x86_cpuid_has(cpuid, 7, STASIS_X86_EDX, 29);
    case 0x345: /* PERF_CAPABILITIES */
        return stasis_x86_cpuid_has(cpuid, 1, STASIS_X86_ECX, 15);
    case TSC_RATIO:
        return stasis_x86_cpuid_has(cpuid, SVM_LEAF, STASIS_X86_EDX, HAS_RATIO);
    default:
        return true;
    }
}

/* All that may be there for this guest. */
static int wanted(struct stasis_vcpu *vcpu, struct stasis_x86_msr_set *ret_set,
                  struct stasis_error *err)
{
    struct stasis_x86_msr_set set;
    int rc = candidates(vcpu->vm->kvm, &set, err);

    if (rc)
        return rc;
    ret_set->count = 0;
    for (uint32_t i = 0; i < set.count; i++) {
        if (is_for_guest(&stasis_x86_of(vcpu)->cpuid, set.index[i]))
            ret_set->index[ret_set->count++] = set.index[i];
    }
    return 0;
}

/* What KVM cannot read is left out. */
static int read_set(struct stasis_vcpu *vcpu, const struct stasis_x86_msr_set *set,
                    struct stasis_x86_msrs_state *to, struct stasis_error *err)
{
    struct kvm_msr_entry entries[MSR_MAX];
    uint32_t count = set->count;
    int rc;

    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct kvm_msr_entry){.index = set->index[i]};
    rc = stasis_vcpu_get_msrs_present(vcpu, entries, &count, err);
    if (rc)
        return rc;
    to->msrs_count = count;
    for (uint32_t i = 0; i < count; i++)
        to->msrs[i] =
            (struct stasis_x86_msr_state){.index = entries[i].index, .value = entries[i].data};
    return 0;
}

static int msrs_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_msr_set set, *readable = &stasis_x86_of(vcpu)->readable;
    struct stasis_x86_msrs_state *to = ret_state;
    int rc;

    if (readable->count)
        return read_set(vcpu, readable, to, err);
    rc = wanted(vcpu, &set, err);
    if (!rc)
        rc = read_set(vcpu, &set, to, err);
    if (rc)
        return rc;
    readable->count = to->msrs_count;
    for (uint32_t i = 0; i < to->msrs_count; i++)
        readable->index[i] = to->msrs[i].index;
    return 0;
}

static void add_refused(struct stasis_reasons *reasons, const struct kvm_msr_entry *msr,
                        uint64_t now)
{
    struct stasis_reason reason = {
        .code = STASIS_ERR_HOST,
        .kind = "msr",
        .is_listed = true,
        .what = "this host refuses MSR",
        .remedy = "thaw on a host like the one that froze it, or freeze guests that were started "
                  "with cpu.model=baseline"};

    snprintf(reason.object, sizeof(reason.object), "0x%" PRIx32 " = 0x%" PRIx64, msr->index,
             (uint64_t)msr->data);
    snprintf(reason.asks, sizeof(reason.asks), "0x%" PRIx64, (uint64_t)msr->data);
    snprintf(reason.has, sizeof(reason.has), "0x%" PRIx64 " or no such register", now);
    stasis_reasons_add(reasons, &reason);
}

/* A register that refuses its value may hold it all the same (read-only ones do). */
static int refused(void *reasons, struct stasis_vcpu *vcpu, const struct kvm_msr_entry *msr,
                   struct stasis_error *err)
{
    uint64_t now = 0;
    int rc = stasis_x86_msr_read(vcpu, msr->index, &now, err);

    if (!rc && now != msr->data)
        add_refused(reasons, msr, now);
    return rc;
}

/* All that are refused are named. */
static int set_all(struct stasis_vcpu *vcpu, const struct kvm_msr_entry *entries, uint32_t count,
                   struct stasis_error *err)
{
    struct stasis_reasons reasons = {0};
    int rc = stasis_vcpu_set_msrs_each(vcpu, entries, count, refused, &reasons, err);

    if (!rc)
        rc = stasis_x86_refuse(vcpu, &reasons, err);
    stasis_reasons_fini(&reasons);
    return rc;
}

int stasis_x86_msr_write(struct stasis_vcpu *vcpu, uint32_t index, uint64_t value,
                         struct stasis_error *err)
{
    const struct kvm_msr_entry entry = {.index = index, .data = value};

    return set_all(vcpu, &entry, 1, err);
}

/* They are set with kvmclock, after everything else (clocks.c). */
static bool has_own_turn(uint32_t index)
{
    return index == STASIS_MSR_TSC || index == STASIS_MSR_TSC_DEADLINE;
}

static void keep_ticks(struct stasis_vcpu *vcpu, const struct stasis_x86_msrs_state *from)
{
    struct stasis_x86_ticks *ticks = &stasis_x86_of(vcpu)->ticks;

    ticks->has_tsc = stasis_x86_msr_find(from, STASIS_MSR_TSC, &ticks->tsc);
    if (!stasis_x86_msr_find(from, STASIS_MSR_TSC_ADJUST, &ticks->adjust))
        ticks->adjust = 0;
    ticks->has_deadline = stasis_x86_msr_find(from, STASIS_MSR_TSC_DEADLINE, &ticks->deadline);
}

/* Files of 0.1.0 from hosts with SVM have it for guests that never see it. */
static bool is_left_out(const struct stasis_vcpu *vcpu, const struct stasis_x86_msr_state *msr)
{
    return msr->index == TSC_RATIO && msr->value == RATIO_OF_1 &&
           !is_for_guest(&stasis_x86_of(vcpu)->cpuid, msr->index);
}

/* All but those two. */
static int set_plain(struct stasis_vcpu *vcpu, const struct stasis_x86_msrs_state *from,
                     struct stasis_error *err)
{
    struct kvm_msr_entry entries[MSR_MAX];
    uint32_t count = 0;

    _Static_assert(sizeof(from->msrs) / sizeof(from->msrs[0]) <= MSR_MAX, "more than have room");
    for (uint32_t i = 0; i < from->msrs_count; i++) {
        if (!has_own_turn(from->msrs[i].index) && !is_left_out(vcpu, &from->msrs[i]))
            entries[count++] =
                (struct kvm_msr_entry){.index = from->msrs[i].index, .data = from->msrs[i].value};
    }
    return set_all(vcpu, entries, count, err);
}

/* A write to either register has KVM put the host's time of day of now where it points to (KVM
 * msr.rst). The guest asked for that once, and may keep something else there since. */
static void *wall_clock_at(const struct stasis_vcpu *vcpu, const struct stasis_x86_msrs_state *from)
{
    static const uint32_t registers[] = {0x11, 0x4b564d00};
    uint64_t gpa;

    for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++) {
        if (stasis_x86_msr_find(from, registers[i], &gpa))
            return stasis_memory_writable(vcpu->vm->memory, gpa, WALL_CLOCK_LEN);
    }
    return NULL;
}

static int msrs_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_msrs_state *from = state;
    uint8_t kept[WALL_CLOCK_LEN];
    void *wall_clock = wall_clock_at(vcpu, from);
    int rc;

    if (wall_clock)
        memcpy(kept, wall_clock, sizeof(kept));
    keep_ticks(vcpu, from);
    rc = set_plain(vcpu, from, err);
    if (wall_clock)
        memcpy(wall_clock, kept, sizeof(kept));
    return rc;
}

const struct stasis_arch_vcpu_record stasis_x86_msrs_part = {
    .schema = &stasis_x86_msrs_schema,
    .get = msrs_get,
    .set = msrs_set,
    .at_clock = stasis_x86_msrs_at_clock,
};
