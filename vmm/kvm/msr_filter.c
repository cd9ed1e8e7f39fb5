/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * MSR accesses that are passed to this process. KVM takes 16 ranges with a bitmap each; a bit that
 * is set allows the MSR.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "stasis/kvm_x86.h"

#define BITMAP_SIZE  KVM_MSR_FILTER_MAX_BITMAP_SIZE
#define RANGE_MSRS   (BITMAP_SIZE * UINT32_C(8))
#define X2APIC_FIRST UINT32_C(0x800)
#define X2APIC_LAST  UINT32_C(0x8ff)

struct ranges {
    struct kvm_msr_filter filter;
    uint32_t count;
    uint8_t bitmaps[KVM_MSR_FILTER_MAX_RANGES][BITMAP_SIZE] __attribute__((aligned(8)));
};

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* A range that begins at the MSR and has as many behind it as a bitmap holds. */
static struct kvm_msr_filter_range *open_range(struct ranges *ranges, uint32_t flags,
                                               uint32_t first)
{
    struct kvm_msr_filter_range *range;

    if (ranges->count == KVM_MSR_FILTER_MAX_RANGES)
        return NULL;
    range = &ranges->filter.ranges[ranges->count];
    memset(ranges->bitmaps[ranges->count], 0xff, BITMAP_SIZE);
    *range = (struct kvm_msr_filter_range){
        .flags = flags, .base = first, .bitmap = ranges->bitmaps[ranges->count]};
    ranges->count++;
    return range;
}

/* `sorted` ascends, so each MSR is in the last range or behind it. */
static int add_sorted(struct ranges *ranges, uint32_t flags, const uint32_t *sorted, size_t count,
                      struct stasis_error *err)
{
    struct kvm_msr_filter_range *range = NULL;

    for (size_t i = 0; i < count; i++) {
        uint32_t bit;

        if (!range || sorted[i] - range->base >= RANGE_MSRS)
            range = open_range(ranges, flags, sorted[i]);
        if (!range)
            return STASIS_REFUSE(err, E2BIG, STASIS_ERR_FULL,
                                 "the MSRs to filter need more than KVM's %d ranges",
                                 KVM_MSR_FILTER_MAX_RANGES);
        bit = sorted[i] - range->base;
        range->bitmap[bit / 8] &= (uint8_t) ~(1u << bit % 8);
        range->nmsrs = bit + 1;
    }
    return 0;
}

static int check(const uint32_t *msrs, size_t count, struct stasis_error *err)
{
    for (size_t i = 0; i < count; i++) {
        if (msrs[i] >= X2APIC_FIRST && msrs[i] <= X2APIC_LAST)
            return STASIS_REFUSE(err, EINVAL, STASIS_ERR_ARG,
                                 "MSR 0x%" PRIx32 " is of the x2APIC, which KVM never filters",
                                 msrs[i]);
    }
    return 0;
}

static int add(struct ranges *ranges, uint32_t flags, const uint32_t *msrs, size_t count,
               struct stasis_error *err)
{
    int rc = check(msrs, count, err);
    uint32_t *sorted;

    if (rc || !count)
        return rc;
    sorted = calloc(count, sizeof(*sorted));
    if (!sorted)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a filter of MSRs");
    memcpy(sorted, msrs, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare);
    rc = add_sorted(ranges, flags, sorted, count, err);
    free(sorted);
    return rc;
}

int stasis_vm_filter_msrs(const struct stasis_vm *vm, const struct stasis_msr_filter *filter,
                          struct stasis_error *err)
{
    struct ranges *ranges;
    int rc;

    if (!stasis_vm_cap(vm, KVM_CAP_X86_MSR_FILTER))
        return STASIS_REFUSE(err, ENOTTY, STASIS_ERR_UNAVAILABLE,
                             "this KVM filters no MSRs; use Linux 5.10 or newer");
    ranges = calloc(1, sizeof(*ranges));
    if (!ranges)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for ranges of MSRs");
    ranges->filter.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
    rc = add(ranges, KVM_MSR_FILTER_READ, filter->reads, filter->read_count, err);
    if (!rc)
        rc = add(ranges, KVM_MSR_FILTER_WRITE, filter->writes, filter->write_count, err);
    if (!rc)
        rc = STASIS_KVM(vm->fd, KVM_X86_SET_MSR_FILTER, &ranges->filter, err);
    free(ranges);
    return rc;
}

int stasis_vm_exit_on_msrs(const struct stasis_vm *vm, uint32_t reasons, struct stasis_error *err)
{
    const uint64_t args[4] = {reasons};
    int rc = stasis_vm_enable_cap(vm, KVM_CAP_X86_USER_SPACE_MSR, args, err);

    return rc ? stasis_wrap(err, rc, "exits for MSRs") : 0;
}

int stasis_vm_allow_platform_info(const struct stasis_vm *vm, bool allow, struct stasis_error *err)
{
    const uint64_t args[4] = {allow};
    int rc = stasis_vm_enable_cap(vm, KVM_CAP_MSR_PLATFORM_INFO, args, err);

    return rc ? stasis_wrap(err, rc, "reads of MSR_PLATFORM_INFO") : 0;
}
