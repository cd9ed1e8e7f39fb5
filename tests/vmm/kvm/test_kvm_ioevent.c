/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Writes that become events, under real KVM.
 */
#include "vmm/kvm/kvm_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stasis/kvm_ioevent.h"

#define EVENTS 6

static struct rig rig;
static struct stasis_error err;
static struct stasis_ioevent events[EVENTS];

static void init(void)
{
    static const struct stasis_ioevent standard[EVENTS] = {
        {.address = 0xf4, .is_pio = true},
        {.address = 0x1000},
        {.address = 0xc1, .is_pio = true, .len = 1, .has_match = true, .match = 0x66},
        {.address = 0xc2, .is_pio = true, .len = 2, .has_match = true, .match = 0x6666},
        {.address = 0xc4, .is_pio = true, .len = 4, .has_match = true, .match = 0x66666666},
        {.address = 0xc8, .is_pio = true, .len = 8, .has_match = true, .match = 0x6666666666666666},
    };

    rig_init(&rig, NULL, true, 0);
    for (size_t i = 0; i < EVENTS; i++) {
        events[i] = standard[i];
        events[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        assert_true(events[i].fd >= 0);
    }
}

static void fini(void)
{
    rig_fini(&rig);
    for (size_t i = 0; i < EVENTS; i++)
        close(events[i].fd);
}

static void assign_all(void)
{
    for (size_t i = 0; i < EVENTS; i++)
        kvm_ok(stasis_ioevent_assign(&rig.vm, &events[i], &err), &err);
}

static void register_ioevent(void)
{
    init();
    assign_all();
    fini();
}

static void unregister_ioevent(void)
{
    init();
    assign_all();
    for (size_t i = 0; i < EVENTS; i++)
        kvm_ok(stasis_ioevent_deassign(&rig.vm, &events[i], &err), &err);
    assign_all();
    fini();
}

static void no_eventfd_is_einval(void)
{
    struct stasis_ioevent event = {.address = 0xf5, .is_pio = true, .len = 1};

    init();
    event.fd = memfd_create("no eventfd", MFD_CLOEXEC);
    assert_true(event.fd >= 0);
    assert_int_equal(stasis_ioevent_assign(&rig.vm, &event, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
    close(event.fd);
    fini();
}

static void duplicate_is_eexist(void)
{
    struct stasis_ioevent other;

    init();
    assign_all();
    other = events[2];
    other.fd = events[0].fd;
    assert_int_equal(stasis_ioevent_assign(&rig.vm, &other, &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EEXIST);
    other.match++; /* another value is another event */
    kvm_ok(stasis_ioevent_assign(&rig.vm, &other, &err), &err);
    fini();
}

static void deassign_of_what_is_absent_is_enoent(void)
{
    init();
    assert_int_equal(stasis_ioevent_deassign(&rig.vm, &events[0], &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
    fini();
}

static void length_3_and_a_match_without_length_are_einval(void)
{
    struct kvm_ioeventfd bare = {.addr = 0xf4, .len = 3, .flags = KVM_IOEVENTFD_FLAG_PIO};

    init();
    bare.fd = events[0].fd;
    events[0].len = 3;
    assert_int_equal(stasis_ioevent_assign(&rig.vm, &events[0], &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(rig_errno(rig.vm.fd, KVM_IOEVENTFD, &bare), EINVAL);
    events[0].len = 0;
    events[0].has_match = true;
    assert_int_equal(stasis_ioevent_assign(&rig.vm, &events[0], &err), STASIS_ERR_ARG);
    bare.len = 0;
    bare.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
    assert_int_equal(rig_errno(rig.vm.fd, KVM_IOEVENTFD, &bare), EINVAL);
    fini();
}

static void no_descriptor_is_ebadf(void)
{
    struct stasis_ioevent bad = {.address = 0xf4, .is_pio = true, .len = 1, .fd = -1};

    init();
    assert_int_equal(stasis_ioevent_assign(&rig.vm, &bad, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, EBADF);
    fini();
}

static uint64_t taken(int fd)
{
    uint64_t count = 0;

    return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* mov al, 0x66; out 0xf4, al; out 0xc1, al; inc al; out 0xc1, al; hlt: the last is no event */
static const uint8_t writes[] = {0xb0, 0x66, 0xe6, 0xf4, 0xe6, 0xc1, 0xfe, 0xc0, 0xe6, 0xc1, 0xf4};

static void events_take_the_place_of_exits(void)
{
    init();
    assign_all();
    rig_load(&rig, writes, sizeof(writes));
    assert_int_equal(rig_run(&rig), KVM_EXIT_IO);
    assert_int_equal(rig.run->io.port, 0xc1);
    assert_int_equal(((uint8_t *)rig.run)[rig.run->io.data_offset], 0x67);
    assert_int_equal(taken(events[0].fd), 1);
    assert_int_equal(taken(events[2].fd), 1);
    assert_int_equal(taken(events[3].fd), 0);
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    /* Without the event the same write is an exit. */
    kvm_ok(stasis_ioevent_deassign(&rig.vm, &events[0], &err), &err);
    rig_load(&rig, writes, sizeof(writes));
    assert_int_equal(rig_run(&rig), KVM_EXIT_IO);
    assert_int_equal(rig.run->io.port, 0xf4);
    fini();
}

/* mov ax, 0x2000; mov ds, ax; mov byte [0], 0x12; mov word [0], 0x3456; hlt: at 0x20000, behind RAM
 */
static const uint8_t writes_memory[] = {0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xc6, 0x06, 0x00, 0x00,
                                        0x12, 0xc7, 0x06, 0x00, 0x00, 0x56, 0x34, 0xf4};

static void events_of_guest_memory(void)
{
    init();
    events[1].address = 0x20000;
    events[1].len = 2;
    kvm_ok(stasis_ioevent_assign(&rig.vm, &events[1], &err), &err);
    rig_load(&rig, writes_memory, sizeof(writes_memory));
    assert_int_equal(rig_run(&rig), KVM_EXIT_MMIO); /* of another length */
    assert_int_equal(rig.run->mmio.data[0], 0x12);
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    assert_int_equal(taken(events[1].fd), 1);
    fini();
}

/* A write of each length, by which the value matches, and one that differs in its upper half. */
static const uint8_t matching[] = {
    0xb8, 0x00, 0x20, 0x8e, 0xd8,                         /* mov ax, 0x2000; mov ds, ax */
    0xba, 0xc2, 0x00, 0xb8, 0x66, 0x66, 0xef,             /* mov dx, 0xc2; mov ax, 0x6666; out */
    0xfe, 0xc4, 0xef,                                     /* inc ah; out dx, ax */
    0xb2, 0xc4, 0x66, 0xb8, 0x66, 0x66, 0x66, 0x66,       /* mov dl, 0xc4; mov eax, 0x66666666 */
    0x66, 0xef, 0x66, 0x35, 0x00, 0x00, 0x01, 0x00,       /* out dx, eax; xor eax, 0x10000 */
    0x66, 0xef,                                           /* out dx, eax */
    0xc7, 0x06, 0x00, 0x00, 0x56, 0x34,                   /* mov word [0], 0x3456 */
    0xc7, 0x06, 0x00, 0x00, 0x56, 0x35,                   /* mov word [0], 0x3556 */
    0x66, 0xc7, 0x06, 0x08, 0x00, 0xde, 0xbc, 0x9a, 0x78, /* mov dword [8], 0x789abcde */
    0x66, 0xc7, 0x06, 0x08, 0x00, 0xde, 0xbc, 0x9b, 0x78, /* mov dword [8], 0x789bbcde */
    0x66, 0x31, 0xc0, 0x66, 0x31, 0xd2,                   /* xor eax, eax; xor edx, edx */
    0x66, 0xbb, 0x44, 0x33, 0x22, 0x11,                   /* mov ebx, 0x11223344 */
    0x66, 0xb9, 0x88, 0x77, 0x66, 0x55,                   /* mov ecx, 0x55667788 */
    0x0f, 0xc7, 0x0e, 0x10, 0x00,                         /* cmpxchg8b [0x10]: EDX:EAX is read */
    0x66, 0x41, 0x0f, 0xc7, 0x0e, 0x10, 0x00,             /* inc ecx; cmpxchg8b [0x10] */
    0xf4,                                                 /* hlt */
};

static void assert_port_write(uint16_t port, const void *value, uint8_t len)
{
    assert_int_equal(rig_run(&rig), KVM_EXIT_IO);
    assert_int_equal(rig.run->io.port, port);
    assert_int_equal(rig.run->io.size, len);
    assert_memory_equal((uint8_t *)rig.run + rig.run->io.data_offset, value, len);
}

static void assert_memory_access(bool is_write, uint64_t address, uint64_t value, uint32_t len)
{
    assert_int_equal(rig_run(&rig), KVM_EXIT_MMIO);
    assert_int_equal(rig.run->mmio.is_write, is_write);
    assert_int_equal(rig.run->mmio.phys_addr, address);
    assert_int_equal(rig.run->mmio.len, len);
    if (is_write)
        assert_memory_equal(rig.run->mmio.data, &value, len);
    else
        memcpy(rig.run->mmio.data, &value, len);
}

static void init_matches(void)
{
    static const struct stasis_ioevent of_memory[] = {
        {.address = 0x20000, .len = 2, .has_match = true, .match = 0x3456},
        {.address = 0x20008, .len = 4, .has_match = true, .match = 0x789abcde},
        {.address = 0x20010, .len = 8, .has_match = true, .match = 0x5566778811223344},
    };
    static const size_t at[] = {1, 2, 5}; /* events[3] and [4] are of ports */

    init();
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        int fd = events[at[i]].fd;

        events[at[i]] = of_memory[i];
        events[at[i]].fd = fd;
    }
    assign_all();
}

/* A value that matches is an event and no exit, any other an exit and no event. */
static void matches_of_every_length(void)
{
    init_matches();
    rig_load(&rig, matching, sizeof(matching));
    assert_port_write(0xc2, "\x66\x67", 2);
    assert_port_write(0xc4, "\x66\x66\x67\x66", 4);
    assert_memory_access(true, 0x20000, 0x3556, 2);
    assert_memory_access(true, 0x20008, 0x789bbcde, 4);
    assert_memory_access(false, 0x20010, 0, 8);
    assert_memory_access(false, 0x20010, 0, 8);
    assert_memory_access(true, 0x20010, 0x5566778911223344, 8);
    assert_int_equal(rig_run(&rig), KVM_EXIT_HLT);
    for (size_t i = 1; i < EVENTS; i++)
        assert_int_equal(taken(events[i].fd), 1);
    fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(register_ioevent),
        KVM_CASE(unregister_ioevent),
        KVM_CASE(duplicate_is_eexist),
        KVM_CASE(no_eventfd_is_einval),
        KVM_CASE(deassign_of_what_is_absent_is_enoent),
        KVM_CASE(length_3_and_a_match_without_length_are_einval),
        KVM_CASE(no_descriptor_is_ebadf),
        KVM_CASE(events_take_the_place_of_exits),
        KVM_CASE(events_of_guest_memory),
        KVM_CASE(matches_of_every_length),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
