/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include <string.h>

#include "vmm/kvm_pvclock.h"

/* Where KVM keeps the guest's clock (KVM msr.rst, MSR_KVM_SYSTEM_TIME_NEW), and where the guest
 * leaves its TSC and a copy of that. */
#define CLOCK 0x4000
#define PAIR  0x5000

#define ABSOLUTE(address) (address) & 0xff, (address) >> 8, 0, 0
/* mov rax, [CLOCK + at]; mov [PAIR + 8 + at], rax */
#define COPY(at)                                                                                   \
    0x48, 0x8b, 0x04, 0x25, ABSOLUTE(CLOCK + (at)), 0x48, 0x89, 0x04, 0x25,                        \
        ABSOLUTE(PAIR + 8 + (at))

/* clang-format off */
static const uint8_t payload[] = {
    0xb9, 0x01, 0x4d, 0x56, 0x4b,                  /* mov ecx, 0x4b564d01 */
    0xb8, ABSOLUTE(CLOCK + 1),                     /* mov eax, CLOCK | 1 */
    0x31, 0xd2, 0x0f, 0x30,                        /* xor edx, edx; wrmsr */
    0x8b, 0x34, 0x25, ABSOLUTE(CLOCK),             /* 1: mov esi, [CLOCK] */
    0x0f, 0x31,                                    /* rdtsc */
    0x89, 0x04, 0x25, ABSOLUTE(PAIR),              /* mov [PAIR], eax */
    0x89, 0x14, 0x25, ABSOLUTE(PAIR + 4),          /* mov [PAIR + 4], edx */
    COPY(0), COPY(8), COPY(16), COPY(24),
    0x3b, 0x34, 0x25, ABSOLUTE(CLOCK), 0x75, 0xa0, /* cmp esi, [CLOCK]; jne 1b */
    0xe6, KVM_PORT, 0xeb, 0x9c,                    /* out KVM_PORT, al; jmp 1b */
};
/* clang-format on */

struct pvclock {
    uint32_t version, pad;
    uint64_t tsc_timestamp, system_time;
    uint32_t tsc_to_system_mul;
    int8_t tsc_shift;
    uint8_t flags, pad2[2];
};

void kvm_pvclock_load(struct kvm_guest *guest)
{
    kvm_guest_long(guest, payload, sizeof(payload));
}

static uint64_t clock_at(const struct pvclock *clock, uint64_t tsc)
{
    uint64_t ticks = tsc - clock->tsc_timestamp, mul = clock->tsc_to_system_mul;

    ticks = clock->tsc_shift < 0 ? ticks >> -clock->tsc_shift : ticks << clock->tsc_shift;
    return clock->system_time + (ticks >> 32) * mul + ((ticks & UINT32_MAX) * mul >> 32);
}

struct kvm_pair kvm_pvclock_read(struct kvm_guest *guest, struct kvm_probe *probe)
{
    const uint8_t *at = kvm_guest_ram(guest, PAIR, 8 + sizeof(struct pvclock));
    struct kvm_pair pair;
    struct pvclock clock;
    struct stasis_error err;

    kvm_guest_step(guest, probe, probe->count + 1);
    kvm_ok(stasis_vcpu_complete_io(&guest->machine.vcpus[0], &err), &err);
    memcpy(&pair.tsc, at, sizeof(pair.tsc));
    memcpy(&clock, at + 8, sizeof(clock));
    assert_int_not_equal(clock.version, 0);
    pair.clock_ns = clock_at(&clock, pair.tsc);
    return pair;
}
