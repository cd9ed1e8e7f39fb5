/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * Which system calls a thread can still make (seccomp(2)), by kind of thread: calls.def lists them,
 * docs/sandbox.md shows them. Any other call ends the process, with a last word.
 */
#ifndef STASIS_VMM_SANDBOX_FILTER_H
#define STASIS_VMM_SANDBOX_FILTER_H

#include "stasis/error.h"

/* A thread has the filter of the one that started it, and its own besides, which only narrows that
 * of OPEN or OPEN_CONNECTING. */
enum stasis_sandbox_thread {
    STASIS_SANDBOX_OPEN, /* opens a VM; all others are started by it */
    STASIS_SANDBOX_LOOP,
    STASIS_SANDBOX_SAVE,
    STASIS_SANDBOX_VCPU,
    STASIS_SANDBOX_IO,      /* of a disk or network */
    STASIS_SANDBOX_RAM,     /* loads or checks it */
    STASIS_SANDBOX_METRICS, /* writes them every so often */
    /* OPEN and LOOP of a VM that connects to sockets of the host while it runs. */
    STASIS_SANDBOX_OPEN_CONNECTING,
    STASIS_SANDBOX_LOOP_CONNECTING,
    STASIS_SANDBOX_MAKER, /* no thread: the process of maker.h, whose filter lies on none */
};

/* For the calling thread, from now on. Privileges were given up. STASIS_ERR_UNAVAILABLE. */
STASIS_MUST_CHECK int stasis_sandbox_filter(enum stasis_sandbox_thread thread,
                                            struct stasis_error *err);

/* Who ends the process when a thread makes another call: `end` says why (STASIS_ERR_SANDBOX) and
 * does not return. It is called in a signal handler, on that thread; what it calls itself must be
 * allowed. Before the first filter. */
STASIS_MUST_CHECK int stasis_sandbox_on_refused(void (*end)(void *ctx,
                                                            const struct stasis_error *err),
                                                void *ctx, struct stasis_error *err);

#endif
