/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Port and memory-mapped I/O from the guest's instruction to the device and back.
 */
#include "vmm/kvm_guest.h"

#include <string.h>

#define MMIO_BASE UINT64_C(0xd0010000)

static struct kvm_guest guest;
static struct kvm_probe probe, other;

static void pio_guest(const void *payload, size_t len)
{
    kvm_guest_init(&guest, NULL);
    kvm_probe_attach(&probe, &guest.machine.pio, KVM_PORT, 0x10);
    kvm_guest_real(&guest, payload, len);
}

static void mmio_guest(const void *payload, size_t len)
{
    kvm_guest_init(&guest, NULL);
    kvm_probe_attach(&probe, &guest.machine.mmio, MMIO_BASE, 0x1000);
    kvm_probe_attach(&other, &guest.machine.mmio, MMIO_BASE + 0x1000, 0x1000);
    kvm_guest_long(&guest, payload, len);
}

/* Steps until the last access of the payload, which is a write, and completes it. */
static void run(unsigned accesses)
{
    struct stasis_error err;

    kvm_guest_step(&guest, &probe, accesses);
    kvm_ok(stasis_vcpu_complete_io(&guest.machine.vcpus[0], &err), &err);
    assert_int_equal(probe.count, accesses);
}

static void out_of_every_width(void)
{
    static const uint8_t payload[] = {
        0x66, 0xb8, 0x44, 0x33, 0x22, 0x11, /* mov eax, 0x11223344 */
        0xe6, 0x80,                         /* out 0x80, al */
        0xe7, 0x82,                         /* out 0x82, ax */
        0x66, 0xe7, 0x84,                   /* out 0x84, eax */
        0xba, 0x88, 0x00,                   /* mov dx, 0x88 */
        0xee, 0xef, 0x66, 0xef,             /* out dx, al; out dx, ax; out dx, eax */
    };

    pio_guest(payload, sizeof(payload));
    run(6);
    kvm_assert_access(&probe, 0, true, 0, 1, 0x44);
    kvm_assert_access(&probe, 1, true, 2, 2, 0x3344);
    kvm_assert_access(&probe, 2, true, 4, 4, 0x11223344);
    kvm_assert_access(&probe, 3, true, 8, 1, 0x44);
    kvm_assert_access(&probe, 4, true, 8, 2, 0x3344);
    kvm_assert_access(&probe, 5, true, 8, 4, 0x11223344);
    kvm_guest_fini(&guest);
}

static void in_of_every_width(void)
{
    static const uint8_t payload[] = {
        0x66, 0x31, 0xc0,       /* xor eax, eax */
        0xe4, 0x80,             /* in al, 0x80 */
        0x66, 0xa3, 0x00, 0x20, /* mov [0x2000], eax */
        0xe5, 0x82,             /* in ax, 0x82 */
        0x66, 0xa3, 0x04, 0x20, /* mov [0x2004], eax */
        0x66, 0xe5, 0x84,       /* in eax, 0x84 */
        0x66, 0xa3, 0x08, 0x20, /* mov [0x2008], eax */
        0xe6, 0x80,             /* out 0x80, al */
    };
    static const uint32_t expected[3] = {0xdd, 0xccde, 0xaabbccdf};

    pio_guest(payload, sizeof(payload));
    probe.answer = 0xaabbccdd;
    run(4);
    assert_memory_equal(kvm_guest_ram(&guest, 0x2000, 12), expected, 12);
    kvm_assert_access(&probe, 1, false, 2, 2, 0xaabbccde);
    kvm_guest_fini(&guest);
}

