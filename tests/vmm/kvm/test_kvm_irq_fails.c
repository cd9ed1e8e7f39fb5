/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Interrupts, events and devices that are refused or fail, without KVM.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "stasis/kvm_device.h"
#include "stasis/kvm_ioevent.h"
#include "stasis/kvm_irq.h"

static const struct stasis_ioevent event = {
    .address = 0xf4, .is_pio = true, .len = 2, .has_match = true, .match = 0x1234, .fd = 9};

/* ---- every call fails once ---- */

static int use_lines(const struct stasis_vm *vm, struct stasis_error *err)
{
    bool delivered;
    int status, rc = stasis_vm_create_irqchip(vm, err);

    if (!rc)
        rc = stasis_vm_create_split_irqchip(vm, 24, err);
    if (!rc)
        rc = stasis_vm_create_pit(vm, 0, err);
    if (!rc)
        rc = stasis_vm_irq_line(vm, 4, true, err);
    if (!rc) {
        failing_fill(status);
        rc = stasis_vm_irq_line_status(vm, 4, true, &status, err);
        failing_unchanged(rc, status);
    }
    if (!rc) {
        failing_fill(delivered);
        rc = stasis_vm_signal_msi(vm, 0xfee00000, 0x51, &delivered, err);
        failing_unchanged(rc, delivered);
    }
    if (!rc)
        rc = stasis_irqfd_assign(vm, 4, 9, err);
    if (!rc)
        rc = stasis_irqfd_assign_resample(vm, 5, 9, 10, err);
    return rc ? rc : stasis_irqfd_deassign(vm, 5, 9, err);
}

static int use_routes(const struct stasis_vm *vm, struct stasis_error *err)
{
    struct stasis_irq_routes routes;
    int rc;

    failing_fill(routes);
    rc = stasis_irq_routes_init(&routes, vm, err);
    failing_unchanged(rc, routes);
    if (rc)
        return rc;
    rc = stasis_irq_routes_add_standard(&routes, err);
    for (uint32_t gsi = 24; !rc && gsi < 160; gsi++) { /* the table grows twice */
        uint32_t count = routes.table->nr;

        rc = stasis_irq_routes_add_msi(&routes, gsi, 0xfee00000, gsi, err);
        assert_int_equal(routes.table->nr, count + !rc);
        assert_true(routes.table->nr <= routes.capacity);
    }
    if (!rc)
        rc = stasis_irq_routes_set(&routes, vm, err);
    stasis_irq_routes_fini(&routes);
    stasis_irq_routes_fini(&routes);
    return rc;
}

static int use_devices(const struct stasis_vm *vm, struct stasis_error *err)
{
    uint64_t value;
    int fd, rc;

    failing_fill(fd);
    rc = stasis_kvm_device_create(vm, KVM_DEV_TYPE_VFIO, &fd, err);
    failing_unchanged(rc, fd);
    if (!rc)
        (void)stasis_kvm_attr_has(vm->fd, 0, 0);
    if (!rc) {
        failing_fill(value);
        rc = stasis_kvm_attr_get(vm->fd, 0, 0, &value, err);
        failing_unchanged(rc, value);
    }
    if (!rc)
        rc = stasis_kvm_attr_set(vm->fd, 0, 0, &value, err);
    return rc;
}

static int use_all(struct stasis_error *err)
{
    struct stasis_ioevent any = {.address = 0x1000, .fd = 9};
    struct stasis_kvm kvm = {.fd = -1};
    struct stasis_vm vm = {.fd = -1};
    int rc = stasis_kvm_open(&kvm, err);

    if (!rc)
        rc = stasis_vm_create(&vm, &kvm, NULL, err);
    if (!rc)
        rc = use_lines(&vm, err);
    if (!rc)
        rc = use_routes(&vm, err);
    if (!rc)
        rc = use_devices(&vm, err);
    if (!rc)
        rc = stasis_ioevent_assign(&vm, &any, err);
    if (!rc)
        rc = stasis_ioevent_deassign(&vm, &event, err);
    stasis_vm_fini(&vm);
    stasis_kvm_close(&kvm);
    return rc;
}

static void every_call_fails_once(void **state)
{
    (void)state;
    fake_kvm.answer = NULL;
    failing_run(use_all, 0);
}

/* ---- what KVM answers ---- */

static const struct stasis_vm vm = {.fd = -1};
static int answered_errno;
static unsigned missing_cap;

