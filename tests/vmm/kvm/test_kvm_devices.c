/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Devices and attributes, under real KVM.
 */
#include "vmm/kvm/kvm_rig.h"

#include <errno.h>
#include <unistd.h>

#include "stasis/kvm_device.h"

static struct rig rig;
static struct stasis_error err;

static void create_device_of_type_77_is_enodev(void)
{
    int fd = -7;

    rig_init(&rig, NULL, false, 0);
    assert_false(stasis_kvm_device_exists(&rig.vm, 77));
    assert_int_equal(stasis_kvm_device_create(&rig.vm, 77, &fd, &err), STASIS_ERR_UNAVAILABLE);
    assert_int_equal(err.os_errno, ENODEV);
    assert_int_equal(fd, -7);
    rig_fini(&rig);
}

static void create_device_vfio(void)
{
    const int32_t no_group = -1;
    int fd = -7, second = -7;

    rig_init(&rig, NULL, false, 0);
    if (!stasis_kvm_device_exists(&rig.vm, KVM_DEV_TYPE_VFIO)) {
        assert_int_equal(stasis_kvm_device_create(&rig.vm, KVM_DEV_TYPE_VFIO, &fd, &err),
                         STASIS_ERR_UNAVAILABLE);
        kvm_case_skip(err.msg);
    }
    kvm_ok(stasis_kvm_device_create(&rig.vm, KVM_DEV_TYPE_VFIO, &fd, &err), &err);
    assert_int_equal(stasis_kvm_device_create(&rig.vm, KVM_DEV_TYPE_VFIO, &second, &err),
                     STASIS_ERR_EXISTS);
    assert_true(stasis_kvm_attr_has(fd, KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD));
    assert_false(stasis_kvm_attr_has(fd, KVM_DEV_VFIO_GROUP, 77));
    assert_int_equal(
        stasis_kvm_attr_set(fd, KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD, &no_group, &err),
        STASIS_ERR_KVM);
    assert_int_equal(err.os_errno, EBADF);
    assert_int_equal(stasis_kvm_attr_set(fd, 77, 1, &no_group, &err), STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENXIO);
    close(fd);
    rig_fini(&rig);
}

static void attributes_of_a_vcpu(void)
{
    uint64_t offset = 0, again = 1;

    rig_init(&rig, NULL, false, 0);
    rig_create_vcpu(&rig);
    if (!stasis_kvm_attr_has(rig.vcpu_fd, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET)) {
        assert_int_not_equal(
            stasis_kvm_attr_get(rig.vcpu_fd, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &offset, &err),
            0);
        kvm_case_skip("this KVM has no TSC offset");
    }
    kvm_ok(stasis_kvm_attr_get(rig.vcpu_fd, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &offset, &err),
           &err);
    kvm_ok(stasis_kvm_attr_set(rig.vcpu_fd, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &offset, &err),
           &err);
    kvm_ok(stasis_kvm_attr_get(rig.vcpu_fd, KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET, &again, &err),
           &err);
    assert_int_equal(offset, again);
    assert_false(stasis_kvm_attr_has(rig.vcpu_fd, KVM_VCPU_TSC_CTRL, 77));
    assert_int_equal(stasis_kvm_attr_get(rig.vcpu_fd, KVM_VCPU_TSC_CTRL, 77, &again, &err),
                     STASIS_ERR_NOT_FOUND);
    assert_int_equal(err.os_errno, ENXIO);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        KVM_CASE(create_device_of_type_77_is_enodev),
        KVM_CASE(create_device_vfio),
        KVM_CASE(attributes_of_a_vcpu),
    };
    int missing = kvm_missing();

    return missing ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