/* rep outsb, outsw, outsd, five elements each. */
static void rep_outs(void)
{
    static const uint8_t payload[] = {
        0xfc,                               /* cld */
        0xbe, 0x00, 0x30,                   /* mov si, 0x3000 */
        0xba, 0x80, 0x00,                   /* mov dx, 0x80 */
        0xb9, 0x05, 0x00, 0xf3, 0x6e,       /* mov cx, 5; rep outsb */
        0xb9, 0x05, 0x00, 0xf3, 0x6f,       /* rep outsw */
        0xb9, 0x05, 0x00, 0x66, 0xf3, 0x6f, /* rep outsd */
    };
    const uint8_t *from;
    unsigned index = 0;

    pio_guest(payload, sizeof(payload));
    from = kvm_guest_ram(&guest, 0x3000, 64);
    for (unsigned i = 0; i < 64; i++)
        ((uint8_t *)kvm_guest_ram(&guest, 0x3000, 64))[i] = (uint8_t)(i * 7 + 1);
    run(15);
    for (unsigned width = 1; width <= 4; width *= 2) {
        for (unsigned i = 0; i < 5; i++, from += width) {
            uint64_t value = 0;

            memcpy(&value, from, width);
            kvm_assert_access(&probe, index++, true, 0, width, value);
        }
    }
    kvm_guest_fini(&guest);
}

/* More elements than one exit carries. */
static void rep_ins(void)
{
    static const uint8_t payload[] = {
        0xfc,                               /* cld */
        0xbf, 0x00, 0x30,                   /* mov di, 0x3000 */
        0xba, 0x80, 0x00,                   /* mov dx, 0x80 */
        0xb9, 0xd0, 0x07, 0xf3, 0x6c,       /* mov cx, 2000; rep insb */
        0xb9, 0x05, 0x00, 0xf3, 0x6d,       /* mov cx, 5; rep insw */
        0xb9, 0x05, 0x00, 0x66, 0xf3, 0x6d, /* rep insd */
        0xee,                               /* out dx, al */
    };
    const uint8_t *to;
    uint64_t answer = 0x01020300;

    pio_guest(payload, sizeof(payload));
    probe.answer = answer;
    run(2011);
    to = kvm_guest_ram(&guest, 0x3000, 2030);
    for (unsigned i = 0; i < 2010; i++, answer++) {
        unsigned width = i < 2000 ? 1 : i < 2005 ? 2 : 4;

        assert_memory_equal(to, &answer, width);
        kvm_assert_access(&probe, i, false, 0, width, answer);
        to += width;
    }
    kvm_guest_fini(&guest);
}

static void unmapped_ports_read_all_ones(void)
{
    static const uint8_t payload[] = {
        0x66, 0x31, 0xc0,       /* xor eax, eax */
        0xe6, 0xb0,             /* out 0xb0, al: ignored */
        0xe4, 0xb1,             /* in al, 0xb1 */
        0x66, 0xa3, 0x00, 0x20, /* mov [0x2000], eax */
        0xe5, 0xb2,             /* in ax, 0xb2 */
        0x66, 0xa3, 0x04, 0x20, /* mov [0x2004], eax */
        0x66, 0xe5, 0xb4,       /* in eax, 0xb4 */
        0x66, 0xa3, 0x08, 0x20, /* mov [0x2008], eax */
        0xba, 0xfe, 0xff,       /* mov dx, 0xfffe */
        0x66, 0xed,             /* in eax, dx: reaches beyond the last port */
        0x66, 0xa3, 0x0c, 0x20, /* mov [0x200c], eax */
        0xe6, 0x80,             /* out 0x80, al */
    };
    static const uint32_t expected[4] = {0xff, 0xffff, 0xffffffff, 0xffffffff};

    pio_guest(payload, sizeof(payload));
    run(1);
    assert_memory_equal(kvm_guest_ram(&guest, 0x2000, 16), expected, 16);
    kvm_guest_fini(&guest);
}

