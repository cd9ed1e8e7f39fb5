/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What happens when memory of a thawed guest can no longer be had: its chunk is damaged, its file
 * has been cut. The guest is stopped and the chunk named (status 3); nobody goes on with zeros, and
 * nothing hangs: an end that does not come about in time is forced.
 */
#ifndef STASIS_VMM_RAM_FAILURE_H
#define STASIS_VMM_RAM_FAILURE_H

#include <pthread.h>
#include <stdbool.h>

#include "stasis/ram.h"

struct stasis_machine;

/* Part of the machine: sees to it that a guest without memory ends. */
struct stasis_ram_watchdog {
    pthread_t thread;
    bool started;
    struct stasis_error error; /* why */
    bool called_off;           /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

void stasis_ram_watchdog_init(struct stasis_ram_watchdog *watchdog);
/* No vCPU runs any more. Waits for the watchdog's thread. */
void stasis_ram_watchdog_fini(struct stasis_ram_watchdog *watchdog);

/* For struct stasis_ram_opts; ctx is the machine. */
void stasis_ram_failure_failed(void *ctx, const struct stasis_error *err);

/* KVM could not reach the guest's memory at `host` (NULL: perhaps, somewhere): ends the guest if
 * the file it comes from is the cause, or returns false. vCPU thread. */
bool stasis_ram_failure_end(struct stasis_machine *machine, const void *host);

/* Takes SIGBUS: at an address in the machine's memory it ends the guest, or, where a thread of ours
 * needs what is not there, the process, with the terminal restored and status 3. Other faults go
 * to who had the signal before. One machine at a time; `restore` gives the signal back. */
void stasis_ram_failure_catch(struct stasis_machine *machine);
void stasis_ram_failure_restore(void);

#endif
