/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What this VMM needs of a host's KVM, beyond what the library needs.
 */
#include <inttypes.h>
#include <stdio.h>

#include "stasis/kvm_x86.h"
#include "vmm/arch/arch.h"

/* What KVM runs when it does not say (KVM api.rst, 4.7). */
#define VCPUS_UNSAID 4

#define STASIS_KVM_CAP(name, number, text)                                                         \
    _Static_assert(KVM_CAP_##name == (number), "number of KVM_CAP_" #name);
#include "common/kvm_caps.def"
#undef STASIS_KVM_CAP

static void check_caps(const struct stasis_kvm *kvm, struct stasis_reasons *reasons)
{
    static const struct {
        unsigned cap;
        const char *name;
    } required[] = {
#define STASIS_KVM_CAP(name, number, text) {KVM_CAP_##name, text},
#include "common/kvm_caps.def"
#undef STASIS_KVM_CAP
    };
    struct stasis_reason reason = {.code = STASIS_ERR_UNAVAILABLE,
                                   .kind = "kvm-capability",
                                   .is_listed = true,
                                   .has = "not there",
                                   .what = "/dev/kvm lacks",
                                   .remedy = "use a newer kernel"};

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (stasis_kvm_cap(kvm->fd, required[i].cap))
            continue;
        snprintf(reason.object, sizeof(reason.object), "%s", required[i].name);
        snprintf(reason.asks, sizeof(reason.asks), "KVM capability %u", required[i].cap);
        stasis_reasons_add(reasons, &reason);
    }
}

/* KVM_CAP_NR_VCPUS is advice; where KVM_CAP_MAX_VCPUS is unknown it is all there is. */
static uint32_t vcpus_max(const struct stasis_kvm *kvm)
{
    int max = stasis_kvm_cap(kvm->fd, KVM_CAP_MAX_VCPUS);

    if (!max)
        max = stasis_kvm_cap(kvm->fd, KVM_CAP_NR_VCPUS);
    return max ? (uint32_t)max : VCPUS_UNSAID;
}

static void check_vcpus(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                        struct stasis_reasons *reasons)
{
    struct stasis_reason reason = {.code = STASIS_ERR_HOST,
                                   .kind = "vcpus",
                                   .object = "number of vCPUs",
                                   .remedy = "use a host whose KVM runs more, or start guests with "
                                             "fewer by vcpu.num"};
    uint32_t max = vcpus_max(kvm);

    if (board->vcpus <= max)
        return;
    snprintf(reason.asks, sizeof(reason.asks), "%" PRIu32, board->vcpus);
    snprintf(reason.has, sizeof(reason.has), "%" PRIu32 " at most", max);
    snprintf(reason.what, sizeof(reason.what),
             "the guest has %" PRIu32 " vCPUs, and this host's KVM runs at most %" PRIu32
             " in a VM",
             board->vcpus, max);
    stasis_reasons_add(reasons, &reason);
}

void stasis_arch_host_check(const struct stasis_kvm *kvm, const struct stasis_board_state *board,
                            struct stasis_reasons *reasons)
{
    check_caps(kvm, reasons);
    check_vcpus(kvm, board, reasons);
}
