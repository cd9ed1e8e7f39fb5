/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio balloon device on a board, with RAM, without KVM.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"
#include "support/null_host.h"
#include "vmm/machine/board.h"
#include "vmm/machine/guest_access.h"
#include "vmm/machine/machine.h"

#define BASE  UINT64_C(0xd0002000)
#define QUEUE 0x2000
#define AVAIL 0x3000
#define USED  0x4000
#define PFNS  0x5000
#define PAGE  UINT64_C(0x1000)

static struct stasis_machine machine;
static struct stasis_device_host host;
static struct stasis_device *balloon;
static unsigned waits;

static void wait_until(void *ctx, const struct stasis_device *from, uint64_t deadline_ns)
{
    (void)ctx;
    (void)deadline_ns;
    assert_ptr_equal(from, balloon);
    waits++;
}

static void write(uint64_t offset, uint64_t value)
{
    stasis_bus_mmio_write(&machine, BASE + offset, 4, value);
}

static void put(uint64_t gpa, const void *bytes, uint64_t len)
{
    assert_int_equal(stasis_memory_write(&machine.memory, gpa, bytes, len, "test", NULL), 0);
}

static int set_up(void **state)
{
    static const struct stasis_board_optional optional = {"stasis.virtio_balloon", "b"};
    const struct stasis_board_options options = {.memory_bytes = 1 << 20,
                                                 .vcpus = 1,
                                                 .cpu_model = "host",
                                                 .optional = &optional,
                                                 .optional_count = 1};

    (void)state;
    memset(&machine, 0, sizeof(machine));
    machine.vm.fd = -1;
    host.serial_out = null_host.serial_out;
    host.rtc_now_ns = null_host.rtc_now_ns;
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
    balloon = stasis_device_find_only(&machine.devices, &stasis_virtio_balloon_schema);
    assert_non_null(balloon);
    assert_string_equal(balloon->row->instance, "b");
    waits = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    host.hides_reporting = false;
    stasis_devices_detach(&machine.devices);
    stasis_memory_fini(&machine.memory);
    pthread_mutex_destroy(&machine.lock);
    return 0;
}

static void bring_up(void)
{
    static const uint32_t steps[][2] = {{0x70, 1},    {0x70, 3}, {0x24, 1},     {0x20, 1},
                                        {0x70, 11},   {0x38, 4}, {0x80, QUEUE}, {0x90, AVAIL},
                                        {0xa0, USED}, {0x44, 1}, {0x70, 15}};

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        write(steps[i][0], steps[i][1]);
}

/* Gives pages, by the first request. */
static void give(const uint32_t *pfns, unsigned count)
{
    const uint64_t desc[2] = {PFNS, sizeof(*pfns) * count};
    static const uint16_t avail[3] = {0, 1, 0};

    put(PFNS, pfns, sizeof(*pfns) * count);
    put(QUEUE, desc, sizeof(desc));
    put(AVAIL, avail, sizeof(avail));
    write(0x50, 0);
}

static uint16_t used_idx(void)
{
    return *(const uint16_t *)stasis_memory_at(&machine.memory, USED + 2, 2);
}

static void pages_go_back_and_are_counted(void **state)
{
    static const uint32_t pfns[] = {0x20, 0x21, 0x100, 0xffffffff};
    const uint8_t *ram = stasis_memory_at(&machine.memory, 0x1f000, 4 * PAGE);
    uint8_t bytes[PAGE];

    (void)state;
    memset(bytes, 3, sizeof(bytes));
    for (unsigned i = 0; i < 4; i++)
        put(0x1f000 + i * PAGE, bytes, sizeof(bytes));
    bring_up();
    give(pfns, 4);
    assert_int_equal(used_idx(), 1);
    for (unsigned i = 0; i < 4 * PAGE; i++)
        assert_int_equal(ram[i], i < PAGE || i >= 3 * PAGE ? 3 : 0);
    assert_int_equal(balloon->counters->discarded_bytes, 2 * PAGE);
    assert_int_equal(machine.guest_errors[STASIS_GUEST_ERROR_BAD_QUEUE], 2); /* no RAM */
    assert_int_equal(waits, 0);
}

/* By the event loop, which is asked to. */
static void a_long_list_is_done_in_turns(void **state)
{
    uint32_t pfns[600];

    (void)state;
    for (unsigned i = 0; i < 600; i++)
        pfns[i] = i % 2 ? 0x20 : 0x30;
    bring_up();
    give(pfns, 600);
    assert_int_equal(used_idx(), 0);
    for (unsigned turn = 1; turn < 3; turn++) {
        assert_int_equal(waits, turn);
        stasis_device_timer(balloon);
    }
    assert_int_equal(used_idx(), 1);
    assert_int_equal(waits, 2);
    assert_int_equal(balloon->counters->discarded_bytes, 600 * PAGE);
}

static void what_is_asked_for_is_told(void **state)
{
    (void)state;
    bring_up();
    stasis_device_balloon_ask(balloon, 512);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x100, 4), 512);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x60, 4), 2);
    assert_int_equal(balloon->counters->balloon_target_bytes, 512 * PAGE);
    write(0x104, 0xffffffff);
    assert_int_equal(balloon->counters->balloon_bytes, 0xffffffff * PAGE);
}

static void reporting_can_be_hidden(void **state)
{
    (void)state;
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x10, 4) & 0x34, 0x34);
    tear_down(state);
    host.hides_reporting = true;
    set_up(state);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x10, 4) & 0x34, 0x04);
}

/* It is found on the board of the file: no option is needed, and none changes what it offers. */
static void a_restored_device_is_as_it_was(void **state)
{
    static struct stasis_virtio_balloon_state saved;
    struct stasis_error err;

    (void)state;
    bring_up();
    stasis_device_balloon_ask(balloon, 512);
    write(0x104, 300);
    balloon->type->save(balloon->instance, &saved);
    tear_down(state);
    host.hides_reporting = true;
    set_up(state);
    put(QUEUE, (const uint64_t[]){0, 0}, 16);
    assert_int_equal(balloon->type->restore(balloon->instance, &saved, &err), 0);
    assert_int_equal(balloon->type->check_memory(balloon->instance, &err), 0);
    balloon->type->post_restore(balloon->instance);
    assert_int_equal(waits, 1);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x10, 4) & 0x34, 0x34);
    assert_int_equal(balloon->counters->balloon_bytes, 300 * PAGE);
    assert_int_equal(balloon->counters->balloon_target_bytes, 512 * PAGE);
    assert_int_equal(balloon->counters->discarded_bytes, 0);
    saved.mmio.queues[0].next_avail++;
    assert_int_equal(balloon->type->restore(balloon->instance, &saved, &err), STASIS_ERR_RANGE);
}

/* A reset of the machine: the guest's driver begins anew, and hears what the host asks for. */
static void a_reset_keeps_what_is_asked_for(void **state)
{
    static struct stasis_virtio_balloon_state saved;

    bring_up();
    stasis_device_balloon_ask(balloon, 512);
    write(0x104, 300);
    balloon->type->save(balloon->instance, &saved);
    tear_down(state);
    set_up(state);
    assert_int_equal(balloon->type->keep(balloon->instance, &saved, NULL), 0);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x100, 4), 512);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x104, 4), 0);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x70, 4), 0);
    assert_int_equal(balloon->counters->balloon_target_bytes, 512 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_go_back_and_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_list_is_done_in_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_asked_for_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reporting_can_be_hidden, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_restored_device_is_as_it_was, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reset_keeps_what_is_asked_for, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
