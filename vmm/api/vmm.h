/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * One virtual machine, from its configuration to its end: boots or thaws a guest, runs it, and
 * freezes it when asked to. Nothing here prints or exits: what there is to say goes to the client,
 * the program around it.
 *
 * Threads: all functions and all of the client's belong to the thread that calls run, but for
 * `fatal`, which any thread and a signal handler may call. One VM per process: it has the terminal
 * and SIGBUS.
 */
#ifndef STASIS_VMM_VMM_H
#define STASIS_VMM_VMM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/api/config.h"

struct stasis_vmm;

enum stasis_vmm_request {
    STASIS_VMM_NO_REQUEST = 0,
    STASIS_VMM_FREEZE, /* as the configuration says */
    STASIS_VMM_CANCEL, /* give up the save under way; nothing when there is none */
    STASIS_VMM_END,    /* end the VM at once, and give up the save */
};

enum stasis_vmm_work { STASIS_VMM_SAVING, STASIS_VMM_LOADING };

struct stasis_vmm_client {
    void *ctx;
    struct stasis_cursor *cursor; /* of the guest's, for messages between its lines, or NULL */
    /* One line for the user, without a newline. */
    void (*message)(void *ctx, const char *line);
    /* The user asks for the list of escape keys. */
    void (*show_keys)(void *ctx);
    /* So many bytes are saved, or loaded into memory; and that is over. */
    void (*progress)(void *ctx, enum stasis_vmm_work work, uint64_t done, uint64_t total);
    void (*progress_end)(void *ctx);
    /* What somebody outside the guest wants, oldest first, without waiting. request_fd is readable
     * when there may be some; it stays the client's. */
    int request_fd;
    enum stasis_vmm_request (*request)(void *ctx, bool saving);
    /* Whether requests to end wait for request(), or end the process by themselves, as they must be
     * able to while the VM waits for as long as somebody else pleases. */
    void (*hold)(void *ctx, bool hold);
    /* The process cannot go on, and must not return: threads wait for what will never come. */
    void (*fatal)(void *ctx, const struct stasis_error *err);
};

enum stasis_vmm_reason {
    STASIS_VMM_RESET,   /* the guest ended itself */
    STASIS_VMM_CRASHED, /* it died, or lost its memory */
    STASIS_VMM_FROZEN,  /* the configuration says then=exit */
    STASIS_VMM_QUIT,    /* by key */
    STASIS_VMM_ENDED,   /* by STASIS_VMM_END */
};

/* How a run ended. Errors have code 0 where there was none. */
struct stasis_vmm_end {
    enum stasis_vmm_reason reason;
    struct stasis_error crash;   /* why the guest died */
    struct stasis_error missing; /* STASIS_ERR_NO_SNAPSHOT: a freeze is outstanding */
    int save_code;               /* of the last freeze, if it failed; its message has been given */
};

/* Boots or thaws the guest, which does not run yet; STASIS_ERR_CANCELLED if a request to end comes
 * while its memory is loaded. config and client must outlive the VM.
 * start_us: CLOCK_MONOTONIC that metrics count from. */
STASIS_MUST_CHECK int stasis_vmm_create(const struct stasis_config *config,
                                        const struct stasis_vmm_client *client, uint64_t start_us,
                                        struct stasis_vmm **ret_vmm, struct stasis_error *err);

/* Runs the guest to its end and fills *ret_end. Once. */
STASIS_MUST_CHECK int stasis_vmm_run(struct stasis_vmm *vmm, struct stasis_vmm_end *ret_end,
                                     struct stasis_error *err);

/* Writes what the configuration's metrics_path asks for, if it does. After run. */
STASIS_MUST_CHECK int stasis_vmm_write_metrics(struct stasis_vmm *vmm, struct stasis_error *err);

/* Ends all threads, says what output was dropped, and restores the terminal. NULL is fine. */
void stasis_vmm_free(struct stasis_vmm *vmm);

#endif
