/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * A call into the kernel that cannot be interrupted, made so that it can be given up: a thread of
 * its own makes it, and ends whenever the kernel has answered.
 */
#ifndef STASIS_SNAP_ASIDE_H
#define STASIS_SNAP_ASIDE_H

#include <stdbool.h>

/* Asked on the thread that waits; false: it is given up. */
struct stasis_watch {
    bool (*keep_on)(void *ctx);
    void *ctx;
};

/* Waits for work(arg). False: it was given up, and drop(arg) is called when the work has ended.
 * Without a watch, and where no thread can be made, the caller does the work itself. */
bool stasis_aside_run(void (*work)(void *arg), void (*drop)(void *arg), void *arg,
                      const struct stasis_watch *watch);

/* Given up from the start: nobody waits, unless no thread can be made. */
void stasis_aside_leave(void (*work)(void *arg), void (*drop)(void *arg), void *arg);

#endif
