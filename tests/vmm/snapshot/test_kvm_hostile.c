/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A hostile guest under the real KVM (kvm_hostile.h), while the host gives input, blocks the
 * output, pauses, freezes and thaws. What the guest does is known, so each access is compared,
 * counted, and found in the machine's own counts; no other byte of its memory changes, and nothing
 * grows.
 *
 * STASIS_TEST_HOSTILE=MINUTES goes on for so long with other seeds (scripts/soak hostile).
 */
#include "vmm/snapshot/hostile_watch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/random.h"
#include "vmm/base/clock.h"
#include "vmm/snapshot/hostile_growth.h"

#define PROGRAMS   24 /* of all vCPUs, twice for several */
#define RAM_PIECES 3

static struct kvm_guest guest;
static uint64_t seed;
static uint8_t *copies[RAM_PIECES];

/* ---- the host's network, which has no frames: RAM is to stay as it is ---- */

static enum stasis_virtio_net_result send_frame(void *ctx, const uint8_t *bytes, size_t len)
{
    (void)ctx, (void)bytes, (void)len;
    return STASIS_VIRTIO_NET_BUSY;
}

static size_t receive_frame(void *ctx, uint8_t *bytes, size_t size)
{
    (void)ctx, (void)bytes, (void)size;
    return 0;
}

static void accept_offloads(void *ctx, uint64_t offloads)
{
    (void)ctx, (void)offloads;
}

static const struct stasis_device_net network = {.id = "net0",
                                                 .mac = {2, 0, 0, 0, 0, 1},
                                                 .mtu = 1500,
                                                 .offloads = STASIS_VIRTIO_NET_OFFLOADS,
                                                 .send = send_frame,
                                                 .receive = receive_frame,
                                                 .accept = accept_offloads};

/* ---- checks, of a paused machine ---- */

static void assert_memory(void)
{
    const struct stasis_memory *memory = &guest.machine.memory;
    uint64_t gpa;

    for (uint32_t i = 0; i < memory->region_count; i++) {
        const struct stasis_memory_region *region = &memory->regions[i];

        if (kvm_hostile_differs(region->gpa, copies[i], region->host, region->size, &gpa))
            fail_msg("the byte at 0x%" PRIx64 " of the guest's memory has changed", gpa);
    }
}

static void copy_memory(void)
{
    const struct stasis_memory *memory = &guest.machine.memory;

    for (uint32_t i = 0; i < memory->region_count; i++)
        memcpy(copies[i], memory->regions[i].host, memory->regions[i].size);
}

static void assert_alive(void)
{
    if (atomic_load(&guest.machine.end) != STASIS_EXIT_NONE)
        fail_msg("%s", guest.machine.end_error.msg);
}

/* ---- what the host does meanwhile ---- */

static void watch(void)
{
    hostile_watch(&guest);
    guest.machine.pause_limit_ms = 600000; /* a hang, however busy the host is */
}

static bool yes(void *ctx)
{
    (void)ctx;
    return true;
}

static void pause_all(void)
{
    struct stasis_error err;

    kvm_ok(stasis_machine_pause_while(&guest.machine, yes, NULL, &err), &err);
    assert_alive();
    hostile_assert_counts();
    assert_memory();
}

static struct stasis_device *device(const struct stasis_schema *schema, const char *instance)
{
    struct stasis_device *found = stasis_device_find(&guest.machine.devices, schema, instance);

    assert_non_null(found);
    return found;
}

static void give_input(void)
{
    struct stasis_device *serial = device(&stasis_serial_schema, "com1");
    uint8_t bytes[64];
    size_t room;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)next_random(&seed);
    pthread_mutex_lock(&guest.machine.lock);
    room = stasis_device_serial_room(serial);
    assert_in_range(room, 0, sizeof(bytes));
    stasis_device_serial_input(serial, bytes, room ? next_random(&seed) % (room + 1) : 0);
    pthread_mutex_unlock(&guest.machine.lock);
}

static void block_output(void)
{
    pthread_mutex_lock(&guest.machine.lock);
    guest.out_len = 0;
    guest.sink_blocked = !guest.sink_blocked;
    stasis_device_serial_drain(device(&stasis_serial_schema, "com1"));
    pthread_mutex_unlock(&guest.machine.lock);
}

static void pass_time(void)
{
    pthread_mutex_lock(&guest.machine.lock);
    guest.rtc_ns += next_random(&seed);
    if (guest.rtc_armed && guest.rtc_ns >= guest.rtc_deadline_ns)
        stasis_device_alarm(device(&stasis_pl031_schema, "pl031"));
    stasis_device_alarm(device(&stasis_mc146818_schema, "rtc")); /* whether or not it is due */
    pthread_mutex_unlock(&guest.machine.lock);
}

