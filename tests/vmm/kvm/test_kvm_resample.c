/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * An irqfd of a level-triggered line, from the device to the guest's end of interrupt and back,
 * under real KVM.
 */
#include "vmm/kvm/kvm_rig.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "stasis/kvm_irq.h"
#include "stasis/kvm_x86.h"

static struct rig rig;
static struct stasis_error err;

static int make_event(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

/* PICs with vectors at 0x20, all lines of the first masked but 4; line 4 comes after port 0x80. */
static const uint8_t waiting[] = {
    0xfa, 0xb0, 0x11, 0xe6, 0x20,       /* cli; mov al, 0x11; out 0x20, al: ICW1, edges */
    0xb0, 0x20, 0xe6, 0x21,             /* mov al, 0x20; out 0x21, al: ICW2 */
    0xb0, 0x04, 0xe6, 0x21,             /* mov al, 4; out 0x21, al: ICW3 */
    0xb0, 0x01, 0xe6, 0x21,             /* mov al, 1; out 0x21, al: ICW4 */
    0xb0, 0xef, 0xe6, 0x21,             /* mov al, 0xef; out 0x21, al */
    0xe6, 0x80,                         /* 1: out 0x80, al */
    0xfb, 0x90, 0xfa, 0x85, 0xdb,       /* 2: sti; nop; cli; test bx, bx */
    0x74, 0xf9, 0x31, 0xdb, 0xeb, 0xf3, /* jz 2b; xor bx, bx; jmp 1b */
};
/* out 0x81, al; mov al, 0x20; out 0x20, al: EOI; out 0x82, al; inc bx; iret */
static const uint8_t ending[] = {0xe6, 0x81, 0xb0, 0x20, 0xe6, 0x20, 0xe6, 0x82, 0x43, 0xcf};

static void load_waiting(void)
{
    static const uint16_t handler[2] = {0x1800, 0}; /* IP and CS */

    rig_load(&rig, waiting, sizeof(waiting));
    memcpy(rig_ram(&rig, handler[0]), ending, sizeof(ending));
    memcpy(rig_ram(&rig, UINT64_C(0x24) * 4), handler, sizeof(handler));
}

static void assert_runs_to(uint16_t port)
{
    assert_int_equal(rig_run(&rig), KVM_EXIT_IO);
    assert_int_equal(rig.run->io.port, port);
}

/* What the PIC last saw of the line: its IRR forgets an edge that has become an interrupt. */
static bool line_4_is_high(void)
{
    struct kvm_pic_state pic;

    kvm_ok(stasis_vm_get_pic(&rig.vm, 0, &pic, &err), &err);
    return pic.last_irr >> 4 & 1;
}

static uint64_t taken(int fd)
{
    uint64_t count = 0;

    return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

/* The line stays high until the guest's end of interrupt, which lowers it and tells; twice. */
static void end_of_interrupt_resamples(void)
{
    const uint64_t one = 1;
    int fd = make_event(), resample = make_event();

    rig_init(&rig, NULL, true, 0);
    kvm_ok(stasis_vm_create_irqchip(&rig.vm, &err), &err);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_IRQFD_RESAMPLE))
        kvm_case_skip("this KVM does not resample");
    kvm_ok(stasis_irqfd_assign_resample(&rig.vm, 4, fd, resample, &err), &err);
    load_waiting();
    for (unsigned i = 0; i < 2; i++) {
        assert_runs_to(0x80);
        assert_false(line_4_is_high());
        assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
        kvm_wait(line_4_is_high());
        assert_runs_to(0x81);
        assert_true(line_4_is_high());
        assert_int_equal(taken(resample), 0);
        assert_runs_to(0x82);
        assert_false(line_4_is_high());
        assert_int_equal(taken(resample), 1);
    }
    rig_fini(&rig);
    close(fd);
    close(resample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(end_of_interrupt_resamples),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
