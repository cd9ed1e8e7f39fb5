/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Device types on a board without KVM: a machine that was zeroed has no interrupt controllers, and
 * its lines lead nowhere.
 */
#include "support/cmocka_all.h"

#include <string.h>

#include "vmm/machine/adapter.h"
#include "vmm/machine/board.h"
#include "vmm/machine/device.h"
#include "vmm/machine/guest_access.h"
#include "vmm/machine/machine.h"

static struct stasis_machine machine;
static uint8_t sent[64];
static size_t sent_len, sink_room;
static unsigned rx_ready, resets, power_offs;
static uint64_t now_ns, deadline_ns;
static struct stasis_guest_access last_error;
static char last_text[128];

static struct stasis_device *com1(void)
{
    return stasis_device_find(&machine.devices, &stasis_serial_schema, "com1");
}

static void on_reset(void *ctx)
{
    (void)ctx;
    resets++;
}

static void on_power_off(void *ctx)
{
    (void)ctx;
    power_offs++;
}

static size_t tx(void *ctx, const uint8_t *bytes, size_t len)
{
    size_t taken = len < sink_room ? len : sink_room;

    (void)ctx;
    memcpy(sent + sent_len, bytes, taken);
    sent_len += taken;
    sink_room -= taken;
    return taken;
}

static void on_rx_ready(void *ctx, const struct stasis_device *from)
{
    (void)from;
    (void)ctx;
    rx_ready++;
}

static uint64_t now(void *ctx)
{
    (void)ctx;
    return now_ns;
}

static void arm(void *ctx, const struct stasis_device *from, bool on, uint64_t when)
{
    (void)from;
    (void)ctx;
    deadline_ns = on ? when : 0;
}

static void on_guest_error(void *ctx, const struct stasis_guest_access *access)
{
    (void)ctx;
    last_error = *access;
    stasis_guest_access_describe(access, last_text, sizeof(last_text));
}

static const struct stasis_device_host host = {.serial_out = {tx, NULL},
                                               .serial_rx_ready = on_rx_ready,
                                               .rtc_now_ns = now,
                                               .rtc_arm = arm,
                                               .guest_error = on_guest_error};

static int set_up(void **state)
{
    static const struct stasis_board_device_state pl031 = {
        "stasis.pl031", "rtc", 1, STASIS_BUS_MMIO, 0xd0000000, 0x1000, 10};
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = "host"};

    (void)state;
    memset(&machine, 0, sizeof(machine));
    machine.vm.fd = -1;
    machine.device_env = (struct stasis_device_env){.vm = &machine.vm,
                                                    .host = &host,
                                                    .ctx = &machine,
                                                    .reset = on_reset,
                                                    .power_off = on_power_off};
    resets = power_offs = 0;
    stasis_bus_init(&machine.pio, "PIO", 0xffff);
    stasis_bus_init(&machine.mmio, "MMIO", UINT64_MAX);
    stasis_guest_access_connect(&machine);
    memset(&last_error, 0, sizeof(last_error));
    sent_len = 0;
    sink_room = sizeof(sent);
    rx_ready = 0;
    now_ns = UINT64_C(5000000000);
    deadline_ns = 0;
    assert_int_equal(stasis_board_default(&options, &machine.board, NULL), 0);
    memmove(&machine.board.devices[3], &machine.board.devices[2],
            (machine.board.devices_count - 2) * sizeof(pl031));
    machine.board.devices[2] = pl031; /* as on older boards */
    machine.board.devices_count++;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stasis_devices_detach(&machine.devices);
    return 0;
}

static void types_by_row(void **state)
{
    const struct stasis_device_type *type = NULL;
    struct stasis_error err;

    (void)state;
    for (uint32_t i = 0; i < machine.board.devices_count; i++) {
        assert_int_equal(stasis_device_type_find(&machine.board.devices[i], &type, &err), 0);
        assert_string_equal(type->schema->type, machine.board.devices[i].type);
        assert_ptr_equal(stasis_schema_find(type->schema->type), type->schema);
    }
    type = NULL;
    machine.board.devices[0].version = 2;
    assert_int_equal(stasis_device_type_find(&machine.board.devices[0], &type, &err),
                     STASIS_ERR_VERSION);
    assert_null(type);
    assert_non_null(strstr(err.msg, "com1"));
}

