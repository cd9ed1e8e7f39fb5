/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * VMs that KVM does not make as asked, without KVM.
 */
#include "vmm/kvm/failing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stasis/kvm_vcpu.h"
#include "stasis/kvm_vm.h"

static const uint64_t on[4] = {1};

static int use_vm(const struct stasis_vm_config *config, struct stasis_error *err)
{
    struct stasis_kvm kvm = {.fd = -1};
    struct stasis_vm vm = {.fd = -1}, twin = {.fd = -1};
    int rc = stasis_kvm_open(&kvm, err);

    if (!rc) {
        rc = stasis_vm_create(&vm, &kvm, config, err);
        assert_int_equal(vm.fd < 0, rc != 0);
    }
    if (!rc) {
        failing_fill(twin);
        rc = stasis_vm_dup(&vm, &twin, err);
        failing_unchanged(rc, twin);
        if (rc)
            twin.fd = -1;
        else
            assert_in_range(twin.fd, 0, INT32_MAX);
    }
    if (!rc)
        rc = stasis_vm_enable_cap(&twin, KVM_CAP_EXCEPTION_PAYLOAD, on, err);
    if (!rc)
        rc = stasis_vm_set_boot_cpu(&vm, 1, err);
    stasis_vm_fini(&vm);
    stasis_vm_fini(&vm);
    stasis_vm_fini(&twin);
    stasis_kvm_close(&kvm);
    return rc;
}

static int use_default(struct stasis_error *err)
{
    return use_vm(NULL, err);
}

static int use_manual_log(struct stasis_error *err)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true};

    return use_vm(&config, err);
}

static int use_ring(struct stasis_error *err)
{
    static const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_RING};

    return use_vm(&config, err);
}

static void every_call_fails_once(void **state)
{
    (void)state;
    failing_run(use_default, 0);
    failing_run(use_manual_log, 0);
    failing_run(use_ring, 0);
}

/* ---- refusals ---- */

static unsigned missing_cap[2];

static bool answers_without_cap(unsigned long request, void *arg, int *ret_result)
{
    *ret_result = 0;
    return request == KVM_CHECK_EXTENSION &&
           ((uintptr_t)arg == missing_cap[0] || (uintptr_t)arg == missing_cap[1]);
}

static int create(const struct stasis_vm_config *config, struct stasis_error *err)
{
    struct stasis_kvm kvm;
    struct stasis_vm vm;
    int rc;

    fake_kvm = (struct fake_kvm){.answer = answers_without_cap};
    assert_int_equal(stasis_kvm_open(&kvm, err), 0);
    rc = stasis_vm_create(&vm, &kvm, config, err);
    if (rc)
        assert_int_equal(vm.fd, -1);
    stasis_vm_fini(&vm);
    stasis_kvm_close(&kvm);
    return rc;
}

static void what_kvm_lacks_is_named(void **state)
{
    static const struct stasis_vm_config ring = {.dirty = STASIS_DIRTY_RING};
    static const struct stasis_vm_config manual = {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true};
    static const struct stasis_vm_config plain = {.dirty = STASIS_DIRTY_LOG};
    struct stasis_error err;

    (void)state;
    missing_cap[0] = KVM_CAP_DIRTY_LOG_RING_ACQ_REL;
    missing_cap[1] = 0;
    assert_int_equal(create(&ring, &err), 0); /* by the older capability */
    missing_cap[1] = KVM_CAP_DIRTY_LOG_RING;
    assert_int_equal(create(&ring, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, EINVAL);
    assert_non_null(strstr(err.msg, "dirty rings: this KVM lacks capability 192"));
    missing_cap[0] = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2;
    assert_int_equal(create(&manual, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "clearing dirty logs in parts"));
    assert_int_equal(create(&plain, &err), 0);
}

static void types_that_kvm_lacks_are_named(void **state)
{
    static const unsigned long types[] = {1, 5, 31, 32, 77, 1ul << 40};
    struct stasis_error err;

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const struct stasis_vm_config config = {.type = types[i]};

        assert_int_equal(create(&config, &err), STASIS_ERR_UNAVAILABLE);
        assert_int_equal(err.os_errno, EINVAL);
    }
    assert_non_null(strstr(err.msg, "(unknown)"));
}

