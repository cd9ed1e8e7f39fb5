/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A driver of the virtio network device under the real KVM, with a passt of the test's at the other
 * end. It is frozen and thawed with frames on their way, in both directions. The guest writes words
 * where the test tells it to.
 */
#include "vmm/kvm_guest.h"

#include <string.h>

#include "stasis/virtio_state.h"
#include "vmm/api/passt_rig.h"
#include "vmm/api/vmm_net.h"
#include "vmm/base/counter.h"

/* 1: mov eax, [rsi]; test eax, eax; jz 2f; mov ecx, [rsi + 4]; mov [rax], ecx; add rsi, 8; jmp 1b
 * 2: pause; jmp 1b */
static const uint8_t writing[] = {0x8b, 0x06, 0x85, 0xc0, 0x74, 0x0b, 0x8b, 0x4e, 0x04, 0x89, 0x08,
                                  0x48, 0x83, 0xc6, 0x08, 0xeb, 0xef, 0xf3, 0x90, 0xeb, 0xeb};

#define TABLE    0x200000 /* of pairs: where, what; 0 where there is no more yet */
#define CELL     0x105000
#define RINGS    0x110000 /* of a queue: a page each for descriptors, avail and used */
#define OF_QUEUE 0x10000
#define AVAIL    0x1000
#define USED     0x2000
#define BUFFERS  0x140000
#define LEN      2048u
#define NET      0xd0002000
#define SIZE     16u
#define HEADER   12u
#define RX       0u
#define TX       1u
#define F_STATUS (1u << 16)

static struct kvm_guest guest;
static struct stasis_vmm_config config;
static struct stasis_vmm_net_host net;
static uint32_t written; /* pairs */
static uint16_t made[2]; /* by queue */

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

static uint32_t rings_of(unsigned queue)
{
    return RINGS + OF_QUEUE * queue;
}

static void set_up_queue(unsigned queue)
{
    tell(NET + 0x30, queue);
    tell(NET + 0x38, SIZE);
    tell(NET + 0x80, rings_of(queue));
    tell(NET + 0x90, rings_of(queue) + AVAIL);
    tell(NET + 0xa0, rings_of(queue) + USED);
    tell(NET + 0x44, 1);
}

