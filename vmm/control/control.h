/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
 *
 * The control socket of one VM: the methods of methods.c on the server of server.h. What the
 * methods do to the VM goes through a table of operations.
 *
 * Threads: all functions belong to one thread, that of the VM's events.
 */
#ifndef STASIS_VMM_CONTROL_CONTROL_H
#define STASIS_VMM_CONTROL_CONTROL_H

#include "stasis/vmm.h"
#include "vmm/host/socket.h"

/* As the functions of stasis/vmm.h, with the VM as ctx. Text is to be freed. */
struct stasis_control_ops {
    void (*status)(void *ctx, struct stasis_vmm_status *ret_status);
    int (*pause)(void *ctx, struct stasis_error *err); /* begins it; the end is an event */
    int (*resume)(void *ctx, struct stasis_error *err);
    int (*snapshot)(void *ctx, const struct stasis_snapshot_request *request,
                    struct stasis_error *err);
    /* Of the request that had request_ctx, or any (NULL). */
    int (*cancel)(void *ctx, const void *request_ctx, struct stasis_error *err);
    int (*power_button)(void *ctx, struct stasis_error *err);
    int (*reset)(void *ctx, struct stasis_error *err);
    int (*balloon)(void *ctx, uint64_t target_mib, struct stasis_error *err);
    void (*stop)(void *ctx);
    int (*metrics)(void *ctx, enum stasis_vmm_metrics_format format, char **ret_text,
                   struct stasis_error *err);
    int (*config)(void *ctx, char **ret_json, struct stasis_error *err);
};

struct stasis_control_config {
    const char *path; /* of the socket */
    const char *dir;  /* the folder of snapshots that a request only names; NULL: none */
};

struct stasis_control;

/* Those of stasis/vmm.h; ctx is a struct stasis_vmm *. */
extern const struct stasis_control_ops stasis_control_vmm_ops;

/* Makes the socket and opens the folder. `ops` must stay; ctx may be set later, before the first
 * dispatch. */
STASIS_MUST_CHECK int stasis_control_open(const struct stasis_control_config *config,
                                          const struct stasis_control_ops *ops,
                                          struct stasis_control **ret_control,
                                          struct stasis_error *err);
/* For a dry run: what of that would fail. */
STASIS_MUST_CHECK int stasis_control_check(const struct stasis_control_config *config,
                                           struct stasis_error *err);
void stasis_control_set_ctx(struct stasis_control *control, void *ctx);
/* Answers what waits for an answer, sends what can be sent at once, and closes all. NULL is fine.
 */
void stasis_control_close(struct stasis_control *control);

/* The socket, whose name is removed when it is closed, by who may; NULL: there is none. */
const struct stasis_socket *stasis_control_socket(const struct stasis_control *control);

/* Another process removes the name: closes the folder that it is in. NULL is fine. */
void stasis_control_leave_folder(struct stasis_control *control);

/* Readable when dispatch() has something to do; dispatch() does not wait for clients. */
int stasis_control_fd(const struct stasis_control *control);
void stasis_control_dispatch(struct stasis_control *control);

/* What the VM has to say, for the clients. NULL is fine. */
void stasis_control_event(struct stasis_control *control, const struct stasis_vmm_event *event);
void stasis_control_progress(struct stasis_control *control, enum stasis_vmm_work work,
                             uint64_t done, uint64_t total);

#endif
