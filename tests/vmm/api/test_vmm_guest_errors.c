/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What is said of a guest's invalid accesses, and how often: a VM without KVM, whose accesses and
 * whose time are made up.
 */
#include "support/cmocka_all.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "vmm/api/vmm_internal.h"
#include "vmm/machine/board.h"
#include "vmm/machine/exits.h"
#include "vmm/machine/guest_access.h"

static struct stasis_vmm vmm;
static struct stasis_vmm_config config;
static uint64_t now_ns;

static struct {
    unsigned messages, events;
    char message[512];
    struct stasis_vmm_guest_error error;
    char device[32], kind[32];
} told;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    (void)clock;
    ret_time->tv_sec = (time_t)(now_ns / 1000000000);
    ret_time->tv_nsec = (long)(now_ns % 1000000000);
    return 0;
}

static void on_message(void *ctx, const char *line)
{
    (void)ctx;
    told.messages++;
    snprintf(told.message, sizeof(told.message), "%s", line);
}

static void on_event(void *ctx, const struct stasis_vmm_event *event)
{
    (void)ctx;
    assert_int_equal(event->kind, STASIS_VMM_EVENT_GUEST_ERROR);
    told.events++;
    told.error = *event->guest_error;
    snprintf(told.kind, sizeof(told.kind), "%s", told.error.kind);
    snprintf(told.device, sizeof(told.device), "%s",
             told.error.device ? told.error.device : "none");
}

static void start(enum stasis_vmm_on_guest_error action, enum stasis_vmm_guest_errors_of of)
{
    const struct stasis_board_options options = {
        .memory_bytes = 1 << 20, .vcpus = 1, .cpu_model = "host", .release = "0.1.0"};
    struct stasis_machine *machine = &vmm.machine;

    config.guest_errors = (struct stasis_vmm_guest_errors){action, of};
    stasis_vmm_guest_errors_init(&vmm);
    machine->device_env =
        (struct stasis_device_env){.vm = &machine->vm, .host = &vmm.host, .ctx = machine};
    stasis_bus_init(&machine->pio, "PIO", 0xffff);
    stasis_bus_init(&machine->mmio, "MMIO", UINT64_MAX);
    stasis_guest_access_connect(machine);
    assert_int_equal(stasis_board_default(&options, &machine->board, NULL), 0);
    assert_int_equal(stasis_devices_attach(&machine->devices, &machine->board, &machine->pio,
                                           &machine->mmio, &machine->device_env, NULL),
                     0);
}

static int set_up(void **state)
{
    (void)state;
    memset(&vmm, 0, sizeof(vmm));
    memset(&told, 0, sizeof(told));
    now_ns = UINT64_C(1000000000000);
    vmm.config = &config;
    vmm.ops.message = on_message;
    vmm.ops.event = on_event;
    vmm.host = stasis_vmm_device_host;
    vmm.host.ctx = &vmm;
    vmm.machine.vm.fd = -1;
    vmm.machine.end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vmm.wake_source.loop.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    vmm.rtc_source.loop.fd = -1;
    return pthread_mutex_init(&vmm.machine.lock, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    stasis_devices_detach(&vmm.machine.devices);
    pthread_mutex_destroy(&vmm.machine.lock);
    close(vmm.machine.end_fd);
    close(vmm.wake_source.loop.fd);
    return 0;
}

static void unhandled_port(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        stasis_bus_pio_write(&vmm.machine, 0x80, 1, 0x5a);
}

static bool is_readable(int fd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};

    return poll(&ready, 1, 0) == 1;
}

static void by_default_nobody_is_told(void **state)
{
    (void)state;
    start(STASIS_VMM_GUEST_ERROR_COUNT, STASIS_VMM_GUEST_ERRORS_OF_ALL);
    assert_null(vmm.host.guest_error);
    unhandled_port(1000);
    assert_false(is_readable(vmm.wake_source.loop.fd));
    stasis_vmm_guest_errors_tell(&vmm, true);
    assert_int_equal(told.messages + told.events, 0);
    assert_int_equal(vmm.machine.guest_errors[STASIS_GUEST_ERROR_UNHANDLED_PORT], 1000);
}

static void an_access_is_told_as_it_was(void **state)
{
    (void)state;
    start(STASIS_VMM_GUEST_ERROR_EVENT, STASIS_VMM_GUEST_ERRORS_OF_ALL);
    unhandled_port(1);
    assert_true(is_readable(vmm.wake_source.loop.fd));
    assert_int_equal(told.messages, 0); /* not on the vCPU's thread */
    stasis_vmm_guest_errors_tell(&vmm, false);
    assert_string_equal(told.message, "invalid access of the guest: write of 0x5a (1 byte) to port "
                                      "0x80: no device has this port");
    assert_string_equal(told.kind, "unhandled_port");
    assert_string_equal(told.device, "none");
    assert_true(told.error.is_write && !told.error.is_mmio);
    assert_int_equal(told.error.address, 0x80);
    assert_int_equal(told.error.value, 0x5a);
    assert_int_equal(told.error.len, 1);
    assert_int_equal(told.error.suppressed, 0);
    (void)stasis_bus_mmio_read(&vmm.machine, 0xd000001c, 4);
    stasis_vmm_guest_errors_tell(&vmm, false);
    assert_string_equal(told.kind, "write_only");
    assert_string_equal(told.device, "rtc");
    assert_true(!told.error.is_write && told.error.is_mmio);
    assert_int_equal(told.events, 2);
    stasis_vmm_guest_errors_tell(&vmm, true);
    assert_int_equal(told.messages, 2);
}

