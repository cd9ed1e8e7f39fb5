/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Model-specific registers, and the rate of the TSC.
 *
 * What to save: KVM's index list, and the registers that the list leaves out though guests set
 * them (KVM api.rst, 4.3 says so of MTRRs and machine checks). Each is tried; what this KVM cannot
 * read does not exist for the guest either.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

#define MSR_MAX   512u
#define BATCH_MAX 128u /* KVM takes less than 256 at a time (MAX_IO_MSRS) */

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

struct msr_set {
    uint32_t index[MSR_MAX];
    uint32_t count;
};

static int compare_index(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static void sort_unique(struct msr_set *set)
{
    uint32_t kept = 0;

    qsort(set->index, set->count, sizeof(set->index[0]), compare_index);
    for (uint32_t i = 0; i < set->count; i++) {
        if (!kept || set->index[i] != set->index[kept - 1])
            set->index[kept++] = set->index[i];
    }
    set->count = kept;
}

static int candidates(const struct stasis_kvm *kvm, struct msr_set *ret_set,
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

union msr_batch {
    struct kvm_msrs header;
    uint8_t room[sizeof(struct kvm_msrs) + BATCH_MAX * sizeof(struct kvm_msr_entry)];
};

/* A register that is not here, such as the other vendor's, reads as 0: what the guest was promised,
 * CPUID has checked. */
static int read_one(struct stasis_vcpu *vcpu, uint32_t index, uint64_t *ret_value,
                    struct stasis_error *err)
{
    union msr_batch batch = {.header.nmsrs = 1};

    batch.header.entries[0].index = index;
    if (stasis_kvm_ioctl(vcpu->fd, KVM_GET_MSRS, &batch) < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_MSRS");
    *ret_value = batch.header.entries[0].data;
    return 0;
}

/* Registers that a guest without the feature never looks at, though KVM fills them from the host:
 * saved, they would keep a guest from a host with other values. No SMI reaches a guest of ours. */
static bool is_for_guest(const struct stasis_x86_cpuid_state *cpuid, uint32_t index)
{
    switch (index) {
    case 0x9e: /* SMBASE */
        return false;
    case 0x10a: /* ARCH_CAPABILITIES */
        return stasis_x86_cpuid_has(cpuid, 7, STASIS_X86_EDX, 29);
    case 0x345: /* PERF_CAPABILITIES */
        return stasis_x86_cpuid_has(cpuid, 1, STASIS_X86_ECX, 15);
    default:
        return true;
    }
}

/* KVM_GET_MSRS stops at the first register it cannot read: keep what came before, leave that one
 * out, go on behind it. */
static int msrs_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_msrs_state *to = ret_state;
    union msr_batch batch;
    struct msr_set set;
    uint32_t at = 0;
    int rc = candidates(vcpu->vm->kvm, &set, err);

    if (rc)
        return rc;
    to->msrs_count = 0;
    while (at < set.count) {
        uint32_t asked = set.count - at < BATCH_MAX ? set.count - at : BATCH_MAX;
        int got;

        memset(&batch, 0, sizeof(batch));
        batch.header.nmsrs = asked;
        for (uint32_t i = 0; i < asked; i++)
            batch.header.entries[i].index = set.index[at + i];
        got = stasis_kvm_ioctl(vcpu->fd, KVM_GET_MSRS, &batch);
        if (got < 0)
            return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_MSRS");
        for (int i = 0; i < got; i++) {
            const struct kvm_msr_entry *msr = &batch.header.entries[i];

            if (is_for_guest(&stasis_x86_of(vcpu)->cpuid, msr->index))
                to->msrs[to->msrs_count++] =
                    (struct stasis_x86_msr_state){.index = msr->index, .value = msr->data};
        }
        at += (uint32_t)got + ((uint32_t)got < asked);
    }
    return 0;
}

/* A register that refuses its value may hold it all the same (read-only ones do). */
static int refused(struct stasis_vcpu *vcpu, const struct stasis_x86_msr_state *msr,
                   struct stasis_error *err)
{
    uint64_t now = 0;
    int rc = read_one(vcpu, msr->index, &now, err);

    if (rc || now == msr->value)
        return rc;
    return stasis_fail(err, STASIS_ERR_HOST,
                       "this host refuses MSR 0x%" PRIx32 " = 0x%" PRIx64
                       "; thaw on a host like the one that froze it, or freeze guests that were "
                       "started with --cpu baseline",
                       msr->index, msr->value);
}

static int write_one(struct stasis_vcpu *vcpu, const struct stasis_x86_msr_state *msr,
                     struct stasis_error *err)
{
    union msr_batch batch = {.header.nmsrs = 1};
    int got;

    batch.header.entries[0] = (struct kvm_msr_entry){.index = msr->index, .data = msr->value};
    got = stasis_kvm_ioctl(vcpu->fd, KVM_SET_MSRS, &batch);
    if (got < 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_SET_MSRS");
    return got ? 0 : refused(vcpu, msr, err);
}

/* Through the offset attribute, which is exact; KVM takes a write to the MSR for an attempt to
 * synchronize vCPUs when the values are near, and drops it (KVM vcpu.rst, 4.1). A KVM without
 * hardware virtualization shows guests the host's TSC and drops every offset: *ret_shift becomes
 * what the guest's TSC is ahead of its value, modulo 2^64; else 0. */
static int set_tsc(struct stasis_vcpu *vcpu, const struct stasis_x86_msr_state *tsc,
                   uint64_t *ret_shift, struct stasis_error *err)
{
    uint64_t offset = 0, wanted, now = 0;
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset};
    int rc;

    *ret_shift = 0;
    if (!stasis_x86_of(vcpu)->has_tsc_offset)
        return write_one(vcpu, tsc, err);
    rc = STASIS_KVM(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr, err);
    if (!rc)
        rc = read_one(vcpu, STASIS_MSR_TSC, &now, err);
    if (rc)
        return rc;
    offset += tsc->value - now;
    wanted = offset;
    rc = STASIS_KVM(vcpu->fd, KVM_SET_DEVICE_ATTR, &attr, err);
    if (!rc)
        rc = STASIS_KVM(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr, err);
    if (!rc)
        *ret_shift = offset - wanted;
    return rc;
}

static bool has_own_turn(uint32_t index)
{
    return index == STASIS_MSR_TSC || index == STASIS_MSR_TSC_DEADLINE;
}

/* All but the TSC and its deadline. KVM_SET_MSRS stops at a refusal: look at that one, and go on
 * behind it. */
static int set_plain(struct stasis_vcpu *vcpu, const struct stasis_x86_msrs_state *from,
                     struct stasis_error *err)
{
    uint32_t at = 0;
    int rc = 0;

    while (!rc && at < from->msrs_count) {
        union msr_batch batch = {.header.nmsrs = 0};
        uint32_t source[BATCH_MAX];
        uint32_t i = at, done;
        int got;

        for (; i < from->msrs_count && batch.header.nmsrs < BATCH_MAX; i++) {
            if (has_own_turn(from->msrs[i].index))
                continue;
            source[batch.header.nmsrs] = i;
            batch.header.entries[batch.header.nmsrs++] =
                (struct kvm_msr_entry){.index = from->msrs[i].index, .data = from->msrs[i].value};
        }
        got = stasis_kvm_ioctl(vcpu->fd, KVM_SET_MSRS, &batch);
        if (got < 0)
            return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_SET_MSRS");
        done = (uint32_t)got;
        at = done < batch.header.nmsrs ? source[done] + 1 : i;
        if (done < batch.header.nmsrs)
            rc = refused(vcpu, &from->msrs[source[done]], err);
    }
    return rc;
}

static const struct stasis_x86_msr_state *find_msr(const struct stasis_x86_msrs_state *msrs,
                                                   uint32_t index)
{
    for (uint32_t i = 0; i < msrs->msrs_count; i++) {
        if (msrs->msrs[i].index == index)
            return &msrs->msrs[i];
    }
    return NULL;
}

/* A write to either register has KVM put the host's time of day of now where it points to (KVM
 * msr.rst). The guest asked for that once, and may keep something else there since. */
static void *wall_clock_at(const struct stasis_vcpu *vcpu, const struct stasis_x86_msrs_state *from)
{
    static const uint32_t registers[] = {0x11, 0x4b564d00};
    const struct stasis_x86_msr_state *msr = NULL;

    for (size_t i = 0; !msr && i < sizeof(registers) / sizeof(registers[0]); i++)
        msr = find_msr(from, registers[i]);
    return msr ? stasis_memory_writable(vcpu->vm->memory, msr->value, WALL_CLOCK_LEN) : NULL;
}

static int set_plain_but_ram(struct stasis_vcpu *vcpu, const struct stasis_x86_msrs_state *from,
                             struct stasis_error *err)
{
    uint8_t kept[WALL_CLOCK_LEN];
    void *wall_clock = wall_clock_at(vcpu, from);
    int rc;

    if (wall_clock)
        memcpy(kept, wall_clock, sizeof(kept));
    rc = set_plain(vcpu, from, err);
    if (wall_clock)
        memcpy(wall_clock, kept, sizeof(kept));
    return rc;
}

/* The TSC before its deadline, the deadline last (Firecracker #4099, #4666): KVM compares the two
 * when the deadline is written, and arms the timer. Where the TSC could not be set the deadline
 * moves with it, so that the guest sleeps no longer than it was to; 0 means there is none. */
static int msrs_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_msrs_state *from = state;
    const struct stasis_x86_msr_state *tsc = find_msr(from, STASIS_MSR_TSC);
    const struct stasis_x86_msr_state *deadline = find_msr(from, STASIS_MSR_TSC_DEADLINE);
    uint64_t shift = 0;
    int rc = set_plain_but_ram(vcpu, from, err);

    if (!rc && tsc)
        rc = set_tsc(vcpu, tsc, &shift, err);
    if (!rc && deadline) {
        struct stasis_x86_msr_state moved = *deadline;

        if (moved.value)
            moved.value += shift;
        rc = write_one(vcpu, &moved, err);
    }
    return rc;
}

const struct stasis_arch_vcpu_record stasis_x86_msrs_part = {
    .schema = &stasis_x86_msrs_schema, .get = msrs_get, .set = msrs_set};

/* ---- rate of the TSC ---- */

static int tsc_get(struct stasis_vcpu *vcpu, void *ret_state, struct stasis_error *err)
{
    struct stasis_x86_tsc_state *to = ret_state;
    int khz = stasis_kvm_ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL);

    if (khz <= 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_TSC_KHZ");
    to->khz = (uint32_t)khz;
    return 0;
}

bool stasis_x86_tsc_close(uint32_t khz, uint32_t other_khz)
{
    uint64_t apart = khz > other_khz ? khz - other_khz : other_khz - khz;

    return apart * 1000000 <= (uint64_t)other_khz * 250;
}

/* Equal, or scaled by KVM, or, when the user allows a clock that is off, left alone. */
static int tsc_set(struct stasis_vcpu *vcpu, const void *state, struct stasis_error *err)
{
    const struct stasis_x86_tsc_state *from = state;
    struct stasis_x86_tsc_state host = {.khz = 0};
    int rc = tsc_get(vcpu, &host, err);

    if (rc || stasis_x86_tsc_close(host.khz, from->khz))
        return rc;
    if (vcpu->vm->kvm->has_tsc_control &&
        stasis_kvm_ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)from->khz) == 0)
        return 0;
    if (stasis_x86_of(vcpu)->allow_tsc)
        return 0;
    return stasis_fail(err, STASIS_ERR_HOST,
                       "the guest's TSC runs at %" PRIu32 " kHz, this host's at %" PRIu32
                       " kHz and cannot be scaled; --allow tsc thaws it all the same, with clocks "
                       "that are off by that factor",
                       from->khz, host.khz);
}

const struct stasis_arch_vcpu_record stasis_x86_tsc_part = {
    .schema = &stasis_x86_tsc_schema, .get = tsc_get, .set = tsc_set};
