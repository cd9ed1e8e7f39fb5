/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Building a machine, its interrupt lines, and how a guest ends.
 */
#include "vmm/kvm_guest.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stasis/kvm_irq.h"
#include "vmm/arch/x86/x86.h"

static struct kvm_guest guest;

static unsigned mappings(void)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned count = 0;

    assert_non_null(maps);
    for (int c; (c = fgetc(maps)) != EOF;)
        count += c == '\n';
    fclose(maps);
    return count;
}

/* kvm_case_run() counts the descriptors. */
static void built_and_taken_down(void)
{
    unsigned before = 0;

    for (unsigned i = 0; i < 20; i++) {
        kvm_guest_init(&guest, NULL);
        assert_int_equal(guest.machine.vcpu_count, 1);
        assert_int_equal(guest.machine.devices.count, guest.machine.board.devices_count);
        assert_int_equal(stasis_memory_size(&guest.machine.memory), KVM_RAM);
        kvm_guest_fini(&guest);
        if (i == 10)
            before = mappings();
    }
    /* A leak adds at least one in each of the nine rounds since; an allocator may add a few. */
    assert_in_range(mappings(), 0, before + 8);
}

static void memory_above_4_gib(void)
{
    struct stasis_board_state board;

    kvm_board(&board, STASIS_MMIO_GAP_START + (UINT64_C(16) << 20));
    kvm_guest_init(&guest, &board);
    assert_int_equal(guest.machine.memory.region_count, 2);
    *(uint8_t *)kvm_guest_ram(&guest, STASIS_MMIO_GAP_END, 1) = 1;
    kvm_guest_fini(&guest);
}

enum flaw { OVERLAP, DEVICE, RAM_ALIGNMENT, TSS, FLAW_COUNT };

static void a_board_that_cannot_be_built_leaves_nothing(void)
{
    static const char *const word[FLAW_COUNT] = {"overlap", "the program that wrote it",
                                                 "not whole pages", "KVM_SET_TSS_ADDR"};

    for (enum flaw flaw = 0; flaw < FLAW_COUNT; flaw++) {
        struct stasis_board_state board;
        struct stasis_error err;

        kvm_board(&board, KVM_RAM);
        if (flaw == OVERLAP)
            board.devices[1].base = board.devices[0].base;
        if (flaw == DEVICE)
            board.devices[2].version = 9;
        if (flaw == RAM_ALIGNMENT)
            board.ram[0].size -= 512;
        if (flaw == TSS)
            board.tss_addr = UINT64_MAX;
        kvm_guest_host(&guest);
        assert_true(stasis_machine_build(&guest.machine, &board, &guest.host, &err) < 0);
        assert_non_null(strstr(err.msg, word[flaw]));
    }
}

/* ---- lines ---- */

static const struct stasis_arch_vm_record *row_of(const char *instance)
{
    const struct stasis_arch_vm_record *row = stasis_arch_vm_records;

    while (strcmp(row->instance, instance) != 0)
        row++;
    return row;
}

static struct stasis_x86_pic_state pic(const char *instance)
{
    struct stasis_x86_pic_state state;
    const struct stasis_arch_vm_record *part = row_of(instance);

    assert_ptr_equal(part->schema, &stasis_x86_pic_schema);
    stasis_state_init(part->schema, &state);
    assert_int_equal(part->get(&guest.machine.vm, part->chip, &state, NULL), 0);
    return state;
}

static struct stasis_x86_ioapic_state ioapic(void)
{
    struct stasis_x86_ioapic_state state;
    const struct stasis_arch_vm_record *part = row_of("ioapic");

    assert_ptr_equal(part->schema, &stasis_x86_ioapic_schema);
    stasis_state_init(part->schema, &state);
    assert_int_equal(part->get(&guest.machine.vm, part->chip, &state, NULL), 0);
    return state;
}

