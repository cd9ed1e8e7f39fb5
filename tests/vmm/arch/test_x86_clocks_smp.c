/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The TSCs of several vCPUs after a thaw: one offset for all, unless the guest has moved one. The
 * linker turns ioctl(2) into ours (--wrap), which can hide that an offset can be set, as KVM before
 * Linux 5.16 does.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "vmm/arch/x86/x86.h"
#include "vmm/kvm_pattern.h"

#define VCPUS 4

static bool has_no_offset;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (has_no_offset && request == KVM_HAS_DEVICE_ATTR) {
        errno = ENXIO;
        return -1;
    }
    return __real_ioctl(fd, request, arg);
}

static struct kvm_guest guest;

/* KVM looks at its clocks when a vCPU enters the guest. */
static void run_all(void)
{
    uint32_t before[VCPUS];

    for (uint32_t i = 0; i < VCPUS; i++)
        before[i] = kvm_guest_smp_cell(&guest, i);
    kvm_guest_start(&guest);
    for (uint32_t i = 0; i < VCPUS; i++)
        kvm_wait(kvm_guest_smp_cell(&guest, i) != before[i]);
    stasis_machine_pause(&guest.machine);
}

static void need_settable_tsc(void)
{
    if (!kvm_tsc_is_settable())
        kvm_case_skip("this KVM sets no TSC");
}

static void start(void)
{
    kvm_guest_smp_init(&guest, VCPUS);
    for (uint32_t i = 0; i < VCPUS; i++)
        kvm_guest_smp_real(&guest, i, kvm_counting, sizeof(kvm_counting));
}

static uint64_t offset_call(uint32_t id, unsigned long request, uint64_t offset)
{
    struct kvm_device_attr attr = {
        .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&offset};

    assert_int_equal(__real_ioctl(guest.machine.vcpus[id].fd, request, &attr), 0);
    return offset;
}

static uint64_t offset_of(uint32_t id)
{
    return offset_call(id, KVM_GET_DEVICE_ATTR, 0);
}

/* Twice: by this thread, and by the threads of the vCPUs. */
static void freeze_and_thaw(void)
{
    for (unsigned i = 0; i < 2; i++) {
        kvm_refreeze(&guest);
        assert_true(guest.tsc_is_set);
        run_all();
    }
}

static void check_one_offset(void)
{
    bool was_stable;

    start();
    run_all();
    was_stable = stasis_arch_clock_is_stable(&guest.machine.vm);
    freeze_and_thaw();
    print_message("  kvmclock %s stable\n", was_stable ? "is" : "is not");
    assert_int_equal(stasis_arch_clock_is_stable(&guest.machine.vm), was_stable);
    /* Without an offset to set, KVM joins the counters; not where its own is marked unstable. */
    for (uint32_t i = 1; (was_stable || !has_no_offset) && i < VCPUS; i++)
        assert_int_equal(offset_of(i), offset_of(0));
    kvm_guest_fini(&guest);
}

static void all_vcpus_get_one_offset(void)
{
    need_settable_tsc();
    check_one_offset();
}

/* Each reading and each setting takes time, none of which may come between the vCPUs. Whether the
 * TSC can be set is asked before the offset, by which that is told, is hidden. */
static void all_vcpus_get_one_offset_without_one_to_set(void)
{
    need_settable_tsc();
    has_no_offset = true;
    check_one_offset();
}

/* Written by a VMM that read one after the other. */
static void a_difference_that_comes_of_reading_is_dropped(void)
{
    need_settable_tsc();
    start();
    offset_call(1, KVM_SET_DEVICE_ATTR, offset_of(0) + 1000);
    offset_call(3, KVM_SET_DEVICE_ATTR, offset_of(0) - 1000);
    freeze_and_thaw();
    for (uint32_t i = 1; i < VCPUS; i++)
        assert_int_equal(offset_of(i), offset_of(0));
    kvm_guest_fini(&guest);
}

/* To the tick. */
static void what_the_guest_has_moved_stays(void)
{
    need_settable_tsc();
    start();
    offset_call(1, KVM_SET_DEVICE_ATTR, offset_of(0) + 10000000001);
    offset_call(2, KVM_SET_DEVICE_ATTR, offset_of(0) - 10000000003);
    freeze_and_thaw();
    assert_int_equal(offset_of(1), offset_of(0) + 10000000001);
    assert_int_equal(offset_of(2), offset_of(0) - 10000000003);
    assert_int_equal(offset_of(3), offset_of(0));
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(all_vcpus_get_one_offset),
        KVM_CASE(all_vcpus_get_one_offset_without_one_to_set),
        KVM_CASE(a_difference_that_comes_of_reading_is_dropped),
        KVM_CASE(what_the_guest_has_moved_stays),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
