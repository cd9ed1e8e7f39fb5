/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What the KVM library uses beside ioctl(2), counted by fake_kvm.c and failing when it says so. The
 * linker turns mmap, munmap, fcntl, madvise, msync, malloc, calloc and realloc of the program into
 * these.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "support/fake_kvm.h"

void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_mmap64(void *at, size_t size, int prot, int flags, int fd, off_t offset)
    __attribute__((alias("__wrap_mmap")));
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);
int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...) __attribute__((alias("__wrap_fcntl")));
int __real_madvise(void *at, size_t size, int advice);
int __wrap_madvise(void *at, size_t size, int advice);
int __real_msync(void *at, size_t size, int flags);
int __wrap_msync(void *at, size_t size, int flags);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_realloc(void *at, size_t size);

static size_t mapped; /* atomic */

size_t fake_system_mapped(void)
{
    return __atomic_load_n(&mapped, __ATOMIC_RELAXED);
}

int __wrap_munmap(void *at, size_t size)
{
    int rc = __real_munmap(at, size);

    if (!rc)
        __atomic_sub_fetch(&mapped, size, __ATOMIC_RELAXED);
    return rc;
}

/* What is mapped with MAP_FIXED takes the place of another map. */
static void *map(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    void *got = __real_mmap(at, size, prot, flags, fd, offset);

    if (got != MAP_FAILED && !(flags & MAP_FIXED))
        __atomic_add_fetch(&mapped, size, __ATOMIC_RELAXED);
    return got;
}

/* The kernel can fail after it has removed what was there. */
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    int number;

    if (!fake_kvm_fails_system())
        return map(at, size, prot, flags, fd, offset);
    number = errno;
    if (flags & MAP_FIXED)
        (void)__wrap_munmap(at, size);
    errno = number;
    return MAP_FAILED;
}

int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;
    int arg;

    va_start(args, command);
    arg = va_arg(args, int);
    va_end(args);
    return fake_kvm_fails_system() ? -1 : __real_fcntl(fd, command, arg);
}

/* Mere advice is not counted: nobody needs it to be followed. */
int __wrap_madvise(void *at, size_t size, int advice)
{
    if (advice == MADV_HUGEPAGE || advice == MADV_DONTDUMP)
        return __real_madvise(at, size, advice);
    fake_kvm.last_madvise.at = at;
    fake_kvm.last_madvise.size = size;
    fake_kvm.last_madvise.advice = advice;
    return fake_kvm_fails_system() ? -1 : __real_madvise(at, size, advice);
}

int __wrap_msync(void *at, size_t size, int flags)
{
    return fake_kvm_fails_system() ? -1 : __real_msync(at, size, flags);
}

/* In static programs the C library's own calls come here, too, of malloc() by calloc() for one:
 * these are not counted. */
static _Thread_local bool inside;

static void *leave(void *block)
{
    inside = false;
    return block;
}

static bool enter_or_fail(void)
{
    if (fake_kvm_fails_system())
        return false;
    inside = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    if (inside)
        return __real_malloc(size);
    return enter_or_fail() ? leave(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (inside)
        return __real_calloc(count, size);
    fake_kvm.last_calloc = count * size;
    return enter_or_fail() ? leave(__real_calloc(count, size)) : NULL;
}

void *__wrap_realloc(void *at, size_t size)
{
    if (inside)
        return __real_realloc(at, size);
    return enter_or_fail() ? leave(__real_realloc(at, size)) : NULL;
}