/* Each line of the board, the first PIC's, the second's and the I/O APIC's. */
static void lines_reach_all_controllers(void)
{
    static const uint32_t lines[] = {1, 4, 8, 15};

    kvm_guest_init(&guest, NULL);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const char *row = lines[i] < 8 ? "master" : "slave";
        uint8_t bit = (uint8_t)(1u << lines[i] % 8);

        stasis_vm_set_irq(&guest.machine.vm, lines[i], true);
        assert_true(pic(row).irr & bit);
        assert_true(pic(row).last_irr & bit);
        assert_true(ioapic().irr & 1u << lines[i]);
        stasis_vm_set_irq(&guest.machine.vm, lines[i], false);
        assert_false(pic(row).last_irr & bit);
        assert_false(ioapic().irr & 1u << lines[i]);
    }
    stasis_vm_set_irq(&guest.machine.vm, UINT32_MAX, true); /* a device without a line */
    assert_int_equal(ioapic().irr, 0);
    kvm_guest_fini(&guest);
}

static void set_part(const char *instance, const void *state)
{
    const struct stasis_arch_vm_record *part = row_of(instance);
    struct stasis_error err;

    kvm_ok(part->set(&guest.machine.vm, part->chip, state, &err), &err);
}

/* Controllers that were read while the PIT held its line up, for a fraction of a microsecond: its
 * next edges are seen, and the one that is pending is not lost. */
static void the_timers_line_is_down_after_a_restore(void)
{
    struct stasis_x86_pic_state master;
    struct stasis_x86_ioapic_state pins;
    struct stasis_x86_pit_state timer;

    kvm_guest_init(&guest, NULL);
    master = pic("master");
    master.irr = master.last_irr = 0x11;
    pins = ioapic();
    pins.irr = 0x11;
    stasis_state_init(&stasis_x86_pit_schema, &timer);
    assert_int_equal(row_of("pit")->get(&guest.machine.vm, 0, &timer, NULL), 0);
    set_part("master", &master);
    set_part("ioapic", &pins);
    set_part("pit", &timer);
    assert_int_equal(pic("master").irr, 0x11);
    assert_int_equal(pic("master").last_irr, 0x10);
    assert_int_equal(ioapic().irr, 0x10);
    kvm_guest_fini(&guest);
}

/* From the serial port's INTR to the vector in the local APIC. */
static void serial_line_through_the_ioapic(void)
{
    struct stasis_x86_ioapic_state chip;
    struct stasis_x86_lapic_state lapic;
    struct stasis_vcpu *vcpu;
    struct stasis_error err;

    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, "\xf4", 1);
    vcpu = &guest.machine.vcpus[0];
    stasis_state_init(&stasis_x86_lapic_schema, &lapic);
    kvm_ok(stasis_x86_lapic_part.get(vcpu, &lapic, &err), &err);
    lapic.svr = 0x1ff; /* on */
    kvm_ok(stasis_x86_lapic_part.set(vcpu, &lapic, &err), &err);
    chip = ioapic();
    chip.redirtbl[4] = 0x34; /* fixed, edge, APIC 0 */
    kvm_ok(row_of("ioapic")->set(&guest.machine.vm, row_of("ioapic")->chip, &chip, &err), &err);
    stasis_bus_write(&guest.machine.pio, 0x3f9, 1, 1);
    stasis_device_serial_input(
        stasis_device_find(&guest.machine.devices, &stasis_serial_schema, "com1"),
        (const uint8_t *)"x", 1);
    kvm_ok(stasis_x86_lapic_part.get(vcpu, &lapic, &err), &err);
    assert_int_equal(lapic.irr1, 1u << (0x34 - 32));
    kvm_guest_fini(&guest);
}

/* ---- ends ---- */

static void run_to_the_end(enum stasis_exit_reason end)
{
    struct pollfd poll_fd = {.fd = guest.machine.end_fd, .events = POLLIN};

    assert_int_equal(poll(&poll_fd, 1, 0), 0);
    kvm_guest_start(&guest);
    assert_int_equal(poll(&poll_fd, 1, -1), 1); /* the case has an alarm */
    assert_int_equal(atomic_load(&guest.machine.end), end);
}

