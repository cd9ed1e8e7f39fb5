/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest whose whole behaviour is known, frozen and thawed at random moments: what it does to its
 * RAM and its ports must be what it does in one straight run.
 */
#include "vmm/kvm_guest.h"

#include <stdlib.h>

#include "vmm/base/clock.h"

#define STEPS   3000
#define RESULTS 0x2000

static struct kvm_guest guest;
static struct kvm_probe probe;

/* A linear congruential generator that takes something in from a port with each number, and writes
 * every number to RAM and to another port. */
static const uint8_t payload[] = {
    0xfc,                                     /* cld */
    0xbb, 0x34,           0x12,               /* mov bx, 0x1234 */
    0xbf, RESULTS & 0xff, RESULTS >> 8,       /* mov di, RESULTS */
    0xb9, STEPS & 0xff,   STEPS >> 8,         /* mov cx, STEPS */
    0x69, 0xdb,           0x55,         0x62, /* 1: imul bx, bx, 25173 */
    0x81, 0xc3,           0x19,         0x36, /* add bx, 13849 */
    0xe5, 0x82,                               /* in ax, 0x82 */
    0x01, 0xc3,                               /* add bx, ax */
    0x89, 0xd8,                               /* mov ax, bx */
    0xab,                                     /* stosw */
    0xe7, 0x80,                               /* out 0x80, ax */
    0xe2, 0xed,                               /* loop 1b */
    0xb0, 0xfe,           0xe6,         0x64, /* reset */
};

static bool ended(void)
{
    return atomic_load(&guest.machine.end) != STASIS_EXIT_NONE;
}

static void check_trace(void)
{
    const uint16_t *results = kvm_guest_ram(&guest, RESULTS, 2 * STEPS);
    uint16_t number = 0x1234;

    assert_int_equal(atomic_load(&guest.machine.end), STASIS_EXIT_RESET);
    assert_int_equal(probe.count, 2 * STEPS);
    for (unsigned i = 0; i < STEPS; i++) {
        number = (uint16_t)(number * 25173u + 13849u + i);
        assert_int_equal(results[i], number);
        kvm_assert_access(&probe, 2 * i, false, 2, 2, i);
        kvm_assert_access(&probe, 2 * i + 1, true, 0, 2, number);
    }
}

static void begin(void)
{
    probe.count = 0;
    probe.answer = 0;
    kvm_guest_init(&guest, NULL);
    kvm_probe_attach(&probe, &guest.machine.pio, KVM_PORT, 4);
    kvm_guest_real(&guest, payload, sizeof(payload));
    kvm_guest_start(&guest);
}

static uint64_t run_straight(void)
{
    uint64_t start = stasis_monotonic_us();

    begin();
    kvm_wait(ended());
    check_trace();
    kvm_guest_fini(&guest);
    return stasis_monotonic_us() - start;
}

static void straight_run(void)
{
    (void)run_straight();
}

/* Returns how often it was frozen. */
static unsigned run_with_freezes(unsigned seed, unsigned max_us)
{
    unsigned freezes = 0;

    begin();
    for (;;) {
        kvm_sleep_us((unsigned)rand_r(&seed) % max_us);
        stasis_machine_pause(&guest.machine);
        if (ended())
            break;
        kvm_refreeze(&guest);
        kvm_probe_attach(&probe, &guest.machine.pio, KVM_PORT, 4);
        kvm_guest_start(&guest);
        freezes++;
    }
    check_trace();
    kvm_guest_fini(&guest);
    return freezes;
}

static void frozen_at_random_moments(void)
{
    unsigned us = (unsigned)run_straight();
    unsigned freezes = 0;

    /* Four runs do, unless a busy host lets the guest come to its end between any two looks. */
    for (unsigned seed = 1; seed <= 4 || (freezes < 4 && seed < 200); seed++)
        freezes += run_with_freezes(seed, us / 4 + 1);
    assert_true(freezes >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(straight_run),
        KVM_CASE(frozen_at_random_moments),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
