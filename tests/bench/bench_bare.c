/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The least that could bring a guest back: makes the KVM ioctls of a trace (kvm_record.c), with one
 * mapping of the file as the guest's memory, runs it, and writes the first byte that the guest
 * writes to its serial port. Nothing is checked but that KVM answers as it did.
 *
 *   bench-bare TRACE FILE OFFSET     OFFSET: of guest address 0 in FILE
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/guest_image.h"
#include "bench/kvm_trace.h"

struct bare {
    uint8_t *trace;
    size_t trace_len;
    int fds[KVM_TRACE_ROLES];
    uint8_t *memory; /* what is left of it for slots to come */
};

static int fail(const char *what)
{
    perror(what);
    return -1;
}

static int read_trace(struct bare *bare, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || fstat(fd, &st))
        return fail(path);
    bare->trace_len = (size_t)st.st_size;
    bare->trace = malloc(bare->trace_len);
    if (!bare->trace || read(fd, bare->trace, bare->trace_len) != st.st_size)
        return fail(path);
    close(fd);
    return 0;
}

/* The call at *pos, its argument behind it, and *pos behind both. */
static struct kvm_trace_call next_call(const struct bare *bare, size_t *pos, uint8_t **ret_arg)
{
    struct kvm_trace_call call;

    memcpy(&call, bare->trace + *pos, sizeof(call));
    *ret_arg = bare->trace + *pos + sizeof(call);
    *pos += sizeof(call) + call.len;
    return call;
}

static uint64_t memory_size(const struct bare *bare)
{
    uint64_t size = 0;

    for (size_t pos = 0; pos < bare->trace_len;) {
        struct kvm_userspace_memory_region slot;
        uint8_t *arg;
        struct kvm_trace_call call = next_call(bare, &pos, &arg);

        if (call.request != KVM_SET_USER_MEMORY_REGION)
            continue;
        memcpy(&slot, arg, sizeof(slot));
        size += slot.memory_size;
    }
    return size;
}

/* Longer than the file: the guest does not touch what is behind its end. */
static int map_memory(struct bare *bare, const char *path, off_t offset)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *map;

    if (fd < 0)
        return fail(path);
    map = mmap(NULL, memory_size(bare), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd,
               offset);
    close(fd);
    bare->memory = map;
    return map == MAP_FAILED ? fail("mmap") : 0;
}

static void place_slot(struct bare *bare, uint8_t *arg)
{
    struct kvm_userspace_memory_region slot;

    memcpy(&slot, arg, sizeof(slot));
    slot.userspace_addr = (uintptr_t)bare->memory;
    bare->memory += slot.memory_size;
    memcpy(arg, &slot, sizeof(slot));
}

static int replay_call(struct bare *bare, struct kvm_trace_call *call, uint8_t *arg)
{
    int fd = bare->fds[call->role], rc;

    if (call->request == KVM_SET_USER_MEMORY_REGION)
        place_slot(bare, arg);
    if (kvm_trace_is_attr(call->request)) {
        uint64_t at = (uintptr_t)&call->extra;

        memcpy(arg + offsetof(struct kvm_device_attr, addr), &at, sizeof(at));
    }
    rc = ioctl(fd, call->request, call->len ? (void *)arg : (void *)(uintptr_t)call->arg);
    if ((rc < 0) != (call->result < 0)) {
        fprintf(stderr, "bench-bare: KVM answers otherwise to %s\n", kvm_trace_name(call->request));
        return -1;
    }
    if (call->request == KVM_CREATE_VM)
        bare->fds[KVM_TRACE_VM] = rc;
    else if (call->request == KVM_CREATE_VCPU)
        bare->fds[KVM_TRACE_VCPU] = rc;
    return 0;
}

static int replay(struct bare *bare)
{
    for (size_t pos = 0; pos < bare->trace_len;) {
        uint8_t *arg;
        struct kvm_trace_call call = next_call(bare, &pos, &arg);

        if (replay_call(bare, &call, arg))
            return -1;
    }
    return 0;
}

static int run(const struct bare *bare)
{
    int size = ioctl(bare->fds[KVM_TRACE_SYSTEM], KVM_GET_VCPU_MMAP_SIZE, NULL);
    int fd = bare->fds[KVM_TRACE_VCPU];
    struct kvm_run *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (run == MAP_FAILED)
        return fail("struct kvm_run");
    do {
        if (ioctl(fd, KVM_RUN, NULL) < 0)
            return fail("KVM_RUN");
    } while (run->exit_reason != KVM_EXIT_IO || run->io.port != BENCH_GUEST_SERIAL_PORT);
    if (write(STDOUT_FILENO, (uint8_t *)run + run->io.data_offset, 1) != 1)
        return fail("standard output");
    pause();
    return 0;
}

int main(int argc, char **argv)
{
    struct bare bare = {.fds = {-1, -1, -1}};
    int rc;

    if (argc != 4)
        return 2;
    bare.fds[KVM_TRACE_SYSTEM] = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (bare.fds[KVM_TRACE_SYSTEM] < 0)
        return 1;
    rc = read_trace(&bare, argv[1]);
    if (!rc)
        rc = map_memory(&bare, argv[2], (off_t)strtoull(argv[3], NULL, 10));
    if (!rc)
        rc = replay(&bare);
    return rc || run(&bare) ? 1 : 0;
}