static bool answers_errno(unsigned long request, void *arg, int *ret_result)
{
    if (request == KVM_CHECK_EXTENSION) {
        *ret_result = 0;
        return (uintptr_t)arg == missing_cap;
    }
    errno = answered_errno;
    *ret_result = answered_errno ? -1 : 0;
    return true;
}

static void answer(int number, unsigned cap)
{
    answered_errno = number;
    missing_cap = cap;
    fake_kvm = (struct fake_kvm){.answer = answers_errno};
}

#define expect(call, rc, number)                                                                   \
    do {                                                                                           \
        struct stasis_error err;                                                                   \
                                                                                                   \
        assert_int_equal(call, rc);                                                                \
        assert_int_equal(err.code, rc);                                                            \
        assert_int_equal(err.os_errno, number);                                                    \
    } while (0)

static void controllers_that_are_there_are_told(void **state)
{
    (void)state;
    answer(EEXIST, 0);
    expect(stasis_vm_create_irqchip(&vm, &err), STASIS_ERR_EXISTS, EEXIST);
    expect(stasis_vm_create_split_irqchip(&vm, 24, &err), STASIS_ERR_EXISTS, EEXIST);
    expect(stasis_vm_create_pit(&vm, 0, &err), STASIS_ERR_EXISTS, EEXIST);
    answer(ENOENT, 0);
    expect(stasis_vm_create_pit(&vm, 0, &err), STASIS_ERR_NOT_FOUND, ENOENT);
    answer(EINVAL, 0);
    expect(stasis_vm_create_irqchip(&vm, &err), STASIS_ERR_KVM, EINVAL);
    expect(stasis_vm_create_split_irqchip(&vm, 24, &err), STASIS_ERR_KVM, EINVAL);
    expect(stasis_vm_create_pit(&vm, 0, &err), STASIS_ERR_KVM, EINVAL);
    answer(0, KVM_CAP_SPLIT_IRQCHIP);
    expect(stasis_vm_create_split_irqchip(&vm, 24, &err), STASIS_ERR_UNAVAILABLE, EINVAL);
}

static void descriptors_of_lines_are_told_apart(void **state)
{
    (void)state;
    answer(EBUSY, 0);
    expect(stasis_irqfd_assign(&vm, 4, 9, &err), STASIS_ERR_EXISTS, EBUSY);
    answer(EBADF, 0);
    expect(stasis_irqfd_assign(&vm, 4, 9, &err), STASIS_ERR_ARG, EBADF);
    expect(stasis_irqfd_assign_resample(&vm, 4, 9, -1, &err), STASIS_ERR_ARG, EBADF);
    answer(EINVAL, 0);
    expect(stasis_irqfd_deassign(&vm, 4, 9, &err), STASIS_ERR_KVM, EINVAL);
    answer(0, KVM_CAP_IRQFD_RESAMPLE);
    expect(stasis_irqfd_assign_resample(&vm, 4, 9, 10, &err), STASIS_ERR_UNAVAILABLE, EINVAL);
}

static void no_line_is_no_call(void **state)
{
    (void)state;
    answer(0, 0);
    stasis_vm_set_irq(&vm, STASIS_GSI_NONE, true);
    assert_int_equal(fake_kvm.count, 0);
    stasis_vm_set_irq(&vm, 0, true);
    assert_int_equal(fake_kvm.count, 1);
    assert_true(fake_kvm_first(KVM_IRQ_LINE) == 0);
}

static struct kvm_irqfd irqfd_seen;
static struct kvm_irq_level line_seen;
static struct kvm_pit_config pit_seen;

static bool answers_lines(unsigned long request, void *arg, int *ret_result)
{
    if (request == KVM_IRQFD)
        irqfd_seen = *(struct kvm_irqfd *)arg;
    if (request == KVM_CREATE_PIT2)
        pit_seen = *(struct kvm_pit_config *)arg;
    if (request == KVM_IRQ_LINE || request == KVM_IRQ_LINE_STATUS) {
        line_seen = *(struct kvm_irq_level *)arg;
        ((struct kvm_irq_level *)arg)->status = 3;
    }
    *ret_result = 0;
    return request != KVM_CHECK_EXTENSION;
}

