/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A driver of the virtio entropy device under the real KVM, which is frozen and thawed between what
 * it makes available and what it notifies of. The guest writes words where the test tells it to.
 */
#include "vmm/kvm_guest.h"

#include <string.h>

#include "stasis/virtio_state.h"
#include "vmm/base/counter.h"

/* 1: mov eax, [rsi]; test eax, eax; jz 2f; mov ecx, [rsi + 4]; mov [rax], ecx; add rsi, 8; jmp 1b
 * 2: pause; jmp 1b */
static const uint8_t writing[] = {0x8b, 0x06, 0x85, 0xc0, 0x74, 0x0b, 0x8b, 0x4e, 0x04, 0x89, 0x08,
                                  0x48, 0x83, 0xc6, 0x08, 0xeb, 0xef, 0xf3, 0x90, 0xeb, 0xeb};

#define TABLE  0x200000 /* of pairs: where, what; 0 where there is no more yet */
#define DESC   0x100000
#define AVAIL  0x101000
#define USED   0x102000
#define BUFFER 0x103000
#define CELL   0x104000
#define RNG    0xd0001000
#define SIZE   4u
#define LEN    64u

static struct kvm_guest guest;
static uint32_t written; /* pairs */
static uint16_t requests;

static uint32_t word(uint64_t gpa)
{
    return __atomic_load_n((uint32_t *)kvm_guest_ram(&guest, gpa, 4), __ATOMIC_ACQUIRE);
}

static void tell(uint32_t where, uint32_t what)
{
    uint32_t *pair = kvm_guest_ram(&guest, TABLE + 8 * written, 16);

    pair[1] = what;
    __atomic_store_n(pair, where, __ATOMIC_RELEASE);
    written++;
}

/* Until the guest has written all. */
static void sync_guest(void)
{
    uint32_t number = written + 1;

    tell(CELL, number);
    kvm_wait(word(CELL) == number);
}

static void bring_up(void)
{
    static const struct {
        uint32_t offset, value;
    } steps[] = {{0x70, 0},    {0x70, 1}, {0x70, 3},    {0x24, 1},    {0x20, 1},
                 {0x70, 11},   {0x30, 0}, {0x38, SIZE}, {0x80, DESC}, {0x90, AVAIL},
                 {0xa0, USED}, {0x44, 1}, {0x70, 15}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        tell(RNG + steps[i].offset, steps[i].value);
}

/* Makes a request available. */
static void make_request(void)
{
    uint32_t head = requests % SIZE;

    tell(DESC + 16 * head, BUFFER + LEN * head);
    tell(DESC + 16 * head + 4, 0);
    tell(DESC + 16 * head + 8, LEN);
    tell(DESC + 16 * head + 12, 2); /* WRITE */
    tell(AVAIL + 4, 0 | 1 << 16);   /* the ring: 0, 1, 2, 3 */
    tell(AVAIL + 8, 2 | 3 << 16);
    tell(AVAIL, (uint32_t)(uint16_t)(requests + 1) << 16); /* idx */
    requests++;
}

static void notify(void)
{
    tell(RNG + 0x50, 0);
}

static uint16_t used_idx(void)
{
    return (uint16_t)(word(USED) >> 16);
}

/* Under the lock, as the device works: the order between both is made by the guest, too, of which
 * ThreadSanitizer knows nothing. */
static void assert_answered(void)
{
    uint32_t head = (requests - 1u) % SIZE;
    uint8_t *bytes = kvm_guest_ram(&guest, BUFFER + LEN * head, LEN);

    pthread_mutex_lock(&guest.machine.lock);
    assert_int_equal(used_idx(), requests);
    assert_int_equal(word(USED + 4 + 8 * head), head);
    assert_int_equal(word(USED + 8 + 8 * head), LEN);
    for (unsigned i = 0; i < LEN; i++)
        assert_int_equal(bytes[i], KVM_GUEST_RANDOM);
    memset(bytes, 0, LEN);
    pthread_mutex_unlock(&guest.machine.lock);
}

static void start(void)
{
    const struct stasis_x86_regs_state regs = {.rsi = TABLE};

    written = 0;
    requests = 0;
    kvm_guest_init(&guest, NULL);
    kvm_guest_smp_long(&guest, 0, writing, sizeof(writing), &regs);
    kvm_guest_start(&guest);
    bring_up();
}

static struct stasis_device *rng(void)
{
    return stasis_device_find(&guest.machine.devices, &stasis_virtio_rng_schema, "rng");
}

static struct stasis_virtio_rng_state frozen_rng(void)
{
    struct stasis_snap *snap = kvm_freeze(&guest, NULL);
    struct stasis_virtio_rng_state state;

    kvm_record(snap, &stasis_virtio_rng_schema, "rng", &state);
    stasis_snap_free(snap);
    return state;
}

static void requests_are_answered(void)
{
    start();
    for (unsigned i = 0; i < 2 * SIZE; i++) {
        make_request();
        notify();
        sync_guest();
        assert_answered();
    }
    assert_int_equal(stasis_counter_get(&rng()->counters->in_bytes), 2 * SIZE * LEN);
    kvm_guest_fini(&guest);
}

/* What the guest made available and did not notify of is found after the thaw. */
static void requests_survive_generations(void)
{
    struct stasis_virtio_rng_state state;

    start();
    for (unsigned generation = 0; generation < 3; generation++) {
        make_request();
        sync_guest();
        stasis_machine_pause(&guest.machine);
        assert_int_equal(used_idx(), requests - 1);
        state = frozen_rng();
        assert_int_equal(state.mmio.status, 15);
        assert_int_equal(state.mmio.queues[0].next_avail, requests - 1);
        kvm_refreeze(&guest);
        assert_int_equal(guest.waits, 1);
        assert_int_equal(used_idx(), requests - 1);
        kvm_guest_start(&guest);
        pthread_mutex_lock(&guest.machine.lock);
        stasis_device_timer(rng()); /* as the event loop does */
        pthread_mutex_unlock(&guest.machine.lock);
        assert_answered();
        make_request();
        notify();
        sync_guest();
        assert_answered();
    }
    kvm_guest_fini(&guest);
}

/* A guest that breaks its rings gets a device that needs a reset, and its snapshot can be thawed.
 */
static void broken_rings_are_frozen_as_such(void)
{
    struct stasis_virtio_rng_state state;

    start();
    make_request();
    tell(USED, 7 << 16);
    sync_guest();
    stasis_machine_pause(&guest.machine);
    state = frozen_rng();
    assert_int_equal(state.mmio.status, 15 | STASIS_VIRTIO_NEEDS_RESET);
    kvm_refreeze(&guest);
    assert_int_equal(guest.waits, 0);
    kvm_guest_start(&guest);
    notify();
    sync_guest();
    assert_int_equal(used_idx(), 7);
    tell(USED, 0);
    tell(AVAIL, 0);
    requests = 0;
    bring_up();
    make_request();
    notify();
    sync_guest();
    assert_answered();
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(requests_are_answered),
        KVM_CASE(requests_survive_generations),
        KVM_CASE(broken_rings_are_frozen_as_such),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
