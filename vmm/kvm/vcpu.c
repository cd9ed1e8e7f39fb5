/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "stasis/kvm_vcpu.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fail.h"

#define CACHE_LINE 64

/* What a vCPU and its duplicates have in common. */
struct stasis_vcpu_shared {
    struct kvm_run *run;
    size_t run_size;
    unsigned refs; /* atomic: duplicates end on any thread */
    bool taken;    /* atomic: some thread has the run handle */
    /* Counted by the vCPU's thread at each exit: in cache lines that nothing else is in. */
    uint8_t before[CACHE_LINE];
    uint64_t exits[STASIS_VCPU_EXIT_REASONS + 1];
    uint8_t behind[CACHE_LINE];
};

/* The vCPU whose run handle this thread has. Of the initial-exec model: a first access to other
 * models may allocate, which a signal handler must not. */
static _Thread_local struct stasis_vcpu_shared *held __attribute__((tls_model("initial-exec")));

static struct stasis_vcpu_shared *held_by_me(void)
{
    return __atomic_load_n(&held, __ATOMIC_RELAXED);
}

static void hold(struct stasis_vcpu_shared *shared)
{
    __atomic_store_n(&held, shared, __ATOMIC_RELAXED);
}

/* ---- life ---- */

static int map_run(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    size_t size = vcpu->vm->kvm->run_size;
    struct stasis_vcpu_shared *shared = calloc(1, sizeof(*shared));

    if (!shared)
        return stasis_fail(err, STASIS_ERR_NOMEM, "no memory for vCPU %" PRIu32, vcpu->id);
    shared->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (shared->run == MAP_FAILED) {
        free(shared);
        return stasis_fail_errno(err, STASIS_ERR_KVM, "mapping struct kvm_run of vCPU %" PRIu32,
                                 vcpu->id);
    }
    shared->run_size = size;
    shared->refs = 1;
    vcpu->shared = shared;
    vcpu->run = shared->run;
    vcpu->run_size = size;
    vcpu->exits = shared->exits;
    return 0;
}

int stasis_vcpu_init(struct stasis_vcpu *vcpu, struct stasis_vm *vm, uint32_t id,
                     const struct stasis_exit_ops *ops, void *ctx, struct stasis_error *err)
{
    struct stasis_vcpu made = {.vm = vm, .id = id, .ops = ops, .ctx = ctx};
    int rc;

    made.fd = stasis_kvm_ioctl(vm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)id);
    if (made.fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE, "KVM cannot make vCPU %" PRIu32, id);
    rc = map_run(&made, err);
    if (rc) {
        close(made.fd);
        return rc;
    }
    made.sync_fields = stasis_kvm_cap(vm->fd, KVM_CAP_SYNC_REGS);
    made.xsave2 = stasis_kvm_cap(vm->fd, KVM_CAP_XSAVE2);
    *vcpu = made;
    return 0;
}

int stasis_vcpu_dup(const struct stasis_vcpu *vcpu, struct stasis_vcpu *ret_vcpu,
                    struct stasis_error *err)
{
    int fd = fcntl(vcpu->fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "cannot duplicate the descriptor of vCPU %" PRIu32, vcpu->id);
    __atomic_add_fetch(&vcpu->shared->refs, 1, __ATOMIC_RELAXED);
    *ret_vcpu = *vcpu;
    ret_vcpu->fd = fd;
    return 0;
}

void stasis_vcpu_fini(struct stasis_vcpu *vcpu)
{
    struct stasis_vcpu_shared *shared = vcpu->shared;

    close(vcpu->fd);
    if (__atomic_sub_fetch(&shared->refs, 1, __ATOMIC_ACQ_REL))
        return;
    if (held_by_me() == shared)
        hold(NULL);
    munmap(shared->run, shared->run_size);
    free(shared);
}

/* ---- running ---- */

static int busy(struct stasis_error *err, const char *whose, uint32_t id)
{
    return STASIS_REFUSE(err, EBUSY, STASIS_ERR_EXISTS, "vCPU %" PRIu32 " cannot be taken: %s", id,
                         whose);
}

