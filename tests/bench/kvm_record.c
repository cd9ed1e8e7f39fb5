/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * For LD_PRELOAD: writes the KVM ioctls of a program, up to its first KVM_RUN, into the file that
 * BENCH_TRACE names, so that bench-bare can make the same ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/kvm_trace.h"

int ioctl(int fd, unsigned long request, ...);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace = -1;
static bool ended;
static int vm_fd = -1;
static int vcpu_fd = -1;

static void put(const void *bytes, size_t len)
{
    if (write(trace, bytes, len) != (ssize_t)len)
        abort();
}

static void open_trace(void)
{
    const char *path = getenv("BENCH_TRACE");

    trace = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (trace < 0)
        abort();
}

static uint32_t role_of(int fd)
{
    if (fd == vcpu_fd)
        return KVM_TRACE_VCPU;
    return fd == vm_fd ? KVM_TRACE_VM : KVM_TRACE_SYSTEM;
}

static void record(struct kvm_trace_call *call, const void *bytes)
{
    if (trace < 0)
        open_trace();
    put(call, sizeof(*call));
    if (call->len)
        put(bytes, call->len);
}

/* KVM reads the argument before it writes there, so it is kept as it was. */
static int follow(int fd, unsigned long request, void *arg)
{
    static uint8_t before[KVM_TRACE_LEN_MAX];
    struct kvm_trace_call call = {.request = request, .arg = (uintptr_t)arg, .role = role_of(fd)};
    int rc, error;

    call.len = (uint32_t)kvm_trace_len(request, arg);
    if (call.len > sizeof(before))
        abort();
    if (call.len)
        memcpy(before, arg, call.len);
    if (request == KVM_SET_DEVICE_ATTR) /* the TSC offset: the one attribute in use is 8 bytes */
        memcpy(&call.extra, (void *)(uintptr_t)((struct kvm_device_attr *)arg)->addr, 8);
    rc = (int)syscall(SYS_ioctl, fd, request, arg);
    error = errno;
    call.result = rc;
    record(&call, before);
    if (request == KVM_CREATE_VM)
        vm_fd = rc;
    else if (request == KVM_CREATE_VCPU)
        vcpu_fd = rc;
    errno = error;
    return rc;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    void *arg;
    int rc;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (_IOC_TYPE(request) != KVMIO)
        return (int)syscall(SYS_ioctl, fd, request, arg);
    pthread_mutex_lock(&lock);
    ended |= request == KVM_RUN;
    if (ended) {
        pthread_mutex_unlock(&lock);
        return (int)syscall(SYS_ioctl, fd, request, arg);
    }
    rc = follow(fd, request, arg);
    pthread_mutex_unlock(&lock);
    return rc;
}
