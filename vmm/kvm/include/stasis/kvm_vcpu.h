/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A vCPU: its KVM descriptor, and its exits, each element given to a table of callbacks. One thread
 * at a time uses a vCPU; KVM wants that thread to be the one that runs it.
 */
#ifndef STASIS_KVM_VCPU_H
#define STASIS_KVM_VCPU_H

#include "stasis/kvm_vm.h"

STASIS_BEGIN_DECLS

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
    /* Whether the guest may run on. Asked after every exit; NULL: always. */
    bool (*may_run)(void *ctx);
};

struct stasis_vcpu {
    struct stasis_vm *vm;
    uint32_t id;
    int fd;
    struct kvm_run *run;
    const struct stasis_exit_ops *ops;
    void *ctx;  /* of ops */
    void *arch; /* what the caller keeps of the vCPU's architecture; not touched here */
};

/* KVM_CREATE_VCPU. vm, ops and ctx belong to the caller and must outlive the vCPU. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_init(struct stasis_vcpu *vcpu, struct stasis_vm *vm,
                                                     uint32_t id, const struct stasis_exit_ops *ops,
                                                     void *ctx, struct stasis_error *err);
STASIS_EXPORT void stasis_vcpu_fini(struct stasis_vcpu *vcpu);

/* KVM_RUN once, and the exit given to ops. 0: go on; 1: interrupted; negative: the guest has ended
 * (whoever has ops knows why). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_run_once(struct stasis_vcpu *vcpu);

/* While it is set, KVM_RUN returns at once with EINTR and runs no guest code (KVM api.rst, 5). Sets
 * it atomically, in order with what the caller does before and after. Async-signal-safe; any
 * thread. */
STASIS_EXPORT void stasis_vcpu_set_immediate_exit(struct stasis_vcpu *vcpu, bool exit);

/* Completes an I/O whose exit has been handled, without running guest code: needed before
 * registers are read (KVM api.rst, 5, KVM_EXIT_IO). For a vCPU that does not run. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_vcpu_complete_io(struct stasis_vcpu *vcpu,
                                                            struct stasis_error *err);

STASIS_END_DECLS

#endif
