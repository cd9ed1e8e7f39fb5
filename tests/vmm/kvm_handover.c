/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/kvm_handover.h"

#include <stdio.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

#define SHARED    0x100000
#define CLOCK(id) (0x110000 + 0x1000 * (uint64_t)(id))

extern const uint8_t kvm_handover_begin[], kvm_handover_end[];

void kvm_handover_load(struct kvm_guest *guest, uint64_t times)
{
    uint32_t count = guest->machine.vcpu_count;

    for (uint32_t id = 0; id < count; id++) {
        struct stasis_x86_regs_state regs = {
            .rdi = SHARED, .rsi = CLOCK(id), .r12 = id, .r13 = (id + 1) % count, .r14 = times};

        kvm_guest_smp_long(guest, id, kvm_handover_begin,
                           (size_t)(kvm_handover_end - kvm_handover_begin), &regs);
    }
}

const volatile struct kvm_handover *kvm_handover_at(struct kvm_guest *guest)
{
    return kvm_guest_ram(guest, SHARED, sizeof(struct kvm_handover));
}

struct kvm_handover_clock kvm_handover_clock(struct kvm_guest *guest, uint32_t id)
{
    struct kvm_handover_clock clock;

    memcpy(&clock, kvm_guest_ram(guest, CLOCK(id), sizeof(clock)), sizeof(clock));
    return clock;
}

bool kvm_handover_is_one_clock(struct kvm_guest *guest)
{
    const struct kvm_handover_clock first = kvm_handover_clock(guest, 0);

    for (uint32_t i = 0; i < guest->machine.vcpu_count; i++) {
        const struct kvm_handover_clock one = kvm_handover_clock(guest, i);

        if (!(one.flags & KVM_HANDOVER_STABLE))
            return false;
        assert_int_equal(one.tsc_timestamp, first.tsc_timestamp);
        assert_int_equal(one.system_time, first.system_time);
    }
    return true;
}

/* Linux takes the TSC from the clock sources that can be had when those of its CPUs differ. */
bool kvm_host_has_one_tsc(void)
{
    char names[256] = "";
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/available_clocksource", "re");

    if (!file)
        return false;
    if (!fgets(names, sizeof(names), file))
        names[0] = '\0';
    fclose(file);
    return strstr(names, "tsc") != NULL;
}
