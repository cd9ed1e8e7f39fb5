/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * /dev/kvm: one handle, what it can do, and the one function through which every ioctl goes.
 *
 * Threads: a handle is not changed after it has been opened; any thread may use it.
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

/* ---- the handle ---- */

/* Opens /dev/kvm and checks that it is KVM with the stable API (version 12). What the caller cannot
 * do without is for the caller to check: see stasis_kvm_cap(). STASIS_ERR_UNAVAILABLE says what is
 * missing and what to do. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_open(struct stasis_kvm *ret_kvm,
                                                    struct stasis_error *err);
/* The same with the device at another path, as in a container. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_kvm_open_path(const char *path, struct stasis_kvm *ret_kvm, struct stasis_error *err);

/* The same with a device that somebody has opened, for a process that may not. `fd` stays the
 * caller's. STASIS_ERR_UNAVAILABLE: also if it is closed, or another device. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_open_fd(int fd, struct stasis_kvm *ret_kvm,
                                                       struct stasis_error *err);

/* A second handle of its own: each is closed by itself, in any order. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_kvm_dup(const struct stasis_kvm *kvm, struct stasis_kvm *ret_kvm, struct stasis_error *err);

/* May be called twice. VMs live on without it, but use its members: close it after them. */
STASIS_EXPORT void stasis_kvm_close(struct stasis_kvm *kvm);

/* ---- ioctls ---- */

/* ioctl(2) that is not interrupted by signals; the result as ioctl gives it, errno kept.
 * KVM_RUN is the one ioctl that does not come this way: its EINTR has a meaning. */
STASIS_EXPORT int stasis_kvm_ioctl(int fd, unsigned long request, void *arg);

/* The same, with a failure described as "<name>: <errno>", STASIS_ERR_KVM. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_call(int fd, unsigned long request, const char *name,
                                                    void *arg, struct stasis_error *err);
#define STASIS_KVM(fd, request, arg, err) stasis_kvm_call(fd, request, #request, arg, err)

/* ---- capabilities ---- */

/* KVM_CHECK_EXTENSION on the system or a VM descriptor: 0 if absent, else its value, which for many
 * capabilities is a size, a limit or a mask. A VM can have more or less than the system. */
STASIS_EXPORT int stasis_kvm_cap(int fd, unsigned cap);

/* KVM_ENABLE_CAP on a VM or vCPU descriptor. `args` are four; NULL: all zero. STASIS_ERR_KVM names
 * the number; EINVAL is KVM's answer to one that it lacks. */
STASIS_EXPORT STASIS_MUST_CHECK int
stasis_kvm_enable_cap(int fd, unsigned cap, const uint64_t *args, struct stasis_error *err);

/* The types of VM that KVM_CREATE_VM takes, as a mask: bit 0 is the default type, which is always
 * there (KVM_CAP_VM_TYPES, Linux 6.8). */
STASIS_EXPORT uint32_t stasis_kvm_vm_types(const struct stasis_kvm *kvm);
/* "default", "software-protected", "SEV" and so on, or "unknown". */
STASIS_EXPORT const char *stasis_kvm_vm_type_name(unsigned long type);

/* ---- CPUID and MSRs of the host's KVM ---- */

/* How many bits a guest's physical address has: CPUID leaf 0x80000008 as KVM gives it to guests,
 * or 36 where the table has no such leaf. */
STASIS_EXPORT unsigned stasis_kvm_address_bits(const struct stasis_kvm *kvm);

/* KVM_GET_SUPPORTED_CPUID and KVM_GET_EMULATED_CPUID; *ret_cpuid is freed by the caller with
 * free(). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_supported_cpuid(const struct stasis_kvm *kvm,
                                                               struct kvm_cpuid2 **ret_cpuid,
                                                               struct stasis_error *err);
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_emulated_cpuid(const struct stasis_kvm *kvm,
                                                              struct kvm_cpuid2 **ret_cpuid,
                                                              struct stasis_error *err);
/* What these are made of, for any request that fills a struct kvm_cpuid2: tries with `count`
 * entries (0: 256), then with twice as many as long as KVM answers E2BIG. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_read_cpuid(int fd, unsigned long request,
                                                          const char *name, uint32_t count,
                                                          struct kvm_cpuid2 **ret_cpuid,
                                                          struct stasis_error *err);

/* KVM_GET_MSR_INDEX_LIST: MSRs that a vCPU has. KVM does not list all: those of the MTRRs and of
 * machine checks are missing (KVM api.rst, 4.3). *ret_list is freed by the caller with free(). */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_msr_list(const struct stasis_kvm *kvm,
                                                        struct kvm_msr_list **ret_list,
                                                        struct stasis_error *err);
/* KVM_GET_MSR_FEATURE_INDEX_LIST: MSRs that say what the host's CPU and KVM can do. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_msr_features(const struct stasis_kvm *kvm,
                                                            struct kvm_msr_list **ret_list,
                                                            struct stasis_error *err);
/* The value of one of these. STASIS_ERR_NOT_FOUND if KVM does not have it. */
STASIS_EXPORT STASIS_MUST_CHECK int stasis_kvm_msr_feature(const struct stasis_kvm *kvm,
                                                           uint32_t index, uint64_t *ret_value,
                                                           struct stasis_error *err);

STASIS_END_DECLS

#endif