static void press_power_button(void)
{
    pthread_mutex_lock(&guest.machine.lock);
    stasis_device_acpi_pm_power_button(device(&stasis_acpi_pm_schema, "pm"));
    pthread_mutex_unlock(&guest.machine.lock);
}

static void change_link(void)
{
    struct stasis_device *net = device(&stasis_virtio_net_schema, "net0");

    pthread_mutex_lock(&guest.machine.lock);
    stasis_device_net_set_link(net, next_random(&seed) % 2);
    stasis_device_net_resume(net);
    pthread_mutex_unlock(&guest.machine.lock);
}

static void pause_a_while(void)
{
    pause_all();
    stasis_machine_resume(&guest.machine);
}

static void freeze_and_thaw(void)
{
    pause_all();
    kvm_refreeze(&guest);
    watch();
    assert_memory();
    kvm_guest_start(&guest);
}

static void disturb(void)
{
    static void (*const deeds[])(void) = {give_input,    give_input, block_output,
                                          pass_time,     pass_time,  press_power_button,
                                          pause_a_while, change_link};

    if (next_random(&seed) % 8 == 0)
        freeze_and_thaw();
    else
        deeds[next_random(&seed) % (sizeof(deeds) / sizeof(deeds[0]))]();
}

/* ---- rounds ---- */

static bool all_are_done(void)
{
    for (uint32_t i = 0; i < guest.machine.vcpu_count; i++) {
        if (!kvm_hostile_is_done(&guest, i))
            return false;
    }
    return true;
}

static void write_programs(void)
{
    for (uint32_t i = 0; i < guest.machine.vcpu_count; i++) {
        kvm_hostile_program(&guest, i, &seed, hostile_expect(i));
    }
    copy_memory();
    for (uint32_t i = 0; i < guest.machine.vcpu_count; i++)
        kvm_hostile_go(&guest, i);
}

/* Something happens every few accesses, wherever the host's scheduler lets the guest get meanwhile.
 */
static void run_round(void)
{
    write_programs();
    stasis_machine_resume(&guest.machine);
    while (!all_are_done()) {
        uint64_t next = hostile_accesses + next_random(&seed) % 256;

        kvm_wait(hostile_accesses >= next || all_are_done() || atomic_load(&guest.machine.end));
        assert_alive();
        disturb();
    }
    pause_all();
    hostile_assert_done();
}

/* ---- cases ---- */

static void begin(uint32_t vcpus)
{
    struct stasis_board_state board;

    kvm_hostile_board(&board, vcpus);
    guest.net = &network;
    kvm_guest_init(&guest, &board);
    kvm_hostile_load(&guest);
    for (uint32_t i = 0; i < RAM_PIECES; i++) {
        struct stasis_memory_region *piece = &guest.machine.memory.regions[i];

        copies[i] = malloc(piece->size);
        assert_non_null(copies[i]);
    }
    copy_memory();
    watch();
    kvm_guest_start(&guest);
    freeze_and_thaw();
    pause_all();
}

static void run_guest(uint32_t vcpus)
{
    const char *minutes = getenv("STASIS_TEST_HOSTILE");
    uint64_t us = minutes ? strtoull(minutes, NULL, 10) * (60000000 / 2) : 0; /* two cases */
    uint64_t end_us = stasis_monotonic_us() + us;
    unsigned rounds = vcpus == 1 ? PROGRAMS : 2 * PROGRAMS / vcpus;
    struct hostile_size size = {0};
    unsigned round;

    alarm((unsigned)(us / 1000000) + KVM_CASE_SECONDS);
    seed = minutes ? end_us : vcpus;
    print_message("seed %" PRIu64 "\n", seed);
    begin(vcpus);
    for (round = 0; round < rounds || stasis_monotonic_us() < end_us; round++) {
        run_round();
        if (round == rounds / 2)
            size = hostile_size();
    }
    print_message("%" PRIu64 " accesses, %u rounds, %" PRIu64 " resets, generation %" PRIu64 "\n",
                  hostile_accesses, round, hostile_resets, guest.generation);
    hostile_assert_no_growth(&size, round - rounds / 2);
    kvm_guest_fini(&guest);
    for (uint32_t i = 0; i < RAM_PIECES; i++)
        free(copies[i]);
}

static void one_vcpu_does_no_harm(void)
{
    run_guest(1);
}

static void four_vcpus_do_no_harm(void)
{
    run_guest(KVM_HOSTILE_VCPUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(one_vcpu_does_no_harm),
        KVM_CASE(four_vcpus_do_no_harm),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
