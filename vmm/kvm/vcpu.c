/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- exits ---- */

static uint64_t load_le(const uint8_t *bytes, unsigned len)
{
    uint64_t value = 0;

    memcpy(&value, bytes, len);
    return value;
}

/* One exit can carry several elements (REP INS, REP OUTS): each is its own access. */
static void handle_pio(const struct stasis_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
        if (run->io.direction == KVM_EXIT_IO_OUT) {
            vcpu->ops->pio_write(vcpu->ctx, run->io.port, run->io.size,
                                 load_le(data, run->io.size));
        } else {
            uint64_t value = vcpu->ops->pio_read(vcpu->ctx, run->io.port, run->io.size);

            memcpy(data, &value, run->io.size);
        }
    }
}

static void handle_mmio(const struct stasis_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;
    unsigned len = run->mmio.len <= 8 ? run->mmio.len : 8;

    if (run->mmio.is_write) {
        vcpu->ops->mmio_write(vcpu->ctx, run->mmio.phys_addr, len, load_le(run->mmio.data, len));
    } else {
        uint64_t value = vcpu->ops->mmio_read(vcpu->ctx, run->mmio.phys_addr, len);

        memcpy(run->mmio.data, &value, sizeof(value));
    }
}

/* The guest cannot go on. -1, so that callers can return it. */
static int failed(struct stasis_vcpu *vcpu, const char *why, uint64_t detail)
{
    vcpu->ops->failed(vcpu->ctx, vcpu, why, detail);
    return -1;
}

static int handle_exit(struct stasis_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    switch (run->exit_reason) {
    case KVM_EXIT_IO:
        handle_pio(vcpu);
        break;
    case KVM_EXIT_MMIO:
        handle_mmio(vcpu);
        break;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN:
        break;
    case KVM_EXIT_SHUTDOWN:
        return failed(vcpu, "triple fault", 0);
    case KVM_EXIT_INTERNAL_ERROR:
        return failed(vcpu, "KVM internal error (an instruction it cannot emulate?)",
                      run->internal.suberror);
    case KVM_EXIT_FAIL_ENTRY:
        return failed(vcpu, "the CPU refused to enter it",
                      run->fail_entry.hardware_entry_failure_reason);
    case KVM_EXIT_SYSTEM_EVENT:
        return failed(vcpu, "KVM system event", run->system_event.type);
    default:
        return failed(vcpu, "KVM exit that this VMM does not know", run->exit_reason);
    }
    return !vcpu->ops->may_run || vcpu->ops->may_run(vcpu->ctx) ? 0 : -1;
}

int stasis_vcpu_run_once(struct stasis_vcpu *vcpu)
{
    if (ioctl(vcpu->fd, KVM_RUN, NULL) < 0) {
        if (errno == EINTR || errno == EAGAIN)
            return 1;
        /* EFAULT: guest memory that the host cannot read, such as a failing disk beneath it. */
        return failed(vcpu, strerror(errno), (uint64_t)errno);
    }
    return handle_exit(vcpu);
}

void stasis_vcpu_set_immediate_exit(struct stasis_vcpu *vcpu, bool exit)
{
    __atomic_store_n(&vcpu->run->immediate_exit, exit, __ATOMIC_SEQ_CST);
}

/* Entering KVM_RUN completes the I/O; immediate_exit brings it back before any guest code. An
 * access that crosses a page comes in parts, each an exit of its own. */
int stasis_vcpu_complete_io(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    int rc;

    stasis_vcpu_set_immediate_exit(vcpu, true);
    do {
        rc = stasis_vcpu_run_once(vcpu);
    } while (!rc);
    stasis_vcpu_set_immediate_exit(vcpu, false);
    if (rc < 0)
        return stasis_fail(err, STASIS_ERR_GUEST,
                           "the guest ended while vCPU %" PRIu32 " completed an access", vcpu->id);
    return 0;
}

/* ---- birth and death ---- */

int stasis_vcpu_init(struct stasis_vcpu *vcpu, struct stasis_vm *vm, uint32_t id,
                     const struct stasis_exit_ops *ops, void *ctx, struct stasis_error *err)
{
    void *run;

    memset(vcpu, 0, sizeof(*vcpu));
    vcpu->vm = vm;
    vcpu->id = id;
    vcpu->ops = ops;
    vcpu->ctx = ctx;
    vcpu->fd = stasis_kvm_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)id);
    if (vcpu->fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "KVM cannot make vCPU %" PRIu32, id);
    run = mmap(NULL, vm->kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED) {
        close(vcpu->fd);
        return stasis_fail_errno(err, STASIS_ERR_KVM, "mapping struct kvm_run of vCPU %" PRIu32,
                                 id);
    }
    vcpu->run = run;
    return 0;
}

void stasis_vcpu_fini(struct stasis_vcpu *vcpu)
{
    munmap(vcpu->run, vcpu->vm->kvm->run_size);
    close(vcpu->fd);
}
