/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A vCPU: its KVM descriptor, the thread that runs it, and interrupts that are delivered without an
 * interrupt controller. kvm_exits.h has what the guest stops for. Capabilities of a vCPU are
 * enabled by stasis_kvm_enable_cap() on its descriptor.
 *
 * Threads: one at a time uses a vCPU, and KVM wants it to be the one that runs it: ioctls of others
 * wait until KVM_RUN returns. stasis_vcpu_set_immediate_exit() is for any thread. A thread that
 * takes the run handle is held to this; stasis_vcpu_run_once() leaves it to the caller.
 *
 * Errors: STASIS_ERR_KVM names the ioctl that failed, and err->os_errno has its errno. On failure
 * nothing has changed that is not said to.
 */
#ifndef STASIS_KVM_VCPU_H
#define STASIS_KVM_VCPU_H

#include "stasis/kvm_exits.h"
#include "stasis/kvm_vm.h"

STASIS_BEGIN_DECLS

struct stasis_vcpu_shared;

struct stasis_vcpu {
    struct stasis_vm *vm;
    uint32_t id;
    int fd;
    struct kvm_run *run;
    size_t run_size; /* of the page, and what follows it */
    /* Asked once: KVM_CAP_SYNC_REGS of the VM, and KVM_CAP_XSAVE2, which is fixed from the first
     * vCPU on. */
    int sync_fields, xsave2;
    const struct stasis_exit_ops *ops;
    void *ctx;                         /* of ops */
    void *arch;                        /* the caller's own; not touched here */
    struct stasis_vcpu_shared *shared; /* with duplicates; private */
    uint64_t *exits;                   /* by reason, with duplicates; private */
    bool told_again;                   /* by the last KVM_RUN; private */
};

/* ---- life ---- */

/* KVM_CREATE_VCPU. vm, ops and ctx belong to the caller and must outlive the vCPU.
 * STASIS_ERR_UNAVAILABLE: KVM refuses (os_errno EEXIST: the id is taken; EINVAL: it is more than
 * KVM has, or vCPUs are not wanted yet). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_init(struct stasis_vcpu *vcpu, struct stasis_vm *vm,
                                                     uint32_t id, const struct stasis_exit_ops *ops,
                                                     void *ctx, struct stasis_error *err);

/* A second handle of the same vCPU, with a descriptor of its own; run page and run handle are
 * shared. Each is ended by stasis_vcpu_fini(), in any order. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_dup(const struct stasis_vcpu *vcpu,
                                                    struct stasis_vcpu *ret_vcpu,
                                                    struct stasis_error *err);

/* Once for each struct that stasis_vcpu_init() or stasis_vcpu_dup() has filled. No other thread
 * uses it. With the last duplicate ends a run handle that this thread has. */
STASIS_EXPORT void stasis_vcpu_fini(struct stasis_vcpu *vcpu);

/* ---- running ---- */

/* KVM_RUN once, and the exit given to ops. 0: run it again; 1: interrupted; negative: the guest has
 * ended (whoever has ops knows why). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_run_once(struct stasis_vcpu *vcpu);

/* How often the vCPU has left the guest for `reason` (enum stasis_vcpu_exit_reason); an interrupted
 * run counts as `intr`. Reasons that are not in the list are counted together: give any of them.
 * The thread that runs the vCPU counts, without a lock and in memory of the vCPU's own. Any thread
 * may ask. */
STASIS_EXPORT uint64_t stasis_vcpu_exit_count(const struct stasis_vcpu *vcpu, uint32_t reason);

/* The right to run a vCPU. One thread has it at a time, and a thread has one at most. */
struct stasis_run_handle {
    struct stasis_vcpu *vcpu; /* NULL: given back */
};

/* STASIS_ERR_EXISTS, os_errno EBUSY: a thread has the vCPU, or a duplicate of it; or this thread
 * has another. Both can be taken later. *vcpu must outlive the handle, also where a duplicate keeps
 * the vCPU. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_run_handle_take(struct stasis_run_handle *ret_handle,
                                                           struct stasis_vcpu *vcpu,
                                                           struct stasis_error *err);

/* By the thread that took it; STASIS_ERR_ARG, os_errno EPERM, for any other, and for a handle that
 * was given back. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_run_handle_give_back(struct stasis_run_handle *handle,
                                                                struct stasis_error *err);

/* stasis_vcpu_run_once() by the thread that took the handle. 0: run it again; 1: interrupted;
 * STASIS_ERR_GUEST: the guest has ended; STASIS_ERR_ARG as above, and nothing was run. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_run_handle_run(const struct stasis_run_handle *handle,
                                                          struct stasis_error *err);

/* Whether the calling thread has a run handle. Async-signal-safe. */
STASIS_EXPORT bool stasis_run_handle_is_held(void);

/* Whether the calling thread is inside of KVM_RUN: for the handler of a signal that KVM sends when
 * it cannot reach memory, and that an access of the program's own may raise as well.
 * Async-signal-safe. */
STASIS_EXPORT bool stasis_vcpu_is_in_run(void);

/* While it is set, KVM_RUN returns at once with EINTR and runs no guest code (KVM api.rst, 5). Sets
 * it atomically, in order with what the caller does before and after. Async-signal-safe; any
 * thread. */
STASIS_EXPORT void stasis_vcpu_set_immediate_exit(struct stasis_vcpu *vcpu, bool exit);

/* The same for the vCPU whose run handle the calling thread has; nothing if it has none. For signal
 * handlers, which do not know whom they interrupt. Async-signal-safe. */
STASIS_EXPORT void stasis_vcpu_set_local_immediate_exit(bool exit);

/* Completes an I/O whose exit has been handled, without running guest code: needed before
 * registers are read (KVM api.rst, 5, KVM_EXIT_IO). For a vCPU that does not run. It clears
 * immediate_exit at the end: a request to stop that came before has to be made again. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_complete_io(struct stasis_vcpu *vcpu,
                                                            struct stasis_error *err);

/* KVM_SET_SIGNAL_MASK: the signals that are blocked while KVM_RUN runs, bit n - 1 for signal n;
 * NULL: those of the thread. One that is pending and not blocked ends KVM_RUN and stays pending. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_set_signal_mask(struct stasis_vcpu *vcpu,
                                                                const uint64_t *blocked,
                                                                struct stasis_error *err);

/* KVM_KVMCLOCK_CTRL: tells the guest's watchdogs that it was stopped. A guest that has not enabled
 * kvmclock needs no notice: EINVAL is success. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_kvmclock_ctrl(const struct stasis_vcpu *vcpu,
                                                              struct stasis_error *err);

/* ---- interrupts without an interrupt controller in KVM ---- */

/* Asks for an exit (irq_window_open) as soon as the guest can take an interrupt. */
STASIS_EXPORT void stasis_vcpu_request_interrupt_window(struct stasis_vcpu *vcpu, bool request);

/* Whether stasis_vcpu_interrupt() would reach the guest at its next entry; as of the last exit. */
STASIS_EXPORT bool stasis_vcpu_is_ready_for_interrupt(const struct stasis_vcpu *vcpu);

/* KVM_INTERRUPT: the vector is delivered at the next entry, for which the guest must be ready.
 * os_errno ENXIO: KVM has the interrupt controllers, which deliver; EEXIST: with a split one, a
 * vector is waiting already; EINVAL: above 255. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_interrupt(struct stasis_vcpu *vcpu, uint32_t vector,
                                                          struct stasis_error *err);

/* KVM_NMI; also with an interrupt controller. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_nmi(struct stasis_vcpu *vcpu,
                                                    struct stasis_error *err);

STASIS_END_DECLS

#endif