static void lines_and_their_descriptors_are_passed_on_whole(void **state)
{
    int status = -2;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_lines};
    assert_int_equal(stasis_irqfd_assign(&vm, 4, 9, NULL), 0);
    assert_int_equal(irqfd_seen.fd, 9);
    assert_int_equal(irqfd_seen.gsi, 4);
    assert_int_equal(irqfd_seen.flags, 0);
    assert_int_equal(stasis_irqfd_assign_resample(&vm, 5, 10, 11, NULL), 0);
    assert_int_equal(irqfd_seen.fd, 10);
    assert_int_equal(irqfd_seen.gsi, 5);
    assert_int_equal(irqfd_seen.flags, KVM_IRQFD_FLAG_RESAMPLE);
    assert_int_equal(irqfd_seen.resamplefd, 11);
    assert_int_equal(stasis_irqfd_deassign(&vm, 6, 12, NULL), 0);
    assert_int_equal(irqfd_seen.fd, 12);
    assert_int_equal(irqfd_seen.gsi, 6);
    assert_int_equal(irqfd_seen.flags, KVM_IRQFD_FLAG_DEASSIGN);
    assert_int_equal(stasis_vm_irq_line_status(&vm, 7, true, &status, NULL), 0);
    assert_int_equal(status, 3);
    assert_int_equal(line_seen.irq, 7);
    assert_int_equal(line_seen.level, 1);
    assert_int_equal(stasis_vm_irq_line(&vm, 8, false, NULL), 0);
    assert_int_equal(line_seen.irq, 8);
    assert_int_equal(line_seen.level, 0);
    stasis_vm_set_irq(&vm, 9, true);
    assert_int_equal(line_seen.irq, 9);
    assert_int_equal(line_seen.level, 1);
    assert_int_equal(stasis_vm_create_pit(&vm, KVM_PIT_SPEAKER_DUMMY, NULL), 0);
    assert_int_equal(pit_seen.flags, KVM_PIT_SPEAKER_DUMMY);
}

static struct kvm_msi msi_seen;
static int msi_answer;

static bool answers_msi(unsigned long request, void *arg, int *ret_result)
{
    msi_seen = *(struct kvm_msi *)arg;
    *ret_result = msi_answer;
    return request == KVM_SIGNAL_MSI;
}

static void an_msi_has_both_halves_of_its_address(void **state)
{
    bool delivered = true;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_msi};
    msi_answer = 0;
    assert_int_equal(stasis_vm_signal_msi(&vm, 0x12345678fee01000, 0x51, &delivered, NULL), 0);
    assert_false(delivered);
    assert_int_equal(msi_seen.address_lo, 0xfee01000);
    assert_int_equal(msi_seen.address_hi, 0x12345678);
    assert_int_equal(msi_seen.data, 0x51);
    msi_answer = 2;
    assert_int_equal(stasis_vm_signal_msi(&vm, 0, 0, &delivered, NULL), 0);
    assert_true(delivered);
}

/* ---- routes ---- */

static void init_routes(struct stasis_irq_routes *routes)
{
    fake_kvm = (struct fake_kvm){0};
    assert_int_equal(stasis_irq_routes_init(routes, &vm, NULL), 0);
    assert_int_equal(routes->max, 4096);
}

static void routes_are_bounded(void **state)
{
    struct stasis_irq_routes routes;

    (void)state;
    init_routes(&routes);
    expect(stasis_irq_routes_add_pin(&routes, 4096, KVM_IRQCHIP_IOAPIC, 0, &err), STASIS_ERR_RANGE,
           EINVAL);
    expect(stasis_irq_routes_add_msi(&routes, UINT32_MAX, 0, 0, &err), STASIS_ERR_RANGE, EINVAL);
    expect(stasis_irq_routes_add_pin(&routes, 1, KVM_IRQCHIP_IOAPIC, 24, &err), STASIS_ERR_RANGE,
           EINVAL);
    expect(stasis_irq_routes_add_pin(&routes, 1, KVM_IRQCHIP_PIC_MASTER, 8, &err), STASIS_ERR_RANGE,
           EINVAL);
    expect(stasis_irq_routes_add_pin(&routes, 1, KVM_IRQCHIP_PIC_SLAVE, 8, &err), STASIS_ERR_RANGE,
           EINVAL);
    expect(stasis_irq_routes_add_pin(&routes, 1, 3, 0, &err), STASIS_ERR_RANGE, EINVAL);
    assert_int_equal(routes.table->nr, 0);
    assert_int_equal(stasis_irq_routes_add_pin(&routes, 4095, KVM_IRQCHIP_IOAPIC, 23, NULL), 0);
    assert_int_equal(stasis_irq_routes_add_pin(&routes, 4095, KVM_IRQCHIP_PIC_SLAVE, 7, NULL), 0);
    assert_int_equal(stasis_irq_routes_add_pin(&routes, 4095, KVM_IRQCHIP_PIC_MASTER, 7, NULL), 0);
    stasis_irq_routes_fini(&routes);
}

