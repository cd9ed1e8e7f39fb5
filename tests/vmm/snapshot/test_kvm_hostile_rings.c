/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A hostile driver of virtio devices under the real KVM (hostile_rings.h), on one and on several
 * vCPUs that change each other's queues, while the host receives frames, pauses, freezes and thaws.
 * Devices write to no byte that they were not given, nothing hangs or grows, and a device that is
 * reset answers all the same.
 *
 * STASIS_TEST_HOSTILE=MINUTES goes on for so long with other seeds (scripts/soak hostile).
 */
#include "vmm/kvm_guest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/random.h"
#include "stasis/virtio_state.h"
#include "vmm/base/clock.h"
#include "vmm/boot/x86/linux.h"
#include "vmm/snapshot/hostile_growth.h"
#include "vmm/snapshot/hostile_host.h"
#include "vmm/snapshot/hostile_rings.h"

#define VCPUS  4
#define ROUNDS 12

/* 1: mov eax, [rsi]; test eax, eax; jz 2f; cmp eax, 1; je 3f; mov ecx, [rsi + 4]; mov [rax], ecx;
 *    add rsi, 8; jmp 1b
 * 3: mov esi, [rsi + 4]; jmp 1b
 * 2: pause; jmp 1b */
static const uint8_t storing[] = {0x8b, 0x06, 0x85, 0xc0, 0x74, 0x15, 0x83, 0xf8, 0x01, 0x74, 0x0b,
                                  0x8b, 0x4e, 0x04, 0x89, 0x08, 0x48, 0x83, 0xc6, 0x08, 0xeb, 0xea,
                                  0x8b, 0x76, 0x04, 0xeb, 0xe5, 0xf3, 0x90, 0xeb, 0xe1};

/* Two lists of each vCPU, in turn, and the number of the last that it has come to the end of. */
#define LIST(id, turn) (UINT32_C(0x200000) + 0x10000 * (id) + 0x8000 * ((turn) % 2))
#define CELL(id)       (UINT32_C(0x1f0000) + 64 * (id))
_Static_assert(RINGS_STORES_MAX * sizeof(struct rings_store) <= 0x8000, "LIST()");

static struct kvm_guest guest;
static uint64_t seed;
static uint8_t *copy;
static uint32_t turn;
static uint32_t ends[VCPUS]; /* where each waits for its next list */
static uint32_t bases[RINGS_DEVICES];
static bool is_tame; /* the first vCPU alone, with this device */
static uint32_t home;
static uint64_t stores, broken, generations;

/* ---- checks, of a paused machine ---- */

static bool may_change(uint64_t gpa, uint8_t change)
{
    if (rings_may_change(gpa) || (gpa >= CELL(0) && gpa < CELL(VCPUS)))
        return true;
    if (gpa >= STASIS_BOARD_VMGENID && gpa < STASIS_BOARD_VMGENID + 16)
        return true; /* each thaw gives another one */
    /* Accessed and dirty (SDM 3A, 4.8). */
    return gpa >= STASIS_BOOT_PAGE_TABLES && gpa < STASIS_BOOT_PAGE_TABLES + 0x6000 &&
           gpa % 8 == 0 && !(change & ~0x60);
}

static void assert_memory(void)
{
    const uint8_t *now = kvm_guest_ram(&guest, 0, KVM_RAM);

    for (uint64_t at = 0; at < KVM_RAM; at++) {
        if (at % STASIS_MEMORY_PAGE == 0 && !memcmp(copy + at, now + at, STASIS_MEMORY_PAGE))
            at += STASIS_MEMORY_PAGE - 1;
        else if (copy[at] != now[at] && !may_change(at, copy[at] ^ now[at]))
            fail_msg("the byte at 0x%" PRIx64 " of the guest's memory has changed", at);
    }
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
    if (atomic_load(&guest.machine.end) != STASIS_EXIT_NONE)
        fail_msg("%s", guest.machine.end_error.msg);
    assert_memory();
}

/* ---- what the host does meanwhile ---- */