static bool answers_types(unsigned long request, void *arg, int *ret_result)
{
    *ret_result = 2; /* software-protected; the default is there all the same */
    return request == KVM_CHECK_EXTENSION && (uintptr_t)arg == 235;
}

static void types_that_kvm_has_are_made(void **state)
{
    static const struct stasis_vm_config config = {.type = 1};
    struct stasis_error err;
    struct stasis_kvm kvm;
    struct stasis_vm vm;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_types};
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    assert_int_equal(stasis_kvm_vm_types(&kvm), 3);
    assert_int_equal(stasis_vm_create(&vm, &kvm, &config, &err), 0);
    stasis_vm_fini(&vm);
    assert_int_equal(stasis_vm_create(&vm, &kvm, NULL, &err), 0);
    stasis_vm_fini(&vm);
    stasis_kvm_close(&kvm);
}

static void sizes_of_rings_are_checked(void **state)
{
    static const struct {
        uint32_t size;
        int rc, number;
    } cases[] = {{0x1000, 0, 0},
                 {0x100000, 0, 0}, /* what the fake has */
                 {0x800, STASIS_ERR_ARG, EINVAL},
                 {1, STASIS_ERR_ARG, EINVAL},
                 {0x1800, STASIS_ERR_ARG, EINVAL},
                 {0x200000, STASIS_ERR_RANGE, E2BIG},
                 {0x80000000, STASIS_ERR_RANGE, E2BIG}};
    struct stasis_error err;
    char named[64];

    (void)state;
    missing_cap[0] = missing_cap[1] = UINT32_MAX;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct stasis_vm_config config = {.dirty = STASIS_DIRTY_RING,
                                                .dirty_ring_size = cases[i].size};

        assert_int_equal(create(&config, &err), cases[i].rc);
        if (!cases[i].rc)
            continue;
        assert_int_equal(err.os_errno, cases[i].number);
        snprintf(named, sizeof(named), "a dirty ring of %u bytes: ", (unsigned)cases[i].size);
        assert_non_null(strstr(err.msg, named));
        if (cases[i].number == E2BIG)
            assert_non_null(strstr(err.msg, "largest has 1048576"));
    }
}

static unsigned long failing_request;
static int failing_errno;

static bool answers_errno(unsigned long request, void *arg, int *ret_result)
{
    (void)arg;
    errno = failing_errno;
    *ret_result = -1;
    return request == failing_request;
}

/* KVM keeps entries in reserve, more of them on Intel. */
static void a_ring_that_is_too_small_says_what_is_enough(void **state)
{
    static const struct stasis_vm_config small = {.dirty = STASIS_DIRTY_RING,
                                                  .dirty_ring_size = 0x2000};
    static const struct stasis_vm_config enough = {.dirty = STASIS_DIRTY_RING,
                                                   .dirty_ring_size = 0x4000};
    static const struct stasis_vm_config standard = {.dirty = STASIS_DIRTY_RING};
    struct stasis_error err;
    struct stasis_kvm kvm;
    struct stasis_vm vm;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_errno};
    failing_errno = EINVAL;
    failing_request = KVM_ENABLE_CAP;
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    assert_int_equal(stasis_vm_create(&vm, &kvm, &small, &err), STASIS_ERR_RANGE);
    assert_int_equal(err.os_errno, EINVAL);
    assert_non_null(strstr(err.msg, "use 16 KiB or more"));
    assert_int_equal(stasis_vm_create(&vm, &kvm, &enough, &err), STASIS_ERR_KVM);
    assert_int_equal(stasis_vm_create(&vm, &kvm, &standard, &err), STASIS_ERR_KVM);
    failing_errno = ENOMEM;
    assert_int_equal(stasis_vm_create(&vm, &kvm, &small, &err), STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, ENOMEM);
    stasis_kvm_close(&kvm);
}

