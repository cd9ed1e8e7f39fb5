/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The guest that is measured (guest.S), on a machine of its own.
 */
#ifndef STASIS_TESTS_BENCH_GUEST_H
#define STASIS_TESTS_BENCH_GUEST_H

#include "bench/guest_image.h"
#include "vmm/kvm_guest.h"

/* Guest addresses below 4 GiB. */
struct bench_guest_ranges {
    uint32_t read_from, read_to;
    uint32_t touch_from, touch_to;
};

extern const uint8_t bench_guest[];
extern const uint8_t bench_guest_end[];

/* Where stored RAM begins; what is below belongs to the guest. */
#define BENCH_RANDOM_FROM (UINT64_C(1) << 20)

/* Builds a machine of `mib` MiB, fills `random_mib` MiB of it with bytes that do not compress, and
 * runs the guest until it says that it is ready. Ends the program on failure. */
void bench_guest_run(struct kvm_guest *guest, uint64_t mib, uint64_t random_mib);

/* Types one byte and waits for the guest's next output. */
void bench_guest_type(struct kvm_guest *guest, uint8_t byte);

#endif