static void reset_ends_with_success(void)
{
    /* mov al, 0xfe; out 0x64, al; hlt */
    static const uint8_t payload[] = {0xb0, 0xfe, 0xe6, 0x64, 0xf4};

    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, payload, sizeof(payload));
    run_to_the_end(STASIS_EXIT_RESET);
    kvm_guest_fini(&guest);
}

static void power_off_ends_before_the_next_instruction(void)
{
    /* mov dx, 0x604; mov ax, 0x3400; out dx, ax; then a reset, which comes too late */
    static const uint8_t payload[] = {0xba, 0x04, 0x06, 0xb8, 0x00, 0x34,
                                      0xef, 0xb0, 0xfe, 0xe6, 0x64, 0xf4};

    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, payload, sizeof(payload));
    run_to_the_end(STASIS_EXIT_POWER_OFF);
    stasis_machine_pause(&guest.machine);
    assert_int_equal(guest.machine.end_error.code, 0);
    assert_int_equal(guest.machine.guest_errors[STASIS_GUEST_ERROR_BAD_COMMAND], 0);
    kvm_guest_fini(&guest);
}

static void triple_fault_is_a_crash(void)
{
    /* In 64-bit mode without an IDT: ud2 */
    static const uint8_t payload[] = {0x0f, 0x0b};

    kvm_guest_init(&guest, NULL);
    kvm_guest_long(&guest, payload, sizeof(payload));
    run_to_the_end(STASIS_EXIT_CRASHED);
    assert_int_equal(guest.machine.end_error.code, STASIS_ERR_GUEST);
    assert_non_null(strstr(guest.machine.end_error.msg, "triple fault"));
    /* Where it died, unless KVM has reset the vCPU before it said so. */
    assert_null(strstr(guest.machine.end_error.msg, "RIP 0xfff0"));
    assert_non_null(strstr(guest.machine.end_error.msg, "vCPU 0"));
    assert_int_equal(stasis_err_exit_status(guest.machine.end_error.code), 6);
    kvm_guest_fini(&guest);
}

static void running_off_into_devices_is_a_crash(void)
{
    /* mov eax, 0xe0000000; jmp rax: no KVM fetches instructions from there */
    static const uint8_t payload[] = {0xb8, 0x00, 0x00, 0x00, 0xe0, 0xff, 0xe0};

    kvm_guest_init(&guest, NULL);
    kvm_guest_long(&guest, payload, sizeof(payload));
    run_to_the_end(STASIS_EXIT_CRASHED);
    assert_int_equal(guest.machine.end_error.code, STASIS_ERR_GUEST);
    assert_non_null(strstr(guest.machine.end_error.msg, "the guest died: "));
    kvm_guest_fini(&guest);
}

static void the_first_end_counts(void)
{
    struct stasis_error error;
    uint64_t count;

    kvm_guest_init(&guest, NULL);
    (void)stasis_fail(&error, STASIS_ERR_GUEST, "first");
    stasis_machine_shutdown(&guest.machine, STASIS_EXIT_CRASHED, &error);
    stasis_machine_shutdown(&guest.machine, STASIS_EXIT_RESET, NULL);
    (void)stasis_fail(&error, STASIS_ERR_GUEST, "second");
    stasis_machine_shutdown(&guest.machine, STASIS_EXIT_CRASHED, &error);
    assert_int_equal(atomic_load(&guest.machine.end), STASIS_EXIT_CRASHED);
    assert_string_equal(guest.machine.end_error.msg, "first");
    assert_int_equal(read(guest.machine.end_fd, &count, sizeof(count)), sizeof(count));
    assert_int_equal(count, 1);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(built_and_taken_down),
        KVM_CASE(memory_above_4_gib),
        KVM_CASE(a_board_that_cannot_be_built_leaves_nothing),
        KVM_CASE(lines_reach_all_controllers),
        KVM_CASE(the_timers_line_is_down_after_a_restore),
        KVM_CASE(serial_line_through_the_ioapic),
        KVM_CASE(reset_ends_with_success),
        KVM_CASE(power_off_ends_before_the_next_instruction),
        KVM_CASE(triple_fault_is_a_crash),
        KVM_CASE(running_off_into_devices_is_a_crash),
        KVM_CASE(the_first_end_counts),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
