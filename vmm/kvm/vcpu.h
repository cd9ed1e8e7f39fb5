/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A vCPU: its KVM descriptor, its thread, and how it is stopped.
 *
 * Pausing (KVM api.rst, 5, immediate_exit): the request is noted, immediate_exit set and the
 * thread signalled. The thread finishes what it was at, completes a pending I/O by one KVM_RUN
 * with immediate_exit, and only then says that it is paused: registers are whole from there on.
 */
#ifndef STASIS_VMM_VCPU_H
#define STASIS_VMM_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/kvm/vm.h"

struct stasis_vcpu;

/* Who runs the vCPU learns of its exits. All are called on the thread that is in
 * stasis_vcpu_run_once(). len is 1, 2, 4 or 8; an exit with several elements (REP INS, REP OUTS) is
 * several calls. */
struct stasis_exit_ops {
    uint64_t (*pio_read)(void *ctx, uint16_t port, unsigned len);
    void (*pio_write)(void *ctx, uint16_t port, unsigned len, uint64_t value);
    uint64_t (*mmio_read)(void *ctx, uint64_t gpa, unsigned len);
    void (*mmio_write)(void *ctx, uint64_t gpa, unsigned len, uint64_t value);
    /* The guest cannot run on: why, and KVM's number for it. */
    void (*failed)(void *ctx, struct stasis_vcpu *vcpu, const char *why, uint64_t detail);
    /* A pause ends. By the vCPU's thread, since a vCPU's ioctls wait for its KVM_RUN to end. */
    void (*resumes)(void *ctx, struct stasis_vcpu *vcpu);
    /* Whether the guest may run on. Asked before every entry. */
    bool (*may_run)(void *ctx);
};

struct stasis_vcpu {
    struct stasis_vm *vm;
    uint32_t id;
    int fd;
    struct kvm_run *run;
    const struct stasis_exit_ops *ops;
    void *ctx;  /* of ops */
    void *arch; /* what arch/arch.h keeps of the vCPU */

    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Atomic bool pause_wanted; /* under lock; read without it as a hint */
    bool quit_wanted;
    bool paused; /* the thread waits, or has ended */
    /* CLOCK_MONOTONIC, to be read while it is paused: when the thread began to run the guest, 0 if
     * it never did, and when it came to wait. */
    uint64_t first_run_us, paused_us;
};

/* KVM_CREATE_VCPU. vm, ops and ctx belong to the caller and must outlive the vCPU. */
STASIS_MUST_CHECK int stasis_vcpu_init(struct stasis_vcpu *vcpu, struct stasis_vm *vm, uint32_t id,
                                       const struct stasis_exit_ops *ops, void *ctx,
                                       struct stasis_error *err);
/* Ends the thread, if there is one. */
void stasis_vcpu_fini(struct stasis_vcpu *vcpu);

STASIS_MUST_CHECK int stasis_vcpu_start(struct stasis_vcpu *vcpu, struct stasis_error *err);

/* Asks for a pause and waits for it; lets the thread go on; ends the thread. A vCPU that asks for
 * its own pause, from within an exit, stops before its next instruction. One that is asked before
 * it is started enters the guest only after a resume. */
void stasis_vcpu_request_pause(struct stasis_vcpu *vcpu);
void stasis_vcpu_wait_paused(struct stasis_vcpu *vcpu);
/* The same, but for so long at most: whether it is paused. */
bool stasis_vcpu_wait_paused_ms(struct stasis_vcpu *vcpu, unsigned ms);
void stasis_vcpu_resume(struct stasis_vcpu *vcpu);
void stasis_vcpu_stop(struct stasis_vcpu *vcpu);

/* Completes an I/O whose exit has been handled, without running guest code: needed before
 * registers are read (KVM api.rst, 5, KVM_EXIT_IO). For a vCPU whose thread does not run. */
STASIS_MUST_CHECK int stasis_vcpu_complete_io(struct stasis_vcpu *vcpu, struct stasis_error *err);

/* KVM_RUN once, and the exit given to ops. 0: go on; 1: interrupted; negative: the guest has ended
 * (whoever has ops knows why). Used by the thread, and by tests that step a guest by hand. */
int stasis_vcpu_run_once(struct stasis_vcpu *vcpu);

/* True on a thread that stasis_vcpu_start() has made. Async-signal-safe. */
bool stasis_vcpu_is_current_thread(void);

#endif