static void board_becomes_devices(void **state)
{
    (void)state;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    assert_int_equal(machine.devices.count, machine.board.devices_count);
    assert_non_null(com1());
    assert_null(stasis_device_find(&machine.devices, &stasis_serial_schema, "com2"));
    stasis_bus_write(&machine.pio, 0x3ff, 1, 0x5a);
    assert_int_equal(stasis_bus_read(&machine.pio, 0x3ff, 1), 0x5a);
    /* Wider than the chip: MSR and SCR. */
    assert_int_equal(stasis_bus_read(&machine.pio, 0x3fe, 2), 0x5ab0);
    stasis_bus_write(&machine.pio, 0x3f8, 1, 'x');
    assert_int_equal(sent[0], 'x');
    /* The RTC began with the host's clock, in seconds. */
    assert_int_equal(stasis_bus_read(&machine.mmio, 0xd0000000, 4), 5);
    assert_int_equal(stasis_bus_read(&machine.pio, 0x64, 1) & 1, 0);
}

static void other_buses_and_addresses(void **state)
{
    struct stasis_board_device_state *com = &machine.board.devices[0];
    struct stasis_board_device_state *rtc = &machine.board.devices[2];

    (void)state;
    com->bus = 1;
    com->base = 0xd0010000;
    rtc->bus = 0;
    rtc->base = 0x2000;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    stasis_bus_write(&machine.mmio, 0xd0010000, 1, 'y');
    assert_int_equal(sent[0], 'y');
    assert_int_equal(stasis_bus_read(&machine.pio, 0x3f8, 1), 0xff);
    assert_int_equal(stasis_bus_read(&machine.pio, 0x2000, 4), 5);
    assert_int_equal(stasis_bus_read(&machine.mmio, 0xd0000000, 4), 0xffffffff);
}

static void overlapping_devices_are_refused(void **state)
{
    struct stasis_error err;

    (void)state;
    machine.board.devices[1].base = 0x3fc;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, &err),
                     STASIS_ERR_EXISTS);
    assert_non_null(strstr(err.msg, "kbd and com1 overlap"));
}

static void serial_from_outside(void **state)
{
    uint8_t input[100];
    uint8_t unsent[8];

    (void)state;
    assert_int_equal(stasis_device_serial_room(com1()), 0); /* no devices yet */
    assert_int_equal(stasis_device_serial_unsent(com1(), unsent, sizeof(unsent)), 0);
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    assert_int_equal(stasis_device_serial_room(com1()), 1);
    stasis_bus_write(&machine.pio, 0x3fa, 1, 0x07); /* FIFOs on */
    assert_int_equal(stasis_device_serial_room(com1()), 64);
    memset(input, 'i', sizeof(input));
    stasis_device_serial_input(com1(), input, 64);
    assert_int_equal(stasis_device_serial_room(com1()), 0);
    rx_ready = 0;
    while (stasis_bus_read(&machine.pio, 0x3fd, 1) & 1)
        assert_int_equal(stasis_bus_read(&machine.pio, 0x3f8, 1), 'i');
    assert_int_equal(rx_ready, 1);

    sink_room = 1;
    for (unsigned i = 0; i < 4; i++)
        stasis_bus_write(&machine.pio, 0x3f8, 1, 'a' + i);
    assert_int_equal(sent_len, 1);
    assert_int_equal(stasis_device_serial_unsent(com1(), unsent, sizeof(unsent)), 3);
    assert_memory_equal(unsent, "bcd", 3);
    assert_int_equal(stasis_device_serial_unsent(com1(), unsent, 2), 2);
    sink_room = 3;
    stasis_device_serial_drain(com1());
    assert_memory_equal(sent, "abcd", 4);
    assert_int_equal(stasis_device_serial_unsent(com1(), unsent, sizeof(unsent)), 0);
}

static void the_only_one_is_found(void **state)
{
    static struct stasis_devices devices = {.list = {{.type = &stasis_device_i8042_type},
                                                     {.type = &stasis_device_acpi_pm_type},
                                                     {.type = &stasis_device_i8042_type}},
                                            .count = 2};

    (void)state;
    assert_ptr_equal(stasis_device_find_only(&devices, &stasis_i8042_schema), &devices.list[0]);
    assert_ptr_equal(stasis_device_find_only(&devices, &stasis_acpi_pm_schema), &devices.list[1]);
    assert_null(stasis_device_find_only(&devices, &stasis_serial_schema));
    devices.count = 3;
    assert_null(stasis_device_find_only(&devices, &stasis_i8042_schema));
}