static void a_line_is_pins_of_different_chips_or_one_msi(void **state)
{
    struct stasis_irq_routes routes;

    (void)state;
    init_routes(&routes);
    assert_int_equal(stasis_irq_routes_add_pin(&routes, 1, KVM_IRQCHIP_IOAPIC, 1, NULL), 0);
    expect(stasis_irq_routes_add_pin(&routes, 1, KVM_IRQCHIP_IOAPIC, 2, &err), STASIS_ERR_EXISTS,
           EEXIST);
    expect(stasis_irq_routes_add_msi(&routes, 1, 0, 0, &err), STASIS_ERR_EXISTS, EEXIST);
    assert_int_equal(stasis_irq_routes_add_msi(&routes, 2, 0, 0, NULL), 0);
    expect(stasis_irq_routes_add_msi(&routes, 2, 0, 0, &err), STASIS_ERR_EXISTS, EEXIST);
    expect(stasis_irq_routes_add_pin(&routes, 2, KVM_IRQCHIP_IOAPIC, 2, &err), STASIS_ERR_EXISTS,
           EEXIST);
    assert_int_equal(stasis_irq_routes_add_pin(&routes, 1, KVM_IRQCHIP_PIC_MASTER, 1, NULL), 0);
    assert_int_equal(routes.table->nr, 3);
    assert_int_equal(stasis_irq_routes_remove(&routes, 1), 2);
    assert_int_equal(routes.table->nr, 1);
    assert_int_equal(routes.table->entries[0].gsi, 2);
    assert_int_equal(stasis_irq_routes_remove(&routes, 1), 0);
    stasis_irq_routes_clear(&routes);
    assert_int_equal(routes.table->nr, 0);
    stasis_irq_routes_fini(&routes);
}

static void the_entries_are_what_was_asked_for(void **state)
{
    struct stasis_irq_routes routes;
    const struct kvm_irq_routing_entry *entries;

    (void)state;
    init_routes(&routes);
    assert_int_equal(stasis_irq_routes_add_standard(&routes, NULL), 0);
    assert_int_equal(routes.table->nr, 40);
    entries = routes.table->entries;
    assert_int_equal(entries[18].gsi, 9); /* line 9: the second PIC and the I/O APIC */
    assert_int_equal(entries[18].u.irqchip.irqchip, KVM_IRQCHIP_PIC_SLAVE);
    assert_int_equal(entries[18].u.irqchip.pin, 1);
    assert_int_equal(entries[19].u.irqchip.irqchip, KVM_IRQCHIP_IOAPIC);
    assert_int_equal(entries[19].u.irqchip.pin, 9);
    assert_int_equal(entries[39].gsi, 23);
    assert_int_equal(entries[39].type, KVM_IRQ_ROUTING_IRQCHIP);
    expect(stasis_irq_routes_add_standard(&routes, &err), STASIS_ERR_EXISTS, EEXIST);
    assert_int_equal(stasis_irq_routes_add_msi(&routes, 30, 0xfeedfacefee00000, 0x51, NULL), 0);
    entries = routes.table->entries;
    assert_int_equal(entries[40].type, KVM_IRQ_ROUTING_MSI);
    assert_int_equal(entries[40].u.msi.address_lo, 0xfee00000);
    assert_int_equal(entries[40].u.msi.address_hi, 0xfeedface);
    assert_int_equal(entries[40].u.msi.data, 0x51);
    stasis_irq_routes_fini(&routes);
}

static bool answers_few_routes(unsigned long request, void *arg, int *ret_result)
{
    *ret_result = 3;
    return request == KVM_CHECK_EXTENSION && (uintptr_t)arg == KVM_CAP_IRQ_ROUTING;
}

