/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/kvm/kvm_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stasis/kvm_x86.h"

void rig_init(struct rig *rig, const struct stasis_vm_config *config, bool has_ram, uint32_t flags)
{
    const struct stasis_memory_region layout = {.gpa = 0, .size = RIG_RAM};
    struct stasis_error err;

    *rig = (struct rig){.vcpu_fd = -1};
    kvm_ok(stasis_kvm_open(&rig->kvm, &err), &err);
    kvm_ok(stasis_vm_create(&rig->vm, &rig->kvm, config, &err), &err);
    /* Where a CPU's real mode is emulated, KVM wants pages for itself. */
    kvm_ok(stasis_vm_set_tss_addr(&rig->vm, 0xfffbd000, &err), &err);
    kvm_ok(stasis_slots_init(&rig->slots, &rig->vm, &err), &err);
    if (!has_ram)
        return;
    kvm_ok(stasis_memory_init(&rig->memory, &layout, 1, &err), &err);
    kvm_ok(stasis_slots_add_memory(&rig->slots, &rig->memory, flags, &err), &err);
}

void rig_fini(struct rig *rig)
{
    if (rig->run)
        munmap(rig->run, rig->kvm.run_size);
    if (rig->vcpu_fd >= 0)
        close(rig->vcpu_fd);
    stasis_vm_fini(&rig->vm);
    stasis_slots_fini(&rig->slots);
    stasis_memory_fini(&rig->memory);
    stasis_kvm_close(&rig->kvm);
}

uint8_t *rig_ram(struct rig *rig, uint64_t gpa)
{
    uint8_t *at = stasis_memory_writable(&rig->memory, gpa, 1);

    assert_non_null(at);
    return at;
}

void rig_create_vcpu(struct rig *rig)
{
    rig->vcpu_fd = stasis_kvm_ioctl(rig->vm.fd, KVM_CREATE_VCPU, NULL);
    assert_true(rig->vcpu_fd >= 0);
    rig->run = mmap(NULL, rig->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, rig->vcpu_fd, 0);
    assert_ptr_not_equal(rig->run, MAP_FAILED);
}

void rig_load(struct rig *rig, const void *code, size_t len)
{
    struct kvm_regs regs = {.rip = RIG_CODE, .rsp = 0x800, .rflags = 2};
    struct kvm_sregs sregs;

    if (rig->vcpu_fd < 0)
        rig_create_vcpu(rig);
    memcpy(rig_ram(rig, RIG_CODE), code, len);
    assert_int_equal(stasis_kvm_ioctl(rig->vcpu_fd, KVM_GET_SREGS, &sregs), 0);
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    assert_int_equal(stasis_kvm_ioctl(rig->vcpu_fd, KVM_SET_SREGS, &sregs), 0);
    assert_int_equal(stasis_kvm_ioctl(rig->vcpu_fd, KVM_SET_REGS, &regs), 0);
}

uint32_t rig_run(struct rig *rig)
{
    while (ioctl(rig->vcpu_fd, KVM_RUN, NULL) < 0)
        assert_true(errno == EINTR || errno == EAGAIN);
    return rig->run->exit_reason;
}

struct kvm_regs rig_regs(const struct rig *rig)
{
    struct kvm_regs regs;

    assert_int_equal(stasis_kvm_ioctl(rig->vcpu_fd, KVM_GET_REGS, &regs), 0);
    return regs;
}

int rig_errno(int fd, unsigned long request, void *arg)
{
    return stasis_kvm_ioctl(fd, request, arg) < 0 ? errno : 0;
}
