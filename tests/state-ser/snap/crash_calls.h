/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Every system call of a piece of code, one by one, before it happens: to record it, to change it,
 * or to have it fail. By a seccomp listener, so that no call escapes because nobody thought of it,
 * and in the process itself, so that what leaks is seen.
 */
#ifndef STASIS_TESTS_CRASH_CALLS_H
#define STASIS_TESTS_CRASH_CALLS_H

#include <stdbool.h>
#include <stdint.h>

struct crash_call {
    long nr;
    uint64_t args[6];
};

/* Makes the call: its result, or a negative errno. Descriptors, memory and working folder are those
 * of the code that is watched. */
long crash_call_make(const struct crash_call *call);

struct crash_watch {
    void (*body)(void *ctx); /* the code to watch; runs on a thread of its own */
    void *body_ctx;
    /* Told of each call instead of the kernel, on the caller's thread; what it returns is what the
     * code gets. Not told of: memory without a file, threads, futexes, signals, sleeping. */
    long (*on_call)(void *ctx, const struct crash_call *call);
    void *ctx;
};

/* Returns when the body has. False: there is no seccomp listener here, and nothing was done. */
bool crash_watch(const struct crash_watch *watch);

#endif