static void a_full_table_of_routes_is_an_error_of_its_own(void **state)
{
    struct stasis_irq_routes routes;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_few_routes};
    assert_int_equal(stasis_irq_routes_init(&routes, &vm, NULL), 0);
    for (uint32_t gsi = 0; gsi < 3; gsi++)
        assert_int_equal(stasis_irq_routes_add_msi(&routes, gsi, 0, 0, NULL), 0);
    expect(stasis_irq_routes_add_msi(&routes, 3, 0, 0, &err), STASIS_ERR_RANGE, EINVAL);
    stasis_irq_routes_clear(&routes);
    for (uint32_t gsi = 0; gsi < 2; gsi++)
        assert_int_equal(stasis_irq_routes_add_msi(&routes, gsi, 0, 0, NULL), 0);
    assert_int_equal(stasis_irq_routes_add_pin(&routes, 2, KVM_IRQCHIP_IOAPIC, 2, NULL), 0);
    expect(stasis_irq_routes_add_pin(&routes, 2, KVM_IRQCHIP_PIC_MASTER, 2, &err), STASIS_ERR_FULL,
           E2BIG);
    assert_int_equal(routes.table->nr, 3);
    stasis_irq_routes_fini(&routes);
    answer(0, KVM_CAP_IRQ_ROUTING);
    expect(stasis_irq_routes_init(&routes, &vm, &err), STASIS_ERR_UNAVAILABLE, ENOTTY);
}

/* ---- events ---- */

static void events_that_cannot_be_are_refused(void **state)
{
    static const struct {
        struct stasis_ioevent event;
        int rc;
    } cases[] = {
        {{.address = 0xffff, .is_pio = true, .len = 1}, 0},
        {{.address = 0x10000, .is_pio = true, .len = 1}, STASIS_ERR_RANGE},
        {{.address = 0x10000, .len = 1}, 0},
        {{.address = UINT64_MAX, .len = 1}, 0},
        {{.address = UINT64_MAX, .len = 2}, STASIS_ERR_RANGE},
        {{.address = UINT64_MAX}, 0},
        {{.len = 8, .has_match = true}, 0},
        {{.len = 3}, STASIS_ERR_ARG},
        {{.len = 6}, STASIS_ERR_ARG},
        {{.len = 16}, STASIS_ERR_ARG},
        {{.len = UINT32_C(1) << 31}, STASIS_ERR_ARG},
        {{.len = 0, .has_match = true}, STASIS_ERR_ARG},
    };

    (void)state;
    answer(0, 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stasis_error err;
        int rc = stasis_ioevent_assign(&vm, &cases[i].event, &err);

        assert_int_equal(rc, cases[i].rc);
        if (rc)
            assert_int_equal(err.os_errno, EINVAL);
        assert_int_equal(stasis_ioevent_deassign(&vm, &cases[i].event, NULL), rc);
    }
}

static void answers_about_events_are_told_apart(void **state)
{
    static const struct stasis_ioevent any = {.address = 0xf4};

    (void)state;
    answer(EEXIST, 0);
    expect(stasis_ioevent_assign(&vm, &event, &err), STASIS_ERR_EXISTS, EEXIST);
    answer(ENOENT, 0);
    expect(stasis_ioevent_deassign(&vm, &event, &err), STASIS_ERR_NOT_FOUND, ENOENT);
    answer(EBADF, 0);
    expect(stasis_ioevent_assign(&vm, &event, &err), STASIS_ERR_ARG, EBADF);
    answer(ENOSPC, 0);
    expect(stasis_ioevent_assign(&vm, &event, &err), STASIS_ERR_KVM, ENOSPC);
    answer(0, KVM_CAP_IOEVENTFD_ANY_LENGTH);
    expect(stasis_ioevent_assign(&vm, &any, &err), STASIS_ERR_UNAVAILABLE, EINVAL);
    assert_int_equal(stasis_ioevent_assign(&vm, &event, NULL), 0);
}

static struct kvm_ioeventfd ioeventfd_seen;

static bool answers_ioeventfd(unsigned long request, void *arg, int *ret_result)
{
    if (request == KVM_IOEVENTFD)
        ioeventfd_seen = *(struct kvm_ioeventfd *)arg;
    *ret_result = 0;
    return request == KVM_IOEVENTFD;
}