static void alarm_from_outside(void **state)
{
    (void)state;
    stasis_device_alarm(stasis_device_find(&machine.devices, &stasis_pl031_schema,
                                           "rtc")); /* no clock: nothing happens */
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    stasis_bus_write(&machine.mmio, 0xd0000004, 4, 8); /* RTCMR */
    stasis_bus_write(&machine.mmio, 0xd0000010, 4, 1); /* RTCIMSC */
    assert_int_equal(deadline_ns, UINT64_C(8000000000));
    now_ns = deadline_ns;
    stasis_device_alarm(stasis_device_find(&machine.devices, &stasis_pl031_schema, "rtc"));
    assert_int_equal(stasis_bus_read(&machine.mmio, 0xd0000018, 4), 1); /* RTCMIS */
}

static void reset_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    stasis_bus_write(&machine.pio, 0x64, 1, 0xfe);
    assert_int_equal(resets, 1);
}

static void power_off_is_asked_for(void **state)
{
    (void)state;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    stasis_bus_write(&machine.pio, 0x604, 2, 0x3400);
    assert_int_equal(power_offs, 1);
    assert_int_equal(stasis_bus_read(&machine.pio, 0x600, 4), 0);
    assert_int_equal(stasis_bus_read(&machine.pio, 0x604, 2), 0x1401);
}

static void assert_error(enum stasis_guest_error error, uint64_t in_machine, const char *device,
                         uint64_t in_device, const char *text)
{
    assert_int_equal(last_error.error, error);
    assert_int_equal(machine.guest_errors[error], in_machine);
    assert_string_equal(last_text, text);
    if (!device) {
        assert_null(last_error.device);
        return;
    }
    assert_string_equal(last_error.device->row->instance, device);
    assert_int_equal(last_error.device->counters->guest_errors[error], in_device);
}

static void invalid_accesses_are_counted_and_told(void **state)
{
    (void)state;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    stasis_bus_pio_write(&machine, 0x80, 1, 0x5a);
    assert_error(STASIS_GUEST_ERROR_UNHANDLED_PORT, 1, NULL, 0,
                 "write of 0x5a (1 byte) to port 0x80: no device has this port");
    (void)stasis_bus_mmio_read(&machine, 0xe0000000, 8);
    assert_error(STASIS_GUEST_ERROR_UNHANDLED_MMIO, 1, NULL, 0,
                 "read of 8 bytes from address 0xe0000000: neither RAM nor a device has this "
                 "address");
    stasis_bus_pio_write(&machine, 0x3fd, 1, 1);
    assert_error(STASIS_GUEST_ERROR_READ_ONLY, 1, "com1", 1,
                 "write of 0x1 (1 byte) to port 0x3fd of com1: the register is read-only");
    stasis_bus_mmio_write(&machine, 0xd0000000, 4, 7);
    assert_error(STASIS_GUEST_ERROR_READ_ONLY, 2, "rtc", 1,
                 "write of 0x7 (4 bytes) to address 0xd0000000 of rtc: the register is read-only");
    stasis_bus_mmio_write(&machine, 0xd0000004, 2, 7);
    assert_error(STASIS_GUEST_ERROR_BAD_WIDTH, 1, "rtc", 1,
                 "write of 0x7 (2 bytes) to address 0xd0000004 of rtc: the register cannot be "
                 "accessed in this width");
    (void)stasis_bus_mmio_read(&machine, 0xd000001c, 4);
    assert_error(STASIS_GUEST_ERROR_WRITE_ONLY, 1, "rtc", 1,
                 "read of 4 bytes from address 0xd000001c of rtc: the register is write-only");
    (void)stasis_bus_pio_read(&machine, 0x61, 1);
    assert_error(STASIS_GUEST_ERROR_UNKNOWN_REGISTER, 1, "kbd", 1,
                 "read of 1 byte from port 0x61 of kbd: the device has no register there");
    stasis_bus_pio_write(&machine, 0x64, 1, 1);
    assert_error(STASIS_GUEST_ERROR_BAD_COMMAND, 1, "kbd", 1,
                 "write of 0x1 (1 byte) to port 0x64 of kbd: the device does not know this "
                 "command");
}

/* A guest that does nothing wrong is told nothing of, and nobody has to listen. */
static void valid_accesses_are_not_told(void **state)
{
    static const struct stasis_device_host deaf = {.serial_out = {tx, NULL},
                                                   .serial_rx_ready = on_rx_ready,
                                                   .rtc_now_ns = now,
                                                   .rtc_arm = arm};

    (void)state;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    stasis_bus_pio_write(&machine, 0x3f8, 1, 'x');
    (void)stasis_bus_pio_read(&machine, 0x64, 1);
    (void)stasis_bus_mmio_read(&machine, 0xd0000000, 4);
    for (int error = 0; error < STASIS_GUEST_ERROR_COUNT; error++)
        assert_int_equal(machine.guest_errors[error], 0);
    machine.device_env.host = &deaf;
    stasis_bus_pio_write(&machine, 0x80, 1, 1);
    assert_int_equal(machine.guest_errors[STASIS_GUEST_ERROR_UNHANDLED_PORT], 1);
    assert_int_equal(last_error.len, 0);
}