static void mmio_of_every_width(void)
{
    static const uint8_t payload[] = {
        0xbb, 0x00, 0x00, 0x01, 0xd0,                   /* mov ebx, MMIO_BASE */
        0xbf, 0x00, 0x20, 0x00, 0x00,                   /* mov edi, 0x2000 */
        0x8a, 0x03, 0x88, 0x07,                         /* mov al, [rbx]; mov [rdi], al */
        0x66, 0x8b, 0x43, 0x08, 0x66, 0x89, 0x47, 0x08, /* ax, [rbx+0x8] */
        0x8b, 0x43, 0x10, 0x89, 0x47, 0x10,             /* eax, [rbx+0x10] */
        0x48, 0x8b, 0x43, 0x18, 0x48, 0x89, 0x47, 0x18, /* rax, [rbx+0x18] */
        0x88, 0x43, 0x20, 0x66, 0x89, 0x43, 0x28,       /* [rbx+0x20], al; [rbx+0x28], ax */
        0x89, 0x43, 0x30, 0x48, 0x89, 0x43, 0x38,       /* [rbx+0x30], eax; [rbx+0x38], rax */
    };
    static const uint64_t answer = UINT64_C(0x1122334455667700);
    static const uint64_t expected[4] = {0, 0x7701, 0x55667702, UINT64_C(0x1122334455667703)};

    mmio_guest(payload, sizeof(payload));
    probe.answer = answer;
    run(8);
    assert_memory_equal(kvm_guest_ram(&guest, 0x2000, 32), expected, 32);
    for (unsigned i = 0; i < 8; i++) {
        unsigned len = 1u << i % 4;
        uint64_t mask = UINT64_MAX >> (64 - 8 * len);

        kvm_assert_access(&probe, i, i >= 4, UINT64_C(8) * i, len,
                          i < 4 ? answer + i : (answer + 3) & mask);
    }
    kvm_guest_fini(&guest);
}

/* KVM hands such an access over in two exits. */
static void mmio_across_pages(void)
{
    static const uint8_t payload[] = {
        0xbb, 0xfc, 0x0f, 0x01, 0xd0,                   /* mov ebx, MMIO_BASE + 0xffc */
        0x48, 0x8b, 0x03,                               /* mov rax, [rbx] */
        0x48, 0x89, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00, /* mov [0x2000], rax */
        0x48, 0x89, 0x03,                               /* mov [rbx], rax */
    };
    uint64_t value;

    mmio_guest(payload, sizeof(payload));
    probe.answer = 0x11111111;
    other.answer = 0x22222222;
    run(2);
    memcpy(&value, kvm_guest_ram(&guest, 0x2000, 8), 8);
    assert_int_equal(value, UINT64_C(0x2222222211111111));
    kvm_assert_access(&probe, 0, false, 0xffc, 4, 0x11111111);
    kvm_assert_access(&probe, 1, true, 0xffc, 4, 0x11111111);
    kvm_assert_access(&other, 0, false, 0, 4, 0x22222222);
    kvm_assert_access(&other, 1, true, 0, 4, 0x22222222);
    kvm_guest_fini(&guest);
}

static void unmapped_memory_reads_all_ones(void)
{
    static const uint8_t payload[] = {
        0xbb, 0x00, 0x00, 0x00, 0xe0,                      /* mov ebx, 0xe0000000 */
        0x48, 0x89, 0x1b,                                  /* mov [rbx], rbx: ignored */
        0x48, 0x8b, 0x03,                                  /* mov rax, [rbx] */
        0x48, 0x89, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00,    /* mov [0x2000], rax */
        0x31, 0xc0, 0x8a, 0x03,                            /* xor eax, eax; mov al, [rbx] */
        0x48, 0x89, 0x04, 0x25, 0x08, 0x20, 0x00, 0x00,    /* mov [0x2008], rax */
        0xa2, 0x00, 0x00, 0x01, 0xd0, 0,    0,    0,    0, /* mov [MMIO_BASE], al */
    };
    static const uint64_t expected[2] = {UINT64_MAX, 0xff};

    mmio_guest(payload, sizeof(payload));
    run(1);
    assert_memory_equal(kvm_guest_ram(&guest, 0x2000, 16), expected, 16);
    kvm_guest_fini(&guest);
}

