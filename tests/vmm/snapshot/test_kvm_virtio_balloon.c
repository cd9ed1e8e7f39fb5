/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A guest under the real KVM gives pages to its balloon, and reports free ones, before a freeze and
 * while its memory is being loaded, in every mode. Guest and host find zeros there, and so does who
 * reads the next snapshot. The guest writes words where the test tells it to, and copies others.
 */
#include "vmm/kvm_guest.h"

#include <stdlib.h>
#include <string.h>

#include "stasis/virtio_state.h"
#include "vmm/base/counter.h"
#include "vmm/snapshot/ram_failure.h"

/* 1: mov eax, [rsi]; test eax, eax; jz 2f; mov ecx, [rsi + 4]; test al, 1; jnz 3f; mov [rax], ecx
 *    jmp 4f
 * 3: mov edx, [rax - 1]; mov [rcx], edx
 * 4: add rsi, 8; jmp 1b
 * 2: pause; jmp 1b */
static const uint8_t writing[] = {0x8b, 0x06, 0x85, 0xc0, 0x74, 0x16, 0x8b, 0x4e, 0x04, 0xa8, 0x01,
                                  0x75, 0x04, 0x89, 0x08, 0xeb, 0x05, 0x8b, 0x50, 0xff, 0x89, 0x11,
                                  0x48, 0x83, 0xc6, 0x08, 0xeb, 0xe4, 0xf3, 0x90, 0xeb, 0xe0};

#define MIB   0x100000u
#define PAGE  0x1000u
#define CHUNK 0x10000u

#define DESC      0x100000 /* of queue 0; those of queue 2 are QUEUE_STEP behind */
#define AVAIL     0x101000
#define USED      0x102000
#define PFNS      0x103000
#define CELL      0x104000
#define READ      0x104010
#define QUEUE     0x400
#define TABLE     0x200000 /* of pairs: where, what; 0 where there is no more yet */
#define BALLOON   0xd0002000
#define SIZE      16u
#define DATA      (4 * MIB) /* memory that is not zero */
#define DATA_SIZE (8 * MIB)
#define RAM_SIZE  (16 * MIB)

static struct kvm_guest guest;
static uint32_t written;         /* pairs */
static uint16_t requests[3];     /* of each queue */
static uint8_t model[DATA_SIZE]; /* what the memory at DATA must hold */

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

/* Until the guest has done all. */
static void sync_guest(void)
{
    uint32_t number = written + 1;

    tell(CELL, number);
    kvm_wait(word(CELL) == number);
}