int stasis_run_handle_take(struct stasis_run_handle *ret_handle, struct stasis_vcpu *vcpu,
                           struct stasis_error *err)
{
    if (held_by_me() && held_by_me() != vcpu->shared)
        return busy(err, "this thread has the run handle of another", vcpu->id);
    if (__atomic_exchange_n(&vcpu->shared->taken, true, __ATOMIC_ACQUIRE))
        return busy(err, "its run handle is in use", vcpu->id);
    hold(vcpu->shared);
    ret_handle->vcpu = vcpu;
    return 0;
}

/* Whether the calling thread may use the handle. */
static int check_handle(const struct stasis_run_handle *handle, struct stasis_error *err)
{
    if (__builtin_expect(handle->vcpu && handle->vcpu->shared == held_by_me(), true))
        return 0;
    if (!handle->vcpu)
        return STASIS_REFUSE(err, EPERM, STASIS_ERR_ARG, "the run handle has been given back");
    return STASIS_REFUSE(err, EPERM, STASIS_ERR_ARG,
                         "the run handle of vCPU %" PRIu32 " is another thread's",
                         handle->vcpu->id);
}

int stasis_run_handle_give_back(struct stasis_run_handle *handle, struct stasis_error *err)
{
    int rc = check_handle(handle, err);

    if (rc)
        return rc;
    hold(NULL);
    __atomic_store_n(&handle->vcpu->shared->taken, false, __ATOMIC_RELEASE);
    handle->vcpu = NULL;
    return 0;
}

bool stasis_run_handle_is_held(void)
{
    return held_by_me() != NULL;
}

int stasis_run_handle_run(const struct stasis_run_handle *handle, struct stasis_error *err)
{
    int rc = check_handle(handle, err);

    if (rc)
        return rc;
    rc = stasis_vcpu_run_once(handle->vcpu);
    if (rc < 0)
        return stasis_fail(err, STASIS_ERR_GUEST, "the guest ended on vCPU %" PRIu32,
                           handle->vcpu->id);
    return rc;
}

void stasis_vcpu_set_immediate_exit(struct stasis_vcpu *vcpu, bool exit)
{
    __atomic_store_n(&vcpu->run->immediate_exit, exit, __ATOMIC_SEQ_CST);
}

void stasis_vcpu_set_local_immediate_exit(bool exit)
{
    struct stasis_vcpu_shared *shared = held_by_me();

    if (shared)
        __atomic_store_n(&shared->run->immediate_exit, exit, __ATOMIC_SEQ_CST);
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

int stasis_vcpu_set_signal_mask(struct stasis_vcpu *vcpu, const uint64_t *blocked,
                                struct stasis_error *err)
{
    union {
        struct kvm_signal_mask header;
        uint8_t room[sizeof(struct kvm_signal_mask) + sizeof(*blocked)];
    } wanted = {.header.len = sizeof(*blocked)}; /* of the kernel's sigset_t */

    if (!blocked)
        return STASIS_KVM(vcpu->fd, KVM_SET_SIGNAL_MASK, NULL, err);
    memcpy(wanted.room + sizeof(wanted.header), blocked, sizeof(*blocked));
    return STASIS_KVM(vcpu->fd, KVM_SET_SIGNAL_MASK, &wanted, err);
}

int stasis_vcpu_kvmclock_ctrl(const struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    if (!stasis_kvm_ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, NULL) || errno == EINVAL)
        return 0;
    return stasis_fail_errno(err, STASIS_ERR_KVM, "KVM_KVMCLOCK_CTRL");
}

/* ---- interrupts without an interrupt controller in KVM ---- */

void stasis_vcpu_request_interrupt_window(struct stasis_vcpu *vcpu, bool request)
{
    vcpu->run->request_interrupt_window = request;
}

bool stasis_vcpu_is_ready_for_interrupt(const struct stasis_vcpu *vcpu)
{
    return vcpu->run->ready_for_interrupt_injection;
}

int stasis_vcpu_interrupt(struct stasis_vcpu *vcpu, uint32_t vector, struct stasis_error *err)
{
    struct kvm_interrupt interrupt = {.irq = vector};

    return STASIS_KVM(vcpu->fd, KVM_INTERRUPT, &interrupt, err);
}

int stasis_vcpu_nmi(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    return STASIS_KVM(vcpu->fd, KVM_NMI, NULL, err);
}