static void bytes_of_the_serial_port_are_counted(void **state)
{
    const struct stasis_device_counters *counters;

    (void)state;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    counters = com1()->counters;
    sink_room = 3;
    for (unsigned i = 0; i < 6; i++) /* 3 sent, 1 waits, 2 find no room */
        stasis_bus_pio_write(&machine, 0x3f8, 1, 'a');
    assert_int_equal(counters->out_bytes, 3);
    assert_int_equal(counters->lost_bytes, 2);
    sink_room = 8;
    stasis_device_serial_drain(com1());
    assert_int_equal(counters->out_bytes, 4);
    stasis_device_serial_input(com1(), (const uint8_t *)"abc", 3); /* room for one */
    assert_int_equal(counters->in_bytes, 1);
    assert_int_equal(
        stasis_device_find(&machine.devices, &stasis_pl031_schema, "rtc")->counters->out_bytes, 0);
}

#define HOUR_NS UINT64_C(3600000000000)

static uint64_t counted(const void *state)
{
    return ((const struct stasis_acpi_timer_state *)state)->counter_ns;
}

static void the_timer_counts_and_cannot_be_written(void **state)
{
    uint64_t first;

    (void)state;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    first = stasis_bus_pio_read(&machine, 0x60c, 4);
    while (stasis_bus_pio_read(&machine, 0x60c, 4) == first)
        ;
    assert_in_range(stasis_bus_pio_read(&machine, 0x60c, 4), first + 1, first + HOUR_NS / 280);
    assert_in_range(stasis_bus_pio_read(&machine, 0x60e, 2), 0, 0xffff);
    stasis_bus_pio_write(&machine, 0x60c, 4, 0);
    assert_int_equal(stasis_device_find(&machine.devices, &stasis_acpi_timer_schema, "timer")
                         ->counters->guest_errors[STASIS_GUEST_ERROR_READ_ONLY],
                     1);
}

/* save, restore into a second instance, save: for every type, from a state that is not the reset
 * state. */
static void states_survive(void **state)
{
    const struct stasis_vmgenid_state id = {{1, 2, 3}};

    (void)state;
    assert_int_equal(stasis_devices_attach(&machine.devices, &machine.board, &machine.pio,
                                           &machine.mmio, &machine.device_env, NULL),
                     0);
    stasis_bus_write(&machine.pio, 0x3fb, 1, 0x1b);
    stasis_bus_write(&machine.pio, 0x64, 1, 0x60);
    stasis_bus_write(&machine.mmio, 0xd0000004, 4, 99);
    stasis_bus_write(&machine.pio, 0x602, 2, 0x100);
    stasis_bus_write(&machine.pio, 0x505, 1, 2);
    for (uint32_t i = 0; i < machine.devices.count; i++) {
        const struct stasis_device *device = &machine.devices.list[i];
        const struct stasis_schema *schema = device->type->schema;
        _Alignas(8) uint8_t before[4096], fresh[4096], after[4096];

        assert_true(schema->size <= sizeof(before));
        stasis_state_init(schema, before);
        stasis_state_init(schema, after);
        stasis_state_init(schema, fresh);
        if (schema == &stasis_vmgenid_schema) /* which has no register */
            assert_int_equal(device->type->restore(device->instance, &id, NULL), 0);
        device->type->save(device->instance, before);
        assert_memory_not_equal(before, fresh, schema->size);
        memset(device->instance, 0, device->type->size);
        device->type->init(device->instance, device);
        assert_int_equal(device->type->restore(device->instance, before, NULL), 0);
        device->type->save(device->instance, after);
        if (schema == &stasis_acpi_timer_schema) /* which goes on */
            assert_in_range(counted(after), counted(before) + 1, counted(before) + HOUR_NS);
        else
            assert_memory_equal(before, after, schema->size);
    }
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(types_by_row),
        CASE(board_becomes_devices),
        CASE(other_buses_and_addresses),
        CASE(overlapping_devices_are_refused),
        CASE(serial_from_outside),
        cmocka_unit_test(the_only_one_is_found),
        CASE(alarm_from_outside),
        CASE(reset_is_asked_for),
        CASE(power_off_is_asked_for),
        CASE(invalid_accesses_are_counted_and_told),
        CASE(valid_accesses_are_not_told),
        CASE(bytes_of_the_serial_port_are_counted),
        CASE(the_timer_counts_and_cannot_be_written),
        CASE(states_survive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
