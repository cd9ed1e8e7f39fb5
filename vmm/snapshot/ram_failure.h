/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * What happens when memory of a thawed guest can no longer be had: its chunk is damaged, its file
 * has been cut. The guest is stopped and the chunk named (status 3); nobody goes on with zeros, and
 * nothing hangs: an end that does not come about in time, after a failure or because a read of the
 * file does not return, is forced.
 */
#ifndef STASIS_VMM_RAM_FAILURE_H
#define STASIS_VMM_RAM_FAILURE_H

#include "stasis/ram.h"

struct stasis_machine;

/* Backs the machine's RAM with the snapshot and sees to it that a guest whose memory is lost ends.
 * It becomes the machine's, which closes it at its end. Errors as of stasis_ram_attach(); `failed`
 * and `ctx` of the options are set here. */
STASIS_MUST_CHECK int stasis_ram_failure_attach(struct stasis_machine *machine,
                                                struct stasis_snap *snap, void *const *hosts,
                                                const struct stasis_ram_opts *opts,
                                                struct stasis_error *err);

/* What loads the machine's RAM, or NULL when it was not thawed. */
struct stasis_ram *stasis_ram_failure_ram(const struct stasis_machine *machine);

/* Between these two the caller may wait for a vCPU, which may wait for memory: after 5 s such
 * memory is lost to it, after 10 s the process ends (below). For the end of a guest, by the
 * machine's owner; stasis_machine_fini() is watched anyway. */
void stasis_ram_failure_watch(struct stasis_machine *machine);
void stasis_ram_failure_unwatch(struct stasis_machine *machine);

/* Who ends the process when threads wait for memory that will never come: `fatal` says why and does
 * not return; NULL: abort(). Any thread calls it, and a signal handler. For the machines that the
 * calling thread thaws from now on. */
void stasis_ram_failure_on_fatal(void (*fatal)(void *ctx, const struct stasis_error *err),
                                 void *ctx);

/* Takes SIGBUS and SIGSEGV for a machine: at an address in its memory they end the guest, or, where
 * a thread of ours needs what is not there, the process (stasis_ram_failure_on_fatal()). Other
 * faults go to who had the signals before; `restore` gives them back after the last machine, and is
 * harmless for one that was not caught. STASIS_ERR_FULL. */
#define STASIS_RAM_FAILURE_OWNERS_MAX 64
STASIS_MUST_CHECK int stasis_ram_failure_catch(struct stasis_machine *machine,
                                               struct stasis_error *err);
void stasis_ram_failure_restore(struct stasis_machine *machine);

/* Between these two another handler of faults can be put below ours, if no machine but this one has
 * its memory guarded: others may run, and are not left alone. It is put above ours then, and hands
 * on to it. */
void stasis_ram_failure_stand_back(const struct stasis_machine *machine);
void stasis_ram_failure_come_back(void);

#endif