static struct stasis_device *device(const struct stasis_schema *schema, const char *instance)
{
    struct stasis_device *found = stasis_device_find(&guest.machine.devices, schema, instance);

    assert_non_null(found);
    return found;
}

static void move_frames(void)
{
    struct stasis_device *net = device(&stasis_virtio_net_schema, "net0");

    pthread_mutex_lock(&guest.machine.lock);
    stasis_device_net_set_link(net, next_random(&seed) % 8 != 0);
    stasis_device_net_resume(net);
    pthread_mutex_unlock(&guest.machine.lock);
}

static void pass_time(void)
{
    pthread_mutex_lock(&guest.machine.lock);
    stasis_device_timer(device(&stasis_virtio_rng_schema, "rng"));
    stasis_device_timer(device(&stasis_virtio_blk_schema, "root"));
    stasis_device_timer(device(&stasis_virtio_vsock_schema, "vsock0"));
    stasis_device_timer(device(&stasis_virtio_balloon_schema, "balloon"));
    pthread_mutex_unlock(&guest.machine.lock);
}

static void freeze_and_thaw(void)
{
    pause_all();
    broken += guest.machine.guest_errors[STASIS_GUEST_ERROR_BAD_QUEUE];
    kvm_refreeze(&guest);
    generations++;
    guest.machine.pause_limit_ms = 600000; /* a hang, however busy the host is */
    assert_memory();
    kvm_guest_start(&guest);
}

static void disturb(void)
{
    switch (next_random(&seed) % 8) {
    case 0:
        freeze_and_thaw();
        break;
    case 1:
        pause_all();
        stasis_machine_resume(&guest.machine);
        break;
    case 2:
        pass_time();
        break;
    default:
        move_frames();
        break;
    }
}

/* ---- rounds ---- */

static uint32_t load(uint32_t gpa)
{
    return __atomic_load_n((uint32_t *)kvm_guest_ram(&guest, gpa, 4), __ATOMIC_ACQUIRE);
}

static bool all_are_done(void)
{
    for (uint32_t id = 0; id < guest.machine.vcpu_count; id++)
        if (load(CELL(id)) != turn)
            return false;
    return true;
}

static void write_list(uint32_t id)
{
    struct rings_program program = {.stores = kvm_guest_ram(&guest, LIST(id, turn), 0x8000),
                                    .seed = &seed,
                                    .bases = bases,
                                    .home = is_tame ? home : next_random(&seed) % RINGS_DEVICES,
                                    .is_tame = is_tame};

    if (!is_tame || !id)
        rings_write_program(&program);
    rings_store(&program, CELL(id), turn);
    stores += program.count;
    rings_store(&program, 0, 0);
    assert_in_range(program.count, 0, RINGS_STORES_MAX);
}

/* All lists are written before the first is begun, and the copy is made. */
static void begin_lists(void)
{
    const uint32_t count = guest.machine.vcpu_count;

    turn++;
    for (uint32_t id = 0; id < count; id++)
        write_list(id);
    for (uint32_t id = 0; id < count; id++) {
        struct rings_store *end = kvm_guest_ram(&guest, ends[id], sizeof(*end));
        uint32_t at = LIST(id, turn);

        *end = (struct rings_store){1, at};
        while (*(uint32_t *)kvm_guest_ram(&guest, at, 4))
            at += sizeof(*end);
        ends[id] = at;
    }
    memcpy(copy, kvm_guest_ram(&guest, 0, KVM_RAM), KVM_RAM);
}

static void run_round(void)
{
    begin_lists();
    stasis_machine_resume(&guest.machine);
    while (!all_are_done()) {
        kvm_sleep_us(next_random(&seed) % 2000);
        disturb();
        assert_int_equal(atomic_load(&guest.machine.end), STASIS_EXIT_NONE);
    }
    pause_all();
}

static bool has_answered(uint32_t number)
{
    bool has;

    pass_time();
    move_frames();
    pthread_mutex_lock(&guest.machine.lock); /* of who answers, for ThreadSanitizer */
    has = load(RINGS_USED(number, 0)) >> 16 != 0;
    pthread_mutex_unlock(&guest.machine.lock);
    return has;
}

