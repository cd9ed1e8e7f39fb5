/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * VMs, under real KVM.
 */
#include "vmm/kvm/kvm_rig.h"

#include <errno.h>
#include <linux/kvm_para.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct rig rig;
static struct stasis_error err;

static void create_vm(void)
{
    rig_init(&rig, NULL, false, 0);
    assert_true(rig.vm.fd >= 0);
    assert_int_equal(rig.vm.dirty, STASIS_DIRTY_NONE);
    rig_fini(&rig);
}

static void create_vm_type_77_is_refused_by_name(void)
{
    const struct stasis_vm_config config = {.type = 77};
    struct stasis_vm vm;

    rig_init(&rig, NULL, false, 0);
    assert_int_equal(stasis_vm_create(&vm, &rig.kvm, &config, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(vm.fd, -1);
    assert_int_equal(err.os_errno, EINVAL);
    assert_non_null(strstr(err.msg, "type 77"));
    assert_int_equal(rig_errno(rig.kvm.fd, KVM_CREATE_VM, (void *)(uintptr_t)77), EINVAL);
    rig_fini(&rig);
}

static void clone_vm_outlives_the_original(void)
{
    struct stasis_vm twin;

    rig_init(&rig, NULL, true, 0);
    kvm_ok(stasis_vm_dup(&rig.vm, &twin, &err), &err);
    assert_int_not_equal(twin.fd, rig.vm.fd);
    assert_ptr_equal(twin.memory, &rig.memory);
    stasis_vm_fini(&rig.vm);
    assert_true(stasis_vm_cap(&twin, KVM_CAP_USER_MEMORY));
    stasis_vm_fini(&twin);
    rig_fini(&rig);
}

static void *use_vm(void *arg)
{
    const struct stasis_vm *vm = arg;
    int fd = stasis_kvm_ioctl(vm->fd, KVM_CREATE_VCPU, NULL);

    if (fd >= 0)
        close(fd);
    return fd >= 0 ? arg : NULL;
}

static void send_vm_to_another_thread(void)
{
    pthread_t thread;
    void *result;

    rig_init(&rig, NULL, false, 0);
    assert_int_equal(pthread_create(&thread, NULL, use_vm, &rig.vm), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &rig.vm);
    rig_fini(&rig);
}

static void check_vm_capability_user_memory_is_there_and_s390_is_not(void)
{
    rig_init(&rig, NULL, false, 0);
    assert_true(stasis_vm_cap(&rig.vm, KVM_CAP_USER_MEMORY));
    assert_int_equal(stasis_vm_cap(&rig.vm, KVM_CAP_S390_USER_SIGP), 0);
    rig_fini(&rig);
}

static void check_vm_arch_capability_pvclock(void)
{
    rig_init(&rig, NULL, false, 0);
    assert_true(stasis_vm_cap(&rig.vm, KVM_CAP_ADJUST_CLOCK));
    assert_true(stasis_vm_cap(&rig.vm, KVM_CAP_KVMCLOCK_CTRL));
    rig_fini(&rig);
}

static void a_capability_is_enabled_or_refused(void)
{
    const uint64_t args[4] = {1};

    rig_init(&rig, NULL, false, 0);
    assert_int_equal(stasis_vm_enable_cap(&rig.vm, KVM_CAP_S390_USER_SIGP, NULL, &err),
                     STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, EINVAL);
    assert_int_equal(stasis_kvm_enable_cap(rig.vm.fd, KVM_CAP_S390_USER_SIGP, NULL, &err),
                     STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
    if (!rig.kvm.has_exception_payload)
        kvm_case_skip("this KVM has no exception payloads; what it lacks is refused");
    kvm_ok(stasis_vm_enable_cap(&rig.vm, KVM_CAP_EXCEPTION_PAYLOAD, args, &err), &err);
    rig_fini(&rig);
}

/* Which hypercalls exit is a bitmap, and the capability's value is those that can. */
static void hypercalls_exit_or_are_refused(void)
{
    uint64_t args[4] = {UINT64_C(1) << KVM_HC_MAP_GPA_RANGE};
    int exits;

    rig_init(&rig, NULL, false, 0);
    exits = stasis_vm_cap(&rig.vm, KVM_CAP_EXIT_HYPERCALL);
    if (!exits) {
        assert_int_equal(stasis_vm_enable_cap(&rig.vm, KVM_CAP_EXIT_HYPERCALL, args, &err),
                         STASIS_ERR_UNAVAILABLE);
        kvm_case_skip("this KVM has no exits of hypercalls; it says so");
    }
    assert_true((unsigned)exits >> KVM_HC_MAP_GPA_RANGE & 1);
    kvm_ok(stasis_vm_enable_cap(&rig.vm, KVM_CAP_EXIT_HYPERCALL, args, &err), &err);
    args[0] = ~(uint64_t)(unsigned)exits;
    assert_int_equal(stasis_vm_enable_cap(&rig.vm, KVM_CAP_EXIT_HYPERCALL, args, &err),
                     STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EINVAL);
    rig_fini(&rig);
}

static void boot_cpu_id_is_set_before_the_first_vcpu(void)
{
    rig_init(&rig, NULL, false, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_SET_BOOT_CPU_ID)) {
        assert_int_not_equal(stasis_vm_set_boot_cpu(&rig.vm, 1, &err), 0);
        kvm_case_skip("this KVM has no choice of the first vCPU");
    }
    kvm_ok(stasis_vm_set_boot_cpu(&rig.vm, 1, &err), &err);
    rig_create_vcpu(&rig);
    assert_int_equal(stasis_vm_set_boot_cpu(&rig.vm, 0, &err), STASIS_ERR_EXISTS);
    assert_int_equal(err.os_errno, EBUSY);
    rig_fini(&rig);
}

/* ---- dirty tracking, chosen at creation ---- */

static void dirty_modes_are_made_or_refused(void)
{
    static const struct stasis_vm_config configs[] = {
        {.dirty = STASIS_DIRTY_LOG},
        {.dirty = STASIS_DIRTY_LOG, .dirty_manual = true},
        {.dirty = STASIS_DIRTY_RING},
        {.dirty = STASIS_DIRTY_RING, .dirty_ring_size = 0x8000},
    };
    bool lacks = false;

    kvm_ok(stasis_kvm_open(&rig.kvm, &err), &err);
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        struct stasis_vm vm;
        int rc = stasis_vm_create(&vm, &rig.kvm, &configs[i], &err);

        if (rc) { /* a KVM without it says so */
            assert_int_equal(rc, STASIS_ERR_UNAVAILABLE);
            assert_int_equal(vm.fd, -1);
            assert_true(i > 0);
            lacks = true;
            continue;
        }
        assert_int_equal(vm.dirty, configs[i].dirty);
        assert_int_equal(vm.dirty_manual, configs[i].dirty_manual);
        assert_int_equal(vm.dirty_ring_size, i < 2 ? 0 : i == 2 ? 0x10000 : 0x8000);
        stasis_vm_fini(&vm);
    }
    stasis_kvm_close(&rig.kvm);
    if (lacks)
        kvm_case_skip("this KVM lacks a way of dirty tracking; it says so");
}

static void the_ring_cannot_be_enabled_after_a_vcpu(void)
{
    struct kvm_enable_cap ring = {.cap = KVM_CAP_DIRTY_LOG_RING, .args = {0x10000}};

    rig_init(&rig, NULL, false, 0);
    if (!stasis_vm_cap(&rig.vm, KVM_CAP_DIRTY_LOG_RING))
        kvm_case_skip("this KVM has no dirty rings");
    rig_create_vcpu(&rig);
    assert_int_equal(rig_errno(rig.vm.fd, KVM_ENABLE_CAP, &ring), EINVAL);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(create_vm),
        KVM_CASE(create_vm_type_77_is_refused_by_name),
        KVM_CASE(clone_vm_outlives_the_original),
        KVM_CASE(send_vm_to_another_thread),
        KVM_CASE(check_vm_capability_user_memory_is_there_and_s390_is_not),
        KVM_CASE(check_vm_arch_capability_pvclock),
        KVM_CASE(a_capability_is_enabled_or_refused),
        KVM_CASE(hypercalls_exit_or_are_refused),
        KVM_CASE(boot_cpu_id_is_set_before_the_first_vcpu),
        KVM_CASE(dirty_modes_are_made_or_refused),
        KVM_CASE(the_ring_cannot_be_enabled_after_a_vcpu),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
