/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The sandbox of the program (--sandbox): which parts of vmm/sandbox/ it uses, when, and for which
 * files. A part that this kernel lacks is told in one line, or is an error with `require`.
 */
#ifndef STASIS_VMM_CONFINE_H
#define STASIS_VMM_CONFINE_H

#include "stasis/output.h"
#include "vmm/api/config.h"
#include "vmm/cmd/confine_files.h"
#include "vmm/control/control.h"
#include "vmm/host/socket.h"
#include "vmm/sandbox/files.h"
#include "vmm/sandbox/maker.h"

enum stasis_confine_mode {
    STASIS_CONFINE_ON = 0, /* as far as this kernel can */
    STASIS_CONFINE_OFF,
    STASIS_CONFINE_REQUIRE, /* or not at all */
};

/* To be filled in up to `socket`. */
struct stasis_confinement {
    enum stasis_confine_mode mode;
    /* Ends the process when a thread makes a system call that it shall not make: says why, and does
     * not return. In a signal handler, on that thread. */
    void (*end)(void *ctx, const struct stasis_error *err);
    void *ctx;
    const struct stasis_socket *socket; /* of --control, which is removed at the end; NULL: none */
    bool filters;                       /* system calls are filtered */
    bool connects;      /* less those of the loop that make and connect a Unix socket */
    bool changes_root;  /* once the VM is open */
    bool holds_folders; /* then, too */
    bool loses_proc;    /* then, though it may be asked for a snapshot */
    int proc_fds[STASIS_CONFINE_PROC_COUNT]; /* of stasis_confine_proc; -1: none */
    struct stasis_sandbox_maker maker; /* of files in folders of clients; it removes the socket */
    /* Of a VM that is open, if it may be given such: which folders it can open for reading. */
    struct stasis_sandbox_files folders;
};

/* Holds nothing: stasis_confine_fini() may be called. */
void stasis_confine_init(struct stasis_confinement *confinement);

/* Before anything that an attacker may have made is read, and before there is another thread.
 * control NULL: there is none. err is given. STASIS_ERR_UNAVAILABLE: a part is missing. */
STASIS_MUST_CHECK int stasis_confine_begin(struct stasis_confinement *confinement,
                                           const struct stasis_vmm_config *config,
                                           const struct stasis_control_config *control,
                                           struct stasis_error *err);

/* The VM is open, and does not run yet: what only opening it took is given up. STASIS_ERR_ARG: its
 * snapshot could not be written any more. */
STASIS_MUST_CHECK int stasis_confine_opened(struct stasis_confinement *confinement,
                                            const struct stasis_vmm_config *config,
                                            struct stasis_error *err);

/* On a thread of the VM that begins. */
STASIS_MUST_CHECK int stasis_confine_thread(const struct stasis_confinement *confinement,
                                            enum stasis_vmm_thread thread,
                                            struct stasis_error *err);

/* Who makes files in folders of clients, for the VM; all 0: the VM does. */
struct stasis_output_folders stasis_confine_folders(const struct stasis_confinement *confinement);

void stasis_confine_fini(struct stasis_confinement *confinement);

#endif
