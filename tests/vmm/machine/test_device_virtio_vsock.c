/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio socket device on a board: what reaches the host's end, and what a thaw wants of it.
 */
#include <string.h>

#include "support/cmocka_all.h"
#include "support/null_host.h"
#include "vmm/base/counter.h"
#include "vmm/machine/board.h"
#include "vmm/machine/guest_access.h"
#include "vmm/machine/machine.h"

#define BASE   UINT64_C(0xd0002000)
#define QUEUE  UINT64_C(0x2000) /* of queue n: behind it by n pages; rings in the page */
#define PACKET UINT64_C(0x8000)

static struct stasis_machine machine;
static struct stasis_device_host host;
static struct stasis_device *vsock;
static unsigned waits, connects;
static int peer;

static void *do_connect(void *ctx, uint32_t id, uint32_t port)
{
    assert_ptr_equal(ctx, &peer);
    assert_true(id);
    assert_int_equal(port, 7);
    connects++;
    return NULL;
}

static const struct stasis_virtio_vsock_ops ops = {.connect = do_connect};
static struct stasis_device_vsock given = {
    .id = "vsock0", .guest_cid = 42, .ops = &ops, .ctx = &peer};

static void wait_until(void *ctx, const struct stasis_device *from, uint64_t deadline_ns)
{
    (void)ctx;
    assert_ptr_equal(from, vsock);
    assert_true(deadline_ns);
    waits++;
}

static void build(const struct stasis_device_vsock *end)
{
    const struct stasis_board_optional row = {stasis_virtio_vsock_schema.type, "vsock0"};
    const struct stasis_board_options options = {.memory_bytes = 1 << 20,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &row,
                                                 .optional_count = 1};

    memset(&machine, 0, sizeof(machine));
    machine.vm.fd = -1;
    host = null_host;
    host.vsock = end;
    host.timer_arm = wait_until;
    machine.device_env = (struct stasis_device_env){
        .vm = &machine.vm, .memory = &machine.memory, .host = &host, .ctx = &machine};
    assert_int_equal(pthread_mutex_init(&machine.lock, NULL), 0);
    stasis_bus_init(&machine.pio, "PIO", 0xffff);
    stasis_bus_init(&machine.mmio, "MMIO", UINT64_MAX);
    stasis_guest_access_connect(&machine);
    assert_int_equal(stasis_board_default(&options, &machine.board, NULL), 0);
    assert_int_equal(stasis_board_map_ram(&machine.board, &machine.memory, NULL), 0);
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    vsock = stasis_device_find(&machine.devices, &stasis_virtio_vsock_schema, "vsock0");
    assert_non_null(vsock);
    waits = connects = 0;
}

static void end_machine(void)
{
    stasis_devices_detach(&machine.devices);
    stasis_memory_fini(&machine.memory);
    pthread_mutex_destroy(&machine.lock);
}

static int set_up(void **state)
{
    (void)state;
    build(&given);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end_machine();
    return 0;
}

static uint64_t reg(uint64_t offset)
{
    return stasis_bus_mmio_read(&machine, BASE + offset, 4);
}

static void set(uint64_t offset, uint64_t value)
{
    stasis_bus_mmio_write(&machine, BASE + offset, 4, value);
}

/* A request for port 7 of the host waits in queue 1. */
static void bring_up(void)
{
    static const uint32_t packet[11] = {42, 0, 2, 0, 1000, 7, 0, 1 | 1 << 16, 0, 4096, 0};
    const uint32_t desc[4] = {PACKET, 0, sizeof(packet), 0};
    const uint16_t avail[3] = {0, 1, 0};

    for (unsigned i = 0; i < 3; i++)
        set(0x70, i == 2 ? 3 : i);
    set(0x24, 1);
    set(0x20, 1);
    set(0x70, 11);
    for (unsigned i = 0; i < 3; i++) {
        set(0x30, i);
        set(0x38, 4);
        set(0x80, QUEUE + 0x1000 * i);
        set(0x90, QUEUE + 0x1000 * i + 0x100);
        set(0xa0, QUEUE + 0x1000 * i + 0x200);
        set(0x44, 1);
    }
    set(0x70, 15);
    assert_int_equal(reg(0x70), 15);
    memcpy(stasis_memory_writable(&machine.memory, PACKET, sizeof(packet)), packet, sizeof(packet));
    memcpy(stasis_memory_writable(&machine.memory, QUEUE + 0x1000, 16), desc, 16);
    memcpy(stasis_memory_writable(&machine.memory, QUEUE + 0x1100, 6), avail, 6);
}

static void a_notification_only_wakes(void **state)
{
    (void)state;
    assert_int_equal(reg(8), 19);
    assert_int_equal(reg(0x100), 42);
    bring_up();
    waits = 0;
    set(0x50, 1);
    assert_int_equal(waits, 1);
    assert_int_equal(connects, 0);
    stasis_device_timer(vsock);
    assert_int_equal(connects, 1);
    assert_int_equal(stasis_counter_get(&vsock->counters->refused), 1);
}

static void a_guest_without_the_hosts_end_connects_to_nobody(void **state)
{
    uint32_t id;

    (void)state;
    end_machine();
    build(NULL);
    bring_up();
    stasis_device_vsock_resume(vsock);
    assert_int_equal(connects, 0);
    assert_true(stasis_device_vsock_open(vsock, 52, &peer, &id));
    stasis_device_vsock_ready(vsock, id);
    stasis_device_vsock_consumed(vsock, id, 0);
    stasis_device_vsock_close(vsock, id);
}

static void a_thaw_wants_the_hosts_end_by_its_name(void **state)
{
    struct stasis_device_vsock other = {.id = "talk", .ops = &ops, .ctx = &peer};
    struct stasis_virtio_vsock_state frozen;
    struct stasis_error err;

    (void)state;
    bring_up();
    vsock->type->save(vsock->instance, &frozen);
    assert_int_equal(frozen.guest_cid, 42);
    for (unsigned i = 0; i < 2; i++) {
        end_machine();
        build(i ? &other : NULL);
        assert_int_equal(vsock->type->restore(vsock->instance, &frozen, &err), STASIS_ERR_ARG);
        assert_string_equal(err.msg, "the guest's sockets vsock0 are missing; give a path for them "
                                     "by vsock.path, with vsock.id=vsock0");
    }
    other.id = "vsock0";
    end_machine();
    build(&other);
    assert_int_equal(reg(0x100), 3);
    waits = 0;
    assert_int_equal(vsock->type->restore(vsock->instance, &frozen, &err), 0);
    vsock->type->post_restore(vsock->instance);
    assert_int_equal(waits, 1);
    assert_int_equal(reg(0x100), 42);
    other.guest_cid = 77;
    assert_int_equal(vsock->type->restore(vsock->instance, &frozen, &err), 0);
    assert_int_equal(reg(0x100), 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_notification_only_wakes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_guest_without_the_hosts_end_connects_to_nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_thaw_wants_the_hosts_end_by_its_name, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
