/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * KVM's ioctls as they go by. Each has a row in one table: what it is called, and how long the
 * memory behind its argument is.
 */
#ifndef STASIS_TESTS_BENCH_KVM_TRACE_H
#define STASIS_TESTS_BENCH_KVM_TRACE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* On whose descriptor it was called. */
enum kvm_trace_role { KVM_TRACE_SYSTEM, KVM_TRACE_VM, KVM_TRACE_VCPU, KVM_TRACE_ROLES };

/* One call in a trace file, `len` bytes of argument behind it: as it was before the call. `extra`
 * is what a device attribute's address leads to. */
struct kvm_trace_call {
    uint64_t request;
    uint64_t arg; /* where len is 0 */
    uint64_t extra;
    int64_t result;
    uint32_t role;
    uint32_t len;
};

#define KVM_TRACE_LEN_MAX 65536

/* Of an ioctl that takes a pointer: bytes at `arg`. */
size_t kvm_trace_len(unsigned long request, const void *arg);

/* "KVM_GET_REGS"; "an ioctl" for one that has no row. */
const char *kvm_trace_name(unsigned long request);

static inline bool kvm_trace_is_attr(unsigned long request)
{
    return request == KVM_SET_DEVICE_ATTR || request == KVM_GET_DEVICE_ATTR ||
           request == KVM_HAS_DEVICE_ATTR;
}

#endif
