/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Interrupt controllers, lines, irqfds and routes, under real KVM.
 */
#include "vmm/kvm/kvm_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stasis/kvm_irq.h"

#define VECTOR      0x51
#define MSI_ADDRESS UINT64_C(0xfee00000) /* to the vCPU with APIC id 0 */

static struct rig rig;
static struct stasis_error err;

static void init_with_chip(void)
{
    rig_init(&rig, NULL, false, 0);
    kvm_ok(stasis_vm_create_irqchip(&rig.vm, &err), &err);
}

static int make_event(void)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    assert_true(fd >= 0);
    return fd;
}

/* ---- controllers ---- */

static void create_irq_chip_twice_is_eexist(void)
{
    init_with_chip();
    assert_int_equal(stasis_vm_create_irqchip(&rig.vm, &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EEXIST);
    rig_fini(&rig);
}

static void create_irq_chip_after_a_vcpu_is_einval(void)
{
    rig_init(&rig, NULL, false, 0);
    rig_create_vcpu(&rig);
    assert_int_equal(stasis_vm_create_irqchip(&rig.vm, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
    rig_fini(&rig);
}

/* Linux 6.1 makes a PIT without PICs, which raises nothing; 6.18 refuses it. */
static void expect_pit_without_controllers(void)
{
    int rc = stasis_vm_create_pit(&rig.vm, 0, &err);

    if (!rc)
        return;
    assert_int_equal(rc, STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENOENT);
}

static void enable_split_irqchip(void)
{
    rig_init(&rig, NULL, false, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_SPLIT_IRQCHIP)) {
        assert_int_equal(stasis_vm_create_split_irqchip(&rig.vm, 24, &err), STASIS_ERR_UNAVAILABLE);
        kvm_case_skip(err.msg);
    }
    kvm_ok(stasis_vm_create_split_irqchip(&rig.vm, 24, &err), &err);
    expect_pit_without_controllers();
    rig_fini(&rig);
}

static void split_irqchip_after_the_full_one_is_eexist(void)
{
    init_with_chip();
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_SPLIT_IRQCHIP))
        kvm_case_skip("this KVM has no split irqchip");
    assert_int_equal(stasis_vm_create_split_irqchip(&rig.vm, 24, &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EEXIST);
    rig_fini(&rig);
}

static void pit_before_the_irqchip_is_enoent_and_twice_eexist(void)
{
    rig_init(&rig, NULL, false, 0);
    expect_pit_without_controllers();
    rig_fini(&rig);
    init_with_chip();
    kvm_ok(stasis_vm_create_pit(&rig.vm, KVM_PIT_SPEAKER_DUMMY, &err), &err);
    assert_int_equal(stasis_vm_create_pit(&rig.vm, 0, &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EEXIST);
    rig_fini(&rig);
}

/* ---- lines ---- */

static void irq_line_before_the_irqchip_is_enxio(void)
{
    rig_init(&rig, NULL, false, 0);
    assert_int_equal(stasis_vm_irq_line(&rig.vm, 4, true, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, ENXIO);
    stasis_vm_set_irq(&rig.vm, 4, true); /* does not mind */
    rig_fini(&rig);
}

static uint32_t lapic_word(uint32_t at)
{
    struct kvm_lapic_state lapic;
    uint32_t word;

    assert_int_equal(stasis_kvm_ioctl(rig.vcpu_fd, KVM_GET_LAPIC, &lapic), 0);
    memcpy(&word, lapic.regs + at, sizeof(word));
    return word;
}

/* Whether the vCPU's local APIC has an interrupt of this vector waiting. */
static bool is_pending(unsigned vector)
{
    return lapic_word(0x200 + vector / 32 * 0x10) >> vector % 32 & 1;
}

/* Lets the local APIC take interrupts (SDM 3A, 11.9: SVR). */
static void enable_lapic(void)
{
    struct kvm_lapic_state lapic;
    const uint32_t svr = 0x1ff;

    assert_int_equal(stasis_kvm_ioctl(rig.vcpu_fd, KVM_GET_LAPIC, &lapic), 0);
    memcpy(lapic.regs + 0xf0, &svr, sizeof(svr));
    assert_int_equal(stasis_kvm_ioctl(rig.vcpu_fd, KVM_SET_LAPIC, &lapic), 0);
}

static void set_irq_line_reaches_the_vcpu(void)
{
    struct stasis_irq_routes routes;
    int status = -2;

    init_with_chip();
    rig_create_vcpu(&rig);
    enable_lapic();
    kvm_ok(stasis_irq_routes_init(&routes, &rig.vm, &err), &err);
    kvm_ok(stasis_irq_routes_add_msi(&routes, 30, MSI_ADDRESS, VECTOR, &err), &err);
    kvm_ok(stasis_irq_routes_set(&routes, &rig.vm, &err), &err);
    kvm_ok(stasis_vm_irq_line_status(&rig.vm, 30, false, &status, &err), &err);
    assert_false(is_pending(VECTOR));
    kvm_ok(stasis_vm_irq_line_status(&rig.vm, 30, true, &status, &err), &err);
    assert_int_equal(status, 1);
    assert_true(is_pending(VECTOR));
    kvm_ok(stasis_vm_irq_line(&rig.vm, 30, true, &err), &err);
    stasis_irq_routes_fini(&routes);
    rig_fini(&rig);
}

static void msi_is_delivered_or_blocked(void)
{
    bool delivered = true;

    init_with_chip();
    rig_create_vcpu(&rig);
    kvm_ok(stasis_vm_signal_msi(&rig.vm, MSI_ADDRESS, VECTOR, &delivered, &err), &err);
    assert_false(delivered); /* the local APIC is off */
    enable_lapic();
    kvm_ok(stasis_vm_signal_msi(&rig.vm, MSI_ADDRESS, VECTOR, &delivered, &err), &err);
    assert_true(delivered);
    assert_true(is_pending(VECTOR));
    rig_fini(&rig);
}

/* ---- irqfd ---- */

static void irqfd_before_the_irqchip_is_einval(void)
{
    int fd = make_event();

    rig_init(&rig, NULL, false, 0);
    assert_int_equal(stasis_irqfd_assign(&rig.vm, 4, fd, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
    rig_fini(&rig);
    close(fd);
}

static void register_irqfd(void)
{
    int fds[3] = {make_event(), make_event(), make_event()};

    init_with_chip();
    kvm_ok(stasis_irqfd_assign(&rig.vm, 4, fds[0], &err), &err);
    kvm_ok(stasis_irqfd_assign(&rig.vm, 8, fds[1], &err), &err);
    kvm_ok(stasis_irqfd_assign(&rig.vm, 4, fds[2], &err), &err);
    /* The same descriptor again, on any line. */
    assert_int_equal(stasis_irqfd_assign(&rig.vm, 4, fds[2], &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EBUSY);
    assert_int_equal(stasis_irqfd_assign(&rig.vm, 9, fds[2], &err), STASIS_ERR_EXISTS);
    rig_fini(&rig);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
}

static void unregister_irqfd(void)
{
    int fds[3] = {make_event(), make_event(), make_event()};
    static const uint32_t lines[] = {4, 8, 4};

    init_with_chip();
    for (size_t i = 0; i < 3; i++)
        kvm_ok(stasis_irqfd_assign(&rig.vm, lines[i], fds[i], &err), &err);
    for (size_t i = 0; i < 3; i++)
        kvm_ok(stasis_irqfd_deassign(&rig.vm, lines[i], fds[i], &err), &err);
    /* It is free again, and KVM does not mind one that was never assigned. */
    kvm_ok(stasis_irqfd_assign(&rig.vm, 9, fds[0], &err), &err);
    kvm_ok(stasis_irqfd_deassign(&rig.vm, 8, fds[1], &err), &err);
    rig_fini(&rig);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
}

static void irqfd_resample(void)
{
    int fd = make_event(), resample = make_event();

    init_with_chip();
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_IRQFD_RESAMPLE)) {
        assert_int_equal(stasis_irqfd_assign_resample(&rig.vm, 4, fd, resample, &err),
                         STASIS_ERR_UNAVAILABLE);
        kvm_case_skip(err.msg);
    }
    kvm_ok(stasis_irqfd_assign_resample(&rig.vm, 4, fd, resample, &err), &err);
    kvm_ok(stasis_irqfd_deassign(&rig.vm, 4, fd, &err), &err);
    assert_int_equal(stasis_irqfd_assign_resample(&rig.vm, 4, fd, -1, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, EBADF);
    rig_fini(&rig);
    close(fd);
    close(resample);
}

static void irqfd_of_a_bad_descriptor_is_ebadf(void)
{
    init_with_chip();
    assert_int_equal(stasis_irqfd_assign(&rig.vm, 4, -1, &err), STASIS_ERR_ARG);
    assert_int_equal(err.os_errno, EBADF);
    rig_fini(&rig);
}

static void irqfd_of_no_eventfd_is_einval(void)
{
    int fd = memfd_create("no eventfd", MFD_CLOEXEC);

    assert_true(fd >= 0);
    init_with_chip();
    assert_int_equal(stasis_irqfd_assign(&rig.vm, 4, fd, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
    rig_fini(&rig);
    close(fd);
}

static void irqfd_of_line_5000_is_accepted(void)
{
    int fd = make_event();

    init_with_chip();
    kvm_ok(stasis_irqfd_assign(&rig.vm, 5000, fd, &err), &err);
    kvm_ok(stasis_irqfd_deassign(&rig.vm, 5000, fd, &err), &err);
    rig_fini(&rig);
    close(fd);
}

static void irqfd_raises_the_line(void)
{
    struct stasis_irq_routes routes;
    const uint64_t one = 1;
    int fd = make_event();

    init_with_chip();
    rig_create_vcpu(&rig);
    enable_lapic();
    kvm_ok(stasis_irq_routes_init(&routes, &rig.vm, &err), &err);
    kvm_ok(stasis_irq_routes_add_msi(&routes, 30, MSI_ADDRESS, VECTOR, &err), &err);
    kvm_ok(stasis_irq_routes_set(&routes, &rig.vm, &err), &err);
    kvm_ok(stasis_irqfd_assign(&rig.vm, 30, fd, &err), &err);
    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
    kvm_wait(is_pending(VECTOR));
    stasis_irq_routes_fini(&routes);
    rig_fini(&rig);
    close(fd);
}

/* ---- routes ---- */

static void set_gsi_routing(void)
{
    struct stasis_irq_routes routes;

    init_with_chip();
    kvm_ok(stasis_irq_routes_init(&routes, &rig.vm, &err), &err);
    kvm_ok(stasis_irq_routes_set(&routes, &rig.vm, &err), &err); /* empty */
    kvm_ok(stasis_irq_routes_add_pin(&routes, 1, KVM_IRQCHIP_IOAPIC, 3, &err), &err);
    kvm_ok(stasis_irq_routes_set(&routes, &rig.vm, &err), &err);
    stasis_irq_routes_clear(&routes);
    kvm_ok(stasis_irq_routes_add_msi(&routes, 1, MSI_ADDRESS, 0xff, &err), &err);
    kvm_ok(stasis_irq_routes_set(&routes, &rig.vm, &err), &err);
    kvm_ok(stasis_irq_routes_add_pin(&routes, 2, KVM_IRQCHIP_IOAPIC, 3, &err), &err);
    kvm_ok(stasis_irq_routes_set(&routes, &rig.vm, &err), &err);
    stasis_irq_routes_clear(&routes);
    kvm_ok(stasis_irq_routes_add_standard(&routes, &err), &err);
    kvm_ok(stasis_irq_routes_set(&routes, &rig.vm, &err), &err);
    stasis_irq_routes_fini(&routes);
    rig_fini(&rig);
}

static int set_one(uint32_t gsi, uint32_t type, uint32_t pin)
{
    struct kvm_irq_routing *table = calloc(1, sizeof(*table) + sizeof(table->entries[0]));
    int number;

    assert_non_null(table);
    table->nr = 1;
    table->entries[0] = (struct kvm_irq_routing_entry){
        .gsi = gsi, .type = type, .u.irqchip = {.irqchip = KVM_IRQCHIP_IOAPIC, .pin = pin}};
    number = rig_errno(rig.vm.fd, KVM_SET_GSI_ROUTING, table);
    free(table);
    return number;
}

static void errno_of_routes_that_cannot_be_is_einval(void)
{
    init_with_chip();
    assert_int_equal(set_one(1, KVM_IRQ_ROUTING_IRQCHIP, 1), 0);
    assert_int_equal(set_one(5000, KVM_IRQ_ROUTING_IRQCHIP, 1), EINVAL);
    assert_int_equal(set_one(1, KVM_IRQ_ROUTING_IRQCHIP, 24), EINVAL);
    assert_int_equal(set_one(1, 77, 1), EINVAL);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(create_irq_chip_twice_is_eexist),
        KVM_CASE(create_irq_chip_after_a_vcpu_is_einval),
        KVM_CASE(enable_split_irqchip),
        KVM_CASE(split_irqchip_after_the_full_one_is_eexist),
        KVM_CASE(pit_before_the_irqchip_is_enoent_and_twice_eexist),
        KVM_CASE(irq_line_before_the_irqchip_is_enxio),
        KVM_CASE(set_irq_line_reaches_the_vcpu),
        KVM_CASE(msi_is_delivered_or_blocked),
        KVM_CASE(irqfd_before_the_irqchip_is_einval),
        KVM_CASE(register_irqfd),
        KVM_CASE(unregister_irqfd),
        KVM_CASE(irqfd_resample),
        KVM_CASE(irqfd_of_a_bad_descriptor_is_ebadf),
        KVM_CASE(irqfd_of_no_eventfd_is_einval),
        KVM_CASE(irqfd_of_line_5000_is_accepted),
        KVM_CASE(irqfd_raises_the_line),
        KVM_CASE(set_gsi_routing),
        KVM_CASE(errno_of_routes_that_cannot_be_is_einval),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