static void an_event_is_passed_on_whole(void **state)
{
    const struct stasis_ioevent memory = {.address = 0xd0000000, .len = 4, .fd = 11};

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_ioeventfd};
    assert_int_equal(stasis_ioevent_assign(&vm, &event, NULL), 0);
    assert_int_equal(ioeventfd_seen.addr, 0xf4);
    assert_int_equal(ioeventfd_seen.len, 2);
    assert_int_equal(ioeventfd_seen.fd, 9);
    assert_int_equal(ioeventfd_seen.datamatch, 0x1234);
    assert_int_equal(ioeventfd_seen.flags, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH);
    assert_int_equal(stasis_ioevent_assign(&vm, &memory, NULL), 0);
    assert_int_equal(ioeventfd_seen.flags, 0);
    assert_int_equal(stasis_ioevent_deassign(&vm, &memory, NULL), 0);
    assert_int_equal(ioeventfd_seen.flags, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

/* ---- devices ---- */

static void answers_about_devices_are_told_apart(void **state)
{
    uint64_t value = 0;
    int fd;

    (void)state;
    answer(ENODEV, 0);
    expect(stasis_kvm_device_create(&vm, 77, &fd, &err), STASIS_ERR_UNAVAILABLE, ENODEV);
    assert_false(stasis_kvm_device_exists(&vm, 77));
    answer(EEXIST, 0);
    expect(stasis_kvm_device_create(&vm, 4, &fd, &err), STASIS_ERR_EXISTS, EEXIST);
    answer(EBUSY, 0);
    expect(stasis_kvm_device_create(&vm, 4, &fd, &err), STASIS_ERR_EXISTS, EBUSY);
    answer(ENOMEM, 0);
    expect(stasis_kvm_device_create(&vm, 4, &fd, &err), STASIS_ERR_KVM, ENOMEM);
    answer(ENXIO, 0);
    expect(stasis_kvm_attr_get(7, 1, 2, &value, &err), STASIS_ERR_NOT_FOUND, ENXIO);
    expect(stasis_kvm_attr_set(7, 1, 2, &value, &err), STASIS_ERR_NOT_FOUND, ENXIO);
    assert_false(stasis_kvm_attr_has(7, 1, 2));
    answer(EPERM, 0);
    expect(stasis_kvm_attr_get(7, 1, 2, &value, &err), STASIS_ERR_KVM, EPERM);
    answer(0, 0);
    assert_true(stasis_kvm_device_exists(&vm, 4));
    assert_true(stasis_kvm_attr_has(7, 1, 2));
}

static struct kvm_device_attr attr_seen;

static bool answers_attr(unsigned long request, void *arg, int *ret_result)
{
    attr_seen = *(struct kvm_device_attr *)arg;
    if (request == KVM_GET_DEVICE_ATTR)
        *(uint64_t *)(uintptr_t)attr_seen.addr = 99;
    *ret_result = 0;
    return true;
}

static void an_attribute_is_passed_on_whole(void **state)
{
    uint64_t value = 5;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_attr};
    assert_int_equal(stasis_kvm_attr_set(7, 1, 2, &value, NULL), 0);
    assert_int_equal(attr_seen.group, 1);
    assert_int_equal(attr_seen.attr, 2);
    assert_int_equal(attr_seen.addr, (uintptr_t)&value);
    assert_int_equal(stasis_kvm_attr_get(7, 3, 4, &value, NULL), 0);
    assert_int_equal(value, 99);
    assert_int_equal(attr_seen.group, 3);
    assert_true(stasis_kvm_attr_has(7, 5, 6));
    assert_int_equal(attr_seen.group, 5);
    assert_int_equal(attr_seen.attr, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_once),
        cmocka_unit_test(controllers_that_are_there_are_told),
        cmocka_unit_test(descriptors_of_lines_are_told_apart),
        cmocka_unit_test(no_line_is_no_call),
        cmocka_unit_test(lines_and_their_descriptors_are_passed_on_whole),
        cmocka_unit_test(an_msi_has_both_halves_of_its_address),
        cmocka_unit_test(routes_are_bounded),
        cmocka_unit_test(a_line_is_pins_of_different_chips_or_one_msi),
        cmocka_unit_test(the_entries_are_what_was_asked_for),
        cmocka_unit_test(a_full_table_of_routes_is_an_error_of_its_own),
        cmocka_unit_test(events_that_cannot_be_are_refused),
        cmocka_unit_test(answers_about_events_are_told_apart),
        cmocka_unit_test(an_event_is_passed_on_whole),
        cmocka_unit_test(answers_about_devices_are_told_apart),
        cmocka_unit_test(an_attribute_is_passed_on_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