/* The devices of the default board, each on its own bus. */
static void board_devices_answer(void)
{
    static const uint8_t payload[] = {
        0xba, 0xf8, 0x03, 0x00, 0x00,                   /* mov edx, 0x3f8 */
        0xb0, 'S',  0xee,                               /* mov al, 'S'; out dx, al */
        0xbb, 0x00, 0x00, 0x00, 0xd0,                   /* mov ebx, 0xd0000000: RTCDR */
        0x8b, 0x03,                                     /* mov eax, [rbx] */
        0x89, 0x04, 0x25, 0x00, 0x20, 0x00, 0x00,       /* mov [0x2000], eax */
        0xa2, 0x00, 0x00, 0x01, 0xd0, 0,    0,    0, 0, /* mov [MMIO_BASE], al */
    };
    uint32_t seconds;

    mmio_guest(payload, sizeof(payload));
    run(1);
    memcpy(&seconds, kvm_guest_ram(&guest, 0x2000, 4), 4);
    assert_int_equal(seconds, 1700000000);
    assert_int_equal(guest.out_len, 1);
    assert_int_equal(guest.out[0], 'S');
    kvm_guest_fini(&guest);
}

/* Serial input wakes a halted guest through PIC and IRQ 4; the handler reads it back. */
static void serial_input_interrupts(void)
{
    static const uint8_t payload[] = {
        0xb0, 0x11, 0xe6, 0x20, /* ICW1 to the first PIC (8259A) */
        0xb0, 0x20, 0xe6, 0x21, /* ICW2: vectors from 0x20 */
        0xb0, 0x04, 0xe6, 0x21, /* ICW3 */
        0xb0, 0x01, 0xe6, 0x21, /* ICW4 */
        0xb0, 0xef, 0xe6, 0x21, /* mask all but IRQ 4 */
        0xba, 0xf9, 0x03,       /* mov dx, 0x3f9 */
        0xb0, 0x01, 0xee,       /* IER: receive */
        0xe6, 0x80,             /* out 0x80, al: ready */
        0xfb, 0xf4, 0xeb, 0xfc, /* sti; 1: hlt; jmp sti */
    };
    static const uint8_t handler[] = {
        0xba, 0xf8, 0x03, 0xec, /* mov dx, 0x3f8; in al, dx */
        0xe6, 0x81,             /* out 0x81, al */
        0xb0, 0x20, 0xe6, 0x20, /* EOI */
        0xcf,                   /* iret */
    };

    pio_guest(payload, sizeof(payload));
    memcpy(kvm_guest_ram(&guest, 0x1100, sizeof(handler)), handler, sizeof(handler));
    kvm_guest_vector(&guest, 0x24, 0x1100);
    kvm_guest_start(&guest);
    kvm_wait(probe.count == 1);
    for (unsigned i = 0; i < 20; i++) {
        uint8_t byte = (uint8_t)('a' + i);

        pthread_mutex_lock(&guest.machine.lock);
        stasis_device_serial_input(
            stasis_device_find(&guest.machine.devices, &stasis_serial_schema, "com1"), &byte, 1);
        pthread_mutex_unlock(&guest.machine.lock);
        kvm_wait(probe.count == 2 + i);
    }
    stasis_machine_pause(&guest.machine);
    for (unsigned i = 0; i < 20; i++)
        kvm_assert_access(&probe, 1 + i, true, 1, 1, 'a' + i);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(out_of_every_width),
        KVM_CASE(in_of_every_width),
        KVM_CASE(rep_outs),
        KVM_CASE(rep_ins),
        KVM_CASE(unmapped_ports_read_all_ones),
        KVM_CASE(mmio_of_every_width),
        KVM_CASE(mmio_across_pages),
        KVM_CASE(unmapped_memory_reads_all_ones),
        KVM_CASE(board_devices_answer),
        KVM_CASE(serial_input_interrupts),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
