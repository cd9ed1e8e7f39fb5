/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * I/O whose exit has been handled but that the guest has not got yet, at the moment of the freeze
 * (KVM api.rst, 5, KVM_EXIT_IO): the device must have been asked exactly once, and the thawed guest
 * must have the answer. And the inverse: what happens to a VMM that forgets to complete it.
 */
#include "vmm/kvm_guest.h"

#include <string.h>

#define MMIO_BASE UINT64_C(0xd0010000)

static struct kvm_guest guest;
static struct kvm_probe before, after;

static void attach(struct kvm_probe *probe)
{
    kvm_probe_attach(probe, &guest.machine.pio, KVM_PORT, 2);
    kvm_probe_attach(probe, &guest.machine.mmio, MMIO_BASE, 0x2000);
}

/* The exits up to and with access number `count` are handled; none is completed. */
static void run_to(unsigned count)
{
    attach(&before);
    kvm_guest_step(&guest, &before, count);
}

static void move(bool complete)
{
    struct stasis_error err;

    if (complete)
        kvm_ok(stasis_vcpu_complete_io(&guest.machine.vcpus[0], &err), &err);
    kvm_refreeze(&guest);
    after.answer = before.answer;
    attach(&after);
}

/* 1: in al, 0x80; out 0x81, al; jmp 1b */
static const uint8_t pio_in[] = {0xe4, 0x80, 0xe6, 0x81, 0xeb, 0xfa};

static void port_read(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, pio_in, sizeof(pio_in));
    before.answer = 0x5a;
    run_to(1);
    move(true);
    kvm_guest_step(&guest, &after, 2);
    assert_int_equal(before.count, 1);
    kvm_assert_access(&after, 0, true, 1, 1, 0x5a);
    kvm_assert_access(&after, 1, false, 0, 1, 0x5b);
    kvm_guest_fini(&guest);
}

static void port_read_not_completed_is_replayed(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, pio_in, sizeof(pio_in));
    before.answer = 0x5a;
    run_to(1);
    move(false);
    kvm_guest_step(&guest, &after, 1);
    /* The device is asked again: 0x5a is lost. */
    kvm_assert_access(&after, 0, false, 0, 1, 0x5b);
    kvm_guest_fini(&guest);
}

static void port_write(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, pio_in, sizeof(pio_in));
    before.answer = 0x5a;
    run_to(2);
    move(true);
    kvm_guest_step(&guest, &after, 2);
    kvm_assert_access(&before, 1, true, 1, 1, 0x5a);
    kvm_assert_access(&after, 0, false, 0, 1, 0x5b);
    kvm_assert_access(&after, 1, true, 1, 1, 0x5b);
    kvm_guest_fini(&guest);
}

/* cld; mov di, 0x3000; mov dx, 0x80; mov cx, 2000; rep insb; mov al, cl; out 0x81, al; hlt */
static const uint8_t rep_in[] = {0xfc, 0xbf, 0x00, 0x30, 0xba, 0x80, 0x00, 0xb9, 0xd0,
                                 0x07, 0xf3, 0x6c, 0x88, 0xc8, 0xe6, 0x81, 0xf4};

/* Frozen after the first exit, which carries as many elements as KVM likes. */
static void repeated_port_read(void)
{
    const uint8_t *bytes;
    unsigned reads;

    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, rep_in, sizeof(rep_in));
    run_to(1);
    reads = before.count;
    assert_in_range(reads, 1, 2000);
    move(true);
    assert_int_equal(before.count, reads);
    kvm_guest_step(&guest, &after, 2000 - reads + 1);
    assert_int_equal(after.count, 2000 - reads + 1);
    kvm_assert_access(&after, 2000 - reads, true, 1, 1, 0);
    bytes = kvm_guest_ram(&guest, 0x3000, 2000);
    for (unsigned i = 0; i < 2000; i++)
        assert_int_equal(bytes[i], i & 0xff);
    kvm_guest_fini(&guest);
}

static void repeated_port_read_not_completed_is_replayed(void)
{
    unsigned reads;

    kvm_guest_init(&guest, NULL);
    kvm_guest_real(&guest, rep_in, sizeof(rep_in));
    run_to(1);
    reads = before.count;
    move(false);
    kvm_guest_step(&guest, &after, 2001);
    /* 2000 bytes were wanted, more were taken from the device. */
    assert_true(reads + after.count > 2001);
    kvm_guest_fini(&guest);
}

/* mov ebx, MMIO_BASE + 0xff0; mov rax, [rbx]; mov [rbx-0x70], rax; hlt */
static const uint8_t mmio_read[] = {0xbb, 0xf0, 0x0f, 0x01, 0xd0, 0x48, 0x8b,
                                    0x03, 0x48, 0x89, 0x43, 0x90, 0xf4};

static void memory_read(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_long(&guest, mmio_read, sizeof(mmio_read));
    before.answer = UINT64_C(0x1122334455667788);
    run_to(1);
    move(true);
    kvm_guest_step(&guest, &after, 1);
    assert_int_equal(before.count, 1);
    kvm_assert_access(&after, 0, true, 0xf80, 8, UINT64_C(0x1122334455667788));
    kvm_guest_fini(&guest);
}

static void memory_read_not_completed_is_replayed(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_long(&guest, mmio_read, sizeof(mmio_read));
    before.answer = 7;
    run_to(1);
    move(false);
    kvm_guest_step(&guest, &after, 1);
    kvm_assert_access(&after, 0, false, 0xff0, 8, 8);
    kvm_guest_fini(&guest);
}

/* Two exits: the second comes only while the I/O is being completed. */
static void memory_read_across_pages(void)
{
    /* mov ebx, MMIO_BASE + 0xffc; mov rax, [rbx]; mov [rbx-0x7c], rax; hlt */
    static const uint8_t payload[] = {0xbb, 0xfc, 0x0f, 0x01, 0xd0, 0x48, 0x8b,
                                      0x03, 0x48, 0x89, 0x43, 0x84, 0xf4};

    kvm_guest_init(&guest, NULL);
    kvm_guest_long(&guest, payload, sizeof(payload));
    before.answer = 0x11223344;
    run_to(1);
    move(true);
    assert_int_equal(before.count, 2);
    kvm_assert_access(&before, 1, false, 0x1000, 4, 0x11223345);
    kvm_guest_step(&guest, &after, 1);
    kvm_assert_access(&after, 0, true, 0xf80, 8, UINT64_C(0x1122334511223344));
    kvm_guest_fini(&guest);
}

static void memory_write(void)
{
    kvm_guest_init(&guest, NULL);
    kvm_guest_long(&guest, mmio_read, sizeof(mmio_read));
    run_to(2);
    move(true);
    /* The write is done with; HLT comes next, with no further access. */
    assert_int_equal(kvm_guest_regs(&guest).rip, KVM_ENTRY + sizeof(mmio_read) - 1);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(port_read),
        KVM_CASE(port_read_not_completed_is_replayed),
        KVM_CASE(port_write),
        KVM_CASE(repeated_port_read),
        KVM_CASE(repeated_port_read_not_completed_is_replayed),
        KVM_CASE(memory_read),
        KVM_CASE(memory_read_not_completed_is_replayed),
        KVM_CASE(memory_read_across_pages),
        KVM_CASE(memory_write),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
