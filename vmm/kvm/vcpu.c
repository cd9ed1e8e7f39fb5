/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "vmm/kvm/vcpu.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "stasis/fault_signals.h"
#include "vmm/base/clock.h"

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
    return vcpu->ops->may_run(vcpu->ctx) ? 0 : -1;
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

/* Entering KVM_RUN completes the I/O; immediate_exit brings it back before any guest code. An
 * access that crosses a page comes in parts, each an exit of its own. */
int stasis_vcpu_complete_io(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    int rc;

    vcpu->run->immediate_exit = 1;
    do {
        rc = stasis_vcpu_run_once(vcpu);
    } while (!rc);
    vcpu->run->immediate_exit = 0;
    if (rc < 0)
        return stasis_fail(err, STASIS_ERR_GUEST,
                           "the guest ended while vCPU %" PRIu32 " completed an access", vcpu->id);
    return 0;
}

/* ---- the thread ---- */

/* immediate_exit is set here, in the thread's own context, so that no kick is lost between a look
 * at pause_wanted and the entry into KVM_RUN. */
static _Thread_local struct kvm_run *current_run;

static void on_kick(int signo)
{
    (void)signo;
    if (current_run)
        current_run->immediate_exit = 1;
}

bool stasis_vcpu_is_current_thread(void)
{
    return current_run != NULL;
}

static int kick_signal(void)
{
    return SIGRTMIN;
}

static void install_kick(void)
{
    struct sigaction action = {.sa_handler = on_kick};

    sigemptyset(&action.sa_mask);
    sigaction(kick_signal(), &action, NULL);
}

/* Says that the vCPU is paused and waits until it may go on. False: the thread shall end. */
static bool pause_here(struct stasis_vcpu *vcpu)
{
    bool go_on;

    /* A guest that dies here has told the machine; the pause stands all the same. */
    (void)!stasis_vcpu_complete_io(vcpu, NULL);
    pthread_mutex_lock(&vcpu->lock);
    vcpu->paused = true;
    vcpu->paused_us = stasis_monotonic_us();
    pthread_cond_broadcast(&vcpu->changed);
    while (atomic_load(&vcpu->pause_wanted) && !vcpu->quit_wanted)
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
    go_on = !vcpu->quit_wanted;
    if (go_on)
        vcpu->paused = false;
    pthread_mutex_unlock(&vcpu->lock);
    if (go_on)
        vcpu->ops->resumes(vcpu->ctx, vcpu);
    return go_on;
}

static void *vcpu_thread(void *arg)
{
    struct stasis_vcpu *vcpu = arg;
    int rc = 0;

    current_run = vcpu->run;
    while (rc >= 0 && vcpu->ops->may_run(vcpu->ctx)) {
        if (atomic_load(&vcpu->pause_wanted) && !pause_here(vcpu))
            break;
        if (!vcpu->first_run_us)
            vcpu->first_run_us = stasis_monotonic_us();
        rc = stasis_vcpu_run_once(vcpu);
        /* This kick has done its work, or came when the thread was paused already and has none:
         * left set, no guest code would ever run again. Atomic, since the look at pause_wanted,
         * which is set before the kick, must come after it. */
        if (rc > 0)
            __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    }
    current_run = NULL;
    pthread_mutex_lock(&vcpu->lock);
    vcpu->paused = true;
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
    return NULL;
}

int stasis_vcpu_start(struct stasis_vcpu *vcpu, struct stasis_error *err)
{
    sigset_t mask, before;
    int rc;

    install_kick();
    /* All other signals are for the main thread. */
    stasis_signals_all_but_faults(&mask);
    sigdelset(&mask, kick_signal());
    pthread_sigmask(SIG_SETMASK, &mask, &before);
    pthread_mutex_lock(&vcpu->lock); /* another vCPU may ask this one to pause */
    rc = pthread_create(&vcpu->thread, NULL, vcpu_thread, vcpu);
    vcpu->started = !rc;
    pthread_mutex_unlock(&vcpu->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        errno = rc;
        return stasis_fail_errno(err, STASIS_ERR_UNAVAILABLE,
                                 "cannot start a thread for vCPU %" PRIu32, vcpu->id);
    }
    return 0;
}

/* Under the lock. A thread that asks for its own pause sees it before it enters the guest again. */
static void kick(const struct stasis_vcpu *vcpu)
{
    if (vcpu->started && current_run != vcpu->run)
        pthread_kill(vcpu->thread, kick_signal());
}

void stasis_vcpu_request_pause(struct stasis_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    atomic_store(&vcpu->pause_wanted, true);
    kick(vcpu);
    pthread_mutex_unlock(&vcpu->lock);
}

void stasis_vcpu_wait_paused(struct stasis_vcpu *vcpu)
{
    if (!vcpu->started)
        return;
    pthread_mutex_lock(&vcpu->lock);
    while (!vcpu->paused)
        pthread_cond_wait(&vcpu->changed, &vcpu->lock);
    pthread_mutex_unlock(&vcpu->lock);
}

bool stasis_vcpu_wait_paused_ms(struct stasis_vcpu *vcpu, unsigned ms)
{
    struct timespec deadline;
    bool paused;
    int rc = 0;

    if (!vcpu->started)
        return true;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_nsec += (long)(ms % 1000) * 1000000;
    deadline.tv_sec += (time_t)(ms / 1000) + deadline.tv_nsec / 1000000000;
    deadline.tv_nsec %= 1000000000;
    pthread_mutex_lock(&vcpu->lock);
    while (!vcpu->paused && !rc)
        rc = pthread_cond_clockwait(&vcpu->changed, &vcpu->lock, CLOCK_MONOTONIC, &deadline);
    paused = vcpu->paused;
    pthread_mutex_unlock(&vcpu->lock);
    return paused;
}

void stasis_vcpu_resume(struct stasis_vcpu *vcpu)
{
    pthread_mutex_lock(&vcpu->lock);
    atomic_store(&vcpu->pause_wanted, false);
    pthread_cond_broadcast(&vcpu->changed);
    pthread_mutex_unlock(&vcpu->lock);
}

void stasis_vcpu_stop(struct stasis_vcpu *vcpu)
{
    bool started;

    pthread_mutex_lock(&vcpu->lock);
    vcpu->quit_wanted = true;
    atomic_store(&vcpu->pause_wanted, true);
    pthread_cond_broadcast(&vcpu->changed);
    kick(vcpu);
    started = vcpu->started;
    vcpu->started = false; /* nobody kicks a thread that has been joined */
    pthread_mutex_unlock(&vcpu->lock);
    if (started)
        pthread_join(vcpu->thread, NULL);
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
    pthread_mutex_init(&vcpu->lock, NULL);
    pthread_cond_init(&vcpu->changed, NULL);
    return 0;
}

void stasis_vcpu_fini(struct stasis_vcpu *vcpu)
{
    stasis_vcpu_stop(vcpu);
    munmap(vcpu->run, vcpu->vm->kvm->run_size);
    close(vcpu->fd);
    pthread_mutex_destroy(&vcpu->lock);
    pthread_cond_destroy(&vcpu->changed);
}