static void set_up_queue(uint32_t number)
{
    const uint32_t behind = QUEUE * number;
    const uint32_t steps[][2] = {{0x30, number},        {0x38, SIZE},
                                 {0x80, DESC + behind}, {0x90, AVAIL + behind},
                                 {0xa0, USED + behind}, {0x44, 1}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        tell(BALLOON + steps[i][0], steps[i][1]);
}

static void bring_up(void)
{
    static const uint32_t steps[][2] = {{0x70, 1}, {0x70, 3}, {0x24, 0}, {0x20, 1 << 5},
                                        {0x24, 1}, {0x20, 1}, {0x70, 11}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        tell(BALLOON + steps[i][0], steps[i][1]);
    set_up_queue(0);
    set_up_queue(2);
    tell(BALLOON + 0x70, 15);
    sync_guest();
}

/* Has the guest announce a request, and waits for the answer, which comes in the notification. */
static void request(uint32_t queue, uint32_t gpa, uint32_t len, uint32_t flags)
{
    const uint32_t behind = QUEUE * queue;
    uint32_t head = requests[queue] % SIZE;
    uint32_t at = DESC + behind + 16 * head;

    tell(at, gpa);
    tell(at + 4, 0);
    tell(at + 8, len);
    tell(at + 12, flags);
    tell(AVAIL + behind + 4 + 2 * (head & ~1u), (head & ~1u) | (head | 1u) << 16);
    tell(AVAIL + behind, (uint32_t)(uint16_t)(requests[queue] + 1) << 16);
    tell(BALLOON + 0x50, queue);
    requests[queue]++;
    sync_guest();
    assert_int_equal(word(USED + behind) >> 16, requests[queue]);
}

static void give(uint32_t gpa, uint32_t pages)
{
    for (uint32_t i = 0; i < pages; i++)
        tell(PFNS + 4 * i, gpa / PAGE + i);
    request(0, PFNS, 4 * pages, 0);
    memset(model + (gpa - DATA), 0, (size_t)pages * PAGE);
}

static void report(uint32_t gpa, uint32_t len)
{
    request(2, gpa, len, 2);
    memset(model + (gpa - DATA), 0, len);
}

/* What the guest reads there. */
static uint32_t seen_by_guest(uint32_t gpa)
{
    tell(gpa + 1, READ);
    sync_guest();
    return word(READ);
}

static void assert_guest_sees(uint32_t gpa)
{
    uint32_t expected;

    memcpy(&expected, model + (gpa - DATA), sizeof(expected));
    assert_int_equal(seen_by_guest(gpa), expected);
}

static void start(void)
{
    static const struct stasis_board_optional balloon = {"stasis.virtio_balloon", "balloon"};
    const struct stasis_board_options options = {.memory_bytes = RAM_SIZE,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &balloon,
                                                 .optional_count = 1};
    const struct stasis_x86_regs_state regs = {.rsi = TABLE};
    struct stasis_board_state board;
    uint32_t x = 2463534242u;

    written = 0;
    memset(requests, 0, sizeof(requests));
    assert_int_equal(stasis_board_default(&options, &board, NULL), 0);
    kvm_guest_init(&guest, &board);
    for (size_t i = 0; i < sizeof(model); i++) {
        x = x * 1664525u + 1013904223u;
        model[i] = (uint8_t)(x >> 24 | 1);
    }
    memcpy(kvm_guest_ram(&guest, DATA, sizeof(model)), model, sizeof(model));
    kvm_guest_smp_long(&guest, 0, writing, sizeof(writing), &regs);
    kvm_guest_start(&guest);
    bring_up();
}

static struct stasis_snap *freeze(void)
{
    struct stasis_snap *snap;

    stasis_machine_pause(&guest.machine);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    return snap;
}

static void thaw(struct stasis_snap *snap, enum stasis_ram_mode mode, bool prefetch)
{
    const struct stasis_thaw_options options = {.memory = mode, .no_prefetch = !prefetch};
    struct stasis_error err;

    memset(&guest, 0, sizeof(guest));
    kvm_ok(kvm_try_thaw(&guest, snap, &options, &err), &err);
    if (mode == STASIS_RAM_MAP)
        assert_int_equal(stasis_ram_mode(stasis_ram_failure_ram(&guest.machine)), mode);
    kvm_guest_start(&guest);
}

/* Memory of the file, and how much of it is zero and takes no room. */
static void check_file(struct stasis_snap *snap, uint64_t zero_gpa, uint64_t zero_len)
{
    uint8_t *ram = malloc(RAM_SIZE);
    struct stasis_error err;

    assert_non_null(ram);
    kvm_ok(stasis_snap_load_ram(snap, 0, ram, 1, NULL, NULL, &err), &err);
    assert_memory_equal(ram + DATA, model, sizeof(model));
    for (uint64_t at = zero_gpa; at < zero_gpa + zero_len; at += CHUNK)
        assert_int_equal(stasis_snap_chunk_at(snap, at / CHUNK).kind, STASIS_CHUNK_ZERO);
    free(ram);
}

/* Pages given before the freeze, after the thaw and before they are loaded, and after they were
 * touched; a huge page, and parts of chunks beside pages that stay. */
static void given_pages_are_zero(enum stasis_ram_mode mode, bool prefetch)
{
    struct stasis_snap *snap, *next;

    start();
    give(DATA + 3 * PAGE, 2);
    assert_guest_sees(DATA + 3 * PAGE);
    assert_guest_sees(DATA + 5 * PAGE);
    report(DATA + 2 * MIB, 2 * MIB);
    assert_int_equal(stasis_counter_get(&stasis_device_find_only(&guest.machine.devices,
                                                                 &stasis_virtio_balloon_schema)
                                             ->counters->discarded_bytes),
                     2 * PAGE + 2 * MIB);
    snap = freeze();
    check_file(snap, DATA + 2 * MIB, 2 * MIB);
    thaw(snap, mode, prefetch);
    assert_guest_sees(DATA + 3 * PAGE);
    assert_guest_sees(DATA + CHUNK + 5 * PAGE);
    give(DATA + CHUNK + 4 * PAGE, 2); /* touched before */
    give(DATA + 2 * CHUNK + 4 * PAGE, 2);
    assert_guest_sees(DATA + CHUNK + 3 * PAGE);
    assert_guest_sees(DATA + CHUNK + 5 * PAGE);
    assert_guest_sees(DATA + 2 * CHUNK + 5 * PAGE);
    assert_guest_sees(DATA + 2 * CHUNK + 6 * PAGE);
    report(DATA + 4 * MIB, 2 * MIB);
    assert_guest_sees(DATA + 5 * MIB);
    tell(DATA + 5 * MIB, 77); /* the guest uses it again */
    model[5 * MIB] = 77;
    assert_guest_sees(DATA + 5 * MIB);
    report(DATA + 7 * MIB, MIB);
    next = freeze();
    stasis_snap_free(snap);
    check_file(next, DATA + 2 * MIB, 3 * MIB);
    check_file(next, DATA + 7 * MIB, MIB);
    thaw(next, mode, prefetch);
    assert_guest_sees(DATA + 7 * MIB + 8);
    assert_memory_equal(kvm_guest_ram(&guest, DATA, sizeof(model)), model, sizeof(model));
    stasis_snap_free(next);
    kvm_guest_fini(&guest);
}

static void given_pages_are_zero_with_copy(void)
{
    given_pages_are_zero(STASIS_RAM_COPY, true);
}

static void given_pages_are_zero_with_map(void)
{
    given_pages_are_zero(STASIS_RAM_MAP, true);
}

static void given_pages_are_zero_with_lazy(void)
{
    given_pages_are_zero(STASIS_RAM_LAZY, false);
    given_pages_are_zero(STASIS_RAM_LAZY, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(given_pages_are_zero_with_copy),
        KVM_CASE(given_pages_are_zero_with_map),
        KVM_CASE(given_pages_are_zero_with_lazy),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