/* Whether the loop keeps up or not. */
static void a_flood_is_ten_a_second(void **state)
{
    (void)state;
    start(STASIS_VMM_GUEST_ERROR_EVENT, STASIS_VMM_GUEST_ERRORS_OF_ALL);
    unhandled_port(100000);
    stasis_vmm_guest_errors_tell(&vmm, false);
    assert_int_equal(told.events, 10);
    assert_int_equal(told.messages, 10);
    unhandled_port(100000);
    stasis_vmm_guest_errors_tell(&vmm, false);
    assert_int_equal(told.events, 10);
    now_ns += 100000000; /* a tenth of a second */
    unhandled_port(5);
    stasis_vmm_guest_errors_tell(&vmm, false);
    assert_int_equal(told.events, 11);
    assert_int_equal(told.error.suppressed, 199990);
    assert_non_null(strstr(told.message, " (and 199990 before it that are not shown)"));
    now_ns += UINT64_C(3600000000000);
    unhandled_port(30);
    stasis_vmm_guest_errors_tell(&vmm, false);
    assert_int_equal(told.events, 21);
    for (int i = 0; i < 5; i++) { /* what waits to be told is bounded, too */
        now_ns += UINT64_C(1000000000);
        unhandled_port(8);
    }
    stasis_vmm_guest_errors_tell(&vmm, false);
    assert_int_equal(told.events, 31);
    assert_int_equal(vmm.metrics.guest_errors_told, 31);
    assert_int_equal(vmm.metrics.guest_errors_suppressed, 199990 + 4 + 20 + 30);
}

static void the_end_tells_what_was_suppressed(void **state)
{
    (void)state;
    start(STASIS_VMM_GUEST_ERROR_EVENT, STASIS_VMM_GUEST_ERRORS_OF_ALL);
    unhandled_port(17);
    stasis_vmm_guest_errors_tell(&vmm, true);
    assert_int_equal(told.events, 10);
    assert_int_equal(told.messages, 11);
    assert_string_equal(told.message, "invalid accesses of the guest: 7 more that are not shown");
    stasis_vmm_guest_errors_tell(&vmm, true);
    assert_int_equal(told.messages, 11);
}

static void addresses_without_a_device_can_be_left_out(void **state)
{
    (void)state;
    start(STASIS_VMM_GUEST_ERROR_EVENT, STASIS_VMM_GUEST_ERRORS_OF_DEVICES);
    unhandled_port(1000);
    (void)stasis_bus_mmio_read(&vmm.machine, 0xe0000000, 4);
    stasis_bus_pio_write(&vmm.machine, 0x3fd, 1, 0);
    stasis_vmm_guest_errors_tell(&vmm, true);
    assert_int_equal(told.messages, 1);
    assert_string_equal(told.device, "com1");
    assert_int_equal(vmm.machine.guest_errors[STASIS_GUEST_ERROR_UNHANDLED_PORT], 1000);
}

static void stop_ends_the_guest(void **state)
{
    (void)state;
    start(STASIS_VMM_GUEST_ERROR_STOP, STASIS_VMM_GUEST_ERRORS_OF_ALL);
    stasis_bus_pio_write(&vmm.machine, 0x3ff, 1, 0); /* the scratch register */
    assert_true(stasis_machine_exit_ops.may_run(&vmm.machine));
    unhandled_port(2);
    assert_false(stasis_machine_exit_ops.may_run(&vmm.machine));
    assert_true(is_readable(vmm.machine.end_fd));
    assert_int_equal(atomic_load(&vmm.machine.end), STASIS_EXIT_INVALID_ACCESS);
    assert_int_equal(vmm.machine.end_error.code, STASIS_ERR_GUEST_ACCESS);
    assert_int_equal(stasis_err_exit_status(vmm.machine.end_error.code), 10);
    assert_string_equal(vmm.machine.end_error.msg,
                        "the guest was stopped for an invalid access: write of 0x5a (1 byte) to "
                        "port 0x80: no device has this port");
    stasis_vmm_guest_errors_tell(&vmm, true);
    assert_int_equal(told.messages, 0);
}

static void stop_can_be_for_devices_alone(void **state)
{
    (void)state;
    start(STASIS_VMM_GUEST_ERROR_STOP, STASIS_VMM_GUEST_ERRORS_OF_DEVICES);
    unhandled_port(2);
    assert_int_equal(atomic_load(&vmm.machine.end), STASIS_EXIT_NONE);
    stasis_bus_mmio_write(&vmm.machine, 0xd0000000, 4, 7);
    assert_int_equal(atomic_load(&vmm.machine.end), STASIS_EXIT_INVALID_ACCESS);
    assert_non_null(strstr(vmm.machine.end_error.msg, "0xd0000000 of rtc: the register is"));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(by_default_nobody_is_told),
        CASE(an_access_is_told_as_it_was),
        CASE(a_flood_is_ten_a_second),
        CASE(the_end_tells_what_was_suppressed),
        CASE(addresses_without_a_device_can_be_left_out),
        CASE(stop_ends_the_guest),
        CASE(stop_can_be_for_devices_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