static void a_busy_cpu_and_a_vcpu_that_is_there_are_told(void **state)
{
    struct stasis_error err;
    struct stasis_kvm kvm;
    struct stasis_vm vm;

    (void)state;
    fake_kvm = (struct fake_kvm){.answer = answers_errno};
    failing_errno = EBUSY;
    failing_request = KVM_CREATE_VM;
    assert_int_equal(stasis_kvm_open(&kvm, &err), 0);
    assert_int_equal(stasis_vm_create(&vm, &kvm, NULL, &err), STASIS_ERR_UNAVAILABLE);
    assert_non_null(strstr(err.msg, "another hypervisor"));
    failing_errno = ENOMEM;
    assert_int_equal(stasis_vm_create(&vm, &kvm, NULL, &err), STASIS_ERR_UNAVAILABLE);
    assert_null(strstr(err.msg, "another hypervisor"));
    failing_errno = EBUSY;
    failing_request = KVM_SET_BOOT_CPU_ID;
    assert_int_equal(stasis_vm_create(&vm, &kvm, NULL, &err), 0);
    assert_int_equal(stasis_vm_set_boot_cpu(&vm, 3, &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EBUSY);
    stasis_vm_fini(&vm);
    stasis_kvm_close(&kvm);
}

/* ---- descriptor 0 ---- */

static void close_before(unsigned step, unsigned at)
{
    if (step == at)
        close(STDIN_FILENO);
}

struct handles {
    struct stasis_kvm kvm, twin, passed;
    struct stasis_vm vm, vm_twin;
    struct stasis_vcpu vcpu, vcpu_twin;
};

/* One of each kind, with descriptor 0 free before the one of this number. */
static void open_handles(struct handles *all, unsigned at)
{
    static const struct stasis_exit_ops ops;

    close_before(0, at);
    assert_int_equal(stasis_kvm_open(&all->kvm, NULL), 0);
    close_before(1, at);
    assert_int_equal(stasis_kvm_dup(&all->kvm, &all->twin, NULL), 0);
    close_before(2, at);
    assert_int_equal(stasis_kvm_open_fd(all->kvm.fd, &all->passed, NULL), 0);
    close_before(3, at);
    assert_int_equal(stasis_vm_create(&all->vm, &all->kvm, NULL, NULL), 0);
    close_before(4, at);
    assert_int_equal(stasis_vm_dup(&all->vm, &all->vm_twin, NULL), 0);
    close_before(5, at);
    assert_int_equal(stasis_vcpu_init(&all->vcpu, &all->vm, 0, &ops, NULL, NULL), 0);
    close_before(6, at);
    assert_int_equal(stasis_vcpu_dup(&all->vcpu, &all->vcpu_twin, NULL), 0);
}

static void expect_zero(const struct handles *all, unsigned at)
{
    const int fds[] = {all->kvm.fd,     all->twin.fd, all->passed.fd,   all->vm.fd,
                       all->vm_twin.fd, all->vcpu.fd, all->vcpu_twin.fd};

    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(fds[i] == STDIN_FILENO, i == at);
}

static void close_handles(struct handles *all)
{
    stasis_vcpu_fini(&all->vcpu_twin);
    stasis_vcpu_fini(&all->vcpu);
    stasis_vm_fini(&all->vm_twin);
    stasis_vm_fini(&all->vm);
    stasis_kvm_close(&all->passed);
    stasis_kvm_close(&all->twin);
    stasis_kvm_close(&all->kvm);
}

/* A process that was started without standard input gets it for what it opens. */
static void descriptor_0_is_like_any_other(void **state)
{
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    struct handles all;

    (void)state;
    assert_true(saved >= 0);
    for (unsigned at = 0; at < 7; at++) {
        fake_kvm = (struct fake_kvm){0};
        open_handles(&all, at);
        expect_zero(&all, at);
        close_handles(&all);
        assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1); /* it is closed again */
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
    }
    close(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_once),
        cmocka_unit_test(what_kvm_lacks_is_named),
        cmocka_unit_test(types_that_kvm_lacks_are_named),
        cmocka_unit_test(types_that_kvm_has_are_made),
        cmocka_unit_test(sizes_of_rings_are_checked),
        cmocka_unit_test(a_ring_that_is_too_small_says_what_is_enough),
        cmocka_unit_test(a_busy_cpu_and_a_vcpu_that_is_there_are_told),
        cmocka_unit_test(descriptor_0_is_like_any_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