static void bring_up(void)
{
    static const struct {
        uint32_t offset, value;
    } steps[] = {{0x70, 0},        {0x70, 1}, {0x70, 3}, {0x24, 0},
                 {0x20, F_STATUS}, {0x24, 1}, {0x20, 1}, {0x70, 11}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        tell(NET + steps[i].offset, steps[i].value);
    set_up_queue(RX);
    set_up_queue(TX);
    tell(NET + 0x70, 15);
}

static uint32_t buffer_of(unsigned queue, unsigned number)
{
    return BUFFERS + OF_QUEUE * queue + LEN * (number % SIZE);
}

/* Describes a buffer, whose frame begins with this byte, as it may while it is the driver's; the
 * guest makes it available. The lock is for ThreadSanitizer, which does not see that the guest
 * comes between. */
static void make(unsigned queue, uint8_t first, uint32_t len, uint32_t flags)
{
    const uint16_t number = made[queue]++;
    uint8_t *bytes = kvm_guest_ram(&guest, buffer_of(queue, number), LEN);
    uint32_t *desc = kvm_guest_ram(&guest, rings_of(queue) + 16 * (number % SIZE), 16);
    uint16_t *avail = kvm_guest_ram(&guest, rings_of(queue) + AVAIL, 4 + 2 * SIZE);

    pthread_mutex_lock(&guest.machine.lock);
    memset(bytes, 0, LEN);
    bytes[HEADER] = first;
    desc[0] = buffer_of(queue, number);
    desc[1] = 0;
    desc[2] = len;
    desc[3] = flags;
    avail[2 + number % SIZE] = (uint16_t)(number % SIZE);
    pthread_mutex_unlock(&guest.machine.lock);
}

static struct stasis_device *device(void)
{
    return stasis_device_find(&guest.machine.devices, &stasis_virtio_net_schema, "lan");
}

/* How often the device's thread has looked at its queues. */
static uint64_t wakes(void)
{
    uint64_t count;

    pthread_mutex_lock(&guest.machine.lock);
    count = device()->counters->wakes;
    pthread_mutex_unlock(&guest.machine.lock);
    return count;
}

/* Until the device has served the queue, by its thread. */
static void notify(unsigned queue)
{
    const uint64_t before = wakes();

    tell(rings_of(queue) + AVAIL, (uint32_t)made[queue] << 16);
    tell(NET + 0x50, queue);
    sync_guest();
    kvm_wait(wakes() > before);
}

static void offer(unsigned buffers)
{
    for (unsigned i = 0; i < buffers; i++)
        make(RX, 0, LEN, 2);
    notify(RX);
}

static void send_frame(uint8_t first)
{
    make(TX, first, HEADER + 60, 0);
    notify(TX);
}

static uint16_t used_idx(unsigned queue)
{
    uint16_t idx;

    pthread_mutex_lock(&guest.machine.lock);
    idx = (uint16_t)(word(rings_of(queue) + USED) >> 16);
    pthread_mutex_unlock(&guest.machine.lock);
    return idx;
}

static void assert_received(unsigned number, uint8_t first)
{
    const uint32_t *used = kvm_guest_ram(&guest, RINGS + USED + 4 + 8 * (number % SIZE), 8);
    const uint8_t *bytes = kvm_guest_ram(&guest, buffer_of(RX, used[0]), LEN);

    assert_int_equal(used[1], HEADER + 60);
    assert_int_equal(bytes[HEADER], first);
}

/* ---- the machine ---- */

static void connect_network(void)
{
    struct stasis_error err;

    net = (struct stasis_vmm_net_host){.is_open = false};
    kvm_guest_host(&guest);
    kvm_ok(stasis_vmm_net_open(&config, &net, &guest.host, &err), &err);
    passt_rig_accept();
}

static void start(void)
{
    const struct stasis_board_optional row = {stasis_virtio_net_schema.type, "lan"};
    const struct stasis_board_options options = {.memory_bytes = KVM_RAM,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &row,
                                                 .optional_count = 1};
    const struct stasis_x86_regs_state regs = {.rsi = TABLE};
    struct stasis_board_state board;
    struct stasis_error err;

    passt_rig_init();
    config = (struct stasis_vmm_config){.net = {.passt = passt_rig_path, .id = "lan"}};
    connect_network();
    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_ok(stasis_machine_build(&guest.machine, &board, &guest.host, &err), &err);
    kvm_guest_smp_long(&guest, 0, writing, sizeof(writing), &regs);
    kvm_guest_start(&guest);
    bring_up();
}

static void disconnect(void)
{
    stasis_vmm_net_close(&net);
    passt_rig_hang_up();
}

static void finish(void)
{
    kvm_guest_fini(&guest);
    disconnect();
    passt_rig_fini();
}

/* As the event loop does when the descriptor is ready. */
static void be_ready(void)
{
    pthread_mutex_lock(&guest.machine.lock);
    stasis_vmm_net_ready(&net, device(), false);
    pthread_mutex_unlock(&guest.machine.lock);
}

static struct stasis_snap *freeze(void)
{
    struct stasis_snap *snap;

    stasis_machine_pause(&guest.machine);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    disconnect();
    return snap;
}

static int thaw(struct stasis_snap *snap, struct stasis_error *err)
{
    const struct stasis_thaw_options options = {.clock = STASIS_CLOCK_CONTINUE,
                                                .memory = STASIS_RAM_COPY};
    struct stasis_thaw_result result;

    return stasis_thaw(&guest.machine, snap, &options, &guest.host, &result, err);
}

static void come_back(struct stasis_snap *snap)
{
    struct stasis_error err;

    connect_network();
    kvm_ok(thaw(snap, &err), &err);
    kvm_guest_start(&guest);
    kvm_wait(wakes() > 0); /* every queue is looked at once */
}

/* ---- cases ---- */

static void frames_pass_both_ways(void)
{
    start();
    offer(4);
    for (uint8_t i = 1; i <= 3; i++) {
        send_frame(i);
        passt_rig_hear(i, 60);
        passt_rig_say((uint8_t)(10 + i), 60);
        be_ready();
        assert_int_equal(used_idx(RX), i);
        assert_received(i - 1u, (uint8_t)(10 + i));
    }
    assert_int_equal(used_idx(TX), 3);
    finish();
}

static uint64_t exits(void)
{
    return stasis_vcpu_exit_count(&guest.machine.vcpus[0], STASIS_VCPU_EXIT_mmio);
}

/* The vCPU that notifies runs on, and the device's thread sends: of a frame no more is seen here
 * than one ring. It is so after a thaw, too. */
static void a_frame_costs_no_exit(void)
{
    enum { FRAMES = 40 };
    struct stasis_snap *snap;
    uint64_t exits_before, wakes_before;

    start();
    offer(2);
    for (unsigned generation = 0; generation < 2; generation++) {
        exits_before = exits();
        wakes_before = wakes();
        for (unsigned i = 0; i < FRAMES; i++) {
            send_frame((uint8_t)i);
            passt_rig_hear((uint8_t)i, 60);
        }
        offer(2);
        assert_int_equal(exits() - exits_before, 0);
        assert_int_equal(wakes() - wakes_before, FRAMES + 1);
        if (generation)
            break;
        snap = freeze();
        come_back(snap);
        stasis_snap_free(snap);
    }
    finish();
}

/* A driver that resets the device hears of its own errors again: those are exits. */
static void a_queue_that_is_not_in_use_has_no_bell(void)
{
    const uint64_t *errors = &guest.machine.guest_errors[STASIS_GUEST_ERROR_BAD_COMMAND];
    uint64_t before;

    start();
    send_frame(1);
    passt_rig_hear(1, 60);
    assert_int_equal(stasis_counter_get(errors), 0);
    before = exits();
    tell(NET + 0x50, 2); /* of no queue */
    tell(NET + 0x70, 0);
    tell(NET + 0x50, TX);
    sync_guest();
    assert_int_equal(exits() - before, 3);
    assert_int_equal(stasis_counter_get(errors), 2);
    finish();
}

/* What the guest has made available and not notified of is sent once, after the thaw; and a frame
 * that has come is in the guest's buffers once, or lost. */
static void frames_survive_generations(void)
{
    start();
    offer(8);
    for (uint8_t i = 0; i < 3; i++) {
        struct stasis_snap *snap;

        make(TX, i, HEADER + 60, 0);
        tell(RINGS + OF_QUEUE + AVAIL, (uint32_t)made[TX] << 16);
        sync_guest();
        passt_rig_say(99, 60);
        snap = freeze();
        come_back(snap);
        stasis_snap_free(snap);
        passt_rig_hear(i, 60);
        assert_int_equal(used_idx(TX), i + 1);
        passt_rig_say(i, 60);
        be_ready();
        assert_int_equal(used_idx(RX), i + 1);
        assert_received(i, i);
    }
    finish();
}

static void the_link_is_told_after_a_thaw(void)
{
    struct stasis_virtio_net_state state;
    struct stasis_snap *snap;

    start();
    offer(2);
    pthread_mutex_lock(&guest.machine.lock);
    stasis_device_net_set_link(device(), false);
    pthread_mutex_unlock(&guest.machine.lock);
    tell(NET + 0x64, 2);
    sync_guest();
    snap = freeze();
    kvm_record(snap, &stasis_virtio_net_schema, "lan", &state);
    assert_false(state.link_up);
    assert_int_equal(state.mmio.interrupt_status & 2, 0);
    come_back(snap);
    stasis_snap_free(snap);
    pthread_mutex_lock(&guest.machine.lock);
    stasis_vmm_net_turn(&net, device(), NULL); /* the first of the event loop's */
    pthread_mutex_unlock(&guest.machine.lock);
    snap = freeze();
    kvm_record(snap, &stasis_virtio_net_schema, "lan", &state);
    assert_true(state.link_up);
    assert_int_equal(state.mmio.interrupt_status & 2, 2);
    stasis_snap_free(snap);
    passt_rig_fini();
}

static void a_guest_needs_its_network(void)
{
    struct stasis_snap *snap;
    struct stasis_error err;

    start();
    offer(1);
    snap = freeze();
    kvm_guest_host(&guest);
    assert_int_equal(thaw(snap, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "the guest's network lan is missing; connect it by net.tap"));
    config.net.mac = "02:00:00:00:00:07";
    connect_network();
    assert_int_equal(thaw(snap, &err), STASIS_ERR_ARG);
    assert_non_null(strstr(err.msg, "network lan had MAC address 02:"));
    stasis_snap_free(snap);
    disconnect();
    passt_rig_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(frames_pass_both_ways),
        KVM_CASE(a_frame_costs_no_exit),
        KVM_CASE(a_queue_that_is_not_in_use_has_no_bell),
        KVM_CASE(frames_survive_generations),
        KVM_CASE(the_link_is_told_after_a_thaw),
        KVM_CASE(a_guest_needs_its_network),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
