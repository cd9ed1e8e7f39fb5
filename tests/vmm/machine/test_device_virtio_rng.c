/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The virtio entropy device on a board, with RAM, without KVM.
 */
#include <string.h>

#include "support/cmocka_all.h"

#include "stasis/virtio_state.h"
#include "support/null_host.h"
#include "vmm/machine/board.h"
#include "vmm/machine/guest_access.h"
#include "vmm/machine/machine.h"

#define BASE  UINT64_C(0xd0001000)
#define QUEUE 0x2000
#define AVAIL 0x3000
#define USED  0x4000

static struct stasis_machine machine;
static struct stasis_device *rng;

static void write(uint64_t offset, uint64_t value)
{
    stasis_bus_mmio_write(&machine, BASE + offset, 4, value);
}

static int set_up(void **state)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = "host"};

    (void)state;
    memset(&machine, 0, sizeof(machine));
    machine.vm.fd = -1;
    machine.device_env = (struct stasis_device_env){
        .vm = &machine.vm, .memory = &machine.memory, .host = &null_host, .ctx = &machine};
    assert_int_equal(pthread_mutex_init(&machine.lock, NULL), 0);
    stasis_bus_init(&machine.pio, "PIO", 0xffff);
    stasis_bus_init(&machine.mmio, "MMIO", UINT64_MAX);
    stasis_guest_access_connect(&machine);
    assert_int_equal(stasis_board_default(&options, &machine.board, NULL), 0);
    assert_int_equal(stasis_board_map_ram(&machine.board, &machine.memory, NULL), 0);
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    rng = stasis_device_find(&machine.devices, &stasis_virtio_rng_schema, "rng");
    assert_non_null(rng);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_devices_detach(&machine.devices);
    stasis_memory_fini(&machine.memory);
    pthread_mutex_destroy(&machine.lock);
    return 0;
}

static void bring_up(void)
{
    write(0x70, 1);
    write(0x70, 3);
    write(0x24, 1);
    write(0x20, 1);
    write(0x70, 11);
    write(0x38, 4);
    write(0x80, QUEUE);
    write(0x90, AVAIL);
    write(0xa0, USED);
    write(0x44, 1);
    write(0x70, 15);
}

/* A request of 16 bytes at 0x5000, the first. */
static void make_request(void)
{
    static const uint64_t desc[2] = {0x5000, 16 | UINT64_C(2) << 32};
    static const uint16_t avail[3] = {0, 1, 0};

    assert_int_equal(stasis_memory_write(&machine.memory, QUEUE, desc, sizeof(desc), "desc", NULL),
                     0);
    assert_int_equal(
        stasis_memory_write(&machine.memory, AVAIL, avail, sizeof(avail), "avail", NULL), 0);
}

static uint16_t used_idx(void)
{
    const uint16_t *at = stasis_memory_at(&machine.memory, USED + 2, 2);

    return *at;
}

static void a_request_goes_through_ram(void **state)
{
    const uint8_t *bytes = stasis_memory_at(&machine.memory, 0x5000, 17);

    (void)state;
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE, 4), 0x74726976);
    bring_up();
    make_request();
    write(0x50, 0);
    assert_int_equal(used_idx(), 1);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(bytes[i], i); /* of the null host */
    assert_int_equal(bytes[16], 0);
    assert_int_equal(rng->counters->in_bytes, 16);
    assert_int_equal(stasis_bus_mmio_read(&machine, BASE + 0x60, 4), 1);
}

static void a_broken_queue_is_an_error_of_the_guest(void **state)
{
    static const uint16_t idx = 5; /* of 4 entries */
    char text[160];

    (void)state;
    bring_up();
    assert_int_equal(
        stasis_memory_write(&machine.memory, AVAIL + 2, &idx, sizeof(idx), "idx", NULL), 0);
    write(0x50, 0);
    assert_int_equal(machine.guest_errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    assert_int_equal(rng->counters->guest_errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    stasis_guest_access_describe(&machine.access, text, sizeof(text));
    assert_string_equal(text, "write of 0x0 (4 bytes) to address 0xd0001050 of rng: a queue of the "
                              "device breaks the rules of virtio");
}

/* Whatever the guest has accessed meanwhile. */
static void a_queue_that_breaks_later_is_of_no_access(void **state)
{
    static const uint16_t idx = 5;
    char text[160];

    (void)state;
    bring_up();
    assert_int_equal(
        stasis_memory_write(&machine.memory, AVAIL + 2, &idx, sizeof(idx), "idx", NULL), 0);
    (void)stasis_bus_pio_read(&machine, 0x3f8, 1);
    stasis_device_timer(rng);
    assert_int_equal(machine.guest_errors[STASIS_GUEST_ERROR_BAD_QUEUE], 1);
    stasis_guest_access_describe(&machine.access, text, sizeof(text));
    assert_string_equal(text, "device rng: a queue of the device breaks the rules of virtio");
}

static void a_restored_device_goes_on(void **state)
{
    struct stasis_virtio_rng_state saved;

    (void)state;
    bring_up();
    make_request();
    rng->type->save(rng->instance, &saved);
    write(0x70, 0);
    assert_int_equal(rng->type->restore(rng->instance, &saved, NULL), 0);
    assert_int_equal(rng->type->check_memory(rng->instance, NULL), 0);
    rng->type->post_restore(rng->instance);
    assert_int_equal(used_idx(), 0);
    stasis_device_timer(rng);
    assert_int_equal(used_idx(), 1);
}

static void rings_that_are_not_what_was_saved_are_refused(void **state)
{
    static const uint16_t idx = 1;
    struct stasis_virtio_rng_state saved;
    struct stasis_error err;

    (void)state;
    bring_up();
    rng->type->save(rng->instance, &saved);
    assert_int_equal(stasis_memory_write(&machine.memory, USED + 2, &idx, sizeof(idx), "idx", NULL),
                     0);
    assert_int_equal(rng->type->restore(rng->instance, &saved, NULL), 0);
    assert_int_equal(rng->type->check_memory(rng->instance, &err), STASIS_ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "the used ring in RAM has idx 1, the device 0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_goes_through_ram, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_broken_queue_is_an_error_of_the_guest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_queue_that_breaks_later_is_of_no_access, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_restored_device_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rings_that_are_not_what_was_saved_are_refused, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
