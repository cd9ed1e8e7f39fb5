/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "bench/guest.h"

#include <string.h>

static void fill_random(uint64_t *to, uint64_t bytes)
{
    uint64_t x = 0x9e3779b97f4a7c15;

    for (uint64_t i = 0; i < bytes / sizeof(*to); i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        to[i] = x;
    }
}

static void set_ranges(struct kvm_guest *guest, uint64_t random_bytes)
{
    uint64_t end = guest->machine.memory.regions[0].size;
    const struct bench_guest_ranges ranges = {
        .read_from = (uint32_t)BENCH_RANDOM_FROM,
        .read_to = (uint32_t)(BENCH_RANDOM_FROM + random_bytes),
        .touch_from = (uint32_t)(BENCH_RANDOM_FROM + random_bytes),
        .touch_to = (uint32_t)end,
    };

    memcpy(kvm_guest_ram(guest, KVM_ENTRY + BENCH_GUEST_RANGES, sizeof(ranges)), &ranges,
           sizeof(ranges));
}

static size_t output(struct kvm_guest *guest)
{
    size_t len;

    pthread_mutex_lock(&guest->machine.lock);
    len = guest->out_len;
    pthread_mutex_unlock(&guest->machine.lock);
    return len;
}

void bench_guest_run(struct kvm_guest *guest, uint64_t mib, uint64_t random_mib)
{
    const struct stasis_board_options options = {
        .memory_bytes = mib << 20, .vcpus = 1, .cpu_model = "host"};
    struct stasis_board_state board;
    struct stasis_error err;

    kvm_ok(stasis_board_default(&options, &board, &err), &err); /* the vmm's, which restores it */
    kvm_guest_init(guest, &board);
    kvm_guest_real(guest, bench_guest, (size_t)(bench_guest_end - bench_guest));
    set_ranges(guest, random_mib << 20);
    if (random_mib)
        fill_random(kvm_guest_ram(guest, BENCH_RANDOM_FROM, random_mib << 20), random_mib << 20);
    kvm_guest_start(guest);
    kvm_wait(output(guest));
}

void bench_guest_type(struct kvm_guest *guest, uint8_t byte)
{
    pthread_mutex_lock(&guest->machine.lock);
    guest->out_len = 0;
    stasis_device_serial_input(
        stasis_device_find(&guest->machine.devices, &stasis_serial_schema, "com1"), &byte, 1);
    pthread_mutex_unlock(&guest->machine.lock);
    kvm_wait(output(guest));
}
