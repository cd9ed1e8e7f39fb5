/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * /dev/kvm: one handle, what it can do, and the one function through which every ioctl goes.
 */
#ifndef STASIS_KVM_H
#define STASIS_KVM_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stasis/error.h"

STASIS_BEGIN_DECLS

struct stasis_kvm {
    int fd;
    size_t run_size; /* of a vCPU's struct kvm_run mapping */
    bool has_sregs2;
    bool has_exception_payload;
    bool has_triple_fault_event;
    bool has_xcrs; /* the host's CPU has XSAVE, and its kernel uses it */
    bool has_smm;
    bool has_pmu_switch; /* the guest's performance counters can be taken away */
    bool has_tsc_deadline;
    bool has_tsc_control;     /* the guest's TSC can run at another rate than the host's */
    struct kvm_cpuid2 *cpuid; /* KVM_GET_SUPPORTED_CPUID, asked once: 0.3 ms where CPUID traps */
};

/* Opens /dev/kvm and checks what the VMM cannot do without. STASIS_ERR_UNAVAILABLE says what is
 * missing and what to do. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_open(struct stasis_kvm *ret_kvm,
                                                    struct stasis_error *err);
STASIS_EXPORT void stasis_kvm_close(struct stasis_kvm *kvm);

/* KVM_CHECK_EXTENSION on the system or a VM descriptor: 0 if absent, else its value. */
STASIS_EXPORT int stasis_kvm_cap(int fd, unsigned cap);

/* ioctl(2) that is not interrupted by signals; the result as ioctl gives it, errno kept.
 * KVM_RUN is the one ioctl that does not come this way: its EINTR has a meaning. */
STASIS_EXPORT int stasis_kvm_ioctl(int fd, unsigned long request, void *arg);

/* The same, with a failure described as "<name>: <errno>", STASIS_ERR_KVM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_call(int fd, unsigned long request, const char *name,
                                                    void *arg, struct stasis_error *err);
#define STASIS_KVM(fd, request, arg, err) stasis_kvm_call(fd, request, #request, arg, err)

/* KVM_GET_MSR_INDEX_LIST; *ret_list is freed by the caller with free(). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_msr_list(const struct stasis_kvm *kvm,
                                                        struct kvm_msr_list **ret_list,
                                                        struct stasis_error *err);

STASIS_END_DECLS

#endif
