/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The TSC of a vCPU. Everything that is set is read back: KVM without hardware virtualization gives
 * guests the host's TSC and answers success all the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <x86intrin.h>

#include "stasis/kvm_msrs.h"

#define MSR_TSC UINT32_C(0x10)

int stasis_vcpu_get_tsc(struct stasis_vcpu *vcpu, uint64_t *ret_tsc, struct stasis_error *err)
{
    struct kvm_msr_entry entry = {.index = MSR_TSC};
    int rc = stasis_vcpu_get_msrs(vcpu, &entry, 1, err);

    if (!rc)
        *ret_tsc = entry.data;
    return rc;
}

static int no_effect(struct stasis_error *err, const char *what)
{
    return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                       "KVM takes %s of the guest's TSC, and nothing changes: it shows guests the "
                       "host's",
                       what);
}

/* How far a TSC may be from the value that was set `host_ticks` of the host ago: a second, within
 * which KVM makes TSCs equal, and as much again as has passed, since the rates may differ. */
static bool is_near(uint64_t tsc, uint64_t value, uint64_t host_ticks, uint32_t khz)
{
    uint64_t off = tsc > value ? tsc - value : value - tsc;

    return off / 2 <= (uint64_t)khz * 1000 + host_ticks;
}

int stasis_vcpu_set_tsc(struct stasis_vcpu *vcpu, uint64_t tsc, struct stasis_error *err)
{
    const struct kvm_msr_entry entry = {.index = MSR_TSC, .data = tsc};
    uint64_t before = __rdtsc(), now = 0;
    uint32_t khz = 0;
    int rc = stasis_vcpu_get_tsc_khz(vcpu, &khz, err);

    if (!rc)
        rc = stasis_vcpu_set_msrs(vcpu, &entry, 1, err);
    if (!rc)
        rc = stasis_vcpu_get_tsc(vcpu, &now, err);
    if (!rc && !is_near(now, tsc, __rdtsc() - before, khz))
        rc = no_effect(err, "a value");
    return rc;
}

/* ---- offset ---- */

static int offset_ioctl(struct stasis_vcpu *vcpu, unsigned long request, const char *name,
                        int64_t *offset, struct stasis_error *err)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)offset};

    if (stasis_kvm_ioctl(vcpu->fd, request, &attr) == 0)
        return 0;
    if (errno == ENXIO || errno == ENOTTY || errno == EINVAL)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "this KVM has no offset of the TSC (Linux 5.16)");
    return stasis_fail_errno(err, STASIS_ERR_KVM, "%s", name);
}

int stasis_vcpu_get_tsc_offset(struct stasis_vcpu *vcpu, int64_t *ret_offset,
                               struct stasis_error *err)
{
    return offset_ioctl(vcpu, KVM_GET_DEVICE_ATTR, "KVM_GET_DEVICE_ATTR", ret_offset, err);
}

int stasis_vcpu_set_tsc_offset(struct stasis_vcpu *vcpu, int64_t offset, struct stasis_error *err)
{
    int64_t now = 0;
    int rc = offset_ioctl(vcpu, KVM_SET_DEVICE_ATTR, "KVM_SET_DEVICE_ATTR", &offset, err);

    if (!rc)
        rc = stasis_vcpu_get_tsc_offset(vcpu, &now, err);
    if (!rc && now != offset)
        rc = no_effect(err, "an offset");
    return rc;
}

/* ---- rate ---- */

int stasis_vcpu_get_tsc_khz(struct stasis_vcpu *vcpu, uint32_t *ret_khz, struct stasis_error *err)
{
    int khz = stasis_kvm_ioctl(vcpu->fd, KVM_GET_TSC_KHZ, NULL);

    if (khz <= 0)
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_TSC_KHZ");
    *ret_khz = (uint32_t)khz;
    return 0;
}

int stasis_vcpu_set_tsc_khz(struct stasis_vcpu *vcpu, uint32_t khz, struct stasis_error *err)
{
    uint32_t now = 0;
    int rc = STASIS_KVM(vcpu->fd, KVM_SET_TSC_KHZ, (void *)(uintptr_t)khz, err);

    if (!rc)
        rc = stasis_vcpu_get_tsc_khz(vcpu, &now, err);
    if (!rc && now != khz)
        rc = no_effect(err, "a rate");
    return rc;
}
