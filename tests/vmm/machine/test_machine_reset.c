/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A machine that is reset: what begins anew, and what stays.
 */
#include "vmm/kvm_guest.h"

#include <poll.h>
#include <string.h>

#include "vmm/arch/x86/x86.h"

static struct kvm_guest guest;
static struct stasis_error err;

static void run_to_a_reset(void)
{
    struct pollfd poll_fd = {.fd = guest.machine.end_fd, .events = POLLIN};

    kvm_guest_real(&guest, kvm_resetting, sizeof(kvm_resetting));
    kvm_guest_start(&guest);
    assert_int_equal(poll(&poll_fd, 1, -1), 1); /* the case has an alarm */
    assert_int_equal(atomic_load(&guest.machine.end), STASIS_EXIT_RESET);
}

static uint64_t port(uint64_t address)
{
    return stasis_bus_read(&guest.machine.pio, address, 1);
}

static void set_port(uint64_t address, uint64_t value)
{
    stasis_bus_write(&guest.machine.pio, address, 1, value);
}

static uint64_t cmos(uint8_t reg)
{
    set_port(0x70, reg);
    return port(0x71);
}

static void set_cmos(uint8_t reg, uint8_t value)
{
    set_port(0x70, reg);
    set_port(0x71, value);
}

static void all_but_the_clock_and_the_generation_begins_anew(void)
{
    const void *id;
    uint8_t before[16];

    kvm_guest_init(&guest, NULL);
    kvm_ok(stasis_devices_begin(&guest.machine.devices, STASIS_DEVICE_NEW, &err), &err);
    memcpy(before, kvm_guest_ram(&guest, STASIS_BOARD_VMGENID, 16), 16);
    *(uint8_t *)kvm_guest_ram(&guest, 0x100000, 1) = 1;
    set_port(0x3ff, 0x5a); /* the scratch register */
    set_cmos(0x50, 0x5a);
    set_cmos(0x0b, 0x42); /* 24 hours, periodic interrupt */
    run_to_a_reset();
    kvm_ok(stasis_machine_reset(&guest.machine, &err), &err);
    kvm_ok(stasis_devices_begin(&guest.machine.devices, STASIS_DEVICE_RESET, &err), &err);
    assert_int_equal(atomic_load(&guest.machine.end), STASIS_EXIT_NONE);
    assert_int_equal(*(uint8_t *)kvm_guest_ram(&guest, 0x100000, 1), 0);
    assert_int_equal(port(0x3ff), 0);
    assert_int_equal(cmos(0x50), 0x5a);
    assert_int_equal(cmos(0x0b), 0x02);
    id = kvm_guest_ram(&guest, STASIS_BOARD_VMGENID, 16);
    assert_memory_equal(id, before, 16);
    run_to_a_reset();
    kvm_guest_fini(&guest);
}

/* The clock of boards of 0.1.0 goes on, without its alarm. */
static void pl031_keeps_its_counter(void)
{
    const struct stasis_board_options options = {
        .memory_bytes = KVM_RAM, .vcpus = 1, .cpu_model = "baseline", .release = "0.1.0"};
    const uint64_t rtc = STASIS_MMIO_GAP_START;
    struct stasis_board_state board;

    kvm_ok(stasis_board_default(&options, &board, &err), &err);
    kvm_guest_init(&guest, &board);
    stasis_bus_write(&guest.machine.mmio, rtc + 0x08, 4, 1000); /* load */
    stasis_bus_write(&guest.machine.mmio, rtc + 0x10, 4, 1);    /* unmask */
    run_to_a_reset();
    kvm_ok(stasis_machine_reset(&guest.machine, &err), &err);
    assert_in_range(stasis_bus_read(&guest.machine.mmio, rtc, 4), 1000, 2000);
    assert_int_equal(stasis_bus_read(&guest.machine.mmio, rtc + 0x10, 4), 0);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(all_but_the_clock_and_the_generation_begins_anew),
        KVM_CASE(pl031_keeps_its_counter),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
