/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A save, or an open and load, that is disturbed: one of its system calls fails or comes up short,
 * or one of its allocations fails. Whatever it then does, it leaks nothing.
 */
#ifndef STASIS_TESTS_CRASH_DEED_H
#define STASIS_TESTS_CRASH_DEED_H

#include "tests/state-ser/snap/crash_scene.h"

#define CRASH_CALLS_MAX 1000
#define CRASH_WORKERS   3

struct crash_deed {
    struct crash_scene scene;
    void (*body)(void *deed); /* does it, and says below what came of it */
    bool no_tmpfile;          /* O_TMPFILE fails with EOPNOTSUPP */
    unsigned threads;
    unsigned zlib_level;
    struct image stream; /* bytes that wait in a pipe, or none */
    int in;              /* the pipe */

    int rc;
    struct stasis_error err;
    bool loaded_right; /* the RAM that was read is the RAM that was saved */
};

/* With several threads the guest is large enough for all of them. */
struct crash_deed *crash_deed_new(void (*body)(void *deed), bool with_old, unsigned threads);
void crash_deed_free(struct crash_deed *deed);

/* From here on it saves compressed, RAM that is worth it. */
void crash_deed_compress(struct crash_deed *deed);

struct crash_fault {
    bool is_short; /* a transfer is made in part; else nothing is done and `error` returned */
    int error;
    const char *name;
};

/* Disturbances that no caller is to notice. */
bool crash_fault_passes(const struct crash_fault *fault);

/* Does the deed with the n-th call disturbed, from 1, among those that the fault can befall: the
 * number of the system call, or -1 if there were not that many. */
long crash_deed_disturbed(struct crash_deed *deed, const struct crash_fault *fault,
                          unsigned number);

/* Does it with the n-th allocation failing. False: there were not that many. If the deed failed it
 * was for want of memory, and said so. */
bool crash_deed_starved(struct crash_deed *deed, unsigned number);

/* Does it undisturbed. */
void crash_deed_done(struct crash_deed *deed);

void crash_deed_assert_message(const struct crash_deed *deed, const char *words);

#endif
