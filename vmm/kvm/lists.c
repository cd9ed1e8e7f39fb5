/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Tables of KVM whose length only KVM knows: it answers E2BIG to one that is too short.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "stasis/kvm.h"

#include "fail.h"

/* Far above what any kernel lists. Keeps sizes small enough to multiply. */
#define LIST_MAX    4096u
#define CPUID_FIRST 256u

#define ADDRESS_LEAF         UINT32_C(0x80000008)
#define ADDRESS_BITS_DEFAULT 36u /* SDM 3A, 4.1.4: of CPUs without the leaf */

/* ---- CPUID ---- */

/* Tries once; 1 if the table is too short. */
static int try_cpuid(int fd, unsigned long request, uint32_t count, struct kvm_cpuid2 **ret_cpuid,
                     struct stasis_error *err)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + count * sizeof(cpuid->entries[0]));

    if (!cpuid)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a CPUID table");
    cpuid->nent = count;
    if (stasis_kvm_ioctl(fd, request, cpuid) < 0) {
        free(cpuid); /* keeps errno (POSIX.1-2024, glibc 2.33) */
        return 1;
    }
    *ret_cpuid = cpuid;
    return 0;
}

int stasis_kvm_read_cpuid(int fd, unsigned long request, const char *name, uint32_t count,
                          struct kvm_cpuid2 **ret_cpuid, struct stasis_error *err)
{
    int rc = 1;

    errno = E2BIG;
    for (uint32_t n = count ? count : CPUID_FIRST; rc == 1 && errno == E2BIG && n <= LIST_MAX;
         n *= 2)
        rc = try_cpuid(fd, request, n, ret_cpuid, err);
    return rc == 1 ? stasis_fail_errno(err, STASIS_ERR_KVM, "%s", name) : rc;
}

int stasis_kvm_supported_cpuid(const struct stasis_kvm *kvm, struct kvm_cpuid2 **ret_cpuid,
                               struct stasis_error *err)
{
    return stasis_kvm_read_cpuid(kvm->fd, KVM_GET_SUPPORTED_CPUID, "KVM_GET_SUPPORTED_CPUID", 0,
                                 ret_cpuid, err);
}

int stasis_kvm_emulated_cpuid(const struct stasis_kvm *kvm, struct kvm_cpuid2 **ret_cpuid,
                              struct stasis_error *err)
{
    return stasis_kvm_read_cpuid(kvm->fd, KVM_GET_EMULATED_CPUID, "KVM_GET_EMULATED_CPUID", 0,
                                 ret_cpuid, err);
}

/* KVM says since Linux 6.10 in bits 16 to 23 what a guest can map, where that is less than what its
 * CPU can address. */
unsigned stasis_kvm_address_bits(const struct stasis_kvm *kvm)
{
    for (uint32_t i = 0; i < kvm->cpuid->nent; i++) {
        uint32_t eax = kvm->cpuid->entries[i].eax;

        if (kvm->cpuid->entries[i].function != ADDRESS_LEAF)
            continue;
        if (eax >> 16 & 0xff)
            return eax >> 16 & 0xff;
        return eax & 0xff ? eax & 0xff : ADDRESS_BITS_DEFAULT;
    }
    return ADDRESS_BITS_DEFAULT;
}

/* ---- MSRs ---- */

/* With no room the kernel answers E2BIG and the true count; that can grow before it is asked
 * again, when a module is loaded. */
static int read_msr_list(int fd, unsigned long request, const char *name,
                         struct kvm_msr_list **ret_list, struct stasis_error *err)
{
    uint32_t count = 0;

    do {
        struct kvm_msr_list *list = calloc(1, sizeof(*list) + count * sizeof(list->indices[0]));

        if (!list)
            return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for a list of MSRs");
        list->nmsrs = count;
        if (stasis_kvm_ioctl(fd, request, list) == 0) {
            *ret_list = list;
            return 0;
        }
        /* A list that is too short for a count that fits would be asked for without end. */
        count = list->nmsrs > count ? list->nmsrs : LIST_MAX + 1;
        free(list);
    } while (errno == E2BIG && count <= LIST_MAX);
    return stasis_fail_errno(err, STASIS_ERR_KVM, "%s", name);
}

int stasis_kvm_msr_list(const struct stasis_kvm *kvm, struct kvm_msr_list **ret_list,
                        struct stasis_error *err)
{
    return read_msr_list(kvm->fd, KVM_GET_MSR_INDEX_LIST, "KVM_GET_MSR_INDEX_LIST", ret_list, err);
}

int stasis_kvm_msr_features(const struct stasis_kvm *kvm, struct kvm_msr_list **ret_list,
                            struct stasis_error *err)
{
    if (!stasis_kvm_cap(kvm->fd, KVM_CAP_GET_MSR_FEATURES))
        return stasis_fail(err, STASIS_ERR_UNAVAILABLE,
                           "this KVM has no feature MSRs; use Linux 4.17 or newer");
    return read_msr_list(kvm->fd, KVM_GET_MSR_FEATURE_INDEX_LIST, "KVM_GET_MSR_FEATURE_INDEX_LIST",
                         ret_list, err);
}

int stasis_kvm_msr_feature(const struct stasis_kvm *kvm, uint32_t index, uint64_t *ret_value,
                           struct stasis_error *err)
{
    union {
        struct kvm_msrs header;
        uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
    } msrs = {.header.nmsrs = 1};

    msrs.header.entries[0] = (struct kvm_msr_entry){.index = index};
    switch (stasis_kvm_ioctl(kvm->fd, KVM_GET_MSRS, &msrs)) {
    case 1:
        *ret_value = msrs.header.entries[0].data;
        return 0;
    case 0:
        return STASIS_REFUSE(err, ENOENT, STASIS_ERR_NOT_FOUND,
                             "this KVM has no feature MSR 0x%" PRIx32, index);
    default:
        return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_GET_MSRS of feature MSR 0x%" PRIx32,
                                 index);
    }
}
