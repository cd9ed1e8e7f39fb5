/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#include "tests/state-ser/snap/crash_alloc.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

static _Atomic unsigned left; /* allocations up to the one that fails, which is the last */
static _Atomic bool failed;
static _Atomic long living;

void crash_alloc_fail_at(unsigned number)
{
    atomic_store(&failed, false);
    atomic_store(&left, number);
}

bool crash_alloc_failed(void)
{
    atomic_store(&left, 0);
    return atomic_load(&failed);
}

long crash_alloc_living(void)
{
    return atomic_load(&living);
}

static bool fail_now(void)
{
    unsigned now = atomic_load(&left);

    while (now && !atomic_compare_exchange_weak(&left, &now, now - 1))
        ;
    if (now != 1)
        return false;
    atomic_store(&failed, true);
    return true;
}

/* In static programs the C library's own calls come here, too, of malloc() by strdup() for one:
 * these are neither counted nor failed. */
static _Thread_local bool inside;

static void *leave(void *block)
{
    inside = false;
    return block;
}

static void *counted(void *block)
{
    if (block)
        atomic_fetch_add(&living, 1);
    return leave(block);
}

static bool enter_or_fail(void)
{
    inside = !fail_now();
    return inside;
}

/* Names that the linker makes. */
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void __real_free(void *block);
void __wrap_free(void *block);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg);

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *__wrap_malloc(size_t size)
{
    if (inside)
        return __real_malloc(size);
    return enter_or_fail() ? counted(__real_malloc(size)) : no_memory();
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (inside)
        return __real_calloc(count, size);
    return enter_or_fail() ? counted(__real_calloc(count, size)) : no_memory();
}

void *__wrap_realloc(void *old, size_t size)
{
    void *block;

    if (inside)
        return __real_realloc(old, size);
    if (!enter_or_fail())
        return no_memory();
    block = __real_realloc(old, size);
    return old ? leave(block) : counted(block);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    void *block;

    if (!enter_or_fail())
        return no_memory();
    block = __real_reallocarray(old, count, size);
    return old ? leave(block) : counted(block);
}

char *__wrap_strdup(const char *text)
{
    return enter_or_fail() ? counted(__real_strdup(text)) : no_memory();
}

void __wrap_free(void *block)
{
    if (block && !inside)
        atomic_fetch_sub(&living, 1);
    __real_free(block);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                          void *arg)
{
    return fail_now() ? EAGAIN : __real_pthread_create(thread, attr, start, arg);
}
