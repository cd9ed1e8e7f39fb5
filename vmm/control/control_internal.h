/* SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause */
#ifndef STASIS_VMM_CONTROL_CONTROL_INTERNAL_H
#define STASIS_VMM_CONTROL_CONTROL_INTERNAL_H

#include "vmm/control/methods.h"

struct stasis_control {
    struct stasis_control_server *server;
    const struct stasis_control_ops *ops;
    void *ctx;
    int dir_fd;                            /* -1: none */
    struct stasis_control_call *pause;     /* that waits for its end, or NULL */
    struct stasis_control_call *snapshots; /* that wait for their end; `owner` leads to the next */
    bool stop;                             /* once the answer to `quit` is written */
    unsigned percent;                      /* of the last event of progress */
};

/* control.c: the call waits for the end of its snapshot, and does not any more. */
void stasis_control_add_snapshot(struct stasis_control *control, struct stasis_control_call *call);
void stasis_control_remove_snapshot(struct stasis_control *control,
                                    const struct stasis_control_call *call);

/* methods_run.c */
int stasis_control_run_version(struct stasis_control *control, struct stasis_control_call *call,
                               const struct stasis_control_args *args, json_t **ret_result,
                               struct stasis_control_failure *failure);
int stasis_control_run_status(struct stasis_control *control, struct stasis_control_call *call,
                              const struct stasis_control_args *args, json_t **ret_result,
                              struct stasis_control_failure *failure);
int stasis_control_run_pause(struct stasis_control *control, struct stasis_control_call *call,
                             const struct stasis_control_args *args, json_t **ret_result,
                             struct stasis_control_failure *failure);
int stasis_control_run_resume(struct stasis_control *control, struct stasis_control_call *call,
                              const struct stasis_control_args *args, json_t **ret_result,
                              struct stasis_control_failure *failure);
int stasis_control_run_snapshot(struct stasis_control *control, struct stasis_control_call *call,
                                const struct stasis_control_args *args, json_t **ret_result,
                                struct stasis_control_failure *failure);
int stasis_control_run_cancel(struct stasis_control *control, struct stasis_control_call *call,
                              const struct stasis_control_args *args, json_t **ret_result,
                              struct stasis_control_failure *failure);
int stasis_control_run_power_button(struct stasis_control *control,
                                    struct stasis_control_call *call,
                                    const struct stasis_control_args *args, json_t **ret_result,
                                    struct stasis_control_failure *failure);
int stasis_control_run_reset(struct stasis_control *control, struct stasis_control_call *call,
                             const struct stasis_control_args *args, json_t **ret_result,
                             struct stasis_control_failure *failure);
int stasis_control_run_balloon(struct stasis_control *control, struct stasis_control_call *call,
                               const struct stasis_control_args *args, json_t **ret_result,
                               struct stasis_control_failure *failure);
int stasis_control_run_metrics(struct stasis_control *control, struct stasis_control_call *call,
                               const struct stasis_control_args *args, json_t **ret_result,
                               struct stasis_control_failure *failure);
int stasis_control_run_config(struct stasis_control *control, struct stasis_control_call *call,
                              const struct stasis_control_args *args, json_t **ret_result,
                              struct stasis_control_failure *failure);
int stasis_control_run_subscribe(struct stasis_control *control, struct stasis_control_call *call,
                                 const struct stasis_control_args *args, json_t **ret_result,
                                 struct stasis_control_failure *failure);
int stasis_control_run_quit(struct stasis_control *control, struct stasis_control_call *call,
                            const struct stasis_control_args *args, json_t **ret_result,
                            struct stasis_control_failure *failure);

#endif
