/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every ioctl that a freeze, a thaw and a reset of three vCPUs ask of KVM fails once, on whatever
 * thread it is made. The linker turns ioctl(2) into ours (--wrap).
 */
#include "vmm/kvm_guest.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/arch/arch.h"

#define VCPUS     3
#define CALLS_MAX 2000

static _Atomic int left; /* until one fails; 0 or less: none does */
static _Atomic unsigned long failed;
static _Atomic unsigned told; /* of pauses: by KVM_KVMCLOCK_CTRL */

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (request == KVM_KVMCLOCK_CTRL)
        atomic_fetch_add(&told, 1);
    if (_IOC_TYPE(request) == KVMIO && request != KVM_RUN && atomic_fetch_sub(&left, 1) == 1) {
        atomic_store(&failed, request);
        errno = EIO;
        return -1;
    }
    return __real_ioctl(fd, request, arg);
}

static void fail_at(int number)
{
    atomic_store(&failed, 0);
    atomic_store(&left, number);
}

/* What KVM says it has not is done without. A guest may have no kvmclock; a line cannot fail. */
static bool may_pass(unsigned long request)
{
    return request == KVM_CHECK_EXTENSION || request == KVM_HAS_DEVICE_ATTR ||
           request == KVM_KVMCLOCK_CTRL || request == KVM_IRQ_LINE;
}

static struct kvm_guest guest;

static void start(void)
{
    kvm_guest_smp_init(&guest, VCPUS);
    for (uint32_t i = 0; i < VCPUS; i++)
        kvm_guest_smp_real(&guest, i, kvm_counting, sizeof(kvm_counting));
    kvm_guest_start(&guest);
}

static void assert_all_count(void)
{
    uint32_t before[VCPUS];

    for (uint32_t i = 0; i < VCPUS; i++)
        before[i] = kvm_guest_smp_cell(&guest, i);
    for (uint32_t i = 0; i < VCPUS; i++)
        kvm_wait(kvm_guest_smp_cell(&guest, i) != before[i]);
}

/* The guest is asked to stop, and runs on, each time. False: there are not that many calls. */
static bool freeze_with_fault(int number, unsigned *refused)
{
    struct stasis_snap *snap = NULL;
    struct stasis_error err;
    int rc;

    stasis_machine_pause(&guest.machine);
    fail_at(number);
    rc = stasis_freeze(&guest.machine, 0, &snap, &err);
    atomic_store(&left, 0);
    stasis_machine_resume(&guest.machine);
    assert_all_count();
    if (!rc) {
        stasis_snap_free(snap);
        assert_true(!atomic_load(&failed) || may_pass(atomic_load(&failed)));
        return atomic_load(&failed);
    }
    (*refused)++;
    assert_int_equal(rc, STASIS_ERR_KVM);
    assert_non_null(strstr(err.msg, "saving "));
    return true;
}

static void every_ioctl_of_a_freeze_fails_once(void)
{
    unsigned refused = 0;
    int number = 1;

    start();
    while (freeze_with_fault(number, &refused)) {
        number++;
        assert_in_range(number, 1, CALLS_MAX);
    }
    print_message("  EIO at each of %d ioctls: %u refused, the guest went on each time\n",
                  number - 1, refused);
    assert_true(refused >= VCPUS * 8);
    kvm_guest_fini(&guest);
}

/* What is refused leaves nothing: no descriptor, no thread. */
static bool thaw_with_fault(struct stasis_snap *snap, int number, unsigned *refused)
{
    const struct stasis_thaw_options options = {.clock = STASIS_CLOCK_CONTINUE};
    unsigned fds = kvm_open_fds();
    struct stasis_error err;
    int rc;

    fail_at(number);
    rc = kvm_try_thaw(&guest, snap, &options, &err);
    atomic_store(&left, 0);
    if (!rc) {
        kvm_guest_fini(&guest);
        assert_true(!atomic_load(&failed) || may_pass(atomic_load(&failed)));
    } else {
        (*refused)++;
        assert_true(rc == STASIS_ERR_KVM || rc == STASIS_ERR_UNAVAILABLE || rc == STASIS_ERR_HOST);
        assert_null(strchr(err.msg, '\n'));
    }
    assert_int_equal(kvm_open_fds(), fds);
    return atomic_load(&failed);
}

static void every_ioctl_of_a_thaw_fails_once(void)
{
    struct stasis_snap *snap;
    unsigned refused = 0;
    int number = 1;

    start();
    stasis_machine_pause(&guest.machine);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    while (thaw_with_fault(snap, number, &refused)) {
        number++;
        assert_in_range(number, 1, CALLS_MAX);
    }
    print_message("  EIO at each of %d ioctls: %u refused, %u done without\n", number - 1, refused,
                  (unsigned)number - 1 - refused);
    assert_true(refused >= VCPUS * 8);
    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
    stasis_snap_free(snap);
    kvm_guest_start(&guest);
    assert_all_count();
    kvm_guest_fini(&guest);
}

/* Whether a reset asks for so many calls. One that fails leaves no machine, and says why. */
static bool reset_with_fault(int number, unsigned *refused)
{
    unsigned fds = kvm_open_fds();
    struct stasis_error err;
    int rc;

    kvm_guest_smp_init(&guest, VCPUS);
    fail_at(number);
    rc = stasis_machine_reset(&guest.machine, &err);
    atomic_store(&left, 0);
    if (!rc) {
        assert_int_equal(atomic_load(&guest.machine.end), STASIS_EXIT_NONE);
        assert_true(!atomic_load(&failed) || may_pass(atomic_load(&failed)));
    } else {
        (*refused)++;
        assert_int_equal(kvm_open_fds(), fds);
        assert_int_equal(atomic_load(&guest.machine.end), STASIS_EXIT_CRASHED);
        assert_true(rc == STASIS_ERR_KVM || rc == STASIS_ERR_UNAVAILABLE);
        assert_null(strchr(err.msg, '\n'));
        assert_string_equal(guest.machine.end_error.msg, err.msg);
    }
    kvm_guest_fini(&guest);
    assert_int_equal(kvm_open_fds(), fds);
    return atomic_load(&failed);
}

static void every_ioctl_of_a_reset_fails_once(void)
{
    unsigned refused = 0;
    int number = 1;

    while (reset_with_fault(number, &refused)) {
        number++;
        assert_in_range(number, 1, CALLS_MAX);
    }
    print_message("  EIO at each of %d ioctls: %u refused, %u done without\n", number - 1, refused,
                  (unsigned)number - 1 - refused);
    assert_true(refused >= VCPUS * 4);
}

/* At each resume, and in a thaw before the first run. */
static void every_vcpu_is_told_of_pauses(void)
{
    struct stasis_snap *snap;

    start();
    for (unsigned i = 0; i < 3; i++) {
        stasis_machine_pause(&guest.machine);
        atomic_store(&told, 0);
        stasis_machine_resume(&guest.machine);
        kvm_wait(atomic_load(&told) == VCPUS);
    }
    stasis_machine_pause(&guest.machine);
    snap = kvm_freeze(&guest, NULL);
    kvm_guest_fini(&guest);
    atomic_store(&told, 0);
    kvm_thaw(&guest, snap, STASIS_CLOCK_CONTINUE);
    assert_int_equal(atomic_load(&told), VCPUS);
    stasis_snap_free(snap);
    kvm_guest_fini(&guest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(every_ioctl_of_a_freeze_fails_once),
        KVM_CASE(every_ioctl_of_a_thaw_fails_once),
        KVM_CASE(every_ioctl_of_a_reset_fails_once),
        KVM_CASE(every_vcpu_is_told_of_pauses),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