/* Whatever was done to it, a device that is reset serves a driver that keeps to the rules. */
static void assert_sound(uint32_t number)
{
    memset(kvm_guest_ram(&guest, RINGS_USED(number, 0), 4), 0, 4);
    is_tame = true;
    home = number;
    begin_lists();
    stasis_machine_resume(&guest.machine);
    kvm_wait(all_are_done() && has_answered(number));
    pause_all();
    is_tame = false;
}

/* ---- cases ---- */

static void find_bases(void)
{
    static const char *const names[RINGS_DEVICES] = {"rng", "root", "net0", "vsock0", "balloon"};
    const struct stasis_board_state *board = &guest.machine.board;

    for (uint32_t i = 0; i < RINGS_DEVICES; i++)
        for (uint32_t row = 0; row < board->devices_count; row++)
            if (!strcmp(board->devices[row].instance, names[i]))
                bases[i] = (uint32_t)board->devices[row].base;
}

static void begin(uint32_t vcpus)
{
    const struct stasis_board_optional rows[] = {{stasis_virtio_blk_schema.type, "root"},
                                                 {stasis_virtio_net_schema.type, "net0"},
                                                 {stasis_virtio_vsock_schema.type, "vsock0"},
                                                 {stasis_virtio_balloon_schema.type, "balloon"}};
    const struct stasis_board_options options = {.memory_bytes = KVM_RAM,
                                                 .vcpus = vcpus,
                                                 .cpu_model = "host",
                                                 .optional = rows,
                                                 .optional_count = 4};
    struct stasis_board_state board;
    struct stasis_error err;

    guest.net = &hostile_network;
    guest.disks = &hostile_disk;
    guest.vsock = &hostile_sockets;
    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_guest_init(&guest, &board);
    find_bases();
    for (uint32_t id = 0; id < vcpus; id++) {
        const struct stasis_x86_regs_state regs = {.rsi = LIST(id, 0)};

        ends[id] = LIST(id, 0);
        kvm_guest_smp_long(&guest, id, storing, sizeof(storing), &regs);
    }
    copy = malloc(KVM_RAM);
    assert_non_null(copy);
    memcpy(copy, kvm_guest_ram(&guest, 0, KVM_RAM), KVM_RAM);
    kvm_guest_start(&guest);
    freeze_and_thaw();
    pause_all();
}

static void run_guest(uint32_t vcpus)
{
    const char *minutes = getenv("STASIS_TEST_HOSTILE");
    uint64_t us = minutes ? strtoull(minutes, NULL, 10) * (60000000 / 2) : 0; /* two cases */
    uint64_t end_us = stasis_monotonic_us() + us;
    struct hostile_size size = {0};
    unsigned round;

    alarm((unsigned)(us / 1000000) + KVM_CASE_SECONDS);
    seed = minutes ? end_us : vcpus;
    print_message("seed %" PRIu64 "\n", seed);
    begin(vcpus);
    for (round = 0; round < ROUNDS / vcpus || stasis_monotonic_us() < end_us; round++) {
        run_round();
        if (round == ROUNDS / vcpus / 2)
            size = hostile_size();
    }
    hostile_assert_no_growth(&size, round - ROUNDS / vcpus / 2);
    broken += guest.machine.guest_errors[STASIS_GUEST_ERROR_BAD_QUEUE];
    print_message("%" PRIu64 " stores, %" PRIu64 " broken queues, %" PRIu64 " freezes and thaws\n",
                  stores, broken, generations);
    assert_true(broken > 0);
    for (uint32_t i = 0; i < RINGS_DEVICES; i++)
        assert_sound(i);
    assert_true(hostile_discards > 0);
    kvm_guest_fini(&guest);
    free(copy);
}

static void one_vcpu_does_no_harm(void)
{
    run_guest(1);
}

static void several_vcpus_do_no_harm(void)
{
    run_guest(VCPUS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(one_vcpu_does_no_harm),
        KVM_CASE(several_vcpus_do_no_harm),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
